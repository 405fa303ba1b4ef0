"""The rules of coverage, as a table of cases."""

from __future__ import annotations

import time
from dataclasses import replace
from hashlib import sha256

import pytest

from keyctl.core import coverage as rules
from keyctl.core.account_rows import NOTHING, Status
from keyctl.core.coverage import coverage, missing, openings, stranded, stranded_targets
from keyctl.core.holdings import Evidence, How
from keyctl.core.inventory import Recovery
from keyctl.core.sites import UrlKind
from keyctl.model import OWN_RP_ID, KeyState

from .coverage_parts import (
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

CODES, SMS, EMAIL, NONE, TOTP = Recovery.CODES, Recovery.SMS, Recovery.EMAIL, Recovery.NONE, Recovery.TOTP


def handed(name, target, at=SEEN_AT, **facts):
    """A pairing with the key *name* as its backup and one derived key, which was handed over *at* that time."""
    return pairing("primary", name, derived(target, handed_over_at=at, **facts))


def found(*records, **options):
    """The coverage of keys, services and derived keys."""
    return coverage(inventory_of(*records), now=NOW, **options)


def only_row(*records, **options):
    [row] = found(*records, **options).services
    return row


def accounts_of(*records):
    """Service, account and the keys that count, of every row."""
    return [(row.service, row.account, set(row.opened_by)) for row in found(*records).services]


BLUE, RED = key("blue", passkey()), key("red", passkey())
PROBED = key("red", registration())
EMPTY = key("red")
ONE_KEY_SITE = "ebay.com"
SINGLE, WEAK, COVERED, UNCOVERED = Status.SINGLE_KEY, Status.WEAK_RECOVERY, Status.COVERED, Status.UNCOVERED
NO_BACKUP = Status.NO_BACKUP_POSSIBLE
SEEN, PROBED_, DECLARED, RESET = Evidence.SEEN, Evidence.PROBED, Evidence.DECLARED, Evidence.RESET


@pytest.mark.parametrize(
    ("records", "status", "evidence"),
    [
        pytest.param([BLUE, RED], COVERED, SEEN, id="two passkeys"),
        pytest.param([BLUE, PROBED], COVERED, PROBED_, id="a passkey and a registration"),
        pytest.param([BLUE, EMPTY, service(on=["red"])], COVERED, DECLARED, id="a passkey and a declaration"),
        pytest.param(
            [BLUE, RED, key("green"), service(on=["green"])], COVERED, SEEN, id="two passkeys and a declaration"
        ),
        pytest.param([key("blue"), EMPTY, service(on=["blue", "red"])], COVERED, DECLARED, id="two declarations"),
        pytest.param([BLUE, service(recovery=[CODES])], COVERED, DECLARED, id="a passkey and codes"),
        pytest.param([BLUE, service(recovery=[SMS, CODES])], COVERED, DECLARED, id="a passkey, codes and sms"),
        pytest.param([BLUE, RED, service(recovery=[CODES])], COVERED, SEEN, id="two passkeys and codes"),
        *(
            pytest.param([BLUE, service(recovery=[method])], COVERED, DECLARED, id=f"a passkey and {method}")
            for method in Recovery
            if method not in {SMS, EMAIL, NONE, CODES}
        ),
        pytest.param([BLUE, service(recovery=[SMS])], WEAK, SEEN, id="a passkey and sms"),
        pytest.param([BLUE, service(recovery=[EMAIL, SMS])], WEAK, SEEN, id="a passkey, email and sms"),
        pytest.param([BLUE, service(recovery=[EMAIL, NONE])], WEAK, SEEN, id="a passkey, email and none"),
        pytest.param([service(recovery=[SMS])], WEAK, DECLARED, id="sms alone"),
        pytest.param([BLUE, RED, service(recovery=[SMS])], COVERED, SEEN, id="two passkeys and sms"),
        pytest.param([BLUE], SINGLE, SEEN, id="a passkey"),
        pytest.param([PROBED], SINGLE, PROBED_, id="a registration"),
        pytest.param([EMPTY, service(on=["red"])], SINGLE, DECLARED, id="a declaration"),
        pytest.param([BLUE, service(recovery=[NONE])], SINGLE, SEEN, id="a passkey, and no recovery for sure"),
        pytest.param(
            [key("blue", passkey(), registration())], SINGLE, SEEN, id="a passkey and a registration of a key"
        ),
        pytest.param([BLUE, service(on=["blue"])], SINGLE, SEEN, id="a passkey and a declaration of a key"),
        pytest.param([service()], UNCOVERED, None, id="nothing"),
        pytest.param([service(recovery=[NONE])], UNCOVERED, None, id="no recovery for sure"),
        pytest.param([service(recovery=[CODES])], UNCOVERED, None, id="codes alone"),
        pytest.param([key("blue", passkey(ONE_KEY_SITE))], NO_BACKUP, SEEN, id="a passkey where no second fits"),
        pytest.param(
            [key("blue", passkey(ONE_KEY_SITE)), service("eBay", ONE_KEY_SITE, recovery=[SMS])],
            NO_BACKUP,
            SEEN,
            id="a passkey and sms where no second fits",
        ),
        pytest.param(
            [service("eBay", ONE_KEY_SITE, recovery=[SMS])], NO_BACKUP, DECLARED, id="sms where no second key fits"
        ),
        pytest.param(
            [key("blue", passkey(ONE_KEY_SITE)), service("eBay", ONE_KEY_SITE, recovery=[CODES])],
            COVERED,
            DECLARED,
            id="a passkey and codes where no second fits",
        ),
        pytest.param(
            [key("blue", passkey(ONE_KEY_SITE)), key("red", passkey("ebay.de", user="KIM"))],
            COVERED,
            SEEN,
            id="two passkeys where no second fits",
        ),
        pytest.param([service("eBay", ONE_KEY_SITE)], UNCOVERED, None, id="nothing where one key fits"),
        pytest.param([key("blue", passkey("bitwarden.com"))], SINGLE, SEEN, id="a passkey where five fit"),
        pytest.param([key("blue", passkey(reset_at=SEEN_AT))], UNCOVERED, RESET, id="a passkey until a reset"),
        pytest.param([key("blue", registration(reset_at=SEEN_AT))], UNCOVERED, RESET, id="a registration, reset"),
        pytest.param([replace(BLUE, state=KeyState.RESET)], UNCOVERED, RESET, id="a passkey on a key that was reset"),
        pytest.param(
            [key("blue", state=KeyState.RESET), service(on=["blue"])],
            UNCOVERED,
            RESET,
            id="a declaration on a key that was reset",
        ),
        pytest.param(
            [key("blue", replaced_at=NOW), service(on=["blue"])],
            UNCOVERED,
            RESET,
            id="a declaration from before the key was replaced",
        ),
        pytest.param(
            [key("blue", replaced_at="2026-04-01T00:00:00Z"), service(on=["blue"])],
            SINGLE,
            DECLARED,
            id="a declaration from after the key was replaced",
        ),
        pytest.param([replace(BLUE, state=KeyState.RESET), RED], SINGLE, SEEN, id="one of two keys was reset"),
        pytest.param([replace(BLUE, state=KeyState.LOST)], UNCOVERED, None, id="a passkey on a lost key"),
        pytest.param([replace(BLUE, state=KeyState.LOST), RED], SINGLE, SEEN, id="one of two keys is lost"),
        pytest.param([replace(BLUE, state=KeyState.LOST), service(recovery=[SMS])], WEAK, DECLARED, id="lost, and sms"),
        pytest.param([replace(BLUE, virtual=True)], SINGLE, SEEN, id="a virtual key where all are"),
        pytest.param([replace(BLUE, virtual=True), replace(RED, virtual=True)], COVERED, SEEN, id="two virtual keys"),
        pytest.param([replace(BLUE, virtual=True), RED], SINGLE, SEEN, id="a virtual key beside a real one"),
        pytest.param([replace(BLUE, virtual=True), EMPTY], UNCOVERED, None, id="a virtual key and an empty real one"),
        pytest.param(
            [replace(BLUE, virtual=True), key("red", owner="lee", state=KeyState.LOST)],
            UNCOVERED,
            None,
            id="a virtual key and a lost real one of somebody else",
        ),
        pytest.param([key("blue"), handed("blue", "rp:bank.example/kim", None)], UNCOVERED, None, id="a derived key"),
        pytest.param(
            [key("blue"), handed("blue", "rp:bank.example/kim")],
            UNCOVERED,
            None,
            id="a derived key handed over to a web site",
        ),
        pytest.param(
            [BLUE, EMPTY, handed("red", "rp:bank.example/kim", None)], SINGLE, SEEN, id="a passkey and a derived key"
        ),
        pytest.param(
            [BLUE, handed("blue", "rp:bank.example/kim", None)], SINGLE, SEEN, id="a passkey and a derived key of a key"
        ),
        pytest.param([EMPTY, handed("red", "ssh:home", None)], UNCOVERED, None, id="derived for ssh"),
        pytest.param(
            [EMPTY, handed("red", "ssh:home")],
            SINGLE,
            DECLARED,
            id="derived for ssh and handed over",
        ),
        pytest.param(
            [key("red", state=KeyState.RESET), handed("red", "ssh:home")],
            UNCOVERED,
            RESET,
            id="derived for ssh on a key that was reset",
        ),
        pytest.param(
            [
                key("blue", registration("ssh:home")),
                EMPTY,
                handed("red", "ssh:home"),
            ],
            COVERED,
            DECLARED,
            id="a registration and a derived key for ssh",
        ),
        pytest.param(
            [EMPTY, replace(handed("red", "ssh:home"), retired_at=NOW)], SINGLE, DECLARED, id="of a retired pairing"
        ),
        pytest.param([EMPTY, replace(handed("red", "ssh:home"), broken_at=NOW)], UNCOVERED, None, id="broken"),
        pytest.param(
            [EMPTY, replace(handed("red", "ssh:home"), broken_at=NOW, retired_at=NOW)],
            UNCOVERED,
            None,
            id="of a pairing that was retired and is broken",
        ),
        pytest.param(
            [EMPTY, replace(handed("red", "ssh:home"), broken_at=SEEN_AT, verified_at=NOW, verified_by="c" * 16)],
            SINGLE,
            DECLARED,
            id="of a pairing that was mended",
        ),
        pytest.param(
            [key("red", state=KeyState.LOST), handed("red", "ssh:home")],
            UNCOVERED,
            None,
            id="of a lost backup key",
        ),
        pytest.param(
            [EMPTY, handed("red", "ssh:home", NOW, replaced_at=SEEN_AT)],
            SINGLE,
            DECLARED,
            id="handed over after it was replaced",
        ),
    ],
)
def test_status_and_evidence_of_one_account(records, status, evidence):
    row = only_row(*records)
    assert (row.status, row.evidence) == (status, evidence)


@pytest.mark.parametrize(
    ("records", "how", "evidence", "seen_at", "counts"),
    [
        ([BLUE], How.PASSKEY, SEEN, SEEN_AT, True),
        ([key("blue", registration())], How.REGISTRATION, PROBED_, SEEN_AT, True),
        ([key("blue"), service(on=["blue"], at=NOW)], How.REGISTRATION, DECLARED, NOW, True),
        ([key("blue", passkey(reset_at=NOW))], How.NONE, RESET, NOW, False),
        ([key("blue", passkey(), state=KeyState.RESET)], How.NONE, RESET, SEEN_AT, False),
        ([key("blue", passkey(), state=KeyState.RESET, changed={"state": NOW})], How.NONE, RESET, NOW, False),
        ([key("blue", registration(), state=KeyState.RESET, changed={"state": NOW})], How.NONE, RESET, NOW, False),
        ([key("blue", passkey(reset_at=LONG_AGO), passkey())], How.PASSKEY, SEEN, SEEN_AT, True),
        ([key("blue", passkey(reset_at=LONG_AGO)), service(on=["blue"])], How.REGISTRATION, DECLARED, SEEN_AT, True),
        ([replace(BLUE, state=KeyState.LOST)], How.PASSKEY, SEEN, SEEN_AT, False),
        ([replace(BLUE, virtual=True), EMPTY], How.PASSKEY, SEEN, SEEN_AT, False),
        ([key("blue"), handed("blue", "rp:bank.example/kim", None)], How.DERIVED, None, None, False),
        ([key("blue"), handed("blue", "rp:bank.example/kim", NOW)], How.DERIVED, DECLARED, NOW, False),
        ([BLUE, handed("blue", "rp:bank.example/kim", NOW)], How.PASSKEY, SEEN, SEEN_AT, True),
        (
            [key("blue", passkey(reset_at=NOW)), handed("blue", "rp:bank.example/kim", None)],
            How.DERIVED,
            None,
            None,
            False,
        ),
        ([key("blue"), handed("blue", "ssh:", NOW)], How.DERIVED, DECLARED, NOW, True),
        ([key("blue"), RED], How.NONE, None, None, False),
    ],
)
def test_the_cell_of_a_key_is_its_best_holding(records, how, evidence, seen_at, counts):
    cell = only_row(*records).keys["blue"]
    assert (cell.how, cell.evidence, cell.seen_at, cell.counts) == (how, evidence, seen_at, counts)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param(
            [BLUE, key("red", passkey(user="lee"))],
            [("bank.example", "kim", {"blue"}), ("bank.example", "lee", {"red"})],
            id="two users are two accounts",
        ),
        pytest.param(
            [key("blue", passkey(user="Kim")), key("red", passkey(user="kIM"))],
            [("bank.example", "Kim", {"blue", "red"})],
            id="the case of a name makes no account",
        ),
        pytest.param(
            [key("blue", passkey(user="Ren\u00e9")), key("red", passkey(user="RENE\u0301"))],
            [("bank.example", "RENE\u0301", {"blue", "red"})],
            id="the composition of a name makes no account",
        ),
        pytest.param(
            [key("blue", passkey(user="kim", user_id=b"1")), key("red", passkey(user="kim@new.example", user_id=b"1"))],
            [("bank.example", "kim", {"blue", "red"})],
            id="the same user id under two names is one account",
        ),
        pytest.param(
            [
                key("blue", passkey(user="kim", user_id=b"1")),
                key("red", passkey(user="lee", user_id=b"2")),
                key("green", passkey(user="kim", user_id=b"2")),
            ],
            [("bank.example", "kim", {"blue", "red", "green"})],
            id="one leads to another",
        ),
        pytest.param(
            [key("blue", passkey(user=None, user_id=b"1")), key("red", passkey(user="", user_id=b"1"))],
            [("bank.example", "31", {"blue", "red"})],
            id="without a name the user id is the account",
        ),
        pytest.param(
            [key("blue", passkey(user=None, user_id=bytes(range(32)), display_name="Kim Doe"))],
            [("bank.example", "Kim Doe", {"blue"})],
            id="the display name is better than the id",
        ),
        pytest.param(
            [key("blue", passkey(user=None, user_id=bytes(range(32))))],
            [("bank.example", "0001020304050607", {"blue"})],
            id="of a long id the beginning",
        ),
        pytest.param(
            [
                key("blue", passkey(user=None, user_id=b"1", display_name="Kim")),
                key("red", passkey(user=None, user_id=b"2", display_name="Kim")),
            ],
            [("bank.example", "Kim", {"blue"}), ("bank.example", "Kim", {"red"})],
            id="the display name tells no account",
        ),
        pytest.param(
            [BLUE, key("red", registration(account="KIM"))],
            [("bank.example", "KIM", {"blue", "red"})],
            id="the account of a registration is a user name",
        ),
        pytest.param(
            [BLUE, service("My bank", account="KIM")],
            [("My bank", "KIM", {"blue"})],
            id="a declared name and account are what it is called",
        ),
        pytest.param(
            [BLUE, service("Savings"), service("My bank")],
            [("My bank / Savings", "kim", {"blue"})],
            id="two services of one account",
        ),
        pytest.param(
            [BLUE, key("red", registration(account=None))],
            [("bank.example", "kim", {"blue", "red"})],
            id="a record without an account joins the only one",
        ),
        pytest.param(
            [BLUE, RED, service(account=None, recovery=[CODES])],
            [("Bank", "kim", {"blue", "red"})],
            id="a service without an account joins the only one",
        ),
        pytest.param(
            [BLUE, key("red", passkey(user="lee")), key("green", registration(account=None))],
            [
                ("bank.example", None, {"green"}),
                ("bank.example", "kim", {"blue"}),
                ("bank.example", "lee", {"red"}),
            ],
            id="a record without an account is by itself where there are two",
        ),
        pytest.param(
            [key("blue", registration(account=None)), key("red", registration(account=None))],
            [("bank.example", None, {"blue", "red"})],
            id="records without an account are one where there is none",
        ),
        pytest.param(
            [key("blue", registration(account=None)), service("Bank", recovery=[NONE])],
            [("Bank", "kim", {"blue"})],
            id="a service tells the account of a record that has none",
        ),
        pytest.param(
            [key("blue", passkey("amazon.de")), key("red", passkey("amazon.com")), key("green", passkey("amazon.com"))],
            [("Amazon", "kim", {"blue", "red", "green"})],
            id="two domains of one site",
        ),
        pytest.param(
            [key("blue", passkey("github.com")), key("red", passkey("login.github.com"))],
            [("GitHub", "kim", {"blue"}), ("GitHub", "kim", {"red"})],
            id="a parent domain is another site of the same name",
        ),
        pytest.param(
            [BLUE, key("red", passkey(text="bank.exam"))],
            [("bank.example", "kim", {"blue", "red"})],
            id="the hash leads from a cut RP id to one that another key tells",
        ),
        pytest.param(
            [key("red", passkey(text=None)), service("Bank")],
            [("Bank", "kim", {"red"})],
            id="the hash leads to the RP id of a service",
        ),
        pytest.param(
            [key("red", passkey("github.com", text="git"))],
            [("GitHub", "kim", {"red"})],
            id="the hash leads to the catalogue",
        ),
        pytest.param(
            [key("red", passkey("amazon.de", text=None)), key("blue", passkey("amazon.fr", text=""))],
            [("Amazon", "kim", {"red", "blue"})],
            id="the hash leads to another domain in the catalogue",
        ),
        pytest.param(
            [BLUE, key("red", passkey("evil.example", text="bank.example"))],
            [("bank.example", "kim", {"red"}), ("bank.example", "kim", {"blue"})],
            id="a text that is not the RP id decides nothing",
        ),
        pytest.param(
            [key("red", passkey("github.com.evil.example", text="github.com"))],
            [("github.com", "kim", {"red"})],
            id="a text that is not the RP id is no site of the catalogue",
        ),
        pytest.param(
            [key("blue", passkey(text="bank.ex")), key("red", passkey(text="bank.exam"))],
            [("bank.ex", "kim", {"blue", "red"})],
            id="one hash is one site, whatever the keys tell",
        ),
        pytest.param(
            [key("blue", passkey(text=None))],
            [(f"site {sha256(b'bank.example').hexdigest()[:16]}", "kim", {"blue"})],
            id="a site of which nothing is told",
        ),
        pytest.param(
            [key("blue", passkey(OWN_RP_ID), passkey(OWN_RP_ID, text="keyctl.in"), registration(OWN_RP_ID))],
            [],
            id="keyctl's own credentials are no accounts",
        ),
        pytest.param([service(rp_id=OWN_RP_ID)], [], id="nor is a service of that name"),
        pytest.param([key("blue"), handed("blue", "sign:x", None)], [], id="a key for signing is no account"),
        pytest.param([handed("blue", "rp:bank.example/kim", None)], [], id="a derived key of no known key is none"),
        pytest.param([service(on=["gone"])], [("Bank", "kim", set())], id="a declaration of no known key is none"),
    ],
)
def test_what_is_one_account(records, expected):
    assert accounts_of(*records) == expected


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param(
            [key("blue", passkey(), owner="kim"), key("red", passkey(), owner="lee")],
            [("kim", {"blue"}), ("lee", {"red"})],
            id="two owners are two accounts",
        ),
        pytest.param(
            [key("blue", passkey(), owner="kim"), key("red", passkey())],
            [(None, {"red"}), ("kim", {"blue"})],
            id="no owner is one of its own",
        ),
        pytest.param(
            [key("blue", passkey(), owner="Ren\u00e9"), key("red", passkey(), owner="Rene\u0301")],
            [("Ren\u00e9", {"blue", "red"})],
            id="the composition of a name makes no owner",
        ),
        pytest.param(
            [key("blue", owner="kim"), key("red", owner="lee"), service(on=["blue", "red"])],
            [("kim", {"blue"}), ("lee", {"red"})],
            id="a service on keys of two owners",
        ),
        pytest.param(
            [key("blue", passkey(), owner="kim"), service()],
            [("kim", {"blue"})],
            id="a service on no key belongs to the only owner of the account",
        ),
        pytest.param(
            [key("blue", passkey(), owner="kim"), service(account="lee")],
            [(None, set()), ("kim", {"blue"})],
            id="another account at the site may be anybody's",
        ),
        pytest.param(
            [key("blue", passkey(), owner="kim"), service(account=None)],
            [("kim", {"blue"})],
            id="a service on no key and without an account belongs to the only owner at the site",
        ),
        pytest.param(
            [key("blue", passkey(), owner="kim"), key("red", passkey(), owner="lee"), service(account=None)],
            [(None, set()), ("kim", {"blue"}), ("lee", {"red"})],
            id="without an account, where there are two owners, to nobody",
        ),
        pytest.param(
            [key("blue", passkey(), owner="kim"), key("red", passkey(), owner="lee"), service(recovery=[CODES])],
            [("kim", {"blue"}), ("lee", {"red"})],
            id="an account that two owners open is each one's",
        ),
        pytest.param(
            [key("blue", owner="kim"), service(on=["gone"])],
            [(None, set())],
            id="a declaration of no known key tells no owner",
        ),
    ],
)
def test_whose_account_it_is(records, expected):
    rows = found(*records).services
    assert sorted(((row.owner, set(row.opened_by)) for row in rows), key=str) == sorted(expected, key=str)


def test_the_other_way_into_an_account_is_each_owners():
    keys = key("blue", passkey(), owner="kim"), key("red", passkey(), owner="lee")
    assert {row.status for row in found(*keys, service(recovery=[CODES])).services} == {COVERED}
    assert {row.status for row in found(*keys, service(account=None, recovery=[CODES])).services} == {SINGLE, UNCOVERED}


@pytest.mark.parametrize(
    ("records", "hint"),
    [
        ([BLUE], None),
        ([key("blue", registration(account=None))], "keyctl service add NAME --rp RP --account ACCOUNT"),
        ([service(account=None)], "keyctl service edit NAME --new-account ACCOUNT"),
        ([service(on=["gone"])], "not in the inventory"),
        ([BLUE, service(on=["gone"])], "not in the inventory"),
        ([key("blue", passkey(text="bank.exam"))], "whole RP id"),
        ([key("blue", passkey("github.com", text="git"))], None),
    ],
)
def test_a_hint_says_what_is_not_known(records, hint):
    row = only_row(*records)
    assert row.hint is None if hint is None else hint in row.hint
    assert "\n" not in (row.hint or "")


@pytest.mark.parametrize(
    ("records", "wants_confirming"),
    [
        ([BLUE, service(recovery=[CODES], at=LONG_AGO)], True),
        ([BLUE, service(recovery=[CODES], at=LONG_AGO, changed={"recovery": SEEN_AT})], False),
        ([BLUE, service(recovery=[CODES], at=LONG_AGO, changed={"name": SEEN_AT})], True),
        ([BLUE, service(recovery=[CODES], at=SEEN_AT)], False),
        ([BLUE, service(recovery=[CODES], at="2025-06-01T08:00:00Z")], False),
        ([BLUE, service(recovery=[CODES], at="2025-06-01T07:59:59Z")], True),
        ([BLUE, service("a", recovery=[CODES], at=LONG_AGO), service("b", recovery=[TOTP])], False),
        ([BLUE, service("a", recovery=[CODES], at=LONG_AGO), service("b", recovery=[SMS])], True),
        ([BLUE, service(recovery=[SMS], at=LONG_AGO)], False),
        ([service(recovery=[SMS], at=LONG_AGO)], True),
        ([BLUE, EMPTY, service(on=["red"], at=LONG_AGO)], True),
        ([BLUE, EMPTY, service(on=["red"], at=SEEN_AT)], False),
        ([BLUE, RED, key("green"), service(on=["green"], at=LONG_AGO)], False),
        ([EMPTY, service(on=["red"], at=LONG_AGO)], True),
        ([service(at=LONG_AGO)], False),
    ],
)
def test_a_word_that_is_a_year_old_wants_confirming_where_something_rests_on_it(records, wants_confirming):
    assert only_row(*records).wants_confirming is wants_confirming


def test_links_lead_to_the_settings_and_else_to_the_documentation():
    records = [key("blue", passkey("github.com"), passkey("adobe.com"), passkey("bank.example"))]
    kinds = {row.service: (row.url_kind, row.url and row.url.split("/")[2]) for row in found(*records).services}
    assert kinds == {
        "GitHub": (UrlKind.SETTINGS, "github.com"),
        "Adobe": (UrlKind.DOCUMENTATION, "helpx.adobe.com"),
        "bank.example": (None, None),
    }


def test_the_number_of_keys_a_site_takes_is_told():
    rows = found(key("blue", passkey("www.ebay.de"), passkey("bank.example"))).services
    assert {row.rp_id: row.max_keys for row in rows} == {"www.ebay.de": 1, "bank.example": None}


def test_recovery_is_that_of_all_services_in_the_usual_order():
    row = only_row(BLUE, service("b", recovery=[SMS, NONE]), service("a", recovery=[CODES, SMS]))
    assert row.recovery == (CODES, SMS, NONE)


def test_the_worst_is_first_and_then_by_name_account_and_owner():
    blue = key("blue", *(passkey(f"{name}.example") for name in ("b", "A", "c")), passkey(ONE_KEY_SITE))
    red = key("red", passkey("c.example"), passkey("b.example", user="Lee"), owner=None)
    records = [blue, red, service("Zoo", "zoo.example"), service("a", "a.example", recovery=[SMS])]
    assert [(row.service, row.account, row.status) for row in found(*records).services] == [
        ("Zoo", "kim", UNCOVERED),
        ("b.example", "kim", SINGLE),
        ("b.example", "Lee", SINGLE),
        ("a", "kim", WEAK),
        ("eBay", "kim", NO_BACKUP),
        ("c.example", "kim", COVERED),
    ]


def test_the_summary_counts_accounts():
    blue = key("blue", *(passkey(f"{name}.example") for name in "abcd"), passkey(ONE_KEY_SITE))
    red = key("red", passkey("c.example"))
    services = [
        service("A", "a.example", recovery=[CODES]),
        service("B", "b.example", recovery=[SMS]),
        service("E", "e.example"),
    ]
    summary = found(blue, red, *services).summary
    assert summary == rules.Summary(services=6, covered=2, at_risk=3, no_backup_possible=1, declared_only=1)


def test_every_row_has_a_cell_for_every_key_and_the_empty_ones_are_one_object():
    result = found(BLUE, key("red", passkey("a.example")), key("Green"))
    assert result.keys == ("blue", "Green", "red")
    for row in result.services:
        assert tuple(row.keys) == result.keys
        assert row.keys["Green"] is NOTHING


def test_an_owner_sees_only_their_keys_and_accounts():
    records = [key("blue", passkey(), owner="Ren\u00e9"), key("red", passkey(), owner="lee"), service("X", "x.example")]
    result = found(*records, owner="Rene\u0301")
    assert result.keys == ("blue",)
    assert [(row.owner, tuple(row.keys)) for row in result.services] == [("Ren\u00e9", ("blue",))]
    assert result.summary.services == 1
    assert found(*records, owner="nobody").services == ()
    # A real key of another owner still outdoes virtual ones.
    records = [key("blue", passkey(), owner="kim", virtual=True), key("red", owner="lee")]
    assert only_row(*records, owner="kim").status is UNCOVERED


def test_two_keys_of_one_name_stay_apart():
    """Two computers may have given it before they were synchronised."""
    twin = replace(RED, name="blue")
    result = found(BLUE, twin)
    assert set(result.keys) == {f"blue ({BLUE.id})", f"blue ({twin.id})"}
    assert result.services[0].status is COVERED


def test_without_a_key_its_accounts_are_lost_or_remain():
    blue = key("blue", passkey("a.example"), passkey("b.example"), passkey("c.example"))
    red = key("red", passkey("b.example"), passkey("d.example"))
    green = key("green", passkey("e.example"), state=KeyState.LOST)
    records = [blue, red, green, service("C", "c.example", recovery=[CODES]), service("F", "f.example")]
    result = found(*records, without=blue.id)
    assert result.without == "blue"
    assert [row.rp_id for row in result.lost] == ["a.example", "c.example"]
    assert [row.rp_id for row in result.remains] == ["b.example", "d.example"]
    # What no key opened before is not lost by it.
    assert {row.rp_id: row.status for row in result.services} == {
        "a.example": UNCOVERED,
        "b.example": SINGLE,
        "c.example": UNCOVERED,
        "d.example": SINGLE,
        "e.example": UNCOVERED,
        "f.example": UNCOVERED,
    }
    assert result.services[0].keys["blue"].how is How.PASSKEY
    plain = found(*records)
    assert (plain.without, plain.lost, plain.remains) == (None, None, None)


def test_missing_is_what_other_keys_of_the_owner_open():
    blue = key("blue", *(passkey(f"{name}.example") for name in "abc"), owner="kim")
    red = key("red", passkey("a.example"), passkey("b.example", reset_at=NOW), passkey("d.example"), owner="kim")
    green = key("green", passkey("e.example"), owner="lee")
    lost = key("lost", passkey("f.example"), owner="kim", state=KeyState.LOST)
    inventory = inventory_of(blue, red, green, lost, service("G", "g.example"))
    result = coverage(inventory, now=NOW)
    assert [row.rp_id for row in missing(result, inventory, red.id)] == ["b.example", "c.example"]
    assert [row.rp_id for row in missing(result, inventory, blue.id)] == ["d.example"]
    assert [row.rp_id for row in missing(result, inventory, green.id)] == []
    assert [row.rp_id for row in missing(result, inventory, lost.id)] == [f"{name}.example" for name in "bcda"]


def test_stranded_is_what_nothing_else_opens():
    a, b, c, d, e, f = (passkey(f"{name}.example") for name in "abcdef")
    blue = key("blue", a, b, c, d, e, f, registration("a.example"), passkey("g.example", reset_at=NOW))
    records = [
        blue,
        key("red", b),
        key("green", c, state=KeyState.LOST),
        key("trial", d, virtual=True),
        service("E", "e.example", recovery=[CODES]),
        service("F", "f.example", recovery=[SMS], on=["blue"]),
        service("H", "h.example", on=["blue"]),
    ]
    inventory = inventory_of(*records)
    stranded_by = {
        name: [row.rp_id for row in stranded(inventory, blue.id, {credential.credential_id})]
        for name, credential in zip("abcdef", (a, b, c, d, e, f), strict=True)
    }
    # Of a.example the registration stays; that f.example is declared on the same key too saves nothing.
    assert stranded_by == {"a": [], "b": [], "c": ["c.example"], "d": ["d.example"], "e": [], "f": ["f.example"]}
    both = {a.credential_id, blue.registrations[0].credential_id}
    [row] = stranded(inventory, blue.id, both)
    assert (row.rp_id, row.opened_by) == ("a.example", ("blue",))
    assert {row.rp_id for row in stranded(inventory, blue.id)} == {f"{name}.example" for name in "acdfh"}
    assert stranded(inventory, blue.id, set()) == ()
    assert stranded(inventory, "0" * 16) == ()


def test_a_key_that_is_marked_as_lost_strands_what_is_on_it():
    lost = replace(BLUE, state=KeyState.LOST)
    assert len(stranded(inventory_of(lost), lost.id)) == 1


def test_a_virtual_key_strands_nothing_beside_a_real_one():
    trial = replace(BLUE, virtual=True)
    assert len(stranded(inventory_of(trial), trial.id)) == 1
    assert stranded(inventory_of(trial, EMPTY), trial.id) == ()


def test_an_empty_inventory_has_no_accounts():
    assert found() == rules.Coverage(
        keys=(),
        services=(),
        summary=rules.Summary(services=0, covered=0, at_risk=0, no_backup_possible=0, declared_only=0),
    )


def test_twenty_keys_with_ninety_passkeys_each_take_little_time():
    """The bound is ten times what it takes, so that only a square would break it."""
    keys = [
        key(f"key {number}", *(passkey(f"site{(number * 7 + count) % 900}.example") for count in range(90)))
        for number in range(20)
    ]
    services = [service(f"Site {number}", f"site{number}.example", recovery=[CODES]) for number in range(200)]
    inventory = inventory_of(*keys, *services)
    begun = time.process_time()
    result = coverage(inventory, now=NOW)
    assert time.process_time() - begun < 0.6
    assert result.summary.services > 200


def test_a_derived_key_that_was_replaced_is_no_way_in():
    replaced = handed("red", "ssh:home", replaced_at=SEEN_AT)
    assert found(EMPTY, replaced).services == ()
    assert found(EMPTY, handed("red", "ssh:home", None, replaced_at=SEEN_AT)).services == ()


def test_a_derived_key_that_nobody_noted_as_installed_says_how_to():
    [row] = found(key("my red"), pairing("primary", "my red", derived("ssh:home"))).services
    assert row.status is Status.UNCOVERED
    assert row.hint is not None
    assert row.hint.endswith("`keyctl pair derive 'my red' --handed-over ssh:home`")
    [row] = found(key("red"), key("blue", registration("ssh:home", None)), handed("red", "ssh:home", None)).services
    assert row.hint is None
    [row] = found(key("red"), handed("red", "ssh:home")).services
    assert row.hint is None


def test_what_only_a_pairing_opens_is_stranded_without_it():
    """Of hosts the accounts, of everything else what was handed over."""
    made = [
        derived("ssh:alone", handed_over_at=SEEN_AT),
        derived("ssh:shared", handed_over_at=SEEN_AT),
        derived("ssh:new"),
        derived("sign:releases", handed_over_at=SEEN_AT),
        derived("sign:drafts"),
        derived("rp:bank.example/kim", handed_over_at=SEEN_AT),
        derived("rp:shop.example/kim", handed_over_at=SEEN_AT),
    ]
    pair = pairing("blue", "red", *made)
    blue, red = key("blue", registration("ssh:shared", None), passkey()), key("red")
    inventory = inventory_of(blue, red, pair)
    assert [row.rp_id for row in stranded(inventory, pairing_ids=[pair.id])] == ["ssh:alone"]
    assert stranded_targets(inventory, pairing_ids=[pair.id]) == ("rp:shop.example/kim", "sign:releases")
    # So it is without the backup key; without the primary key its registrations are missing instead.
    assert [row.rp_id for row in stranded(inventory, red.id)] == ["ssh:alone"]
    assert stranded_targets(inventory, red.id) == ("rp:shop.example/kim", "sign:releases")
    assert [row.rp_id for row in stranded(inventory, blue.id)] == ["bank.example"]
    assert stranded_targets(inventory, blue.id) == ()
    # Each of the two opens what is shared; both together leave nothing.
    gone = stranded(inventory, blue.id, pairing_ids=[pair.id])
    assert {row.rp_id for row in gone} == {"bank.example", "ssh:alone", "ssh:shared"}
    assert len(stranded_targets(inventory, blue.id, pairing_ids=[pair.id])) == 3


def test_nobody_misses_the_derived_keys_of_a_seed_that_is_lost():
    pair = replace(handed("red", "ssh:home"), broken_at=NOW)
    assert stranded(inventory_of(EMPTY, pair), pairing_ids=[pair.id]) == ()
    signing = replace(handed("red", "sign:releases"), broken_at=NOW)
    assert stranded_targets(inventory_of(EMPTY, signing), pairing_ids=[signing.id]) == ()


@pytest.mark.parametrize("other", ["a passkey", "codes", "a word", "another pairing"])
def test_what_saves_an_account_without_a_pairing(other):
    pair = handed("red", "ssh:home")
    records = {
        "a passkey": [key("red", passkey("ssh:home"))],
        "codes": [EMPTY, service("Home", "ssh:home", None, recovery=[CODES])],
        # It may be about the derived key itself.
        "a word": [EMPTY, service("Home", "ssh:home", None, on=["red"])],
        "another pairing": [EMPTY, replace(handed("red", "ssh:home"), id="b" * 16)],
    }[other]
    left = stranded(inventory_of(pair, *records), pairing_ids=[pair.id])
    assert bool(left) is (other == "a word")


def test_a_passkey_that_is_deleted_leaves_the_derived_key_of_the_same_key():
    red = key("red", passkey("ssh:home"))
    [own] = red.passkeys
    assert stranded(inventory_of(red, handed("red", "ssh:home")), red.id, {own.credential_id}) == ()
    assert len(stranded(inventory_of(red, handed("red", "ssh:home", None)), red.id, {own.credential_id})) == 1


def test_openings_are_of_some_keys_whatever_else_there_is():
    blue = replace(key("blue", passkey(), passkey("shop.example"), virtual=True), state=KeyState.LOST)
    red = key("red", passkey(), virtual=True)
    green = key("green", passkey("other.example"))
    told = {opening.row.rp_id: opening.by for opening in openings(inventory_of(blue, red, green), {blue.id, red.id})}
    assert told == {"bank.example": {blue.id, red.id}, "shop.example": {blue.id}}
    assert openings(inventory_of(replace(blue, state=KeyState.RESET)), {blue.id}) == ()
