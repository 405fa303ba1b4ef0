"""Keys, services and pairings to write and read: plain ones, and any that there can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from operator import attrgetter

from hypothesis import strategies as st

from keyctl.core import names
from keyctl.core.binding import Evidence
from keyctl.core.inventory import (
    FOUND,
    Declaration,
    KnownKey,
    Origin,
    RecognitionCredential,
    Recovery,
    Registration,
    SeenPasskey,
    Service,
)
from keyctl.core.pairings import DerivedKey, Endorsement, Method, Pairing, Seed, StoredRecord
from keyctl.core.seed_numbers import CURRENT, Numbers
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
#: Of the key blue and one that is not there.
PAIR = Pairing(
    id="00000000000000a1",
    primary_id=BLUE.id,
    backup_id="00000000000000b2",
    method=Method.ARKG,
    seed=Seed(
        public_seed=b"s" * 170,
        numbers=CURRENT,
        derivation_secret=b"d" * 32,
        key_handle=b"h" * 64,
        credential_id=b"c" * 64,
        user_id=b"u" * 32,
        attestation="none",
        evidence=Evidence(made=b"m" * 500, asserted=b"a" * 200, nonce=b"n" * 32),
    ),
    created_at=ADDED_AT,
    paired_by="00000000000000e1",
)


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


def derived(number: int) -> DerivedKey:
    return DerivedKey(
        target=f"ssh:host{number:03}.example",
        public_key=number.to_bytes(65, "big"),
        key_handle=number.to_bytes(81, "big"),
        created_at=ADDED_AT,
    )


def deriving(pairing: Pairing, count: int) -> Pairing:
    """*pairing* with so many derived keys."""
    return replace(pairing, derived=tuple(derived(number) for number in range(1, count + 1)))


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
    changed=st.dictionaries(st.sampled_from(["name", "role", "owner", "location", "note", "state", FOUND]), times),
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


def exactly(length):
    """So many bytes that are all the same: drawing each would take long."""
    return st.integers(0, 255).map(lambda octet: bytes([octet]) * length)


few_octets = st.binary(min_size=1, max_size=4)


numbers = st.builds(
    Numbers,
    draft=service_texts,
    extension=service_texts,
    key_type=st.integers(-(2**40), 2**40),
    algorithm=st.integers(-(2**40), 2**40),
    signing_algorithm=st.integers(-(2**40), 2**40),
    derived_algorithm=st.integers(-(2**40), 2**40),
)


def seeds(handles):
    return st.builds(
        Seed,
        public_seed=few_octets,
        numbers=numbers,
        derivation_secret=exactly(32),
        key_handle=handles,
        credential_id=few_octets,
        user_id=exactly(32),
        attestation=st.sampled_from(["none", "packed", "fido-u2f"]),
        evidence=optional(st.builds(Evidence, made=few_octets, asserted=few_octets, nonce=exactly(32))),
    )


stored_records = st.builds(StoredRecord, key_id=ids, credential_id=few_octets, user_id=few_octets, at=times)
derived_keys = st.builds(
    DerivedKey,
    target=st.builds("{}:{}".format, st.sampled_from(["rp", "ssh", "sign"]), texts.filter(bool)),
    public_key=exactly(65),
    key_handle=exactly(81),
    created_at=times,
    endorsement=optional(
        st.builds(
            Endorsement,
            credential_id=few_octets,
            auth_data=few_octets,
            client_data_hash=exactly(32),
            signature=few_octets,
        )
    ),
    handed_over_at=optional(times),
    replaced_at=optional(times),
)


def each_once(strategy, name):
    own = attrgetter(name)
    return st.lists(strategy, max_size=2, unique_by=own).map(lambda some: tuple(sorted(some, key=own)))


@st.composite
def pairings(draw):
    method = draw(st.sampled_from(Method))
    primary_id, backup_id = draw(st.lists(ids, min_size=2, max_size=2, unique=True))
    seed = {Method.ARKG: seeds(few_octets), Method.SOFTWARE: seeds(st.none())}.get(method, st.none())
    verified = draw(st.just((None, None)) | st.tuples(times, ids))
    return Pairing(
        id=draw(ids),
        primary_id=primary_id,
        backup_id=backup_id,
        method=method,
        seed=draw(seed),
        recovery_seed=draw(few_octets) if method is Method.WEBAUTHN_DRAFT else None,
        stored_on=draw(each_once(stored_records, "key_id")),
        created_at=draw(times),
        paired_by=draw(ids),
        verified_at=verified[0],
        verified_by=verified[1],
        broken_at=draw(optional(times)),
        retired_at=draw(optional(times)),
        derived=draw(each_once(derived_keys, "target")) if method in {Method.ARKG, Method.SOFTWARE} else (),
        changed=draw(
            st.dictionaries(
                st.sampled_from(["retired_at", "verified_at"]) | ids.map(lambda key_id: f"stored_on:{key_id}"), times
            )
        ),
    )
