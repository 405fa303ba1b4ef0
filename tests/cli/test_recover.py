"""``recover sign`` and ``recover ssh-agent`` as they are typed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from keyctl.core import p256

from .terminal import CTRL_C

PIN = "123456"
SIGNATURE = {
    "pairing",
    "method",
    "fingerprint",
    "target",
    "public_key",
    "recorded",
    "signature",
    "sshsig",
    "file",
}
MESSAGE = b"hello\n"


@pytest.fixture
def pins(pin_file) -> tuple[str, str]:
    """The options by which the PINs of all keys come."""
    return "--pin-command", f"cat {pin_file()}"


@pytest.fixture
def paired(virtual, run, pins):
    """Blue and green are paired, and keys are derived."""
    for name, profile in (("blue", "full"), ("green", "arkg")):
        virtual.new(name, profile=profile)
        assert run("add", name, "-k", f"virtual:{name}").status == 0
    assert run("pair", "create", "blue", "green", *pins).status == 0
    virtual.unplug("green")
    derived = run("pair", "derive", "--for", "sign:release", "--for", "ssh:server.example.com", "--from-record")
    assert derived.status == 0
    virtual.plug("green")


@pytest.mark.usefixtures("paired")
def test_a_drill_with_a_backup_key_that_was_reset_fails(run, pins):
    assert run("reset", "-k", "green", "--confirm", "green").status == 0
    assert run("add", "green", "-k", "virtual:green", "--replace").status == 0
    ran = run("pair", "verify", *pins)
    assert ran.status == 10
    assert ran.out.startswith("the drill failed: ")
    assert "do not rely on green before it is paired anew" in ran.out
    assert "broken" in run("pair", "list").out
    assert run("pair", "verify", "--json", *pins).document["data"]["verified"] is False


@pytest.fixture
def message(tmp_path) -> str:
    (tmp_path / "message").write_bytes(MESSAGE)
    return str(tmp_path / "message")


@pytest.mark.usefixtures("paired")
@pytest.mark.parametrize("columns", [80, 120])
def test_fingerprints_are_never_broken(at_terminal, run, columns):
    [pairing] = run("pair", "show", "--json").document["data"]["pairings"]
    screen = at_terminal("pair", "show", columns=columns, variables={"NO_COLOR": "1"})
    assert screen.end() == 0
    lines = screen.text.splitlines()
    assert max(map(len, lines)) <= columns
    for key in pairing["derived"]:
        assert any(line.startswith(key["target"]) and line.endswith(key["fingerprint"]) for line in lines)
    assert sum("HANDED OVER" in line for line in lines) == 1


# --- sign ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("paired")
def test_the_document_has_the_signature_and_what_it_was_made_with(run, pins, message):
    document = run("recover", "sign", "green", "--for", "sign:release", message, *pins, "--json").document
    assert (document["command"], set(document["data"])) == ("recover sign", SIGNATURE)
    data = document["data"]
    assert (data["pairing"], data["method"], data["target"]) == ("blue/green", "arkg", "sign:release")
    assert (data["recorded"], data["sshsig"], data["file"]) == (True, None, None)
    point, signature = bytes.fromhex(data["public_key"]), bytes.fromhex(data["signature"])
    assert p256.verifies(point, sha256(MESSAGE).digest(), signature)


@pytest.mark.usefixtures("paired")
def test_stdout_is_the_signature_and_nothing_else(environment, pins, message):
    command = [sys.executable, "-m", "keyctl", "recover", "sign", "--for", "sign:release", *pins]
    with open(message, "rb") as stdin:  # noqa: PTH123  # a descriptor is wanted
        done = subprocess.run(command, stdin=stdin, env=environment, capture_output=True, check=True)
    pem = subprocess.run(
        [sys.executable, "-m", "keyctl", "pair", "derive", "--for", "sign:release", "--format", "pem"],
        env=environment,
        capture_output=True,
        check=True,
    ).stdout
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    serialization.load_pem_public_key(pem).verify(done.stdout, MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert b"signed as sign:release of blue/green" in done.stderr


@pytest.mark.usefixtures("paired")
def test_ssh_keygen_accepts_the_signature_of_a_file(run, pins, message, tmp_path):
    line = run("pair", "derive", "--for", "ssh:server.example.com", "--format", "ssh").out
    (tmp_path / "signers").write_text(f"kim {line}")
    target = tmp_path / "signature"
    command = ["recover", "sign", "--for", "ssh:server.example.com", "--sshsig", "file"]
    ran = run(*command, message, "--output", str(target), *pins)
    assert (ran.status, ran.out) == (0, f"wrote the signature by ssh:server.example.com to {target}\n")
    assert run(*command, message, *pins).out.startswith("-----BEGIN SSH SIGNATURE-----\n")
    verify = ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "signers", "-I", "kim", "-n", "file", "-s", target]
    done = subprocess.run(verify, input=MESSAGE, capture_output=True, check=False)
    assert (done.returncode, b"Good" in done.stdout) == (0, True)
    assert subprocess.run(verify, input=b"other", capture_output=True, check=False).returncode != 0
    again = run(*command, message, "--output", str(target), *pins, "--json")
    assert (again.code, again.status) == ("usage", 2)


@pytest.mark.usefixtures("paired")
def test_a_key_that_is_not_recorded_signs_and_says_so(run, pins, message):
    ran = run("recover", "sign", "--for", "sign:new", "--sshsig", "file", message, *pins)
    assert ran.status == 0
    assert "no key for sign:new is recorded here" in ran.err


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["--for", "ssh:server.example.com"], 2, "usage"),
        (["--for", "rp:example.com"], 7, "unsupported"),
        (["--for", "age:x"], 7, "unsupported"),
        (["--for", "nonsense"], 2, "usage"),
        ([], 2, "usage"),
        (["--for", "sign:release", "red", "-"], 9, "pairing_not_found"),
        (["--for", "sign:release", "green", "/nonexistent"], 2, "message_unreadable"),
        (["--for", "sign:release", "/nonexistent"], 2, "message_unreadable"),
        (["--for", "sign:release", "/"], 2, "message_unreadable"),
        (["--for", "sign:release", "a", "b", "c"], 2, "usage"),
        (["--for", "sign:release", "-k", "blue"], 2, "usage"),
        (["--for", "sign:release", "--pin-stdin"], 2, "usage"),
        (["--for", "sign:release"], 4, "pin_required"),
    ],
)
@pytest.mark.usefixtures("paired")
def test_what_cannot_be_signed_ends_with_its_status(run, words, status, code):
    ran = run("recover", "sign", *words, "--json")
    assert (ran.status, ran.code) == (status, code)


@pytest.mark.usefixtures("paired")
def test_a_binary_signature_is_kept_off_a_terminal(at_terminal, message):
    terminal = at_terminal("recover", "sign", "--for", "sign:release", message)
    terminal.expect("the signature is binary, and stdout is the terminal")
    assert terminal.end() == 2
    terminal = at_terminal("recover", "sign", "--for", "sign:release", message, "--sshsig", "file")
    terminal.expect("PIN for green")
    terminal.type(f"{PIN}\n")
    terminal.expect("-----END SSH SIGNATURE-----")
    assert terminal.end() == 0


# --- ssh-agent -------------------------------------------------------------------------------------------------------


@pytest.fixture
def background(environment):
    """Start a command line without a terminal; what is left of it is ended."""
    started: list[subprocess.Popen[str]] = []

    def background(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "keyctl", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield background
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=str
)
@pytest.mark.usefixtures("paired")
def test_it_tells_a_shell_where_it_is_and_removes_the_socket_when_it_ends(background, how, status):
    process = background("recover", "ssh-agent")
    line = process.stdout.readline()
    assert line.startswith("SSH_AUTH_SOCK=/")
    assert line.endswith("; export SSH_AUTH_SOCK;\n")
    path = Path(line.removeprefix("SSH_AUTH_SOCK=").partition(";")[0])
    listed = subprocess.run(
        ["ssh-add", "-l"], env=os.environ | {"SSH_AUTH_SOCK": str(path)}, capture_output=True, text=True, check=True
    ).stdout
    assert [row.split()[2] for row in listed.splitlines()] == ["ssh:server.example.com", "sign:release"]
    process.send_signal(how)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out, "Traceback" in err) == (status, "", False)
    assert not path.exists()
    assert not path.parent.exists()


@pytest.mark.usefixtures("paired")
def test_the_document_comes_when_it_listens_and_is_the_only_one(background, tmp_path):
    path = tmp_path / "agent"
    process = background("recover", "ssh-agent", "--json", "--socket", str(path))
    document = json.loads(process.stdout.readline())
    assert (document["command"], document["status"], document["exit_status"]) == ("recover ssh-agent", "ok", 0)
    assert document["data"]["socket"] == str(path)
    first = document["data"]["keys"][0]
    assert set(first) == {"pairing", "target", "fingerprint", "ssh", "recorded"}
    assert (first["pairing"], first["target"], first["recorded"]) == ("blue/green", "ssh:server.example.com", True)
    assert first["ssh"].startswith("ecdsa-sha2-nistp256 ")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=15)[0], process.returncode) == ("", 130)
        # It may be gone before it took the connection.
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert not path.exists()


@pytest.mark.usefixtures("paired")
def test_of_many_keys_the_first_are_told_and_how_to_choose(child, run, tmp_path):
    (tmp_path / "hosts").write_text("".join(f"ssh:host{number}\n" for number in range(20)))
    assert run("pair", "derive", "--for-file", str(tmp_path / "hosts"), "--from-record").status == 0
    ran = child("recover", "ssh-agent", "--for", "ssh:host15", "--", "sh", "-c", "ssh-add -l | wc -l")
    assert ran.out.strip() == "22"
    told = ran.err.splitlines()
    assert len(told) == 9
    assert told[0].startswith("offers ssh:host15 of blue/green, SHA256:")
    assert told[-1].startswith("and 14 more; ")


@pytest.mark.usefixtures("paired")
def test_the_status_of_the_command_is_passed_on_and_stdout_is_its_own(child):
    ran = child("recover", "ssh-agent", "--", "sh", "-c", "ssh-add -l | wc -l; exit 10")
    assert (ran.status, ran.out.strip()) == (10, "2")
    assert child("recover", "ssh-agent", "green", "--", "true").status == 0
    refused = child("recover", "ssh-agent", "--pin-stdin", "--", "touch", "never")
    assert (refused.status, "stdin is the command's" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["--", "true"], 2, "usage"),
        (["green", "ssh", "host"], 2, "usage"),
        (["--for", "rp:example.com"], 2, "usage"),
        (["--for", "nonsense"], 2, "usage"),
        (["red"], 9, "pairing_not_found"),
        (["--keep-pin", "0"], 2, "usage"),
        (["--keep-pin", "721"], 2, "usage"),
        (["--authorized-keys", "/nonexistent"], 2, "import_unreadable"),
        (["--socket", "/nonexistent/agent"], 2, "usage"),
        (["-k", "green"], 2, "usage"),
        (["--authorized-keys", "-", "--pin-stdin"], 2, "usage"),
    ],
)
@pytest.mark.usefixtures("paired")
def test_an_agent_that_cannot_be_ends_with_its_status(run, words, status, code):
    ran = run("recover", "ssh-agent", "--json", *words)
    assert (ran.status, ran.code) == (status, code)


@pytest.mark.usefixtures("paired")
def test_a_command_that_is_none_is_told(run):
    ran = run("recover", "ssh-agent", "--", "/nonexistent/program")
    assert (ran.status, ran.out) == (2, "")
    assert "cannot run /nonexistent/program: no such file or directory" in ran.err
    assert run("recover", "ssh-agent", "--").status == 2


def test_without_derived_keys_the_hint_says_how_to_bring_them_back(virtual, run, pins):
    for name, profile in (("blue", "full"), ("green", "arkg")):
        virtual.new(name, profile=profile)
        assert run("add", name, "-k", f"virtual:{name}").status == 0
    assert run("pair", "create", "blue", "green", *pins).status == 0
    ran = run("recover", "ssh-agent", "--", "true")
    assert ran.status == 9
    assert "give --for ssh:HOST, or --authorized-keys FILE" in ran.err


@pytest.mark.usefixtures("paired")
def test_at_a_terminal_each_signature_is_shown_and_asks_for_the_pin(at_terminal, tmp_path, run, message):
    (tmp_path / "key.pub").write_text(run("pair", "derive", "--for", "sign:release", "--format", "ssh").out)
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", str(tmp_path / "key.pub"), message]
    terminal = at_terminal("recover", "ssh-agent", "--", *sign)
    terminal.expect("wants to sign something in the namespace file, with the key for sign:release of blue/green")
    terminal.expect("PIN for green")
    assert not terminal.echoes
    terminal.type(f"{PIN}\n")
    assert terminal.end() == 0
    assert (tmp_path / "message.sig").read_text().startswith("-----BEGIN SSH SIGNATURE-----")


@pytest.mark.usefixtures("paired")
def test_ctrl_c_ends_the_command_and_the_agent(at_terminal, tmp_path):
    place = tmp_path / "agent"
    terminal = at_terminal("recover", "ssh-agent", "--socket", str(place), "--", "sh", "-c", "echo ready; sleep 60")
    terminal.expect("ready")
    assert place.exists()
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    assert not place.exists()


@pytest.mark.usefixtures("paired")
def test_a_question_takes_the_terminal_from_a_shell_and_gives_it_back(at_terminal, tmp_path, run, message):
    (tmp_path / "key.pub").write_text(run("pair", "derive", "--for", "sign:release", "--format", "ssh").out)
    sign = f"ssh-keygen -q -Y sign -n file -f {tmp_path}/key.pub < {message} > {tmp_path}/signature"
    # A shell with job control, as people have one: what is typed in it runs in a group of its own.
    terminal = at_terminal("recover", "ssh-agent", "--", "sh", "-im", variables={"PS1": "next> ", "ENV": ""})
    terminal.expect("next> ")
    terminal.type(f"{sign}; echo status $?\n")
    terminal.expect("PIN for green")
    terminal.type(CTRL_C)
    terminal.expect("refused ssh-keygen")
    terminal.expect("next> ")
    terminal.type(f"{sign}; echo status $?\n")
    terminal.expect("PIN for green")
    terminal.type(f"{PIN}\n")
    terminal.expect("status 0")
    terminal.expect("next> ")
    terminal.type("exit 5\n")
    assert terminal.end() == 5
    assert (tmp_path / "signature").read_text().startswith("-----BEGIN SSH SIGNATURE-----")
