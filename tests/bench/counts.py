"""What operations send to a key, as the key itself counts it, beside what the protocol asks for at least."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import children
import keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from keys import BenchKey

MEBIBYTE = 1024 * 1024
MAX_PEAK_BYTES = 60 * MEBIBYTE
#: getInfo, tries left, key agreement, token, and how many passkeys there are.
LISTING_OVERHEAD = 5
#: What a listing may need beside a command for each site and each passkey.
MAX_LISTING_OVERHEAD = 8
#: Known keys that are not connected, and what listing may take of the one that is.
OTHER_KEYS, MAX_LIST_KNOWN = 19, 3
#: A line of ``--verbose``.
_LINE = re.compile(r"^keyctl: (?P<name>.+): (?P<sent>\d+) bytes -> .+, (?P<received>\d+) bytes, \d+ ms$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Count:
    """What one operation sent."""

    title: str
    where: str
    #: As the key counted.
    commands: int
    #: What the protocol asks for.
    at_least: int
    #: The target; None: there is none.
    at_most: int | None
    #: As ``--verbose`` told them; None where it told nothing.
    names: tuple[str, ...] | None
    sent_bytes: int | None
    received_bytes: int | None
    peak_bytes: int
    exit_status: int

    @property
    def met(self) -> bool:
        """Whether the targets are met."""
        within = self.at_most is None or self.commands <= self.at_most
        return within and self.peak_bytes <= MAX_PEAK_BYTES and self.exit_status == 0


def count_all(measured: Sequence[BenchKey], folder: Path) -> Iterator[Count]:
    """The counts of all operations, on copies of *measured* (the key with the fewest passkeys first).

    Raises:
        keys.NoReaderError: After all others, where there can be no card reader.
    """
    first, *others = [_counting(key, folder / "direct") for key in measured]
    yield _count(first, "list", first.program("list", "--json"), 1, at_most=1)
    yield _known_one(keys.copied(measured[0], folder / "known"))
    yield from _on_one_key(first)
    for key in others:
        yield _listing(key)
    on_cards = [_counting(key, folder / "on cards") for key in (measured[0], measured[-1])]
    with keys.in_readers(on_cards) as (small, large):
        yield from _on_one_key(small)
        yield _listing(large)


def _known_one(key: BenchKey) -> Count:
    """Listing a known key, the last one seen, of twenty."""
    children.done(key.program("add", key.name, "--key", key.selector))
    keys.note(key.home, keys=OTHER_KEYS, passkeys=0, services=0, per_account=1)
    key.count_commands()
    # getInfo, and the signature that proves which one it is.
    return _count(key, f"list, {OTHER_KEYS + 1} known keys", key.program("list", "--json"), 2, at_most=MAX_LIST_KNOWN)


def _counting(key: BenchKey, folder: Path) -> BenchKey:
    copy = keys.copied(key, folder)
    copy.count_commands()
    return copy


def _on_one_key(key: BenchKey) -> Iterator[Count]:
    """Everything, on a key with few passkeys: the last is deleted."""
    yield _count(key, "info", key.program("info", "--json", "--key", key.selector), 2, at_most=3)
    yield _count(key, "pin verify", key.with_pin("pin", "verify"), 4, at_most=None)
    yield _listing(key)
    passkeys = json.loads(children.done(key.with_pin("passkeys", "list", "--json")).stdout)["data"]["passkeys"]
    held = len({passkey["rp_id"] for passkey in passkeys}) + len(passkeys)
    renamed, deleted = passkeys[0], passkeys[-1]
    yield _count(
        key,
        "passkeys rename ID",
        key.with_pin("passkeys", "rename", renamed["credential_id"], "--display-name", f"via {key.where}"),
        # The new name, beside reading all passkeys to know which one is meant and what else it is called.
        LISTING_OVERHEAD + held + 1,
        at_most=None,
    )
    yield _count(
        key,
        "passkeys delete --rp RP",
        key.with_pin("passkeys", "delete", "--rp", deleted["rp_id"], "--yes"),
        # getInfo, tries left, key agreement, token, the one passkey of the site, and its end.
        6,
        at_most=None,
    )


def _listing(key: BenchKey) -> Count:
    entries = key.sites + key.passkeys
    return _count(
        key,
        f"passkeys list, {key.passkeys} at {key.sites} sites",
        key.with_pin("passkeys", "list", "--json"),
        entries + LISTING_OVERHEAD,
        at_most=entries + MAX_LISTING_OVERHEAD,
    )


def _count(key: BenchKey, title: str, program: children.Program, at_least: int, *, at_most: int | None) -> Count:
    before = key.commands_seen
    run = children.run(children.Program(words=(*program.words, "--verbose"), environment=program.environment))
    lines = list(_LINE.finditer(run.stderr))
    return Count(
        title=title,
        where=key.where,
        commands=key.commands_seen - before,
        at_least=at_least,
        at_most=at_most,
        names=tuple(line["name"] for line in lines) or None,
        sent_bytes=sum(int(line["sent"]) for line in lines) or None,
        received_bytes=sum(int(line["received"]) for line in lines) or None,
        peak_bytes=run.peak_bytes,
        exit_status=run.exit_status,
    )
