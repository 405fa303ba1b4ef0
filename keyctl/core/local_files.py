"""What the readers of this computer's files share: how they say that a file makes no sense."""

from __future__ import annotations

import base64
import binascii


class LocalFileError(ValueError):
    """A file of this computer, or a part of it, cannot be understood; the text says why and completes "FILE ..."."""


def from_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, with or without padding (RFC 4648, sections 4 and 5).

    Raises:
        LocalFileError: It is neither.
    """
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise LocalFileError("is not base64 where it has to be") from error
