"""The day a key is lost: marking it, telling what to do now, ticking off what is done, and taking all that back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from keyctl.core import loss_plan, loss_steps, names, promotions, times
from keyctl.core.inventory import FOUND
from keyctl.core.loss_steps import StepKind
from keyctl.core.loss_unknown import general_plan
from keyctl.core.names import composed, quoted
from keyctl.errors import Details, NotFoundError, StoreError, UsageError
from keyctl.model import KeyState, Role
from keyctl.operations import (
    backup_reading,
    listing,
    naming,
    offered_inventories,
    pair_choice,
    recognising,
    unfinished_losses,
)
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
_MERELY_NOT_READ = frozenset({"no_key", "several_keys", "pin_required", "pin_not_set", "unsupported"})
#: What people keep beside the key that they use.
_BESIDE = frozenset({Role.BACKUP, Role.SPARE})


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

    Where no key is known at all, or this may be the one to which the known ones are backup keys, what a connected key
    opens is read, and what to do in general is told. A file that is damaged or cannot be written keeps nobody from the
    plan: it is told from what can be read, and nothing is noted.

    Args:
        circumstances: What the command line says; its key is one to read, and only where the lost one is not known.
        name: The lost key.
        sources: Exported inventories to take in first, each with what messages call it.
        ticks: What is done, or after all is not.
        with_computer: Whether a computer was lost with it; once said, that stays.
        dry_run: Change nothing.

    Returns:
        The plan, and what could not be read or noted.

    Raises:
        NotFoundError: Other keys are known and this one is not (``name_not_found``), or no such step is in the plan.
        UsageError: A source cannot be understood, ``--key`` was given though the key is known, or no key can have the
            name.
        StoreError: A newer keyctl wrote a source, or what is trusted here of its pairings cannot be read.
    """
    ticks = ticks or Ticks()
    inventory = offered_inventories.inventory_with(circumstances, sources)
    if _may_be_of_elsewhere(inventory, name, took_files=bool(sources)):
        return _of_unknown(circumstances, inventory, name, ticks, with_computer=with_computer)
    naming.require_no_key_option(circumstances)
    known = _known(inventory, name, took_files=bool(sources))
    before, problem = unfinished_losses.noted(circumstances, known)
    there = _There(inventory, known, before, (*inventory.problems, *([problem] if problem is not None else [])))
    if not there.errors:
        done, not_done = _chosen(inventory, known, before, ticks, with_computer=with_computer)
        change = _Change(done, not_done, with_computer, times.now())
        there = change.shown(there) if dry_run else change.written(circumstances, there, sources)
    inventory, after, record, errors, _ = there
    # What was lost with it counts, whether that could be noted or not.
    with_computer = with_computer or record.with_computer
    connected = _connected(circumstances, after)
    loss = Loss(
        name=known.name,
        key=connected or recognising.absent(after, circumstances.state),
        changed=not dry_run and (there.took_in or after.state is not known.state or record != before),
        lost_at=unfinished_losses.lost_at(after),
        plugged_in=connected is not None,
        with_computer=with_computer,
        read=None,
        steps=loss_plan.plan(inventory, after, with_computer=with_computer, ticked=record.done),
        remarks=(),
    )
    return replace(loss, remarks=tuple(_remarks(loss, after, wanted=not dry_run, errors=errors))), errors


def find_again(circumstances: Circumstances, name: str, *, dry_run: bool) -> tuple[Found, tuple[KeyctlError, ...]]:
    """Take back that a key is lost; what was done about the loss is told, as it has to be undone by hand.

    Returns:
        What came of it, and why what was ticked off cannot be told; that file then stays as it is.

    Raises:
        NotFoundError: No such key is known.
        StoreError: The inventory cannot be read or written.
    """
    inventory = store.read_whole(circumstances.home)
    known = naming.find(inventory, name)
    if known.state is not KeyState.LOST:
        key = recognising.absent(known, circumstances.state)
        return Found(key=key, changed=False, revoked=(), retired=(), primary=None), ()
    record, problem = unfinished_losses.noted(circumstances, known)
    steps = loss_plan.plan(inventory, known, with_computer=record.with_computer, ticked=record.done)
    retired = _retired(inventory, known)
    after = known
    if not dry_run:
        with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
            now_known = naming.find(changes.inventory, known.name)
            after = replace(now_known, state=KeyState.ACTIVE, changed={**now_known.changed, "state": times.now()})
            changes.put_key(after)
        if problem is None:
            loss_records.forget(circumstances.home, known.id)
    found = Found(
        key=recognising.absent(after, circumstances.state),
        changed=not dry_run,
        revoked=tuple(step for step in steps if step.kind in _UNDONE_BY_HAND and step.done_at is not None),
        retired=tuple(pair_choice.label(inventory, pairing) for pairing in retired),
        primary=next((pair_choice.name_of(inventory, pairing.backup_id) for pairing in retired), None),
    )
    return found, () if problem is None else (problem,)


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
        if there.state is KeyState.ACTIVE:
            # What was noted is of an earlier loss, after which it came back.
            loss_records.forget(circumstances.home, there.id)
        changes.put_key(after)
        return changes.inventory, after


class _There(NamedTuple):
    """What is noted of a loss."""

    inventory: Inventory
    #: The lost key.
    known: KnownKey
    record: LossRecord
    #: What could not be read or noted.
    errors: tuple[StoreError, ...]
    #: Whether exported files said anything new, and that is noted.
    took_in: bool = False


class _Change(NamedTuple):
    """What is to be noted of a loss, with whole ids of steps."""

    done: tuple[str, ...]
    not_done: tuple[str, ...]
    with_computer: bool
    now: str

    def shown(self, there: _There) -> _There:
        """What *there* would become; nothing is written."""
        known = promotions.as_lost(there.known, now=self.now)
        return there._replace(known=known, record=self._applied(there.record, known))

    def written(self, circumstances: Circumstances, there: _There, sources: Sequence[tuple[bytes, str]]) -> _There:
        """What *there* becomes, once it is noted; as much of it as could be."""
        try:
            for content, source in sources:
                if offered_inventories.take_in(circumstances, content, source):
                    there = there._replace(took_in=True)
            if promotions.as_lost(there.known, now=self.now) != there.known:
                inventory, known = _marked(circumstances, there.known, self.now)
                there = there._replace(inventory=inventory, known=known)
            known, record = there.known, there.record
            if self._applied(record, known) != record:
                record = loss_records.change(
                    circumstances.home,
                    record.key_id,
                    lambda noted: self._applied(noted, known),
                    wait_s=circumstances.waits.lock_s,
                )
            return there._replace(record=record)
        except StoreError as error:
            return there._replace(errors=(error,))

    def _applied(self, record: LossRecord, known: KnownKey) -> LossRecord:
        lost_at = unfinished_losses.lost_at(known) or ""
        return loss_records.changed(
            unfinished_losses.of_this_loss(record, known),
            done=self.done,
            not_done=self.not_done,
            with_computer=self.with_computer,
            # The clock of the computer that marked it may be ahead.
            now=max(self.now, lost_at),
        )


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


def _connected(circumstances: Circumstances, known: KnownKey) -> Key | None:
    """The key as it is connected, in the state that the inventory is to have it; None: it is not."""
    connected = listing.list_keys(circumstances, listing.Filter(connected=True)).keys
    return next((replace(key, state=known.state) for key in connected if key.id == known.id), None)


def _remarks(loss: Loss, after: KnownKey, *, wanted: bool, errors: Sequence[KeyctlError]) -> Iterable[str]:
    """What there is to say beside; *wanted*: something was to be noted."""
    if wanted and errors and (not loss.changed or after.state is KeyState.ACTIVE):
        what = f"that {after.name} is lost was not noted" if loss.changed else "nothing was noted"
        yield f"{what}; this is what to do all the same, and when that is put right, give the command again"
    if loss.plugged_in:
        back = f": `keyctl found {quoted(after.name)}` takes that back" if loss.lost_at is not None else ""
        yield f"{after.name} is plugged in, so it is not lost{back}"
    if after.state is KeyState.RESET:
        yield f"{after.name} was reset, so that it opens nothing any more; it is not marked as lost"


def _retired(inventory: Inventory, known: KnownKey) -> list[Pairing]:
    """The pairings of the lost primary key that were retired since it was lost."""
    # When it was marked does not tell: another computer may have marked the same loss later.
    since = known.changed.get(FOUND, "")
    return [
        pairing
        for pairing in inventory.pairings
        if pairing.primary_id == known.id and pairing.retired_at is not None and pairing.retired_at >= since
    ]


def _may_be_of_elsewhere(inventory: Inventory, name: str, *, took_files: bool) -> bool:
    """Whether *name* may be a key that this computer never heard of, or cannot read of any more, and no typing error.

    It may be the primary key of a pairing that was read from its backup key, which does not tell it; and where all keys
    are backup keys or spare ones, the one beside which they are kept is missing.
    """
    if inventory.key_named(composed(name)) is not None:
        return False
    primary_ids = {pairing.primary_id for pairing in inventory.pairings}
    return bool(
        not inventory.keys
        or _hides_keys(inventory)
        or _restored(inventory)
        or (
            not took_files
            and all(
                key.role in _BESIDE and key.state is not KeyState.LOST and key.id not in primary_ids
                for key in inventory.keys
            )
        )
    )


def _hides_keys(inventory: Inventory) -> bool:
    """Whether a key may be known that cannot be read."""
    folders = {PurePath(problem.details.file or "").parent.name for problem in inventory.problems}
    return bool(folders - {store.SERVICES_FOLDER, store.PAIRINGS_FOLDER})


def _restored(inventory: Inventory) -> list[Pairing]:
    return [pairing for pairing in inventory.pairings if inventory.key_with_id(pairing.primary_id) is None]


def _of_unknown(
    circumstances: Circumstances, inventory: Inventory, name: str, ticks: Ticks, *, with_computer: bool
) -> tuple[Loss, tuple[KeyctlError, ...]]:
    """The plan where this key is not known: from what a connected key opens, if there is one, and the known ones."""
    if (reason := names.fault(composed(name))) is not None:
        raise UsageError("name_invalid", f"no key can have had this name: it {reason}", "give the name of the lost key")
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
        f"if {name} was the primary key of {backup.name}, put {backup.name} in its place: "
        f"`keyctl recover promote {quoted(backup.name)}`"
        for pairing in _restored(inventory)
        if pairing.retired_at is None
        and (backup := inventory.key_with_id(pairing.backup_id)) is not None
        and backup.state is KeyState.ACTIVE
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
        steps=general_plan(
            composed(name), reading.accounts, reading.key, with_computer=with_computer, inventory=inventory
        ),
        remarks=tuple(remarks),
    )
    return loss, (*inventory.problems, *([trouble] if trouble is not None else []))
