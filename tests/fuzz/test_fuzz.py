"""Mutated answers, card commands and USB reports, for as long as KEYCTL_FUZZ_SECONDS says (2 by default).

Whatever arrives, only keyctl's own errors come out, and nothing hangs. A failure prints the seed that repeats it.
"""

from __future__ import annotations

import importlib.util
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fido2.ctap import CtapDevice, CtapError

from keyctl.core import luks_tokens, openssh_keys, pam_mappings, service_files
from keyctl.core.local_files import LocalFileError
from keyctl.device.ctaphid import HidDevice
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import KeyctlError
from keyctl.model import OWN_RP_ID, Transport
from keyctl.store import inventory as store
from keyctl.virtual import keys
from keyctl.virtual.card import FidoCard
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.hid_responder import HidResponder

if TYPE_CHECKING:
    from collections.abc import Iterator

_spec = importlib.util.spec_from_file_location("corpus", Path(__file__).parent / "corpus.py")
assert _spec is not None
assert _spec.loader is not None
corpus = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(corpus)

SECONDS = float(os.environ.get("KEYCTL_FUZZ_SECONDS", "2"))
INTERESTING = (0x00, 0x01, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x5F, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xF5, 0xF6, 0xFF)
REPORT_BYTES = 64
VECTORS = Path(__file__).parent.parent / "vectors"
#: Credential ids to ask for.
IDS = (bytes(64), bytes(range(48)))


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[bytes]]:
    loaded: dict[str, list[bytes]] = corpus.load()
    return loaded


def mutated(chance: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """*content* with a few of the damages that parsers are known to stumble over."""
    damaged = bytearray(content)
    for _ in range(chance.randint(0, 4)):
        place = chance.randint(0, len(damaged))
        match chance.randint(0, 6):
            case 0 if damaged:
                damaged[place % len(damaged)] ^= 1 << chance.randint(0, 7)
            case 1 if damaged:
                damaged[place % len(damaged)] = chance.choice(INTERESTING)
            case 2:
                del damaged[place:]
            case 3:
                damaged[place:place] = bytes([chance.choice(INTERESTING)]) * chance.randint(1, 70)
            case 4:
                del damaged[place : place + chance.randint(1, 16)]
            case 5:
                other = chance.choice(others)
                damaged[place:] = other[chance.randint(0, len(other)) :]
            case _:
                damaged[place:place] = damaged[: chance.randint(0, 40)]
    return bytes(damaged[:8192])


def rounds() -> Iterator[tuple[int, random.Random]]:
    """Seeds until the time is over."""
    first = random.SystemRandom().randrange(1 << 48)
    end = time.monotonic() + SECONDS
    number = first
    while time.monotonic() < end:
        yield number, random.Random(number)
        number += 1
    assert number > first


class Babbling(CtapDevice):
    """A key whose answers are mutated ones of a real conversation, in any order."""

    def __init__(
        self, chance: random.Random, answers: list[bytes], first: bytes | None, capabilities: int = 0x04
    ) -> None:
        self._chance = chance
        self._answers = answers
        self._first = first
        self._capabilities = capabilities

    @property
    def capabilities(self) -> int:
        return self._capabilities

    def call(self, _cmd: int, _data: bytes = b"", *_more: Any) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._chance.random() < 0.05:
            raise CtapError(self._chance.randint(0, 255))
        return mutated(self._chance, self._chance.choice(self._answers), self._answers)

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())


def test_any_answers_give_a_result_or_an_error_of_ours(seeds):
    for seed, chance in rounds():
        # The first answer is often a good getInfo, or nothing else would be reached.
        info = next(answer for answer in seeds["answers"] if b"FIDO_2_0" in answer)
        device = Babbling(chance, seeds["answers"], info if chance.random() < 0.8 else None)
        guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
        try:
            with Session(Found(transport=Transport.USB, path="x"), guard) as session:
                session.use_pin("123456")
                steps = (
                    session.pin_retries,
                    lambda session=session: session.answering(OWN_RP_ID, IDS),
                    lambda session=session: session.all_answering(OWN_RP_ID, IDS, verified=True),
                    lambda session=session: session.enrol(IDS),
                    session.list_passkeys,
                    session.verify_pin,
                    session.reset,
                )
                for step in steps:
                    try:
                        step()
                    except KeyctlError:
                        session.use_pin("123456")
        except KeyctlError:
            continue
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error


def test_any_u2f_answers_give_a_result_or_an_error_of_ours(seeds):
    for seed, chance in rounds():
        device = Babbling(chance, [*seeds["answers"], b"\x69\x85", b"\x6a\x80", b"\x90\x00"], None, 0x08)
        guard = GuardedDevice(device, "old", touch_s=0, lock_s=0, on_touch=lambda *_: None)
        with Session(Found(transport=Transport.USB, path="x"), guard) as session:
            steps = (
                lambda session=session: session.claimed(OWN_RP_ID, IDS),
                lambda session=session: session.touched(OWN_RP_ID, IDS[0]),
                lambda session=session: session.enrol(IDS),
            )
            for step in steps:
                try:
                    step()
                except KeyctlError:
                    continue
                except BaseException as error:
                    raise AssertionError(f"seed {seed}") from error


def test_any_inventory_file_is_read_or_named(home):
    """The file's name is in the error, and a record that is read can be written."""
    examples = [path.read_bytes() for path in sorted((VECTORS / "store").glob("*.json"))]
    folder = home / "keys"
    folder.mkdir(parents=True)
    path = folder / f"{'0' * 16}.json"
    for seed, chance in rounds():
        path.write_bytes(mutated(chance, chance.choice(examples), examples))
        try:
            inventory = store.read(home)
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
        assert all(str(path) in problem.message for problem in inventory.problems), f"seed {seed}"
        assert len(inventory.keys) + len(inventory.problems) == 1, f"seed {seed}"


def test_any_file_of_somebody_else_is_read_or_refused():
    """Key files, mapping files, disk headers and tables of services."""
    local = sorted(path for path in (VECTORS / "local").rglob("*") if path.is_file() and path.suffix != ".py")
    examples = [path.read_bytes()[:8192] for path in local]
    tables = [b"name,rp_id,account,keys,recovery\nMail,mail.example,kim,blue;red,codes;totp\n", b'{"services": []}']
    for seed, chance in rounds():
        content = mutated(chance, chance.choice(examples), examples)
        readers = (
            lambda content=content: openssh_keys.read(content),
            lambda content=content: pam_mappings.read(content.decode("latin-1")),
            lambda content=content: luks_tokens.read(content),
            lambda content=content: luks_tokens.header(content),
            lambda chance=chance: service_files.parse(mutated(chance, chance.choice(tables), tables), "file"),
        )
        for reader in readers:
            try:
                reader()
            except (LocalFileError, KeyctlError):
                continue
            except BaseException as error:
                raise AssertionError(f"seed {seed}") from error


class Reports:
    """A USB line that brings mutated reports and then breaks."""

    def __init__(self, reports: list[bytes]) -> None:
        self._reports = iter(reports)
        self._sent: list[bytes] = []

    def write_packet(self, packet: bytes, /) -> None:
        self._sent.append(packet)

    def read_packet(self) -> bytes:
        report = next(self._reports, None)
        if report is None:
            raise OSError("the line is broken")
        if self._sent and len(self._sent[0]) >= 15 and len(report) >= 15:
            # The nonce of the INIT, in a report that is otherwise as it may be.
            return report[:7] + self._sent[0][7:15] + report[15:] if report[4:5] == b"\x86" else report
        return report

    def close(self) -> None:
        pass


def frames(chance: random.Random, command: int, content: bytes) -> list[bytes]:
    channel = chance.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x01", b"\x00\x00\x00\x02"))
    first = channel + bytes([0x80 | command]) + len(content).to_bytes(2, "big") + content[:57]
    rest = [content[at : at + 59] for at in range(57, len(content), 59)]
    following = [channel + bytes([number & 0x7F]) + part for number, part in enumerate(rest)]
    return [report.ljust(REPORT_BYTES, b"\0") for report in (first, *following)]


def test_any_reports_give_an_answer_or_an_error_of_ours(seeds):
    init = b"\xff\xff\xff\xff\x86\x00\x11" + bytes(8) + b"\x00\x00\x00\x01\x02\x05\x07\x01\x05"
    for seed, chance in rounds():
        sent = [init.ljust(REPORT_BYTES, b"\0")]
        for _ in range(chance.randint(1, 4)):
            sent += frames(chance, chance.choice((0x10, 0x3B, 0x3F, 0x06, 0x03)), chance.choice(seeds["answers"]))
        sent = [mutated(chance, report, sent) if chance.random() < 0.2 else report for report in sent]
        try:
            device = HidDevice(Reports(sent), REPORT_BYTES, "blue")
            device.call(0x10, b"\x04")
        except (KeyctlError, CtapError, OSError):
            continue
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error


@pytest.fixture
def blue(home: Path) -> VirtualDevice:
    keys.new(home / "virtual", "blue", "full")
    keys.configure(home / "virtual", "blue", ["touch=refused"])
    return VirtualDevice(home / "virtual", "blue")


def test_any_card_commands_get_a_status_word(seeds, blue):
    card = FidoCard(blue)
    card.power_up()
    for seed, chance in rounds():
        try:
            if chance.random() < 0.3:
                card.transmit(corpus.SELECT)
            answer = card.transmit(mutated(chance, chance.choice(seeds["apdus"]), seeds["apdus"]))
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
        assert len(answer) >= 2, f"seed {seed}"
    card.power_down()


def test_any_reports_to_a_virtual_key_are_survived(seeds, blue):
    told: list[bytes] = []
    responder = HidResponder(blue, told.append, wake=lambda: None)
    for seed, chance in rounds():
        reports = frames(chance, chance.choice((0x10, 0x03, 0x01, 0x06, 0x08, 0x11)), chance.choice(seeds["requests"]))
        try:
            for report in reports:
                responder.receive(mutated(chance, report, reports)[:REPORT_BYTES].ljust(REPORT_BYTES, b"\0"))
            responder.tick()
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
        assert all(len(report) == REPORT_BYTES for report in told)
        told.clear()
    responder.close()
