"""The WebAuthn draft extension "recovery", the key's side (Yubico's README, "Authenticator extension processing").

The draft leaves its statuses open. Here an action that is unknown or belongs to the other command is INVALID_OPTION, a
point that is not on the curve INVALID_PARAMETER, and nothing to recover with NO_CREDENTIALS. What the draft does not
ask for: the actions "generate" and "recover" take a PIN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.core import p256, public_keys, recovery
from keyctl.virtual import credentials, signing
from keyctl.virtual.profiles import ES256

if TYPE_CHECKING:
    from keyctl.virtual.backup_seeds import BackupSeed
    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
_ACTION = "action"
_STATE = "state"
_GENERATE = "generate"
_RECOVER = "recover"
_ALLOWED = "allowCredentials"


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Action "state", in either command."""

    changes: int

    def output(self) -> dict[str, Any]:
        """The extension's output."""
        return {_ACTION: _STATE, "state": self.changes}


@dataclass(frozen=True, kw_only=True)
class Generating:
    """Action "generate": credentials on behalf of the backup keys."""

    changes: int
    seeds: tuple[BackupSeed, ...]
    rp_id: str

    def output(self) -> dict[str, Any]:
        """The extension's output; other credentials every time."""
        creds = [_attested(seed, self.rp_id) for seed in self.seeds]
        return {_ACTION: _GENERATE, "state": self.changes, "creds": creds}


@dataclass(frozen=True, kw_only=True)
class Recovering:
    """Action "recover": a signature that puts the new credential in the place of a lost one."""

    changes: int
    credential_id: bytes
    #: Of the recovery credential, 32 bytes.
    private_key: bytes

    def output(self, message: bytes) -> dict[str, Any]:
        """The extension's output.

        Args:
            message: The authenticator data up to the extensions, with flag ED set, and the client data's hash.
        """
        signature = signing.sign(ES256, self.private_key, message)
        return {_ACTION: _RECOVER, "credId": self.credential_id, "sig": signature, "state": self.changes}


def read_making(context: Context, inputs: Parameters, *, rp_id: str, verified: bool) -> Counting | Recovering:
    """What makeCredential is to do.

    Raises:
        CtapError: PUAT_REQUIRED for "recover" without a PIN, NO_CREDENTIALS where this key cannot recover any of the
            credentials listed, INVALID_PARAMETER for one with a bad point; INVALID_OPTION, or an input is malformed.
    """
    changes = context.state.backup_seeds.changes
    match inputs.text(_ACTION):
        case "state":
            return Counting(changes=changes)
        case "recover":
            ids = [credentials.descriptor_id(descriptor) for descriptor in inputs.maps(_ALLOWED)]
            _check_verified(verified=verified)
            credential_id, private_key = _recovered(context, [id_ for id_ in ids if id_ is not None], rp_id)
            return Recovering(changes=changes, credential_id=credential_id, private_key=private_key)
        case _:
            raise CtapError(ERR.INVALID_OPTION)


def read_asserting(context: Context, inputs: Parameters, *, rp_id: str, verified: bool) -> Counting | Generating:
    """What getAssertion is to do.

    Raises:
        CtapError: PUAT_REQUIRED for "generate" without a PIN; INVALID_OPTION, or an input is malformed.
    """
    seeds = context.state.backup_seeds
    match inputs.text(_ACTION):
        case "state":
            return Counting(changes=seeds.changes)
        case "generate":
            _check_verified(verified=verified)
            return Generating(changes=seeds.changes, seeds=seeds.given, rp_id=rp_id)
        case _:
            raise CtapError(ERR.INVALID_OPTION)


def _check_verified(*, verified: bool) -> None:
    if not verified:
        raise CtapError(ERR.PUAT_REQUIRED)


def _recovered(context: Context, ids: list[bytes], rp_id: str) -> tuple[bytes, bytes]:
    """The first of *ids* that was made for this key and site, and its private key."""
    own = context.state.backup_seeds.own
    if own is None:
        raise CtapError(ERR.NO_CREDENTIALS)
    for credential_id in ids:
        try:
            p = recovery.recover(int.from_bytes(own, "big"), credential_id, rp_id)
        except ValueError:
            raise CtapError(ERR.INVALID_PARAMETER) from None
        if p is not None:
            return credential_id, p.to_bytes(p256.COORDINATE_BYTES, "big")
    raise CtapError(ERR.NO_CREDENTIALS)


def _attested(seed: BackupSeed, rp_id: str) -> bytes:
    """A new recovery credential as attested credential data (WebAuthn level 2, section 6.5.1)."""
    made = None
    while made is None:
        e = int.from_bytes(signing.new_private_key(ES256), "big")
        made = recovery.generate(seed.point, e, rp_id)
    return seed.aaguid + len(made.id).to_bytes(2, "big") + made.id + public_keys.es256(made.public_key)
