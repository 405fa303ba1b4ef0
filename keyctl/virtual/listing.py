"""How credentials appear in credential management (CTAP 2.2, sections 6.8.3 and 6.8.4)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.virtual.answers import RawCbor
from keyctl.virtual.credentials import PUBLIC_KEY_TYPE
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.signing import public_key
from keyctl.virtual.texts import listed_rp_id, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.state import Credential


def rp_answer(context: Context, credential: Credential) -> dict[int, Any]:
    """The RP of *credential*: its entity and its hash."""
    quirks = context.quirks
    rp = {"id": told(listed_rp_id(credential.rp_id, quirks))}
    name = credential.user_name if Quirk.RP_NAME_IS_USER in quirks else credential.rp_name
    if name is not None:
        rp["name"] = told(name)
    return {0x03: rp, 0x04: sha256(credential.rp_id.encode()).digest()}


def credential_answer(context: Context, credential: Credential, *, total: int | None) -> Mapping[int, Any]:
    """*credential* in the list of its RP; *total* with the first one."""
    answer: dict[int, Any] = {
        0x06: _user(context, credential),
        0x07: {"id": credential.id, "type": PUBLIC_KEY_TYPE},
        0x08: public_key(credential.algorithm, credential.private_key),
    }
    if Quirk.BROKEN_ALGORITHM in context.quirks and credential == context.state.credentials[0]:
        answer[0x08] = _BROKEN_KEYS[credential.id[0] % len(_BROKEN_KEYS)]
    if total is not None:
        answer[0x09] = total
    if "credProtect" in context.profile.extensions and Quirk.NO_PROTECTION_IN_LIST not in context.quirks:
        answer[0x0A] = credential.protection
    if credential.large_blob_key is not None and Quirk.NO_LARGE_BLOB_KEY not in context.quirks:
        answer[0x0B] = credential.large_blob_key
    return answer


def _user(context: Context, credential: Credential) -> dict[str, Any]:
    user: dict[str, Any] = {"id": credential.user_id}
    name = credential.user_name
    if name is None and Quirk.NAME_KEY_EMPTY in context.quirks:
        name = ""
    if name == "" and Quirk.NAME_KEY_MISSING in context.quirks:
        name = None
    if name is not None:
        user["name"] = told(name)
    if credential.user_display_name is not None:
        user["displayName"] = told(credential.user_display_name)
    return user


#: Public keys of ML-DSA-44 (-48) that are cut, as firmware sends them whose buffer is too small: what follows is taken
#: for the rest of the key. python-fido2 answers them with IndexError, KeyError and ValueError.
_BROKEN_KEYS = tuple(
    RawCbor(bytes.fromhex(key))
    for key in (
        # -1 is a byte string of 1312 bytes, of which 8 are there.
        "a301070338 2f20 590520 0011223344556677",
        # -1 is followed by a tag, which no CTAP message has.
        "a301070338 2f20 c1",
        # -1 is a text of 1312 bytes, of which 4 are there and are no UTF-8.
        "a301070338 2f20 790520 ff00ff00",
    )
)
