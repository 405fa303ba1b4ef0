"""Seed public keys as the WebAuthn draft extension "recovery" carries them from backup key to primary key.

The draft exists in two forms, its README and its prototype, whose maps differ. Both are read and the README's is
written. Every seed comes from a key or a file and may be made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from keyctl.core import attestation, p256, public_keys
from keyctl.core.decoding import decode_map
from keyctl.core.recovery import ALG

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

AAGUID_BYTES = 16
#: The label of the key agreement scheme in either map.
_ALG = 1


class SeedForm(StrEnum):
    """Which of the draft's two maps a seed was read from."""

    README = "readme"
    PROTOTYPE = "prototype"


@dataclass(frozen=True, kw_only=True)
class _Labels:
    aaguid: int
    x5c: int
    signature: int
    point: int


_LABELS: Mapping[SeedForm, _Labels] = {
    SeedForm.README: _Labels(aaguid=2, x5c=3, signature=4, point=0xFF),
    SeedForm.PROTOTYPE: _Labels(aaguid=3, x5c=2, signature=4, point=-1),
}


class UnknownSchemeError(ValueError):
    """The seed is of a key agreement scheme other than 0."""


@dataclass(frozen=True, kw_only=True)
class RecoverySeed:
    """A seed public key, and what its key says about it."""

    #: Of the backup key.
    aaguid: bytes
    #: S, an uncompressed point.
    point: bytes
    #: Attestation certificates, DER, the leaf first; may be empty.
    x5c: tuple[bytes, ...]
    #: By the leaf over :func:`signed_bytes`, DER; not verified yet.
    signature: bytes
    form: SeedForm = SeedForm.README

    def to_map(self) -> dict[int, Any]:
        """The README's map."""
        labels = _LABELS[SeedForm.README]
        return {
            _ALG: ALG,
            labels.aaguid: self.aaguid,
            labels.x5c: list(self.x5c),
            labels.signature: self.signature,
            labels.point: self.point,
        }

    def to_cbor(self) -> bytes:
        """The README's map in canonical CBOR."""
        from fido2 import cbor

        return cbor.encode(self.to_map())


def signed_bytes(aaguid: bytes, point: bytes) -> bytes:
    """What a key's attestation signs of its seed: alg || aaguid || S, 82 bytes."""
    return bytes([ALG]) + aaguid + point


def seed_from_cbor(content: bytes) -> RecoverySeed:
    """The seed that *content* is, in either form.

    Raises:
        UnknownSchemeError: It is of another scheme.
        ValueError: It makes no sense, or its point is not on the curve.
    """
    return seed_from_map(decode_map(content))


def seed_from_map(parameters: Mapping[Any, Any]) -> RecoverySeed:
    """The seed in a decoded map; errors as those of :func:`seed_from_cbor`."""
    alg = parameters.get(_ALG)
    if type(alg) is not int:
        raise ValueError("a seed without a key agreement scheme")
    if alg != ALG:
        raise UnknownSchemeError(f"a seed of the key agreement scheme {alg}")
    forms = [form for form, labels in _LABELS.items() if labels.point in parameters]
    if len(forms) != 1:
        raise ValueError("a seed without a public key, or with two")
    (form,) = forms
    labels = _LABELS[form]
    aaguid, x5c = parameters.get(labels.aaguid), parameters.get(labels.x5c)
    signature, point = parameters.get(labels.signature), parameters[labels.point]
    if not isinstance(aaguid, bytes) or len(aaguid) != AAGUID_BYTES:
        raise ValueError("a seed without an AAGUID")
    if not isinstance(x5c, list) or not all(isinstance(item, bytes) for item in x5c):
        raise ValueError("a seed without a list of certificates")
    if not isinstance(signature, bytes):
        raise ValueError("a seed without a signature")  # noqa: TRY004  # one kind of error for whatever is wrong
    if not isinstance(point, bytes) or not p256.on_curve(point):
        raise ValueError("a seed whose public key is not on the curve")
    return RecoverySeed(aaguid=aaguid, point=point, x5c=tuple(x5c), signature=signature, form=form)


def is_attested(seed: RecoverySeed, roots: Collection[bytes]) -> bool:
    """Whether a certificate that leads to one of *roots* vouches for *seed* and its AAGUID.

    False is no accusation: there may be no certificate, none with an AAGUID, or one of a maker whom nobody knows here.
    It takes a person's word then.

    Args:
        seed: A seed that was read.
        roots: The certificates that are trusted, DER.

    Raises:
        AttestationError: The leaf did not sign the seed, is of another model, or makes no sense.
    """
    if not seed.x5c:
        return False
    statement = {"alg": public_keys.ES256, "sig": seed.signature, "x5c": list(seed.x5c)}
    message = signed_bytes(seed.aaguid, seed.point)
    verified = attestation.verify(attestation.PACKED, statement, message, seed.aaguid)
    return verified.names_model and attestation.is_trusted(verified.chain, roots)
