"""stdout is data and stderr is people: full, closed, broken, not UTF-8, and always one document with --json."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from keyctl import __version__
from keyctl.cli.catalogue import CATALOGUE

from .terminal import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Prints more than fits any buffer, so that it fails while it is written and not only at the end.
LONG = "demo --json"


@pytest.fixture
def unread() -> Iterator[int]:
    """The end of a pipe for writing that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("target", [">&-", ">/dev/full", ">&0"])
@pytest.mark.parametrize("command", ["list", "list --json", LONG, "--help", "no-such --json"])
@pytest.mark.usefixtures("blue")
def test_output_that_cannot_be_written_is_141(shell, unread, target, command):
    done = shell(f"$K {command} {target}", stdin=unread)
    assert done.status == 141
    assert "Exception" not in done.err
    assert done.err == "" or "no-such" in command or "/dev/full" in target


@pytest.mark.parametrize("target", [">/dev/full", ">&0"])
@pytest.mark.parametrize("command", ["list", "--help", "list --json"])
@pytest.mark.usefixtures("blue")
def test_output_without_a_buffer_fails_alike(shell, unread, target, command):
    done = shell(f"$K {command} {target}", stdin=unread, PYTHONUNBUFFERED="1")
    assert done.status == 141
    assert "Exception" not in done.err


@pytest.mark.usefixtures("blue")
def test_full_disk_is_said(shell):
    done = shell("$K list >/dev/full")
    assert done.err == "keyctl: error: cannot write the output: no space left on device\n"


@pytest.mark.parametrize("target", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(("command", "status"), [("list", 0), ("no-such", 2), ("info -k virtual:red", 3)])
@pytest.mark.usefixtures("blue")
def test_stderr_that_cannot_be_written_changes_nothing(shell, target, command, status):
    text = shell(f"$K {command} {target}")
    assert text.status == status
    assert (text.out != "") is (status == 0)
    assert shell(f"$K {command} --json --verbose {target}").document["exit_status"] == status


@pytest.mark.usefixtures("blue")
def test_stderr_that_nobody_reads_changes_nothing(shell, unread):
    assert shell("$K no-such 2>&0", stdin=unread).status == 2
    assert shell("$K info --verbose --json 2>&0", stdin=unread).document["status"] == "ok"


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_place_for_files(shell, virtual, blue, closed, pin_file, tmp_path):
    """A file opened as descriptor 1 or 2, a key even, would get what is printed; a PIN command can look."""
    script = pin_file(f"readlink /proc/$PPID/fd/[012] >{tmp_path}/seen; echo 654321", "look")
    done = shell(f"$K pin verify -k {blue} --pin-command 'sh {script}' {closed}")
    assert done.status == 4
    assert virtual.tries() == 7
    seen = (tmp_path / "seen").read_text().splitlines()
    assert len(seen) == 3
    assert seen.count("/dev/null") >= closed.count("&-")
    assert not any(str(virtual.home) in name for name in seen)
    done = shell(f"$K info --verbose {closed}")
    assert done.status == (141 if ">&-" in closed.split() else 0)


ASCII = [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]


@pytest.mark.parametrize("variables", [*ASCII, {"PYTHONIOENCODING": "latin-1"}])
def test_stream_that_is_not_utf_8_shows_what_it_can(child, virtual, blue, variables, pin_file):
    virtual.make("bücher.example", {"name": "Žofie €", "displayName": "\U0001f511 日本"})
    done = child("passkeys", "list", "-k", blue, "--pin-file", pin_file(), variables=variables)
    assert done.status == 0
    assert "\\u017dofie \\u20ac" in done.out
    assert "\\U0001f511 \\u65e5\\u672c" in done.out
    found = child("passkeys", "list", "-k", blue, "--pin-file", pin_file(), "--json", variables=variables).document
    assert found["data"]["passkeys"][0]["user_name"] == "Žofie €"


#: command line -> command of the document, exit status, code of its error
DOCUMENTS = {
    "list": ("list", 0, None),
    "info": ("info", 0, None),
    "--version": (None, 0, None),
    "--help": (None, 0, None),
    "": ("status", 0, None),
    "pin --help": ("pin", 0, None),
    "passkeys delete --help": ("passkeys delete", 0, None),
    "completion bash": ("completion", 0, None),
    "virtual list": ("virtual list", 0, None),
    "pin verify -k virtual:blue --pin-file PIN": ("pin verify", 0, None),
    "pin verify -k virtual:blue --pin-file WRONG": ("pin verify", 4, "pin_wrong"),
    "passkeys show 12345678 -k virtual:blue --pin-file PIN": ("passkeys show", 9, "passkey_not_found"),
    "no-such": (None, 2, "usage"),
    "pin": ("pin", 2, "usage"),
    "pin no-such": ("pin", 2, "usage"),
    "list --no-such": ("list", 2, "usage"),
    "--no-such list": (None, 2, "usage"),
    "list extra": ("list", 2, "usage"),
    "list --wait x": ("list", 2, "usage"),
    "list -k": ("list", 2, "usage"),
    "virtual new": ("virtual new", 2, "usage"),
    "info -k virtual:red": ("info", 3, "no_key"),
    "reset": ("reset", 2, "confirm_required"),
    "reset --confirm no": ("reset", 11, "declined"),
}


@pytest.mark.parametrize("line", DOCUMENTS)
@pytest.mark.usefixtures("blue")
def test_json_is_one_document_whatever_happens(run, pin_file, line):
    command, status, code = DOCUMENTS[line]
    files = {"PIN": pin_file(), "WRONG": pin_file("654321\n", "wrong")}
    arguments = [files.get(word, word) for word in line.split()]
    done = run("--json", *arguments)
    assert done.status == status
    assert done.document["command"] == command
    assert done.document["status"] == ("error" if status else "ok")
    assert [error["code"] for error in done.document["errors"]] == ([code] if code else [])
    # Quiet or in front, the document is the same, but for what has changed on the key meanwhile.
    again = run("--quiet", "--json", *arguments)
    assert again.document | {"errors": [], "data": None} == done.document | {"errors": [], "data": None}
    assert [error["code"] for error in again.document["errors"]] == ([code] if code else [])


@pytest.mark.parametrize("line", DOCUMENTS)
@pytest.mark.usefixtures("blue")
def test_text_and_json_agree(run, pin_file, line):
    _, _, code = DOCUMENTS[line]
    files = {"PIN": pin_file(), "WRONG": pin_file("654321\n", "wrong")}
    arguments = [files.get(word, word) for word in line.split()]
    text, document = run(*arguments), run("--json", *arguments)
    assert text.status == document.status
    if code is None:
        assert text.out.strip()
        return
    assert text.out == ""
    first = text.err.splitlines()[0]
    # The second wrong PIN leaves one try less.
    assert first.replace("7 tries", "6 tries") == f"keyctl: error: {document.error['message']}"
    assert text.err.splitlines()[0] == text.err.splitlines()[0].rstrip(".")
    assert f"keyctl: hint: {document.error['hint']}" in text.err or document.error["hint"] is None
    # Quiet is not silent about what went wrong.
    assert "keyctl: error: " in run("--quiet", *arguments).err


@pytest.mark.usefixtures("blue")
def test_quiet_prints_no_text(run):
    for line in ("list", "info", "virtual list", "virtual unplug blue", "completion bash", "demo"):
        done = run(*line.split(), "--quiet")
        assert (done.status, done.out, done.err) == (0, "", "")


def test_notes_go_to_stderr(run):
    done = run("list")
    assert done.out == ""
    assert done.err.startswith("no security key found: ")
    assert run("list", "--json").err == ""


def test_help_lists_every_command_and_every_shared_option(run):
    done = run("--help")
    for name in CATALOGUE:
        assert f"\n  {name} " in done.out
    for option in ("--key", "--json", "--no-input", "--wait", "--pin-stdin", "--pin-file", "--pin-command", "--home"):
        assert option in done.out
    assert run("-h").out == done.out
    assert run("--version").out == f"keyctl {__version__}\n"


def test_alone_it_shows_the_first_screen(run):
    assert run().out == run("status").out
    assert "keyctl demo" in run().out


#: Values of shared options with which each run says which one has won.
PLACES = [["{}", "passkeys", "list"], ["passkeys", "{}", "list"], ["passkeys", "list", "{}"]]


@pytest.mark.parametrize("place", range(3))
def test_shared_options_stand_anywhere(run, blue, place, pin_file):
    def words(*option):
        return list(itertools.chain(*(option if word == "{}" else [word] for word in PLACES[place])))

    named = ("-k", blue, "--pin-file", pin_file(), "--json")
    assert run(*words(*named)).status == 0
    assert run(*words("-k", "virtual:red", "--json")).code == "no_key"
    assert run(*words("--json", "--wait", "x")).code == "usage"


def test_last_value_wins_wherever_it_stands(run, blue):
    for arguments, found in (
        (("-k", "virtual:red", "info", "-k", blue), 0),
        (("-k", blue, "info", "-k", "virtual:red"), 3),
        (("info", "-k", "virtual:red", "--key", blue), 0),
        (("info", "--key=virtual:red", f"-k{blue}"), 0),
        (("-k", "virtual:red", "info"), 3),
    ):
        assert run(*arguments).status == found


@pytest.mark.usefixtures("blue")
def test_home_on_the_command_line_wins(run, virtual, tmp_path):
    assert "virtual:blue" in run("list").out
    assert run("list", "--home", str(tmp_path / "other")).out == ""
    assert "virtual:blue" in run("--home", str(tmp_path / "other"), "list", "--home", str(virtual.home)).out


def test_what_follows_two_dashes_is_no_option(run):
    done = run("virtual", "new", "--", "--json")
    assert done.status == 2
    assert done.out == ""
    assert "--json" in done.err
    assert run("virtual", "new", "--json", "--", "blue").document["command"] == "virtual new"
    assert run("virtual", "plug", "--", "blue", "-k").status == 2


@pytest.mark.usefixtures("blue")
def test_children_print_what_the_same_process_prints(child, run):
    """So that most tests need no child."""
    for line in ("list", "info --json", "no-such", "info -k virtual:red --json"):
        assert child(*line.split()) == run(*line.split())


def test_demo_ends_well_when_interrupted(environment, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "keyctl", "demo", "--json"],
        env=environment | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        # Made by its first step, a long way from its end.
        while not list(tmp_path.glob("keyctl-demo-*/home/virtual/blue.json")):
            assert process.poll() is None
        process.send_signal(2)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert b"Traceback" not in err
    assert process.returncode == 130
    assert json.loads(out)["errors"][0]["code"] == "interrupted"
    assert not list(tmp_path.iterdir())


def test_a_signal_to_end_is_told_in_json_too(environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "keyctl", "info", "--wait", "60", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"waiting for a security key to be plugged in (60 s)\n"
        process.send_signal(15)
        out, err = process.communicate(timeout=PATIENCE_S)
    found = json.loads(out)
    assert (process.returncode, found["exit_status"], found["errors"][0]["code"]) == (143, 143, "terminated")
    assert err.startswith(b"keyctl: error: told to end\n")


def test_demo_works_where_the_working_folder_is_gone(shell, tmp_path):
    done = shell(f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir ../gone; $K demo --json")
    assert done.document["status"] == "ok"
    assert "[exit 4]" in shell("$K demo").out


@pytest.mark.parametrize(
    "command", ["virtual new red", "virtual set blue touch=never", "reset --confirm virtual:blue", "demo"]
)
@pytest.mark.usefixtures("blue")
def test_disk_that_is_full_is_told(shell, virtual, command):
    """No file may grow here: what is written whole or not at all is not written."""
    before = {path.name: path.read_bytes() for path in virtual.folder.glob("*.json")}
    assert shell(f"ulimit -f 0; $K {command} --json").code == "store_unwritable"
    assert {path.name: path.read_bytes() for path in virtual.folder.glob("*.json")} == before
