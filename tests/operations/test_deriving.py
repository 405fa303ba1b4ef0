"""Keys derived from the record: the same again, endorsed by the primary key, recorded once, and refused in time."""

from __future__ import annotations

import time
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from keyctl.core import arkg, derivations, endorsements, p256, seed_cose
from keyctl.core.contexts import parse
from keyctl.core.pairings import Method, PairingState, StoredRecord
from keyctl.errors import (
    KeyChoiceError,
    NotFoundError,
    PinError,
    StoreError,
    TouchError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from keyctl.operations import deriving, key_copies, opening, target_files
from keyctl.store import blob_keys
from keyctl.virtual import keys
from tests import derived_parts
from tests.derived_parts import MADE_AT, PAIRING_ID, get
from tests.failing import failing

PIN = "123456"
HOST, SITE, LABEL = "ssh:server.example.com", "rp:example.com/kim", "sign:releases"


@pytest.fixture
def paired(desk):
    """Have blue paired with green; returns the pairing."""

    def paired(profile="full", *, pin=False, **changes):
        primary = desk.know("blue", profile=profile, pin=pin)
        backup = desk.know("green")
        # It lies in the safe.
        keys.unplug(desk.folder, "green")
        record = derived_parts.pairing(primary.id, backup.id, **changes)
        desk.put(record)
        return record

    return paired


@pytest.fixture
def derive(desk, person):
    """Derive keys for targets; the person is kept as ``derive.person``."""

    def derive(*targets, pins=(), wanted=None, which=None, attended=True, **options):
        derive.person = person(pins=list(pins), attended=attended)
        circumstances = desk.circumstances(derive.person, wanted)
        return deriving.derive(circumstances, which, [parse(target) for target in targets], **options)

    return derive


def endorsed(desk) -> frozenset[str]:
    return endorsements.endorsed(get(desk.home).derived, desk.record("blue").recognition.public_key)


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre", "small", "arkg", "u2f"])
def test_any_primary_key_endorses_new_keys_with_one_touch_and_no_pin(desk, paired, derive, profile):
    paired(profile, pin=profile != "u2f")
    desk.set("blue", "touch=after:0.05")
    result = derive(HOST, LABEL, SITE)
    assert (result.pairing, result.method, result.state) == ("blue/green", Method.ARKG, PairingState.NEVER_VERIFIED)
    assert (result.changed, result.checked_against_key) == (True, False)
    assert [entry.endorsed for entry in result.derived] == [True] * 3
    assert endorsed(desk) == {HOST, LABEL, SITE}
    assert derive.person.requests == []
    touches = [text for text in derive.person.told if text.startswith("touch ")]
    assert touches == ["touch blue now (5 s)"]
    assert derive.person.told.index("blue endorses 3 new keys with one touch") < derive.person.told.index(touches[0])


def test_the_forms_are_of_one_key_for_which_the_backup_key_can_sign(paired, derive):
    record = paired()
    result = derive(SITE)
    [entry] = result.derived
    assert (entry.target, entry.rp_id, entry.account) == (SITE, "example.com", "kim")
    assert result.fingerprint.count("-") == 3
    secret = arkg.derive_private_key(derived_parts.private_seed(), entry.key_handle, parse(SITE).ctx)
    digest = sha256(b"what is signed").digest()
    signature = ec.derive_private_key(secret, ec.SECP256R1()).sign(digest, ec.ECDSA(Prehashed(SHA256())))
    assert p256.verifies(entry.public_key, digest, signature)
    public_key = p256.public_key(entry.public_key)
    assert serialization.load_pem_public_key(entry.pem.encode()) == public_key
    assert serialization.load_ssh_public_key(entry.ssh.encode()) == public_key
    assert entry.ssh.endswith(f" {SITE}")
    assert seed_cose.read_derived_key(entry.cose) == entry.public_key
    assert (entry.jwk["kty"], entry.jwk["alg"]) == ("EC", "ES256")
    assert entry.fingerprint.startswith("SHA256:")
    assert derivations.recomputes(record.seed, get_only(record, entry))


def get_only(record, entry):
    return derivations.derive(record.seed, parse(entry.target), now=entry.created_at)


def test_the_same_request_gives_the_same_key_again_without_any_key(desk, paired, derive):
    paired()
    first = derive(HOST, LABEL)
    before = desk.files(), get(desk.home)
    keys.unplug(desk.folder, "blue")
    again = derive(LABEL, "ssh:SERVER.example.com", HOST)
    assert again.derived == tuple(reversed(first.derived))
    assert not again.changed
    assert (desk.files(), get(desk.home)) == before
    assert not any("touch" in text for text in derive.person.told)


def test_only_what_is_new_is_endorsed(desk, paired, derive):
    paired()
    derive(HOST)
    derive(LABEL, HOST)
    assert "blue endorses the new key with one touch" in derive.person.told
    assert endorsed(desk) == {HOST, LABEL}
    first, second = get(desk.home).derived
    assert first.endorsement != second.endorsement


def test_from_the_record_no_key_is_needed_and_nothing_endorsed(desk, paired, derive):
    paired()
    keys.unplug(desk.folder, "blue")
    result = derive(HOST, from_record=True)
    assert (result.changed, result.checked_against_key) == (True, False)
    assert [entry.endorsed for entry in result.derived] == [False]
    [recorded] = get(desk.home).derived
    assert recorded.endorsement is None
    assert recorded.public_key == result.derived[0].public_key


def test_a_dry_run_records_nothing_and_asks_no_key(desk, paired, derive):
    paired()
    keys.unplug(desk.folder, "blue")
    result = derive(HOST, dry_run=True)
    assert not result.changed
    assert get(desk.home).derived == ()
    assert result.derived[0].public_key == derive(HOST, from_record=True).derived[0].public_key


def test_the_primary_key_may_be_unknown_to_the_record_only(desk, derive, paired):
    record = paired()
    desk.put(replace(record, primary_id="00000000000000ff"))
    assert failing(derive, HOST).code == "name_not_found"
    assert derive(HOST, from_record=True).pairing == "?/green"


def test_an_endorsement_that_cannot_be_checked_is_not_called_one(desk, paired, derive):
    record = paired()
    derive(HOST)
    desk.put(replace(get(desk.home), primary_id="00000000000000ff"))
    assert derive(HOST).derived[0].endorsed is None
    desk.put(replace(get(desk.home), primary_id=desk.record("green").id, backup_id=record.primary_id))
    assert derive(HOST).derived[0].endorsed is False


@pytest.mark.parametrize("method", [Method.ARKG, Method.SOFTWARE])
def test_software_is_told_from_arkg(paired, derive, method):
    paired(method=method, seed=derived_parts.seed(key_handle=b"h" if method is Method.ARKG else None))
    assert derive(HOST).method is method


def test_a_key_that_always_wants_its_pin_gets_it_before_the_touch(desk, paired, derive):
    paired(pin=True)
    desk.always_uv("blue")
    assert failing(derive, HOST, wanted=None).code == "no_key"
    result = derive(HOST, pins=[PIN], wanted="virtual:blue")
    assert result.derived[0].endorsed
    assert [request.purpose for request in derive.person.requests] == ["current"]
    assert desk.tries("blue") == 8


# --- compared with the key -------------------------------------------------------------------------------------------


@pytest.fixture
def stored(desk, person, paired):
    """Have the record of the pairing stored on blue."""

    def stored(**changes):
        record = paired(pin=True)
        circumstances = desk.circumstances(person(pins=[PIN]), "blue")
        with opening.opened(circumstances) as session:
            session.use_pin(PIN)
            content = replace(key_copies.record_of(desk.inventory, record), **changes)
            copy = key_copies.store_on_primary(session, circumstances.state, content, ())
        blob_keys.write(circumstances.state, PAIRING_ID, record.primary_id, copy.blob_key)
        desk.put(replace(record, stored_on=(copy.stored,)))
        return copy

    return stored


def test_the_copy_on_the_primary_key_is_compared_without_a_pin(stored, derive):
    stored()
    result = derive(HOST)
    assert result.checked_against_key
    assert derive.person.requests == []


def test_another_copy_on_the_primary_key_stops_everything_before_the_touch(desk, stored, derive):
    stored(seed=derived_parts.seed("somebody"))
    error = failing(derive, HOST)
    assert isinstance(error, UnreachableError)
    assert error.code == "record_changed"
    assert get(desk.home).derived == ()
    assert not any("touch" in text for text in derive.person.told)


def test_a_copy_that_is_gone_stops_it_too(desk, person, stored, derive):
    copy = stored()
    with opening.opened(desk.circumstances(person(), "blue")) as session:
        session.use_pin(PIN)
        session.blobs.remove(copy.blob_key)
    assert failing(derive, HOST).code == "record_changed"


def test_a_copy_that_this_computer_did_not_store_is_not_compared(desk, paired, derive):
    record = paired()
    copy = StoredRecord(key_id=record.primary_id, credential_id=b"c", user_id=b"u", at=MADE_AT)
    desk.put(replace(record, stored_on=(copy,)))
    assert not derive(HOST).checked_against_key


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "facts", "reason"),
    [
        (Method.REGISTRATION, {}, "no seed"),
        (Method.WEBAUTHN_DRAFT, {"recovery_seed": b"seed"}, "the primary key makes them itself"),
    ],
)
def test_methods_that_derive_nothing_say_why(paired, derive, method, facts, reason):
    paired(method=method, seed=None, **facts)
    error = failing(derive, HOST)
    assert isinstance(error, UnsupportedError)
    assert error.code == "unsupported"
    assert reason in error.message


@pytest.mark.parametrize("facts", [{"retired_at": MADE_AT}, {"broken_at": MADE_AT}])
@pytest.mark.parametrize("from_record", [False, True])
def test_a_pairing_that_is_over_or_broken_derives_no_more_but_tells_what_it_has(
    desk, paired, derive, facts, from_record
):
    record = paired()
    derive(HOST)
    desk.put(replace(get(desk.home), **facts))
    error = failing(derive, LABEL, from_record=from_record)
    assert isinstance(error, NotFoundError)
    assert error.code == "pairing_retired"
    assert error.hint
    assert derive(HOST).state in {PairingState.RETIRED, PairingState.BROKEN}
    assert get(desk.home).seed == record.seed


def test_a_seed_that_was_swapped_in_the_inventory_derives_nothing(desk, paired, derive):
    paired()
    derive(HOST)
    desk.put(replace(get(desk.home), seed=derived_parts.seed("somebody"), derived=()))
    error = failing(derive, LABEL, attended=False)
    assert isinstance(error, StoreError)
    assert error.code == "pairing_changed"


@pytest.mark.parametrize("name", ["public_key", "key_handle"])
def test_a_recorded_key_that_was_swapped_is_not_handed_out(desk, paired, derive, person, name):
    paired()
    derive(HOST)
    record = get(desk.home)
    other = getattr(derivations.derive(derived_parts.seed("somebody"), parse(HOST), now=MADE_AT), name)
    desk.put(replace(record, derived=(replace(record.derived[0], **{name: other}),)))
    for attempt in (
        lambda: derive(HOST),
        lambda: derive(LABEL, HOST),
        lambda: deriving.hand_over(desk.circumstances(person()), None, [parse(HOST)]),
    ):
        error = failing(attempt)
        assert isinstance(error, StoreError)
        assert (error.code, HOST in error.message) == ("pairing_changed", True)
    assert get(desk.home).derived[0].endorsement is not None


def test_numbers_of_another_draft_are_not_guessed_at(desk, paired, derive):
    record = paired()
    numbers = replace(record.seed.numbers, draft="draft-bradleylundberg-cfrg-arkg-99")
    desk.put(replace(record, seed=replace(record.seed, numbers=numbers)))
    assert failing(derive, HOST).code == "store_newer"


def test_without_the_primary_key_nothing_is_derived(desk, paired, derive):
    paired()
    keys.unplug(desk.folder, "blue")
    error = failing(derive, HOST)
    assert isinstance(error, KeyChoiceError)
    assert error.code == "no_key"
    assert get(desk.home).derived == ()


def test_the_backup_key_endorses_nothing(desk, paired, derive):
    paired()
    keys.plug(desk.folder, "green")
    error = failing(derive, HOST, wanted="green")
    assert isinstance(error, KeyChoiceError)
    assert "green is not blue" in error.message
    assert get(desk.home).derived == ()


def test_without_a_touch_nothing_is_derived(desk, paired, derive):
    paired()
    desk.set("blue", "touch=refused")
    assert isinstance(failing(derive, HOST), TouchError)
    assert get(desk.home).derived == ()


def test_a_key_that_always_wants_its_pin_gets_none_twice(desk, paired, derive):
    paired(pin=True)
    desk.always_uv("blue")
    error = failing(derive, HOST, pins=["000000"], wanted="virtual:blue")
    assert isinstance(error, PinError)
    assert desk.tries("blue") == 7
    assert get(desk.home).derived == ()


def test_an_inventory_that_is_not_whole_is_told_before_the_touch(desk, paired, derive):
    paired()
    (desk.home / "services").mkdir(exist_ok=True)
    (desk.home / "services" / "0000000000000001.json").write_text("{")
    error = failing(derive, HOST)
    assert error.code == "store_unreadable"
    assert not any("touch" in text for text in derive.person.told)


# --- others at the same time -----------------------------------------------------------------------------------------


@pytest.fixture
def overtaken(desk, person):
    """Derive keys while others record theirs, once, before the touch."""

    def overtaken(targets, *others):
        waiting = list(others)

        def meanwhile(text):
            if "one touch" in text and waiting:
                desk.put(replace(get(desk.home), derived=tuple(waiting)))
                waiting.clear()

        somebody = person(acts=meanwhile)
        return deriving.derive(desk.circumstances(somebody), None, [parse(target) for target in targets]), somebody.told

    return overtaken


def test_what_another_process_added_meanwhile_stays(desk, paired, overtaken):
    record = paired()
    other = derivations.derive(record.seed, parse(SITE), now=MADE_AT)
    _, told = overtaken([HOST], other)
    assert [key.target for key in get(desk.home).derived] == [SITE, HOST]
    assert endorsed(desk) == {HOST}
    assert "blue endorses the new key with one touch" in told


def test_where_another_process_was_faster_the_batch_is_endorsed_anew(desk, paired, overtaken):
    record = paired()
    same = derivations.derive(record.seed, parse(LABEL), now=MADE_AT)
    result, told = overtaken([HOST, LABEL], same)
    assert [entry.endorsed for entry in result.derived] == [True, False]
    assert endorsed(desk) == {HOST}
    assert [text for text in told if "endorses" in text] == [
        "blue endorses 2 new keys with one touch",
        "blue endorses the new key with one touch",
    ]


def test_a_pairing_that_is_removed_or_retired_meanwhile_gets_nothing(desk, paired, person):
    paired()
    somebody = person(acts=lambda text: "touch" in text and desk.put(replace(get(desk.home), retired_at=MADE_AT)))
    error = failing(deriving.derive, desk.circumstances(somebody), None, [parse(HOST)])
    assert error.code == "pairing_retired"
    assert get(desk.home).derived == ()


# --- handed over -----------------------------------------------------------------------------------------------------


def test_keys_that_were_installed_are_noted_on_a_persons_word(desk, paired, derive, person):
    paired()
    derive(HOST, LABEL)
    keys.unplug(desk.folder, "blue")
    circumstances = desk.circumstances(person())
    dry = deriving.hand_over(circumstances, None, [parse(HOST)], dry_run=True)
    assert (dry.changed, dry.derived[0].handed_over_at) == (False, None)
    result = deriving.hand_over(circumstances, None, [parse(HOST)])
    assert result.changed
    assert result.derived[0].handed_over_at is not None
    assert {key.target: key.handed_over_at is not None for key in get(desk.home).derived} == {HOST: True, LABEL: False}
    again = deriving.hand_over(circumstances, "green", [parse(HOST)])
    assert (again.changed, again.derived) == (False, result.derived)
    assert endorsed(desk) == {HOST, LABEL}


def test_what_was_not_derived_cannot_be_handed_over(desk, paired, person):
    paired()
    error = failing(deriving.hand_over, desk.circumstances(person()), None, [parse(HOST)])
    assert isinstance(error, NotFoundError)
    assert error.code == "derived_not_found"


# --- many ------------------------------------------------------------------------------------------------------------


def test_a_thousand_keys_cost_one_touch_and_are_written_once(desk, paired, derive):
    paired()
    desk.set("blue", "touch=after:0.01")
    targets = target_files.targets_from("\n".join(f"ssh:host-{n}.example.com" for n in range(1000)).encode(), "hosts")
    started = time.monotonic()
    result = derive(*(target.text for target in targets))
    assert time.monotonic() - started < 30
    assert len(result.derived) == 1000
    assert len(endorsed(desk)) == 1000
    assert sum(text.startswith("touch ") for text in derive.person.told) == 1


def test_a_pairing_has_only_so_many_keys_as_its_file_can_hold(desk, paired, derive):
    record = paired()
    one = derivations.derive(record.seed, parse(HOST), now=MADE_AT)
    many = tuple(replace(one, target=f"sign:{number}") for number in range(deriving.MAX_KEYS))
    desk.put(replace(record, derived=many))
    error = failing(derive, HOST)
    assert isinstance(error, UsageError)
    assert not any("touch" in text for text in derive.person.told)


def test_a_file_of_targets_may_have_comments_and_windows_lines():
    content = "\ufeff# servers\r\n\r\n  ssh:a.example \r\nsign:Releases #1\n".encode()
    assert [target.text for target in target_files.targets_from(content, "hosts")] == [
        "ssh:a.example",
        "sign:releases #1",
    ]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"#\n" * 10_001, b" " * (4 * 1024 * 1024 + 1)], ids=["no-text", "lines", "bytes"]
)
def test_what_is_no_list_of_targets_is_refused(content):
    with pytest.raises(UsageError) as caught:
        target_files.targets_from(content, "hosts\x1b")
    assert caught.value.code == "import_unreadable"
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    ("line", "kind", "code"), [("http://a", UsageError, "usage"), ("age:x", UnsupportedError, "unsupported")]
)
def test_a_line_that_is_no_target_is_named(line, kind, code):
    with pytest.raises(kind) as caught:
        target_files.targets_from(f"ssh:a.example\n# x\n{line}\n".encode(), "hosts")
    assert (caught.value.code, caught.value.message.startswith("line 3 of hosts: ")) == (code, True)
