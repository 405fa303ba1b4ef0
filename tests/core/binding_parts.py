"""A key with previewSign, version 4, in a few lines: it answers honestly, or as it is told to lie."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fido2 import cbor

from keyctl.core import arkg, public_keys, seed_cose
from keyctl.core.binding import Evidence, challenge, exercise, read_offer
from keyctl.core.p256 import base_multiple

AAGUID = bytes.fromhex("00112233445566778899aabbccddeeff")
NONCE = sha256(b"nonce").digest()
RP_ID = "keyctl.invalid"
#: UP, UV, AT, ED.
MADE_FLAGS = 0b1100_0101
#: UP, UV, ED.
ASSERTED_FLAGS = 0b1000_0101
AAGUID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")


def private_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(sha256(name.encode()).digest(), "big") >> 1, ec.SECP256R1())


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return base_multiple(key.private_numbers().private_value)


def cose_of(key: ec.EllipticCurvePrivateKey) -> dict[int, Any]:
    return dict(cbor.decode(public_keys.es256(point_of(key))))


def signed(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(SHA256()))


@functools.cache
def certificate(
    name: str, issuer: str = "root", *, authority: bool = False, aaguid: bytes | None = AAGUID, curve: Any = None
) -> bytes:
    """A certificate in DER; keys follow from names."""

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    public_key = (private_key(name) if curve is None else ec.generate_private_key(curve)).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2049, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if aaguid is not None and not authority:
        builder = builder.add_extension(x509.UnrecognizedExtension(AAGUID_OID, b"\x04\x10" + aaguid), critical=False)
    return builder.sign(private_key(issuer), SHA256()).public_bytes(Encoding.DER)


def packed(leaf: str, message: bytes, **changes: Any) -> dict[str, Any]:
    """A packed statement by the certificate of that name."""
    return {"alg": -7, "sig": signed(private_key(leaf), message), "x5c": [certificate(leaf)], **changes}


def authenticator_data(
    *,
    rp_id: str = RP_ID,
    flags: int,
    counter: int = 0,
    attested: tuple[bytes, bytes, dict[int, Any]] | None = None,
    extensions: dict[str, Any] | None = None,
) -> bytes:
    """*attested* is AAGUID, credential id and COSE_Key."""
    content = sha256(rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")
    if attested is not None:
        aaguid, credential_id, public_key = attested
        content += aaguid + len(credential_id).to_bytes(2, "big") + credential_id + cbor.encode(public_key)
    return content + (b"" if extensions is None else cbor.encode(extensions))


@dataclass(frozen=True, kw_only=True)
class Key:
    """Lies are fields that differ from their default."""

    name: str = "backup"
    attested: bool = True
    seed_attested_by: str | None = None
    rp_id: str = RP_ID
    flags: int = MADE_FLAGS
    algorithm: Any = -65539
    cose_credential: dict[int, Any] | None = None
    #: Of the seed's attestation object.
    nested_rp_id: str = RP_ID
    nested_flags: int = MADE_FLAGS
    nested_counter: int = 0
    nested_aaguid: bytes = AAGUID
    policy: Any = 0b101
    cose_seed: dict[int, Any] | None = None

    @property
    def private(self) -> arkg.PrivateSeed:
        return arkg.derive_seed(*(sha256(f"{self.name} {half}".encode()).digest() for half in ("bl", "kem")))

    @property
    def credential(self) -> ec.EllipticCurvePrivateKey:
        return private_key(f"credential of {self.name}")

    @property
    def credential_id(self) -> bytes:
        return sha256(f"id of {self.name}".encode()).digest()

    @property
    def signing_handle(self) -> bytes:
        return sha256(f"handle of {self.name}".encode()).digest() * 2

    def nested(self, client_data_hash: bytes) -> dict[int, Any]:
        """The seed's attestation object."""
        data = authenticator_data(
            rp_id=self.nested_rp_id,
            flags=self.nested_flags,
            counter=self.nested_counter,
            attested=(
                self.nested_aaguid,
                self.signing_handle,
                self.cose_seed or dict(cbor.decode(seed_cose.encode_seed(arkg.public_seed(self.private)))),
            ),
            extensions={"previewSign": {4: self.policy}},
        )
        if self.seed_attested_by is None:
            return {1: "none", 2: data, 3: {}}
        return {1: "packed", 2: data, 3: packed(self.seed_attested_by, data + client_data_hash)}

    def answer(self, nonce: bytes = NONCE) -> dict[int, Any]:
        """Of makeCredential, decoded."""
        client_data_hash = challenge(nonce)
        data = authenticator_data(
            rp_id=self.rp_id,
            flags=self.flags,
            counter=7,
            attested=(AAGUID, self.credential_id, self.cose_credential or cose_of(self.credential)),
            extensions={"previewSign": {3: self.algorithm}},
        )
        attestation: dict[int, Any] = {1: "none", 2: data, 3: {}}
        if self.attested:
            attestation = {1: "packed", 2: data, 3: packed("leaf", data + client_data_hash)}
        return {**attestation, 6: {"previewSign": {7: cbor.encode(self.nested(client_data_hash))}}}

    def made(self, nonce: bytes = NONCE) -> bytes:
        return cbor.encode(self.answer(nonce))

    def seed_signature(self, arguments: bytes, tbs: bytes) -> bytes:
        """What previewSign puts into an assertion."""
        wanted = seed_cose.read_sign_arguments(arguments)
        secret = arkg.derive_private_key(self.private, wanted.key_handle, wanted.ctx)
        return ec.derive_private_key(secret, ec.SECP256R1()).sign(tbs, ec.ECDSA(Prehashed(SHA256())))

    def assertion(self, client_data_hash: bytes, inner: Any, **changes: Any) -> dict[int, Any]:
        """Of getAssertion, decoded; the credential signs whatever is in it."""
        data = authenticator_data(
            **{"flags": ASSERTED_FLAGS, "counter": 8, "extensions": {"previewSign": {6: inner}}, **changes}
        )
        signature = signed(self.credential, data + client_data_hash)
        return {1: {"id": self.credential_id, "type": "public-key"}, 2: data, 3: signature}

    def evidence(self, nonce: bytes = NONCE, *, made: bytes | None = None) -> Evidence:
        """All of it; *made* is kept where it is given."""
        made = made or self.made(nonce)
        wanted = exercise(read_offer(made, nonce), made, nonce)
        inner = self.seed_signature(wanted.arguments, wanted.tbs)
        asserted = cbor.encode(self.assertion(wanted.client_data_hash, inner))
        return Evidence(made=made, asserted=asserted, nonce=nonce)
