"""The steps after the loss of a key: what each is about, and which are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keyctl.core.sites import UrlKind

#: Hex digits of a step's id: 500 steps have two of the same with a chance of one in ten million.
ID_DIGITS = 10
#: As many digits say which step is meant, where no other begins with them.
MIN_DIGITS = 6


class StepKind(StrEnum):
    """What a step is about; the most urgent first."""

    #: What the lost key and a computer that was lost with it open together.
    COMPUTER = "computer"
    #: What to do while nothing is known of the lost key.
    ORIENT = "orient"
    #: An account that no other key opens.
    RECOVER = "recover"
    #: An account from which the lost key is to be removed, with another key.
    REVOKE = "revoke"
    #: Accounts that are on no list.
    UNLISTED = "unlisted"
    #: A derived key, for which the backup key signs from now on, or nobody any more.
    DERIVED = "derived"
    #: What the lost key opens on computers: ssh, logins, disks.
    LOCAL = "local"
    #: What an administrator has to know.
    ADMINISTRATOR = "administrator"
    #: The key that takes the free place.
    BUY = "buy"
    #: The backup key becomes the primary key.
    PROMOTE = "promote"
    PAIR = "pair"
    #: The new key at all accounts.
    REGISTER = "register"


#: An account stays the same step when another key turns out to open it.
_FAMILIES = {StepKind.RECOVER: "account", StepKind.REVOKE: "account"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do. Every text in it is hostile."""

    #: Ten hex digits, the same on every computer.
    id: str
    done: bool
    #: When a person ticked it off; None: nobody did, though the inventory may show that it is done.
    done_at: str | None
    kind: StepKind
    #: One line, lower case.
    text: str
    #: Where to do it, or what the site writes about it.
    url: str | None = None
    url_kind: UrlKind | None = None
    #: The name of the key to do it with; None: it takes none.
    key: str | None = None
    service: str | None = None
    rp_id: str | None = None
    account: str | None = None
    #: What to type, line by line.
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Makes the steps about one lost key."""

    #: The lost key's id; its name where it is not known.
    about: str
    #: Step id -> when a person ticked it off.
    ticked: Mapping[str, str] = field(default_factory=dict)

    def step(self, kind: StepKind, subject: str, text: str, *, settled: bool = False, **facts: object) -> Step:
        """One step.

        Args:
            kind: What it is about.
            subject: What tells it from the others of its kind, whatever keys and services are called by then.
            text: What to do.
            settled: Whether the inventory shows that it is done.
            facts: More fields of :class:`Step`.
        """
        step_id = self._id(kind, subject)
        done_at = self.ticked.get(step_id)
        done = settled or done_at is not None
        return Step(id=step_id, done=done, done_at=done_at, kind=kind, text=text, **facts)  # type: ignore[arg-type]  # checked by the dataclass

    def _id(self, kind: StepKind, subject: str) -> str:
        content = "\0".join((self.about, _FAMILIES.get(kind, kind.value), subject))
        return sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:ID_DIGITS]


def open_ones(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Those that are left to do, in their order."""
    return tuple(step for step in steps if not step.done)


def fitting(steps: Iterable[Step], text: str) -> tuple[Step, ...]:
    """The steps whose id *text* is, or at least six digits of its beginning."""
    wanted = text.strip().lower()
    if len(wanted) < MIN_DIGITS:
        return ()
    return tuple(step for step in steps if step.id.startswith(wanted))
