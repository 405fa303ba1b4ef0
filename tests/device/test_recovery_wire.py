"""What keyctl never sends: two command bytes of the draft extension "recovery", which real keys take for others."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest

from keyctl.core import binding
from keyctl.device import session
from keyctl.device.commands import Ctap
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.errors import KeyctlError
from keyctl.model import Transport
from keyctl.virtual.device import VirtualDevice
from tests.wire_watch import CONFIG, RECOVERY, WatchedDevice

PIN = "123456"
KEYCTL = Path(session.__file__).parent.parent
#: Nothing else talks to devices.
MODULES = sorted((KEYCTL / "device").rglob("*.py"))
#: Modules that may send the draft's command: each has to make sure first that the key is a virtual one.
SENDERS: set[str] = set()


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
    device = GuardedDevice(
        WatchedDevice(VirtualDevice(bench.folder, bench.name), seen),
        found.selector,
        touch_s=30,
        lock_s=0,
        on_touch=lambda _label, _seconds: None,
    )
    with session.Session(found, device) as opened:
        for step in (
            opened.pin_retries,
            opened.uv_retries,
            lambda: opened.use_pin(PIN),
            opened.verify_pin,
            opened.count_passkeys,
            lambda: [passkey.credential_id for passkey in opened.list_passkeys().passkeys],
            lambda: opened.enrol([]),
            lambda: pairing(opened),
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
