"""Authenticator data in a key's answer, checked before anything believes them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from keyctl.core import authenticator_data, public_keys
from keyctl.core.authenticator_data import Flag
from keyctl.device import errors


@dataclass(frozen=True, kw_only=True)
class NewCredential:
    """Attested credential data."""

    credential_id: bytes
    #: COSE_Key in canonical CBOR.
    public_key: bytes


@dataclass(frozen=True, kw_only=True)
class CheckedData:
    """The parts that keyctl looks at."""

    flags: Flag
    counter: int
    new: NewCredential | None


def read(data: object, rp_id: str, label: str) -> CheckedData:
    """The authenticator data in an answer.

    Args:
        data: What the key sent.
        rp_id: The RP that was asked about.
        label: What messages call the key.

    Raises:
        UnreachableError: It is for another RP, cut, too long, or holds a key of an algorithm that was not asked for
            (``key_nonsense``).
    """
    if not isinstance(data, bytes):
        raise errors.nonsense(label, "without authenticator data")
    with errors.understanding(label):
        told = authenticator_data.read(data)
        new = _new(told.attested) if told.attested is not None else None
    if told.rp_id_hash != sha256(rp_id.encode()).digest():
        raise errors.nonsense(label, "for another site than it was asked about")
    return CheckedData(flags=Flag(told.flags), counter=told.counter, new=new)


def _new(attested: authenticator_data.Attested) -> NewCredential:
    public_key = public_keys.canonical(attested.public_key)
    if public_key is None:
        raise ValueError("no public key of a known algorithm")
    return NewCredential(credential_id=attested.credential_id, public_key=public_key)
