"""Why a key is not seen or cannot be reached: rules from facts to findings, one function each, pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from keyctl.core import diagnosis_files, diagnosis_readers, diagnosis_usb
from keyctl.core.diagnosis_facts import Check, Diagnosis, Facts, ReaderState, Unknown
from keyctl.core.results import CheckResult
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Older ones are not what keyctl was written for.
MIN_LIBRARY = (2, 2, 1)
#: Versions before this one have CVE-2026-40947.
_SAFE_LIBRARY = (2, 2, 0)

_SEVERITY = list(CheckResult)


def diagnose(facts: Facts) -> Diagnosis:
    """Apply every rule; worst first, and in the order of the rules among equals."""
    found = [check for rule in RULES for check in rule(facts)]
    if facts.wanted is not None:
        found = [check for check in found if check.key in {None, facts.wanted}]
    checks = sorted(found, key=lambda check: -_SEVERITY.index(check.result))
    worst = max((check.result for check in checks), key=_SEVERITY.index)
    return Diagnosis(result=CheckResult.OK if worst is CheckResult.SKIP else worst, checks=tuple(checks))


def keys(facts: Facts) -> Iterator[Check]:
    """Whether there is any key, or the one that was named."""
    known = _known(facts)
    if facts.wanted is not None:
        if facts.wanted not in known:
            yield Check(
                id="keys",
                result=CheckResult.FAIL,
                message=f"no key {facts.wanted} is connected",
                hint="see what is there with `keyctl list`; without --key everything is looked at",
                key=facts.wanted,
            )
        return
    connected = [selector for selector, there in known.items() if there]
    if connected:
        yield Check(id="keys", result=CheckResult.OK, message=f"found {', '.join(connected)}")
    else:
        yield Check(
            id="keys",
            result=CheckResult.FAIL,
            message="no key found: looked for keys on USB, on card readers and for virtual ones",
            hint="plug it in, in another port or without the hub if it was; put a contactless one on a reader; a key "
            "with FIDO switched off is not seen, on YubiKeys `ykman config usb --list` tells; "
            "to try keyctl without a key: `keyctl demo`",
        )


def library(facts: Facts) -> Iterator[Check]:
    """Whether python-fido2 can be used, and is none with a known hole."""
    version = facts.library.version
    hint = "install it anew with `pip install --upgrade fido2`, where keyctl is installed"
    if facts.library.problem is not None:
        message = f"python-fido2, which speaks to keys, cannot be loaded: {facts.library.problem}"
        yield Check(id="library", result=CheckResult.FAIL, message=message, hint=hint)
    elif version is None:
        message = "the version of python-fido2, which speaks to keys, is not known"
        yield Check(id="library", result=CheckResult.SKIP, message=message)
    elif _numbers(version) < MIN_LIBRARY:
        hole = " and has CVE-2026-40947" if _numbers(version) < _SAFE_LIBRARY else ""
        message = f"python-fido2 {version} is older than {'.'.join(map(str, MIN_LIBRARY))}{hole}"
        yield Check(id="library", result=CheckResult.FAIL, message=message, hint=hint)
    else:
        yield Check(id="library", result=CheckResult.OK, message=f"python-fido2 {version}")


def virtual_keys(facts: Facts) -> Iterator[Check]:
    """Whether virtual keys are plugged in and their files can be used."""
    if facts.virtual is None:
        return
    if isinstance(facts.virtual, Unknown):
        yield Check(id="virtual-keys", result=CheckResult.WARN, message=facts.virtual.reason)
        return
    for key in facts.virtual:
        name = shlex.quote(visible(key.selector.removeprefix("virtual:")))
        if key.problem is not None:
            hint = f"delete it with `keyctl virtual remove {name}`, or restore its files from a backup"
            yield Check(id="virtual-keys", result=CheckResult.WARN, message=key.problem, hint=hint, key=key.selector)
        elif key.attached is not None:
            message = f"{key.selector} is attached to {key.attached}, and is found there only"
            yield Check(id="virtual-keys", result=CheckResult.OK, message=message, key=key.selector)
        elif key.plugged:
            message = f"{key.selector} is plugged in"
            yield Check(id="virtual-keys", result=CheckResult.OK, message=message, key=key.selector)
        else:
            # Unplugged on purpose, unless it is the one that is missed.
            missed = key.selector == facts.wanted
            yield Check(
                id="virtual-keys",
                result=CheckResult.FAIL if missed else CheckResult.SKIP,
                message=f"{key.selector} is unplugged",
                hint=f"plug it in with `keyctl virtual plug {name}`" if missed else None,
                key=key.selector,
            )


def home(facts: Facts) -> Iterator[Check]:
    """Whether keyctl's files have a private place."""
    folder = facts.home
    if folder is None:
        return
    if folder.problem is not None:
        message = f"cannot look at {folder.path}: {folder.problem}"
        yield _home(CheckResult.WARN, message, "look at its permissions, or give another folder with --home")
    elif not folder.exists:
        yield _home(CheckResult.OK, f"{folder.path} is not there yet")
    elif not folder.is_folder:
        yield _home(CheckResult.FAIL, f"{folder.path} is no folder", "move it away, or give another with --home")
    elif not folder.writable:
        message = f"you may not write to {folder.path}"
        yield _home(CheckResult.WARN, message, "look at whose it is, or give another folder with --home")
    elif folder.open_to_others:
        yield _home(
            CheckResult.WARN,
            f"others can look into {folder.path}",
            f"make it yours alone: chmod 700 {shlex.quote(visible(folder.path))}",
        )
    else:
        yield _home(CheckResult.OK, f"{folder.path} is private")


def program_name(facts: Facts) -> Iterator[Check]:
    """Which program the word ``keyctl`` starts: keyutils has one of this name."""
    if facts.programs is None:
        return
    if facts.platform != "linux":
        message = "the name keyctl (only Linux has another program of it)"
        yield Check(id="program-name", result=CheckResult.SKIP, message=message)
        return
    other = next((program.path for program in facts.programs if not program.own), None)
    if not facts.programs:
        message = "the name keyctl (no such program is in PATH)"
        yield Check(id="program-name", result=CheckResult.SKIP, message=message)
    elif other is None:
        message = f"`keyctl` starts {facts.programs[0].path}, this program"
        yield Check(id="program-name", result=CheckResult.OK, message=message)
    elif facts.programs[0].own:
        yield Check(
            id="program-name",
            result=CheckResult.OK,
            message=f"`keyctl` starts this program and hides {other}, of the package keyutils",
            hint=f"for the kernel's keyrings give the whole path, {visible(other)}",
        )
    else:
        yield Check(
            id="program-name",
            result=CheckResult.WARN,
            message=f"`keyctl` starts {other}, of the package keyutils, which knows nothing of security keys",
            hint="this program is `fido-keyctl`; where a hint says `keyctl`, type that",
        )


#: In the order in which people need them.
RULES: tuple[Callable[[Facts], Iterator[Check]], ...] = (
    keys,
    library,
    *diagnosis_usb.RULES,
    *diagnosis_readers.RULES,
    virtual_keys,
    home,
    *diagnosis_files.RULES,
    program_name,
)


def _known(facts: Facts) -> dict[str, bool]:
    """Every selector that was come across, and whether a key is connected there as far as can be told."""
    known: dict[str, bool] = {}
    if facts.usb is not None and not isinstance(facts.usb.keys, Unknown):
        known |= {key.selector: True for key in facts.usb.keys}
    if facts.readers is not None:
        present = {ReaderState.KEY, ReaderState.IN_USE, ReaderState.EXCLUSIVE}
        known |= {f"nfc:{reader.name}": reader.state in present for reader in facts.readers.readers or ()}
    if not isinstance(facts.virtual, Unknown | None):
        known |= {key.selector: key.plugged and key.attached is None for key in facts.virtual}
    return known


def _home(result: CheckResult, message: str, hint: str | None = None) -> Check:
    return Check(id="home", result=result, message=message, hint=hint)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: what comes after them, like ``rc1``, decides nothing here."""
    match = re.match(r"[0-9]{1,9}(\.[0-9]{1,9})*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
