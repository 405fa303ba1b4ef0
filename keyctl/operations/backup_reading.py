"""Reading which accounts a connected key opens, where little is known, as on a new computer after a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.loss_unknown import OpenedAccount, opened_account
from keyctl.errors import DeclinedError, KeyctlError
from keyctl.model import Purpose
from keyctl.operations import opening, unlocking

if TYPE_CHECKING:
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class BackupReading:
    """What a key said."""

    #: Its selector; None: none fits.
    key: str | None
    #: None: they were not read.
    accounts: tuple[OpenedAccount, ...] | None = None
    #: What a person should know, in words; None: nothing.
    note: str | None = None
    #: Why they were not read.
    trouble: KeyctlError | None = None


def read(circumstances: Circumstances) -> BackupReading:
    """The accounts that the connected key lists, or why it does not; nothing is noted."""
    label = None
    try:
        with opening.opened(circumstances, remarking=False) as session:
            label = session.key.label
            if session.is_u2f or not session.info.listing:
                return BackupReading(key=label, note=f"{label} cannot list what it opens")
            unlocking.unlock(session, circumstances)
            found = session.list_passkeys()
    except DeclinedError:
        # Somebody who does not have the PIN at hand needs the plan as much.
        return BackupReading(key=label, note=f"{label} was not read, as no PIN was given")
    except KeyctlError as error:
        return BackupReading(key=label, trouble=error.about(label) if label is not None else error)
    return BackupReading(
        key=label,
        accounts=tuple(opened_account(passkey) for passkey in found.passkeys if passkey.purpose is Purpose.PASSKEY),
        note=None if found.complete else f"{label} stopped half-way: it opens more than it listed",
    )
