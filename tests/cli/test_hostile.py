"""Texts and files made to fool a terminal, a reader or keyctl itself."""

from __future__ import annotations

import dataclasses
import json
import os
import re

import pytest
from fido2.ctap import CtapError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyctl.cli.commands import info
from keyctl.core.advisories import Advisory
from keyctl.core.text import visible
from keyctl.errors import CODES
from keyctl.model import Key, Limits, Transport
from keyctl.operations.information import Information
from keyctl.virtual import keys
from keyctl.virtual.settings import FAULT_WORDS
from tests.harmless import FORBIDDEN, assert_harmless

#: What is in a text -> how it is shown.
HOSTILE = {
    "\x1b[31mred\x1b]0;title\x07": r"\x1b[31mred\x1b]0;title\x07",
    "\x9b31m\x9d": r"\x9b31m\x9d",
    "[bold]x[/bold] [/] [link=http://evil.example]y[/link]": "[bold]x[/bold] [/] [link=http://evil.example]y[/link]",
    ":smiley: [red]": ":smiley: [red]",
    "a\u202eb\u2066c\u200fd\u2069": r"a\u202eb\u2066c\u200fd\u2069",
    "zero\u200bwidth\ufeff": r"zero\u200bwidth\ufeff",
    "\u2028line\u2029": r"\u2028line\u2029",
    "tag\U000e0041": r"tag\U000e0041",
    "line\nkeyctl: error: no\r\n\tx": r"line\x0akeyctl: error: no\x0d\x0a\x09x",
    "nul\x00end\x7f": r"nul\x00end\x7f",
    "\U0001f511\U00020000 \u65e5\u672c": "\U0001f511\U00020000 \u65e5\u672c",
    "100% {braces} \\n $HOME `id`": "100% {braces} \\n $HOME `id`",
}


@pytest.fixture
def with_pin(blue, pin_file):
    return ("-k", blue, "--pin-file", pin_file())


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_passkey_are_shown_and_never_obeyed(run, virtual, with_pin, text):
    first = virtual.make(text, {"name": text, "displayName": text})
    shown = HOSTILE[text]
    done = run("passkeys", "list", *with_pin)
    titles, row = done.out.splitlines()
    assert titles.split() == ["SITE", "USER", "DISPLAY", "NAME", "ID"]
    assert re.fullmatch(rf"{re.escape(shown)} +{re.escape(shown)} +{re.escape(shown)} +{first[:8]}", row)
    for command in (("show", first), ("rename", first, "--user-name", text), ("rename", first, "--user-name", "plain")):
        done = run("passkeys", *command, *with_pin)
        assert f"  {shown}\n" in done.out
        assert_harmless(done.out + done.err)
    done = run("passkeys", "delete", first, "--yes", *with_pin)
    assert done.out == f"deleted: plain at {shown} ({first[:16]})\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_passkey_are_whole_in_json(run, virtual, with_pin, text):
    virtual.make(text, {"name": text, "displayName": text})
    done = run("passkeys", "list", "--json", *with_pin)
    assert done.out.isascii()
    [passkey] = done.document["data"]["passkeys"]
    assert [passkey[field] for field in ("rp_id", "user_name", "display_name")] == [text] * 3
    assert passkey["rp_id_exact"] is True
    found = run("passkeys", "delete", "--rp", text, "--user", text, "--dry-run", "--json", *with_pin).document["data"]
    assert found["matched"] == [passkey]


def test_names_cannot_write_the_question(at_terminal, virtual, with_pin):
    """A line end in a name would let it say what is deleted."""
    first = virtual.make("bank.example", {"name": "kim\nDelete nothing? [y/N] \x1b[8m"})
    screen = at_terminal("passkeys", "delete", first, *with_pin)
    screen.expect(f"  kim\\x0aDelete nothing? [y/N] \\x1b[8m at bank.example ({first[:16]})\nDelete this passkey from ")
    screen.type("n\n")
    assert screen.end() == 11
    assert_harmless(screen.text)


def test_names_cannot_write_the_error(run, virtual, with_pin):
    """A line end in a name would let it give hints."""
    for name in ("a", "b"):
        virtual.make("x\nkeyctl: hint: run rm -rf ~", {"name": f"{name}\nkeyctl: hint: see evil.example"})
    site_hash = run("passkeys", "list", "--json", *with_pin).document["data"]["passkeys"][0]["rp_id_hash"]
    for command in (("show", site_hash), ("delete", site_hash[:12], "--yes")):
        done = run("passkeys", *command, *with_pin)
        assert done.status == 9
        assert [line.split(": ")[1] for line in done.err.splitlines()] == ["error", "hint"]
        error = run("passkeys", *command, *with_pin, "--json").error
        assert_harmless(error["message"] + error["hint"])
        assert "\n" not in error["message"] + error["hint"]
    virtual.set("blue", "fault=7:pulled")
    done = run("passkeys", "delete", "--rp", "x\nkeyctl: hint: run rm -rf ~", "--yes", *with_pin)
    assert done.status == 8
    assert [line.split(": ")[1] for line in done.err.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize("length", [100, 300])
def test_long_texts_are_whole(run, virtual, with_pin, length):
    text = "\u00e4" * (length // 2)
    virtual.make(text, {"name": text})
    done = run("passkeys", "list", *with_pin)
    assert f"{text}  {text[:32]}  -" in done.out
    [passkey] = run("passkeys", "list", "--json", *with_pin).document["data"]["passkeys"]
    assert (passkey["rp_id"], passkey["user_name"]) == (text, text[:32])


def test_advisories_have_a_line_each():
    advisory = Advisory(id="X-1", cve=None, level="high", result="affected", effect="bad", action="run\nit", url="u")
    key = Key(connected=True, selector="nfc:a\x1b[2J\nb", transport=Transport.NFC, path="a", product="[bold]\u202e")
    found = Information(
        key=key,
        versions=("FIDO_2_0", "\x1b]0;x\x07"),
        extensions=("\n",),
        options={"\x1b": True},
        algorithms=(-7, 99),
        transports=(),
        limits=Limits(max_message_size=1024),
        pin=None,
        passkeys=None,
        advisories=(advisory, dataclasses.replace(advisory, id="X-2", result="unknown")),
    )
    text = info._text(found)
    assert_harmless(text)
    assert "\nkey         nfc:a\\x1b[2J\\x0ab\n" in f"\n{text}"
    assert "\nmodel       [bold]\\u202e\n" in text
    assert text.endswith(
        "\nadvisories  X-1, high: bad; run\\x0ait\n            X-2, high (firmware not known: perhaps): bad; run\\x0ait"
    )


@pytest.mark.parametrize("quirk", ["long-name-64", "rp-id-48", "rp-id-head", "rp-id-tail", "name-key-empty"])
def test_texts_that_a_key_has_cut_are_shown_as_they_are(run, virtual, with_pin, quirk):
    """Some cut in the middle of a character, so that what they send is no UTF-8; then nothing is missing unsaid."""
    virtual.set("blue", f"quirk={quirk}")
    virtual.make("b" + "\u00e4" * 60, {"name": "k" + "\u00e4" * 60, "displayName": ""})
    found = run("passkeys", "list", "--json", *with_pin).document["data"]
    assert found["used"] == 1
    assert len(found["passkeys"]) == 1 or not found["complete"]
    done = run("passkeys", "list", *with_pin)
    assert done.status == 0
    assert "1 used, room for 127 more" in done.err
    assert ("the list is not complete" in done.err) is not found["complete"]
    assert_harmless(done.out)


@given(st.text())
def test_visible_text_is_harmless_and_one_line(text):
    assert_harmless(visible(text))
    assert "\n" not in visible(text)


@given(st.text(st.characters(exclude_categories=FORBIDDEN)))
def test_visible_text_without_anything_hidden_is_the_same(text):
    assert visible(text) == text


SURROGATE = os.fsdecode(b"caf\xe9")
#: Arguments come as bytes of any kind, and all of these are named in a message or compared.
ODD_ARGUMENTS = [
    ("list", "-k", "{}"),
    ("list", "--owner", "{}"),
    ("info", "-k", "virtual:{}"),
    ("list", "--home", "{}"),
    ("no-{}",),
    ("list", "--{}"),
    ("virtual", "new", "{}"),
    ("virtual", "new", "red", "--profile", "{}"),
    ("virtual", "remove", "{}", "--yes"),
    ("virtual", "set", "blue", "{}"),
    ("virtual", "set", "blue", "touch={}"),
    ("virtual", "set", "blue", "fault={}"),
    ("virtual", "set", "blue", "fault=1:{}"),
    ("completion", "{}"),
    ("list", "--wait", "{}"),
    ("reset", "-k", "virtual:blue", "--confirm", "{}"),
    ("passkeys", "show", "{}"),
    ("passkeys", "show", "{}", "PIN"),
    ("passkeys", "delete", "{}", "--yes", "PIN"),
    ("passkeys", "delete", "--rp", "{}", "--yes", "PIN"),
    ("passkeys", "delete", "--rp", "bank.example", "--user", "{}", "--yes", "PIN"),
    ("passkeys", "rename", "ID", "--user-name", "{}", "PIN"),
    ("passkeys", "rename", "ID", "--display-name", "{}", "PIN"),
    ("pin", "verify", "-k", "virtual:blue", "--pin-file", "{}"),
    ("pin", "verify", "-k", "virtual:blue", "--pin-command", "{}"),
    ("pin", "verify", "-k", "virtual:blue", "--pin-command", "echo {}"),
]


@pytest.mark.parametrize("argument", [SURROGATE, "\x1b[2J\u202e\n[/]", "", " ", "%s{}{0}", "a" * 5000, "/" * 5000, "-"])
def test_arguments_of_any_kind_are_answered(run, virtual, with_pin, tmp_path, monkeypatch, argument):
    monkeypatch.chdir(tmp_path)
    first = virtual.make("bank.example", {"name": "kim"})
    for template in ODD_ARGUMENTS:
        words = {"ID": [first], "PIN": with_pin}
        arguments = [word for part in template for word in words.get(part, [part.replace("{}", argument)])]
        done = run(*arguments)
        assert_harmless(done.out + done.err)
        assert done.status in {0, 2, 3, 4, 6, 7, 9, 11}
        assert run("--json", *arguments).document["exit_status"] == done.status
        if virtual.tries() < 6:
            assert virtual.takes(virtual.PIN)
    assert len(run("passkeys", "list", *with_pin, "--json").document["data"]["passkeys"]) == 1


#: What somebody else may have put in place of a virtual key's file -> the code that follows.
FILES = {
    "empty": ("", "store_unreadable"),
    "truncated": ("half", "store_unreadable"),
    "no object": ("[1, 2]", "store_unreadable"),
    "null": ("null", "store_unreadable"),
    "not UTF-8": (b"\xff\xfe{}", "store_unreadable"),
    "nothing in it": ("{}", "store_unreadable"),
    "deep": ("[" * 100_000, "store_unreadable"),
    "deep objects": ('{"schema":' * 20_000 + "1" + "}" * 20_000, "store_unreadable"),
    "huge number": ('{"schema": 1' + "0" * 5000 + "}", "store_unreadable"),
    "not a number": ('{"schema": NaN}', "store_unreadable"),
    "newer": ('{"schema": 1000, "x": []}', "store_newer"),
    "from the far future": ('{"schema": 1000000000000000000000}', "store_newer"),
    "true": ('{"schema": true}', "store_unreadable"),
    "hostile": ('{"schema": 1, "\\u001b[31m": "\\ud800"}', "store_unreadable"),
}
COMMANDS = (("info", "-k", "virtual:blue"), ("virtual", "plug", "blue"), ("virtual", "set", "blue", "touch=never"))


def assert_only_this_one_fails(run, code):
    """Whatever is wrong with blue, red is there all the same."""
    for name in ("list", "virtual list"):
        done = run(*name.split(), "--json")
        found = done.document
        assert done.status == (0 if name == "list" else CODES[code][0])
        assert found["status"] == "partial"
        assert [error["code"] for error in found["errors"]] == [code]
        assert "red" in run(*name.split()).out
    for command in COMMANDS:
        done = run(*command)
        assert done.status in {3, int(CODES[code][0])}
        assert_harmless(done.out + done.err)
    assert run("info", "-k", "virtual:red").status == 0
    assert run("virtual", "new", "blue").status in {6, 9}


@pytest.mark.parametrize("suffix", [".json", ".settings.json"])
@pytest.mark.parametrize("content", FILES)
@pytest.mark.usefixtures("blue")
def test_file_that_is_none_of_ours_hides_no_other_key(run, virtual, content, suffix):
    virtual.new("red")
    path = virtual.folder / f"blue{suffix}"
    written, code = FILES[content]
    if written == "half":
        written = path.read_text()[:-30]
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    before = path.read_bytes()
    assert_only_this_one_fails(run, code)
    assert path.read_bytes() == before
    assert run("virtual", "remove", "blue", "--yes").status == 0
    assert run("list", "--json").document["status"] == "ok"


def other_types():
    """Every field of both files with values that it cannot have."""
    odd = [None, True, -1, 10**400, 1e308, "x" * 70_000, "\ud800", [], [[]], {}, {"a": 1}]
    return st.tuples(st.sampled_from([".json", ".settings.json"]), st.integers(0, 40), st.sampled_from(odd))


@given(other_types())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fields_of_other_types_are_told_or_taken(run, virtual, change):
    suffix, position, value = change
    if not (virtual.folder / "blue.json").exists():
        virtual.new("blue")
        virtual.new("red")
        virtual.make("bank.example", {"name": "kim"})
    path = virtual.folder / f"blue{suffix}"
    whole = path.read_text()
    try:
        content = json.loads(whole)
        places = list(fields(content))
        place, name = places[position % len(places)]
        place[name] = value
        path.write_text(json.dumps(content))
        done = run("virtual", "list", "--json")
        assert done.status in {0, 6}
        assert run("list", "--json").document["status"] in {"ok", "partial"}
        assert run("info", "-k", "virtual:blue").status in {0, 3, 6, 8}
        assert run("info", "-k", "virtual:red").status == 0
    finally:
        path.write_text(whole)


def fields(value):
    """(container, name or position) of everything in *value*."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in list(items):
        yield value, name
        if isinstance(item, dict | list):
            yield from fields(item)


@pytest.mark.usefixtures("blue")
def test_what_is_no_file_hides_no_other_key(run, virtual, tmp_path):
    virtual.new("red")
    path = virtual.folder / "blue.json"
    kept = tmp_path / "kept.json"
    path.rename(kept)
    for make in (
        lambda: path.symlink_to(kept),
        lambda: path.symlink_to(tmp_path / "missing"),
        lambda: path.symlink_to(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: os.mkfifo(path),
    ):
        make()
        assert_only_this_one_fails(run, "store_unreadable")
        assert kept.exists()
        path.unlink()
    path.mkdir()
    assert_only_this_one_fails(run, "store_unreadable")
    path.rmdir()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert_only_this_one_fails(run, "store_unreadable")


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"caf\xe9"), "\x1b[31m\n", "\u202e", "sp ace", "-k", "a" * 200, "kelvin\u212a", "..x"]
)
def test_file_whose_name_is_none_hides_no_other_key(run, virtual, blue, name):
    (virtual.folder / f"{name}.json").write_text("{}")
    for command in (("list",), ("virtual", "list")):
        done = run(*command)
        assert "blue" in done.out
        assert_harmless(done.out + done.err)
        done = run(*command, "--json")
        assert done.out.isascii()
        assert done.document["data"] is not None
    assert run("info", "-k", blue).status == 0


def test_half_a_key_hides_no_other_key(run, virtual, blue):
    virtual.new("red")
    (virtual.folder / "blue.settings.json").unlink()
    assert_only_this_one_fails(run, "store_unreadable")
    (virtual.folder / "blue.json").unlink()
    assert run("info", "-k", blue).status == 3
    (virtual.folder / "lonely.settings.json").write_text("{}")
    assert run("list", "--json").document["status"] == "ok"


@pytest.mark.parametrize("home", ["file", "file/below", "a" * 300, "loop", "dangling", "\x1b[31m"])
def test_home_that_is_no_folder_is_told(run, tmp_path, home):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    place = str(tmp_path / home)
    for command in (("list",), ("info",), ("virtual", "list"), ("virtual", "new", "x"), ("virtual", "plug", "y")):
        done = run(*command, "--home", place)
        assert done.status in {0, 3, 6, 9}
        assert_harmless(done.out + done.err)
        assert run(*command, "--home", place, "--json").document["command"] == " ".join(command[:2]).removesuffix(" x")


STATUSES = [int(status) for status in CtapError.ERR if status != CtapError.ERR.SUCCESS]
#: A key that never answers is waited for, so that it has no place among so many.
WORDS = sorted(set(FAULT_WORDS) - {"silence"})
ON_A_KEY = {
    "list": (),
    "info": (),
    "pin verify": (),
    "pin set": (),
    "pin change": (),
    "passkeys list": (),
    "passkeys show": ("ID",),
    "passkeys rename": ("ID", "--user-name", "lee"),
    "passkeys delete": ("ID", "--yes"),
    "passkeys delete --rp": ("bank.example", "--yes"),
    "reset": ("--confirm", "virtual:blue"),
}


@pytest.fixture
def fresh(virtual, pin_file):
    """Have a key that has just been plugged in, with a PIN and a passkey; returns a command line for it."""
    kept = {}
    pins = ("-k", "virtual:blue", "--pin-file", pin_file("123456\n987654\n"), "--json")

    def fresh(command, profile, *faults):
        if profile not in kept:
            if kept:
                keys.remove(virtual.folder, "blue")
            virtual.new(profile=profile)
            first = virtual.make("bank.example", {"name": "kim"})
            kept[profile] = first, {path: path.read_bytes() for path in virtual.folder.glob("blue*.json")}
        first, files = kept[profile]
        for path, content in files.items():
            path.write_bytes(content)
        virtual.unplug()
        virtual.plug()
        virtual.set("blue", *(f"fault={count}:{code}" for count, code in faults))
        return *command.split(), *(first if word == "ID" else word for word in ON_A_KEY[command]), *pins

    return fresh


@pytest.mark.parametrize(
    ("command", "count"), [("info", 1), ("reset", 2), ("passkeys list", 4), ("passkeys delete", 9)]
)
def test_every_status_of_a_key_is_told_as_it_came(run, fresh, command, count):
    for status in STATUSES:
        done = run(*fresh(command, "full", (count, status)))
        assert [error["details"]["ctap_status"] for error in done.document["errors"]] == [status]
        assert done.status not in {0, 2, 3, 6}


@given(
    st.sampled_from(sorted(ON_A_KEY)),
    st.sampled_from(["full", "fido2.1-pre", "fido2.0"]),
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([*STATUSES, 0x42, *WORDS])), min_size=1, max_size=3),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_failure_of_a_key_has_a_code_and_a_status(run, fresh, command, profile, faults):
    """Whatever fails whenever: what is printed is one document, and what it says is one line each."""
    found = run(*fresh(command, profile, *faults)).document
    for error in found["errors"]:
        for text in filter(None, (error["message"], error["hint"])):
            assert text == visible(text)
            assert not text.endswith(".")
