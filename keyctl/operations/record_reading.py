"""The record that goes with a credential of keyctl's own on a key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import key_record

if TYPE_CHECKING:
    from keyctl.core.key_record import KeyRecord
    from keyctl.device.own_credentials import Listed
    from keyctl.device.session import Session


def with_blob_key(session: Session, listed: Listed) -> Listed:
    """*listed* with the key to its large blob; some keys leave that out of the list, and tell it with a touch.

    What else is known of such a key does not show whose credential it is.

    Raises:
        KeyctlError: The key does not tell it.
    """
    if listed.large_blob_key is not None or not session.blobs.supported or listed.passkey.large_blob is False:
        return listed
    told = session.own_credentials.read(listed.passkey.credential_id)
    return replace(listed, large_blob_key=told.large_blob_key)


def record_under(session: Session, blob_key: bytes | None) -> KeyRecord | None:
    """The record under a largeBlobKey, 32 bytes; None: there is none that can be understood.

    Raises:
        UnreachableError: The key is gone or silent, or answers nonsense: that is not the same as to have no record, as
            what nobody's record goes with may be deleted.
    """
    if blob_key is None or not session.blobs.supported:
        return None
    array = session.blobs.read()
    try:
        content = array.find(blob_key)
        return None if content is None else key_record.decode(content)
    except ValueError:
        # It cannot be unpacked, so it says nothing.
        return None
