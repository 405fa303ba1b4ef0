"""Keys and services to write and read: plain ones, and any that there can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from operator import attrgetter

from hypothesis import strategies as st

from keyctl.core import names
from keyctl.core.inventory import (
    Declaration,
    KnownKey,
    Origin,
    RecognitionCredential,
    Recovery,
    Registration,
    SeenPasskey,
    Service,
)
from keyctl.model import KeyState, Protection, Role

ADDED_AT = "2026-01-31T08:00:00Z"
BLUE = KnownKey(
    id="00000000000000b1",
    name="blue",
    virtual=False,
    aaguid=None,
    model=None,
    serial=None,
    firmware=None,
    added_at=ADDED_AT,
    recognition=RecognitionCredential(
        credential_id=b"c" * 32, public_key=b"p" * 77, user_id=b"u" * 32, u2f=False, enrolled_at=ADDED_AT
    ),
)
SHOP = Service(id="00000000000000f1", name="Shop", rp_id="shop.example", account="kim", added_at=ADDED_AT)


def passkey(number: int) -> SeenPasskey:
    rp_id = f"site{number}.example"
    return SeenPasskey(
        credential_id=number.to_bytes(32, "big"),
        rp_id=rp_id,
        rp_id_hash=sha256(rp_id.encode()).digest(),
        user_id=b"kim",
        user_name="kim",
        display_name=None,
        protection=None,
        seen_at=ADDED_AT,
    )


def holding(key: KnownKey, count: int) -> KnownKey:
    """*key* with so many passkeys."""
    return replace(key, passkeys=tuple(passkey(number) for number in range(1, count + 1)), passkeys_read_at=ADDED_AT)


ids = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")
times = st.datetimes(min_value=datetime(1990, 1, 1)).map(  # noqa: DTZ001  # UTC by its letter
    lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")
)
#: Whatever a key or a person says, lone surrogates too.
texts = st.text(max_size=20) | st.just("\ud800") | st.just("\x1b[2J[bold]\u202e")
key_names = st.text(min_size=1, max_size=20).map(names.composed).filter(lambda text: names.fault(text) is None)
octets = st.binary(min_size=1, max_size=40)
aaguids = st.uuids().map(str)


def optional(strategy):
    return st.none() | strategy


passkeys = st.builds(
    SeenPasskey,
    credential_id=octets,
    rp_id=optional(texts),
    rp_id_hash=st.binary(min_size=32, max_size=32),
    user_id=optional(st.binary(max_size=64)),
    user_name=optional(texts),
    display_name=optional(texts),
    protection=optional(st.sampled_from(Protection)),
    seen_at=times,
    reset_at=optional(times),
)
registrations = st.builds(
    Registration,
    credential_id=octets,
    rp_id=texts,
    account=optional(texts),
    origin=st.sampled_from(Origin),
    public_key=optional(octets),
    label=optional(texts),
    seen_at=times,
    reset_at=optional(times),
)


def in_order(items):
    return tuple(sorted(items, key=attrgetter("credential_id")))


keys = st.builds(
    KnownKey,
    id=ids,
    name=key_names,
    role=optional(st.sampled_from(Role)),
    owner=optional(texts),
    location=optional(texts),
    note=optional(texts),
    state=st.sampled_from([KeyState.ACTIVE, KeyState.LOST, KeyState.RESET]),
    virtual=st.booleans(),
    aaguid=optional(aaguids),
    model=optional(texts),
    serial=optional(texts),
    firmware=optional(texts),
    added_at=times,
    recognition=st.builds(
        RecognitionCredential,
        credential_id=octets,
        public_key=octets,
        user_id=octets,
        u2f=st.booleans(),
        enrolled_at=times,
    ),
    passkeys=st.lists(passkeys, max_size=4).map(in_order),
    passkeys_read_at=optional(times),
    passkeys_remaining=optional(st.integers(0, 1000)),
    registrations=st.lists(registrations, max_size=4).map(in_order),
    changed=st.dictionaries(st.sampled_from(["name", "role", "owner", "location", "note", "state"]), times),
)
declarations = st.dictionaries(ids, times, max_size=4).map(
    lambda dates: tuple(Declaration(key_id=key_id, declared_at=date) for key_id, date in sorted(dates.items()))
)
service_texts = texts.filter(str.strip)
services = st.builds(
    Service,
    id=ids,
    name=service_texts,
    rp_id=service_texts,
    account=optional(texts),
    on=declarations,
    recovery=st.sets(st.sampled_from(Recovery)).map(lambda some: tuple(one for one in Recovery if one in some)),
    added_at=times,
    changed=st.dictionaries(
        st.sampled_from(["name", "rp_id", "account", "recovery"]) | ids.map(lambda key_id: f"on:{key_id}"), times
    ),
)
