"""The day a key is lost: marking it, telling what to do now, ticking off what is done, and taking all that back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from keyctl.core import loss_plan, loss_steps, promotions, times
from keyctl.core.loss_steps import StepKind
from keyctl.core.loss_unknown import general_plan
from keyctl.core.names import composed, quoted
from keyctl.errors import Details, NotFoundError, UsageError
from keyctl.model import KeyState
from keyctl.operations import backup_reading, listing, naming, offered_inventories, pair_choice, recognising
from keyctl.operations.pins import KeyChange
from keyctl.store import inventory as store
from keyctl.store import loss_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.loss_steps import Step
    from keyctl.core.pairings import Pairing
    from keyctl.errors import KeyctlError
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.store.loss_records import LossRecord

#: What was done at sites and computers, where the key has to be registered again when it is found.
_UNDONE_BY_HAND = frozenset(
    {StepKind.RECOVER, StepKind.REVOKE, StepKind.UNLISTED, StepKind.DERIVED, StepKind.LOCAL, StepKind.ADMINISTRATOR}
)
#: Why a key is not read, without anything being wrong.
_MERELY_NOT_READ = frozenset({"no_key", "pin_required", "pin_not_set", "unsupported"})


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A lost key, and what to do now."""

    #: As the inventory has it, or as it was typed.
    name: str
    #: None: nothing is known of it, so that it is marked nowhere.
    key: Key | None
    #: Whether anything was noted now.
    changed: bool
    #: When it was marked as lost; None: it is not.
    lost_at: str | None
    #: Whether it is plugged in, so that it is not lost after all.
    plugged_in: bool
    #: Whether a computer was lost with it.
    with_computer: bool
    #: The name or selector of the key that was read, where nothing else is known; None: none was.
    read: str | None
    #: The most urgent first.
    steps: tuple[Step, ...]
    #: The plan as Markdown, where that was asked for.
    content: str | None = None
    #: What there is to say beside, for people.
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Found(KeyChange):
    """A key that is lost no more."""

    #: What was ticked off in the meantime, and has to be undone by hand.
    revoked: tuple[Step, ...]
    #: PRIMARY/BACKUP of the pairings that were retired in the meantime, and stay so.
    retired: tuple[str, ...]
    #: Who took its place; None: nobody.
    primary: str | None


@dataclass(frozen=True, kw_only=True)
class Ticks:
    """Steps by their ids, or the beginnings of these."""

    done: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()


def lose(
    circumstances: Circumstances,
    name: str,
    *,
    sources: Sequence[tuple[bytes, str]] = (),
    ticks: Ticks | None = None,
    with_computer: bool = False,
    dry_run: bool = False,
) -> tuple[Loss, tuple[KeyctlError, ...]]:
    """Mark a key as lost, and tell what to do now; once more, what is left to do.

    Where no key is known at all, or this may be one whose pairing was restored from its backup key, what a connected
    key opens is read, and what to do in general is told.

    Args:
        circumstances: What the command line says; its key is one to read, and only where none is known.
        name: The lost key.
        sources: Exported inventories to take in first, each with what messages call it.
        ticks: What is done, or after all is not.
        with_computer: Whether a computer was lost with it; once said, that stays.
        dry_run: Change nothing.

    Returns:
        The plan, and why a connected key could not be read.

    Raises:
        NotFoundError: Other keys are known and this one is not (``name_not_found``), or no such step is in the plan.
        UsageError: A source cannot be understood, or ``--key`` was given and keys are known.
        StoreError: The inventory, or what was noted of this loss, cannot be read or written.
        DeclinedError: The person gave no PIN for the key to be read.
    """
    ticks = ticks or Ticks()
    inventory = offered_inventories.inventory_with(circumstances, sources)
    if not inventory.keys or _may_be_restored(inventory, name):
        return _of_unknown(circumstances, inventory, name, ticks, with_computer=with_computer)
    naming.require_no_key_option(circumstances)
    known = _known(inventory, name, took_files=bool(sources))
    before = _record(circumstances, known)
    done, not_done = _chosen(inventory, known, before, ticks, with_computer=with_computer)
    now = times.now()
    if dry_run:
        after = promotions.as_lost(known, now=now)
    else:
        offered_inventories.take_in(circumstances, sources)
        inventory, after = _marked(circumstances, known, now)
    change = _Change(done, not_done, with_computer, now, _lost_at(after))
    record = change.applied(before) if dry_run else change.written(circumstances, before)
    loss = Loss(
        name=known.name,
        key=recognising.absent(after, circumstances.state),
        changed=not dry_run and (after.state is not known.state or record != before),
        lost_at=_lost_at(after),
        plugged_in=_is_plugged_in(circumstances, known),
        with_computer=record.with_computer,
        read=None,
        steps=loss_plan.plan(inventory, after, with_computer=record.with_computer, ticked=record.done),
        remarks=(),
    )
    return replace(loss, remarks=tuple(_remarks(loss, after))), ()


def find_again(circumstances: Circumstances, name: str, *, dry_run: bool) -> Found:
    """Take back that a key is lost; what was done about the loss is told, as it has to be undone by hand.

    Raises:
        NotFoundError: No such key is known.
        StoreError: The inventory, or what was noted of the loss, cannot be read or written.
    """
    inventory = store.read_whole(circumstances.home)
    known = naming.find(inventory, name)
    if known.state is not KeyState.LOST:
        return Found(
            key=recognising.absent(known, circumstances.state), changed=False, revoked=(), retired=(), primary=None
        )
    record = _record(circumstances, known)
    steps = loss_plan.plan(inventory, known, with_computer=record.with_computer, ticked=record.done)
    retired = _retired(inventory, known)
    after = known
    if not dry_run:
        with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
            now_known = naming.find(changes.inventory, known.name)
            after = replace(now_known, state=KeyState.ACTIVE, changed={**now_known.changed, "state": times.now()})
            changes.put_key(after)
        loss_records.forget(circumstances.home, known.id)
    return Found(
        key=recognising.absent(after, circumstances.state),
        changed=not dry_run,
        revoked=tuple(step for step in steps if step.kind in _UNDONE_BY_HAND and step.done_at is not None),
        retired=tuple(pair_choice.label(inventory, pairing) for pairing in retired),
        primary=next((pair_choice.name_of(inventory, pairing.backup_id) for pairing in retired), None),
    )


def open_steps(circumstances: Circumstances, inventory: Inventory, key: KnownKey) -> tuple[Step, ...]:
    """What is left to do about a key that is marked as lost; nothing of another one.

    Raises:
        StoreError: What was noted of this loss cannot be read or understood.
    """
    if key.state is not KeyState.LOST:
        return ()
    record = _record(circumstances, key)
    steps = loss_plan.plan(inventory, key, with_computer=record.with_computer, ticked=record.done)
    return loss_steps.open_ones(steps)


def _known(inventory: Inventory, name: str, *, took_files: bool) -> KnownKey:
    try:
        return naming.find(inventory, name)
    except NotFoundError as error:
        if took_files:
            raise
        raise NotFoundError(
            error.code,
            error.message,
            f"{error.hint}; where another computer knows it, give its exported inventory: "
            f"`keyctl lost {quoted(name)} --from FILE`; if it was the primary key of one of these, "
            "`keyctl recover promote`",
            details=error.details,
        ) from error


def _marked(circumstances: Circumstances, known: KnownKey, now: str) -> tuple[Inventory, KnownKey]:
    """The inventory in which the key is marked as lost, and the key."""
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        there = changes.inventory.key_with_id(known.id)
        if there is None:
            raise NotFoundError("name_not_found", f"{known.name} was forgotten in the meantime", "nothing was changed")
        after = promotions.as_lost(there, now=now)
        changes.put_key(after)
        return changes.inventory, after


def _record(circumstances: Circumstances, known: KnownKey) -> LossRecord:
    """What was done about this loss of the key."""
    return loss_records.since(loss_records.read(circumstances.home, known.id), _lost_at(known) or "")


def _lost_at(known: KnownKey) -> str | None:
    return known.changed.get("state") if known.state is KeyState.LOST else None


class _Change(NamedTuple):
    """What is to be noted of a loss, with whole ids of steps."""

    done: tuple[str, ...]
    not_done: tuple[str, ...]
    with_computer: bool
    now: str
    #: When the key was marked as lost; None: it is not.
    lost_at: str | None

    def applied(self, record: LossRecord) -> LossRecord:
        """What *record* becomes."""
        lost_at = self.lost_at or ""
        return loss_records.changed(
            loss_records.since(record, lost_at),
            done=self.done,
            not_done=self.not_done,
            with_computer=self.with_computer,
            # The clock of the computer that marked it may be ahead.
            now=max(self.now, lost_at),
        )

    def written(self, circumstances: Circumstances, record: LossRecord) -> LossRecord:
        """The same, once it is noted."""
        if self.applied(record) == record:
            return record
        return loss_records.change(circumstances.home, record.key_id, self.applied, wait_s=circumstances.waits.lock_s)


def _chosen(
    inventory: Inventory, known: KnownKey, record: LossRecord, ticks: Ticks, *, with_computer: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The whole ids of the steps that are to be ticked off, and of those that are not done after all."""
    if not ticks.done and not ticks.not_done:
        return (), ()
    steps = loss_plan.plan(inventory, known, with_computer=record.with_computer or with_computer, ticked=record.done)
    done, not_done = (tuple(_step_id(steps, known, text) for text in texts) for texts in (ticks.done, ticks.not_done))
    for both in set(done) & set(not_done):
        raise UsageError("usage", f"the step {both} cannot be done and not done", "leave one of the two out")
    return done, not_done


def _step_id(steps: Sequence[Step], known: KnownKey, text: str) -> str:
    fitting = loss_steps.fitting(steps, text)
    if len(fitting) == 1:
        return fitting[0].id
    hint = f"`keyctl lost {quoted(known.name)}` lists the steps; give the id, or at least its first 6 digits"
    if fitting:
        ids = tuple(step.id for step in fitting)
        raise NotFoundError(
            "step_ambiguous", f"{len(fitting)} steps begin with {text}", hint, details=Details(candidates=ids)
        )
    raise NotFoundError("step_not_found", f"there is no step {text} after the loss of {known.name}", hint)


def _is_plugged_in(circumstances: Circumstances, known: KnownKey) -> bool:
    connected = listing.list_keys(circumstances, listing.Filter(connected=True)).keys
    return any(key.id == known.id for key in connected)


def _remarks(loss: Loss, after: KnownKey) -> Iterable[str]:
    if loss.plugged_in:
        back = f": `keyctl found {quoted(after.name)}` takes that back" if loss.lost_at is not None else ""
        yield f"{after.name} is plugged in, so it is not lost{back}"
    if after.state is KeyState.RESET:
        yield f"{after.name} was reset, so that it opens nothing any more; it is not marked as lost"


def _retired(inventory: Inventory, known: KnownKey) -> list[Pairing]:
    """The pairings of the lost primary key that were retired since it was lost."""
    since = known.changed.get("state", "")
    return [
        pairing
        for pairing in inventory.pairings
        if pairing.primary_id == known.id and pairing.retired_at is not None and pairing.retired_at >= since
    ]


def _may_be_restored(inventory: Inventory, name: str) -> bool:
    """Whether *name* may be the primary key of a pairing that was read from its backup key, which does not tell it."""
    return inventory.key_named(composed(name)) is None and bool(_restored(inventory))


def _restored(inventory: Inventory) -> list[Pairing]:
    return [pairing for pairing in inventory.pairings if inventory.key_with_id(pairing.primary_id) is None]


def _of_unknown(
    circumstances: Circumstances, inventory: Inventory, name: str, ticks: Ticks, *, with_computer: bool
) -> tuple[Loss, tuple[KeyctlError, ...]]:
    """The plan where this key is not known: from what a connected key opens, if there is one."""
    if ticks.done or ticks.not_done:
        raise UsageError(
            "usage",
            f"{f'no key {name}' if inventory.keys else 'no key'} is known here, so no step can be ticked off",
            f"take in an exported inventory: `keyctl lost {quoted(name)} --from FILE`",
        )
    reading = backup_reading.read(circumstances)
    trouble = reading.trouble
    nowhere = f"no key {name} is known here, so it" if inventory.keys else f"no key is known here, so {name}"
    remarks = [f"{nowhere} is marked nowhere; this is what to do after any loss"]
    remarks += [
        f"if {name} was the primary key of {backup}, put {backup} in its place: "
        f"`keyctl recover promote {quoted(backup)}`"
        for pairing in _restored(inventory)
        if pairing.retired_at is None and (backup := pair_choice.name_of(inventory, pairing.backup_id)) is not None
    ]
    if reading.note is not None:
        remarks.append(reading.note)
    if trouble is not None and trouble.code in _MERELY_NOT_READ:
        remarks.append(f"no key was read: {trouble.message}" + (f"; {trouble.hint}" if trouble.hint else ""))
        trouble = None
    loss = Loss(
        name=composed(name),
        key=None,
        changed=False,
        lost_at=None,
        plugged_in=False,
        with_computer=with_computer,
        read=reading.key if reading.accounts is not None else None,
        steps=general_plan(composed(name), reading.accounts, reading.key, with_computer=with_computer),
        remarks=tuple(remarks),
    )
    return loss, () if trouble is None else (trouble,)
