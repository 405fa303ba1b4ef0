r"""A primary key's signature that derived keys are its backup key's: one touch for all that are made at once.

    key       = SHA-256(each of target, public key and key handle, with its length in 4 bytes before it)
    assertion = SHA-256("keyctl-endorsement-v1\0" || key of each, in the order of the targets), the client data's hash

Each of the keys is stored with the same endorsement, so that whoever has the inventory can put them together again and
check it under the primary key's public key. One of them missing, or one too many, and it holds for none.
"""

from __future__ import annotations

from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING

from keyctl.core import authenticator_data, public_keys
from keyctl.core.authenticator_data import Flag
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keyctl.core.pairings import DerivedKey, Endorsement

_DOMAIN = b"keyctl-endorsement-v1\0"
_RP_ID_HASH = sha256(OWN_RP_ID.encode()).digest()
_LENGTH_BYTES = 4


def client_data_hash(keys: Iterable[DerivedKey]) -> bytes:
    """What the primary key signs for all of *keys* at once, 32 bytes; in whatever order they come."""
    digest = sha256(_DOMAIN)
    for key in sorted(keys, key=attrgetter("target")):
        digest.update(_key_hash(key))
    return digest.digest()


def endorsed(derived: Iterable[DerivedKey], public_key: bytes) -> frozenset[str]:
    """The targets of those keys whose endorsement holds.

    Args:
        derived: All keys of a pairing.
        public_key: Of the primary key's recognition credential, COSE_Key in CBOR.
    """
    batches: dict[Endorsement, list[DerivedKey]] = {}
    for key in derived:
        if key.endorsement is not None:
            batches.setdefault(key.endorsement, []).append(key)
    return frozenset(
        key.target
        for endorsement, keys in batches.items()
        if _is_for(endorsement, keys) and _is_by(endorsement, public_key)
        for key in keys
    )


def _is_for(endorsement: Endorsement, keys: Iterable[DerivedKey]) -> bool:
    return endorsement.client_data_hash == client_data_hash(keys)


def _is_by(endorsement: Endorsement, public_key: bytes) -> bool:
    """Whether it is a signature with a touch, by the credential by which keyctl knows the key again."""
    try:
        data = authenticator_data.read(endorsement.auth_data)
    except ValueError:
        return False
    if data.rp_id_hash != _RP_ID_HASH or not data.has(Flag.UP):
        return False
    return public_keys.verifies(public_key, endorsement.auth_data + endorsement.client_data_hash, endorsement.signature)


def _key_hash(key: DerivedKey) -> bytes:
    # Whoever edits the inventory may put into it what is no text.
    parts = (key.target.encode(errors="surrogatepass"), key.public_key, key.key_handle)
    return sha256(b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)).digest()
