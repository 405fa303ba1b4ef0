"""A backup key takes over, and what is left to do is told until it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keyctl.cli import promotion_text
from keyctl.core import contexts, promotions
from keyctl.core.merging import Offered, merge
from keyctl.core.pairings import Method, PairingState
from keyctl.core.promotions import Concern, Replacement
from keyctl.errors import (
    DeclinedError,
    KeyChoiceError,
    NotFoundError,
    StoreError,
    TouchError,
    UnsupportedError,
    UsageError,
)
from keyctl.model import KeyState, Role
from keyctl.operations import deriving, promoting
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.virtual import keys

from ..core.coverage_parts import (  # noqa: TID252  # found by path: there is no package to name
    NOW,
    SEEN_AT,
    derived,
    inventory_of,
    key,
    pairing,
    passkey,
    registration,
)
from .pairs import with_keys

if TYPE_CHECKING:
    from keyctl.core.pairings import Pairing

TARGETS = ("rp:bank.example/kim", "sign:releases", "ssh:home.example")


def of_seed(pairs, method=Method.ARKG) -> Pairing:
    """Blue and green, paired, with derived keys of which that for the host was handed over."""
    made = with_keys(pairs.paired(method), *TARGETS[:2], now=SEEN_AT)
    made = with_keys(made, TARGETS[2], now=SEEN_AT, handed_over_at=SEEN_AT)
    pairs.desk.put(made)
    return made


def promote(pairs, who, text=None, *, dry_run=False, wanted=None, turn_s=0):
    return promoting.promote(pairs.circumstances(who, wanted, turn_s=turn_s), text, dry_run=dry_run)


def replaced(pairs, *targets, text=None, dry_run=False):
    return promoting.mark_replaced(pairs.circumstances(pairs.person(0)), text, targets, dry_run=dry_run)


def test_the_backup_key_takes_over(pairs):
    made = of_seed(pairs)
    keys.unplug(pairs.desk.folder, "blue")
    who = pairs.person(0)
    done = promote(pairs, who)
    assert (done.changed, done.primary, done.lost) == (True, "green", "blue")
    assert (done.pairing.state, done.pairing.id) == (PairingState.RETIRED, made.id)
    blue, green = pairs.desk.record("blue"), pairs.desk.record("green")
    assert (blue.state, green.role, green.state) == (KeyState.LOST, Role.PRIMARY, KeyState.ACTIVE)
    assert {"state"} <= set(blue.changed)
    assert {"role"} <= set(green.changed)
    assert pairs.desk.inventory.pairings[0].retired_at is not None
    # Asked for by its name, without PIN and touch.
    assert (who.asked[0], who.asked[-1].endswith(" blue")) == ("confirmable by blue", True)
    assert "green becomes the primary key in the place of blue" in who.asked[-1]
    assert (who.requests, pairs.touches()) == ([], 0)


def test_each_derived_key_is_listed_until_it_is_replaced(pairs):
    of_seed(pairs)
    done = promote(pairs, pairs.person(0))
    assert [(one.target, one.replacement) for one in done.derived] == [
        # What was handed over comes first.
        ("ssh:home.example", Replacement.SSH_KEY),
        ("rp:bank.example/kim", Replacement.PASSKEY),
        ("sign:releases", Replacement.NEXT_PAIRING),
    ]
    assert all(one.fingerprint.startswith("SHA256:") for one in done.derived)
    after = replaced(pairs, "SSH:Home.Example")
    assert after.changed
    assert [one.target for one in after.derived if one.replaced_at is None] == ["rp:bank.example/kim", "sign:releases"]
    assert not replaced(pairs, "ssh:home.example").changed
    assert not replaced(pairs, *TARGETS, dry_run=True).changed
    assert sum(one.replaced_at is None for one in replaced(pairs, *TARGETS).derived) == 0


def test_a_key_that_is_installed_again_is_to_be_replaced_again(pairs):
    made = of_seed(pairs)
    earlier = [replace(one, replaced_at=SEEN_AT, handed_over_at=None) for one in made.derived]
    pairs.desk.put(replace(made, derived=tuple(earlier), retired_at=SEEN_AT))
    deriving.hand_over(pairs.circumstances(pairs.person(0)), None, [contexts.parse("sign:releases")])
    told = promote(pairs, pairs.person(0))
    assert [one.target for one in told.derived if one.replaced_at is None] == ["sign:releases"]
    assert replaced(pairs, "sign:releases").changed


def test_a_second_time_it_is_told_again_without_a_key(pairs):
    of_seed(pairs)
    first = promote(pairs, pairs.person(0))
    before = pairs.desk.files()
    keys.unplug(pairs.desk.folder, "green")
    who = pairs.person(0)
    again = promote(pairs, who)
    assert again == replace(first, changed=False)
    assert who.asked == []
    assert pairs.desk.files() == before


def test_a_dry_run_looks_at_the_key_and_changes_nothing(pairs):
    made = of_seed(pairs)
    before = pairs.desk.files()
    who = pairs.person(0)
    done = promote(pairs, who, dry_run=True)
    assert (done.changed, len(done.derived), who.asked) == (False, 3, [])
    assert pairs.desk.files() == before
    assert pairs.desk.inventory.pairings == (made,)
    keys.unplug(pairs.desk.folder, "green")
    with pytest.raises(KeyChoiceError):
        promote(pairs, who, dry_run=True)


def test_without_the_name_of_the_lost_key_nothing_changes(pairs):
    made = of_seed(pairs)
    before = pairs.desk.files()
    with pytest.raises(DeclinedError):
        promote(pairs, pairs.person(0, agrees=False))
    assert pairs.desk.files() == before
    assert pairs.desk.inventory.pairings == (made,)


def test_the_primary_key_cannot_stand_in_for_the_backup_key(pairs):
    of_seed(pairs)
    with pytest.raises(KeyChoiceError):
        promote(pairs, pairs.person(0), wanted="virtual:blue")
    keys.unplug(pairs.desk.folder, "green")
    with pytest.raises(KeyChoiceError):
        promote(pairs, pairs.person(0))
    assert pairs.desk.inventory.pairings[0].retired_at is None


def test_a_seed_that_is_not_the_trusted_one_promotes_nobody(pairs):
    made = of_seed(pairs)
    local_state.write_seed_pin(pairs.desk.home / "state", made.id, bytes(32))
    with pytest.raises(StoreError) as caught:
        promote(pairs, pairs.person(0, attended=False))
    assert caught.value.code == "pairing_changed"
    assert pairs.desk.record("blue").state is KeyState.ACTIVE


def test_a_key_with_another_public_key_than_the_trusted_one_is_not_promoted(pairs):
    made = of_seed(pairs)
    local_state.write_pin(pairs.desk.home / "state", made.backup_id, b"another")
    with pytest.raises(StoreError) as caught:
        promote(pairs, pairs.person(0, attended=False))
    assert caught.value.code == "recognition_changed"


def test_where_the_lost_key_is_not_known_the_backup_key_is_typed(pairs):
    """A new computer, on which the pairing was restored from the backup key."""
    made = of_seed(pairs)
    with store.changing(pairs.desk.home, 0) as changes:
        changes.remove_key(made.primary_id)
    who = pairs.person(0)
    done = promote(pairs, who)
    assert (done.changed, done.lost, done.revoke) == (True, None, ())
    assert who.asked[-1].endswith(" green")
    assert "not known here" in promotion_text.text(done, did="done")


def test_a_pairing_without_a_noted_derived_key_is_not_called_needless(pairs):
    """Which keys were derived is in no record that a restore reads."""
    made = pairs.paired(Method.ARKG)
    told = promotion_text.text(promote(pairs, pairs.person(0)), did="done")
    assert "as long as one may be installed somewhere, keep the old pairing, as green signs for it" in told
    assert f"after that `keyctl pair remove {made.id}` deletes the seed" in told
    assert "needed no more" not in told


def by_hand(desk, backup="full"):
    """Blue and green, kept in step by hand."""
    blue, green = desk.know("blue"), desk.know("green", profile=backup)
    desk.put(replace(pairing("blue", "green", method=Method.REGISTRATION), primary_id=blue.id, backup_id=green.id))


def test_keys_without_a_seed_are_promoted_too(desk, person):
    by_hand(desk)
    done = promoting.promote(desk.circumstances(person()), "blue/green", dry_run=False)
    assert (done.changed, done.derived, done.pairing.state) == (True, (), PairingState.RETIRED)


def test_a_u2f_key_proves_itself_by_a_touch(desk, person):
    by_hand(desk, "u2f")
    desk.set("green", "touch=refused")
    circumstances = desk.circumstances(person())
    assert not promoting.promote(circumstances, None, dry_run=True).changed
    with pytest.raises(TouchError):
        promoting.promote(circumstances, None, dry_run=False)
    assert desk.inventory.pairings[0].retired_at is None
    desk.set("green", "touch=now")
    assert promoting.promote(circumstances, None, dry_run=False).changed


def test_only_what_was_derived_in_a_promoted_pairing_is_replaced(pairs):
    of_seed(pairs)
    with pytest.raises(UsageError, match="was not promoted"):
        replaced(pairs, "ssh:home.example")
    promote(pairs, pairs.person(0))
    with pytest.raises(NotFoundError) as caught:
        replaced(pairs, "ssh:other.example")
    assert (caught.value.code, caught.value.details.candidates) == ("derived_not_found", TARGETS)
    with pytest.raises(UsageError):
        replaced(pairs, "home.example")
    with pytest.raises(UnsupportedError):
        replaced(pairs, "age:kim")
    with pytest.raises(NotFoundError):
        replaced(pairs, "ssh:home.example", text="nobody")


def test_the_targets_tell_which_of_several_promotions_is_meant(pairs):
    made = of_seed(pairs)
    promote(pairs, pairs.person(0))
    pairs.desk.put(replace(made, id="b" * 16, retired_at=NOW, derived=made.derived[:1]))
    assert replaced(pairs, "ssh:home.example").pairing.id == made.id
    with pytest.raises(NotFoundError) as caught:
        replaced(pairs, TARGETS[0])
    assert caught.value.code == "pairing_ambiguous"
    assert replaced(pairs, TARGETS[0], text="b" * 16).pairing.id == "b" * 16


def test_it_is_shown_to_people(pairs):
    of_seed(pairs)
    done = promote(pairs, pairs.person(0))
    lines = promotion_text.text(done, did="done").splitlines()
    assert lines[0] == "done"
    assert "3 derived keys are to be replaced; until then green signs for them:" in lines
    assert "note what is done: `keyctl recover promote green --replaced ssh:home.example`" in lines
    assert "nothing is known that blue opened" in lines
    assert lines[-1] == (
        "green has no backup key now: get one of another model, then `keyctl pair create green BACKUP`"
    )
    assert all(len(line) <= 120 for line in lines)


def test_people_are_told_when_nothing_is_left_of_the_old_pairing(pairs):
    made = of_seed(pairs)
    promote(pairs, pairs.person(0))
    done = replaced(pairs, *TARGETS)
    assert f"every derived key is replaced, so the old pairing is needed no more: `keyctl pair remove {made.id}`" in (
        promotion_text.text(done, did="done")
    )


def test_people_are_told_when_nobody_can_sign_any_more(pairs):
    pairs.desk.put(replace(of_seed(pairs), broken_at=NOW))
    who = pairs.person(0)
    done = promote(pairs, who)
    assert not done.signs
    assert "still signs" not in who.asked[-1]
    assert "3 derived keys are to be replaced; nobody can sign for them any more:" in promotion_text.text(done, did="")


PAIR = pairing("blue", "green", derived("ssh:home"), method=Method.ARKG)


def test_what_must_be_revoked_where():
    blue = key("blue", passkey("github.com"), passkey("bank.example"), passkey("shop.example"), registration("ssh:"))
    green = key("green", passkey("github.com"))
    red = key("red", passkey("shop.example"))
    inventory = inventory_of(blue, green, red, PAIR)
    told = promotions.revocations(inventory, PAIR)
    assert [(one.rp_id, one.opened_by_new_primary, one.opened_by) for one in told] == [
        ("bank.example", False, ()),
        ("ssh:", False, ()),
        ("shop.example", False, ("red",)),
        ("github.com", True, ("green",)),
    ]
    assert told[3].url is not None
    # Marked as lost, it is the same.
    lost = promotions.as_lost(blue, now=NOW)
    assert promotions.revocations(inventory_of(lost, green, red, PAIR), PAIR) == told
    assert promotions.revocations(inventory_of(green, red, PAIR), PAIR) == ()


def test_other_pairings_of_both_keys_are_told():
    others = [
        pairing("blue", "red"),
        pairing("gold", "blue"),
        pairing("green", "red"),
        pairing("gold", "green"),
        pairing("gold", "red"),
        replace(pairing("blue", "gold"), retired_at=NOW),
    ]
    inventory = inventory_of(key("blue"), key("green"), key("red"), PAIR, *others)
    told = [(one.primary, one.backup, one.concern) for one in promotions.other_pairings(inventory, PAIR)]
    assert told == [
        ("blue", "red", Concern.LOST_PRIMARY),
        (None, "blue", Concern.LOST_BACKUP),
        ("green", "red", Concern.NEXT),
        (None, "green", Concern.STILL_BACKUP),
    ]


def model(name, number, **facts):
    return replace(key(name, owner=facts.pop("owner", None)), aaguid=f"{number:032x}", **facts)


def proposed(*records):
    found = promotions.next_backup(inventory_of(model("blue", 1), model("green", 1), *records, PAIR), PAIR)
    return found.key, found.same_model, found.paired


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], (None, None, False)),
        ([model("red", 2)], ("red", False, False)),
        ([model("a", 1, role=Role.SPARE), model("red", 2)], ("red", False, False)),
        ([model("a", 2), model("red", 3, role=Role.SPARE)], ("red", False, False)),
        ([model("red", 1)], ("red", True, False)),
        ([key("red")], ("red", None, False)),
        ([model("red", 2, state=KeyState.LOST)], (None, None, False)),
        ([model("red", 2, role=Role.PRIMARY)], (None, None, False)),
        ([model("red", 2, virtual=True)], (None, None, False)),
        ([model("red", 2), pairing("green", "red")], ("red", False, True)),
        ([model("red", 2, state=KeyState.LOST), pairing("green", "red")], (None, None, False)),
        ([model("red", 2), replace(pairing("green", "red"), retired_at=NOW)], ("red", False, False)),
    ],
)
def test_the_next_backup_key_is_one_at_hand_of_another_model(records, expected):
    assert proposed(*records) == expected


def test_a_key_of_somebody_else_is_no_backup_key():
    green, red = model("green", 1, owner="kim"), model("red", 2, owner="lee")
    assert promotions.next_backup(inventory_of(green, red, PAIR), PAIR).key is None
    assert promotions.next_backup(inventory_of(green, replace(red, owner=None), PAIR), PAIR).key == "red"


def test_a_promotion_reaches_another_computer():
    """Which knows the keys and the pairing as they were before."""
    blue, green = key("blue"), key("green")
    before = inventory_of(blue, green, PAIR)
    after = Offered(
        keys=(promotions.as_lost(blue, now=NOW), promotions.as_primary(green, now=NOW)),
        pairings=(replace(PAIR, retired_at=NOW),),
    )
    merged = merge(before, after, now=NOW)
    assert {one.name: (one.state, one.role) for one in merged.keys} == {
        "blue": (KeyState.LOST, None),
        "green": (KeyState.ACTIVE, Role.PRIMARY),
    }
    assert [one.state for one in merged.pairings] == [PairingState.RETIRED]
    assert merged.conflicts == ()


def test_a_key_that_was_reset_stays_so_and_one_that_was_thought_lost_is_back():
    erased = replace(key("blue"), state=KeyState.RESET)
    assert promotions.as_lost(erased, now=NOW) == erased
    found = promotions.as_primary(replace(key("green"), state=KeyState.LOST), now=NOW)
    assert (found.state, found.changed) == (KeyState.ACTIVE, {"role": NOW, "state": NOW})
