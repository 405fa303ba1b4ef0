"""What keys and drivers report, as keyctl's own errors: the one place where they are translated."""

from __future__ import annotations

import contextlib
import errno
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.core.text import tries
from keyctl.errors import (
    Details,
    KeyctlError,
    NotFoundError,
    PinError,
    TouchError,
    UnreachableError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What python-fido2 and the standard library raise over an answer that makes no sense.
_HOSTILE_ANSWER = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)

_REPORT = "run it again with --verbose and report it with the name of the key"
_TOUCH_HINT = "run it again and touch the key when it blinks; without a terminal give --wait SECONDS"
_REPLUG = "unplug it, plug it in again and repeat the command"


@dataclass(frozen=True)
class _Line:
    """How one status is told; ``{label}`` in the message is the key."""

    error: type[KeyctlError]
    code: str
    message: str
    hint: str


def _reported(what: str, hint: str = _REPORT) -> _Line:
    return _Line(UnreachableError, "key_error", f"{{label}} reported an error: {what}", hint)


def _unsupported(what: str, hint: str = "`keyctl info` shows what it can do") -> _Line:
    return _Line(UnsupportedError, "unsupported", f"{{label}} {what}", hint)


def _busy(what: str) -> _Line:
    return _Line(
        UnreachableError, "key_busy", f"{{label}} {what}", "close the program or browser tab that uses it and try again"
    )


def _no_touch(what: str) -> _Line:
    return _Line(TouchError, "no_touch", what, _TOUCH_HINT)


_NOT_ACCEPTED = "unplug it, plug it in again and repeat the command; the PIN was not the problem"
_ERR = CtapError.ERR

#: Status (CTAP 2.2, section 8.2) -> what to say. Every status that python-fido2 knows has a line.
STATUS_LINES: Mapping[int, _Line] = {
    _ERR.SUCCESS: _Line(UnreachableError, "key_nonsense", "{label} reported success as a failure", _REPORT),
    _ERR.INVALID_COMMAND: _unsupported("does not know this command", "its firmware is too old for it, or lacks it"),
    _ERR.INVALID_PARAMETER: _reported("invalid parameter"),
    _ERR.INVALID_LENGTH: _reported("invalid length"),
    _ERR.INVALID_SEQ: _reported("message parts out of order", _REPLUG),
    _ERR.TIMEOUT: _reported("the message did not arrive whole", _REPLUG),
    _ERR.CHANNEL_BUSY: _busy("is in use by another program"),
    _ERR.LOCK_REQUIRED: _busy("is locked by another program"),
    _ERR.INVALID_CHANNEL: _reported("the connection is not valid any more", _REPLUG),
    _ERR.CBOR_UNEXPECTED_TYPE: _reported("unexpected type"),
    _ERR.INVALID_CBOR: _reported("invalid encoding"),
    _ERR.MISSING_PARAMETER: _reported("missing parameter"),
    _ERR.LIMIT_EXCEEDED: _unsupported("takes no more than it was given already"),
    _ERR.FP_DATABASE_FULL: _Line(
        UnsupportedError, "key_full", "{label} has no room for another fingerprint", "delete one first"
    ),
    _ERR.LARGE_BLOB_STORAGE_FULL: _Line(
        UnsupportedError, "key_full", "{label} has no room for this data", "delete some of its data first"
    ),
    _ERR.CREDENTIAL_EXCLUDED: _reported("it holds this already", "nothing was changed"),
    _ERR.PROCESSING: _busy("is still working on something else"),
    _ERR.INVALID_CREDENTIAL: _Line(
        NotFoundError, "passkey_not_found", "{label} does not know this passkey", "look at `keyctl passkeys list`"
    ),
    _ERR.USER_ACTION_PENDING: _busy("is waiting for a touch for something else"),
    _ERR.OPERATION_PENDING: _busy("is still working on something else"),
    _ERR.NO_OPERATIONS: _reported("nothing is under way", _REPLUG),
    _ERR.UNSUPPORTED_ALGORITHM: _unsupported("does not know the algorithm"),
    _ERR.OPERATION_DENIED: _Line(
        TouchError, "touch_refused", "the touch was refused on {label}", "nothing was changed; run it again to allow it"
    ),
    _ERR.KEY_STORE_FULL: _Line(
        UnsupportedError,
        "key_full",
        "{label} has no room for another passkey",
        "delete one with `keyctl passkeys delete`",
    ),
    _ERR.UNSUPPORTED_OPTION: _unsupported("does not know an option of this command"),
    _ERR.INVALID_OPTION: _unsupported("does not allow an option of this command"),
    _ERR.KEEPALIVE_CANCEL: _no_touch("nobody touched {label} in time"),
    _ERR.NO_CREDENTIALS: _Line(
        NotFoundError, "passkey_not_found", "{label} has no such passkey", "look at `keyctl passkeys list`"
    ),
    _ERR.USER_ACTION_TIMEOUT: _no_touch("nobody touched {label} in time"),
    _ERR.NOT_ALLOWED: _unsupported("does not allow this now", _REPLUG),
    _ERR.PIN_INVALID: _Line(
        PinError,
        "pin_wrong",
        "wrong PIN for {label}",
        "stop here if you are not sure; after the last try the key must be reset and its passkeys are lost",
    ),
    _ERR.PIN_BLOCKED: _Line(
        PinError,
        "pin_blocked",
        "{label} takes no PIN any more: no tries are left",
        "only `keyctl reset` helps now; it deletes all passkeys and registrations of the key",
    ),
    _ERR.PIN_AUTH_INVALID: _Line(
        UnreachableError, "token_refused", "{label} did not accept its own PIN token", _NOT_ACCEPTED
    ),
    _ERR.PIN_AUTH_BLOCKED: _Line(
        PinError,
        "pin_auth_blocked",
        "{label} takes no PIN until it was unplugged: too many wrong ones in a row",
        "take it out, put it back in, and be sure of the PIN",
    ),
    _ERR.PIN_NOT_SET: _Line(PinError, "pin_not_set", "{label} has no PIN yet", "give it one with `keyctl pin set`"),
    _ERR.PUAT_REQUIRED: _Line(PinError, "pin_required", "{label} wants its PIN for this", "run it again with the PIN"),
    _ERR.PIN_POLICY_VIOLATION: _Line(
        PinError,
        "pin_policy",
        "{label} does not allow this PIN",
        "take a longer one without a simple pattern; if the current PIN is meant, change it with `keyctl pin change`",
    ),
    _ERR.PIN_TOKEN_EXPIRED: _Line(UnreachableError, "token_refused", "the PIN token of {label} expired", _NOT_ACCEPTED),
    _ERR.REQUEST_TOO_LARGE: _unsupported("cannot take a message of this size"),
    _ERR.ACTION_TIMEOUT: _no_touch("nobody touched {label} in time"),
    _ERR.UP_REQUIRED: _no_touch("{label} wants a touch first"),
    _ERR.UV_BLOCKED: _Line(
        PinError, "pin_required", "the fingerprint reader of {label} is blocked", "use the PIN, which unblocks it"
    ),
    _ERR.INTEGRITY_FAILURE: _reported("its data is damaged"),
    _ERR.INVALID_SUBCOMMAND: _unsupported("does not know this command", "its firmware is too old for it, or lacks it"),
    _ERR.UV_INVALID: _Line(
        TouchError, "touch_refused", "{label} did not recognise the fingerprint", "try again, or use the PIN"
    ),
    _ERR.UNAUTHORIZED_PERMISSION: _unsupported("gives no permission for this"),
    _ERR.OTHER: _reported("no reason given", _REPLUG),
    _ERR.SPEC_LAST: _reported("0xDF"),
    _ERR.EXTENSION_FIRST: _reported("0xE0, of an extension"),
    _ERR.EXTENSION_LAST: _reported("0xEF, of an extension"),
    _ERR.VENDOR_FIRST: _reported("0xF0, of its vendor"),
    _ERR.VENDOR_LAST: _reported("0xFF, of its vendor"),
}

_RESET_NOT_NOW = _Line(
    UnsupportedError,
    "reset_not_now",
    "{label} resets only shortly after it was plugged in",
    "unplug it, plug it in again and run this within 10 seconds (5 on some keys)",
)


def error_from_ctap(error: CtapError, label: str) -> KeyctlError:
    """The failure that the key *label* reported."""
    status = int(error.code)
    line = STATUS_LINES.get(status) or _reported(f"0x{status:02X}")
    told = _told(line, label, status)
    if status == _ERR.PIN_AUTH_BLOCKED:
        return told.with_details(power_cycle_needed=True)
    return told.with_details(tries_left=0) if status == _ERR.PIN_BLOCKED else told


def reset_error_from_ctap(error: CtapError, label: str) -> KeyctlError:
    """As :func:`error_from_ctap`, for a reset (CTAP 2.2, section 6.6): "not allowed" means that it is too late."""
    status = int(error.code)
    return _told(_RESET_NOT_NOW, label, status) if status == _ERR.NOT_ALLOWED else error_from_ctap(error, label)


def wrong_pin(error: CtapError, label: str, tries_left: int | None) -> KeyctlError:
    """A failure that cost a try, with those that are left; None: the key did not say."""
    told = error_from_ctap(error, label)
    if tries_left is None:
        return told
    return PinError(
        told.code, f"{told.message} ({tries(tries_left)} left)", told.hint, key=label, details=told.details
    ).with_details(tries_left=tries_left)


def _told(line: _Line, label: str, status: int) -> KeyctlError:
    # Not str.format: the label may hold braces.
    message = line.message.replace("{label}", label)
    return line.error(line.code, message, line.hint, key=label, details=Details(ctap_status=status))


def busy(label: str) -> UnreachableError:
    """Another program is using the key *label*."""
    status = int(_ERR.CHANNEL_BUSY)
    line = STATUS_LINES[status]
    message = line.message.replace("{label}", label)
    return UnreachableError(line.code, message, line.hint, key=label, details=Details(ctap_status=status))


def no_touch(label: str) -> TouchError:
    """Nobody touched the key *label* while it asked for it."""
    line = STATUS_LINES[_ERR.USER_ACTION_TIMEOUT]
    return TouchError(line.code, line.message.replace("{label}", label), line.hint, key=label)


def silent(label: str) -> UnreachableError:
    """The key *label* does not answer."""
    return UnreachableError("key_silent", f"{label} did not answer in time", _REPLUG, key=label)


def nonsense(label: str, what: str = "something that cannot be understood") -> UnreachableError:
    """The key *label* answered *what*."""
    return UnreachableError(
        "key_nonsense",
        f"{label} answered {what}",
        "unplug it and try again; if it stays, the key is faulty or not what it says it is",
        key=label,
    )


def removed(label: str) -> UnreachableError:
    """The key *label* is not there any more."""
    return UnreachableError(
        "key_removed", f"{label} was removed", "plug it in again and repeat the command; see `keyctl list`", key=label
    )


def denied(label: str) -> UnreachableError:
    """The operating system does not let this user open *label*."""
    if sys.platform == "win32":
        hint = "Windows lets only administrators talk to security keys: open the terminal as administrator"
    elif sys.platform == "darwin":
        hint = "allow the terminal under System Settings, Privacy & Security, Input Monitoring"
    else:
        hint = (
            "install the udev rules for security keys (package libfido2 or libfido2-udev) and plug it in again; "
            "over ssh and in cron a udev rule with GROUP= is needed"
        )
    return UnreachableError("access_denied", f"you may not open {label}", hint, key=label)


def says_not_which(label: str) -> UnreachableError:
    """The key *label* refuses or garbles the question which of the known ones it is."""
    return UnreachableError("key_error", f"{label} does not say which key it is", _REPLUG, key=label)


def error_from_os(error: OSError, label: str) -> UnreachableError:
    """Why the operating system could not open, read or write the device *label*."""
    if isinstance(error, TimeoutError):
        return silent(label)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return denied(label)
    if error.errno == errno.EBUSY:
        return busy(label)
    gone = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO, errno.ESHUTDOWN, errno.EPIPE, errno.ENOTCONN}
    if error.errno in gone:
        return removed(label)
    reason = (error.strerror or str(error) or "no reason given").lower()
    return UnreachableError("key_error", f"cannot talk to {label}: {reason}", _REPLUG, key=label)


@contextlib.contextmanager
def understanding(label: str) -> Iterator[None]:
    """Around code that takes an answer of the key *label* apart: what does not fit becomes ``key_nonsense``."""
    try:
        yield
    except _HOSTILE_ANSWER as error:
        raise nonsense(label) from error


@contextlib.contextmanager
def reported(label: str) -> Iterator[None]:
    """Around a command to the key *label*: the failure that it reports becomes a :class:`KeyctlError`."""
    try:
        yield
    except CtapError as error:
        raise error_from_ctap(error, label) from error
