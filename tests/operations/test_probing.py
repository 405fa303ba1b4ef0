"""Which registrations are on a key: a hit needs its signature, a miss says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyctl.core.inventory import Origin, Registration
from keyctl.errors import UnreachableError
from keyctl.operations import opening, probing, recognising
from keyctl.operations.local_credentials import LocalCredential

PIN = "123456"
SEEN_AT = "2026-01-31T08:00:00Z"
REQUIRED = 3


def from_file(credential_id, public_key=None, *, rp_ids=("ssh:",), verify_required=False):
    return LocalCredential(
        origin=Origin.SSH,
        file="/home/kim/.ssh/id_ecdsa_sk",
        label="id_ecdsa_sk",
        rp_ids=rp_ids,
        account=None,
        credential_id=credential_id,
        public_key=public_key,
        verify_required=verify_required,
        state="readable",
    )


def on_file(credential_id, public_key=None, rp_id="ssh:"):
    return Registration(
        credential_id=credential_id,
        rp_id=rp_id,
        account=None,
        origin=Origin.SSH,
        public_key=public_key,
        label="id_ecdsa_sk",
        seen_at=SEEN_AT,
    )


@pytest.fixture
def probe(desk, person):
    """Ask the key *name* about credentials of files, and about those on its record; with or without its PIN."""

    def probe(name, *local, pin=None, count=None):
        circumstances = desk.circumstances(person(), name)
        with opening.opened(circumstances) as session:
            if session.is_u2f:
                recognising.prove_by_touch(session, recognising.known(circumstances))
            if pin is not None:
                session.use_pin(pin)
            before = session.commands_sent
            found = probing.probe(session, desk.record(name), local)
            if count is not None:
                count.append(session.commands_sent - before)
        return found

    return probe


def ids(registrations):
    return [entry.credential_id for entry in registrations]


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre", "u2f"])
def test_what_is_on_the_key_answers_and_what_is_not_is_no_removal(desk, probe, profile):
    desk.know("blue", profile=profile)
    desk.new("green", profile)
    own, key = desk.register("blue", "ssh:")
    other, other_key = desk.register("green", "ssh:")
    desk.put(replace(desk.record("blue"), registrations=(on_file(b"gone" * 16),)))
    found = probe("blue", from_file(own, key), from_file(other, other_key))
    assert ids(found.answered) == [own]
    assert ids(found.silent) == [b"gone" * 16]
    [entry] = found.answered
    assert (entry.rp_id, entry.origin, entry.label, entry.public_key) == ("ssh:", Origin.SSH, "id_ecdsa_sk", key)
    assert entry.seen_at > SEEN_AT


@pytest.mark.parametrize("profile", ["full", "u2f"])
def test_an_answer_under_another_public_key_than_that_on_file_is_no_hit(desk, probe, profile):
    desk.know("blue", profile=profile)
    own, _ = desk.register("blue", "ssh:")
    _, other_key = desk.register("blue", "ssh:")
    found = probe("blue", from_file(own, other_key))
    assert found.answered == ()


def test_without_a_public_key_on_file_the_answer_is_enough(desk, probe):
    desk.know("blue")
    own, _ = desk.register("blue", "io.systemd.cryptsetup")
    found = probe("blue", from_file(own, rp_ids=("io.systemd.cryptsetup",)))
    assert ids(found.answered) == [own]


def test_a_file_that_does_not_say_the_site_is_asked_for_each(desk, probe):
    desk.know("blue")
    own, key = desk.register("blue", "pam://desk")
    found = probe("blue", from_file(own, key, rp_ids=("pam://other", "pam://desk")))
    assert [entry.rp_id for entry in found.answered] == ["pam://desk"]


def test_what_wants_the_pin_answers_with_it_and_says_nothing_without(desk, probe):
    desk.know("blue", pin=True)
    own, key = desk.register("blue", "ssh:", REQUIRED)
    plain, plain_key = desk.register("blue", "ssh:")
    entries = (from_file(own, key, verify_required=True), from_file(plain, plain_key))
    assert ids(probe("blue", *entries).answered) == [plain]
    assert sorted(ids(probe("blue", *entries, pin=PIN).answered)) == sorted([own, plain])
    # What is on record is asked both ways, whatever it was made with.
    desk.put(replace(desk.record("blue"), registrations=(on_file(own, key),)))
    without = probe("blue")
    assert (ids(without.answered), ids(without.silent)) == ([], [own])
    with_pin = probe("blue", pin=PIN)
    assert (ids(with_pin.answered), ids(with_pin.silent)) == ([own], [])


def test_a_miss_costs_no_pin_where_a_file_says_that_none_is_wanted(desk, probe):
    desk.know("blue", pin=True)
    desk.new("green")
    other, key = desk.register("green", "ssh:")
    count = []
    probe("blue", from_file(other, key), pin=PIN, count=count)
    assert count == [1]


def test_a_key_that_wants_its_pin_for_everything_is_asked_with_it(desk, person):
    desk.know("blue", pin=True)
    own, key = desk.register("blue", "ssh:")
    desk.always_uv("blue")
    with opening.opened(desk.circumstances(person())) as session:
        found = probing.probe(session, desk.record("blue"), (from_file(own, key),))
        assert found.answered == ()
        session.use_pin(PIN)
        found = probing.probe(session, desk.record("blue"), (from_file(own, key),))
        assert ids(found.answered) == [own]


def test_what_a_reset_ended_is_not_asked_about(desk, probe):
    desk.know("blue")
    ended = replace(on_file(b"r" * 64), reset_at=SEEN_AT)
    desk.put(replace(desk.record("blue"), registrations=(ended,)))
    count = []
    found = probe("blue", count=count)
    assert (found.answered, found.silent, count) == ((), (), [0])
    assert not probing.has_questions(desk.record("blue"), ())
    assert probing.has_questions(desk.record("blue"), (from_file(b"x" * 64),))


def test_what_a_file_keeps_to_itself_is_not_asked_about(desk, probe):
    desk.know("blue")
    locked = replace(from_file(None), state="locked")
    assert probe("blue", locked).answered == ()


def test_many_registrations_are_asked_about_in_few_messages(desk, probe):
    desk.know("blue")
    own = [desk.register("blue", "ssh:") for _ in range(3)]
    missing = [from_file(bytes([number]) * 64) for number in range(32)]
    count = []
    found = probe("blue", *missing, *(from_file(*one) for one in own), count=count)
    assert sorted(ids(found.answered)) == sorted(credential_id for credential_id, _ in own)
    # 35 ids in lists of eight, and one more for each that answered.
    assert count[0] <= 5 + 3


def test_the_touches_of_a_u2f_key_end_with_the_first_that_does_not_come(desk, person):
    desk.know("old", profile="u2f")
    entries = [from_file(*desk.register("old", rp_id), rp_ids=(rp_id,)) for rp_id in ("ssh:", "ssh:two", "pam://desk")]
    who = person()
    circumstances = desk.circumstances(who)
    hasty = replace(circumstances, waits=replace(circumstances.waits, touch_s=0.1))
    with opening.opened(hasty) as session:
        desk.set("old", "touch=never")
        who.told.clear()
        found = probing.probe(session, desk.record("old"), entries)
    assert found.answered == ()
    assert who.told == ["touch old now (0.1 s)"]


def test_a_key_that_is_pulled_is_an_error_and_no_miss(desk, probe):
    desk.know("blue")
    own, key = desk.register("blue", "ssh:")
    desk.set("blue", "fault=3:pulled")
    with pytest.raises(UnreachableError):
        probe("blue", from_file(own, key))


@pytest.mark.parametrize("rp_id", ["", "\ud800", "keyctl.invalid"])
@pytest.mark.parametrize("profile", ["full", "u2f"])
def test_what_is_no_site_is_not_asked_about(desk, probe, rp_id, profile):
    """Whatever a file or the inventory says: such a message is none, or is about keyctl's own credential."""
    record = desk.know("blue", profile=profile)
    own_id = record.recognition.credential_id
    desk.put(replace(record, registrations=(on_file(b"other", rp_id="keyctl.invalid"),)))
    asked = []
    found = probe("blue", from_file(own_id, rp_ids=(rp_id,)), count=asked)
    assert (found.answered, asked) == ((), [0])
    assert [entry.credential_id for entry in found.silent] == [b"other"]
