"""What an AAGUID stands for: facts from FIDO metadata statements, shipped with keyctl."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent.parent / "data"


def load(name: str) -> dict[str, Any]:
    """The JSON object in the data file *name*."""
    content: dict[str, Any] = json.loads((_DATA / name).read_bytes())
    return content


def aaguid_text(aaguid: bytes) -> str | None:
    """The 16 bytes as a lower-case UUID; None when all are zero, which says "not told" (U2F keys and some others)."""
    digits = aaguid.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])) if any(aaguid) else None


def model_name(aaguid: bytes) -> str | None:
    """What the vendor calls the model, or None when the AAGUID is not in the list."""
    return _facts(aaguid).get("name")


def metadata_firmware(aaguid: bytes) -> str | None:
    """The firmware that the model's metadata statement names: it tells the generation, never the patch level."""
    return _facts(aaguid).get("metadata_firmware")


def _facts(aaguid: bytes) -> dict[str, str]:
    facts: dict[str, str] = _aaguids().get(aaguid_text(aaguid), {})
    return facts


@functools.cache
def _aaguids() -> dict[str | None, Any]:
    aaguids: dict[str | None, Any] = load("aaguids.json")["aaguids"]
    return aaguids
