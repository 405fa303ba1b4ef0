"""The diagnosis with the real smart card service: what is in its readers, and who has them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core.diagnosis import diagnose
from keyctl.core.diagnosis_facts import ReaderState, Service
from keyctl.core.results import CheckResult
from keyctl.device import surroundings
from keyctl.device.surroundings_readers import reader_facts

from . import daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.core.diagnosis_facts import Check

#: No USB: the readers of the computer that the test runs on are none of its business.
NOWHERE = Path("/nonexistent")
HOLDER = """
import sys
from smartcard import scard
_, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
either = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
result, card, _ = scard.SCardConnect(context, sys.argv[1], int(sys.argv[2]), either)
assert result == scard.SCARD_S_SUCCESS
print("connected", flush=True)
sys.stdin.read()
scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)
scard.SCardReleaseContext(context)
"""
SHARED, EXCLUSIVE = 2, 1


def states() -> dict[str, ReaderState]:
    facts = reader_facts(os.environ, sys_root=NOWHERE)
    assert facts.service is Service.RUNNING
    assert facts.readers is not None
    return {reader.name: reader.state for reader in facts.readers}


def told(home: Path, reader: str) -> Check:
    """What a diagnosis of *reader* alone says."""
    selector = f"nfc:{reader}"
    [found] = [check for check in diagnose(surroundings.gather(home, selector)).checks if check.key == selector]
    return found


@contextmanager
def held(reader: str, how: int) -> Iterator[None]:
    """Another program holds the card."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, reader, str(how)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"connected\n"
        yield
        holder.communicate()


@pytest.fixture
def key(attached: Any) -> Any:
    return attached("blue")


def test_readers_without_a_card_are_no_finding(slots, home):
    assert states() == {slot.reader: ReaderState.EMPTY for slot in slots}
    found = told(home, slots[0].reader)
    assert (found.id, found.result) == ("reader-card", CheckResult.OK)
    assert found.hint


def test_security_key_on_a_reader_is_recognised(key, home):
    assert states()[key.reader] is ReaderState.KEY
    assert told(home, key.reader).result is CheckResult.OK


def test_command_line_finds_the_key_on_the_reader(key):
    done = subprocess.run(
        [sys.executable, "-m", "keyctl", "doctor", "--key", f"nfc:{key.reader}"],
        env=os.environ | {"PYTHONPATH": str(Path(surroundings.__file__).parent.parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"nfc:{key.reader} has a security key on it" in done.stdout


def test_reader_that_a_program_holds_alone_is_a_finding(key, home):
    with held(key.reader, EXCLUSIVE):
        assert states()[key.reader] is ReaderState.EXCLUSIVE
        found = told(home, key.reader)
    assert (found.id, found.result) == ("reader-card", CheckResult.FAIL)
    assert "gpgconf --kill scdaemon" in (found.hint or "")
    assert states()[key.reader] is ReaderState.KEY


def test_card_that_another_program_uses_is_not_disturbed(key):
    with held(key.reader, SHARED):
        assert states()[key.reader] is ReaderState.IN_USE


def test_key_that_is_pulled_leaves_an_empty_reader(key):
    key.pull()
    assert states()[key.reader] is ReaderState.EMPTY


def test_service_that_was_stopped_is_a_finding():
    """In a process of its own, because the library knows one socket per process."""
    code = """
import os
from pathlib import Path
from keyctl.core.diagnosis import diagnose
from keyctl.device import surroundings
print(*(check.id for check in diagnose(surroundings.gather(Path("/nonexistent"), "nfc:")).checks
        if check.result == "fail"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {
            "PYTHONPATH": str(Path(surroundings.__file__).parent.parent.parent),
            "PCSCLITE_CSOCK_NAME": str(daemon.FOLDER / "stopped.comm"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["keys", "reader-service"]
