"""The record that goes with a credential of keyctl's own on a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import key_record
from keyctl.errors import UnreachableError

if TYPE_CHECKING:
    from keyctl.core.key_record import KeyRecord
    from keyctl.device.session import Session


def record_under(session: Session, blob_key: bytes | None) -> KeyRecord | None:
    """The record under a largeBlobKey, 32 bytes; None: there is none that can be understood.

    Raises:
        UnreachableError: The key is gone or silent.
    """
    if blob_key is None or not session.blobs.supported:
        return None
    try:
        content = session.blobs.find(blob_key)
        return None if content is None else key_record.decode(content)
    except ValueError:
        return None
    except UnreachableError as error:
        # Where it cannot be unpacked, it says nothing.
        if error.code != "key_nonsense":
            raise
        return None
