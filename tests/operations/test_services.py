"""Services: what is noted, what is asked, and that nothing is written by halves."""

from __future__ import annotations

import dataclasses
import json

import pytest

from keyctl.core.inventory import Declaration, KnownKey, RecognitionCredential, Recovery, Service
from keyctl.errors import DeclinedError, NotFoundError, StoreError, UsageError
from keyctl.operations import service_import, services
from keyctl.operations.services import Facts
from keyctl.store import inventory as store

EARLY = "2026-01-01T00:00:00Z"
BLUE, GREEN = "b" * 16, "c" * 16


@pytest.fixture
def work(desk, person, home):
    """The circumstances, with two known keys, blue and green."""
    with store.changing(home, 0) as changes:
        for key_id, name in ((BLUE, "blue"), (GREEN, "green")):
            recognition = RecognitionCredential(
                credential_id=key_id.encode(), public_key=b"k", user_id=b"u", u2f=False, enrolled_at=EARLY
            )
            changes.put_key(
                KnownKey(
                    id=key_id,
                    name=name,
                    virtual=False,
                    aaguid=None,
                    model=None,
                    serial=None,
                    firmware=None,
                    added_at=EARLY,
                    recognition=recognition,
                )
            )
    return desk.circumstances(person())


def put(home, record="a", name="GitHub", **facts):
    facts = {"rp_id": "github.com", "account": "kim", "added_at": EARLY} | facts
    with store.changing(home, 0) as changes:
        changes.put_service(Service(id=record * 16, name=name, **facts))


def on(*key_ids):
    return tuple(Declaration(key_id=key_id, declared_at=EARLY) for key_id in key_ids)


def content(home):
    """All files of the inventory as they are."""
    return {path: path.read_bytes() for path in home.rglob("*.json")}


def add(work, service="GitHub", *, dry_run=False, **facts):
    return services.add(work, service, Facts(**facts), dry_run=dry_run)


def edit(work, service="GitHub", *, of=None, dry_run=False, **facts):
    return services.edit(work, service, Facts(**facts), account=of, dry_run=dry_run)


def take(work, text, *, dry_run=False):
    return service_import.import_content(work, text.encode(), "f.csv", dry_run=dry_run)


def refused(code, call, *arguments, **facts):
    with pytest.raises((NotFoundError, UsageError)) as failure:
        call(*arguments, **facts)
    assert failure.value.code == code
    return failure.value


def test_service_is_noted_with_all_that_was_said(work, home):
    result = add(work, account="kim", on=("green", "blue"), recovery=(Recovery.TOTP, Recovery.CODES))
    assert result.changed
    [service] = store.read(home).services
    assert (service.name, service.rp_id, service.account) == ("GitHub", "github.com", "kim")
    assert [declaration.key_id for declaration in service.on] == [BLUE, GREEN]
    assert service.recovery == (Recovery.CODES, Recovery.TOTP)
    assert service.changed == {}
    assert result.service.on == ("blue", "green")
    assert result.service.settings_url == "https://github.com/settings/security"
    assert result.service.id == service.id
    assert services.list_all(work).services == (result.service,)


def test_dry_runs_write_nothing_and_tell_what_would_be(work, home):
    put(home, on=on(BLUE))
    before = content(home)
    added = add(work, account="lee", on=("blue",), dry_run=True)
    assert (added.changed, added.would_change, added.service.id) == (False, True, None)
    edited = edit(work, not_on=("blue",), name="Hub", dry_run=True)
    assert (edited.changed, edited.would_change, edited.service.on, edited.service.name) == (False, True, (), "Hub")
    assert edit(work, not_on=("green",), dry_run=True).would_change is False
    removed = services.remove(work, "GitHub", account=None, dry_run=True)
    assert (removed.changed, removed.service.name) == (False, "GitHub")
    assert work.asker.asked == []
    taken = take(work, "name,rp_id\nNew,new.example\nGitHub,other.example\n", dry_run=True)
    assert [service.name for service in (*taken.added, *taken.changed)] == ["New", "GitHub"]
    assert content(home) == before


def test_dry_run_on_an_empty_home_makes_no_folder(desk, person, home):
    add(desk.circumstances(person()), dry_run=True)
    take(desk.circumstances(person()), "name\nGitHub\n", dry_run=True)
    services.list_all(desk.circumstances(person()))
    assert not home.exists()


def test_service_and_account_are_compared_without_their_case(work, home):
    put(home, name="Stra\u00dfe", account="Zo\u00eb")
    failure = refused("service_exists", add, work, "STRASSE", account="ZOE\u0308", rp_id="a.example")
    assert "service edit" in failure.hint
    assert edit(work, "strasse", of="zoe\u0308", recovery=(Recovery.SMS,)).changed
    assert add(work, "STRASSE", rp_id="a.example").changed


def test_rp_id_comes_from_the_catalogue_when_one_site_fits(work):
    assert add(work, "gitHUB").service.rp_id == "github.com"
    assert add(work, "github.com").service.rp_id == "github.com"
    assert add(work, "My SSH", rp_id="ssh:").service.rp_id == "ssh:"
    failure = refused("usage", add, work, "No such site")
    assert "--rp" in failure.hint
    failure = refused("usage", add, work, "Other", rp_id="github")
    assert failure.details.candidates == ("github.com",)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"name": " "}, "name_invalid"),
        ({"name": "a" * 1001}, "name_invalid"),
        ({"account": " "}, "name_invalid"),
        ({"rp_id": "https://github.com/"}, "usage"),
        ({"recovery": (Recovery.NONE, Recovery.SMS)}, "usage"),
        ({"on": ("red",)}, "name_not_found"),
        ({"on": ("usb:1",)}, "name_not_found"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(work, home, facts, code):
    put(home)
    before = content(home)
    refused(code, edit, work, **facts)
    to_add = {"name": "Other", "rp_id": "a.example"} | facts
    refused(code, add, work, to_add.pop("name"), **to_add)
    assert content(home) == before


def test_unknown_key_is_answered_with_the_known_ones(work):
    failure = refused("name_not_found", add, work, on=("red",))
    assert failure.details.candidates == ("blue", "green")
    assert failure.hint == "known are blue, green"


@pytest.mark.parametrize(
    "facts",
    [
        {"on": ("blue",), "not_on": ("blue",)},
        {"recovery": (Recovery.SMS,), "no_recovery": (Recovery.SMS,)},
        {"recovery": (Recovery.SMS, Recovery.NONE)},
    ],
)
def test_contradiction_is_a_usage_error(work, home, facts):
    put(home)
    refused("usage", edit, work, **facts)


def test_edit_changes_what_was_said_and_dates_it(work, home):
    put(home, on=on(BLUE, GREEN), recovery=(Recovery.SMS,))
    result = edit(
        work,
        "github",
        name="Git Hub",
        account="kim",
        rp_id="Example.COM",
        not_on=("blue",),
        recovery=(Recovery.CODES,),
        no_recovery=(Recovery.SMS,),
    )
    assert result.changed
    [service] = store.read(home).services
    assert (service.name, service.rp_id, service.account) == ("Git Hub", "example.com", "kim")
    assert service.on == on(GREEN)
    assert service.recovery == (Recovery.CODES,)
    assert set(service.changed) == {"name", "rp_id", "recovery", f"on:{BLUE}"}
    assert service.added_at == EARLY


def test_edit_that_says_nothing_new_changes_nothing(work, home):
    put(home, on=on(BLUE), recovery=(Recovery.SMS,))
    before = content(home)
    result = edit(
        work,
        name="GitHub",
        account="kim",
        rp_id="GITHUB.com",
        not_on=("green",),
        recovery=(Recovery.SMS,),
        no_recovery=(Recovery.CODES,),
    )
    assert (result.changed, result.would_change) == (False, False)
    assert content(home) == before


def test_key_said_again_is_confirmed_as_of_now(work, home):
    put(home, on=on(BLUE, GREEN))
    assert edit(work, on=("blue",)).changed
    [service] = store.read(home).services
    assert [declaration.declared_at > EARLY for declaration in service.on] == [True, False]
    # In the very second too it is a change, so that scripts see the same every time.
    assert edit(work, on=("blue",)).changed


def test_none_gives_way_to_a_method_and_the_other_way_round(work, home):
    put(home, recovery=(Recovery.NONE,))
    assert edit(work, recovery=(Recovery.SMS, Recovery.CODES)).service.recovery == (Recovery.CODES, Recovery.SMS)
    assert edit(work, recovery=(Recovery.NONE,)).service.recovery == (Recovery.NONE,)


def test_account_is_needed_where_several_are_noted(work, home):
    put(home, "a", account="kim")
    put(home, "d", account=None)
    failure = refused("service_ambiguous", edit, work, recovery=(Recovery.SMS,))
    assert failure.details.candidates == ("", "kim")
    assert failure.hint == "give --account with one of '', kim"
    refused("service_ambiguous", services.remove, work, "github", account=None, dry_run=False)
    assert edit(work, of="", recovery=(Recovery.SMS,)).service.account is None
    failure = refused("service_not_found", edit, work, of="lee", recovery=(Recovery.SMS,))
    assert failure.details.candidates == ("", "kim")
    refused("service_not_found", edit, work, "GitLab", recovery=(Recovery.SMS,))


def test_account_can_be_renamed_to_a_free_name_only(work, home):
    put(home, "a", account="kim")
    put(home, "d", account="lee")
    refused("service_exists", edit, work, of="kim", account="LEE")
    assert edit(work, of="kim", account="").service.account is None
    # Another case of its own name is no collision.
    assert edit(work, of="", name="GITHUB").changed


def test_remove_asks_first(work, home):
    put(home)
    assert services.remove(work, "github", account=None, dry_run=False).changed
    assert work.asker.asked[0] == "confirmable"
    assert "GitHub (kim) at github.com" in work.asker.asked[1]
    assert store.read(home).services == ()
    refused("service_not_found", services.remove, work, "github", account=None, dry_run=False)


def test_remove_that_is_declined_removes_nothing(desk, person, home):
    put(home)
    before = content(home)
    with pytest.raises(DeclinedError):
        services.remove(desk.circumstances(person(agrees=False)), "github", account=None, dry_run=False)
    assert content(home) == before


def test_account_noted_on_two_computers_is_one(work, home):
    put(home, "a", on=on(BLUE), recovery=(Recovery.NONE,))
    put(home, "d", name="GITHUB", on=on(GREEN), recovery=(Recovery.CODES,))
    [shown] = services.list_all(work).services
    assert (shown.on, shown.recovery) == (("blue", "green"), (Recovery.CODES,))
    assert len(store.read(home).services) == 2
    assert edit(work, not_on=("green",)).service.on == ("blue",)
    [service] = store.read(home).services
    assert service.id == "a" * 16


def test_declaration_for_a_key_that_is_not_here_is_kept(work, home):
    put(home, on=on(BLUE, "f" * 16))
    [shown] = services.list_all(work).services
    assert shown.on == ("blue",)
    assert [(item.key, item.key_id) for item in shown.declared] == [(None, "f" * 16), ("blue", BLUE)]
    edit(work, recovery=(Recovery.SMS,))
    assert store.read(home).services[0].on == on(BLUE, "f" * 16)


def test_damaged_file_is_named_and_the_others_are_listed(work, home):
    put(home)
    (home / "services" / f"{'d' * 16}.json").write_text("{")
    result = services.list_all(work)
    assert [service.name for service in result.services] == ["GitHub"]
    assert [error.code for error in result.errors] == ["store_unreadable"]
    for dry_run in (False, True):
        with pytest.raises(StoreError):
            add(work, "Other", rp_id="a.example", dry_run=dry_run)


def test_import_adds_to_what_is_there_and_takes_nothing_away(work, home):
    put(home, on=on(BLUE), recovery=(Recovery.SMS,))
    result = take(
        work,
        "name,rp_id,account,keys,recovery\ngithub,,KIM,green;blue,codes\nOther,other.example,,,none\nGoogle,,,,\n",
    )
    assert [service.name for service in result.changed] == ["GitHub"]
    assert [(service.name, service.rp_id) for service in result.added] == [
        ("Other", "other.example"),
        ("Google", "google.com"),
    ]
    [changed] = result.changed
    assert (changed.on, changed.recovery) == (("blue", "green"), (Recovery.CODES, Recovery.SMS))
    dates = {item.key: item.declared_at for item in changed.declared}
    assert dates["blue"] == EARLY < dates["green"]


def test_second_import_changes_nothing(work, home):
    put(home, recovery=(Recovery.NONE,), rp_id="old.example", on=on(BLUE))
    text = (
        "name,rp_id,account,keys,recovery\nGitHub,github.com,kim,blue,codes;sms\n"
        "New,new.example,kim,blue;green,none\nGITHUB,,kim,green,\n"
    )
    first = take(work, text)
    assert (len(first.added), len(first.changed), first.unchanged) == (1, 1, 0)
    before = content(home)
    second = take(work, text)
    assert (len(second.added), len(second.changed), second.unchanged) == (0, 0, 2)
    assert content(home) == before


def test_import_that_knows_no_way_in_takes_none_away(work, home):
    put(home, recovery=(Recovery.SMS,))
    assert take(work, "name,account,recovery\nGitHub,kim,none\n").unchanged == 1
    put(home, recovery=(Recovery.NONE,))
    [changed] = take(work, "name,account,recovery\nGitHub,kim,sms\n").changed
    assert changed.recovery == (Recovery.SMS,)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "name,rp_id,keys\nA,a.example,blue\nB,b.example,blue;red\n",
            "name_not_found",
            "f.csv: line 3 names the key red, which is not known",
        ),
        (
            "name,rp_id\nA,a.example\nB,\n",
            "import_unreadable",
            "f.csv: line 3 needs an rp_id: the catalogue of sites has no B",
        ),
        ("name,rp_id\nA,a.example\n,b.example\n", "import_unreadable", "f.csv: line 3: the name is empty"),
    ],
)
def test_one_bad_line_and_nothing_is_imported(work, home, text, code, message):
    before = content(home)
    for dry_run in (True, False):
        failure = refused(code, take, work, text, dry_run=dry_run)
        assert failure.message == message
        assert failure.details.file == "f.csv"
    assert content(home) == before


def test_import_joins_what_two_computers_noted(work, home):
    put(home, "a")
    put(home, "d")
    text = "name,account,keys\nGitHub,kim,blue\n"
    assert len(take(work, text).changed) == 1
    assert len(store.read(home).services) == 1
    assert take(work, text).unchanged == 1


def test_import_takes_what_list_prints(work, home):
    put(home, on=on(BLUE, GREEN), recovery=(Recovery.CODES,))
    put(home, "d", name="\x1b[31m\u202e", account=None, rp_id="ssh:")
    listed = services.list_all(work).services
    printed = json.dumps({"services": [dataclasses.asdict(service) for service in listed]})
    assert take(work, printed).unchanged == 2
    for path in (home / "services").iterdir():
        path.unlink()
    assert len(take(work, printed).added) == 2
    again = services.list_all(work).services
    assert [(one.name, one.account, one.rp_id, one.on, one.recovery) for one in again] == [
        (one.name, one.account, one.rp_id, one.on, one.recovery) for one in listed
    ]
