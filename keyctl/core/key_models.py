"""Which keys are of one model, so that one flaw hits them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyctl.core.inventory import KnownKey


def model_of(key: KnownKey) -> str | None:
    """What tells its model from others; None: it is not known.

    The name goes first: makers give one model several AAGUIDs, one for each firmware or colour. All keys for trying out
    have one name, and an AAGUID for each kind of key that they imitate.
    """
    return key.aaguid or key.model if key.virtual else key.model or key.aaguid
