"""The AAGUIDs of virtual keys, by profile, so that the rest of keyctl can tell them from real ones at no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Profile name -> AAGUID, 16 random bytes drawn once; no maker has them.
AAGUIDS: Mapping[str, bytes] = {
    "full": bytes.fromhex("ff9f74946a6f43feb1234f6c8d6e98ba"),
    "fido2.0": bytes.fromhex("e67f519941bd4f46973a5a1cd52f355f"),
    "fido2.1-pre": bytes.fromhex("5b73ae23a8da4b01809e294cb856770d"),
    "small": bytes.fromhex("673297b6303e47c89243ac5150c02df4"),
    "arkg": bytes.fromhex("443e9597856593d2ebd21c7cdb5fe268"),
    "draft": bytes.fromhex("71e19102b00c6c2e16bf9e195260cf18"),
}

VIRTUAL_AAGUIDS: frozenset[bytes] = frozenset(AAGUIDS.values())
