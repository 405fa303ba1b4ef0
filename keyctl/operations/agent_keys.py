"""Which derived keys an agent offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import authorized_keys, contexts, key_formats, ssh_agent_messages, ssh_agent_rules, ssh_wire
from keyctl.core.contexts import Kind
from keyctl.core.pairings import DERIVING
from keyctl.core.text import visible
from keyctl.errors import Details, KeyctlError, NotFoundError, UsageError
from keyctl.operations import pair_choice, recovering, seed_trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keyctl.core.contexts import Target
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import DerivedKey, Pairing
    from keyctl.operations.asking import Circumstances

#: Of an authorized_keys file.
MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class AgentKey:
    """A derived key that an agent offers."""

    #: PRIMARY/BACKUP.
    pairing: str
    target: str
    #: As ``ssh-add -l`` shows it.
    fingerprint: str
    #: A line for ``authorized_keys``.
    ssh: str
    recorded: bool


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The same, with what it takes to sign."""

    pairing: Pairing
    target: Target
    derived: DerivedKey
    #: The public key as the protocol has it.
    blob: bytes
    shown: AgentKey

    @property
    def comment(self) -> str:
        """What the agent says it is."""
        return self.target.text


def offers(
    circumstances: Circumstances,
    inventory: Inventory,
    which: str | None,
    targets: Sequence[Target],
    authorized: tuple[bytes, str] | None,
) -> tuple[Offer, ...]:
    """The keys for *targets*, those of an authorized_keys file, and then those that are recorded, each once.

    A server lets a client try a few keys only, so those that were named come first.

    Args:
        circumstances: What the command line says.
        inventory: What is known.
        which: The pairing; None: all that derive keys.
        targets: For ``ssh:`` and ``sign:``, recorded or not.
        authorized: The content of an authorized_keys file, and what messages call it.

    Raises:
        NotFoundError: There is no such pairing, or none at all, or it has no such key (``derived_not_found``).
        UsageError: A target is of another kind, or the file is too long (``import_unreadable``).
        UnsupportedError: The pairing has no seed.
        StoreError: A seed is not the one trusted here, or a recorded key does not follow from it.
    """
    for target in targets:
        if target.kind not in ssh_agent_rules.KINDS:
            raise UsageError(
                "usage", f"an agent has keys for ssh: and sign: only, not for {target.text}", "give --for ssh:HOST"
            )
    pairings = _pairings(inventory, which)
    for pairing in pairings:
        seed_trust.require(circumstances, inventory, pairing)
    found: dict[bytes, Offer] = {}
    for offer in (
        *(_offer(inventory, pairing, target) for target in targets for pairing in pairings),
        *(_authorized(circumstances, inventory, pairings, *authorized) if authorized else ()),
        *(_offer(inventory, pairing, target) for pairing in pairings for target in _recorded(pairing)),
    ):
        found.setdefault(offer.blob, offer)
    if not found:
        raise NotFoundError(
            "derived_not_found",
            "no key for ssh: or sign: is recorded",
            "after a restore the targets are not known: give --for ssh:HOST, or --authorized-keys FILE of a host",
        )
    everything = tuple(found.values())
    fitting = ssh_agent_messages.fitting((offer.blob, offer.comment) for offer in everything)
    if fitting < len(everything):
        circumstances.asker.tell(f"left out: {len(everything) - fitting} keys, as no agent can offer so many")
    return everything[:fitting]


def _pairings(inventory: Inventory, which: str | None) -> tuple[Pairing, ...]:
    deriving = tuple(pairing for pairing in inventory.pairings if pairing.method in DERIVING)
    # One that is named, or the reason why there is none.
    return deriving if which is None and deriving else (pair_choice.find(inventory, which),)


def _recorded(pairing: Pairing) -> list[Target]:
    """The targets of a pairing that an agent has keys for, logins first: what signs messages is asked for by name."""
    return sorted(_targets(pairing), key=lambda target: target.kind is not Kind.SSH)


def _targets(pairing: Pairing) -> Iterator[Target]:
    for key in pairing.derived:
        try:
            target = contexts.parse(key.target)
        except KeyctlError:
            # Of a newer keyctl, perhaps; it is no key of an agent's.
            continue
        if target.kind in ssh_agent_rules.KINDS:
            yield target


def _authorized(
    circumstances: Circumstances, inventory: Inventory, pairings: Sequence[Pairing], content: bytes, source: str
) -> Iterator[Offer]:
    """The keys in a file whose comment is a target, and who are what is derived for it."""
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(
            "import_unreadable",
            f"{visible(source)} is longer than {MAX_FILE_BYTES} bytes",
            "give an authorized_keys file",
            details=Details(file=source),
        )
    for line in authorized_keys.lines(content):
        if line.target.kind not in ssh_agent_rules.KINDS:
            continue
        derived = [_offer(inventory, pairing, line.target) for pairing in pairings]
        same = [offer for offer in derived if offer.blob == line.key_blob]
        yield from same
        if not same:
            circumstances.asker.tell(
                f"left out: line {line.number} of {source} has another key for {line.target.text} than the backup key's"
            )


def _offer(inventory: Inventory, pairing: Pairing, target: Target) -> Offer:
    derived, recorded = recovering.derived_for(inventory, pairing, target)
    blob = key_formats.openssh_blob(derived.public_key)
    shown = AgentKey(
        pairing=pair_choice.label(inventory, pairing),
        target=target.text,
        fingerprint=ssh_wire.fingerprint(blob),
        ssh=key_formats.openssh(derived.public_key, target.text),
        recorded=recorded,
    )
    return Offer(pairing=pairing, target=target, derived=derived, blob=blob, shown=shown)
