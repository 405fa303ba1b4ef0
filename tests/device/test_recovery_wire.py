"""What keyctl never sends: two command bytes of the draft extension "recovery", which real keys take for others."""

from __future__ import annotations

import ast
import contextlib
import threading
from pathlib import Path

import pytest
from fido2.ctap import CtapError

from keyctl.core import binding
from keyctl.core.recovery_seeds import RecoverySeed
from keyctl.device import session
from keyctl.device.commands import Ctap
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.errors import KeyctlError, UnsupportedError
from keyctl.model import Transport
from keyctl.operations import pair_draft
from keyctl.virtual.device import VirtualDevice
from tests.operations.test_pair_draft import holds
from tests.wire_watch import CONFIG, RECOVERY, WatchedDevice

PIN = "123456"
KEYCTL = Path(session.__file__).parent.parent
#: Nothing else talks to devices.
MODULES = sorted((KEYCTL / "device").rglob("*.py"))
NO_SEED = RecoverySeed(aaguid=bytes(16), point=bytes(65), x5c=(), signature=b"")
#: Modules that may send the draft's command: each has to make sure first that the key is a virtual one.
SENDERS = {"recovery_seeds.py"}


def watched(bench, found: Found, seen: list[int], sent: list[bytes] | None = None) -> GuardedDevice:
    """The virtual key of *bench*, whose commands are noted."""
    return GuardedDevice(
        WatchedDevice(VirtualDevice(bench.folder, bench.name), seen, sent),
        found.selector,
        touch_s=30,
        lock_s=0,
        on_touch=lambda _label, _seconds: None,
    )


def draft_pairing(backup: session.Session, primary: session.Session) -> bytes:
    """All that a pairing by the draft asks of both keys; the seed."""
    seed = pair_draft.export_seed(backup)
    pair_draft.import_seed(primary, seed)
    assert holds(primary, seed)
    assert pair_draft.drill(backup, seed)
    return seed


def pairing(opened: session.Session) -> None:
    """What a pairing asks of a key that has all it needs."""
    made = opened.own_credentials.make([])
    opened.own_credentials.read(made.credential_id)
    opened.secrets.two(opened.secrets.make([]).credential_id, bytes(32), b"\x01" * 32)
    opened.blobs.write(bytes(32), b"record")
    assert opened.blobs.remove(bytes(32))
    assert len(opened.own_credentials.list()) == 2
    seed = opened.seeds.make(bytes(32), [])
    wanted = binding.exercise(seed.offer, seed.made, bytes(32))
    opened.seeds.sign(
        seed.credential_id, seed.offer.signing_handle, wanted.arguments, wanted.tbs, wanted.client_data_hash
    )
    opened.seeds.policy(seed.credential_id, seed.offer.signing_handle, wanted.arguments)


@pytest.mark.parametrize("profile", ["draft", "full", "fido2.0", "arkg"])
def test_a_whole_session_sends_neither_byte(make_bench, profile):
    """On a key that says it has the draft's extension, and on others."""
    bench = make_bench(profile, pin=PIN)
    bench.register("example.com")
    seen: list[int] = []
    failures: set[str] = set()
    # As a key on the bus, which gets nothing that only virtual ones may get.
    found = Found(transport=Transport.USB, path="/dev/hidraw9")
    with session.Session(found, watched(bench, found, seen)) as opened:
        for step in (
            opened.pin_retries,
            opened.uv_retries,
            lambda: opened.use_pin(PIN),
            opened.verify_pin,
            lambda: [passkey.credential_id for passkey in opened.list_passkeys().passkeys],
            lambda: opened.enrol([]),
            lambda: pairing(opened),
            lambda: draft_pairing(opened, opened),
            opened.recovery_seeds.export,
            opened.recovery_seeds.list,
            lambda: opened.recovery_seeds.remove(bytes(65)),
            lambda: opened.recovery_seeds.recover([bytes(82)], bytes(32)),
            lambda: opened.answering("example.com", [bytes(64)]),
            lambda: opened.delete_passkey(bytes(64)),
            lambda: opened.change_pin("654321"),
            opened.wink,
            lambda: opened.wait_for_touch(threading.Event()),
            opened.reset,
        ):
            try:
                step()
            except KeyctlError as error:
                failures.add(error.code)
    # Some of it is not there, on some profiles.
    assert failures <= {"unsupported", "passkey_not_found"}
    assert {Ctap.GET_INFO, Ctap.CLIENT_PIN, Ctap.MAKE_CREDENTIAL, Ctap.RESET} <= set(seen)
    assert (Ctap.LARGE_BLOBS in seen) == (profile != "fido2.0")
    assert not {CONFIG, RECOVERY} & set(seen)
    assert set(seen) <= set(Ctap)


@pytest.mark.parametrize("transport", [Transport.USB, Transport.NFC, Transport.CONTACT])
def test_a_key_on_a_bus_is_not_asked_for_the_draft_whatever_it_says(make_bench, transport):
    """It has the extension in getInfo, the AAGUID of a virtual key, and would answer."""
    bench = make_bench("draft", pin=PIN)
    seen: list[int] = []
    found = Found(transport=transport, path="somewhere")
    with session.Session(found, watched(bench, found, seen)) as opened:
        opened.use_pin(PIN)
        assert opened.key.virtual
        assert "recovery" in opened.info.extensions
        assert not opened.recovery_seeds.supported
        for ask in (
            opened.recovery_seeds.export,
            opened.recovery_seeds.list,
            opened.recovery_seeds.roots,
            lambda: opened.recovery_seeds.import_seed(NO_SEED),
            lambda: opened.recovery_seeds.remove(bytes(65)),
            lambda: opened.recovery_seeds.recover([bytes(82)], bytes(32)),
            lambda: pair_draft.require(opened),
            lambda: pair_draft.export_seed(opened),
            lambda: pair_draft.import_seed(opened, b"nothing", allow_unattested=True),
            lambda: pair_draft.drill(opened, b"nothing"),
        ):
            with pytest.raises(UnsupportedError, match=r"is not one of keyctl's virtual keys.*draft"):
                ask()
    # Not even the PIN was sent.
    assert seen == [Ctap.GET_INFO]


def test_a_pairing_by_the_draft_sends_only_the_byte_of_the_vendor_range(make_bench):
    """To two virtual keys in this process."""
    seen: list[int] = []
    with contextlib.ExitStack() as stack:
        backup, primary = (
            stack.enter_context(in_process(make_bench("draft", pin=PIN, name=name), seen)) for name in ("green", "blue")
        )
        seed = draft_pairing(backup, primary)
        assert pair_draft.remove_seed(primary, seed)
    assert seen.count(RECOVERY) == 4
    assert CONFIG not in seen


def in_process(bench, seen: list[int], sent: list[bytes] | None = None) -> session.Session:
    found = bench.found()
    opened = session.Session(found, watched(bench, found, seen, sent), None, bench.folder)
    opened.use_pin(PIN)
    return opened


def test_a_replayed_command_is_refused(make_bench):
    """Each was sent by keyctl itself a moment ago, MAC and all: a touch ends its token, and so does the next one."""
    bench = make_bench("draft", pin=PIN)
    sent: list[bytes] = []
    with in_process(bench, [], sent) as opened:
        seed = pair_draft.export_seed(opened)
        pair_draft.import_seed(opened, seed)
        assert holds(opened, seed)
        assert pair_draft.remove_seed(opened, seed)
        assert not holds(opened, seed)
    commands = [message for message in sent if message[0] == RECOVERY][:-1]
    assert len(commands) == 4
    with VirtualDevice(bench.folder, bench.name) as device:
        for command in commands:
            assert device.call(0x10, command) == bytes([CtapError.ERR.PIN_AUTH_INVALID])
    with in_process(bench, []) as opened:
        assert not holds(opened, seed)


def test_the_watch_sees_both_bytes(make_bench):
    """So that not seeing them says something."""
    bench = make_bench("draft", pin=PIN)
    seen: list[int] = []
    with WatchedDevice(VirtualDevice(bench.folder, bench.name), seen) as device:
        device.call(0x10, b"\x0d\xa1\x01\x02")
        device.call(0x10, b"\x4b\xa1\x01\x01")
    assert seen == [CONFIG, RECOVERY]


def test_neither_byte_is_among_the_commands_that_keyctl_names():
    assert not {CONFIG, RECOVERY} & set(Ctap)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_says_either_command(path):
    """Neither by number nor through python-fido2, whose names for authenticatorConfig these are."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "fido2.ctap2.config"
            assert not (node.module == "fido2.ctap2" and "Config" in {alias.name for alias in node.names})
        elif isinstance(node, ast.Attribute):
            assert node.attr not in {"CONFIG", "config"}
        elif isinstance(node, ast.Constant):
            assert node.value != bytes([CONFIG])
            assert node.value not in {RECOVERY, bytes([RECOVERY])} or path.name in SENDERS
