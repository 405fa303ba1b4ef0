"""``coverage`` on the terminal, in a pipe and as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from keyctl.cli.document import document, jsonable
from keyctl.core.coverage import coverage
from keyctl.core.inventory import KnownKey, Recovery
from keyctl.model import KeyState
from tests.harmless import assert_harmless

from ..core.coverage_parts import (  # noqa: TID252  # found by path: there is no package to name
    LONG_AGO,
    NOW,
    SEEN_AT,
    derived,
    inventory_of,
    key,
    pairing,
    passkey,
    registration,
    service,
)

FOUR = (
    key("blue-5c", passkey("github.com"), passkey("google.com", "kim.doe@mail.example"), passkey("ebay.com")),
    key("red-nano", passkey("google.com", "kim.doe@mail.example"), passkey("old.example", reset_at=NOW)),
    key("desk", registration("gitlab.com"), passkey("gone.example"), state=KeyState.LOST),
    key("safe", registration("gitlab.com"), passkey("bank.example")),
    service("My Bank", recovery=[Recovery.SMS]),
    service("GitLab", "gitlab.com", recovery=[Recovery.CODES, Recovery.TOTP]),
    service("Fastmail", "fastmail.com", on=["blue-5c", "safe"]),
)
TWELVE = tuple(key(f"key-{count}", passkey("github.com"), passkey(f"site{count}.example")) for count in range(12))
HOSTILE = "\x1b[2J[red]x[/red]\u202e\nkeyctl: error: no"
LONG = "yubikey-" + "x" * 60
SHOWN = r"\x1b[2J[red]x[/red]\u202e\x0akeyctl: error: no"


def test_four_keys_are_a_matrix_the_worst_account_first(run, write):
    write(*FOUR)
    done = run("coverage")
    assert done.status == 0
    table, words = done.out.split("\n\n")
    assert table == (
        "ACCOUNT                        blue-5c  desk  red-nano  safe     ELSE         STATUS\n"
        "gone.example (kim)             -        lost  -         -        -            no key\n"
        "old.example (kim)              -        -     reset     -        -            no key\n"
        "GitHub (kim)                   passkey  -     -         -        -            one key\n"
        "My Bank (kim)                  -        -     -         passkey  sms          weak\n"
        "eBay (kim)                     passkey  -     -         -        -            no backup\n"
        "Fastmail (kim)                 said     -     -         said     -            covered\n"
        "GitLab (kim)                   -        lost  -         yes      codes, totp  covered\n"
        "Google (kim.doe@mail.example)  passkey  -     passkey   -        -            covered"
    )
    assert words.splitlines() == [
        (
            "4 of 8 accounts are at risk: no key opens gone.example (kim); no key opens old.example (kim); "
            "GitHub (kim) opens with blue-5c only; My Bank (kim) opens with safe and else only by sms"
        ),
        "no second key is possible, and there is no good other way: eBay (kim)",
        "2 accounts are covered only if what was said of them holds",
        "yes: the key answered to the credential that a file of this computer names",
        "said: only a person's word; the key was not asked",
        "reset: was there until the key was reset",
        "lost: is on a key that is lost",
        "weak: one key at most, and beside it only what others can take over",
        "no backup: the site takes one key only",
    ]
    assert done.err == ""


def on_screen(at_terminal, columns, *options):
    """The lines that a terminal of so many columns shows, without what makes the headers bold."""
    screen = at_terminal("coverage", *options, columns=columns, variables={"TERM": "xterm", "NO_COLOR": "1"})
    assert screen.end() == 0
    return screen.text.replace("\r\n", "\n").splitlines()


def test_twelve_keys_are_a_list(run, write):
    write(*TWELVE)
    table, words = run("coverage").out.split("\n\n")
    rows = table.splitlines()
    assert rows[0].split() == ["STATUS", "ACCOUNT", "OPENS", "WITH"]
    assert len(rows) == 14
    assert rows[1] == "one key  site0.example (kim)   key-0 (passkey)"
    assert rows[-1].startswith("covered  GitHub (kim)          key-0 (passkey), key-1 (passkey), key-10 (passkey)")
    assert words.startswith("12 of 13 accounts are at risk: site0.example (kim) opens with key-0 only; ")
    assert words.endswith("; and 7 more\n")


def test_all_is_well(run, write):
    write(key("blue", passkey()), key("red", passkey()))
    assert run("coverage").out == (
        "ACCOUNT             blue     red      STATUS\n"
        "bank.example (kim)  passkey  passkey  covered\n"
        "\n"
        "the one account is not at risk\n"
    )


def test_owners_are_named_where_there_are_several(run, write):
    write(key("blue", passkey(), owner="kim"), key("red", passkey(), owner=None))
    out = run("coverage").out
    assert "bank.example (kim) of kim " in out
    assert "bank.example (kim) of no owner " in out
    assert " of kim" not in run("coverage", "--owner", "kim").out
    assert run("coverage", "--owner", "", "--json").document["data"]["keys"] == ["red"]


def test_a_key_without_an_owner_beside_one_with_is_told(run, write):
    write(key("blue", passkey(), owner="kim"), key("red", passkey(), owner=None))
    assert run("coverage").err == (
        "no owner is noted of red, so keyctl takes it for another person's key: `keyctl edit red --owner OWNER`\n"
    )
    assert run("coverage", "--owner", "kim").err == ""


def test_derived_keys_say_whether_they_open_anything(run, write):
    blue, green = key("blue", passkey("github.com")), key("green")
    write(blue, green)
    made = [
        derived("ssh:home.example", handed_over_at=SEEN_AT),
        derived("ssh:new.example"),
        derived("rp:github.com/kim", handed_over_at=SEEN_AT),
    ]
    pair = pairing("blue", "green", *(replace(one, public_key=b"\x04" * 65, key_handle=b"h" * 81) for one in made))
    seed = replace(pair.seed, public_seed=b"s" * 170, user_id=b"u" * 32)
    write(replace(pair, seed=seed))
    table, words = run("coverage").out.split("\n\n")
    assert table.splitlines() == [
        "ACCOUNT           blue     green     STATUS",
        "ssh:new.example   -        no login  no key",
        "GitHub (kim)      passkey  no login  one key",
        "ssh:home.example  -        derived   one key",
    ]
    assert "derived: a derived key that was handed over, as a person said" in words
    assert "no login: a derived key that is for no login, is not handed over, or" in words
    rows = run("coverage", "--json").document["data"]["services"]
    assert {row["rp_id"]: row["keys"]["green"]["how"] for row in rows} == dict.fromkeys(
        ("ssh:home.example", "ssh:new.example", "github.com"), "derived"
    )
    [hint] = [row["hint"] for row in rows if row["hint"] is not None]
    assert hint.endswith("`keyctl pair derive green --handed-over ssh:new.example`")
    assert "ssh:home.example" in run("coverage", "--without", "green").out
    assert "ssh:home.example" in run("forget", "blue", "--dry-run").err


def test_a_virtual_key_does_not_count_beside_a_real_one(run, write):
    write(key("blue", passkey()), key("trial", passkey(), virtual=True))
    out = run("coverage").out
    assert "passkey  virtual  one key" in out
    assert "virtual: on a key for trying out, which does not count" in out


def test_four_keys_are_a_matrix_at_80_columns(at_terminal, write):
    write(*FOUR)
    lines = on_screen(at_terminal, 80)
    assert lines[:11] == [
        "ACCOUNT                  blue-5c  desk  red-nano  safe     ELSE        STATUS",
        "gone.example (kim)       -        lost  -         -        -           no key",
        "old.example (kim)        -        -     reset     -        -           no key",
        "GitHub (kim)             passkey  -     -         -        -           one key",
        "My Bank (kim)            -        -     -         passkey  sms         weak",
        "eBay (kim)               passkey  -     -         -        -           no backup",
        "Fastmail (kim)           said     -     -         said     -           covered",
        "GitLab (kim)             -        lost  -         yes      codes,      covered",
        "                                                           totp",
        "Google                   passkey  -     passkey   -        -           covered",
        "(kim.doe@mail.example)",
    ]


@pytest.mark.parametrize(
    ("records", "columns"),
    [(FOUR, 40), (TWELVE, 80), (TWELVE, 40), ((key(LONG, passkey("evil.example", HOSTILE)), *FOUR), 40)],
    ids=["four keys at 40", "twelve keys at 80", "twelve keys at 40", "hostile names at 40"],
)
def test_where_a_matrix_does_not_fit_there_is_a_list_that_does(at_terminal, write, records, columns):
    write(*records)
    lines = on_screen(at_terminal, columns)
    table = lines[: next(count for count, line in enumerate(lines) if " at risk: " in line)]
    assert table[0].startswith("STATUS")
    assert "OPENS WITH" in "\n".join(table)
    assert max(map(cell_len, table)) <= columns
    assert_harmless("\n".join(lines))
    told = "".join("".join(table).split())
    for record in records:
        if isinstance(record, KnownKey) and record.name != LONG:
            assert record.name in told


def test_a_long_name_of_a_key_is_folded_in_the_matrix(at_terminal, write):
    write(key("a-key-with-a-long-name-of-its-own", passkey()), key("red", passkey()))
    lines = on_screen(at_terminal, 60)
    assert lines[:4] == [
        "                    a-key-with-a-lon",
        "                    g-name-of-its-ow",
        "ACCOUNT             n                 red      STATUS",
        "bank.example (kim)  passkey           passkey  covered",
    ]


@pytest.mark.parametrize("name", [HOSTILE, LONG, "\u65e5\u672c" * 20, "a b"])
def test_texts_are_shown_and_never_obeyed(run, write, name):
    records = (
        key(name, passkey("evil.example", HOSTILE), owner=HOSTILE),
        key("red", passkey("evil.example", HOSTILE), passkey(user="lee"), owner=HOSTILE),
        service(HOSTILE, "evil.example", HOSTILE),
    )
    write(*records)
    shown = name.replace(HOSTILE, SHOWN)
    for options in ((), ("--without", name), ("--missing", name), ("--owner", HOSTILE), ("--check",)):
        done = run("coverage", *options)
        assert_harmless(done.out + done.err)
        assert shown in done.out or options == ("--missing", name)
    done = run("coverage", "--json")
    assert done.out.isascii()
    data = done.document["data"]
    assert set(data["keys"]) == {name, "red"}
    assert {row["owner"] for row in data["services"]} == {HOSTILE}
    [row] = [row for row in data["services"] if row["rp_id"] == "evil.example"]
    assert (row["service"], row["account"]) == (HOSTILE, HOSTILE)
    assert row["keys"][name]["how"] == "passkey"


def test_without_says_what_is_lost_and_what_remains(run, write):
    write(*FOUR)
    assert run("coverage", "--without", "safe").out == (
        "without safe, 2 of 6 accounts would open with no key:\n"
        "ACCOUNT        ELSE\n"
        "GitLab (kim)   codes, totp\n"
        "My Bank (kim)  sms\n"
        "\n"
        "4 accounts would remain:\n"
        "STATUS     ACCOUNT                        OPENS WITH\n"
        "one key    Fastmail (kim)                 blue-5c\n"
        "one key    GitHub (kim)                   blue-5c\n"
        "no backup  eBay (kim)                     blue-5c\n"
        "covered    Google (kim.doe@mail.example)  blue-5c, red-nano\n"
    )
    assert run("coverage", "--without", "desk").out.startswith("without desk no account would be lost\n")


def test_missing_says_who_opens_it_and_where_to_register(run, write):
    write(*FOUR)
    assert run("coverage", "--missing", "red-nano").out == (
        "red-nano does not open 5 accounts that other keys open:\n"
        "\n"
        "GitHub (kim)\n"
        "  opens with: blue-5c\n"
        "  settings: https://github.com/settings/security\n"
        "\n"
        "My Bank (kim)\n"
        "  opens with: safe\n"
        "\n"
        "eBay (kim)\n"
        "  opens with: blue-5c\n"
        "  full: the site takes 1 key only\n"
        "  documentation: https://www.ebay.com/help/account/signing-account/signing-account?id=4189#section2\n"
        "\n"
        "Fastmail (kim)\n"
        "  opens with: blue-5c, safe\n"
        "  settings: https://app.fastmail.com/settings/security\n"
        "\n"
        "GitLab (kim)\n"
        "  opens with: safe\n"
        "  documentation: https://docs.gitlab.com/auth/passkeys/\n"
    )
    write(key("twin", passkey(), owner="lee"))
    assert run("coverage", "--missing", "twin").out == "no other key opens anything that twin does not\n"


@pytest.mark.parametrize(
    ("records", "options", "status"),
    [
        ([], [], 10),
        ([], ["--strict"], 10),
        ([key("blue")], [], 10),
        ([replace(key("blue"), passkeys_read_at=SEEN_AT)], [], 0),
        ([key("blue", passkey())], [], 10),
        ([service(recovery=[Recovery.EMAIL])], [], 10),
        ([key("blue", passkey("ebay.com"))], [], 0),
        ([key("blue", passkey("ebay.com"))], ["--strict"], 0),
        ([key("blue", passkey()), key("red", passkey())], ["--strict"], 0),
        ([key("blue", passkey()), service(recovery=[Recovery.CODES])], [], 0),
        ([key("blue", passkey()), service(recovery=[Recovery.CODES])], ["--strict"], 10),
        ([key("blue", passkey()), key("red"), service(on=["red"])], [], 0),
        ([key("blue", passkey()), key("red"), service(on=["red"])], ["--strict"], 10),
        ([key("blue", passkey()), key("red", passkey())], ["--without", "red"], 10),
        ([key("blue", passkey()), key("red", passkey())], ["--owner", "nobody"], 10),
    ],
)
def test_check_ends_with_10_when_it_finds_something(run, write, records, options, status):
    write(*records)
    assert run("coverage", "--check", *options).status == status
    found = run("coverage", "--check", *options, "--json")
    assert found.status == status
    assert found.document["status"] == ("found" if status else "ok")
    assert run("coverage", *[option for option in options if option != "--strict"]).status == 0


def test_an_empty_inventory_says_what_to_do(run, write):
    done = run("coverage")
    assert (done.status, done.out) == (0, "")
    assert done.err == (
        "nothing is known yet: give a key its name with `keyctl add NAME`, then read it with `keyctl scan`\n"
    )
    assert run("coverage", "--owner", "kim").err == "no key and no account of kim is known\n"
    assert run("coverage", "--owner", "").err == "no key and no account of no owner is known\n"
    write(key("blue"))
    assert run("coverage").err == (
        "nothing is known of blue yet: plug it in and run `keyctl scan`; what a key cannot list, "
        "note with `keyctl service add NAME --on blue`\n"
    )
    write(key("it's old"))
    assert run("coverage").err == (
        "nothing is known of blue, it's old yet: plug them in and run `keyctl scan`; what a key cannot list, "
        "note with `keyctl service add NAME --on blue`\n"
    )


def test_keys_that_were_read_and_hold_no_passkeys_say_how_to_note_second_factors(run, write):
    write(*(replace(key(name), passkeys_read_at=LONG_AGO) for name in ("blue", "green")))
    done = run("coverage")
    assert (done.status, done.out) == (0, "")
    assert done.err == (
        "no account is noted: the keys hold no passkeys, and no key tells where it is a second factor: "
        "note it with `keyctl service add NAME --on blue`\n"
    )


def test_what_is_not_known_is_said_beside_it(run, write):
    held = [registration("ssh:", None), passkey("ssh:", "kim"), passkey("ssh:", "lee")]
    write(key("blue", *held), service("Old", "old.example", on=["blue"], at=LONG_AGO))
    assert run("coverage").err.splitlines() == [
        (
            "ssh: - no record tells which account of the site this is; say it: "
            "`keyctl service add NAME --rp RP --account ACCOUNT`"
        ),
        "noted more than a year ago, look whether it still holds: Old (kim)",
    ]


def test_nobody_is_asked_which_account_it_is_where_a_site_has_only_one(run, write):
    write(key("blue", registration("ssh:", None)))
    assert run("coverage").err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "blue"], "no key is needed here"),
        (["--without", "blue", "--missing", "blue"], "give --without or --missing, not both"),
        (["--strict"], "--strict goes with --check"),
        (["--owner", "lee", "--missing", "blue"], "blue is no key of lee"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(run, write, options, message):
    write(key("blue", passkey()))
    done = run("coverage", *options, "--json")
    assert done.status == 2
    assert done.error["message"].startswith(message)


def test_an_unknown_name_is_not_found(run, write):
    write(key("blue", passkey()))
    done = run("coverage", "--without", "pink", "--json")
    assert (done.status, done.error["code"], done.error["details"]["candidates"]) == (9, "name_not_found", ["blue"])


def test_a_damaged_file_ends_it(run, write, home):
    write(key("blue", passkey()))
    (home / "keys" / f"{key('blue').id}.json").write_text("[]")
    done = run("coverage", "--json")
    assert (done.status, done.error["code"]) == (6, "store_unreadable")


def test_json_tells_every_cell(run, write):
    write(*FOUR)
    data = run("coverage", "--json").document["data"]
    assert data["keys"] == ["blue-5c", "desk", "red-nano", "safe"]
    assert data["summary"] == {
        "services": 8,
        "covered": 3,
        "at_risk": 4,
        "no_backup_possible": 1,
        "declared_only": 2,
    }
    [row] = [row for row in data["services"] if row["service"] == "GitLab"]
    nothing = {"how": "none", "evidence": None, "seen_at": None, "counts": False}
    assert row == {
        "service": "GitLab",
        "rp_id": "gitlab.com",
        "account": "kim",
        "owner": None,
        "status": "covered",
        "keys": {
            "blue-5c": nothing,
            "desk": {"how": "registration", "evidence": "probed", "seen_at": SEEN_AT, "counts": False},
            "red-nano": nothing,
            "safe": {"how": "registration", "evidence": "probed", "seen_at": SEEN_AT, "counts": True},
        },
        "recovery": ["codes", "totp"],
        "evidence": "declared",
        "url": "https://docs.gitlab.com/auth/passkeys/",
        "url_kind": "documentation",
        "max_keys": None,
        "wants_confirming": False,
        "hint": None,
    }
    assert [data[field] for field in ("without", "lost", "remains", "missing_on", "missing")] == [None] * 5


def test_the_document_is_what_jsonable_makes_of_its_data():
    """The encoder takes another way to the same text."""
    import json

    found = coverage(inventory_of(*FOUR), now=NOW)
    data = {"coverage": found, "records": FOUR, "set": {b"\x00\xff"}, "number": 1.5, "none": None, "empty": ()}
    assert json.loads(document("x", 0, data, []))["data"] == json.loads(json.dumps(jsonable(data)))
