"""Seeds of the WebAuthn draft extension "recovery" on keyctl's own virtual keys, and on no other key.

The draft's command byte has been authenticatorConfig since CTAP 2.1, and the one that is used in its place is of the
vendor range, where a key on a bus may have anything. So it goes only to a virtual key that this process opened as one:
what a key says of itself (getInfo, AAGUID, certificate) can be said by any key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.core import authenticator_data, p256, public_keys, recovery, recovery_seeds
from keyctl.core.authenticator_data import Flag
from keyctl.core.public_keys import EDDSA, ES256
from keyctl.device import errors
from keyctl.device.assertions import descriptor
from keyctl.device.commands import Ctap
from keyctl.device.enrolling import NAME, USER_ID_BYTES
from keyctl.errors import KeyctlError, NotFoundError, UnsupportedError
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from keyctl.core.recovery_seeds import RecoverySeed
    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin

_ERR = CtapError.ERR
#: Never the draft's own, 0x0D.
_COMMAND = 0x4B
_EXPORT, _IMPORT, _LIST, _REMOVE = 2, 3, 4, 5

# Parameters, and members of the answers.
_SUBCOMMAND, _ALGORITHMS, _SEED, _PROTOCOL, _AUTH_PARAM, _ALLOW_UNATTESTED, _SEEDS, _STATE = range(1, 9)
# Members of a seed in a list.
_AAGUID, _POINT = 2, 0xFF

#: More than any virtual key takes.
_MAX_LISTED = 16
_MAX_STATE = 2**32 - 1
#: Longer than any ECDSA signature on P-256 in DER.
_MAX_SIGNATURE_BYTES = 80


@dataclass(frozen=True, kw_only=True)
class HeldSeed:
    """A backup key's seed on a primary key."""

    #: Of the backup key.
    aaguid: bytes
    #: S, an uncompressed point.
    point: bytes


@dataclass(frozen=True, kw_only=True)
class HeldSeeds:
    """All that a primary key was given."""

    seeds: tuple[HeldSeed, ...]
    #: How often they changed since the last reset.
    state: int


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A new credential that a backup key made in the place of a lost one; no signature was verified here."""

    auth_data: bytes
    client_data_hash: bytes
    #: Of the new credential's attestation.
    format: str
    #: Which of the recovery credentials signed, see :mod:`keyctl.core.recovery_signature`.
    recovery_id: bytes
    #: By it, DER.
    signature: bytes
    #: The backup key's own counter of seeds that it was given.
    state: int


class RecoverySeedCommands:
    """What the draft lets a backup key and a primary key do.

    A method that sends a command raises, beside what it says:

    * UnsupportedError: the key is no virtual key of this process, or has no draft extension;
    * PinError: the PIN is wrong, blocked or missing, which is known before a touch is asked for;
    * TouchError: nobody touched the key in time;
    * UnreachableError: it is gone, silent, busy, answers nonsense or reports an error.

    Args:
        exchange: The key.
        pin: Its PIN, and what it said of itself.
        in_process: The folder of the virtual key; None: it is not one that runs in this process.
    """

    def __init__(self, exchange: Exchange, pin: KeyPin, in_process: Path | None) -> None:
        """See the class."""
        self._exchange = exchange
        self._pin = pin
        self._in_process = in_process

    @property
    def supported(self) -> bool:
        """Whether the key may be asked, and has the extension; nothing is sent."""
        return self._in_process is not None and recovery.EXTENSION in self._pin.info.extensions

    def require(self) -> None:
        """Refuse all other keys; nothing is sent.

        Raises:
            UnsupportedError: It is one of those.
        """
        if self._in_process is None:
            raise self._unsupported(
                "is not one of keyctl's virtual keys, and no other key has the WebAuthn draft",
                "the draft can be tried out with `keyctl virtual new NAME --profile draft`",
            )
        if not self.supported:
            raise self._unsupported(
                f'does not have the extension "{recovery.EXTENSION}" of the WebAuthn draft',
                "make a virtual key that has it with `keyctl virtual new NAME --profile draft`",
            )

    def roots(self) -> tuple[bytes, ...]:
        """The certificates, DER, that vouch for the seeds of such keys: the test root of the virtual ones.

        Raises:
            StoreError: Its file cannot be used.
        """
        self.require()
        from keyctl.store.files import lock
        from keyctl.virtual import attestation
        from keyctl.virtual.files import SHORT_WAIT_S

        assert self._in_process is not None
        with lock(self._in_process / ".lock", SHORT_WAIT_S):
            return (attestation.root_certificate(self._in_process),)

    def export(self) -> bytes:
        """The key's own seed, made when it was never asked before; with the PIN and a touch.

        Returns:
            The seed in the README's form, canonical CBOR; its attestation was not verified.
        """
        answer = self._send(_EXPORT, {_ALGORITHMS: [recovery.ALG]})
        with errors.understanding(self._label):
            return recovery_seeds.seed_from_map(answer[_SEED]).to_cbor()

    def import_seed(self, seed: RecoverySeed, *, allow_unattested: bool = False) -> None:
        """Give the key the seed of its backup key, with the PIN and a touch; one that it has already is no error.

        Args:
            seed: As :meth:`export` returns it, or in the prototype's form; read.
            allow_unattested: Whether to take one that no trusted certificate vouches for.

        Raises:
            UnsupportedError: Also: there is no room (``key_full``), or nobody vouches for the seed, or another key than
                its own does (``evidence_refused``).
        """
        self.require()
        parameters: dict[int, Any] = {_SEED: seed.to_map()}
        if allow_unattested:
            parameters[_ALLOW_UNATTESTED] = True
        self._send(_IMPORT, parameters)

    def list(self) -> HeldSeeds:
        """The seeds that the key was given, with the PIN."""
        answer = self._send(_LIST, {})
        with errors.understanding(self._label):
            told, state = answer[_SEEDS], answer[_STATE]
            if not isinstance(told, list) or len(told) > _MAX_LISTED:
                raise ValueError("no list of seeds")
            return HeldSeeds(seeds=tuple(_held(one) for one in told), state=_counter(state))

    def remove(self, point: bytes) -> None:
        """Have the key forget the seed of one backup key, with the PIN.

        Args:
            point: S, an uncompressed point.

        Raises:
            NotFoundError: It has no such seed.
        """
        self._send(_REMOVE, {_SEED: {_POINT: point}})

    def recover(self, credential_ids: Sequence[bytes], client_data_hash: bytes, *, rp_id: str = OWN_RP_ID) -> Recovered:
        """Make a credential in the place of a lost one, with the PIN and a touch; it is not discoverable.

        Args:
            credential_ids: Of recovery credentials, of which the key takes the first that is its own.
            client_data_hash: 32 bytes.
            rp_id: The site that they were made for.

        Raises:
            NotFoundError: None of them is of the seed of this key.
        """
        self.require()
        with errors.reported(self._label):
            token = self._pin.unlocked(lambda pins, remembered: pins.token_for_making(remembered, rp_id))
            parameters: dict[int, Any] = {
                1: client_data_hash,
                2: {"id": rp_id, "name": NAME},
                3: {"id": os.urandom(USER_ID_BYTES), "name": NAME, "displayName": NAME},
                4: [{"type": "public-key", "alg": number} for number in (ES256, EDDSA)],
                6: {recovery.EXTENSION: _recovering(credential_ids)},
                8: token.authenticate(client_data_hash),
                9: token.protocol.VERSION,
            }
            try:
                answer = self._exchange.send(Ctap.MAKE_CREDENTIAL, parameters)
            except CtapError as error:
                if error.code == _ERR.NO_CREDENTIALS:
                    raise self._not_its_seed() from error
                raise
        with errors.understanding(self._label):
            return _recovered(answer, rp_id, client_data_hash, credential_ids)

    @property
    def _label(self) -> str:
        return self._exchange.label

    def _send(self, subcommand: int, parameters: Mapping[int, Any]) -> Mapping[Any, Any]:
        """One subcommand, with a token of its own."""
        self.require()
        label = self._label
        with errors.reported(label):
            token = self._pin.unlocked(lambda pins, remembered: pins.token_for_recovery_seeds(remembered))
            message = b"\xff" * 32 + bytes([_COMMAND, subcommand]) + (cbor.encode(parameters) if parameters else b"")
            request = {
                _SUBCOMMAND: subcommand,
                **parameters,
                _PROTOCOL: token.protocol.VERSION,
                _AUTH_PARAM: token.authenticate(message),
            }
            try:
                return self._exchange.send(_COMMAND, request)
            except CtapError as error:
                told = self._refused(error)
                if told is None:
                    raise
                raise told from error

    def _refused(self, error: CtapError) -> KeyctlError | None:
        """What a status means here; None: what it always means."""
        told = self._told(error.code)
        return None if told is None else told.with_details(ctap_status=int(error.code))

    def _told(self, status: int) -> KeyctlError | None:
        label = self._label
        match status:
            case _ERR.INTEGRITY_FAILURE:
                return UnsupportedError(
                    "evidence_refused",
                    f"{label} does not take the seed: nobody vouches for it, or another key than its own does",
                    "export it again from the backup key itself; nothing was changed",
                    key=label,
                )
            case _ERR.KEY_STORE_FULL:
                return UnsupportedError(
                    "key_full",
                    f"{label} has no room for another seed of the WebAuthn draft",
                    "remove a pairing with `keyctl pair remove`",
                    key=label,
                )
            case _ERR.UNSUPPORTED_ALGORITHM:
                return self._unsupported(
                    "does not know the seed's key agreement scheme", "look for another version of the WebAuthn draft"
                )
            case _ERR.NO_CREDENTIALS:
                return NotFoundError(
                    "passkey_not_found",
                    f"{label} does not hold this seed",
                    "it was removed already, or the key was reset since",
                    key=label,
                )
        return None

    def _not_its_seed(self) -> NotFoundError:
        return NotFoundError(
            "passkey_not_found",
            f"{self._label} does not hold the seed of this recovery credential",
            "it is another key than the one that was paired, or was reset since",
            key=self._label,
        )

    def _unsupported(self, what: str, hint: str) -> UnsupportedError:
        return UnsupportedError("unsupported", f"{self._label} {what}", hint, key=self._label)


def _recovering(credential_ids: Sequence[bytes]) -> dict[str, Any]:
    return {"action": "recover", "allowCredentials": [descriptor(credential_id) for credential_id in credential_ids]}


# What follows raises all that code over a hostile answer raises; callers stand in errors.understanding.


def _held(told: Any) -> HeldSeed:
    aaguid, point = told[_AAGUID], told[_POINT]
    if not isinstance(aaguid, bytes) or len(aaguid) != recovery_seeds.AAGUID_BYTES:
        raise ValueError("a seed without an AAGUID")
    if not isinstance(point, bytes) or not p256.on_curve(point):
        raise ValueError("a seed that is not on the curve")
    return HeldSeed(aaguid=aaguid, point=point)


def _counter(told: object) -> int:
    if type(told) is not int or not 0 <= told <= _MAX_STATE:
        raise ValueError("no counter")
    return told


def _recovered(answer: Mapping[Any, Any], rp_id: str, client_data_hash: bytes, asked_for: Sequence[bytes]) -> Recovered:
    """What makeCredential answered (CTAP 2.2, section 6.1.2)."""
    fmt, raw, statement = answer[1], answer[2], answer.get(3, {})
    data = authenticator_data.read(raw)
    if data.rp_id_hash != sha256(rp_id.encode()).digest() or not data.has(Flag.UP | Flag.UV):
        raise ValueError("for another site, or without PIN or touch")
    if data.attested is None or public_keys.canonical(data.attested.public_key) is None:
        raise ValueError("no public key of an algorithm that was asked for")
    output = data.extensions[recovery.EXTENSION]
    recovery_id, signature = output["credId"], output["sig"]
    if output["action"] != "recover" or recovery_id not in asked_for:
        raise ValueError("another recovery than the one that was asked for")
    if not isinstance(signature, bytes) or not 0 < len(signature) <= _MAX_SIGNATURE_BYTES:
        raise ValueError("no recovery signature")
    if not isinstance(fmt, str) or not isinstance(statement, dict):
        raise ValueError("no attestation")  # noqa: TRY004  # one kind of error for whatever is wrong
    return Recovered(
        auth_data=raw,
        client_data_hash=client_data_hash,
        format=fmt,
        recovery_id=recovery_id,
        signature=signature,
        state=_counter(output["state"]),
    )
