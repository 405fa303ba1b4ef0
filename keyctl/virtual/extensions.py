"""Extensions of makeCredential: one function each, from input to output (CTAP 2.2, section 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR


@dataclass(kw_only=True)
class Draft:
    """What extensions decide about a credential that is being made."""

    #: credProtect level.
    protection: int = 1


def _cred_protect(value: Any, draft: Draft) -> int:
    """The level of credProtect (CTAP 2.2, section 12.1)."""
    if type(value) is not int:
        raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
    if not 1 <= value <= 3:
        raise CtapError(ERR.INVALID_OPTION)
    draft.protection = value
    return value


#: name -> from the input, and the draft to change, to the output in the authenticator data.
_WHEN_MAKING: Mapping[str, Callable[[Any, Draft], Any]] = {"credProtect": _cred_protect}


def process_making(context: Context, inputs: Parameters | None) -> tuple[Draft, dict[str, Any]]:
    """Run the extensions that the key has and the client asked for; others are ignored.

    Returns:
        What they decided, and their outputs for the authenticator data.

    Raises:
        CtapError: An input is malformed.
    """
    draft = Draft()
    outputs: dict[str, Any] = {}
    for name in context.profile.extensions:
        if inputs is not None and inputs.has(name):
            outputs[name] = _WHEN_MAKING[name](inputs.raw[name], draft)
    return draft, outputs
