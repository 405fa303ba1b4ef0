"""What holds for the coverage of every inventory."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import coverage as rules
from keyctl.core.account_rows import Status
from keyctl.core.accounts import accounts
from keyctl.core.coverage import coverage, stranded
from keyctl.core.inventory import Inventory, Recovery
from keyctl.model import KeyState

from .coverage_parts import LONG_AGO, NOW, SEEN_AT, derived, key, pairing, passkey, registration, service

RP_IDS = ("a.example", "b.example", "amazon.com", "amazon.de", "ebay.com", "www.ebay.com", "ssh:a")
USERS = ("kim", "KIM", "lee")
OWNERS = (None, "kim", "lee")
STATES = (KeyState.ACTIVE, KeyState.LOST, KeyState.RESET)
OTHER_KEYS = ("red", "green")
#: The worst first; the site that takes one key is as far as one can get there.
RANK = {status: rank for rank, status in enumerate(Status)}


def passkeys_of(*, resets=(None, None, NOW), users=(*USERS, None)):
    return st.builds(
        passkey,
        st.sampled_from(RP_IDS),
        st.sampled_from(users),
        user_id=st.sampled_from([b"1", b"2", b"3"]),
        text=st.sampled_from([..., None, "cut"]),
        reset_at=st.sampled_from(resets),
    )


def keys_of(name=None, *, states=STATES, virtual=(False, True), accounts=USERS, resets=(None, None, NOW)):
    return st.builds(
        lambda drawn, held, owner, state, is_virtual: key(drawn, *held, owner=owner, state=state, virtual=is_virtual),
        st.sampled_from(OTHER_KEYS) if name is None else st.just(name),
        st.lists(
            passkeys_of(resets=resets) | st.builds(registration, st.sampled_from(RP_IDS), st.sampled_from(accounts)),
            max_size=4,
        ),
        st.sampled_from(OWNERS),
        st.sampled_from(states),
        st.sampled_from(virtual),
    )


def services_of(*, accounts=USERS, on=("blue", *OTHER_KEYS, "gone")):
    return st.builds(
        service,
        st.sampled_from(["A", "B"]),
        st.sampled_from(RP_IDS),
        st.sampled_from(accounts),
        on=st.lists(st.sampled_from(on), max_size=2, unique=True),
        recovery=st.lists(st.sampled_from([Recovery.CODES, Recovery.SMS, Recovery.NONE]), max_size=2, unique=True),
        at=st.sampled_from([LONG_AGO, SEEN_AT]),
    )


def pairings_of(backup):
    made = st.builds(
        derived,
        st.sampled_from(["ssh:a", "ssh:b", "rp:a.example/kim", "sign:a"]),
        handed_over_at=st.sampled_from([None, SEEN_AT]),
        replaced_at=st.sampled_from([None, NOW]),
    )
    return st.builds(
        lambda keys, ends: pairing("gone", backup, *keys, **ends),
        st.lists(made, max_size=3, unique_by=lambda one: one.target),
        st.fixed_dictionaries({}, optional={"broken_at": st.just(NOW), "retired_at": st.just(NOW)}),
    )


@st.composite
def inventories(draw, *, accountless=True, virtual=(False, True), states=STATES):
    """Inventories with a key called blue, which is in one of *states*."""
    accounts = (*USERS, None) if accountless else USERS
    keys = draw(st.lists(keys_of(accounts=accounts, virtual=virtual), max_size=2, unique_by=lambda known: known.id))
    keys = [draw(keys_of("blue", states=states, accounts=accounts, virtual=virtual)), *keys]
    services = draw(st.lists(services_of(accounts=accounts), max_size=4, unique_by=lambda told: told.id))
    # The keys of hosts have no account.
    backups = draw(st.lists(st.sampled_from(["blue", *OTHER_KEYS]), max_size=2, unique=True)) if accountless else []
    pairings = tuple(draw(pairings_of(backup)) for backup in backups)
    return Inventory(keys=tuple(keys), services=tuple(services), pairings=pairings)


def rows_of(inventory):
    """What an account is known by (a credential on a key, a declaration, a service) -> its rows.

    A service has several where it is several owners' account.
    """
    sheet = rules._sheet(inventory)
    found = {}
    for account in accounts(inventory):
        row = sheet.row(account)
        facts = [("held", held.key.id, held.credential_id, held.how, held.derived) for held in account.holdings]
        for fact in [*facts, *(("service", told.id) for told in account.services)]:
            found.setdefault(fact, []).append(row)
    return found


def best(rows):
    return max(RANK[row.status] for row in rows)


def without_blue(inventory):
    """The same, with the key called blue marked as lost."""
    keys = [replace(known, state=KeyState.LOST) if known.name == "blue" else known for known in inventory.keys]
    return replace(inventory, keys=tuple(keys))


@given(inventories(), st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(inventory, random):
    def shuffled(items):
        return tuple(random.sample(items, len(items)))

    keys = [
        replace(known, passkeys=shuffled(known.passkeys), registrations=shuffled(known.registrations))
        for known in inventory.keys
    ]
    services = [replace(told, on=shuffled(told.on)) for told in inventory.services]
    first = coverage(inventory, now=NOW)
    pairings = [replace(pair, derived=shuffled(pair.derived)) for pair in inventory.pairings]
    shuffled_one = Inventory(keys=shuffled(keys), services=shuffled(services), pairings=shuffled(pairings))
    second = coverage(shuffled_one, now=NOW)
    assert first == second
    assert [list(row.keys) for row in first.services] == [list(row.keys) for row in second.services]


@given(inventories(states=(KeyState.ACTIVE,)))
def test_marking_a_key_as_lost_raises_no_status(inventory):
    after = rows_of(without_blue(inventory))
    for fact, before in rows_of(inventory).items():
        assert all(RANK[row.status] <= RANK[then.status] for row, then in zip(after[fact], before, strict=True))


@given(inventories(states=(KeyState.ACTIVE,)))
def test_without_a_key_all_is_as_if_it_were_lost(inventory):
    marked = coverage(without_blue(inventory), now=NOW)
    looked_at = coverage(inventory, now=NOW, without=key("blue").id)
    assert (looked_at.services, looked_at.summary) == (marked.services, marked.summary)
    before = {(row.rp_id, row.account, row.owner) for row in coverage(inventory, now=NOW).services if row.opened_by}
    assert {(row.rp_id, row.account, row.owner) for row in looked_at.lost} <= before


@given(inventories(virtual=(False,)), keys_of("new", states=(KeyState.ACTIVE,), virtual=(False,)))
def test_adding_a_key_that_no_service_names_yet_uncovers_no_account_that_a_key_opens(inventory, new):
    """Where all keys are real ones: the first real one ends the counting of virtual ones."""
    after = rows_of(replace(inventory, keys=(*inventory.keys, new)))
    for fact, before in rows_of(inventory).items():
        if fact[0] == "held" and before[0].opened_by:
            assert after[fact][0].status is not Status.UNCOVERED


@given(
    inventories(virtual=(False,), accountless=False),
    keys_of("new", states=(KeyState.ACTIVE,), virtual=(False,), resets=(None,)),
)
def test_adding_a_key_lowers_no_status_where_every_record_tells_its_account(inventory, new):
    """A key that no service names yet, without leftovers of a reset; all keys are real ones."""
    after = rows_of(replace(inventory, keys=(*inventory.keys, new)))
    for fact, before in rows_of(inventory).items():
        assert best(after[fact]) >= best(before)


@given(inventories())
def test_every_account_is_in_one_group_of_the_summary(inventory):
    result = coverage(inventory, now=NOW)
    summary = result.summary
    assert summary.services == len(result.services) == summary.covered + summary.at_risk + summary.no_backup_possible
    assert summary.declared_only <= summary.covered
    assert [RANK[row.status] for row in result.services] == sorted(RANK[row.status] for row in result.services)


@given(inventories(states=(KeyState.ACTIVE,)))
def test_what_losing_a_key_loses_is_stranded_unless_there_is_another_way(inventory):
    key_id = key("blue").id
    lost = coverage(inventory, now=NOW, without=key_id).lost
    expected = [(row.rp_id, row.account, row.owner) for row in lost if Recovery.CODES not in row.recovery]
    found = [(row.rp_id, row.account, row.owner) for row in stranded(inventory, key_id)]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
