"""From the inventory's records to what each key has for an account, with all that tells which account it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, NamedTuple

from keyctl.core import sites
from keyctl.core.services import folded
from keyctl.model import OWN_RP_ID, KeyState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.core.inventory import Declaration, Inventory, KnownKey, Registration, SeenPasskey, Service

#: Digits of a user id that stand for an account without any name.
_USER_ID_DIGITS = 16


class How(StrEnum):
    """By what a key opens an account."""

    PASSKEY = "passkey"
    #: A credential that no key can list.
    REGISTRATION = "registration"
    #: A key pair that only a backup key can make, for a public key that was derived without it.
    DERIVED = "derived"
    NONE = "none"


class Evidence(StrEnum):
    """How it is known; the strongest first."""

    #: The key listed it.
    SEEN = "seen"
    #: The key answered to it.
    PROBED = "probed"
    #: A person said so.
    DECLARED = "declared"
    #: It was there until the key was reset.
    RESET = "reset"


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A public key that was derived for a backup key."""

    #: The backup key's :attr:`KnownKey.id`.
    key_id: str
    pairing_id: str
    #: What it was made for.
    target: str
    target_kind: Literal["rp", "ssh", "sign"]
    #: The domain, or ``ssh:HOST``.
    rp_id: str
    account: str | None
    #: When a person said that the site or host has it; None: not yet.
    handed_over_at: str | None
    #: Whether the backup key can still sign for it, as far as is known.
    usable: bool


class Holding(NamedTuple):
    """What one key has for one account."""

    key: KnownKey
    how: How
    evidence: Evidence | None
    seen_at: str | None
    #: Whether it opens the account when the key is at hand.
    works: bool
    #: None where only a person's word is known, or a derived key.
    credential_id: bytes | None = None
    #: The derived key that it is; None: it is none.
    derived: Derived | None = None


class Label(IntEnum):
    """What an account may be called after, the best first."""

    DECLARED = 0
    USER_NAME = 1
    DISPLAY_NAME = 2
    USER_ID = 3


class Fact(NamedTuple):
    """One record's share in an account."""

    #: What tells which account it is; nothing: it may be any.
    marks: tuple[str, ...]
    label: tuple[Label, str] | None
    rp_id: str | None
    holding: Holding | None
    service: Service | None = None


class SiteFinder:
    """Which site a passkey belongs to: its hash decides, the text helps where it is the whole RP id."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._known: dict[bytes, str] | None = None
        self._texts: dict[tuple[str | None, bytes], str | None] = {}

    def __call__(self, rp_id: str | None, rp_id_hash: bytes) -> str | bytes:
        """The canonical RP id, or *rp_id_hash* where nothing tells whose it is."""
        text = self.text(rp_id, rp_id_hash)
        return rp_id_hash if text is None else sites.canonical(text)

    def text(self, rp_id: str | None, rp_id_hash: bytes) -> str | None:
        """The RP id with this SHA-256, or None where nothing tells it.

        Args:
            rp_id: As the key told it, perhaps cut.
            rp_id_hash: 32 bytes.
        """
        asked = (rp_id, rp_id_hash)
        if asked not in self._texts:
            exact = rp_id is not None and _hash(rp_id) == rp_id_hash
            self._texts[asked] = rp_id if exact else self._from_elsewhere(rp_id_hash)
        return self._texts[asked]

    def _from_elsewhere(self, rp_id_hash: bytes) -> str | None:
        if self._known is None:
            texts = {OWN_RP_ID} | {service.rp_id for service in self._inventory.services}
            for key in self._inventory.keys:
                texts.update(registration.rp_id for registration in key.registrations)
                texts.update(passkey.rp_id for passkey in key.passkeys if passkey.rp_id is not None)
            self._known = {_hash(text): text for text in texts}
        return self._known.get(rp_id_hash) or sites.find_by_hash(rp_id_hash)


def _hash(rp_id: str) -> bytes:
    return sha256(rp_id.encode("utf-8", "surrogatepass")).digest()


def of_passkey(key: KnownKey, passkey: SeenPasskey, find_site: SiteFinder) -> Fact:
    """A passkey that the key listed once."""
    gone = passkey.reset_at is not None or key.state is KeyState.RESET
    holding = Holding(
        key=key,
        how=How.NONE if gone else How.PASSKEY,
        evidence=Evidence.RESET if gone else Evidence.SEEN,
        seen_at=(passkey.reset_at or _reset_at(key) or passkey.seen_at) if gone else passkey.seen_at,
        works=not gone,
        credential_id=passkey.credential_id,
    )
    marks = []
    label = None
    if passkey.user_id:
        digits = passkey.user_id.hex()
        marks.append(f"id {digits}")
        label = (Label.USER_ID, digits[:_USER_ID_DIGITS])
    if passkey.user_name:
        marks.append(name_mark(passkey.user_name))
        label = (Label.USER_NAME, passkey.user_name)
    elif passkey.display_name:
        label = (Label.DISPLAY_NAME, passkey.display_name)
    return Fact(tuple(marks), label, find_site.text(passkey.rp_id, passkey.rp_id_hash) or passkey.rp_id, holding)


def of_registration(key: KnownKey, registration: Registration) -> Fact:
    """A credential that the key answered to."""
    gone = registration.reset_at is not None or key.state is KeyState.RESET
    holding = Holding(
        key=key,
        how=How.NONE if gone else How.REGISTRATION,
        evidence=Evidence.RESET if gone else Evidence.PROBED,
        seen_at=(registration.reset_at or _reset_at(key) or registration.seen_at) if gone else registration.seen_at,
        works=not gone,
        credential_id=registration.credential_id,
    )
    return _named_fact(registration.rp_id, registration.account, Label.USER_NAME, holding)


def derived_keys(inventory: Inventory) -> Iterator[Derived]:
    """Every derived key of *inventory* that no other key has replaced, whether its backup key is known or not.

    Those of a retired pairing are among them: whatever has them still takes the backup key's signature.
    """
    for pairing in inventory.pairings:
        usable = not pairing.has_lost_seed
        for made in pairing.derived:
            if made.is_replaced:
                continue
            kind, _, label = made.target.partition(":")
            site, _, account = label.partition("/")
            yield Derived(
                key_id=pairing.backup_id,
                pairing_id=pairing.id,
                target=made.target,
                target_kind="ssh" if kind == "ssh" else "rp" if kind == "rp" else "sign",
                rp_id=site if kind == "rp" else made.target,
                account=account or None if kind == "rp" else None,
                handed_over_at=made.handed_over_at,
                usable=usable,
            )


def of_derived(key: KnownKey, record: Derived) -> Fact:
    """A derived key: it opens nothing before it was handed over, and no web site at all."""
    gone = key.state is KeyState.RESET
    declared = Evidence.DECLARED if record.handed_over_at else None
    holding = Holding(
        key=key,
        how=How.NONE if gone else How.DERIVED,
        evidence=Evidence.RESET if gone else declared,
        seen_at=(_reset_at(key) or record.handed_over_at) if gone else record.handed_over_at,
        # No web site takes a derived key for a login.
        works=not gone and record.usable and record.target_kind == "ssh" and declared is not None,
        derived=record,
    )
    return _named_fact(record.rp_id, record.account, Label.USER_NAME, holding)


def of_declaration(key: KnownKey, service: Service, declaration: Declaration) -> Fact:
    """A person's word; it was about the key that had the name then."""
    gone = key.state is KeyState.RESET or _replaced_after(key, declaration.declared_at)
    holding = Holding(
        key=key,
        how=How.NONE if gone else How.REGISTRATION,
        evidence=Evidence.RESET if gone else Evidence.DECLARED,
        seen_at=(_reset_at(key) or declaration.declared_at) if gone else declaration.declared_at,
        works=not gone,
    )
    return _named_fact(service.rp_id, service.account, Label.DECLARED, holding)


def of_service(service: Service) -> Fact:
    """The service itself, which no key needs to hold."""
    return _named_fact(service.rp_id, service.account, Label.DECLARED, None)._replace(service=service)


def _named_fact(rp_id: str, account: str | None, label: Label, holding: Holding | None) -> Fact:
    if not account:
        return Fact((), None, rp_id, holding)
    return Fact((name_mark(account),), (label, account), rp_id, holding)


def name_mark(name: str) -> str:
    """What two records share that name the same account, whatever its case (Unicode, section 3.13, D145)."""
    return f"name {folded(name)}"


def _reset_at(key: KnownKey) -> str | None:
    """When it became known that the key was reset."""
    return key.changed.get("state") if key.state is KeyState.RESET else key.recognition.enrolled_at


def _replaced_after(key: KnownKey, moment: str) -> bool:
    """Whether another key, or this one after a reset, has got the name since *moment*."""
    return key.added_at < key.recognition.enrolled_at and moment < key.recognition.enrolled_at
