"""Finding credentials: those in the key's memory, and those whose key is wrapped in their own id."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.virtual import wrapped_ids
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.state import Credential
from keyctl.virtual.wrapped_ids import LONG_ID_BYTES, WRAPPED_ID_BYTES, WrappedKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
PUBLIC_KEY_TYPE = "public-key"
#: Bytes of a discoverable credential's id: about as long as a wrapped one.
_STORED_ID_BYTES = 64
#: The shortest that any known key makes.
_SHORTEST_ID_BYTES = 32

#: credProtect levels (CTAP 2.2, section 12.1).
UV_OPTIONAL_WITH_LIST = 2
UV_REQUIRED = 3


def new_stored_id(context: Context) -> bytes:
    """An id for a discoverable credential."""
    if Quirk.LONG_IDS in context.quirks:
        return os.urandom(_SHORTEST_ID_BYTES + secrets.randbelow(LONG_ID_BYTES - _SHORTEST_ID_BYTES + 1))
    return os.urandom(_STORED_ID_BYTES)


def wrapped_id_bytes(context: Context) -> int:
    """How long the ids of credentials are that are not stored."""
    return LONG_ID_BYTES if Quirk.LONG_IDS in context.quirks else WRAPPED_ID_BYTES


def wrap(secret: bytes, credential: Credential, *, size: int = WRAPPED_ID_BYTES) -> bytes:
    """The id of a credential that is not stored, of *size* bytes; *credential*'s own id is ignored."""
    key = WrappedKey(
        algorithm=credential.algorithm, protection=credential.protection, private_key=credential.private_key
    )
    return wrapped_ids.wrap(secret, key, hash_of(credential.rp_id), size=size)


def unwrap(secret: bytes, credential_id: bytes, rp_id: str) -> Credential | None:
    """The credential inside *credential_id*, or None when this key did not make it for *rp_id*.

    A U2F key handle is one of the application whose parameter is the hash of *rp_id* (CTAP 2.2, section 10).
    """
    key = wrapped_ids.unwrap(secret, credential_id, hash_of(rp_id))
    if key is None:
        return None
    return Credential(
        id=credential_id,
        rp_id=rp_id,
        algorithm=key.algorithm,
        protection=key.protection,
        private_key=key.private_key,
    )


def hash_of(rp_id: str) -> bytes:
    """The RP id's SHA-256."""
    return sha256(rp_id.encode()).digest()


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
