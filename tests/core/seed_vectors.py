"""The published values that the seed's arithmetic and formats are tested with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "vectors" / "arkg"


def load(name: str) -> Any:
    """A file of values; each says where it comes from."""
    content = json.loads((FOLDER / name).read_text("utf-8"))
    assert content["source"]
    assert content.get("instance", "ARKG-P256") == "ARKG-P256"
    return content


def octets(vector: dict[str, Any]) -> dict[str, bytes]:
    """The values in hexadecimal of one vector."""
    texts = {"id", "why", "source", "expect", "ctx_ascii", "fingerprint_display"}
    return {name: bytes.fromhex(value) for name, value in vector.items() if name not in texts}
