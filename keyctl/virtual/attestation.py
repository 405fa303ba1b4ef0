"""Attestation under a test root of the home folder: packed (WebAuthn level 2, section 8.2), and that of U2F.

The root vouches for nothing but that a virtual key of this home folder made the credential. Like real keys of one
model, keys of one profile share a certificate. They are made when first needed and kept.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from keyctl.store.files import read_json, write_json
from keyctl.virtual.profiles import ES256
from keyctl.virtual.record import Record
from keyctl.virtual.signing import ec_private_key, new_private_key, sign

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from keyctl.virtual.context import Context

_SCHEMA = 1
#: Begins with a dot, as no virtual key does.
_FILE = ".test-root.json"
_MAX_CERTIFICATE_BYTES = 4096
ROOT_NAME = "keyctl virtual test root"
#: id-fido-gen-ce-aaguid: the AAGUID as an OCTET STRING.
AAGUID_OID = "1.3.6.1.4.1.45724.1.1.4"
_OCTET_STRING_16 = b"\x04\x10"
_COUNTRY = "ZZ"  # user-assigned in ISO 3166-1: no country
_NOT_BEFORE = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_NOT_AFTER = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)


def root_certificate(folder: Path) -> bytes:
    """The test root of the virtual keys in *folder*, DER; made when there is none, so the caller holds the folder.

    Raises:
        StoreError: Its file cannot be used or written.
    """
    return _load(folder / _FILE)["root"][1]


def statement(context: Context, aaguid: bytes, message: bytes, *, enterprise: bool = False) -> dict[str, Any]:
    """The attestation statement over *message*, which is the authenticator data and the client data's hash.

    Args:
        context: The key.
        aaguid: What the key says it is.
        message: What is attested.
        enterprise: Whether the certificate is this key's own, with its name in it, which outlives a reset.

    Raises:
        StoreError: The test root's file cannot be used or written.
    """
    pair, name = aaguid.hex(), f"keyctl virtual key {context.profile.name}"
    if enterprise:
        pair, name = f"enterprise {pair} {context.key_name}", f"{name} {context.key_name}"
    private_key, certificate = _leaf(context, pair, name, aaguid)
    return {"alg": ES256, "sig": sign(ES256, private_key, message), "x5c": [certificate]}


def u2f_signature(context: Context, message: bytes) -> tuple[bytes, bytes]:
    """The attestation over *message* in a U2F registration.

    Returns:
        The certificate, DER, and the signature.

    Raises:
        StoreError: The test root's file cannot be used or written.
    """
    profile = context.profile.name
    private_key, certificate = _leaf(context, f"u2f {profile}", f"keyctl virtual U2F key {profile}", None)
    return certificate, sign(ES256, private_key, message)


# The pairs below are private key (32 bytes) and certificate (DER); a pair is called "root", by an AAGUID in
# hexadecimal, or by what it is for.


def _leaf(context: Context, pair: str, name: str, aaguid: bytes | None) -> tuple[bytes, bytes]:
    """The pair of that name, made with *name* and *aaguid* in its certificate when there is none."""
    path = context.folder / _FILE
    with context.folder_locked():
        pairs = _load(path)
        if pair not in pairs:
            pairs[pair] = _new_leaf(pairs["root"], name, aaguid)
            _write(path, pairs)
    return pairs[pair]


def _load(path: Path) -> dict[str, tuple[bytes, bytes]]:
    try:
        record = Record(path, read_json(path))
    except FileNotFoundError:
        pairs = {"root": _new_root()}
        _write(path, pairs)
        return pairs
    record.schema(_SCHEMA)
    held = record.record("pairs")
    record.finish()
    pairs = {name: _pair_from(held.record(name)) for name in held.names()}
    if "root" not in pairs:
        raise record.bad("has no root")
    return pairs


def _pair_from(record: Record) -> tuple[bytes, bytes]:
    from cryptography import x509

    pair = record.scalar("private_key"), record.octets("certificate", 1, _MAX_CERTIFICATE_BYTES)
    record.finish()
    try:
        x509.load_der_x509_certificate(pair[1])
    except ValueError:
        raise record.bad("has a bad certificate") from None
    return pair


def _write(path: Path, pairs: dict[str, tuple[bytes, bytes]]) -> None:
    content = {name: {"private_key": key.hex(), "certificate": der.hex()} for name, (key, der) in pairs.items()}
    write_json(path, {"schema": _SCHEMA, "pairs": content})


def _new_root() -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    private_key = new_private_key(ES256)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ROOT_NAME)])
    builder = (
        _builder(private_key)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return private_key, _signed(builder, private_key)


def _new_leaf(root: tuple[bytes, bytes], name: str, aaguid: bytes | None) -> tuple[bytes, bytes]:
    """A certificate as WebAuthn level 2, section 8.2.1 wants it; one of U2F has no AAGUID."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    private_key = new_private_key(ES256)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, _COUNTRY),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "keyctl"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        _builder(private_key)
        .subject_name(subject)
        .issuer_name(x509.load_der_x509_certificate(root[1]).subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if aaguid is not None:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(AAGUID_OID), _OCTET_STRING_16 + aaguid)
        builder = builder.add_extension(extension, critical=False)
    return private_key, _signed(builder, root[0])


def _builder(private_key: bytes) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .public_key(ec_private_key(private_key).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
    )


def _signed(builder: x509.CertificateBuilder, issuer_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    return builder.sign(ec_private_key(issuer_key), SHA256()).public_bytes(Encoding.DER)
