"""Finding credentials: those in the key's memory, and those whose key is wrapped in their own id.

A credential that is not discoverable takes no room: its id is the private key, encrypted for this key and bound to the
RP. A reset replaces the secret and thereby ends them all.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.virtual.state import Credential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
PUBLIC_KEY_TYPE = "public-key"
#: Bytes of a discoverable credential's id: about as long as a wrapped one.
_STORED_ID_BYTES = 64

# A wrapped id: version, nonce, then encrypted: algorithm, protection, private key; and the tag.
_VERSION = b"\x01"
_NONCE_BYTES = 12
_ALGORITHM_BYTES = 2
_PROTECTION_BYTES = 1
_PRIVATE_KEY_BYTES = 32
_TAG_BYTES = 16
WRAPPED_ID_BYTES = 1 + _NONCE_BYTES + _ALGORITHM_BYTES + _PROTECTION_BYTES + _PRIVATE_KEY_BYTES + _TAG_BYTES

#: credProtect levels (CTAP 2.2, section 12.1).
UV_OPTIONAL_WITH_LIST = 2
UV_REQUIRED = 3


def new_stored_id() -> bytes:
    """An id for a discoverable credential."""
    return os.urandom(_STORED_ID_BYTES)


def wrap(secret: bytes, credential: Credential) -> bytes:
    """The id of a credential that is not stored; *credential*'s own id is ignored."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    plaintext = (
        credential.algorithm.to_bytes(_ALGORITHM_BYTES, "big", signed=True)
        + bytes([credential.protection])
        + credential.private_key
    )
    return _VERSION + nonce + AESGCM(secret).encrypt(nonce, plaintext, _binding(credential.rp_id))


def unwrap(secret: bytes, credential_id: bytes, rp_id: str) -> Credential | None:
    """The credential inside *credential_id*, or None when this key did not make it for *rp_id*."""
    if len(credential_id) != WRAPPED_ID_BYTES or not credential_id.startswith(_VERSION):
        return None
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, ciphertext = credential_id[1 : 1 + _NONCE_BYTES], credential_id[1 + _NONCE_BYTES :]
    try:
        plaintext = AESGCM(secret).decrypt(nonce, ciphertext, _binding(rp_id))
    except InvalidTag:
        return None
    return Credential(
        id=credential_id,
        rp_id=rp_id,
        algorithm=int.from_bytes(plaintext[:_ALGORITHM_BYTES], "big", signed=True),
        protection=plaintext[_ALGORITHM_BYTES],
        private_key=plaintext[_ALGORITHM_BYTES + _PROTECTION_BYTES :],
    )


def _binding(rp_id: str) -> bytes:
    return _VERSION + sha256(rp_id.encode()).digest()


def listed(context: Context, descriptors: Sequence[Parameters], rp_id: str) -> list[Credential]:
    """The credentials of *rp_id* on this key among *descriptors*, in their order.

    Raises:
        CtapError: LIMIT_EXCEEDED for more than the key takes, or a descriptor is malformed.
    """
    limit = context.profile.max_ids_in_list
    if limit is not None and len(descriptors) > limit:
        raise CtapError(ERR.LIMIT_EXCEEDED)
    stored = {credential.id: credential for credential in context.state.credentials if credential.rp_id == rp_id}
    # Every descriptor is looked at before any is used: a malformed one spoils the request wherever it stands.
    ids = [descriptor_id(descriptor) for descriptor in descriptors]
    found = (stored.get(id_) or unwrap(context.state.secret, id_, rp_id) for id_ in ids if id_ is not None)
    return [credential for credential in found if credential is not None]


def descriptor_id(descriptor: Parameters) -> bytes | None:
    """The id in a PublicKeyCredentialDescriptor, or None when it is of a type that nobody knows."""
    credential_id = descriptor.octets("id")
    return credential_id if descriptor.text("type") == PUBLIC_KEY_TYPE else None


def permitted(credential: Credential, *, verified: bool, by_id: bool) -> bool:
    """Whether credProtect lets an assertion see *credential* (CTAP 2.2, section 6.2.2, step 7)."""
    if verified or credential.protection < UV_OPTIONAL_WITH_LIST:
        return True
    return by_id and credential.protection == UV_OPTIONAL_WITH_LIST
