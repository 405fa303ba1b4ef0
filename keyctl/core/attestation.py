"""Attestation statements of new credentials (WebAuthn level 3, section 8): ``packed`` with a certificate, and ``none``.

A certificate proves a model and not a unit, and only where its chain ends at a root that is trusted. Self attestation
proves nothing and is refused, as is what cannot be verified here.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import p256, public_keys

if TYPE_CHECKING:
    from collections.abc import Collection

    from cryptography import x509

NONE = "none"
PACKED = "packed"
#: id-fido-gen-ce-aaguid (section 8.2.1): the AAGUID as an OCTET STRING.
AAGUID_OID = "1.3.6.1.4.1.45724.1.1.4"
_OCTET_STRING_16 = b"\x04\x10"
#: Leaf, two intermediates and a root are more than what keys have.
_MAX_CERTIFICATES = 4
_MAX_CERTIFICATE_BYTES = 4096


class AttestationError(ValueError):
    """A statement does not verify, or is of a kind that is refused; the text says why, in lower case."""


class SelfAttestationError(AttestationError):
    """The credential vouches for itself."""


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """A statement that verified."""

    #: :data:`NONE` or :data:`PACKED`.
    format: str
    #: Certificates in DER, the leaf first; empty without attestation. Who issued the last one is not looked at.
    chain: tuple[bytes, ...] = ()
    #: Whether the leaf names the AAGUID; one that does not may be any model's of the maker.
    names_model: bool = False


def verify(fmt: object, statement: object, message: bytes, aaguid: bytes) -> Attestation:
    """The attestation that *statement* is.

    Args:
        fmt: The format's name, as the key sent it.
        statement: The decoded statement; None where it was left out.
        message: What it is over: the authenticator data and the client data's hash.
        aaguid: The one in the authenticator data.

    Raises:
        SelfAttestationError: It is signed with the new credential itself.
        AttestationError: It does not verify, is for another AAGUID, or is of another format.
    """
    if fmt == NONE:
        if statement:
            raise AttestationError("an attestation of the format none says something")
        return Attestation(format=NONE)
    if fmt != PACKED:
        raise AttestationError("the attestation is of a format that is not known")
    if not isinstance(statement, dict):
        raise AttestationError("the attestation has no statement")
    if "x5c" not in statement:
        raise SelfAttestationError("the attestation is by the credential itself")
    chain, signature = _chain(statement["x5c"]), statement.get("sig")
    leaf = _certificate(chain[0])
    public_key = _public_key(leaf)
    algorithm = public_keys.algorithm(public_key)
    if type(statement.get("alg")) is not int or statement["alg"] != algorithm:
        raise AttestationError("the attestation is by an algorithm that is not supported")
    if not isinstance(signature, bytes) or not public_keys.verifies(public_key, message, signature):
        raise AttestationError("the attestation's signature does not verify")
    return Attestation(format=PACKED, chain=chain, names_model=_names(leaf, aaguid))


def is_trusted(chain: tuple[bytes, ...], roots: Collection[bytes]) -> bool:
    """Whether *chain* ends at one of *roots*, or at a certificate that one of them issued.

    Dates are not looked at: a key cannot renew its certificate, and those that exist outlive the keys.

    Args:
        chain: Certificates in DER, the leaf first.
        roots: Certificates in DER.
    """
    if not chain or len(chain) > _MAX_CERTIFICATES:
        return False
    try:
        certificates = [_certificate(content) for content in chain]
        linked = all(_issued(one, by) for one, by in itertools.pairwise(certificates))
        return linked and (
            # The leaf alone is no authority, even if somebody trusts it.
            (len(chain) > 1 and chain[-1] in roots)
            or any(_issued(certificates[-1], _certificate(root)) for root in roots)
        )
    except AttestationError:
        return False


def _chain(x5c: object) -> tuple[bytes, ...]:
    if not isinstance(x5c, list) or not 0 < len(x5c) <= _MAX_CERTIFICATES:
        raise AttestationError("the attestation has no certificate, or too many")
    if not all(isinstance(content, bytes) and len(content) <= _MAX_CERTIFICATE_BYTES for content in x5c):
        raise AttestationError("the attestation has a certificate that makes no sense")
    return tuple(x5c)


def _certificate(content: bytes) -> x509.Certificate:
    """A certificate of X.509 version 3 that says whether it is an authority."""
    from cryptography import x509
    from cryptography.utils import CryptographyDeprecationWarning

    try:
        with warnings.catch_warnings():
            # It warns of odd ones that it will refuse one day.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(content)
            certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (
        ValueError,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        x509.ExtensionNotFound,
    ) as error:
        raise AttestationError("a certificate of the attestation makes no sense") from error
    return certificate


def _public_key(leaf: x509.Certificate) -> bytes:
    """The COSE_Key of a leaf (section 8.2.1), for ES256: no key attests by another algorithm yet."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if leaf.version is not x509.Version.v3 or _is_authority(leaf):
        raise AttestationError("the attestation's certificate is not one for attestation")
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AttestationError("the attestation's certificate has no proper public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise AttestationError("the attestation's certificate has a key that is not supported")
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert len(point) == p256.POINT_BYTES
    return public_keys.es256(point)


def _names(leaf: x509.Certificate, aaguid: bytes) -> bool:
    """Whether *leaf* names *aaguid*; False where it names none."""
    from cryptography import x509

    try:
        extension = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(AAGUID_OID))
    except x509.ExtensionNotFound:
        return False
    value = extension.value
    if not isinstance(value, x509.UnrecognizedExtension) or value.value != _OCTET_STRING_16 + aaguid:
        raise AttestationError("the attestation's certificate is for another model")
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    if not _is_authority(issuer):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True
