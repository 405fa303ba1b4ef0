"""Keys on behalf of a backup key that lies in its safe: made from the record, endorsed by the primary key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import contexts, derivations, endorsements, fingerprints, key_formats, seed_cose, times
from keyctl.core.pairings import DERIVING, DerivedKey, Method, PairingState
from keyctl.errors import NotFoundError, StoreError, UnsupportedError, UsageError
from keyctl.operations import endorsing, pair_choice, seed_trust
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keyctl.core.contexts import Target
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.endorsing import Word

#: Of one pairing: with more, its file could not be read any more.
MAX_KEYS = 10_000
_WHY_NOT = {
    Method.REGISTRATION: (
        "has no seed: both keys are registered at each site",
        "`keyctl pair show` lists what to register on the backup key; keys are derived with --method arkg or software",
    ),
    Method.WEBAUTHN_DRAFT: (
        "derives no keys here: by the draft, the primary key makes them itself when a site asks for them",
        "pair the two keys with --method arkg or software to derive keys",
    ),
}


@dataclass(frozen=True, kw_only=True)
class DerivedEntry:
    """One derived key, in all forms that other programs read."""

    target: str
    #: With ``rp:``: the site and, where it was named, the account there.
    rp_id: str | None
    account: str | None
    #: Uncompressed point, 65 bytes.
    public_key: bytes
    key_handle: bytes
    pem: str
    jwk: Mapping[str, str]
    #: COSE_Key for ESP256 in CBOR.
    cose: bytes
    #: A line for ``authorized_keys``.
    ssh: str
    #: As ``ssh-keygen -l`` shows it.
    fingerprint: str
    created_at: str
    #: Whether the primary key's signature for it holds; None: it cannot be checked, as that key is not known here.
    endorsed: bool | None
    handed_over_at: str | None


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """What was asked for; in a dry run, what it would be."""

    #: PRIMARY/BACKUP.
    pairing: str
    method: Method
    state: PairingState
    #: Of the seed.
    fingerprint: str
    #: Whether the record on the primary key was compared and is the same.
    checked_against_key: bool
    #: Whether anything was recorded.
    changed: bool
    derived: tuple[DerivedEntry, ...]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is there already, and what is to be made."""

    inventory: Inventory
    pairing: Pairing
    label: str
    fingerprint: str
    #: In the order in which they were asked for.
    keys: tuple[DerivedKey, ...]
    #: Those of them that are not recorded yet.
    new: tuple[DerivedKey, ...]


def derive(
    circumstances: Circumstances,
    which: str | None,
    targets: Sequence[Target],
    *,
    from_record: bool = False,
    dry_run: bool = False,
) -> Derivation:
    """A key for each target; what is recorded already is returned as it is, without any key.

    Args:
        circumstances: What the command line says.
        which: The pairing, as :func:`keyctl.operations.pair_choice.find` takes it.
        targets: What the keys are for.
        from_record: Make them without the primary key, and without its endorsement.
        dry_run: Ask no key, and record nothing.

    Raises:
        NotFoundError: There is no such pairing, several fit, or it derives no more (``pairing_retired``).
        UsageError: It would have too many derived keys.
        UnsupportedError: Its method derives nothing.
        StoreError: The seed is not the one trusted here, a recorded key does not follow from it
            (``pairing_changed``), or the inventory cannot be read or written.
        KeyChoiceError: The primary key is not connected.
        UnreachableError: The record on the primary key is another one (``record_changed``), or it is gone or silent.
        TouchError: Nobody touched the primary key in time.
        PinError: The primary key always wants its PIN, and it is wrong, missing or may not be tried.
    """
    while True:
        plan = _plan(circumstances, which, targets)
        if dry_run or not plan.new:
            return _result(plan, plan.pairing.derived, checked=False, changed=False)
        plan.inventory.require_whole()
        word = endorsing.Word() if from_record else endorsing.ask(circumstances, plan.inventory, plan.pairing, plan.new)
        derived = _recorded(circumstances, plan, word)
        if derived is not None:
            return _result(plan, derived, checked=word.checked, changed=True)
        # What was signed is no longer all that is new.
        circumstances.asker.tell("another keyctl derived some of these keys meanwhile: once more")


def hand_over(
    circumstances: Circumstances, which: str | None, targets: Sequence[Target], *, dry_run: bool = False
) -> Derivation:
    """Note that derived keys were installed where they belong, on a person's word; needs no key.

    Raises:
        NotFoundError: There is no such pairing, several fit, or no key was derived for a target
            (``derived_not_found``).
        StoreError: The seed is not the one trusted here, a recorded key does not follow from it
            (``pairing_changed``), or the inventory cannot be read or written.
    """
    plan = _plan(circumstances, which, targets, derive=False)
    wanted = {key.target for key in plan.keys if key.handed_over_at is None}
    if dry_run or not wanted:
        return _result(plan, plan.pairing.derived, checked=False, changed=False)
    now = times.now()
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        pairing = _again(changes, plan)
        derived = tuple(
            replace(key, handed_over_at=now) if key.target in wanted and key.handed_over_at is None else key
            for key in pairing.derived
        )
        changes.put_pairing(replace(pairing, derived=derived))
    return _result(plan, derived, checked=False, changed=True)


def _plan(circumstances: Circumstances, which: str | None, targets: Sequence[Target], *, derive: bool = True) -> _Plan:
    """Everything that needs no key; with *derive*, keys that are not recorded are made."""
    inventory = store.read(circumstances.home)
    for problem in inventory.problems:
        circumstances.asker.tell(f"left out: {problem.message}")
    pairing = pair_choice.find(inventory, which)
    label = pair_choice.label(inventory, pairing)
    _require_method(pairing, label)
    points = seed_trust.require(circumstances, inventory, pairing)
    assert pairing.seed is not None
    recorded = {key.target: key for key in pairing.derived}
    now = times.now()
    keys, new = [], []
    for target in dict.fromkeys(targets):
        key = recorded.get(target.text)
        if key is None:
            if not derive:
                raise _not_derived(target, label)
            _require_in_force(pairing, label)
            key = derivations.derive(pairing.seed, target, now=now)
            new.append(key)
        elif not derivations.recomputes(pairing.seed, key):
            raise _tampered(key, label)
        keys.append(key)
    if new and len(pairing.derived) + len(new) > MAX_KEYS:
        raise UsageError(
            "usage",
            f"with {len(new)} new keys the pairing {label} would have more than {MAX_KEYS}",
            "one key may do for several: leave out what is not needed",
        )
    return _Plan(
        inventory=inventory,
        pairing=pairing,
        label=label,
        fingerprint=fingerprints.of_seed(points),
        keys=tuple(keys),
        new=tuple(new),
    )


def _require_method(pairing: Pairing, label: str) -> None:
    if pairing.method not in DERIVING:
        why, hint = _WHY_NOT[pairing.method]
        raise UnsupportedError("unsupported", f"the pairing {label} {why}", hint)


def _require_in_force(pairing: Pairing, label: str) -> None:
    if pairing.state is PairingState.RETIRED:
        raise NotFoundError(
            "pairing_retired",
            f"the pairing {label} is retired, as its backup key was promoted: it derives no more",
            "pair the key that is the primary now with its next backup: `keyctl pair create PRIMARY BACKUP`",
        )
    if pairing.state is PairingState.BROKEN:
        raise NotFoundError(
            "pairing_retired",
            f"the pairing {label} is broken: the last drill failed at {pairing.broken_at}, so it derives no more",
            "find out with the backup key: `keyctl pair verify`",
        )


def _not_derived(target: Target, label: str) -> NotFoundError:
    return NotFoundError(
        "derived_not_found",
        f"no key was derived for {target.text} with the pairing {label}",
        "`keyctl pair show` lists those that were",
    )


def _tampered(key: DerivedKey, label: str) -> StoreError:
    return StoreError(
        "pairing_changed",
        f"the recorded key for {key.target} is not the one that follows from the seed of {label}",
        "somebody changed the inventory: do not use this key, and restore the inventory from a backup",
    )


def _recorded(circumstances: Circumstances, plan: _Plan, word: Word) -> tuple[DerivedKey, ...] | None:
    """All keys of the pairing after the new ones were written; None: others were faster, so that nothing was."""
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        pairing = _again(changes, plan)
        _require_in_force(pairing, plan.label)
        there = {key.target for key in pairing.derived}
        if any(key.target in there for key in plan.new):
            return None
        derived = (*pairing.derived, *(replace(key, endorsement=word.endorsement) for key in plan.new))
        changes.put_pairing(replace(pairing, derived=derived))
    return derived


def _again(changes: store.Changes, plan: _Plan) -> Pairing:
    """The pairing as it is now that nobody else can change it."""
    pairing = changes.inventory.pairing_with_id(plan.pairing.id)
    if pairing is None:
        raise NotFoundError(
            "pairing_not_found", f"the pairing {plan.label} was removed meanwhile", "nothing was recorded"
        )
    if pairing.seed_hash != plan.pairing.seed_hash:
        raise StoreError(
            "pairing_changed",
            f"the inventory's seed of {plan.label} was changed meanwhile",
            "nothing was recorded; run the command again",
        )
    return pairing


def _result(plan: _Plan, derived: Sequence[DerivedKey], *, checked: bool, changed: bool) -> Derivation:
    """The keys that were asked for, as they are recorded among all of the pairing in *derived*."""
    known = plan.inventory.key_with_id(plan.pairing.primary_id)
    endorsed = None if known is None else endorsements.endorsed(derived, known.recognition.public_key)
    recorded = {key.target: key for key in derived}
    for key in plan.keys:
        now = recorded.get(key.target, key)
        # Looked at before the touch, and read anew after it.
        if (now.public_key, now.key_handle) != (key.public_key, key.key_handle):
            raise _tampered(key, plan.label)
    return Derivation(
        pairing=plan.label,
        method=plan.pairing.method,
        state=plan.pairing.state,
        fingerprint=plan.fingerprint,
        checked_against_key=checked,
        changed=changed,
        derived=tuple(_entry(recorded.get(key.target, key), endorsed) for key in plan.keys),
    )


def _entry(key: DerivedKey, endorsed: frozenset[str] | None) -> DerivedEntry:
    target = contexts.parse(key.target)
    if key.endorsement is None:
        holds: bool | None = False
    else:
        holds = None if endorsed is None else key.target in endorsed
    return DerivedEntry(
        target=key.target,
        rp_id=target.rp_id,
        account=target.account,
        public_key=key.public_key,
        key_handle=key.key_handle,
        pem=key_formats.pem(key.public_key),
        jwk=key_formats.jwk(key.public_key),
        cose=seed_cose.encode_derived_key(key.public_key),
        ssh=key_formats.openssh(key.public_key, key.target),
        fingerprint=key_formats.openssh_fingerprint(key.public_key),
        created_at=key.created_at,
        endorsed=holds,
        handed_over_at=key.handed_over_at,
    )
