"""The handle: touch, cancelling, power, faults, and several processes on one key."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading

import pytest
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.webauthn import (
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRequestOptions,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from keyctl.errors import NotFoundError, StoreError
from keyctl.virtual import keys
from keyctl.virtual.clock import Clock
from keyctl.virtual.device import VirtualDevice

ERR = CtapError.ERR
SELECTION = b"\x0b"
GET_INFO = b"\x04"
RESET = b"\x07"
CBOR = 0x10


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


def gone():
    """The key is not there any more."""
    return pytest.raises(OSError, match="No such device")


def status(bench, message: bytes, **how) -> int:
    return bench.device.call(CBOR, message, **how)[0]


# Touch


def test_a_finger_that_is_there_needs_no_keep_alive(bench):
    seen = []
    assert status(bench, SELECTION, on_keepalive=seen.append) == 0
    assert seen == []


def test_a_late_touch_is_waited_for(bench):
    bench.set("touch=after:2.5")
    seen = []
    assert status(bench, SELECTION, on_keepalive=seen.append) == 0
    assert seen == [STATUS.UPNEEDED]
    assert 2.4 < bench.clock.turned_s < 2.7


def test_nobody_touches_for_thirty_seconds(bench):
    bench.set("touch=never")
    assert status(bench, SELECTION) == ERR.USER_ACTION_TIMEOUT
    assert 30 <= bench.clock.turned_s < 31


def test_a_refused_touch_is_announced_first(bench):
    bench.set("touch=refused")
    seen = []
    assert status(bench, SELECTION, on_keepalive=seen.append) == ERR.OPERATION_DENIED
    assert seen == [STATUS.UPNEEDED]


def test_the_client_cancels_at_the_first_keep_alive(bench):
    bench.set("touch=never")
    event = threading.Event()
    assert status(bench, SELECTION, event=event, on_keepalive=lambda _: event.set()) == ERR.KEEPALIVE_CANCEL
    assert bench.clock.turned_s == 0


@pytest.mark.parametrize("command", ["make", "get", "reset"])
def test_every_command_that_waits_can_be_cancelled(bench, command):
    made = bench.make().auth_data.credential_data.credential_id
    bench.set("touch=never")
    event = threading.Event()
    event.set()
    with refused(ERR.KEEPALIVE_CANCEL):
        {"make": bench.make, "get": bench.get, "reset": bench.ctap.reset}[command](event=event)
    bench.set("touch=now")
    assert bench.get().credential["id"] == made


def test_a_touch_can_be_given_while_the_key_waits(bench):
    bench.set("touch=never")
    assert status(bench, SELECTION, on_keepalive=lambda _: bench.set("touch=now")) == 0


def test_a_key_pulled_while_it_waits_is_gone(bench):
    bench.set("touch=never")
    with gone() as caught:
        status(bench, SELECTION, on_keepalive=lambda _: keys.unplug(bench.folder, bench.name))
    assert caught.value.errno == errno.ENODEV


def test_a_key_replugged_while_it_waits_is_gone_too(bench):
    bench.set("touch=never")

    def replug(_) -> None:
        keys.unplug(bench.folder, bench.name)
        keys.plug(bench.folder, bench.name)

    with gone():
        status(bench, SELECTION, on_keepalive=replug)


def test_a_key_removed_while_it_waits_is_gone_and_stays_gone(bench):
    """By another thread, because removing waits for the command to end."""
    bench.set("touch=never")
    started = threading.Event()
    device = VirtualDevice(bench.folder, bench.name)
    errors = []

    def wait() -> None:
        try:
            device.call(CBOR, SELECTION, on_keepalive=lambda _: started.set())
        except OSError as error:
            errors.append(error.errno)

    thread = threading.Thread(target=wait)
    thread.start()
    assert started.wait(5)
    keys.remove(bench.folder, bench.name)
    thread.join(5)
    assert errors == [errno.ENODEV]
    assert sorted(path.name for path in bench.folder.iterdir()) == [".gitignore", ".lock"]


def test_closing_the_handle_ends_a_wait(bench):
    bench.set("touch=never")
    with gone():
        status(bench, SELECTION, on_keepalive=lambda _: bench.device.close())
    with gone():
        status(bench, GET_INFO)


def test_delays_are_announced_and_cancellable_where_a_person_is_waited_for(bench):
    bench.set("delay-ms=700")
    seen = []
    assert status(bench, GET_INFO, on_keepalive=seen.append) == 0
    assert seen == [STATUS.PROCESSING]
    assert 0.69 < bench.clock.turned_s < 0.75
    event = threading.Event()
    event.set()
    assert status(bench, SELECTION, event=event) == ERR.KEEPALIVE_CANCEL


def test_what_cannot_be_cancelled_takes_its_time(bench):
    bench.set("delay-ms=30")
    event = threading.Event()
    event.set()
    device = VirtualDevice(bench.folder, bench.name)
    assert device.call(CBOR, GET_INFO, event=event)[0] == 0


# Reset and power


def test_reset_forgets_everything_but_the_root(bench):
    bench.set_pin()
    wrapped = bench.make(rk=False).auth_data.credential_data.credential_id
    stored = bench.make().auth_data.credential_data.credential_id
    issuer = bench.make(user_id=b"2").att_stmt["x5c"]
    bench.set("touch=after:1")
    seen = []
    bench.ctap.reset(on_keepalive=seen.append)
    assert seen == [STATUS.UPNEEDED]
    bench.set("touch=now")
    info = bench.ctap.get_info()
    assert (info.options["clientPin"], info.remaining_disc_creds) == (False, 128)
    for credential_id in (wrapped, stored):
        with refused(ERR.NO_CREDENTIALS):
            bench.get(ids=[credential_id])
    made = bench.make()
    assert made.auth_data.counter == 1
    assert made.att_stmt["x5c"] == issuer


def test_reset_is_allowed_only_shortly_after_power_up(bench):
    bench.clock.turned_s += 11
    with refused(ERR.NOT_ALLOWED):
        bench.ctap.reset()
    bench.device.power_cycle()
    bench.ctap.reset()


def test_reset_wants_a_touch(bench):
    bench.make()
    for touch, code in (("refused", ERR.OPERATION_DENIED), ("never", ERR.USER_ACTION_TIMEOUT)):
        bench.set(f"touch={touch}")
        with refused(code):
            bench.ctap.reset()
    assert bench.get(options={"up": False}).user == {"id": b"u1"}


def test_a_replugged_key_needs_a_new_handle(bench):
    old = bench.device
    bench.replug()
    with gone():
        old.call(CBOR, GET_INFO)
    assert status(bench, GET_INFO) == 0


def test_a_power_cycle_keeps_its_own_handle_only(bench):
    other = VirtualDevice(bench.folder, bench.name)
    bench.device.power_cycle()
    assert status(bench, GET_INFO) == 0
    with gone():
        other.call(CBOR, GET_INFO)
    keys.unplug(bench.folder, bench.name)
    with gone():
        bench.device.power_cycle()
    keys.remove(bench.folder, bench.name)
    with gone():
        bench.device.power_cycle()


def test_opening_what_is_not_there(bench):
    with pytest.raises(NotFoundError, match="no virtual key 'red'"):
        VirtualDevice(bench.folder, "red")
    with pytest.raises(NotFoundError):
        VirtualDevice(bench.folder, "../blue")
    keys.unplug(bench.folder, bench.name)
    with gone():
        VirtualDevice(bench.folder, bench.name)
    (bench.folder / "blue.json").write_text("{}")
    with pytest.raises(StoreError, match="has no schema"):
        VirtualDevice(bench.folder, bench.name)


def test_the_home_folders_keys_are_listed(home, make_bench):
    folder = home / "virtual"
    for name in ("a", "b", "c", "d"):
        keys.new(folder, name, "full")
    keys.unplug(folder, "b")
    (folder / "c.json").write_text("nonsense")
    with keys.hold(folder, "d", "nfc"):
        assert [device.name for device in VirtualDevice.list_devices()] == ["a"]
    assert [device.name for device in VirtualDevice.list_devices()] == ["a", "d"]
    make_bench()


@pytest.mark.parametrize(
    ("profile", "capabilities", "spoken"),
    [("full", 0x04, {0x10, 0x03}), ("small", 0x04, {0x10, 0x03}), ("fido2.0", 0x0C, {0x10}), ("u2f", 0x00, {0x03})],
)
def test_a_key_speaks_what_its_capabilities_say(make_bench, profile, capabilities, spoken):
    bench = make_bench(profile)
    assert isinstance(bench.device, CtapDevice)
    assert bench.device.capabilities == capabilities
    for command in (0x01, 0x03, 0x08, 0x10, 0x11):
        if command in spoken:
            assert bench.device.call(command, b"\x00")
        else:
            with refused(ERR.INVALID_COMMAND):
                bench.device.call(command, b"\x00")
    assert repr(bench.device) == "VirtualDevice('other')"
    keys.remove(bench.folder, "other")
    assert bench.device.capabilities == capabilities


# Faults


@pytest.mark.parametrize(("code", "answer"), [("54", 0x36), ("0x7f", 0x7F), ("0xE1", 0xE1)])
def test_a_fault_fails_one_command(bench, code, answer):
    bench.set(f"fault=2:{code}")
    assert [status(bench, GET_INFO) for _ in range(4)] == [0, answer, 0, 0]


def test_faults_are_counted_by_all_processes_together(bench):
    bench.set("fault=2:1", "fault=3:2")
    other = VirtualDevice(bench.folder, bench.name)
    assert status(bench, GET_INFO) == 0
    assert keys.get(bench.folder, bench.name).faults == ("1:1", "2:2")
    assert other.call(CBOR, GET_INFO)[0] == 1
    assert status(bench, GET_INFO) == 2
    assert keys.get(bench.folder, bench.name).faults == ()


def test_a_key_pulled_before_does_nothing(bench):
    bench.set("fault=2:pulled")  # bench.make asks for getInfo first
    with gone():
        bench.make()
    assert not keys.get(bench.folder, bench.name).plugged
    bench.replug()
    with refused(ERR.NO_CREDENTIALS):
        bench.get()


def test_a_key_pulled_after_did_it_all_the_same(bench):
    bench.set("fault=2:pulled-after")
    with gone():
        bench.make()
    bench.replug()
    assert bench.get().user == {"id": b"u1"}


def test_a_wrong_pin_counts_when_its_answer_is_lost(bench):
    bench.set_pin()
    bench.set("fault=2:pulled-after")
    with gone():
        bench.pin.get_pin_token("wrong PIN", ClientPin.PERMISSION.CREDENTIAL_MGMT)
    bench.replug()
    assert bench.pin.get_pin_retries() == (7, False)


def test_garbage_is_no_answer(bench):
    bench.set("fault=1:garbage")
    with pytest.raises((ValueError, TypeError, LookupError, CtapError, OSError)):
        Ctap2(bench.device)


def test_a_busy_key_says_so(bench):
    bench.set("fault=1:busy")
    with refused(ERR.CHANNEL_BUSY):
        bench.device.call(CBOR, GET_INFO)
    assert status(bench, GET_INFO) == 0


def test_a_silent_key_ends_by_itself_or_when_cancelled_or_closed(bench):
    bench.set("fault=1:silence", "fault=2:silence", "fault=3:silence")
    with gone():
        status(bench, GET_INFO)
    assert 60 <= bench.clock.turned_s < 61
    event = threading.Event()
    event.set()
    with refused(ERR.KEEPALIVE_CANCEL):
        bench.device.call(CBOR, GET_INFO, event=event)
    threading.Timer(0.05, bench.device.close).start()
    bench.device._clock = Clock()
    with gone():
        bench.device.call(CBOR, GET_INFO)


# Sharing


def test_one_command_at_a_time(bench):
    bench.set("touch=never")
    other = VirtualDevice(bench.folder, bench.name)

    def look(_) -> None:
        for message in (GET_INFO, SELECTION):
            with refused(ERR.CHANNEL_BUSY):
                other.call(CBOR, message)
        bench.set("touch=now")

    assert status(bench, SELECTION, on_keepalive=look) == 0
    assert other.call(CBOR, GET_INFO)[0] == 0


def test_a_killed_process_leaves_the_key_free(bench):
    bench.set("touch=never")
    program = (
        "import sys, pathlib\n"
        "from keyctl.virtual.device import VirtualDevice\n"
        "device = VirtualDevice(pathlib.Path(sys.argv[1]), 'blue')\n"
        "device.call(16, b'\\x0b', on_keepalive=lambda _: print('waiting', flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(bench.folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout.readline() == b"waiting\n"
        with refused(ERR.CHANNEL_BUSY):
            status(bench, GET_INFO)
        process.kill()
    assert status(bench, GET_INFO) == 0


def test_two_processes_see_each_others_changes(bench):
    """The other process makes a passkey and sets the PIN while this one has everything cached."""
    assert bench.ctap.get_info().remaining_disc_creds == 128
    program = (
        "import sys, pathlib\n"
        "from fido2.ctap2 import Ctap2, ClientPin\n"
        "from keyctl.virtual.device import VirtualDevice\n"
        "ctap = Ctap2(VirtualDevice(pathlib.Path(sys.argv[1]), 'blue'))\n"
        "ctap.make_credential(bytes(32), {'id': 'example.com'}, {'id': b'u'}, [{'type': 'public-key', 'alg': -7}],\n"
        "                     options={'rk': True})\n"
        "ClientPin(ctap).set_pin('1234')\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(bench.folder)],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    info = bench.ctap.get_info()
    assert (info.remaining_disc_creds, info.options["clientPin"]) == (127, True)


def test_two_at_once_lose_no_count(bench):
    """Both try again when the key is busy; every assertion of either counts once."""
    bench.make()
    counters = []

    def assert_often() -> None:
        ctap = None
        while len(counters) < 40:
            try:
                ctap = ctap or Ctap2(VirtualDevice(bench.folder, bench.name))
                counters.append(ctap.get_assertion("example.com", bytes(32)).auth_data.counter)
            except CtapError as error:
                if error.code != ERR.CHANNEL_BUSY:
                    raise

    threads = [threading.Thread(target=assert_often) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(counters) == list(range(2, 2 + len(counters)))
    assert keys.get(bench.folder, bench.name).counter == 1 + len(counters)


def test_a_command_that_cannot_be_written_leaves_the_old_state(bench, monkeypatch):
    """Crash safety: the write fails between the temporary file and its renaming."""
    bench.make()
    before = (bench.folder / "blue.json").read_bytes()

    def full(*_args) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="no space left"):
        bench.make(user_id=b"u2")
    monkeypatch.undo()
    assert (bench.folder / "blue.json").read_bytes() == before
    assert sorted(path.suffix for path in bench.folder.iterdir() if path.name.startswith(".blue")) == []
    assert bench.ctap.get_info().remaining_disc_creds == 127
    assert bench.get().number_of_credentials is None


def test_a_file_damaged_while_the_key_is_open_is_never_overwritten(bench):
    bench.make()
    path = bench.folder / "blue.json"
    damaged = path.read_text().replace('"pin_retries": 8', '"pin_retries": 9')
    path.write_text(damaged)
    for _ in range(2):
        with pytest.raises(StoreError, match="bad pin_retries"):
            bench.get()
    assert path.read_text() == damaged


@pytest.mark.parametrize("moment", ["open", "write", "fsync", "replace"])
def test_a_crash_leaves_the_old_or_the_new_state(bench, moment):
    """A process that is killed at each step of writing; what is left is whole."""
    program = (
        "import sys, os, pathlib, signal\n"
        "import keyctl.store.files as files\n"
        "from fido2.ctap2 import Ctap2\n"
        "from keyctl.virtual.device import VirtualDevice\n"
        "ctap = Ctap2(VirtualDevice(pathlib.Path(sys.argv[1]), 'blue'))\n"
        "def die(*args): os.kill(os.getpid(), signal.SIGKILL)\n"
        "moment = sys.argv[2]\n"
        "if moment == 'write': files.os.fdopen = die\n"
        "else: setattr(files.os, moment, die)\n"
        "ctap.make_credential(bytes(32), {'id': 'example.com'}, {'id': b'u'}, [{'type': 'public-key', 'alg': -7}],\n"
        "                     options={'rk': True})\n"
    )
    bench.make(user_id=b"u1")
    crashed = subprocess.run(
        [sys.executable, "-c", program, str(bench.folder), moment],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert crashed.returncode < 0
    assert len(json.loads((bench.folder / "blue.json").read_text())["credentials"]) == 1
    bench.open()
    assert bench.ctap.info.remaining_disc_creds == 127


# python-fido2's WebAuthn client


class Person(UserInteraction):
    """Touches when asked and knows the PIN."""

    def __init__(self, pin: str) -> None:
        self.pin = pin
        self.asked = []

    def prompt_up(self) -> None:
        self.asked.append("touch")

    def request_pin(self, *_asked):
        self.asked.append("pin")
        return self.pin

    def request_uv(self, *_asked):
        return True


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre"])
def test_the_webauthn_client_registers_and_logs_in(make_bench, profile):
    bench = make_bench(profile)
    bench.set_pin()
    bench.set("touch=after:0.1")
    person = Person(bench.PIN)
    client = Fido2Client(
        bench.device,
        client_data_collector=DefaultClientDataCollector("https://example.com"),
        user_interaction=person,
    )
    made = client.make_credential(
        PublicKeyCredentialCreationOptions(
            rp=PublicKeyCredentialRpEntity(id="example.com", name="Example"),
            user=PublicKeyCredentialUserEntity(id=b"u1", name="alice", display_name="Alice"),
            challenge=bytes(32),
            pub_key_cred_params=[
                PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=alg) for alg in (-8, -7)
            ],
            exclude_credentials=[PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=b"x" * 64)],
            authenticator_selection={
                "residentKey": ResidentKeyRequirement.REQUIRED,
                "userVerification": UserVerificationRequirement.REQUIRED,
            },
        )
    )
    assert person.asked == ["pin", "touch"]
    data = made.response.attestation_object.auth_data
    answer = client.get_assertion(
        PublicKeyCredentialRequestOptions(
            challenge=bytes(32), rp_id="example.com", user_verification=UserVerificationRequirement.REQUIRED
        )
    ).get_response(0)
    assert answer.response.authenticator_data.is_user_verified()
    data.credential_data.public_key.verify(
        answer.response.authenticator_data + answer.response.client_data.hash, answer.response.signature
    )


# Start-up


@pytest.mark.parametrize("token", [False, True])
def test_get_info_loads_no_cryptography_but_to_seal_what_a_token_opens(bench, token):
    if token:
        bench.set_pin()
        bench.token(ClientPin.PERMISSION.PERSISTENT_CREDENTIAL_MGMT)
    program = (
        "import sys, pathlib\n"
        "from keyctl.virtual import keys\n"
        "from keyctl.virtual.device import VirtualDevice\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "assert len(keys.entries(folder)) == 1\n"
        "assert VirtualDevice(folder, 'blue').call(16, b'\\x04')[0] == 0\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('fido2', 'cryptography', 'asyncio')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(bench.folder)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    loaded = done.stdout.split()
    assert ("cryptography" in loaded) is token
    assert [name for name in loaded if not name.startswith("cryptography")] == ["fido2", "fido2.cbor", "fido2.ctap"]
