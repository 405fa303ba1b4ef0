"""Seed public keys in both forms of the draft extension "recovery", and what vouches for them."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import p256
from keyctl.core.attestation import AAGUID_OID, AttestationError
from keyctl.core.recovery_seeds import (
    RecoverySeed,
    SeedForm,
    UnknownSchemeError,
    is_attested,
    seed_from_cbor,
    seed_from_map,
    signed_bytes,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "recovery" / "seeds.json").read_text())
AAGUID = bytes.fromhex(VECTORS["aaguid"])
POINT = bytes.fromhex(VECTORS["point"])
README = {1: 0, 2: AAGUID, 3: [b"<DER>"], 4: b"<sig>", 0xFF: POINT}
PROTOTYPE = {1: 0, 2: [], 3: AAGUID, 4: b"<sig>", -1: POINT}


@pytest.mark.parametrize("form", SeedForm)
def test_a_seed_of_either_form_is_read(form):
    vector = VECTORS["forms"][form]
    assert seed_from_cbor(bytes.fromhex(vector["cbor"])) == RecoverySeed(
        aaguid=AAGUID,
        point=POINT,
        x5c=tuple(bytes.fromhex(certificate) for certificate in vector["x5c"]),
        signature=bytes.fromhex(vector["signature"]),
        form=form,
    )


def test_the_form_of_the_readme_is_written():
    vector = VECTORS["forms"]["readme"]
    seed = seed_from_cbor(bytes.fromhex(vector["cbor"]))
    assert seed.to_cbor().hex() == vector["cbor"]
    other = seed_from_map(PROTOTYPE)
    assert seed_from_cbor(other.to_cbor()).form is SeedForm.README
    assert other.to_map() == {1: 0, 2: AAGUID, 3: [], 4: b"<sig>", 0xFF: POINT}


def test_82_bytes_are_signed():
    assert signed_bytes(AAGUID, POINT).hex() == VECTORS["signed_bytes"]
    assert len(signed_bytes(AAGUID, POINT)) == 82


def without(parameters, label):
    return {key: value for key, value in parameters.items() if key != label}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        *(without(README, label) for label in README),
        *(without(PROTOTYPE, label) for label in PROTOTYPE),
        README | {-1: POINT},
        # The labels of one form with the other's point.
        without(README, 0xFF) | {-1: POINT},
        without(PROTOTYPE, -1) | {0xFF: POINT},
        README | {1: "0"},
        README | {1: False},
        README | {2: AAGUID[:-1]},
        README | {3: b"<DER>"},
        README | {3: ["<DER>"]},
        README | {4: "<sig>"},
        README | {0xFF: POINT[:-1]},
        README | {0xFF: POINT[:-1] + bytes([POINT[-1] ^ 1])},
        README | {0xFF: b"\0"},
        README | {0xFF: b"\x02" + POINT[1:33]},
        README | {0xFF: POINT.hex()},
    ],
)
def test_what_makes_no_sense_is_refused(parameters):
    with pytest.raises(ValueError, match="seed") as caught:
        seed_from_cbor(cbor.encode(parameters))
    assert not isinstance(caught.value, UnknownSchemeError)


def test_an_unknown_scheme_is_told_from_nonsense():
    with pytest.raises(UnknownSchemeError, match="scheme 1"):
        seed_from_map({1: 1})
    with pytest.raises(UnknownSchemeError):
        seed_from_map(README | {1: 7})


@given(st.binary(max_size=60))
def test_nonsense_is_a_value_error(content):
    with pytest.raises(ValueError, match=r"."):
        seed_from_cbor(content)


@given(st.integers(0, len(cbor.encode(README)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_a_seed_or_a_value_error(at, flip):
    content = bytearray(cbor.encode(README))
    content[at] ^= flip
    try:
        seed = seed_from_cbor(bytes(content))
    except ValueError:
        return
    assert p256.on_curve(seed.point)
    try:
        assert not is_attested(seed, [])
    except AttestationError:
        assert seed.x5c


class Issuer:
    """Somebody who makes certificates."""

    def __init__(self, name: str, *, by: Issuer | None = None, ca: bool | None = True, extension=None, key=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = by or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(dt.datetime(2001, 1, 1, tzinfo=dt.UTC))
            .not_valid_after(dt.datetime(2002, 1, 1, tzinfo=dt.UTC))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if extension is not None:
            value = x509.UnrecognizedExtension(x509.ObjectIdentifier(AAGUID_OID), extension)
            builder = builder.add_extension(value, critical=False)
        hashing = None if isinstance(issuer.key, ed25519.Ed25519PrivateKey) else SHA256()
        self.der = builder.sign(issuer.key, hashing).public_bytes(Encoding.DER)

    def leaf(self, *, extension: bytes | None = b"\x04\x10" + AAGUID, **more) -> Issuer:
        return Issuer("leaf", by=self, ca=False, extension=extension, **more)

    def signed(self, *chain: Issuer, aaguid: bytes = AAGUID, point: bytes = POINT) -> RecoverySeed:
        signature = self.key.sign(signed_bytes(aaguid, point), ec.ECDSA(SHA256()))
        certificates = tuple(issuer.der for issuer in (self, *chain))
        return RecoverySeed(aaguid=aaguid, point=point, x5c=certificates, signature=signature)


ROOT = Issuer("root")
BETWEEN = Issuer("between", by=ROOT)
STRANGER = Issuer("root")


def test_a_certificate_of_a_trusted_maker_vouches():
    assert is_attested(ROOT.leaf().signed(), [STRANGER.der, ROOT.der])
    assert is_attested(BETWEEN.leaf().signed(BETWEEN), [ROOT.der])
    assert is_attested(BETWEEN.leaf().signed(BETWEEN, ROOT), [ROOT.der])


def test_nothing_and_nobody_known_leave_a_seed_unattested():
    assert not is_attested(seed_from_map(PROTOTYPE), [ROOT.der])
    assert not is_attested(ROOT.leaf().signed(), [])
    # It has the same name.
    assert not is_attested(ROOT.leaf().signed(), [STRANGER.der])
    assert not is_attested(STRANGER.leaf().signed(), [ROOT.der])
    assert not is_attested(STRANGER.leaf().signed(ROOT), [ROOT.der])
    assert not is_attested(BETWEEN.leaf().signed(), [ROOT.der])
    assert not is_attested(ROOT.leaf(extension=None).signed(), [ROOT.der])


def test_a_leaf_issues_no_certificates():
    model = ROOT.leaf()
    assert not is_attested(model.leaf().signed(model), [ROOT.der])
    plain = Issuer("plain", by=ROOT, ca=None)
    assert not is_attested(plain.leaf().signed(plain), [ROOT.der])


def test_a_seed_signed_by_another_key_is_untrue():
    good, other = ROOT.leaf().signed(), ROOT.leaf().signed()
    spliced = replace(good, signature=other.signature)
    with pytest.raises(AttestationError, match="signature does not verify"):
        is_attested(spliced, [ROOT.der])


def test_a_swapped_point_is_untrue():
    good = ROOT.leaf().signed()
    swapped = replace(good, point=p256.base_multiple(5))
    with pytest.raises(AttestationError, match="signature does not verify"):
        is_attested(swapped, [ROOT.der])


def test_a_certificate_of_another_model_is_untrue():
    with pytest.raises(AttestationError, match="another model"):
        is_attested(ROOT.leaf().signed(aaguid=bytes(16)), [ROOT.der])


@pytest.mark.parametrize(
    "extension",
    [b"", AAGUID, b"\x04\x11" + AAGUID + b"\0", b"\x04\x0f" + AAGUID[1:], b"\x30\x10" + AAGUID],
)
def test_a_certificate_with_a_bad_aaguid_is_untrue(extension):
    with pytest.raises(AttestationError, match="another model"):
        is_attested(ROOT.leaf(extension=extension).signed(), [ROOT.der])


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())])
def test_a_key_on_another_curve_signs_no_seeds(key):
    leaf = ROOT.leaf(key=key)
    message = signed_bytes(AAGUID, POINT)
    signature = (
        key.sign(message) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(message, ec.ECDSA(SHA256()))
    )
    seed = RecoverySeed(aaguid=AAGUID, point=POINT, x5c=(leaf.der,), signature=signature)
    with pytest.raises(AttestationError, match="not supported"):
        is_attested(seed, [ROOT.der])


def test_a_damaged_leaf_is_untrue_and_the_rest_of_a_damaged_chain_is_nobody_known():
    good = BETWEEN.leaf().signed(BETWEEN)
    leaf, between = good.x5c
    for x5c in ((b"<DER>",), (leaf[:-1], between)):
        with pytest.raises(AttestationError, match="no sense"):
            is_attested(replace(good, x5c=x5c), [ROOT.der])
    assert not is_attested(replace(good, x5c=(leaf, b"<DER>")), [ROOT.der])
    with pytest.raises(AttestationError, match="too many"):
        is_attested(replace(good, x5c=(leaf, between, between, between, ROOT.der)), [ROOT.der])


GOOD = ROOT.leaf().signed()


#: How many bits of the signature's last octet are unused: none, and what it says instead is ignored by some.
UNUSED_BITS_AT = len(GOOD.x5c[0]) - len(x509.load_der_x509_certificate(GOOD.x5c[0]).signature) - 1


@given(st.integers(0, len(GOOD.x5c[0]) - 1).filter(lambda at: at != UNUSED_BITS_AT), st.integers(1, 255))
def test_a_changed_certificate_never_vouches(at, flip):
    der = bytearray(GOOD.x5c[0])
    der[at] ^= flip
    seed = replace(GOOD, x5c=(bytes(der),))
    with contextlib.suppress(AttestationError):
        assert not is_attested(seed, [ROOT.der])
