"""Reading which accounts a connected key opens that has no name here, as on a new computer after a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.loss_unknown import OpenedAccount
from keyctl.errors import DeclinedError, KeyctlError, StoreError
from keyctl.model import Purpose
from keyctl.operations import opening, unlocking

if TYPE_CHECKING:
    from keyctl.model import Passkey
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
    """The accounts that the connected key lists; nothing is noted.

    Raises:
        DeclinedError: The person gave no PIN.
        StoreError: What is known of keys cannot be read.
    """
    label = None
    try:
        with opening.opened(circumstances, remarking=False) as session:
            label = session.key.label
            if session.is_u2f or not session.info.listing:
                return BackupReading(key=label, note=f"{label} cannot list what it opens")
            unlocking.unlock(session, circumstances)
            found = session.list_passkeys()
    except (DeclinedError, StoreError):
        raise
    except KeyctlError as error:
        return BackupReading(key=label, trouble=error.about(label) if label is not None else error)
    return BackupReading(
        key=label,
        accounts=tuple(_account(passkey) for passkey in found.passkeys if passkey.purpose is Purpose.PASSKEY),
        note=None if found.complete else f"{label} stopped half-way: it opens more than it listed",
    )


def _account(passkey: Passkey) -> OpenedAccount:
    return OpenedAccount(
        rp_id=passkey.rp_id or f"site {passkey.rp_id_hash.hex()[:16]}",
        user_id=passkey.user_id,
        account=passkey.user_name or passkey.display_name,
    )
