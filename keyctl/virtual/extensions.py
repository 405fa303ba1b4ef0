"""Extensions of makeCredential and getAssertion: from inputs to outputs (CTAP 2.2, section 12)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.virtual.info import min_pin_length
from keyctl.virtual.profiles import LARGE_BLOB_KEY, PREVIEW_SIGN, RECOVERY
from keyctl.virtual.state import LARGE_BLOB_KEY_BYTES, MAX_BLOB_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.hmac_secret import Salts
    from keyctl.virtual.preview_sign import SeedWish, SignatureWish
    from keyctl.virtual.recovery import Counting, Generating, Recovering
    from keyctl.virtual.requests import Parameters
    from keyctl.virtual.state import Credential

ERR = CtapError.ERR
CRED_PROTECT = "credProtect"
CRED_BLOB = "credBlob"
HMAC_SECRET = "hmac-secret"  # noqa: S105  # an extension's name
HMAC_SECRET_MC = "hmac-secret-mc"  # noqa: S105  # an extension's name
MIN_PIN_LENGTH = "minPinLength"


@dataclass(kw_only=True)
class Draft:
    """What is decided about a credential that is being made, and what extensions add."""

    rp_id: str
    discoverable: bool
    #: Whether the request comes with a PIN token.
    has_mac: bool
    #: credProtect level.
    protection: int = 1
    blob: bytes | None = None
    large_blob_key: bytes | None = None
    #: To be answered under the new credential.
    salts: Salts | None = None
    #: The seed that the new credential is to have.
    seed: SeedWish | None = None
    #: To sign for the new credential.
    recovering: Recovering | None = None
    #: For the authenticator data.
    outputs: dict[str, Any] = field(default_factory=dict)


def process_making(
    context: Context, inputs: Parameters | None, *, rp_id: str, discoverable: bool, has_mac: bool
) -> Draft:
    """Run the extensions that the key has and the client asked for; others are ignored.

    Raises:
        CtapError: An input is malformed.
    """
    draft = Draft(rp_id=rp_id, discoverable=discoverable, has_mac=has_mac)
    for name in context.profile.extensions:
        if inputs is not None and inputs.has(name):
            _WHEN_MAKING[name](context, inputs, draft)
    return draft


def _cred_protect(_: Context, inputs: Parameters, draft: Draft) -> None:
    """CTAP 2.2, section 12.1."""
    level = inputs.integer(CRED_PROTECT)
    if not 1 <= level <= 3:
        raise CtapError(ERR.INVALID_OPTION)
    draft.protection = draft.outputs[CRED_PROTECT] = level


def _cred_blob(_: Context, inputs: Parameters, draft: Draft) -> None:
    """CTAP 2.2, section 12.2; what is not stored anyway has no room for it."""
    blob = inputs.octets(CRED_BLOB)
    fits = draft.discoverable and len(blob) <= MAX_BLOB_BYTES
    draft.blob = blob if fits else None
    draft.outputs[CRED_BLOB] = fits


def _large_blob_key(_: Context, inputs: Parameters, draft: Draft) -> None:
    """CTAP 2.2, section 12.3; its output is no part of the authenticator data."""
    if not (inputs.flag(LARGE_BLOB_KEY) and draft.discoverable):
        raise CtapError(ERR.INVALID_OPTION)
    draft.large_blob_key = os.urandom(LARGE_BLOB_KEY_BYTES)


def _min_pin_length(context: Context, inputs: Parameters, draft: Draft) -> None:
    """CTAP 2.1, section 12.4: only the RPs that setMinPINLength named may learn it."""
    if inputs.flag(MIN_PIN_LENGTH) and draft.rp_id in context.state.configuration.min_pin_rp_ids:
        draft.outputs[MIN_PIN_LENGTH] = min_pin_length(context)


def _hmac_secret(_: Context, inputs: Parameters, draft: Draft) -> None:
    """CTAP 2.3, section 12.7."""
    if inputs.flag(HMAC_SECRET):
        draft.outputs[HMAC_SECRET] = True


def _hmac_secret_mc(context: Context, inputs: Parameters, draft: Draft) -> None:
    """CTAP 2.3, section 12.8: only together with hmac-secret."""
    from keyctl.virtual.hmac_secret import read_salts

    if not inputs.flag(HMAC_SECRET):
        raise CtapError(ERR.MISSING_PARAMETER)
    draft.salts = read_salts(context, inputs.raw[HMAC_SECRET_MC])


def _preview_sign(context: Context, inputs: Parameters, draft: Draft) -> None:
    """Its second output is no part of the authenticator data."""
    from keyctl.virtual.preview_sign import read_seed_wish

    draft.seed = read_seed_wish(context, inputs.raw[PREVIEW_SIGN], has_mac=draft.has_mac)
    if draft.seed is not None:
        draft.outputs[PREVIEW_SIGN] = draft.seed.signed_output


def _recovery(context: Context, inputs: Parameters, draft: Draft) -> None:
    """A signature is an output too, but can only be made when the rest of the authenticator data is there."""
    from keyctl.virtual.recovery import Counting, read_making

    action = read_making(context, inputs.map(RECOVERY), rp_id=draft.rp_id, verified=draft.has_mac)
    if isinstance(action, Counting):
        draft.outputs[RECOVERY] = action.output()
    else:
        draft.recovering = action


#: name -> what it does with the inputs and the draft.
_WHEN_MAKING: Mapping[str, Callable[[Context, Parameters, Draft], None]] = {
    CRED_BLOB: _cred_blob,
    CRED_PROTECT: _cred_protect,
    HMAC_SECRET: _hmac_secret,
    HMAC_SECRET_MC: _hmac_secret_mc,
    LARGE_BLOB_KEY: _large_blob_key,
    MIN_PIN_LENGTH: _min_pin_length,
    PREVIEW_SIGN: _preview_sign,
    RECOVERY: _recovery,
}


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What extensions want with an assertion."""

    salts: Salts | None = None
    blob: bool = False
    large_blob_key: bool = False
    signature: SignatureWish | None = None
    recovery: Counting | Generating | None = None

    def outputs(self, credential: Credential, *, verified: bool) -> dict[str, Any]:
        """The outputs in the authenticator data of an assertion by *credential*.

        Raises:
            CtapError: What is wanted cannot be had so.
        """
        outputs: dict[str, Any] = {}
        if self.blob:
            outputs[CRED_BLOB] = credential.blob or b""
        if self.salts is not None:
            outputs[HMAC_SECRET] = self.salts.answer(credential, verified=verified)
        if self.signature is not None:
            outputs[PREVIEW_SIGN] = self.signature.output(verified=verified)
        if self.recovery is not None:
            outputs[RECOVERY] = self.recovery.output()
        return outputs


def check_asserting(context: Context, inputs: Parameters | None, *, has_list: bool) -> None:
    """Refuse inputs that need no credential to be wrong.

    Raises:
        CtapError: One of them is.
    """
    if PREVIEW_SIGN in context.profile.extensions and inputs is not None and inputs.has(PREVIEW_SIGN):
        from keyctl.virtual.preview_sign import check_before_looking

        check_before_looking(inputs.raw[PREVIEW_SIGN], has_list=has_list)


def process_asserting(
    context: Context, inputs: Parameters | None, credential: Credential, *, present: bool, verified: bool
) -> Wishes:
    """Read the inputs of the extensions that the key has; others are ignored.

    Args:
        context: The key.
        inputs: What :func:`check_asserting` let pass.
        credential: The first that makes an assertion.
        present: Whether there is going to be a touch.
        verified: Whether there was a PIN token.

    Raises:
        CtapError: UNSUPPORTED_OPTION for hmac-secret without a touch; UP_REQUIRED for a signature that wants one;
            PUAT_REQUIRED for recovery credentials without a PIN; else an input is malformed.
    """
    if inputs is None:
        return Wishes()
    asked = {name for name in context.profile.extensions if inputs.has(name)}
    salts = None
    if HMAC_SECRET in asked:
        from keyctl.virtual.hmac_secret import read_salts

        if not present:
            raise CtapError(ERR.UNSUPPORTED_OPTION)
        salts = read_salts(context, inputs.raw[HMAC_SECRET])
    if LARGE_BLOB_KEY in asked and not inputs.flag(LARGE_BLOB_KEY):
        raise CtapError(ERR.INVALID_OPTION)
    signature = None
    if PREVIEW_SIGN in asked:
        from keyctl.virtual.preview_sign import read_signature_wish

        signature = read_signature_wish(context, inputs.raw[PREVIEW_SIGN], credential, present=present)
    recovery = None
    if RECOVERY in asked:
        from keyctl.virtual.recovery import read_asserting

        recovery = read_asserting(context, inputs.map(RECOVERY), rp_id=credential.rp_id, verified=verified)
    return Wishes(
        salts=salts,
        blob=CRED_BLOB in asked and bool(inputs.flag(CRED_BLOB)),
        large_blob_key=LARGE_BLOB_KEY in asked,
        signature=signature,
        recovery=recovery,
    )
