"""By which method two keys can be paired, and why not by a stronger one: from what the keys say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import recovery, seed_numbers
from keyctl.core.pairings import Method

if TYPE_CHECKING:
    from keyctl.model import KeyInfo

_HMAC_SECRET = "hmac-secret"  # noqa: S105  # the name of an extension


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two keys."""

    name: str
    virtual: bool
    #: None: it is not connected, so that nothing is known of it.
    info: KeyInfo | None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What ``auto`` takes."""

    method: Method
    #: Why nothing stronger, a line for each key and method.
    reasons: tuple[str, ...]


def strongest(primary: Side, backup: Side) -> Choice:
    """The strongest method that both can do; never :attr:`Method.SOFTWARE`, which is chosen by name only."""
    reasons: list[str] = []
    # A draft that neither has heard of is nobody's concern.
    drafts = any(side.info is not None and recovery.EXTENSION in side.info.extensions for side in (primary, backup))
    for method in (Method.ARKG, Method.WEBAUTHN_DRAFT) if drafts else (Method.ARKG,):
        obstacles = [
            f"{side.name}: {why}"
            for role, side in (("primary", primary), ("backup", backup))
            if (why := why_not(method, side, role=role)) is not None
        ]
        if not obstacles:
            return Choice(method=method, reasons=tuple(reasons))
        reasons += [f"no {method}, {obstacle}" for obstacle in obstacles]
    return Choice(method=Method.REGISTRATION, reasons=tuple(reasons))


def why_not(method: Method, side: Side, *, role: str) -> str | None:
    """What keeps a key from being the ``primary`` or ``backup`` by *method*; None: nothing that it says of itself."""
    match method, role:
        case Method.REGISTRATION, _:
            return None
        case Method.ARKG, "primary":
            return None
        case Method.SOFTWARE, "primary":
            return None
        case Method.ARKG, _:
            return _lacks(side, seed_numbers.EXTENSION, f"it makes no seeds (no {seed_numbers.EXTENSION})")
        case Method.SOFTWARE, _:
            return _lacks(side, _HMAC_SECRET, f"it has no {_HMAC_SECRET}")
        case _:
            if not side.virtual:
                return "the recovery extension is a draft that only virtual keys have"
            return _lacks(side, recovery.EXTENSION, "it has no recovery extension, which is a draft")


def _lacks(side: Side, extension: str, why: str) -> str | None:
    if side.info is None:
        return "it is not connected"
    return None if extension in side.info.extensions else why
