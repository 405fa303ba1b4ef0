"""What was noted of the loss of a key, and what is left to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from keyctl.core import loss_plan, loss_steps
from keyctl.core.inventory import FOUND
from keyctl.errors import StoreError
from keyctl.model import KeyState
from keyctl.store import loss_records
from keyctl.store.loss_records import LossRecord

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.loss_steps import Step
    from keyctl.operations.asking import Circumstances


class Noted(NamedTuple):
    """What was done about the present loss of a key."""

    record: LossRecord
    #: Why it cannot be read, so that nothing counts as ticked off; None: it was.
    problem: StoreError | None


class OpenSteps(NamedTuple):
    """What is left to do about a key."""

    #: The most urgent first.
    steps: tuple[Step, ...]
    #: Why what was ticked off cannot be read, so that all of it may be among the steps; None: it was.
    problem: StoreError | None


def lost_at(known: KnownKey) -> str | None:
    """When the key was marked as lost; None: it is not."""
    return known.changed.get("state") if known.state is KeyState.LOST else None


def noted(circumstances: Circumstances, known: KnownKey) -> Noted:
    """What was done about this loss of the key; nothing where the file cannot be read, as the plan needs none."""
    try:
        record = loss_records.read(circumstances.home, known.id)
    except StoreError as problem:
        return Noted(LossRecord(key_id=known.id), problem)
    if known.state is KeyState.ACTIVE:
        # What is there is of an earlier loss: this one is not marked yet.
        return Noted(LossRecord(key_id=known.id), None)
    return Noted(of_this_loss(record, known), None)


def of_this_loss(record: LossRecord, known: KnownKey) -> LossRecord:
    """*record* without what was ticked off after an earlier loss.

    When the key was marked does not tell: another computer may have marked the same loss later.
    """
    return loss_records.since(record, known.changed.get(FOUND, ""))


def open_steps(circumstances: Circumstances, inventory: Inventory, key: KnownKey) -> OpenSteps:
    """What is left to do about a key that is marked as lost; nothing of another one."""
    if key.state is not KeyState.LOST:
        return OpenSteps((), None)
    record, problem = noted(circumstances, key)
    steps = loss_plan.plan(inventory, key, with_computer=record.with_computer, ticked=record.done)
    return OpenSteps(loss_steps.open_ones(steps), problem)
