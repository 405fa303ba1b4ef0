"""Pairings by the WebAuthn draft: the seed stays on the primary key as long as a pairing goes by it, and no longer."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core import times
from keyctl.core.pairings import Method, Pairing
from keyctl.operations import (
    forgetting,
    opening,
    pair_creating,
    pair_draft,
    pair_leftovers,
    pair_removing,
    pair_unfinished,
    pair_verifying,
)
from keyctl.store import inventory, unfinished
from keyctl.virtual import keys
from tests.failing import failing
from tests.interruption import interrupted_when
from tests.operations.pairs import PIN, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.device.session import Session


@pytest.fixture
def pairs(desk, person) -> Pairs:
    return Pairs(desk, person, primary="draft", backup="draft")


@contextlib.contextmanager
def opened(pairs: Pairs) -> Iterator[Session]:
    with opening.opened(pairs.circumstances(pairs.person(), "virtual:blue")) as session:
        session.use_pin(PIN)
        yield session


def given(pairs: Pairs) -> list[Any]:
    """The seeds that the primary key holds."""
    found: list[Any] = pairs.kept("blue")["backup_seeds"]["given"]
    return found


def create(pairs: Pairs, trace: Any = None) -> Pairing:
    before = {one.id for one in pairs.desk.inventory.pairings}
    circumstances = pairs.circumstances(pairs.person())
    circumstances = replace(circumstances, trace=trace or circumstances.trace)
    pair_creating.create(circumstances, "blue", "green", method=Method.WEBAUTHN_DRAFT, store_on_key=True)
    [made] = [one for one in pairs.desk.inventory.pairings if one.id not in before]
    return made


def remove(pairs: Pairs, text: str | None = None, person: Any = None) -> pair_removing.Removal:
    return pair_removing.remove(pairs.circumstances(person or pairs.person()), text, dry_run=False)


def unrecorded(pairs: Pairs) -> Pairing:
    """A pairing that is not in the inventory, and whose seed is not on the primary key."""
    pairing = create(pairs)
    (pairs.desk.home / "pairings" / f"{pairing.id}.json").unlink()
    assert pairing.recovery_seed is not None
    with opened(pairs) as session:
        assert pair_draft.remove_seed(session, pairing.recovery_seed)
    return pairing


def note(pairs: Pairs, pairing: Pairing, **changes: Any) -> unfinished.Unfinished:
    """The note of a pairing that was cut off after the primary key got its seed."""
    assert pairing.recovery_seed is not None
    with opened(pairs) as session:
        pair_draft.import_seed(session, pairing.recovery_seed)
    written = unfinished.Unfinished(
        pairing_id=pairing.id,
        primary_id=pairing.primary_id,
        backup_id=pairing.backup_id,
        started_at=pairing.created_at,
        before={pairing.primary_id: ()},
        recovery_seed=pairing.recovery_seed,
    )
    written = replace(written, **changes)
    unfinished.write(pairs.desk.home / "state", written)
    return written


def clean_up(pairs: Pairs, person: Any = None) -> Any:
    return pair_leftovers.clean_up(pairs.circumstances(person or pairs.person()), dry_run=False)


# Of two at the same time.


def test_the_slower_of_two_leaves_the_seed_to_the_pairing_of_the_faster(pairs):
    faster = unrecorded(pairs)

    def trace(_line: str) -> None:
        if given(pairs) and not pairs.desk.inventory.pairings:
            pairs.desk.put(faster)

    assert failing(create, pairs, trace).code == "pairing_exists"
    assert pairs.desk.inventory.pairings == (faster,)
    assert len(given(pairs)) == 1
    assert not pairs.unfinished()


def test_a_seed_that_the_primary_held_before_stays_there(pairs):
    """As that of a pairing in an inventory that is not synced yet."""
    pairing = unrecorded(pairs)
    with opened(pairs) as session:
        pair_draft.import_seed(session, pairing.recovery_seed)
    services = pairs.desk.home / "services"

    def trace(line: str) -> None:
        if not line.startswith("getInfo") and not services.exists():
            services.mkdir()
            (services / "0000000000000001.json").write_text("{")

    assert failing(create, pairs, trace).code == "store_unreadable"
    assert len(given(pairs)) == 1


def test_a_pairing_that_is_over_leaves_its_seed_to_the_one_in_its_place(pairs):
    over = replace(create(pairs), retired_at=times.now())
    pairs.desk.put(over)
    new = create(pairs)
    person = pairs.person()
    assert remove(pairs, over.id, person).removed_from == ()
    assert len(given(pairs)) == 1
    assert f"the recovery seed on blue stays there: the pairing blue/green ({new.id}) uses it too" in person.told
    assert any("the seed of green stays on blue" in question for question in person.asked)
    assert remove(pairs).removed_from == ("blue",)
    assert given(pairs) == []


# Interrupted.


def test_an_interruption_leaves_nothing_on_the_primary(pairs):
    def interrupt(_line: str) -> None:
        if given(pairs) and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    interrupted: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        create(pairs, interrupt)
    assert given(pairs) == []
    assert not pairs.unfinished()
    assert pairs.desk.inventory.pairings == ()


def test_an_interruption_after_the_pairing_was_recorded_leaves_the_seed(pairs):
    with interrupted_when(pairs.desk.home / "pairings"):
        create(pairs)
    assert len(pairs.desk.inventory.pairings) == len(given(pairs)) == 1
    assert not pairs.unfinished()


def test_a_key_that_is_gone_keeps_a_seed_that_is_noted_and_cleaned_up(pairs):
    noted: list[unfinished.Unfinished] = []

    class PowerCut(BaseException):
        pass

    def cut(_line: str) -> None:
        noted.extend(pairs.unfinished())
        if given(pairs):
            keys.unplug(pairs.desk.folder, "blue")
            raise PowerCut

    with pytest.raises(PowerCut):
        create(pairs, cut)
    assert noted
    assert pairs.unfinished() == (noted[-1],)
    assert pair_unfinished.told(pairs.circumstances(pairs.person()))
    keys.plug(pairs.desk.folder, "blue")
    person = pairs.person()
    assert clean_up(pairs, person).removed_from == ("blue",)
    assert any("blue still has the seed of its backup key" in question for question in person.asked)
    assert given(pairs) == []
    assert not pairs.unfinished()


def test_what_is_left_stays_where_a_pairing_goes_by_it(pairs):
    pairing = create(pairs)
    note(pairs, pairing, pairing_id="00112233445566aa")
    person = pairs.person()
    clean_up(pairs, person)
    assert len(given(pairs)) == 1
    assert not any("still has" in question for question in person.asked)
    assert not pairs.unfinished()


def test_a_note_of_an_older_version_can_be_read(pairs):
    written = note(pairs, create(pairs))
    path = pairs.desk.home / "state" / "unfinished" / f"{written.pairing_id}.json"
    content = json.loads(path.read_text("utf-8"))
    del content["recovery_seed"]
    path.write_text(json.dumps(content), "utf-8")
    assert pairs.unfinished() == (replace(written, recovery_seed=None),)


# What is told.


def test_what_remains_on_an_absent_primary_is_told(pairs):
    create(pairs)
    keys.unplug(pairs.desk.folder, "blue")
    done = remove(pairs)
    assert done.removed_from == ()
    assert [(one.key, one.credential_id, one.what) for one in done.remains] == [("blue", None, "recovery_seed")]


def test_forgetting_a_key_tells_of_the_seed_that_stays(pairs):
    create(pairs)
    person = pairs.person()
    done = forgetting.forget(pairs.circumstances(person), "blue", dry_run=False)
    assert [(one.key, one.what) for one in done.remains] == [("blue", "recovery_seed")]
    assert "  on blue: the seed of its backup key\n" in person.asked[0]


def test_a_drill_says_that_the_primary_was_not_looked_at(pairs):
    create(pairs)
    person = pairs.person()
    assert pair_verifying.verify(pairs.circumstances(person), None).verified
    assert "whether blue still has the seed of green was not looked at" in person.told


def test_another_backup_keys_seed_is_none_of_this_pairing(pairs):
    first = create(pairs)
    assert first.recovery_seed is not None
    elsewhere = replace(first, id=inventory.new_id(), primary_id="0123456789abcdef")
    pairs.desk.put(elsewhere)
    assert pair_draft.users(pairs.desk.inventory, first.primary_id, first.recovery_seed) == (first,)
    assert pair_draft.users(pairs.desk.inventory, first.primary_id, b"no seed") == ()
