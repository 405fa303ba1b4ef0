"""What a key remembers for the WebAuthn draft extension "recovery": its own seed, and those of its backup keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyctl.core import p256

if TYPE_CHECKING:
    from keyctl.virtual.record import Record

AAGUID_BYTES = 16
#: The draft names no limit, but every answer of the action "generate" grows with each seed.
MAX_SEEDS = 4
_MAX_CHANGES = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class BackupSeed:
    """The seed public key of a backup key."""

    aaguid: bytes
    #: A point on P-256, uncompressed.
    point: bytes


@dataclass(frozen=True, kw_only=True)
class BackupSeeds:
    """Both sides of the draft: a key may be a backup and have backups."""

    #: The private key of the key's own seed, 32 bytes; None before the first export.
    own: bytes | None = None
    #: Those it was given, oldest first, at most :data:`MAX_SEEDS`.
    given: tuple[BackupSeed, ...] = ()
    #: The draft's state counter: how often :attr:`given` changed since the last reset.
    changes: int = 0

    def owning(self, private_key: bytes) -> BackupSeeds:
        """These with *private_key* for the key's own seed."""
        return replace(self, own=private_key)

    def having(self, given: tuple[BackupSeed, ...]) -> BackupSeeds:
        """These with *given* instead, one change later."""
        return replace(self, given=given, changes=self.changes + 1)

    def to_json(self) -> dict[str, Any]:
        """A part of the key's file."""
        return {
            "own": None if self.own is None else self.own.hex(),
            "given": [{"aaguid": seed.aaguid.hex(), "point": seed.point.hex()} for seed in self.given],
            "changes": self.changes,
        }


def backup_seeds_from(record: Record) -> BackupSeeds:
    """The seeds in a part of the key's file.

    Raises:
        StoreError: They make no sense.
    """
    seeds = BackupSeeds(
        own=record.optional_scalar("own"),
        given=tuple(_given_from(item) for item in record.records("given", MAX_SEEDS)),
        changes=record.integer("changes", 0, _MAX_CHANGES),
    )
    record.finish()
    if len({seed.point for seed in seeds.given}) != len(seeds.given):
        raise record.bad("has one seed twice")
    return seeds


def _given_from(record: Record) -> BackupSeed:
    seed = BackupSeed(
        aaguid=record.octets("aaguid", AAGUID_BYTES, AAGUID_BYTES),
        point=record.octets("point", p256.POINT_BYTES, p256.POINT_BYTES),
    )
    record.finish()
    if not p256.on_curve(seed.point):
        raise record.bad("has a bad point")
    return seed
