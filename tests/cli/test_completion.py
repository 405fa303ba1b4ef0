"""What a shell offers after the tabulator: as the shells ask for it, and in bash itself."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time

import pytest

from .terminal import PATIENCE_S

#: Ends a word of the shell's line and shows the line as it is then.
SHOW = "\x07"


@pytest.fixture(params=["bash", "zsh", "fish"])
def offered(request, run, monkeypatch):
    """What each shell is told when the tabulator is pressed after these words."""

    def offered(*words):
        facts = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
        if request.param == "fish":
            facts = {"COMP_WORDS": " ".join(words), "COMP_CWORD": words[-1]}
        with monkeypatch.context() as patch:
            for name, value in {"_KEYCTL_COMPLETE": f"{request.param}_complete", **facts}.items():
                patch.setenv(name, value)
            done = run()
        assert (done.status, done.err) == (0, "")
        lines = done.out.splitlines()
        if request.param == "zsh":
            return lines[1::3]
        return [line.partition(",")[2].partition("\t")[0] for line in lines if line]

    return offered


@pytest.fixture
def known(run, virtual):
    """Virtual keys that have names."""

    def known(*names):
        for number, name in enumerate(names):
            assert run("add", name, "-k", virtual.new(f"v{number}", pin=None)).status == 0

    return known


def test_option_that_is_still_open_is_completed(offered):
    roles = ["primary", "backup", "spare", "none"]
    assert offered("keyctl", "add", "blue", "--role", "") == roles
    assert offered("keyctl", "add", "blue", "--role", "pr") == ["primary"]
    assert "--role" in offered("keyctl", "add", "blue", "-k", "usb:/dev/hidraw0", "--ro")
    # As bash takes it apart, and as somebody who means the other program types.
    assert "--role" in offered("keyctl", "add", "x", "-k", "usb", ":", "/dev/hidraw0", "--ro")
    assert offered("keyctl", "add", "user", "name", "secret", "@") == []


def test_nothing_fits_after_a_command_that_there_is_not(offered):
    assert offered("keyctl", "hlp", "") == []
    assert offered("keyctl", "show", "@") == []
    assert offered("keyctl", "he") == ["health"]


def test_command_of_another_program_is_not_completed(offered):
    assert offered("keyctl", "recover", "ssh-agent", "--", "ss") == []
    assert offered("keyctl", "recover", "ssh-agent", "--", "ssh", "-") == []


def test_virtual_keys_are_offered(offered, virtual, run):
    assert run("add", "viola", "-k", virtual.new("blue", pin=None), "--owner", "kim").status == 0
    virtual.new("b.2", pin=None)
    assert offered("keyctl", "info", "-k", "vi") == ["viola", "virtual:b.2", "virtual:blue"]
    for command in ("plug", "unplug", "remove", "set", "attach"):
        assert offered("keyctl", "virtual", command, "") == ["b.2", "blue"]
    assert offered("keyctl", "virtual", "new", "") == []
    assert "u2f" in offered("keyctl", "virtual", "new", "red", "--profile", "")
    assert "touch=never" in offered("keyctl", "virtual", "set", "blue", "touch")
    for command in ("coverage", "list"):
        assert offered("keyctl", command, "--owner", "") == ["kim"]


class Bash:
    """An interactive bash; what was typed there is read back off its own line."""

    def __init__(self, environment):
        self._person, screen = os.openpty()
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env=environment,
            start_new_session=True,
        )
        os.close(screen)
        self._run('eval "$(keyctl completion bash)"')
        self._run("""bind -x '"\\C-g": printf "<<%s>>" "$READLINE_LINE"'""")

    def _run(self, line):
        self._type(f'{line}; echo "do""ne"\n')
        self._await("done\r\n")

    def _type(self, text):
        os.write(self._person, text.encode())

    def _await(self, pattern):
        seen, deadline = "", time.monotonic() + PATIENCE_S
        while not (match := re.search(pattern, seen)):
            assert time.monotonic() < deadline, seen
            if select.select([self._person], [], [], 1)[0]:
                seen += os.read(self._person, 65536).decode()
        return match

    def completed(self, line):
        """The line after the tabulator."""
        self._type(f"{line}\t{SHOW}")
        shown = self._await("<<(.*?)>>")[1]
        # Away with the line.
        self._type("\x15")
        return shown

    def end(self):
        self._shell.kill()
        self._shell.wait()
        os.close(self._person)


@pytest.fixture
def bash(environment, tmp_path):
    """bash, with this very keyctl in its path."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    program = tmp_path / "bin" / "keyctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m keyctl "$@"\n')
    program.chmod(0o755)
    shell = Bash(environment | {"PATH": f"{program.parent}:{environment['PATH']}"})
    yield shell
    shell.end()


LINES = {
    "keyctl edit gre": "keyctl edit green ",
    # A space in a name is escaped, also where it was typed so or in quotes.
    "keyctl edit ho": r"keyctl edit home\ key ",
    r"keyctl edit home\ k": r"keyctl edit home\ key ",
    'keyctl edit "home k': 'keyctl edit "home key" ',
    # A word with a colon is several to bash, and it replaces the last one only.
    "keyctl edit a": "keyctl edit a:b ",
    "keyctl edit a:": "keyctl edit a:b ",
    "keyctl info -k virtual:": "keyctl info -k virtual:v",
    "keyctl info -k virtual:v2": "keyctl info -k virtual:v2 ",
    "keyctl add x -k usb:/dev/hidraw0 --ro": "keyctl add x -k usb:/dev/hidraw0 --role ",
    "keyctl add x --role=p": "keyctl add x --role=primary ",
    "keyctl info --key=virtual:v2": "keyctl info --key=virtual:v2 ",
    "keyctl coverage --without=a:": "keyctl coverage --without=a:b ",
    "keyctl virtual set v0 touch=nev": "keyctl virtual set v0 touch=never ",
    "keyctl hlp x": "keyctl hlp x",
}


def test_bash_completes_its_line(bash, known):
    known("green", "home key", "a:b")
    assert {line: bash.completed(line) for line in LINES} == LINES


def test_both_names_are_completed_by_each_script(run):
    for shell in ("bash", "zsh", "fish", "powershell"):
        done = run("completion", shell)
        assert "_KEYCTL_COMPLETE" in done.out
        assert "_FIDO_KEYCTL_COMPLETE" in done.out
