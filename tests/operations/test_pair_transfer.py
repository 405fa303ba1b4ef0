"""A seed goes to another computer as a file: proved, compared by a person, and nothing half done is left on any key."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from hashlib import sha256

import pytest

from keyctl.core import arkg, binding, contexts, fingerprints, seed_cose, seed_numbers
from keyctl.core.contexts import parse
from keyctl.core.pairings import Method, PairingState, Seed
from keyctl.errors import (
    DeclinedError,
    KeyChoiceError,
    NotFoundError,
    StoreError,
    TouchError,
    UnsupportedError,
    UsageError,
)
from keyctl.operations import (
    backup_signing,
    deriving,
    key_copies,
    opening,
    pair_exporting,
    pair_importing,
    pair_leftovers,
    passkeys,
)
from keyctl.operations.pair_unfinished import CLEAN_UP
from keyctl.store import seed_files, unfinished
from keyctl.store import state as local_state
from keyctl.virtual import keys
from tests.core import binding_parts
from tests.derived_parts import MADE_AT
from tests.failing import failing
from tests.interruption import interrupted_when

PIN = "123456"
HOST = "ssh:server.example.com"


class Offline:
    """The computer in the safe's room: a desk with the backup key."""

    def __init__(self, desk, person):
        self.desk = desk
        self.person = person(pins=[PIN])
        desk.know("green", profile="arkg", pin=True)

    def export(self, file=None, **options):
        circumstances = self.desk.circumstances(self.person)
        return pair_exporting.export(circumstances, "green", file, **options)

    def own(self):
        """keyctl's own passkeys on the backup key."""
        self.person.pins.append(PIN)
        circumstances = self.desk.circumstances(self.person, "green")
        with opening.opened(circumstances) as session:
            return passkeys.list_all(session, circumstances).passkeys


@pytest.fixture
def offline(desk, person, tmp_path):
    folder = tmp_path / "offline"
    folder.mkdir()
    return Offline(type(desk)(folder), person)


class Daily:
    """The computer of every day: a desk with the primary key."""

    def __init__(self, desk, person):
        self.desk = desk
        self.make_person = person
        self.person = person(pins=[PIN])

    def take(self, content, reads=None, primary="blue", **options):
        self.person = self.make_person(pins=[PIN], reads=reads)
        circumstances = self.desk.circumstances(self.person)
        content = content if isinstance(content, bytes) else content.encode()
        return pair_importing.import_content(circumstances, content, "seed.json", primary, **options)

    @property
    def pairings(self):
        return self.desk.inventory.pairings

    def own(self):
        """keyctl's own credentials on the primary key."""
        circumstances = self.desk.circumstances(self.make_person(), "blue")
        with opening.opened(circumstances) as session:
            session.use_pin(PIN)
            return pair_leftovers.own_on(session)


@pytest.fixture
def daily(desk, person):
    desk.know("blue", pin=True)
    return Daily(desk, person)


def made_up(key=None, **changes):
    """A file whose seed is that of a key in a few lines; nobody vouches for it."""
    key = key or binding_parts.Key(attested=False)
    seed = Seed(
        public_seed=seed_cose.encode_seed(arkg.public_seed(key.private)),
        numbers=seed_numbers.CURRENT,
        derivation_secret=bytes(range(32)),
        key_handle=key.signing_handle,
        credential_id=key.credential_id,
        user_id=bytes(32),
        attestation="packed" if key.attested else "none",
        evidence=key.evidence(),
    )
    return replace(seed, **changes)


@pytest.fixture
def file_with(offline):
    """The file of green, with another seed."""

    def file_with(seed, **changes):
        content = seed_files.SeedFile(
            method=Method.ARKG,
            created_at=MADE_AT,
            fingerprint="is not looked at",
            key=offline.desk.record("green"),
            seed=seed,
        )
        return seed_files.document(replace(content, **changes))

    return file_with


FINGERPRINT = fingerprints.of_seed(arkg.public_seed(binding_parts.Key().private))


# --- the whole way ---------------------------------------------------------------------------------------------------


def test_the_seed_of_a_key_that_stays_away_is_paired_derived_from_and_signs_at_last(offline, daily):
    exported = offline.export()
    assert (exported.changed, exported.key, exported.attestation, exported.file) == (True, "green", "packed", None)
    assert offline.person.told[0] == "green wants three touches; the first makes the seed"

    imported = daily.take(exported.content, reads=exported.fingerprint)
    assert imported.changed
    assert imported.pairing.fingerprint == exported.fingerprint
    assert (imported.pairing.primary, imported.pairing.backup, imported.backup) == ("blue", "green", "green")
    assert (imported.pairing.state, imported.pairing.method) == (PairingState.NEVER_VERIFIED, Method.ARKG)
    assert imported.pairing.stored_on == ("blue",)
    assert len(daily.own()) == 1

    circumstances = daily.desk.circumstances(daily.make_person())
    derived = deriving.derive(circumstances, "green", [parse(HOST)])
    assert derived.checked_against_key
    assert derived.derived[0].endorsed

    # The computer in the safe's room is gone; the backup key comes out.
    for path in offline.desk.folder.glob("green*"):
        shutil.copy(path, daily.desk.folder / path.name)
    keys.plug(daily.desk.folder, "green")
    [pairing] = daily.pairings
    somebody = daily.make_person(pins=[PIN])
    with backup_signing.signing(daily.desk.circumstances(somebody), daily.desk.inventory, pairing) as signer:
        assert signer.sign(pairing.derived[0], sha256(b"what is signed").digest())


def test_the_exporting_computer_is_left_as_it_was(offline):
    before = offline.desk.files()
    exported = offline.export()
    assert offline.desk.files() == before
    assert offline.desk.inventory.pairings == ()
    assert unfinished.read_all(offline.desk.home / "state") == ()
    [own] = offline.own()
    assert (own.purpose, own.credential_id.hex()) == ("pairing", json.loads(exported.content)["seed"]["credential_id"])


def test_a_second_export_makes_another_seed_and_leaves_the_first(offline):
    first = offline.export()
    offline.person.pins.append(PIN)
    second = offline.export()
    assert first.fingerprint != second.fingerprint
    assert len(offline.own()) == 2


def test_a_file_is_written_once(offline, tmp_path):
    path = tmp_path / "seed.json"
    exported = offline.export(path)
    assert (exported.content, exported.file) == (None, str(path))
    assert seed_files.seed_file_from(path.read_bytes(), "seed.json").fingerprint == exported.fingerprint
    told = len(offline.person.told)
    assert failing(offline.export, path).code == "usage"
    assert offline.person.told[told:] == []


def test_a_dry_run_makes_nothing(offline, daily, tmp_path):
    path = tmp_path / "seed.json"
    dry = offline.export(path, dry_run=True)
    assert (dry.changed, dry.fingerprint, path.exists()) == (False, None, False)
    assert offline.person.requests == []
    assert offline.own() == ()
    offline.person.pins.append(PIN)
    content = offline.export().content
    before = daily.desk.files()
    dry = daily.take(content, dry_run=True)
    assert (dry.pairing, dry.backup, dry.changed) == (None, "green", False)
    assert (daily.person.compared, daily.person.requests) == ([], [])
    assert (daily.desk.files(), daily.pairings) == (before, ())


def test_the_same_file_once_more_changes_nothing_and_asks_nothing(offline, daily):
    exported = offline.export()
    first = daily.take(exported.content)
    keys.unplug(daily.desk.folder, "blue")
    again = daily.take(exported.content)
    assert (again.changed, again.pairing) == (False, first.pairing)
    assert (daily.person.compared, daily.person.requests) == ([], [])


def test_without_a_copy_the_primary_key_need_not_be_there(offline, daily):
    content = offline.export().content
    keys.unplug(daily.desk.folder, "blue")
    assert isinstance(failing(daily.take, content), KeyChoiceError)
    imported = daily.take(content, store_on_key=False)
    assert (imported.changed, imported.pairing.stored_on, daily.person.requests) == (True, (), [])


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre"])
def test_a_primary_key_without_large_blobs_carries_the_seed_alone(offline, desk, person, profile):
    desk.know("blue", profile=profile, pin=True)
    imported = Daily(desk, person).take(offline.export().content)
    assert imported.changed
    assert "carries the seed only" in imported.remarks[0]


def test_a_u2f_primary_key_is_paired_without_a_copy_only(offline, desk, person):
    desk.know("blue", profile="u2f")
    daily = Daily(desk, person)
    content = offline.export().content
    assert failing(daily.take, content).code == "unsupported"
    assert daily.take(content, store_on_key=False).changed


def test_a_name_that_is_taken_here_gets_a_number(offline, daily):
    daily.desk.know("green")
    imported = daily.take(offline.export().content)
    assert (imported.backup, imported.pairing.backup) == ("green 2", "green 2")
    assert daily.desk.record("green 2").id == offline.desk.record("green").id


def test_a_backup_key_that_is_known_here_already_stays_as_it_is(offline, daily):
    daily.desk.put(replace(offline.desk.record("green"), note="blue tape"))
    imported = daily.take(offline.export().content)
    assert imported.backup == "green"
    assert daily.desk.record("green").note == "blue tape"


# --- the fingerprint -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attested", [True, False])
def test_all_groups_are_asked_for_whoever_vouches(daily, file_with, attested):
    """Anybody can make a certificate."""
    imported = daily.take(file_with(made_up(binding_parts.Key(attested=attested))), reads=FINGERPRINT)
    assert imported.changed
    assert imported.pairing.attestation == ("packed" if attested else "none")
    assert len(daily.person.compared) == 1


def test_another_fingerprint_ends_it_before_pin_and_touch(daily, file_with):
    ground = FINGERPRINT[:5] + "-AAAAA-AAAAA-AAAAA"
    before = daily.desk.files()
    error = failing(daily.take, file_with(made_up()), reads=ground)
    assert isinstance(error, DeclinedError)
    assert (daily.person.requests, daily.pairings, daily.own()) == ([], (), ())
    assert daily.desk.files() == before
    assert unfinished.read_all(daily.desk.home / "state") == ()


def test_a_name_in_the_file_says_nothing_of_its_own(offline, daily, file_with):
    key = replace(offline.desk.record("green"), name="green\nType yes")
    daily.take(file_with(made_up(), key=key), store_on_key=False)
    [question] = daily.person.asked
    assert "green\\x0aType yes" in question


# --- what the evidence does not prove --------------------------------------------------------------------------------


OTHER = binding_parts.Key(name="somebody", attested=False)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"evidence": None}, "no evidence"),
        ({"evidence": OTHER.evidence()}, "another seed"),
        ({"public_seed": seed_cose.encode_seed(arkg.public_seed(OTHER.private))}, "another seed"),
        ({"credential_id": b"other"}, "another credential"),
        ({"key_handle": b"other"}, "another credential"),
        ({"attestation": "packed"}, "another attestation"),
        ({"evidence": replace(binding_parts.Key(attested=False).evidence(), nonce=bytes(32))}, "did not sign"),
        ({"evidence": replace(binding_parts.Key(attested=False).evidence(), asserted=b"\xa0")}, "signatures"),
        (
            {"evidence": replace(OTHER.evidence(), made=binding_parts.Key(attested=False).made())},
            "another credential",
        ),
    ],
)
def test_a_seed_that_is_not_proved_is_refused_before_anybody_is_asked(daily, file_with, changes, why):
    error = failing(daily.take, file_with(made_up(**changes)))
    assert isinstance(error, UnsupportedError)
    assert (error.code, why in error.message) == ("evidence_refused", True), error.message
    assert (daily.person.compared, daily.person.requests, daily.pairings) == ([], [], ())


@pytest.mark.parametrize("flags", [0b000, 0b001])
def test_a_seed_that_signs_without_touch_and_pin_is_refused(daily, file_with, flags):
    lax = binding_parts.Key(attested=False, policy=flags)
    honest = binding_parts.Key(attested=False)
    evidence = binding.Evidence(made=lax.made(), asserted=honest.evidence().asserted, nonce=binding_parts.NONCE)
    error = failing(daily.take, file_with(made_up(evidence=evidence)))
    assert (error.code, binding.MEANINGS[binding.Check.SEED_POLICY] in error.message) == ("evidence_refused", True)


@pytest.mark.parametrize("method", [Method.SOFTWARE, Method.REGISTRATION, Method.WEBAUTHN_DRAFT])
def test_a_method_that_the_evidence_does_not_prove_is_refused(daily, file_with, method):
    assert failing(daily.take, file_with(made_up(), method=method)).code == "evidence_refused"


def test_numbers_of_another_draft_are_not_guessed_at(daily, file_with):
    numbers = replace(seed_numbers.CURRENT, draft="draft-bradleylundberg-cfrg-arkg-99")
    assert failing(daily.take, file_with(made_up(numbers=numbers))).code == "store_newer"


def test_points_that_make_no_sense_are_refused(daily, file_with):
    error = failing(daily.take, file_with(made_up(public_seed=b"\xa0")))
    assert isinstance(error, StoreError)
    assert daily.pairings == ()


def test_what_is_no_exported_seed_is_refused(daily):
    error = failing(daily.take, b"{}")
    assert isinstance(error, UsageError)
    assert error.code == "import_unreadable"
    assert failing(daily.take, b'{"schema": "keyctl-seed/2"}').code == "store_newer"


# --- what the inventory says against it ------------------------------------------------------------------------------


def test_a_key_is_not_its_own_backup_key(daily, file_with):
    key = daily.desk.record("blue")
    error = failing(daily.take, file_with(made_up(), key=key))
    assert (error.code, "its own backup key" in error.message) == ("usage", True)
    # Neither under another id.
    disguised = replace(key, id="00000000000000cc", name="green")
    assert "its own backup key" in failing(daily.take, file_with(made_up(), key=disguised)).message


def test_a_virtual_key_is_never_paired_with_a_physical_one(offline, daily, file_with):
    key = replace(offline.desk.record("green"), virtual=False)
    assert failing(daily.take, file_with(made_up(), key=key)).code == "unsupported"


def test_a_file_does_not_say_anew_how_a_known_key_is_known(offline, daily, file_with):
    green = offline.desk.record("green")
    daily.desk.put(replace(green, recognition=replace(green.recognition, public_key=b"other")))
    assert failing(daily.take, file_with(made_up())).code == "evidence_refused"


def test_an_unknown_primary_key_is_told(daily, file_with):
    error = failing(daily.take, file_with(made_up()), primary="red")
    assert isinstance(error, NotFoundError)
    assert error.code == "name_not_found"


def test_two_keys_are_not_paired_twice_by_different_seeds(daily, file_with):
    daily.take(file_with(made_up()))
    error = failing(daily.take, file_with(made_up(OTHER)))
    assert (error.code, len(daily.pairings)) == ("pairing_exists", 1)


# --- interrupted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("touches", [0, 1, 2])
def test_an_export_that_fails_leaves_nothing_on_the_key(offline, touches):
    def act(text):
        beginnings = ("green wants three touches", "the second proves", "the third tries")
        if text.startswith(beginnings[touches]):
            offline.desk.set("green", "touch=refused")

    offline.person.acts = act
    assert isinstance(failing(offline.export), TouchError)
    offline.desk.set("green", "touch=now")
    assert offline.own() == ()
    assert unfinished.read_all(offline.desk.home / "state") == ()


def test_a_file_that_turns_up_meanwhile_is_not_written_over(offline, tmp_path):
    path = tmp_path / "seed.json"
    offline.person.acts = lambda text: path.write_text("mine") if text.startswith("the third") else None
    error = failing(offline.export, path)
    assert (error.code, path.read_text()) == ("usage", "mine")
    assert offline.own() == ()


def test_while_something_may_be_left_on_the_key_no_seed_is_made(offline):
    green = offline.desk.record("green").id
    begun = unfinished.Unfinished(
        pairing_id="00000000000000a1", primary_id=green, backup_id=green, started_at=MADE_AT, before={green: ()}
    )
    unfinished.write(offline.desk.home / "state", begun)
    error = failing(offline.export)
    assert (error.code, error.hint) == ("usage", CLEAN_UP)
    assert offline.own() == ()


def test_a_key_that_makes_no_seeds_exports_none(desk, person):
    desk.know("green", pin=True)
    error = failing(pair_exporting.export, desk.circumstances(person(pins=[PIN])), "green", None)
    assert isinstance(error, UnsupportedError)


def test_an_import_without_a_touch_leaves_nothing(daily, file_with):
    daily.desk.set("blue", "touch=refused")
    assert isinstance(failing(daily.take, file_with(made_up())), TouchError)
    daily.desk.set("blue", "touch=now")
    assert (daily.own(), daily.pairings) == ((), ())
    assert unfinished.read_all(daily.desk.home / "state") == ()
    assert daily.desk.inventory.key_named("green") is None


def test_an_import_that_cannot_be_written_down_leaves_nothing_on_the_key(daily, file_with):
    folder = daily.desk.home / "services"

    def act(text):
        if "PIN" in text or "touch" in text:
            folder.mkdir(exist_ok=True)
            (folder / "0000000000000001.json").write_text("{")

    content = file_with(made_up())
    somebody = daily.make_person(pins=[PIN], acts=act)
    daily.desk.set("blue", "touch=after:0.05")
    with pytest.raises(StoreError):
        pair_importing.import_content(daily.desk.circumstances(somebody), content.encode(), "seed.json", "blue")
    (folder / "0000000000000001.json").unlink()
    assert (daily.own(), daily.pairings) == ((), ())


def test_an_import_that_is_interrupted_after_it_was_recorded_leaves_all_of_it(daily, file_with):
    content = file_with(made_up())
    with interrupted_when(daily.desk.home / "pairings"):
        daily.take(content)
    [pairing] = daily.pairings
    assert daily.own() == tuple(one.credential_id for one in pairing.stored_on)
    assert unfinished.read_all(daily.desk.home / "state") == ()
    assert not daily.take(content).changed


def test_of_two_imports_at_the_same_time_the_slower_one_leaves_nothing(daily, file_with):
    content = file_with(made_up())

    def act(text):
        if "touch" in text and not daily.pairings:
            daily.take(content, store_on_key=False)

    daily.desk.set("blue", "touch=after:0.05")
    slower = daily.desk.circumstances(daily.make_person(pins=[PIN], acts=act))
    error = failing(pair_importing.import_content, slower, content.encode(), "seed.json", "blue")
    assert (type(error), error.code) == (NotFoundError, "pairing_exists")
    assert daily.own() == ()
    [pairing] = daily.pairings
    assert pairing.stored_on == ()
    assert unfinished.read_all(slower.state) == ()


def test_the_copy_on_the_primary_key_is_that_of_the_pairing(offline, daily):
    imported = daily.take(offline.export().content)
    [pairing] = daily.pairings
    circumstances = daily.desk.circumstances(daily.make_person(), "blue")
    with opening.opened(circumstances) as session:
        assert key_copies.matches(session, circumstances, pairing)
    assert local_state.read_seed_pin(circumstances.state, imported.pairing.id) == pairing.seed_hash
    assert len(pairing.seed.derivation_secret) == contexts.DRV_BYTES
