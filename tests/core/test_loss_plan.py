"""What to do after a loss: which steps, in which order, and that they stay the same steps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import loss_plan, loss_steps
from keyctl.core.inventory import Origin, Recovery
from keyctl.core.loss_steps import StepKind
from keyctl.core.loss_unknown import OpenedAccount, general_plan
from keyctl.core.pairings import Method
from keyctl.core.sites import UrlKind
from keyctl.model import KeyState, Role

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

ORDER = list(StepKind)


def steps_of(*records, lost="blue", **options):
    inventory = inventory_of(*records)
    found = inventory.key_named(lost)
    assert found is not None
    return loss_plan.plan(inventory, found, **options)


def of_kind(steps, kind):
    return [step for step in steps if step.kind is kind]


def only(steps, kind):
    [step] = of_kind(steps, kind)
    return step


def test_the_most_urgent_comes_first():
    blue = replace(key("blue", passkey("github.com"), passkey("bank.example"), registration("ssh:")), role=Role.PRIMARY)
    steps = steps_of(
        blue, key("green", passkey("github.com")), pairing("blue", "green", derived("ssh:home")), with_computer=True
    )
    ranks = [ORDER.index(step.kind) for step in steps]
    assert ranks == sorted(ranks)
    assert {step.kind for step in steps} == set(StepKind) - {StepKind.ORIENT}
    assert len({step.id for step in steps}) == len(steps)


def test_what_no_other_key_opens_is_recovered_and_the_rest_is_revoked_with_the_other_key():
    steps = steps_of(
        key("blue", passkey("github.com"), passkey("bank.example")),
        key("green", passkey("github.com")),
        service("Bank", recovery=[Recovery.SMS, Recovery.CODES]),
    )
    recover, revoke = only(steps, StepKind.RECOVER), only(steps, StepKind.REVOKE)
    assert recover.text == (
        "get into Bank (kim) by a recovery code or a code by SMS; register another key there, and remove blue"
    )
    assert recover.key is None
    assert revoke.text == "sign in to GitHub (kim) with green, and remove blue from its security keys"
    assert (revoke.key, revoke.service, revoke.account) == ("green", "GitHub", "kim")
    assert revoke.url_kind is UrlKind.SETTINGS
    assert revoke.url is not None


def test_an_account_without_a_noted_way_in_says_what_is_left():
    blue = key("blue", passkey("bank.example"))
    assert "no other way is noted" in only(steps_of(blue), StepKind.RECOVER).text
    none = service("Bank", recovery=[Recovery.NONE])
    assert "there is no other way" in only(steps_of(blue, none), StepKind.RECOVER).text


def test_a_lost_reset_or_virtual_key_opens_nothing_in_the_place_of_a_real_one():
    others = (
        key("grey", passkey("bank.example"), state=KeyState.LOST),
        key("red", passkey("bank.example"), state=KeyState.RESET),
        key("toy", passkey("bank.example"), virtual=True),
    )
    assert only(steps_of(key("blue", passkey("bank.example")), *others), StepKind.RECOVER).key is None


def test_the_paired_backup_key_is_proposed_first():
    steps = steps_of(
        key("blue", passkey("bank.example")),
        replace(key("amber", passkey("bank.example")), role=Role.SPARE),
        key("green", passkey("bank.example")),
        pairing("blue", "green"),
    )
    assert only(steps, StepKind.REVOKE).text.startswith("sign in to bank.example (kim) with green (or amber)")


def test_keys_without_an_owner_are_taken_for_those_of_the_same_person():
    lost = key("blue", passkey("bank.example"))
    theirs = key("green", passkey("bank.example"), owner="Kim")
    assert only(steps_of(lost, theirs), StepKind.REVOKE).key == "green"
    both = (replace(lost, owner="Lee"), theirs)
    assert only(steps_of(*both), StepKind.RECOVER).key is None


def test_it_makes_no_difference_whether_the_key_is_marked_already():
    others = (key("green", passkey("bank.example")), pairing("blue", "green", derived("sign:releases")))
    active = key("blue", passkey("bank.example"), passkey("shop.example"))
    lost = replace(active, state=KeyState.LOST, changed={"state": NOW})
    assert steps_of(active, *others) == steps_of(lost, *others)


def test_a_step_stays_the_same_when_names_change_and_another_key_turns_out_to_open_the_account():
    blue = key("blue", passkey("bank.example", "kim"))
    before = only(steps_of(blue), StepKind.RECOVER)
    renamed = replace(blue, name="old-blue", owner="Kim", note="gone")
    more = (
        replace(key("green", passkey("bank.example", "kim")), owner="Kim"),
        service("My Bank", account="kim", on=["green"], recovery=[Recovery.CODES]),
    )
    after = only(steps_of(renamed, *more, lost="old-blue"), StepKind.REVOKE)
    assert after.id == before.id


def test_what_was_only_said_of_the_lost_key_is_a_step_too():
    said = service("Bank", on=["blue"])
    step = only(steps_of(key("blue"), said), StepKind.RECOVER)
    assert step.service == "Bank"
    assert step.id == only(steps_of(key("blue"), replace(said, name="Other")), StepKind.RECOVER).id


def test_a_tick_makes_it_done_with_its_time():
    steps = steps_of(key("blue", passkey("bank.example")))
    step = only(steps, StepKind.RECOVER)
    again = steps_of(key("blue", passkey("bank.example")), ticked={step.id: NOW, "0123456789": NOW})
    assert only(again, StepKind.RECOVER).done_at == NOW
    assert [one.id for one in loss_steps.open_ones(again)] == [one.id for one in steps if one is not step]


def test_the_backup_key_signs_for_derived_keys_from_now_on():
    steps = steps_of(
        key("blue"),
        key("green"),
        pairing(
            "blue", "green", derived("ssh:home", handed_over_at=SEEN_AT), derived("rp:bank.example/kim"),
            derived("sign:releases", handed_over_at=SEEN_AT),
        ),
    )  # fmt: skip
    site, sign, host = sorted(of_kind(steps, StepKind.DERIVED), key=lambda step: step.commands)
    assert site.text.startswith("register green itself at bank.example")
    assert (site.rp_id, site.account, site.commands) == ("bank.example", "kim", ())
    assert sign.commands == ("keyctl recover sign green FILE --for sign:releases",)
    assert host.commands == ("keyctl recover ssh-agent green -- ssh home",)
    assert all(step.key == "green" and not step.done for step in (site, sign, host))


def test_a_backup_key_that_lost_its_seed_signs_for_nothing():
    broken = pairing("blue", "green", derived("ssh:home", handed_over_at=SEEN_AT), broken_at=NOW)
    step = only(steps_of(key("blue"), key("green"), broken), StepKind.DERIVED)
    assert step.text == "replace the derived key of ssh:home: nobody can sign for it any more"


def test_derived_keys_of_a_lost_backup_key_are_replaced_and_its_primary_key_gets_another_one():
    steps = steps_of(
        key("blue"), key("green"), pairing("blue", "green", derived("ssh:home", handed_over_at=SEEN_AT)), lost="green"
    )
    step = only(steps, StepKind.DERIVED)
    assert step.text == "replace the derived key of ssh:home: only green signs for it"
    assert step.commands == ()
    assert not of_kind(steps, StepKind.PROMOTE)
    pair = only(steps, StepKind.PAIR)
    assert pair.commands == ("keyctl pair remove blue/green", "keyctl pair create blue NEW")


def test_after_the_promotion_its_steps_are_done_and_what_is_replaced_is_too():
    lost = key("blue", state=KeyState.LOST, changed={"state": SEEN_AT})
    made = (derived("ssh:home", handed_over_at=LONG_AGO, replaced_at=NOW), derived("ssh:work"))
    retired = pairing("blue", "green", *made, retired_at=NOW)
    steps = steps_of(lost, replace(key("green"), role=Role.PRIMARY), retired)
    home, work = sorted(of_kind(steps, StepKind.DERIVED), key=lambda step: step.service or "")
    assert (home.done, work.done) == (True, False)
    assert work.commands[-1] == "keyctl recover promote green --replaced ssh:work"
    assert only(steps, StepKind.PROMOTE).done
    assert not only(steps, StepKind.PAIR).done
    next_one = replace(pairing("green", "red"), id="00000000000000aa")
    again = steps_of(lost, replace(key("green"), role=Role.PRIMARY), key("red"), retired, next_one)
    assert only(again, StepKind.PAIR).done
    assert only(again, StepKind.BUY).done


def test_a_promotion_of_an_earlier_loss_is_none_of_this_one():
    lost = key("blue", state=KeyState.LOST, changed={"state": NOW})
    earlier = pairing("blue", "green", retired_at=SEEN_AT)
    later = replace(pairing("blue", "red"), id="00000000000000aa")
    step = only(steps_of(lost, key("green"), key("red"), earlier, later), StepKind.PROMOTE)
    assert not step.done
    assert step.commands == ("keyctl recover promote red",)


def test_a_pairing_whose_other_key_is_gone_too_leads_nowhere():
    for state in (KeyState.LOST, KeyState.RESET):
        for lost, other in (("blue", "green"), ("green", "blue")):
            keys = replace(key(lost), role=Role.PRIMARY), key(other, state=state)
            steps = steps_of(*keys, pairing("blue", "green"), lost=lost)
            assert only(steps, StepKind.BUY).text.startswith("no key is left")
            assert not of_kind(steps, StepKind.PROMOTE)
            # The pairing stays: the other key may be found.
            assert only(steps, StepKind.PAIR).commands == ("keyctl pair create PRIMARY NEW",)
            with_red = steps_of(*keys, key("red"), pairing("blue", "green"), lost=lost)
            assert only(with_red, StepKind.PROMOTE).commands == ("keyctl edit red --role primary",)
            assert only(with_red, StepKind.PAIR).commands == ("keyctl pair create red NEW",)
    retired = pairing("blue", "green", retired_at=NOW)
    lost = key("blue", state=KeyState.LOST, changed={"state": SEEN_AT})
    gone = key("green", state=KeyState.LOST)
    assert only(steps_of(lost, gone, retired), StepKind.PAIR).commands == ("keyctl pair create PRIMARY NEW",)


def test_of_two_pairings_the_one_whose_other_key_is_at_hand_counts():
    gone, red = key("green", state=KeyState.LOST), key("red")
    steps = steps_of(key("blue"), gone, red, pairing("blue", "green"), pairing("blue", "red"))
    assert only(steps, StepKind.PROMOTE).commands == ("keyctl recover promote red",)


def test_without_a_pairing_another_key_gets_the_role():
    blue = replace(key("blue"), role=Role.PRIMARY)
    step = only(steps_of(blue, key("green")), StepKind.PROMOTE)
    assert step.commands == ("keyctl edit green --role primary",)
    assert only(steps_of(blue, replace(key("green"), role=Role.PRIMARY)), StepKind.PROMOTE).done


def test_without_a_pairing_two_keys_at_hand_are_paired_with_each_other():
    blue = replace(key("blue"), role=Role.SPARE)
    three, two = replace(key("three"), role=Role.BACKUP), replace(key("two"), role=Role.SPARE)
    step = only(steps_of(blue, three, two), StepKind.PAIR)
    assert step.text == "pair three with two, so that the next loss is less"
    assert (step.key, step.commands) == ("two", ("keyctl pair create three two",))
    # The one that is the primary key stays it.
    assert only(steps_of(blue, three, replace(two, role=Role.PRIMARY)), StepKind.PAIR).commands == (
        "keyctl pair create two three",
    )
    paired = only(steps_of(blue, three, two, pairing("two", "three")), StepKind.PAIR)
    assert (paired.text, paired.done) == ("two is paired with three", True)
    lost = replace(blue, state=KeyState.LOST, changed={"state": SEEN_AT})
    bought = only(steps_of(lost, three, two, replace(key("zero"), added_at=NOW)), StepKind.PAIR)
    assert bought.commands == ("keyctl pair create three zero",)


def test_keys_of_one_model_are_so_whatever_their_aaguids():
    green, red = (
        replace(key(name), model="YubiKey 5C", aaguid=f"{number:08}-8113-47ea-b116-bb5a8db9202a")
        for number, name in enumerate(("green", "red"))
    )
    assert "let the next key be one of another" in only(steps_of(key("blue"), green, red), StepKind.BUY).text
    nameless = [replace(one, model=None) for one in (green, red)]
    assert "of different models" in only(steps_of(key("blue"), *nameless), StepKind.BUY).text
    toys = [replace(one, virtual=True) for one in (green, red)]
    assert "of different models" in only(steps_of(key("blue", virtual=True), *toys), StepKind.BUY).text
    unknown = replace(red, model=None, aaguid=None)
    assert "of different models" not in only(steps_of(key("blue"), green, unknown), StepKind.BUY).text


def test_a_site_that_the_backup_key_opens_itself_wants_no_registration_for_its_derived_key():
    made = (derived("rp:github.com/kim"), derived("rp:bank.example/kim"))
    for facts in ({}, {"retired_at": NOW}):
        steps = steps_of(
            key("blue", passkey("github.com")),
            key("green", passkey("github.com")),
            key("red", passkey("bank.example")),
            pairing("blue", "green", *made, **facts),
        )
        done = {step.service: step.done for step in of_kind(steps, StepKind.DERIVED)}
        assert done == {"github.com": True, "bank.example": False}
    other = steps_of(
        key("blue"), key("green", passkey("github.com", "lee")), pairing("blue", "green", derived("rp:github.com/kim"))
    )
    assert not only(other, StepKind.DERIVED).done


def test_what_to_buy_is_of_another_model_than_what_is_left():
    model = {"aaguid": "2fc0579f-8113-47ea-b116-bb5a8db9202a", "model": "YubiKey 5C"}
    green, red = replace(key("green"), **model), replace(key("red"), **model)
    one = only(steps_of(key("blue"), green), StepKind.BUY)
    assert one.text.startswith("green is the only key left: get another one of another maker or model than YubiKey 5C")
    assert not one.done
    two = only(steps_of(key("blue"), green, red), StepKind.BUY)
    assert "let the next key be one of another maker or model than YubiKey 5C" in two.text
    assert two.done
    other = replace(red, aaguid=None, model="Solo")
    assert "of different models" in only(steps_of(key("blue"), green, other), StepKind.BUY).text
    assert only(steps_of(key("blue")), StepKind.BUY).text.startswith("no key is left")


def test_the_new_key_is_named_once_it_is_known():
    lost = key("blue", state=KeyState.LOST, changed={"state": SEEN_AT})
    assert only(steps_of(lost, key("green")), StepKind.REGISTER).commands == ("keyctl coverage --missing NEW",)
    new = replace(key("new one"), added_at=NOW)
    assert only(steps_of(lost, new), StepKind.REGISTER).commands == ("keyctl coverage --missing 'new one'",)


def test_an_administrator_gets_serial_number_and_aaguid():
    blue = replace(key("blue"), serial="12345678", aaguid="2fc0579f-8113-47ea-b116-bb5a8db9202a", model="YubiKey 5C")
    text = only(steps_of(blue), StepKind.ADMINISTRATOR).text
    assert "model YubiKey 5C, serial number 12345678, AAGUID 2fc0579f-8113-47ea-b116-bb5a8db9202a" in text
    assert only(steps_of(key("blue")), StepKind.ADMINISTRATOR).text.endswith(
        "tell its administrator that blue is lost: serial number not noted (it is on the package); "
        "they remove it from your account"
    )


def test_local_uses_are_steps_of_their_own_and_no_accounts():
    disk = replace(registration("io.systemd.cryptsetup", "3c0e3a8e"), origin=Origin.LUKS, label="laptop")
    steps = steps_of(key("blue", registration("ssh:"), disk), with_computer=True)
    ssh, luks = of_kind(steps, StepKind.LOCAL)
    assert (ssh.rp_id, luks.service) == ("ssh:", "laptop")
    assert not of_kind(steps, StepKind.RECOVER)
    assert any("blue unlocks laptop" in step.text for step in of_kind(steps, StepKind.COMPUTER))


def test_of_a_key_that_was_reset_only_the_replacement_is_left():
    gone = key("blue", passkey("bank.example"), registration("ssh:"), state=KeyState.RESET)
    kinds = {step.kind for step in steps_of(gone)}
    assert not kinds & {StepKind.RECOVER, StepKind.REVOKE, StepKind.LOCAL}
    assert StepKind.BUY in kinds


def test_pairings_without_a_seed_and_with_keys_that_are_not_known_are_taken():
    lone = steps_of(key("blue"), pairing("blue", "green", method=Method.REGISTRATION))
    step = only(lone, StepKind.PROMOTE)
    assert step.commands[-1] == "keyctl recover promote"
    assert step.key is None
    assert only(lone, StepKind.PAIR).commands == ("keyctl pair create PRIMARY NEW",)


@given(st.text(alphabet="0123456789abcdefABCDEF xyz", max_size=14))
def test_a_step_is_found_by_six_digits_or_more_and_by_nothing_less(text):
    steps = steps_of(key("blue", passkey("bank.example"), passkey("shop.example")))
    wanted = text.strip().lower()
    found = loss_steps.fitting(steps, text)
    assert list(found) == [step for step in steps if len(wanted) >= 6 and step.id.startswith(wanted)]
    for step in steps:
        assert step in loss_steps.fitting(steps, f" {step.id[:6].upper()}")


def test_without_any_knowledge_there_is_a_general_plan():
    steps = general_plan("blue", None, None, with_computer=False)
    assert not any(step.done for step in steps)
    assert [step.kind for step in steps][:2] == [StepKind.ORIENT, StepKind.ORIENT]
    assert "keyctl lost blue --from FILE" in steps[0].commands
    ranks = [ORDER.index(step.kind) for step in steps]
    assert ranks == sorted(ranks)
    assert {StepKind.REVOKE, StepKind.RECOVER, StepKind.LOCAL, StepKind.BUY, StepKind.PAIR} <= {
        step.kind for step in steps
    }


def test_what_the_backup_key_opens_is_listed_where_nothing_else_is_known():
    opened = (
        OpenedAccount(rp_id="shop.example", user_id=b"2", account=None),
        OpenedAccount(rp_id="github.com", user_id=b"1", account="kim"),
    )
    steps = general_plan("blue", opened, "usb:/dev/hidraw1", with_computer=True)
    first, second = of_kind(steps, StepKind.REVOKE)
    assert first.text == "sign in to GitHub (kim) with usb:/dev/hidraw1, and remove blue from its security keys"
    assert first.url is not None
    assert second.service == "shop.example"
    assert steps[0].kind is StepKind.COMPUTER
    assert len({step.id for step in steps}) == len(steps)
    ranks = [ORDER.index(step.kind) for step in steps]
    assert ranks == sorted(ranks)


def test_what_is_noted_of_the_keys_at_hand_is_in_the_general_plan():
    green = replace(key("green", passkey("github.com"), passkey("shop.example")), role=Role.BACKUP)
    red = replace(key("red", passkey("github.com")), role=Role.SPARE, passkeys_read_at=SEEN_AT)
    toy = key("toy", passkey("toys.example"), virtual=True)
    gone = key("gone", passkey("bank.example", reset_at=NOW), passkey("work.example"), state=KeyState.LOST)
    steps = general_plan("blue", None, None, with_computer=False, inventory=inventory_of(green, red, toy, gone))
    assert {step.rp_id: step.key for step in of_kind(steps, StepKind.REVOKE)} == {
        "github.com": "green",
        "shop.example": "green",
    }
    assert only(steps, StepKind.PAIR).commands == ("keyctl pair create green red",)
    assert len({step.id for step in steps}) == len(steps)
    # What a key has just said is newer than what is noted of it.
    opened = (OpenedAccount(rp_id="mail.example", user_id=b"1", account="kim"),)
    again = general_plan("blue", opened, "green", with_computer=False, inventory=inventory_of(green, red))
    assert {step.rp_id: step.key for step in of_kind(again, StepKind.REVOKE)} == {
        "github.com": "red",
        "mail.example": "green",
    }


def test_a_key_that_lists_no_passkeys_may_still_be_a_second_factor_everywhere():
    green = replace(key("green"), role=Role.BACKUP, passkeys_read_at=SEEN_AT)
    opened = (OpenedAccount(rp_id="mail.example", user_id=b"1", account="kim"),)
    for told, backup, known in (
        (None, None, inventory_of(green)),
        ((), "green", inventory_of(green)),
        ((), "virtual:green", None),
        (opened, "virtual:green", None),
    ):
        steps = general_plan("blue", told, backup, with_computer=False, inventory=known)
        assert only(steps, StepKind.UNLISTED).text == (
            "think of accounts that blue opens and that are not named here, as a second factor, which is on no list: "
            "e-mail, bank, work, code hosts"
        )
        ranks = [ORDER.index(step.kind) for step in steps]
        assert ranks == sorted(ranks)


def test_what_the_backup_key_carries_is_read_before_it_gets_another_name():
    first = of_kind(general_plan("blue", None, "virtual:green", with_computer=False), StepKind.ORIENT)
    assert [step.commands for step in first] == [
        ("keyctl lost blue --from FILE",),
        ("keyctl lost blue",),
        ("keyctl pair restore",),
        ("keyctl add NAME --role backup",),
    ]
    known = inventory_of(replace(key("green"), role=Role.BACKUP), pairing("blue", "green"))
    again = of_kind(general_plan("blue", (), "green", with_computer=False, inventory=known), StepKind.ORIENT)
    assert [step.done for step in again] == [False, True, True]
