"""Attestation that verifies, and everything that must not."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.core import attestation
from keyctl.core.attestation import AttestationError, SelfAttestationError

from .binding_parts import AAGUID, certificate, packed, private_key, signed

MESSAGE = b"authenticator data and a hash"
STATEMENT = packed("leaf", MESSAGE)
ROOT = certificate("root", "root", authority=True)
MIDDLE = certificate("middle", "root", authority=True)
UNDER_MIDDLE = certificate("leaf", "middle")


def test_a_signature_by_a_certificate_verifies() -> None:
    verified = attestation.verify("packed", STATEMENT, MESSAGE, AAGUID)
    assert (verified.format, verified.chain, verified.names_model) == ("packed", (certificate("leaf"),), True)


def test_a_certificate_need_not_name_a_model() -> None:
    statement = {**STATEMENT, "x5c": [certificate("leaf", aaguid=None)]}
    assert not attestation.verify("packed", statement, MESSAGE, AAGUID).names_model


@pytest.mark.parametrize("statement", [None, {}])
def test_none_says_nothing(statement: object) -> None:
    assert attestation.verify("none", statement, MESSAGE, AAGUID) == attestation.Attestation(format="none")


def test_a_credential_cannot_vouch_for_itself() -> None:
    statement = {"alg": -7, "sig": signed(private_key("leaf"), MESSAGE)}
    with pytest.raises(SelfAttestationError):
        attestation.verify("packed", statement, MESSAGE, AAGUID)


@pytest.mark.parametrize(
    ("fmt", "statement", "why"),
    [
        ("none", STATEMENT, "says something"),
        ("fido-u2f", STATEMENT, "not known"),
        (None, STATEMENT, "not known"),
        ({}, STATEMENT, "not known"),
        ("packed", None, "no statement"),
        ("packed", [STATEMENT], "no statement"),
        ("packed", {**STATEMENT, "x5c": []}, "no certificate"),
        ("packed", {**STATEMENT, "x5c": None}, "no certificate"),
        ("packed", {**STATEMENT, "x5c": [certificate("leaf")] * 5}, "too many"),
        ("packed", {**STATEMENT, "x5c": ["leaf"]}, "makes no sense"),
        ("packed", {**STATEMENT, "x5c": [bytes(5000)]}, "makes no sense"),
        ("packed", {**STATEMENT, "x5c": [b"\x30\0"]}, "makes no sense"),
        ("packed", {**STATEMENT, "x5c": [certificate("leaf") + b"\0"]}, "makes no sense"),
        ("packed", {**STATEMENT, "x5c": [certificate("leaf", authority=True)]}, "not one for attestation"),
        ("packed", {**STATEMENT, "x5c": [certificate("leaf", aaguid=bytes(16))]}, "another model"),
        ("packed", {**STATEMENT, "x5c": [certificate("leaf", curve=ec.SECP384R1())]}, "not supported"),
        ("packed", {**STATEMENT, "x5c": [certificate("other leaf")]}, "does not verify"),
        ("packed", {**STATEMENT, "alg": -257}, "not supported"),
        ("packed", {**STATEMENT, "alg": None}, "not supported"),
        ("packed", {**STATEMENT, "sig": None}, "does not verify"),
        ("packed", {**STATEMENT, "sig": b""}, "does not verify"),
        ("packed", packed("leaf", b"another message"), "does not verify"),
    ],
)
def test_what_does_not_verify_is_refused_with_the_reason(fmt: object, statement: Any, why: str) -> None:
    with pytest.raises(AttestationError, match=why):
        attestation.verify(fmt, statement, MESSAGE, AAGUID)


@pytest.mark.parametrize(
    ("chain", "roots"),
    [
        ((certificate("leaf"),), [ROOT]),
        ((certificate("leaf"), ROOT), [ROOT]),
        ((UNDER_MIDDLE, MIDDLE), [certificate("other", "other", authority=True), ROOT]),
        ((UNDER_MIDDLE, MIDDLE), [MIDDLE]),
    ],
)
def test_a_chain_that_ends_at_a_root_is_trusted(chain: tuple[bytes, ...], roots: list[bytes]) -> None:
    assert attestation.is_trusted(chain, roots)


@pytest.mark.parametrize(
    ("chain", "roots"),
    [
        ((), [ROOT]),
        ((certificate("leaf"),), []),
        ((certificate("leaf"),), [certificate("leaf")]),
        ((certificate("leaf"),), [certificate("other", "other", authority=True)]),
        ((certificate("leaf"),), [b"nonsense"]),
        ((certificate("leaf"), ROOT), []),
        ((UNDER_MIDDLE,), [ROOT]),
        ((certificate("leaf", "other leaf"), certificate("other leaf")), [ROOT]),
        ((UNDER_MIDDLE, ROOT), [ROOT]),
        ((UNDER_MIDDLE, certificate("other", "root", authority=True)), [ROOT]),
        ((UNDER_MIDDLE, b"nonsense"), [ROOT]),
        ((UNDER_MIDDLE, MIDDLE, ROOT, ROOT, ROOT), [ROOT]),
    ],
)
def test_any_other_chain_is_not(chain: tuple[bytes, ...], roots: list[bytes]) -> None:
    assert not attestation.is_trusted(chain, roots)


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_certificate_is_refused_and_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(certificate("leaf"))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(damaged)
    if attestation.is_trusted((content,), [ROOT]):
        # What is not signed may differ: how many bits of the signature's last byte are said to be unused, for one.
        kept, sound = (x509.load_der_x509_certificate(each) for each in (content, certificate("leaf")))
        assert (kept.tbs_certificate_bytes, kept.signature) == (sound.tbs_certificate_bytes, sound.signature)
    with contextlib.suppress(AttestationError):
        attestation.verify("packed", {**STATEMENT, "x5c": [content]}, MESSAGE, AAGUID)
