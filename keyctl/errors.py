"""Every failure keyctl reports: one tree, each with a code, an exit status and a hint.

The table :data:`CODES` is the closed list that scripts may rely on. ``keyctl-json(5)`` is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class Exit(IntEnum):
    """Exit statuses of the command line."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NO_KEY = 3
    PIN = 4
    NO_TOUCH = 5
    STORE = 6
    UNSUPPORTED = 7
    UNREACHABLE = 8
    NOT_FOUND = 9
    FOUND = 10
    DECLINED = 11
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


#: Exit statuses in words, for the man page.
EXIT_MEANINGS: Mapping[Exit, str] = {
    Exit.DONE: "done, nothing wrong",
    Exit.BUG: "a bug in keyctl and nothing else",
    Exit.USAGE: "the command line is wrong, or a confirmation is missing",
    Exit.NO_KEY: "no key, or more than one fits",
    Exit.PIN: "PIN wrong, missing, blocked, or not tried",
    Exit.NO_TOUCH: "no touch: timed out or refused",
    Exit.STORE: "a file under the home folder is unreadable, newer or locked",
    Exit.UNSUPPORTED: "this key cannot do that",
    Exit.UNREACHABLE: "the key cannot be reached or spoken to",
    Exit.NOT_FOUND: "the thing named does not exist, or several fit",
    Exit.FOUND: "a check ran and found something",
    Exit.DECLINED: "you said no, nothing was changed",
    Exit.INTERRUPTED: "interrupted",
    Exit.BROKEN_PIPE: "the output could not be written",
    Exit.TERMINATED: "told to end by a signal; what the key was asked to wait for was cancelled",
}

#: code -> (exit status, meaning)
CODES: Mapping[str, tuple[Exit, str]] = {
    "bug": (Exit.BUG, "keyctl itself failed"),
    "usage": (Exit.USAGE, "the command line is wrong"),
    "confirm_required": (Exit.USAGE, "a confirmation is needed and there is no terminal to ask on"),
    "name_invalid": (Exit.USAGE, "a key or service cannot have this name"),
    "import_unreadable": (Exit.USAGE, "the file to import cannot be read or understood"),
    "message_unreadable": (Exit.USAGE, "the file to sign cannot be read, or is too long"),
    "pin_file_unsafe": (Exit.USAGE, "the PIN file is missing, unreadable, or others can read it"),
    "limits_invalid": (Exit.USAGE, "health.toml cannot be read or understood"),
    "no_key": (Exit.NO_KEY, "no key is connected, or not the one named"),
    "several_keys": (Exit.NO_KEY, "more than one key fits"),
    "pin_wrong": (Exit.PIN, "the key refused the PIN; it cost one try"),
    "pin_required": (Exit.PIN, "a PIN is needed and none was given"),
    "pin_blocked": (Exit.PIN, "no tries left: the key must be reset"),
    "pin_auth_blocked": (Exit.PIN, "too many wrong PINs in a row: unplug the key and plug it in again"),
    "pin_failed_before": (Exit.PIN, "an earlier unattended PIN was wrong, so none is tried"),
    "pin_last_tries": (Exit.PIN, "two or fewer tries are left, so none is spent unattended"),
    "pin_already_set": (Exit.PIN, "the key has a PIN already"),
    "pin_not_set": (Exit.PIN, "the key has no PIN yet"),
    "pin_policy": (Exit.PIN, "the PIN is too short, too long, or not allowed by the key"),
    "no_touch": (Exit.NO_TOUCH, "nobody touched the key in time"),
    "touch_refused": (Exit.NO_TOUCH, "the touch was refused on the key"),
    "store_unreadable": (Exit.STORE, "a file under the home folder cannot be read or understood"),
    "store_newer": (Exit.STORE, "a file was written by a newer keyctl"),
    "store_locked": (Exit.STORE, "another keyctl holds the lock"),
    "store_unwritable": (Exit.STORE, "a file under the home folder cannot be written"),
    "recognition_changed": (Exit.STORE, "the inventory's public key of a key is not the one first seen here"),
    "pairing_changed": (Exit.STORE, "the inventory's seed of a pairing, or a key made from it, cannot be trusted"),
    "local_unreadable": (Exit.STORE, "a file of this computer that names credentials cannot be read or understood"),
    "keyring_unusable": (Exit.STORE, "the system's keyring is missing or locked, or does not encrypt what it keeps"),
    "unsupported": (Exit.UNSUPPORTED, "this key cannot do that"),
    "key_full": (Exit.UNSUPPORTED, "the key has no room left"),
    "evidence_refused": (Exit.UNSUPPORTED, "the proof that a backup key holds its seed does not hold"),
    "reset_not_now": (Exit.UNSUPPORTED, "the key resets only shortly after it was plugged in"),
    "access_denied": (Exit.UNREACHABLE, "the operating system does not let you open the key"),
    "key_busy": (Exit.UNREACHABLE, "another program is using the key"),
    "reader_busy": (Exit.UNREACHABLE, "another program holds the card reader"),
    "key_removed": (Exit.UNREACHABLE, "the key was removed"),
    "key_silent": (Exit.UNREACHABLE, "the key did not answer in time"),
    "key_nonsense": (Exit.UNREACHABLE, "the key answered something that cannot be understood"),
    "key_error": (Exit.UNREACHABLE, "the key reported an error"),
    "signature_wrong": (Exit.UNREACHABLE, "the backup key signed as another key than the derived one"),
    "token_refused": (Exit.UNREACHABLE, "the key did not accept its own PIN token"),
    "record_changed": (Exit.UNREACHABLE, "the pairing's record on a key is not the one that was stored there"),
    "seed_process_failed": (Exit.UNREACHABLE, "the process that holds a software seed ended without an answer"),
    "wrong_key": (Exit.UNREACHABLE, "another key came back than the one that was removed"),
    "no_card": (Exit.UNREACHABLE, "the reader has no security key on it"),
    "pcsc_stopped": (Exit.UNREACHABLE, "the smart card service is not running"),
    "pcsc_missing": (Exit.UNREACHABLE, "support for card readers is not installed"),
    "attach_failed": (Exit.UNREACHABLE, "the virtual key could not be put on the bus"),
    "passkey_not_found": (Exit.NOT_FOUND, "no passkey on the key has this id"),
    "passkey_ambiguous": (Exit.NOT_FOUND, "several passkeys fit the id"),
    "name_not_found": (Exit.NOT_FOUND, "no key of this name is known"),
    "name_exists": (Exit.NOT_FOUND, "a key of this name is known already"),
    "key_known": (Exit.NOT_FOUND, "the connected key is known already, under another name"),
    "service_not_found": (Exit.NOT_FOUND, "there is no service of this name, or none with this account"),
    "service_exists": (Exit.NOT_FOUND, "there is a service of this name and account already"),
    "service_ambiguous": (Exit.NOT_FOUND, "several accounts fit the service named"),
    "pairing_not_found": (Exit.NOT_FOUND, "there is no such pairing"),
    "pairing_ambiguous": (Exit.NOT_FOUND, "several pairings fit"),
    "pairing_exists": (Exit.NOT_FOUND, "the two keys are paired already"),
    "pairing_retired": (Exit.NOT_FOUND, "the pairing is retired or broken, and derives no more"),
    "derived_not_found": (Exit.NOT_FOUND, "no key was derived for this target"),
    "record_not_found": (Exit.NOT_FOUND, "the key holds no record of a pairing"),
    "finding_not_found": (Exit.NOT_FOUND, "the health check finds nothing like that"),
    "finding_ambiguous": (Exit.NOT_FOUND, "several findings fit"),
    "step_not_found": (Exit.NOT_FOUND, "there is no such step after the loss of the key"),
    "step_ambiguous": (Exit.NOT_FOUND, "several steps begin like that"),
    "virtual_not_found": (Exit.NOT_FOUND, "there is no virtual key of this name"),
    "virtual_exists": (Exit.NOT_FOUND, "there is a virtual key of this name already"),
    "declined": (Exit.DECLINED, "you said no, nothing was changed"),
    "interrupted": (Exit.INTERRUPTED, "interrupted"),
    "terminated": (Exit.TERMINATED, "told to end by a signal"),
    "output_failed": (Exit.BROKEN_PIPE, "the output could not be written"),
}


@dataclass(frozen=True, kw_only=True)
class Details:
    """Facts about a failure that a script may act on; what does not apply is None or empty."""

    tries_left: int | None = None
    power_cycle_needed: bool | None = None
    #: The status byte of the key's answer (CTAP 2.2, section 8.2).
    ctap_status: int | None = None
    candidates: tuple[str, ...] = field(default=())
    file: str | None = None


class KeyctlError(Exception):
    """A failure with a code from :data:`CODES`, for people and for scripts.

    Args:
        code: One of :data:`CODES`; it decides the exit status.
        message: One line, lower case, no full stop, that names the thing.
        hint: What to do next, one line, or None.
        key: Selector or name of the key it is about, or None.
        details: Facts for scripts.
    """

    #: The only exit status that codes of this class may have; None for the root.
    family: ClassVar[Exit | None] = None

    def __init__(
        self,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        key: str | None = None,
        details: Details | None = None,
    ) -> None:
        """See the class."""
        super().__init__(message)
        self.exit_status: Exit = CODES[code][0]
        if self.family not in (None, self.exit_status):
            raise ValueError(f"{code} is no code of {type(self).__name__}")
        self.code = code
        self.message = message
        self.hint = hint
        self.key = key
        self.details = details or Details()

    def about(self, key: str) -> Self:
        """Note which key it is about, unless that is known already; returns itself."""
        self.key = self.key or key
        return self

    def with_details(self, **facts: object) -> Self:
        """Add facts for scripts (fields of :class:`Details`); returns itself."""
        self.details = replace(self.details, **facts)  # type: ignore[arg-type]  # checked by the dataclass
        return self

    def continued(self, more: str, hint: str | None = None) -> Self:
        """The same failure, whose message goes on with *more*; *hint* takes the place of its own where it is given."""
        return type(self)(self.code, f"{self.message}; {more}", hint or self.hint, key=self.key, details=self.details)


class UsageError(KeyctlError):
    """The command line asks for something impossible (exit 2)."""

    family = Exit.USAGE


class KeyChoiceError(KeyctlError):
    """No key, or more than one fits (exit 3)."""

    family = Exit.NO_KEY


class PinError(KeyctlError):
    """The PIN is wrong, missing, blocked or was not tried (exit 4)."""

    family = Exit.PIN


class TouchError(KeyctlError):
    """Nobody touched the key, or the touch was refused (exit 5)."""

    family = Exit.NO_TOUCH


class StoreError(KeyctlError):
    """A file under the home folder is unreadable, newer, locked or cannot be written (exit 6)."""

    family = Exit.STORE


class UnsupportedError(KeyctlError):
    """This key cannot do that (exit 7)."""

    family = Exit.UNSUPPORTED


class UnreachableError(KeyctlError):
    """The key cannot be reached or spoken to (exit 8)."""

    family = Exit.UNREACHABLE


class NotFoundError(KeyctlError):
    """The thing named does not exist, or several fit (exit 9)."""

    family = Exit.NOT_FOUND


class DeclinedError(KeyctlError):
    """The user said no (exit 11)."""

    family = Exit.DECLINED
