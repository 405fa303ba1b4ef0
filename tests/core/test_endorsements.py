"""A primary key's word for derived keys: for exactly these, all at once, by its touch, and checked from the record."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import endorsements, public_keys
from keyctl.core.pairings import DerivedKey, Endorsement

from .binding_parts import ASSERTED_FLAGS, authenticator_data, point_of, private_key, signed

NOW = "2026-01-31T08:00:00Z"
PRIMARY = private_key("primary")
PUBLIC_KEY = public_keys.es256(point_of(PRIMARY))
TOUCHED = 0b1
#: Also: with the PIN, and by a key that adds extensions.
FLAGS = [TOUCHED, 0b101, ASSERTED_FLAGS]


def key(target: str) -> DerivedKey:
    octets = sha256(target.encode()).digest() * 3
    return DerivedKey(target=target, public_key=octets[:65], key_handle=octets[:81], created_at=NOW)


def assertion(*keys: DerivedKey, flags: int = TOUCHED, rp_id: str = "keyctl.invalid") -> Endorsement:
    digest = endorsements.client_data_hash(keys)
    data = authenticator_data(rp_id=rp_id, flags=flags, counter=9, extensions={} if flags & 0x80 else None)
    return Endorsement(
        credential_id=b"id", auth_data=data, client_data_hash=digest, signature=signed(PRIMARY, data + digest)
    )


def batch(*targets: str, **facts: int | str) -> tuple[DerivedKey, ...]:
    keys = tuple(map(key, targets))
    endorsement = assertion(*keys, **facts)  # type: ignore[arg-type]  # by name
    return tuple(replace(one, endorsement=endorsement) for one in keys)


def test_what_is_signed_is_as_documented():
    def prefixed(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    first, second = key("rp:a.example"), key("ssh:b.example")
    hashes = [sha256(prefixed(one.target.encode(), one.public_key, one.key_handle)).digest() for one in (first, second)]
    expected = sha256(b"keyctl-endorsement-v1\0" + b"".join(hashes)).digest()
    assert endorsements.client_data_hash([first, second]) == endorsements.client_data_hash([second, first]) == expected


@pytest.mark.parametrize("flags", FLAGS)
def test_one_touch_endorses_one_key_or_many(flags):
    one, many = batch("ssh:a.example", flags=flags), batch("sign:x", "rp:b.example", "rp:c.example", flags=flags)
    everything = (*many[:2], *one, key("sign:from the record"), many[2])
    assert endorsements.endorsed(everything, PUBLIC_KEY) == {each.target for each in (*one, *many)}


@given(st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True), st.data())
def test_a_batch_holds_for_nothing_but_itself(labels, data):
    keys = batch(*(f"sign:{label}" for label in labels))
    assert len(endorsements.endorsed(keys, PUBLIC_KEY)) == len(keys)
    at = data.draw(st.integers(0, len(keys) - 1))
    missing = keys[:at] + keys[at + 1 :]
    stowaway = replace(key("ssh:stowaway.example"), endorsement=keys[0].endorsement)
    changed = [
        replace(keys[at], target=f"{keys[at].target}!"),
        replace(keys[at], public_key=bytes(65)),
        replace(keys[at], key_handle=bytes(81)),
    ]
    for others in (missing, (*keys, stowaway), *((*missing, one) for one in changed)):
        assert endorsements.endorsed(others, PUBLIC_KEY) == frozenset()


@pytest.mark.parametrize("facts", [{"flags": 0b0}, {"flags": 0b100}, {"rp_id": "a.example"}])
def test_a_signature_without_a_touch_or_for_a_site_endorses_nothing(facts):
    assert endorsements.endorsed(batch("sign:x", **facts), PUBLIC_KEY) == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"auth_data": b"\0"},
        {"auth_data": bytes(400)},
        {"signature": b"\0"},
        {"signature": bytes(400)},
        {"client_data_hash": bytes(32)},
    ],
)
def test_what_makes_no_sense_endorses_nothing(changes):
    [one] = batch("sign:x")
    assert one.endorsement is not None
    damaged = replace(one, endorsement=replace(one.endorsement, **changes))
    assert endorsements.endorsed([damaged], PUBLIC_KEY) == frozenset()


def test_another_key_endorses_nothing():
    keys = batch("sign:x")
    other = public_keys.es256(point_of(private_key("other")))
    assert endorsements.endorsed(keys, other) == frozenset()
    assert endorsements.endorsed(keys, b"no key") == frozenset()


def test_a_target_that_is_no_text_breaks_nothing():
    [one] = batch("sign:x")
    assert endorsements.endorsed([replace(one, target="sign:\ud800")], PUBLIC_KEY) == frozenset()
