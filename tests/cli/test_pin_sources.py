"""PINs from stdin, a file and a command: which bytes are the PIN, what is refused untried, and who sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import pytest

from .terminal import PATIENCE_S

SECRET = "s3cret-Zürich"


@pytest.fixture(params=["stdin", "file", "command"])
def with_pins(request, run, pin_file):
    """Run a command line with these bytes as its source of PINs."""

    def with_pins(content: bytes, *arguments: str):
        if request.param == "stdin":
            return run(*arguments, "--pin-stdin", stdin=content)
        path = pin_file(content)
        if request.param == "file":
            return run(*arguments, "--pin-file", path)
        # Once per PIN: the line that the purpose asks for.
        lines = pin_file(CHOOSE, "choose")
        return run(*arguments, "--pin-command", f"{sys.executable} {lines} {path}")

    return with_pins


CHOOSE = r"""
import os, re, sys
line = {"current": 0, "new": -1}[os.environ["KEYCTL_PIN_PURPOSE"]]
lines = re.findall(rb"[^\n]*\n|[^\n]+", open(sys.argv[1], "rb").read())
sys.stdout.buffer.write(lines[line] if lines else b"")
"""


@pytest.mark.parametrize(
    ("content", "pin"),
    [
        (b"1234\n", "1234"),
        (b"1234\r\n", "1234"),
        (b"1234", "1234"),
        (b"  12 34 \n", "  12 34 "),
        (b"a\xcc\x88bcd\n", "\u00e4bcd"),
        ("\u00e4bcd\n".encode(), "\u00e4bcd"),
        (b"%$`x`;|&\n", "%$`x`;|&"),
        ("\U0001f511" * 15 + "\n", "\U0001f511" * 15),
    ],
)
def test_one_line_end_is_taken_off_and_nothing_else(with_pins, virtual, content, pin):
    selector = virtual.new(pin=None)
    done = with_pins(content if isinstance(content, bytes) else content.encode(), "pin", "set", "-k", selector)
    assert done.status == 0
    assert virtual.takes(pin)


def test_current_pin_comes_before_the_new_one(with_pins, virtual, blue):
    assert with_pins(b"123456\n98765\n", "pin", "change", "-k", blue).status == 0
    assert virtual.takes("98765")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "pin_required"),
        (b"\n", "pin_required"),
        (b"\r\n", "pin_required"),
        (b"123\n", "pin_policy"),
        (b"12\t345\n", "pin_policy"),
        (b"12\x00345\n", "pin_policy"),
        (b"12345\x1b[A\n", "pin_policy"),
        (b"1234\r\r\n", "pin_policy"),
        (b"\xff\xfe123456\n", "pin_policy"),
        (b"1234\xed\xa0\x80\n", "pin_policy"),
        (b"1" * 64 + b"\n", "pin_policy"),
        ("ä".encode() * 32 + b"\n", "pin_policy"),
        (b"1" * 300 + b"\n", "pin_policy"),
        (b"1" * 100_000, "pin_policy"),
    ],
)
def test_what_cannot_be_a_pin_costs_no_try(with_pins, virtual, blue, content, code):
    done = with_pins(content, "pin", "verify", "-k", blue, "--json")
    assert done.code == code
    assert "111111" not in done.err
    assert virtual.tries() == 8


@pytest.mark.parametrize("content", [b"", b"\n", b"12\n", b"12\x0734\n", b"\xff1234\n", b"1" * 70])
def test_what_cannot_be_a_new_pin_is_not_sent(with_pins, virtual, content):
    selector = virtual.new(pin=None)
    assert with_pins(content, "pin", "set", "-k", selector).status == 4
    assert not virtual.has_pin()


def test_second_line_that_is_missing_leaves_the_pin_as_it_is(run, virtual, blue):
    done = run("pin", "change", "-k", blue, "--pin-stdin", "--json", stdin=b"123456\n")
    assert done.code == "pin_required"
    assert done.error["message"] == "stdin has no line for the new PIN"
    assert virtual.takes(virtual.PIN)


def test_two_sources_exclude_each_other(run, blue, pin_file):
    for sources in (
        ("--pin-stdin", "--pin-file", pin_file()),
        ("--pin-stdin", "--pin-command", "cat"),
        ("--pin-file", pin_file(), "--pin-command", "cat"),
    ):
        done = run("pin", "verify", "-k", blue, "--json", *sources, stdin=b"123456\n")
        assert done.status == 2
        assert "exclude each other" in done.error["message"]


def refused(run, selector, path):
    done = run("pin", "verify", "-k", selector, "--pin-file", str(path), "--json")
    assert done.code == "pin_file_unsafe"
    assert done.error["details"]["file"] == str(path)
    return done.error["message"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_file_that_others_can_read_is_refused(run, blue, pin_file, mode):
    path = pin_file()
    os.chmod(path, mode)  # noqa: PTH101  # the fixture gives a text
    assert "others can read it" in refused(run, blue, path)


def test_link_to_a_file_that_others_can_read_is_refused(run, blue, pin_file, tmp_path):
    path = pin_file()
    os.chmod(path, 0o644)  # noqa: PTH101  # as above
    (tmp_path / "link").symlink_to(path)
    assert "others can read it" in refused(run, blue, tmp_path / "link")


def test_what_is_no_file_is_refused(run, blue, tmp_path):
    assert "no such file" in refused(run, blue, tmp_path / "missing")
    assert "it is no file" in refused(run, blue, tmp_path)
    assert "it is no file" in refused(run, blue, "/dev/null")


def test_pin_comes_through_a_named_pipe(run, blue, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    # The other end waits for somebody to read.
    writer = subprocess.Popen(["/bin/sh", "-c", f"echo 123456 > {path}"])
    try:
        assert run("pin", "verify", "-k", blue, "--pin-file", str(path)).status == 0
    finally:
        writer.kill()
        writer.wait()


def test_named_pipe_that_nobody_writes_to_is_empty(run, virtual, blue, tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert run("pin", "verify", "-k", blue, "--pin-file", str(tmp_path / "pipe"), "--json").code == "pin_required"
    assert virtual.tries() == 8


def test_dev_stdin_is_a_file_too(shell, blue, pin_file):
    assert shell(f"echo 123456 | $K pin verify -k {blue} --pin-file /dev/stdin").status == 0
    assert shell(f"$K pin verify -k {blue} --pin-file /dev/stdin < {pin_file()}").status == 0
    assert shell(f"$K pin verify -k {blue} --pin-stdin < {pin_file()}").status == 0
    assert shell(f"$K pin verify -k {blue} --pin-stdin <&-").status == 4


def test_only_the_lines_needed_are_read(shell, blue):
    """So what follows on stdin is for the next program."""
    done = shell(f"printf '123456\\nrest\\n' | {{ $K pin verify -k {blue} --pin-stdin; cat; }}")
    assert done.out.endswith("took the PIN\n")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("false", "false failed with status 1"),
        ("true", "true has no line for the current PIN"),
        ("echo", "echo has no line for the current PIN"),
        ("/nonexistent/program", "cannot run /nonexistent/program: no such file or directory"),
        ("/", "cannot run /: permission denied"),
        ("sh -c 'echo 123456; exit 3'", "sh failed with status 3"),
        ("sh -c 'kill -9 $$'", "sh failed with status -9"),
        ("yes 123456", "yes says more than a PIN and a few lines"),
        ("cat /dev/zero", "cat says more than a PIN and a few lines"),
    ],
)
def test_command_that_fails_costs_no_try(run, virtual, blue, command, message):
    done = run("pin", "verify", "-k", blue, "--pin-command", command, "--json")
    assert done.code == "pin_required"
    assert done.error["message"] == message
    assert virtual.tries() == 8


def test_command_is_not_run_for_a_key_whose_name_it_cannot_be_told(run, virtual, home, pin_file):
    selector = virtual.new()
    assert run("add", "blue", "-k", selector, "--pin-file", pin_file()).status == 0
    [record] = (home / "keys").glob("*.json")
    record.write_text(record.read_text().replace('"name": "blue"', '"name": "bl\\u0000ue"'))
    (home / "state" / "pins").rename(home / "state" / "former")
    done = run("pin", "verify", "-k", selector, "--pin-command", "echo 123456", "--json")
    assert done.code == "pin_required"
    assert virtual.tries() == 8


@pytest.mark.parametrize("command", ["", "  ", "''", "echo 'x"])
def test_command_that_is_none_is_a_usage_error(run, blue, command):
    done = run("pin", "verify", "-k", blue, "--pin-command", command, "--json")
    assert done.code == "usage"


def test_no_shell_sees_the_command(run, virtual, tmp_path):
    selector = virtual.new(pin=None)
    trap = tmp_path / "trap"
    command = f"echo 12$HOME; touch {trap} | `touch {trap}` && $(touch {trap}) > {trap}"
    assert run("pin", "set", "-k", selector, "--pin-command", command).status == 4
    assert not trap.exists()
    assert run("pin", "set", "-k", virtual.new("red", pin=None), "--pin-command", "echo '$HOME ; *'").status == 0
    assert virtual.takes("$HOME ; *", "red")


def test_command_runs_once_per_purpose_and_is_told_which(run, blue, pin_file, tmp_path):
    log = tmp_path / "log"
    script = pin_file(
        f"""echo "$KEYCTL_KEY $KEYCTL_PIN_PURPOSE" >> {log}
        case $KEYCTL_PIN_PURPOSE in current) echo 123456;; new) echo 98765;; esac""",
        "script",
    )
    assert run("pin", "change", "-k", blue, "--pin-command", f"sh {script}").status == 0
    assert log.read_text() == "virtual:blue current\nvirtual:blue new\n"
    log.unlink()
    assert run("passkeys", "list", "-k", blue, "--pin-command", f"sh {script}").status == 4
    assert log.read_text() == "virtual:blue current\n"


def test_command_may_write_to_stderr_and_more_than_one_line(child, blue):
    done = child("pin", "verify", "-k", blue, "--pin-command", "sh -c 'echo asking >&2; echo 123456; echo more'")
    assert done.status == 0
    assert done.err == "asking\n"


def test_wrong_pin_costs_one_try_and_is_not_sent_again(with_pins, virtual, blue):
    done = with_pins(b"654321\n654321\n", "passkeys", "list", "-k", blue, "--json")
    assert done.code == "pin_wrong"
    assert done.error["details"]["tries_left"] == 7
    assert done.error["message"] == "wrong PIN for virtual:blue (7 tries left)"
    assert virtual.tries() == 7


def test_three_wrong_pins_block_until_the_key_was_unplugged(run, virtual, blue, pin_file):
    command = ("pin", "verify", "-k", blue, "--json", "--pin-file")
    wrong, right = pin_file("654321\n", "wrong"), pin_file()
    found = [run(*command, wrong).error for _ in range(4)]
    assert [error["code"] for error in found] == ["pin_wrong", "pin_wrong", "pin_auth_blocked", "pin_auth_blocked"]
    assert found[3]["details"]["power_cycle_needed"] is True
    assert [error["details"]["tries_left"] for error in found] == [7, 6, 5, 5]
    assert run(*command, right).code == "pin_auth_blocked"
    virtual.unplug()
    virtual.plug()
    assert run(*command, right).status == 0
    assert virtual.tries() == 8


def test_last_two_tries_are_not_spent_unattended(with_pins, virtual, blue):
    virtual.spend(2)
    done = with_pins(b"123456\n", "passkeys", "list", "-k", blue, "--json")
    assert done.code == "pin_last_tries"
    assert done.error["details"]["tries_left"] == 2
    assert virtual.tries() == 2


def test_key_without_tries_is_blocked_for_good(with_pins, virtual, blue):
    virtual.spend(0)
    done = with_pins(b"123456\n", "pin", "change", "-k", blue, "--json")
    assert done.code == "pin_blocked"
    assert done.error["details"]["tries_left"] == 0


@pytest.mark.parametrize("command", [("pin", "verify"), ("passkeys", "list"), ("pin", "change")])
@pytest.mark.usefixtures("blue")
def test_key_that_is_not_named_gets_no_pin_unattended(with_pins, virtual, command):
    done = with_pins(b"654321\n98765\n", *command, "--json")
    assert done.code == "pin_required"
    assert done.error["hint"] == "add --key virtual:blue"
    assert virtual.tries() == 8


@pytest.mark.usefixtures("blue")
def test_unused_source_is_not_opened(run, tmp_path):
    assert run("info", "--pin-file", str(tmp_path / "missing")).status == 0
    assert run("info", "--pin-command", "/nonexistent").status == 0


#: A PIN command that waits, so that its parent can be looked at meanwhile.
SLOW = """
import os, sys
open(os.path.join(sys.argv[2], os.environ["KEYCTL_PIN_PURPOSE"])).read()
print(open(sys.argv[1], encoding="utf-8").read())
"""


def test_nobody_else_sees_the_pin(home, virtual, environment, pin_file, tmp_path):
    virtual.new(pin=SECRET)
    script, secret = pin_file(SLOW, "slow.py"), pin_file(f"{SECRET}\n")
    gates = [tmp_path / "current", tmp_path / "new"]
    for gate in gates:
        os.mkfifo(gate)
    command = f"{sys.executable} {script} {secret} {tmp_path}"
    seen = []
    with subprocess.Popen(
        [sys.executable, "-m", "keyctl", "pin", "change", "-k", "virtual:blue", "-v", "--pin-command", command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        for gate in gates:
            # Opening it waits for the PIN command to open it too.
            with gate.open("w"):
                seen += [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
        seen += process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert b"changePIN" in seen[-1]
    seen += [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    for form in ("NFC", "NFD"):
        pin = unicodedata.normalize(form, SECRET).encode()
        for hidden in (pin, pin.hex().encode(), b"s3cret"):
            assert not any(hidden in place for place in seen)


def test_pin_is_in_no_message(with_pins, virtual, blue):
    for arguments in (("pin", "verify"), ("passkeys", "list", "--verbose"), ("pin", "change", "--json", "--verbose")):
        for pin in (b"wr0ng-0ne\n", b"wr0ng\x070ne\n", b"\xffwr0ng-0ne\n", b"wr0ng" * 30 + b"\n"):
            done = with_pins(pin + pin, *arguments, "-k", blue)
            assert done.status == 4
            assert "wr0ng" not in done.out + done.err
            virtual.unplug()
            virtual.plug()
            if virtual.tries() < 5:
                assert virtual.takes(virtual.PIN)


def test_verbose_names_every_command_without_content(run, blue):
    done = run("pin", "verify", "-k", blue, "--pin-stdin", "--verbose", stdin=b"123456\n")
    lines = done.err.splitlines()
    assert len(lines) >= 3
    assert all(re.fullmatch(r"keyctl: [\w .:()-]+: \d+ bytes -> \w+, \d+ bytes, \d+ ms", line) for line in lines)


def test_pin_command_is_ended_by_an_interrupt(at_terminal, blue, tmp_path, virtual):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    screen = at_terminal("pin", "verify", "-k", blue, "--pin-command", f"cat {gate}")
    opened = threading.Event()

    def hold() -> None:
        with gate.open("w"):
            opened.set()
            screen.process.wait()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    assert opened.wait(PATIENCE_S)
    screen.type("\x03")
    assert screen.end() == 130
    holder.join(PATIENCE_S)
    assert virtual.tries() == 8
