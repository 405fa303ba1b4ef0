"""Why a key on a card reader cannot be reached: rules from facts to findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import advice
from keyctl.core.diagnosis_facts import Check, Facts, ReaderFacts, ReaderState, Service, Unknown
from keyctl.core.results import CheckResult
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keyctl.core.diagnosis_facts import CardReader, Process, UsbReader

#: Shorter product names are in too many readers' names to say that reader and key are one device.
_TELLING_PRODUCT_LENGTH = 6
#: Kernel drivers that take contactless readers away from the smart card service.
_KERNEL_NFC_DRIVERS = {"pn533_usb", "pn533", "port100"}
_POLKIT = """\
run it at the screen, or allow it: put this into /etc/polkit-1/rules.d/50-pcscd.rules, with the name of the user:
    polkit.addRule(function(action, subject) {
      if ((action.id == "org.debian.pcsc-lite.access_pcsc" || action.id == "org.debian.pcsc-lite.access_card")
          && subject.user == "USER") { return polkit.Result.YES; }
    });
in a container that uses the service of the host, pcsc-lite has to be of the same version in both"""
_FREE_FROM_GNUPG = (
    "end it with `gpgconf --kill scdaemon`; for good, put the lines `disable-ccid` and `pcsc-shared` into "
    "~/.gnupg/scdaemon.conf"
)


def reader_support(facts: Facts) -> Iterator[Check]:
    """Whether keyctl can speak to the smart card service at all."""
    readers = facts.readers
    if readers is None:
        return
    if readers.support is None:
        yield Check(id="reader-support", result=CheckResult.OK, message="support for card readers is installed")
        return
    broken = readers.support != "missing"
    if broken:
        message = f"support for card readers cannot be loaded: {readers.support}"
        hint = advice.REINSTALL_SUPPORT
    else:
        message = "support for card readers is not installed"
        hint = advice.INSTALL_SUPPORT
    if _is_needed(facts, readers) or broken:
        yield Check(id="reader-support", result=CheckResult.FAIL, message=message, hint=hint)
    elif readers.service is Service.RUNNING:
        # Worth a line, and no fault: desktops come with the service.
        yield Check(id="reader-support", result=CheckResult.OK, message=f"{message}; no reader is on USB", hint=hint)
    else:
        yield Check(
            id="reader-support",
            result=CheckResult.SKIP,
            message="support for card readers (not installed, and no reader is on USB)",
        )


def reader_service(facts: Facts) -> Iterator[Check]:
    """Whether the smart card service runs and talks to this user."""
    readers = facts.readers
    if readers is None:
        return
    if readers.service is Service.RUNNING:
        yield Check(id="reader-service", result=CheckResult.OK, message="the smart card service runs")
    elif not _is_needed(facts, readers) and readers.service is Service.ABSENT:
        message = "the smart card service (it does not run, and no reader is on USB)"
        yield Check(id="reader-service", result=CheckResult.SKIP, message=message)
    else:
        message, hint = _service_problem(facts.platform, readers)
        result = CheckResult.FAIL
        if not _is_needed(facts, readers):
            # A silent one holds up every command; the others are worth a line, and no fault.
            result = CheckResult.WARN if readers.service is Service.SILENT else CheckResult.OK
        yield Check(id="reader-service", result=result, message=message, hint=hint)


def reader_driver(facts: Facts) -> Iterator[Check]:
    """Whether a reader on USB is one that the service has, or who has taken it away."""
    readers = facts.readers
    if readers is None or facts.platform != "linux":
        return
    apart = _apart(readers)
    if not apart or readers.readers is None:
        message = f"drivers of readers ({'no reader is on USB' if not apart else 'the service cannot be asked'})"
        yield Check(id="reader-driver", result=CheckResult.SKIP, message=message)
    elif readers.readers:
        yield Check(id="reader-driver", result=CheckResult.OK, message="the smart card service has a reader")
    else:
        for reader in apart:
            cause, hint = _taken(reader, readers)
            message = f"{reader.product or 'a card reader'} is plugged in, but the smart card service has none: {cause}"
            yield Check(id="reader-driver", result=CheckResult.FAIL, message=message, hint=hint)


def reader_card(facts: Facts) -> Iterator[Check]:
    """What is on each reader, and whether keyctl gets at it."""
    readers = facts.readers
    if readers is None:
        return
    if not readers.readers:
        why = "there is none" if readers.readers is not None else "the service cannot be asked"
        message = f"card readers ({why})"
        yield Check(id="reader-card", result=CheckResult.SKIP, message=message)
    for reader in readers.readers or ():
        yield _in_key(reader) if _is_in_key(facts, reader) else _on_reader(reader, readers)


#: In the order in which people need them.
RULES: tuple[Callable[[Facts], Iterator[Check]], ...] = (reader_support, reader_service, reader_driver, reader_card)


def _is_needed(facts: Facts, readers: ReaderFacts) -> bool:
    """Whether somebody without the service would miss it: with a reader, or who named a service or a reader."""
    named = readers.named_socket is not None or (facts.wanted or "").startswith("nfc:")
    return named or bool(_apart(readers))


def _apart(readers: ReaderFacts) -> list[UsbReader]:
    """The readers that are no part of a key: those speak for themselves."""
    return [reader for reader in readers.usb if not reader.in_key]


def _service_problem(platform: str, readers: ReaderFacts) -> tuple[str, str]:
    """What is wrong with the service, and what to do."""
    name = "the smart card service"
    if readers.named_socket is not None:
        name = f"the smart card service at {readers.named_socket}, which PCSCLITE_CSOCK_NAME names,"
    match readers.service:
        case Service.DENIED:
            return f"{name} is there, but you may not connect to it", "look at the permissions of its socket"
        case Service.REFUSES:
            return f"{name} hangs up on this user, as it does on logins over the network and on cron", _POLKIT
        case Service.SILENT:
            return f"{name} does not answer", "as root: `systemctl restart pcscd`" if platform == "linux" else (
                "restart the computer"
            )
        case _:
            pass
    start = advice.start_service(platform)
    if platform in {"win32", "darwin"}:
        return f"{name} does not run", start
    if readers.named_socket is not None:
        return f"{name} does not run", "start that service, or unset the variable to use the system's own"
    if not readers.installed:
        return f"{name} is not installed", f"install the package pcscd (pcsc-lite on some systems); then {start}"
    return f"{name} is installed but does not run", start


def _taken(reader: UsbReader, readers: ReaderFacts) -> tuple[str, str]:
    """Who has a reader that the service has not, and what to do."""
    if reader.driver in _KERNEL_NFC_DRIVERS:
        return f"the kernel's driver {reader.driver} has taken it", (
            f"as root: `modprobe -r {reader.driver}`, then unplug it and plug it in again; for good, put the line "
            f"`blacklist {reader.driver}` into /etc/modprobe.d/nfc.conf"
        )
    if reader.holders:
        return f"{_named(reader.holders)} has taken it", _release(reader.holders)
    if any(process.name == "scdaemon" for process in readers.suspects):
        return "scdaemon of GnuPG runs, and takes readers for itself", _FREE_FROM_GNUPG
    return "it has no driver for it", (
        "install the package libccid (ccid on some systems), or the maker's own driver, and restart the service"
    )


def _on_reader(reader: CardReader, readers: ReaderFacts) -> Check:
    match reader.state:
        case ReaderState.KEY:
            return _reader(reader, CheckResult.OK, "has a security key on it")
        case ReaderState.IN_USE:
            return _reader(reader, CheckResult.OK, "has a card on it that other programs use, so it was not asked")
        case ReaderState.EMPTY:
            hint = "put the key on it and leave it there; some keys switch NFC off until they were plugged in once"
            return _reader(reader, CheckResult.OK, "has no card on it", hint)
        case ReaderState.OTHER_CARD:
            hint = "put the key on it; some keys switch NFC off until they were plugged in once"
            return _reader(reader, CheckResult.WARN, "has a card on it that is no security key", hint)
        case ReaderState.SILENT:
            hint = "take it off the reader and put it back"
            return _reader(reader, CheckResult.WARN, "has a card on it that does not answer", hint)
        case ReaderState.EXCLUSIVE:
            suspects = f"; {_named(readers.suspects)} is running and may be it" if readers.suspects else ""
            what = f"is held by another program for itself alone{suspects}"
            return _reader(reader, CheckResult.FAIL, what, _release(readers.suspects))


def _release(holders: tuple[Process, ...]) -> str:
    """How to get a reader back; where nobody is known, GnuPG is the usual one."""
    if not holders:
        return f"end that program; if it is scdaemon of GnuPG: {_FREE_FROM_GNUPG}"
    if any(process.name in {"scdaemon", "gpg-agent"} for process in holders):
        return _FREE_FROM_GNUPG
    return "end that program"


def _in_key(reader: CardReader) -> Check:
    return _reader(reader, CheckResult.OK, "is a part of the key on USB, which is spoken to there")


def _is_in_key(facts: Facts, reader: CardReader) -> bool:
    """Whether the reader is the smart card part of a key that is there as USB key too: readers carry the USB name."""
    if facts.usb is None or isinstance(facts.usb.keys, Unknown):
        return False
    names = [key.product.strip() for key in facts.usb.keys if key.product]
    return any(len(name) >= _TELLING_PRODUCT_LENGTH and name in reader.name for name in names)


def _reader(reader: CardReader, result: CheckResult, what: str, hint: str | None = None) -> Check:
    selector = f"nfc:{reader.name}"
    return Check(id="reader-card", result=result, message=f"{selector} {what}", hint=hint, key=selector)


def _named(processes: tuple[Process, ...]) -> str:
    return ", ".join(f"{visible(process.name)} (process {process.pid})" for process in processes)
