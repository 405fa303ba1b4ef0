"""Seeds of keys that have hmac-secret only, made and used by the real process of its own."""

from __future__ import annotations

import ctypes
import hmac
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl.core import arkg, p256, seed_cose, software_seed
from keyctl.device import session as sessions
from keyctl.device.discover import discover
from keyctl.device.guard import GuardedDevice
from keyctl.errors import (
    CODES,
    Details,
    Exit,
    KeyctlError,
    NotFoundError,
    PinError,
    StoreError,
    TouchError,
    UnreachableError,
    UnsupportedError,
)
from keyctl.model import OWN_RP_ID, Waits
from keyctl.operations import opening, software_child, software_process, software_seeds
from keyctl.operations import software_messages as messages
from keyctl.operations.software_messages import Failure, Made, Request, Result, Signing, Tell, Trace
from keyctl.store import state as local_state
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.hmac_secret import cred_random
from tests.failing import failing

PIN = "123456"
IKM = b"i" * 32
CTX = b"kc1:ssh:host1"
DIGEST = sha256(b"a message").digest()
#: What the process sends a known key when it makes a seed.
COMMANDS = 13
#: Where in it the credential is made.
MAKING = 5


class Table:
    """A known virtual key, a person, and what they do together."""

    def __init__(self, desk: Any, person: Any, profile: str = "full") -> None:
        self.desk = desk
        desk.know("green", profile=profile, pin=True)
        self.person = person(pins=[PIN])
        self.circumstances = desk.circumstances(self.person, "green")
        with opening.opened(self.circumstances) as session:
            self.pin = software_seeds.ask_pin(session, self.circumstances)
            self.key = session.key

    def make(self, pin: str = PIN, **more: Any) -> Any:
        return software_seeds.make(self.key, pin, replace(self.circumstances, **more))

    def sign(self, seed: Any, pin: str = PIN, **changed: Any) -> bytes:
        points = seed_cose.read_seed(seed.public_seed)
        arguments = {
            "credential_id": seed.credential_id,
            "public_seed": seed.public_seed,
            "key_handle": arkg.derive_public_key(points, IKM, CTX).key_handle,
            "ctx": CTX,
            "digest": DIGEST,
        }
        return software_seeds.sign(self.key, pin, self.circumstances, **arguments | changed)

    def on_key(self) -> list[dict[str, Any]]:
        """The discoverable credentials that are on the key."""
        content = json.loads((self.desk.folder / "green.json").read_text())
        return [credential for credential in content["credentials"] if credential["rp_id"] == OWN_RP_ID]

    def set(self, *settings: str) -> None:
        self.desk.set("green", *settings)

    @property
    def touches(self) -> int:
        return sum(text.startswith("touch green now") for text in self.person.told)


@pytest.fixture
def table(desk: Any, person: Any) -> Table:
    return Table(desk, person)


def children() -> list[int]:
    """The processes that hold a seed and belong to this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == os.getpid() and b"software_child" in command:
            found.append(int(folder.name))
    return found


def public_key(seed: Any) -> bytes:
    return arkg.derive_public_key(seed_cose.read_seed(seed.public_seed), IKM, CTX).public_key


@pytest.mark.parametrize("profile", ["full", "small", "arkg", "fido2.0"])
def test_what_is_derived_while_the_key_is_away_is_signed_for_later(desk: Any, person: Any, profile: str) -> None:
    table = Table(desk, person, profile)
    table.set("touch=after:0.02")
    seed = table.make()
    assert table.touches == 3
    assert seed_cose.encode_seed(seed_cose.read_seed(seed.public_seed)) == seed.public_seed
    (credential,) = table.on_key()
    assert bytes.fromhex(credential["id"]) == seed.credential_id
    assert credential["user_id"] == seed.user_id.hex()
    assert (seed.large_blob_key is None) == (profile == "fido2.0")
    keys.unplug(desk.folder, "green")
    derived = public_key(seed)
    keys.plug(desk.folder, "green")
    signature = table.sign(seed)
    assert table.touches == 4
    assert p256.verifies(derived, DIGEST, signature)
    assert not p256.verifies(derived, sha256(b"another").digest(), signature)
    assert children() == []


def test_each_seed_is_another(table: Table) -> None:
    first = table.make()
    second = table.make()
    assert first.public_seed != second.public_seed
    assert first.user_id != second.user_id
    assert len(table.on_key()) == 2


@pytest.mark.parametrize("attended", [True, False])
def test_a_wrong_pin_costs_one_try_and_is_noted_where_nobody_typed_it(table: Table, attended: bool) -> None:
    table.person.attended = attended
    error = failing(table.make, "654321")
    assert (type(error), error.code, error.details.tries_left) == (PinError, "pin_wrong", 7)
    assert table.desk.tries("green") == 7
    assert table.on_key() == []
    noted = local_state.read_memory(table.circumstances.state, table.key.id).pin_failed_at
    assert (noted is None) == attended
    table.make()
    assert local_state.read_memory(table.circumstances.state, table.key.id).pin_failed_at is None
    error = failing(table.sign, software_seeds.make(table.key, PIN, table.circumstances), "654321")
    assert error.code == "pin_wrong"


@pytest.mark.parametrize(
    ("profile", "kind", "code"),
    [
        ("u2f", UnsupportedError, "unsupported"),
        ("fido2.1-pre", UnsupportedError, "unsupported"),
        ("full", PinError, "pin_not_set"),
        ("full", PinError, "pin_policy"),
    ],
)
def test_keys_that_cannot_are_refused_before_anything_is_asked(
    desk: Any, person: Any, profile: str, kind: type, code: str
) -> None:
    desk.new("green", profile)
    if code == "pin_policy":
        desk.set_pin("green")
        desk.force_pin_change("green")
    somebody = person()
    circumstances = desk.circumstances(somebody, "virtual:green")
    with opening.opened(circumstances) as session:
        for refusing in (software_seeds.require, lambda one: software_seeds.ask_pin(one, circumstances)):
            error = failing(refusing, session)
            assert (type(error), error.code) == (kind, code)
    assert somebody.requests == []


def test_the_pin_is_asked_for_once(table: Table) -> None:
    assert table.pin == PIN
    assert [request.purpose for request in table.person.requests] == ["current"]


def test_a_key_that_wants_its_pin_to_say_which_one_it_is_works_too(desk: Any, person: Any) -> None:
    table = Table(desk, person)
    desk.always_uv("green")
    seed = table.make()
    assert p256.verifies(public_key(seed), DIGEST, table.sign(seed))
    assert desk.tries("green") == 8


@pytest.mark.parametrize("fault", ["pulled", "pulled-after", "garbage"])
@pytest.mark.parametrize("number", [1, 2, 4, MAKING, 7, 9, COMMANDS])
def test_a_key_that_fails_half_way_keeps_nothing_or_it_is_said(table: Table, number: int, fault: str) -> None:
    table.set(f"fault={number}:{fault}")
    error = failing(table.make)
    assert error.exit_status in {Exit.UNREACHABLE, Exit.NO_KEY}
    if table.on_key():
        assert "on green" in error.message
        assert "--leftovers" in (error.hint or "")
    elif number > MAKING:
        assert error.message.endswith("the credential that was made on green was deleted again")
    assert children() == []


@pytest.mark.parametrize(("touch", "code"), [("refused", "touch_refused"), ("never", "no_touch")])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_touches_that_do_not_come_leave_nothing(table: Table, touch: str, code: str, number: int) -> None:
    table.set("touch=after:0.8")

    def act(_text: str) -> None:
        if table.touches == number:
            table.set(f"touch={touch}")

    table.person.acts = act
    error = failing(table.make, waits=Waits(touch_s=3, plug_s=0, lock_s=0))
    assert (type(error), error.code) == (TouchError, code)
    assert table.touches == number
    assert ("was deleted again" in error.message) == (number > 1)
    assert table.on_key() == []


def test_a_credential_that_cannot_be_deleted_is_told_of(desk: Any, person: Any) -> None:
    table = Table(desk, person, "fido2.0")
    table.set(f"fault={COMMANDS}:0x27")
    error = failing(table.make)
    assert (type(error), error.code) == (TouchError, "touch_refused")
    assert "is still there" in error.message
    assert len(table.on_key()) == 1


def test_another_key_in_its_place_is_given_nothing(table: Table) -> None:
    table.desk.know("blue", pin=True)
    table.desk.swap("green", "blue")
    for call in (table.make, lambda: table.sign(SEED, key_handle=HANDLE)):
        error = failing(call)
        assert (type(error), error.code, error.key) == (UnreachableError, "wrong_key", "green")
    assert table.touches == 0
    assert table.on_key() == []


def test_an_unknown_key_in_its_place_is_given_nothing(table: Table) -> None:
    table.desk.reset("green")
    assert failing(table.make).code == "wrong_key"
    keys.unplug(table.desk.folder, "green")
    assert failing(table.make).code == "no_key"


class Answer:
    """A seed as the inventory says it."""

    def __init__(self, public_seed: bytes, credential_id: bytes) -> None:
        self.public_seed = public_seed
        self.credential_id = credential_id


PRIVATE = software_seed.private_seed((b"a" * 32, b"b" * 32))
SEED = Answer(seed_cose.encode_seed(arkg.public_seed(PRIVATE)), b"c" * 64)
HANDLE = arkg.derive_public_key(arkg.public_seed(PRIVATE), IKM, CTX).key_handle


def test_only_for_its_own_seed_handle_and_context_is_signed(table: Table) -> None:
    seed, other = table.make(), table.make()
    for changed in (
        {"public_seed": SEED.public_seed},
        {"public_seed": other.public_seed},
        {"credential_id": other.credential_id},
        {"key_handle": HANDLE},
        {"ctx": b"kc1:ssh:host2"},
    ):
        error = failing(table.sign, seed, **changed)
        assert (type(error), error.code) == (StoreError, "pairing_changed")
    table.set("touch=refused")
    for changed in ({"public_seed": b"\xa0"}, {"key_handle": b""}, {"ctx": bytes(65)}, {"digest": b""}):
        assert failing(table.sign, seed, **changed).code == "pairing_changed"


def test_a_seed_whose_credential_is_gone_is_gone(table: Table) -> None:
    seed = table.make()
    with opening.opened(table.circumstances) as session:
        session.use_pin(PIN)
        session.delete_passkey(seed.credential_id)
    error = failing(table.sign, seed)
    assert (type(error), error.code) == (NotFoundError, "passkey_not_found")
    assert error.message == "green does not hold the credential of its seed any more"


def test_somebody_who_interrupts_leaves_nothing(table: Table) -> None:
    table.set("touch=after:1.5")

    def act(text: str) -> None:
        if table.touches == 2 and text.startswith("touch"):
            table.set("touch=never")
            raise KeyboardInterrupt

    table.person.acts = act
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        table.make()
    assert time.monotonic() - started < 8
    assert table.person.told[-1] == "interrupted; the credential that was made on green was deleted again"
    assert table.on_key() == []
    assert children() == []


@pytest.mark.parametrize(
    ("number", "name"), [(1, "SIGKILL"), (2, "SIGKILL"), (1, "SIGTERM"), (2, "SIGTERM"), (2, "SIGSTOP")]
)
def test_a_process_that_dies_is_reported(table: Table, number: int, name: str) -> None:
    # Long enough to be faster than the touch, also on a busy machine.
    table.set("touch=after:30" if number == 1 else "touch=after:2")

    def act(text: str) -> None:
        if table.touches == number and text.startswith("touch"):
            (child,) = children()
            os.kill(child, signal.Signals[name])

    table.person.acts = act
    request = request_for(table, None)
    # One that is stopped is waited for; 5 seconds more are for a touch.
    error = failing(software_process.answered, request, table.circumstances, quiet_s=-2, ending_s=1)
    assert (type(error), error.code, error.key) == (UnreachableError, "seed_process_failed", "green")
    assert {"SIGTERM": "exit status 143", "SIGKILL": "ended by SIGKILL", "SIGSTOP": "did not answer in time"}[
        name
    ] in error.message
    if name == "SIGTERM":
        assert table.on_key() == []
    assert ("a credential that it made may still be on green" in error.message) == (number > 1)
    assert (table.person.told[-1].startswith("a credential that was made may still be on green")) == (name == "SIGSTOP")
    assert children() == []


def test_it_ends_when_the_one_who_started_it_is_gone(table: Table) -> None:
    table.set("touch=after:1.5")
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from keyctl.model import Key, Recognition, Transport, Waits
        from keyctl.operations import software_seeds
        from keyctl.operations.asking import Circumstances
        class Asker:
            attended = True
            def tell(self, text):
                print(text, flush=True)
        home = Path({str(table.desk.home)!r})
        key = Key(id={table.key.id!r}, name="green", connected=True, selector="virtual:green",
                  transport=Transport.VIRTUAL, path="green", aaguid={table.key.aaguid!r})
        circumstances = Circumstances(home=home, state=home / "state", wanted="green", turn_s=0, asker=Asker(),
                                      waits=Waits(touch_s=60, plug_s=0, lock_s=0))
        software_seeds.make(key, {PIN!r}, circumstances)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        for number in (1, 2):
            assert parent.stdout.readline() == "touch green now (60 s)\n"
            if number == 1:
                time.sleep(0.05)
        table.set("touch=never")
        assert len(table.on_key()) == 1
        parent.kill()
    deadline = time.monotonic() + 20
    while table.on_key() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert table.on_key() == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nobody_else_sees_the_pin_or_the_memory(table: Table) -> None:
    table.set("touch=after:2")
    seen: list[str] = []

    def act(_text: str) -> None:
        (child,) = children()
        folder = Path("/proc") / str(child)
        told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes() if os.geteuid() == 0 else b""
        told += subprocess.run(["ps", "-ww", "-o", "args", "-p", str(child)], capture_output=True, check=False).stdout
        assert PIN.encode() not in told
        assert b"software_child" in told
        # What cannot be dumped belongs to root.
        assert (folder / "mem").stat().st_uid == 0
        limit = next(line for line in (folder / "limits").read_text().splitlines() if "core file" in line)
        seen.append(" ".join(limit.split()))

    table.person.acts = act
    table.make()
    assert seen == ["Max core file size 0 0 bytes"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this")
def test_it_cannot_be_dumped() -> None:
    pr_get_dumpable = 3
    program = (
        "import ctypes; from keyctl.operations import software_child as child; child._shield(); "
        f"print(ctypes.CDLL(None).prctl({pr_get_dumpable}, 0, 0, 0, 0))"
    )
    before = ctypes.CDLL(None).prctl(pr_get_dumpable, 0, 0, 0, 0)
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"0\n"
    assert ctypes.CDLL(None).prctl(pr_get_dumpable, 0, 0, 0, 0) == before


def talk(line: bytes) -> subprocess.CompletedProcess[bytes]:
    """What the process says to *line*, with the other end open until it ends."""
    command = [sys.executable, "-I", "-c", software_process._START, *(path for path in sys.path if path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(line)
        process.stdin.flush()
        said, complained = process.stdout.read(), process.stderr.read()
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def request_for(table: Table, signing: Signing | None) -> Request:
    return Request(
        home=table.desk.home,
        state=table.circumstances.state,
        waits=table.circumstances.waits,
        attended=True,
        selector="virtual:green",
        key_id=table.key.id or "",
        aaguid=table.key.aaguid,
        label="green",
        pin=PIN,
        signing=signing,
    )


def test_nothing_secret_is_ever_said(table: Table) -> None:
    made = talk(messages.request_line(request_for(table, None)))
    result = next(
        message.octets
        for message in map(messages.message_from, made.stdout.splitlines(keepends=True))
        if isinstance(message, Result)
    )
    seed = Answer(result["public_seed"] or b"", result["credential_id"] or b"")
    derived = arkg.derive_public_key(seed_cose.read_seed(seed.public_seed), IKM, CTX)
    work = {"credential_id": seed.credential_id, "public_seed": seed.public_seed, "ctx": CTX, "digest": DIGEST}
    said = made.stdout + made.stderr
    for handle in (derived.key_handle, HANDLE):
        signed = talk(messages.request_line(request_for(table, Signing(**work, key_handle=handle))))
        said += signed.stdout + signed.stderr
    assert said.count(b'"result"') == 2
    assert said.count(b'"error"') == 1
    # As the key calculates them.
    (credential,) = table.on_key()
    key = cred_random(bytes.fromhex(credential["private_key"]), verified=True)
    secrets = [hmac.digest(key, salt, "sha256") for salt in software_seed.SALTS]
    private = software_seed.private_seed((secrets[0], secrets[1]))
    assert seed_cose.encode_seed(arkg.public_seed(private)) == seed.public_seed
    derived_private = arkg.derive_private_key(private, derived.key_handle, CTX)
    for number in (private.sk_bl, private.sk_kem, derived_private, *(int.from_bytes(one, "big") for one in secrets)):
        assert str(number).encode() not in said
        assert f"{number:x}".encode() not in said.lower()
    assert PIN.encode() not in said


def test_what_goes_wrong_in_it_is_named_without_what_it_worked_on() -> None:
    for line in (b"no request\n", b'{"signing": null, "home": "/", "state": "/", "pin": "987654"}\n'):
        done = talk(line)
        (message,) = map(messages.message_from, done.stdout.splitlines(keepends=True))
        assert isinstance(message, Failure)
        assert (message.error.code, message.error.exit_status) == ("bug", Exit.BUG)
        assert "Error in " in message.error.message
        assert b"987654" not in done.stdout + done.stderr


def test_without_a_request_it_ends() -> None:
    command = [sys.executable, "-I", "-c", software_process._START, *(path for path in sys.path if path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (Exit.TERMINATED, b"", b"")


def test_a_module_in_the_current_folder_is_not_loaded(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fido2", "keyctl", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    table.make()


class Forgetful(VirtualDevice):
    """A key whose secrets are others after each use."""

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        answer = super().call(cmd, data, *more)
        if data[:1] == b"\x02":
            path = self._folder / f"{self.name}.json"
            content = json.loads(path.read_text())
            for credential in content["credentials"]:
                credential["private_key"] = os.urandom(31).hex().zfill(64)
            path.write_text(json.dumps(content))
        return answer

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._folder = folder


def test_secrets_that_change_are_no_seed(table: Table) -> None:
    said: list[messages.Message] = []
    voice = software_child.Voice(lambda line: said.append(messages.message_from(line)))
    (found,) = discover(table.desk.home, "virtual:green").found
    guard = GuardedDevice(Forgetful(table.desk.folder, "green"), "green", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    with sessions.Session(found, guard) as session:
        session.use_pin(PIN)
        error = failing(software_child.make, session, voice)
    assert (type(error), error.code) == (UnreachableError, "key_nonsense")
    assert error.message.endswith(
        "with other secrets than the first time; the credential that was made on virtual:green was deleted again"
    )
    assert [type(message) for message in said] == [Made]
    assert table.on_key() == []


def test_nonsense_is_no_message() -> None:
    for line in (
        b"",
        b"\n",
        b"tell\n",
        b"[]\n",
        b'"tell"\n',
        b"{}\n",
        b'{"tell": "x"}',
        b'{"tell": 1}\n',
        b'{"tell": "x", "trace": "y"}\n',
        b'{"other": "x"}\n',
        b'{"made": "0"}\n',
        b'{"made": ["00"]}\n',
        b'{"result": []}\n',
        b'{"result": {"signature": 1}}\n',
        b'{"error": {"code": "bug"}}\n',
        b"[" * 30_000 + b"\n",
        b"9" * 10_000 + b"\n",
        b'{"tell": "' + b"x" * messages.MAX_LINE_BYTES + b'"}\n',
        b"\xff\xfe\n",
    ):
        with pytest.raises(ValueError):  # noqa: PT011  # which it is does not matter
            messages.message_from(line)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "no such code"},
        {"code": []},
        {"message": None},
        {"hint": 1},
        {"key": 0},
        {"more": 1},
        {"details": None},
        {"details": {}},
        {"details": {"tries_left": True}},
        {"details": {"tries_left": 256}},
        {"details": {"ctap_status": -1}},
        {"details": {"ctap_status": 1.5}},
        {"details": {"power_cycle_needed": 1}},
        {"details": {"candidates": "usb:"}},
        {"details": {"candidates": [1]}},
        {"details": {"candidates": ["usb:"] * 65}},
        {"details": {"file": 1}},
    ],
)
def test_an_error_that_is_none_is_no_message(change: dict[str, Any]) -> None:
    error = json.loads(messages.line(Failure(PinError("pin_wrong", "wrong PIN for green"))))["error"]
    messages.message_from(json.dumps({"error": error}).encode() + b"\n")
    details = change.get("details")
    if isinstance(details, dict) and details:
        change = {"details": error["details"] | details}
    with pytest.raises(ValueError):  # noqa: PT011  # which it is does not matter
        messages.message_from(json.dumps({"error": error | change}).encode() + b"\n")


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
            lambda value: json.dumps({"result": value}).encode() + b"\n"
        ),
    )
)
@example(b'{"tell": "\\ud800"}\n')
def test_whatever_is_said_is_a_message_or_none(line: bytes) -> None:
    try:
        message = messages.message_from(line)
    except ValueError:
        return
    assert messages.message_from(messages.line(message)) == message


@pytest.mark.parametrize("code", CODES)
def test_every_error_arrives_as_it_was(code: str) -> None:
    kinds = {kind.family: kind for kind in KeyctlError.__subclasses__()}
    details = Details(
        tries_left=7, power_cycle_needed=True, ctap_status=0x31, candidates=("usb:a", "usb:b"), file="/home\n/x"
    )
    sent = kinds.get(CODES[code][0], KeyctlError)(code, "a message", "a hint", key="grün\udc80", details=details)
    heard = messages.message_from(messages.line(Failure(sent)))
    assert isinstance(heard, Failure)
    for name in ("code", "message", "hint", "key", "details", "exit_status"):
        assert getattr(heard.error, name) == getattr(sent, name)
    assert type(heard.error) is type(sent)


@pytest.mark.parametrize("message", [Tell("touch"), Trace("getInfo"), Made(b"\0\1"), Result({"a": b"", "b": None})])
def test_every_message_arrives_as_it_was(message: messages.Message) -> None:
    assert messages.message_from(messages.line(message)) == message


@pytest.mark.parametrize(
    "signing",
    [
        None,
        Signing(credential_id=b"a", public_seed=b"b", key_handle=b"c", ctx=b"", digest=b"d"),
    ],
)
def test_a_request_arrives_as_it_was_and_hides_the_pin(table: Table, signing: Signing | None) -> None:
    request = replace(request_for(table, signing), pin="pín\udc801234", home=Path("/a\udcffb"))
    heard = messages.request_from(messages.request_line(request))
    assert heard == request
    assert {one.name for one in fields(heard)} == {one.name for one in fields(Request)}
    assert "1234" not in repr(request)
