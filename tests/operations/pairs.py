"""Two virtual keys to be paired, and what is on them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fido2 import cbor

from keyctl.core import contexts, derivations, times
from keyctl.device import blob_array
from keyctl.model import OWN_RP_ID
from keyctl.operations import pair_creating
from keyctl.store import unfinished

if TYPE_CHECKING:
    from keyctl.core.pairings import Method, Pairing
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.pair_creating import Creation

PIN = "123456"
#: Of other sites, one of them in an encoding that nobody would write again as it was.
FOREIGN = (
    cbor.encode({1: bytes(40), 2: bytes(12), 3: 7}),
    bytes.fromhex("a303190007") + b"\x02\x4c" + bytes(12) + b"\x01\x58\x10" + bytes(16),
)


@dataclass
class Pairs:
    """A desk with a primary key blue and a backup key green, both with a PIN."""

    desk: Any
    person_class: Any
    primary: str = "full"
    backup: str = "arkg"
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk.know("blue", profile=self.primary, pin=self.primary != "u2f")
        self.desk.know("green", profile=self.backup, pin=self.backup != "u2f")

    def person(self, pins: int = 2, **more: Any) -> Any:
        """Somebody who knows the PIN."""
        return self.person_class(pins=[PIN] * pins, **more)

    def circumstances(self, person: Any, wanted: str | None = None, *, turn_s: float = 0) -> Circumstances:
        found: Circumstances = self.desk.circumstances(person, wanted, turn_s=turn_s)
        return replace(found, trace=self.trace.append)

    def create(self, person: Any = None, *, turn_s: float = 0, **more: Any) -> Creation:
        options: dict[str, Any] = {"method": None, "store_on_key": True, **more}
        circumstances = self.circumstances(person or self.person(), turn_s=turn_s)
        return pair_creating.create(circumstances, "blue", "green", **options)

    def paired(self, method: Method | None = None, **more: Any) -> Pairing:
        """The pairing, made anew."""
        self.create(method=method, **more)
        [pairing] = self.desk.inventory.pairings
        self.trace.clear()
        return pairing

    def paired_with(self, backup: str) -> Pairing:
        """The same, with another backup key."""
        options: dict[str, Any] = {"method": None, "store_on_key": True}
        pair_creating.create(self.circumstances(self.person()), "blue", backup, **options)
        known = self.desk.record(backup)
        return next(one for one in self.desk.inventory.pairings if one.backup_id == known.id)

    def kept(self, name: str) -> dict[str, Any]:
        """What a virtual key remembers."""
        content: dict[str, Any] = json.loads((self.desk.folder / f"{name}.json").read_text("utf-8"))
        return content

    def keep(self, name: str, **content: Any) -> None:
        path = self.desk.folder / f"{name}.json"
        path.write_text(json.dumps(self.kept(name) | content), "utf-8")

    def own_ids(self, name: str) -> list[bytes]:
        """The ids of keyctl's own discoverable credentials on a key."""
        return [bytes.fromhex(kept["id"]) for kept in self.kept(name)["credentials"] if kept["rp_id"] == OWN_RP_ID]

    def blobs(self, name: str) -> bytes:
        return bytes.fromhex(self.kept(name)["large_blobs"])

    def stock(self, name: str, *entries: bytes) -> None:
        """Have other sites keep something on a key."""
        self.keep(name, large_blobs=blob_array.BlobArray(entries or FOREIGN).content.hex())

    def foreign(self, name: str) -> tuple[bytes, ...]:
        """The first entries, which other sites put there."""
        return blob_array.parse(self.blobs(name)).entries[: len(FOREIGN)]

    def unfinished(self) -> tuple[unfinished.Unfinished, ...]:
        return unfinished.read_all(self.desk.home / "state")

    def touches(self) -> int:
        """Commands that ask for a touch."""
        return sum(line.startswith(("makeCredential:", "getAssertion:")) for line in self.trace)


def spoiled(array: bytes) -> bytes:
    """An array with another checksum."""
    return array[:-1] + bytes([array[-1] ^ 1])


def with_keys(pairing: Pairing, *targets: str, now: str | None = None, **facts: Any) -> Pairing:
    """*pairing* with derived keys that are added; *facts* are fields of each."""
    assert pairing.seed is not None
    made = [derivations.derive(pairing.seed, contexts.parse(target), now=now or times.now()) for target in targets]
    return replace(pairing, derived=(*pairing.derived, *(replace(key, **facts) for key in made)))
