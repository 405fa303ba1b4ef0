"""The agent, on a real socket, with the backup key behind it."""

from __future__ import annotations

import base64
import os
import signal
import stat
import subprocess
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from keyctl.core import key_formats, sshsig
from keyctl.core import ssh_agent_messages as messages
from keyctl.core.ssh_wire import Reader, string
from keyctl.model import Waits
from keyctl.operations import agent_socket, ssh_agent
from keyctl.virtual import keys
from tests.core import ssh_parts
from tests.failing import failing
from tests.operations.agents import PATIENCE_S, Agents, Client, signing, verifies
from tests.operations.pairs import PIN, Pairs, with_keys

HOST = "ssh:server.example.com"
LABEL = "sign:release"
MESSAGE = sshsig.Message(namespace="file", hash="sha512", digest=bytes(64)).signed_data


@pytest.fixture
def paired(pairs) -> Pairs:
    """Two keys, and derived keys that are recorded."""
    pairs.desk.put(with_keys(pairs.paired(), LABEL, HOST, "rp:example.com"))
    return pairs


@pytest.fixture
def agents(tmp_path) -> Agents:
    return Agents(tmp_path)


def public_key(pairing, target):
    return with_keys(pairing, target).derived[-1].public_key


def blob_of(pairs, target):
    return key_formats.openssh_blob(public_key(pairs.desk.inventory.pairings[0], target))


# What is offered.


def test_it_offers_the_recorded_keys_those_for_log_ins_first(paired, agents):
    def client(path):
        with Client(path) as here:
            return here.keys()

    listed = agents.run(paired.circumstances(paired.person(0)), client)
    assert list(listed) == [HOST, LABEL]
    assert listed == {target: blob_of(paired, target) for target in (HOST, LABEL)}


def test_what_is_named_comes_first_recorded_or_not_and_once(paired, agents):
    def client(path):
        with Client(path) as here:
            return list(here.keys())

    circumstances = paired.circumstances(paired.person(0))
    assert agents.run(circumstances, client, targets=("ssh:new.example.com", LABEL)) == [
        "ssh:new.example.com",
        LABEL,
        HOST,
    ]


def test_an_authorized_keys_file_brings_back_what_the_inventory_has_lost(pairs, agents):
    pairing = pairs.paired()
    own = key_formats.openssh(public_key(pairing, HOST), HOST)
    other = key_formats.openssh(public_key(pairing, "ssh:other.example.com"), "ssh:elsewhere.example.com")
    lines = [
        "# ecdsa-sha2-nistp256 comment",
        f'from="*.example.com",command="echo hi" {own}',
        other,
        "ssh-ed25519 AAAA kim@desk",
        "ecdsa-sha2-nistp256 !!!! ssh:server.example.com",
        "ecdsa-sha2-nistp256 AAAA rp:example.com",
        own.rpartition(" ")[0],
        "ecdsa-sha2-nistp256 " + "A" * 10_000,
    ]
    content = "\n".join(lines).encode() + b"\n\xff\xfe\n"
    person = pairs.person(0)

    def client(path):
        with Client(path) as here:
            return here.keys()

    assert agents.run(pairs.circumstances(person), client, authorized=content) == {HOST: blob_of(pairs, HOST)}
    [told] = [line for line in person.told if line.startswith("left out")]
    assert (
        told
        == "left out: line 3 of authorized_keys has another key for ssh:elsewhere.example.com than the backup key's"
    )
    error = failing(agents.run, pairs.circumstances(person), client, authorized=bytes(2**20 + 1))
    assert error.code == "import_unreadable"


def test_without_any_key_or_with_one_for_a_site_there_is_no_agent(pairs, agents):
    here = pairs.circumstances(pairs.person(0))
    assert failing(agents.run, here, None).code == "pairing_not_found"
    pairs.paired()
    assert failing(agents.run, here, None).code == "derived_not_found"
    assert failing(agents.run, here, None, targets=("rp:example.com",)).code == "usage"


# Signing.


def test_a_log_in_and_a_message_are_signed_after_telling_who_wants_it_and_what_for(paired, agents):
    person = paired.person(2)

    def client(path):
        with Client(path) as here:
            blobs = here.keys()
            login = ssh_parts.login(blob=blobs[HOST], user=b"ki\x1bm")
            return [(here.sign(blobs[target], data), blobs[target], data) for target, data in
                    ((HOST, login), (LABEL, MESSAGE))]  # fmt: skip

    for answer, blob, data in agents.run(paired.circumstances(person), client):
        assert verifies(answer, blob, sha256(data).digest())
    assert len(person.requests) == 2
    told = [line for line in person.told if "wants to" in line]
    who = f"{Path('/proc/self/comm').read_text().strip()} (process {os.getpid()})"
    assert told == [
        f"{who} wants to log in as ki\\x1bm at a host that it does not name, with the key for {HOST} of blue/green",
        f"{who} wants to sign something in the namespace file, with the key for {LABEL} of blue/green",
    ]


def test_the_host_is_told_by_the_fingerprint_of_its_key(paired, agents):
    person = paired.person(1)
    bind = ssh_parts.bind("rsa")

    def client(path):
        with Client(path) as here:
            blob = here.keys()[HOST]
            bound = here.ask(bytes.fromhex(ssh_parts.RECORDED["requests"]["rsa"][0]))
            return bound, here.sign(blob, ssh_parts.login(blob=blob, session_id=bind.session_id))[0]

    assert agents.run(paired.circumstances(person), client) == (messages.SUCCESS, 14)
    fingerprint = base64.b64encode(sha256(bind.host_key).digest()).decode().rstrip("=")
    assert any(f"at the host whose key is SHA256:{fingerprint}," in line for line in person.told)


@pytest.mark.parametrize(
    ("target", "data", "why"),
    [
        (HOST, b"anything", "what is to be signed ends in the middle"),
        (HOST, bytes(32), "what is to be signed begins with no session id"),
        (HOST, ssh_parts.login(blob=b"another"), "a login with another key"),
        (LABEL, ssh_parts.login(), "in the format of ssh-keygen -Y only"),
        (LABEL, b"raw", "in the format of ssh-keygen -Y only"),
        ("ssh:unknown.example.com", MESSAGE, "by a key that is not offered"),
        ("rp:example.com", MESSAGE, "by a key that is not offered"),
    ],
    ids=["no-request", "zeros", "another-key", "log-in-by-a-key-for-messages", "raw", "unknown-key", "key-for-a-site"],
)
def test_what_may_not_be_signed_costs_neither_pin_nor_touch(paired, agents, target, data, why):
    person = paired.person(1)

    def client(path):
        with Client(path) as here:
            return here.sign(blob_of(paired, target), data), here.sign(b"", data), list(here.keys())

    refused, empty, listed = agents.run(paired.circumstances(person), client)
    assert (refused, empty) == (messages.FAILURE, messages.FAILURE)
    assert listed == [HOST, LABEL]
    assert (person.requests, paired.touches()) == ([], 0)
    assert any(line.startswith("refused ") and why in line for line in person.told)


def test_what_else_an_agent_can_do_this_one_does_not(paired, agents):
    asked = [b"\x11key", b"\x13", b"\x16" + string(b"secret"), b"\x01", b"\xff", b"\x1b" + string(b"new@example.com")]
    person = paired.person(0)

    def client(path):
        with Client(path) as here:
            answers = [here.ask(message) for message in asked]
            return answers, here.ask(b"\x1b" + string(b"query")), here.ask(b"\x0b trailing"), list(here.keys())

    answers, query, trailing, listed = agents.run(paired.circumstances(person), client)
    assert set(answers) == {messages.FAILURE}
    fields = Reader(query)
    assert (fields.octet(), fields.text()) == (29, "query")
    assert trailing == messages.FAILURE
    assert listed == [HOST, LABEL]
    assert any("this agent cannot use the extension new@example.com" in line for line in person.told)


def test_another_computer_gets_neither_keys_nor_signatures_unless_it_may(paired, agents):
    forwarding = bytes.fromhex(ssh_parts.RECORDED["requests"]["forwarded"][2])
    blob = blob_of(paired, HOST)

    def client(path):
        with Client(path) as here:
            return here.ask(forwarding), here.ask(b"\x0b")[0], here.sign(blob, MESSAGE)[0]

    assert agents.run(paired.circumstances(paired.person(0)), client) == (messages.SUCCESS, 5, 5)
    person = paired.person(1)
    assert agents.run(paired.circumstances(person), client, allow_forwarded=True) == (messages.SUCCESS, 12, 14)
    assert any(", for another computer, wants to sign something" in line for line in person.told)


def test_a_session_that_no_host_vouches_for_is_an_extension_that_failed(paired, agents):
    spoiled = bytearray.fromhex(ssh_parts.RECORDED["requests"]["ed25519"][0])
    spoiled[-2] ^= 1

    def client(path):
        with Client(path) as here:
            return here.ask(bytes(spoiled)), here.sign(blob_of(paired, HOST), MESSAGE)

    person = paired.person(0)
    answers = agents.run(paired.circumstances(person), client)
    assert answers == (messages.EXTENSION_FAILURE, messages.FAILURE)


# When there is no signature.


def test_a_wrong_pin_is_a_failure_and_the_next_one_is_asked_for(paired, agents):
    person = paired.person_class(pins=["000000", PIN])

    def client(path):
        with Client(path) as here:
            return [here.sign(blob_of(paired, LABEL), MESSAGE)[0] for _ in range(2)]

    assert agents.run(paired.circumstances(person), client) == [5, 14]
    assert any(line.startswith("refused ") and "wrong PIN" in line for line in person.told)


def test_a_key_that_nobody_touches_or_that_is_away_is_a_failure_and_the_agent_lives_on(paired, agents):
    circumstances = replace(paired.circumstances(paired.person(3)), waits=Waits(touch_s=0.2, plug_s=0.0, lock_s=0.0))

    def client(path):
        with Client(path) as here:
            keys.configure(paired.desk.folder, "green", ["touch=never"])
            untouched = here.sign(blob_of(paired, LABEL), MESSAGE)[0]
            keys.configure(paired.desk.folder, "green", ["touch=now"])
            keys.unplug(paired.desk.folder, "green")
            away = here.sign(blob_of(paired, LABEL), MESSAGE)[0]
            keys.plug(paired.desk.folder, "green")
            return untouched, away, here.sign(blob_of(paired, LABEL), MESSAGE)[0]

    assert agents.run(circumstances, client) == (5, 5, 14)


# PINs that are kept.


def test_a_pin_is_kept_for_its_time_once_it_has_proved_right(paired, agents):
    person = paired.person(3)

    def client(path):
        with Client(path) as here:
            answers = [here.sign(blob_of(paired, LABEL), MESSAGE)[0] for _ in range(2)]
            time.sleep(1.1)
            return [*answers, here.sign(blob_of(paired, LABEL), MESSAGE)[0]]

    assert agents.run(paired.circumstances(person), client, keep_pin_s=1.0) == [14, 14, 14]
    assert len(person.requests) == 2


def test_a_kept_pin_that_the_key_refuses_is_forgotten_and_never_tried_again(paired, agents):
    person = paired.person_class(pins=["000000", PIN, "654321"])

    def client(path):
        from fido2.ctap2 import ClientPin, Ctap2

        from keyctl.virtual.device import VirtualDevice

        with Client(path) as here:
            answers = [here.sign(blob_of(paired, LABEL), MESSAGE)[0] for _ in range(3)]
            with VirtualDevice(paired.desk.folder, "green") as device:
                ClientPin(Ctap2(device)).change_pin(PIN, "654321")
            answers += [here.sign(blob_of(paired, LABEL), MESSAGE)[0] for _ in range(2)]
            with VirtualDevice(paired.desk.folder, "green") as device:
                return answers, ClientPin(Ctap2(device)).get_pin_retries()[0]

    # Wrong, right, kept; changed elsewhere; typed anew.
    assert agents.run(paired.circumstances(person), client, keep_pin_s=600.0) == ([5, 14, 14, 5, 14], 8)
    assert len(person.requests) == 3


def test_a_pin_is_not_kept_where_nobody_touched_the_key(paired, agents):
    person = paired.person(2)
    circumstances = replace(paired.circumstances(person), waits=Waits(touch_s=0.2, plug_s=0.0, lock_s=0.0))

    def client(path):
        with Client(path) as here:
            keys.configure(paired.desk.folder, "green", ["touch=never"])
            untouched = here.sign(blob_of(paired, LABEL), MESSAGE)[0]
            keys.configure(paired.desk.folder, "green", ["touch=now"])
            return untouched, here.sign(blob_of(paired, LABEL), MESSAGE)[0]

    assert agents.run(circumstances, client, keep_pin_s=600.0) == (5, 14)
    assert len(person.requests) == 2


# Many at once.


def test_who_waits_or_dawdles_keeps_nobody_from_anything(paired, agents):
    asked = threading.Event()
    go_on = threading.Event()

    class Slow(paired.person_class):
        def pin(self, request):
            asked.set()
            assert go_on.wait(PATIENCE_S)
            return super().pin(request)

    def client(path):
        with Client(path) as signer, Client(path) as half, Client(path) as silent, Client(path) as other:
            half.socket.sendall(b"\0\0\0")
            signer.send(signing(blob_of(paired, LABEL), MESSAGE))
            assert asked.wait(PATIENCE_S)
            # While somebody is asked for the PIN.
            listed = list(other.keys())
            go_on.set()
            return listed, signer.receive()[0], list(silent.keys())

    assert agents.run(paired.circumstances(Slow(pins=[PIN])), client) == ([HOST, LABEL], 14, [HOST, LABEL])


def test_one_signature_is_made_after_the_other(paired, agents):
    person = paired.person(4)

    def client(path):
        clients = [Client(path) for _ in range(4)]
        for one in clients:
            one.send(signing(blob_of(paired, LABEL), MESSAGE))
        answers = [one.receive()[0] for one in clients]
        for one in clients:
            one.socket.close()
        return answers

    assert agents.run(paired.circumstances(person), client) == [14] * 4
    assert len(person.requests) == 4


def test_nobody_is_asked_for_who_has_gone(paired, agents):
    asked, go_on = threading.Event(), threading.Event()

    class Slow(paired.person_class):
        def pin(self, request):
            asked.set()
            assert go_on.wait(PATIENCE_S)
            return super().pin(request)

    person = Slow(pins=[PIN])

    def client(path):
        with Client(path) as first, Client(path) as other:
            first.send(signing(blob_of(paired, LABEL), MESSAGE))
            assert asked.wait(PATIENCE_S)
            with Client(path) as impatient:
                impatient.send(signing(blob_of(paired, LABEL), MESSAGE))
                # Listened to in turn, so it has been heard when this one is answered.
                other.keys()
            other.keys()
            go_on.set()
            return first.receive()[0]

    assert agents.run(paired.circumstances(person), client) == 14
    assert len(person.requests) == 1


@pytest.mark.parametrize("length", [0, messages.MAX_MESSAGE_BYTES + 1, 100_000_000, 2**32 - 1])
def test_messages_that_are_none_end_the_connection_and_nothing_else(paired, agents, length):
    person = paired.person(0)

    def client(path):
        with Client(path) as here, Client(path) as other:
            here.socket.sendall(length.to_bytes(4, "big") + bytes(100))
            return here.hung_up, list(other.keys())

    assert agents.run(paired.circumstances(person), client) == (True, [HOST, LABEL])
    assert any(line.startswith("hung up on ") and f"of {length} bytes" in line for line in person.told)


def test_the_longest_message_is_answered(paired, agents):
    def client(path):
        with Client(path) as here:
            return here.ask(b"\x1b" + string(b"x") + bytes(messages.MAX_MESSAGE_BYTES - 6))

    assert agents.run(paired.circumstances(paired.person(0)), client) == messages.FAILURE


def test_who_begins_a_message_has_to_go_on():
    told: list[str] = []
    with (
        agent_socket.listening(None) as (listener, path),
        agent_socket.Door(listener, lambda _peer: lambda message: message, told.append, patience_s=0.1),
        Client(path) as begins,
        Client(path) as silent,
    ):
        begins.socket.sendall(b"\0")
        assert begins.hung_up
        assert silent.ask(b"hello") == b"hello"


# The socket.


def test_the_socket_is_its_users_alone_and_goes_with_the_agent(paired, agents, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def client(path):
        return path, stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)

    path, folder_mode, socket_mode = agents.run(paired.circumstances(paired.person(0)), client)
    assert (path.parent.parent, folder_mode, socket_mode) == (tmp_path, 0o700, 0o600)
    assert not path.parent.exists()


def test_a_runtime_folder_that_others_can_write_in_is_not_used(monkeypatch, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    for folder in (str(shared), "relative", str(tmp_path / "none")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with agent_socket.listening(None) as (_, path):
            assert tmp_path not in path.parents
            assert path.parent.is_absolute()


def test_nobody_but_its_own_user_is_listened_to():
    told: list[str] = []
    with (
        agent_socket.listening(None) as (listener, path),
        agent_socket.Door(listener, lambda _peer: lambda message: message, told.append),
    ):
        with Client(path) as own:
            assert own.ask(b"hello") == b"hello"
        if os.geteuid() != 0:
            # No other user can be had.
            return
        assert "PermissionError" in as_nobody(path).stderr
        # Even if the file system let everybody in.
        path.parent.chmod(0o755)
        path.chmod(0o666)
        assert as_nobody(path).stdout == "b''\n"
    assert [line.endswith("it runs as another user") for line in told] == [True]


def as_nobody(path: Path) -> subprocess.CompletedProcess[str]:
    """Another user, who connects and reads."""
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r}); print(s.recv(1))"
    return subprocess.run(
        ["/usr/bin/env", "python3", "-c", code],
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def test_a_place_for_the_socket_is_taken_where_nobody_else_can_put_something(tmp_path):
    with agent_socket.listening(tmp_path / "agent") as (_, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "something is there already" in failing(agent_socket.listening(path).__enter__).message
    assert not path.exists()
    assert tmp_path.is_dir()
    (tmp_path / "file").touch()
    assert failing(agent_socket.listening(tmp_path / "file").__enter__).code == "usage"
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert "not yours alone" in failing(agent_socket.listening(shared / "agent").__enter__).message
    assert "does not exist" in failing(agent_socket.listening(tmp_path / "none" / "agent").__enter__).message
    long = tmp_path / ("x" * 120)
    assert "no socket" in failing(agent_socket.listening(long).__enter__).message


def test_what_a_killed_agent_left_is_no_obstacle(tmp_path):
    import socket

    place = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    assert place.exists()
    with agent_socket.listening(place) as (_, path):
        assert path == place


# The command.


def run(pairs, *command, announce=lambda _listening: None):
    here = pairs.circumstances(pairs.person(0))
    return ssh_agent.run(here, None, [], None, manners=ssh_agent.Manners(), command=command, announce=announce)


def test_the_status_of_the_command_is_passed_on(paired, monkeypatch):
    monkeypatch.setenv("SSH_AGENT_PID", "1")
    assert run(paired, "sh", "-c", "exit 7") == 7
    assert run(paired, "sh", "-c", 'test -S "$SSH_AUTH_SOCK" && test -z "$SSH_AGENT_PID"') == 0
    assert run(paired, "sh", "-c", "kill -TERM $$") == 128 + signal.SIGTERM
    error = failing(run, paired, "/nonexistent/program")
    assert (error.code, error.message) == ("usage", "cannot run /nonexistent/program: no such file or directory")


def test_what_ends_this_program_ends_the_command(paired, tmp_path):
    started = tmp_path / "started"
    child = 'trap "" INT; echo $$ > "$0"; while :; do sleep 0.1; done'

    def interrupt(_listening):
        def wait() -> None:
            while not (started.exists() and started.read_text().strip()):
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, daemon=True).start()

    def terminated(_signal, _frame):
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        with pytest.raises(SystemExit, match="143"):
            run(paired, "sh", "-c", child, str(started), announce=interrupt)
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_what_ends_this_program_while_the_command_starts_ends_it_too(paired, tmp_path):
    pid = tmp_path / "pid"
    child = 'echo $$ > "$0"; kill -TERM $PPID; exec sleep 60'

    def terminated(_signal, _frame):
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        for _ in range(20):
            with pytest.raises(SystemExit, match="143"):
                run(paired, "sh", "-c", child, str(pid))
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid.read_text()), 0)
        assert signal.getsignal(signal.SIGTERM) is terminated
    finally:
        signal.signal(signal.SIGTERM, before)
