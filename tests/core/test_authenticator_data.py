"""Authenticator data are read whole, or refused."""

from __future__ import annotations

import contextlib
from hashlib import sha256

import pytest
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import authenticator_data
from keyctl.core.authenticator_data import Flag

from .binding_parts import AAGUID, ASSERTED_FLAGS, MADE_FLAGS
from .binding_parts import authenticator_data as written

COSE = {1: -65537, 3: -65700}
WHOLE = written(flags=MADE_FLAGS, counter=258, attested=(AAGUID, b"id", COSE), extensions={"credProtect": 3})
PLAIN = written(flags=0b101, counter=1)


def test_all_parts_are_read() -> None:
    data = authenticator_data.read(WHOLE)
    assert data.rp_id_hash == sha256(b"keyctl.invalid").digest()
    assert (data.flags, data.counter, data.extensions) == (MADE_FLAGS, 258, {"credProtect": 3})
    assert data.attested == authenticator_data.Attested(aaguid=AAGUID, credential_id=b"id", public_key=COSE)


def test_parts_may_be_missing() -> None:
    data = authenticator_data.read(PLAIN)
    assert (data.attested, data.extensions) == (None, {})
    assert data.has(Flag.UP | Flag.UV)
    assert not data.has(Flag.UP | Flag.AT)


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_cut_data_are_refused(at: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        authenticator_data.read(WHOLE[:at])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (WHOLE + b"\0", "not whole"),
        (PLAIN + b"\xa0", "not announced"),
        (written(flags=ASSERTED_FLAGS), "not there"),
        (written(flags=MADE_FLAGS & 0x7F, attested=(AAGUID, b"", COSE)), "no credential id"),
        (written(flags=MADE_FLAGS & 0x7F, attested=(AAGUID, bytes(1024), COSE)), "no credential id"),
        (PLAIN[:32] + b"\x41" + bytes(4) + AAGUID + b"\0\x01x" + cbor.encode([1]), "no public key"),
    ],
)
def test_what_makes_no_sense_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        authenticator_data.read(content)


@given(content=st.binary(max_size=120), flags=st.integers(0, 255))
def test_any_bytes_are_read_or_refused(content: bytes, flags: int) -> None:
    with contextlib.suppress(ValueError):
        authenticator_data.read(bytes(32) + bytes([flags]) + content)
