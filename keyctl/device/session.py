"""One key, opened: what keyctl can ask of it, in keyctl's own words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from fido2.ctap import CtapError

from keyctl.device import answers, errors
from keyctl.device.commands import CAPABILITY_CBOR, CAPABILITY_WINK, Ctap, Hid, PinStep
from keyctl.device.discover import YUBICO_VENDOR_ID
from keyctl.device.exchange import Exchange
from keyctl.device.identity import key_from
from keyctl.device.key_pin import KeyPin
from keyctl.errors import KeyctlError, PinError, UnsupportedError
from keyctl.model import Access, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from threading import Event
    from types import TracebackType

    from keyctl.device.assertions import Assertion, Assertions
    from keyctl.device.blobs import BlobCommands
    from keyctl.device.discover import Found
    from keyctl.device.enrolling import Enrolment
    from keyctl.device.guard import GuardedDevice
    from keyctl.device.own_credentials import OwnCredentials
    from keyctl.device.passkeys import PasskeyCommands
    from keyctl.device.persistent_token import PersistentTokenCommands
    from keyctl.device.recovery_seeds import RecoverySeedCommands
    from keyctl.device.secrets import SecretCommands
    from keyctl.device.seeds import SeedCommands
    from keyctl.device.u2f import U2fCommands
    from keyctl.model import Key, KeyInfo, Listing, Passkey, PinRetries


class Session:
    """One open key. Made by :func:`keyctl.device.connecting.connect`.

    A method that sends a command raises, beside what it says:

    * UnreachableError: the key is gone, silent, busy, answers nonsense or reports an error;
    * UnsupportedError: it does not know the command;
    * TouchError: nobody touched it in time.

    Args:
        found: How it was found.
        device: The open device; closed with this.
        device_version: Firmware as the transport tells it.
        in_process: The folder of a virtual key that runs in this process; None: any other key, whatever it says it is.
    """

    def __init__(
        self,
        found: Found,
        device: GuardedDevice,
        device_version: tuple[int, ...] | None = None,
        in_process: Path | None = None,
    ) -> None:
        """See the class."""
        self._in_process = in_process
        self._device = device
        self._exchange = Exchange(device, found.selector)
        self._pin = KeyPin(self._exchange, self._read_info())
        self._exchange.max_message_bytes = self.info.limits.max_message_size
        self._u2f_commands: U2fCommands | None = None
        self.key: Key = key_from(found, self.info, access=Access.OK, version=device_version, serial=self._serial(found))

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def commands_sent(self) -> int:
        """Commands so far, getInfo among them."""
        return self._device.commands_sent

    @property
    def bytes_sent(self) -> int:
        """Bytes of all commands so far, without framing."""
        return self._device.bytes_sent

    @property
    def bytes_received(self) -> int:
        """Bytes of all answers so far, without framing."""
        return self._device.bytes_received

    @property
    def info(self) -> KeyInfo:
        """What getInfo said; kept up to date by what is done here."""
        return self._pin.info

    @property
    def is_u2f(self) -> bool:
        """Whether the key knows U2F only: no PIN, no passkeys, and no signature without a touch."""
        return not self._device.capabilities & CAPABILITY_CBOR

    @property
    def has_pin(self) -> bool:
        """Whether a PIN is remembered that the key has not refused."""
        return self._pin.remembered

    @property
    def pin_verdict(self) -> bool | None:
        """Whether the PIN given last was right; False also when the key was blocked by it; None: not tried."""
        return self._pin.verdict

    def identify(self, key: Key) -> None:
        """Note who the key is; from now on all messages name it so."""
        self.key = key
        self._exchange.label = self._device.label = key.label

    def close(self) -> None:
        """End the connection and forget the PIN."""
        self._pin.forget()
        self._device.close()

    def pin_retries(self) -> PinRetries:
        """How many wrong PINs the key still takes."""
        with errors.reported(self._label):
            return self._pin.retries()

    def uv_retries(self) -> int | None:
        """How many more failures the fingerprint reader takes; None: the key does not say."""
        try:
            answer = self._pin.ask(PinStep.GET_UV_RETRIES)
        except CtapError:
            # Keys without a reader, and some with one, do not know the question.
            return None
        return answers.uv_retries_from_ctap(answer, self._label)

    def use_pin(self, pin: str) -> None:
        """Remember the PIN until the connection ends; nothing is sent, so it costs nothing."""
        self._pin.remember(pin)

    def verify_pin(self) -> None:
        """Find out whether the remembered PIN is right; a wrong one costs a try.

        Raises:
            PinError: It is wrong, blocked or missing, or must be changed first.
        """
        self._pin.unlocked(lambda pins, pin: pins.check(pin, listing=self.info.listing))

    def set_pin(self, new: str) -> None:
        """Give the key its first PIN.

        Raises:
            PinError: It has one already, or does not allow this one.
        """
        self._pin.require_support()
        if self.info.pin_set:
            raise PinError(
                "pin_already_set", f"{self._label} has a PIN already", "use `keyctl pin change`", key=self._label
            )
        with errors.reported(self._label):
            self._pin.commands()[1].set(new)
        self._pin.note_new(new)

    def change_pin(self, new: str) -> None:
        """Replace the remembered PIN by *new*; a wrong current one costs a try.

        Raises:
            PinError: The current one is wrong, blocked or missing, or the key does not allow the new one.
        """
        self._pin.unlocked(lambda pins, current: pins.change(current, new), changing=True)
        self._pin.note_new(new)

    def list_passkeys(self) -> Listing:
        """Every passkey that can be read, with one token.

        Raises:
            PinError: The PIN is wrong, blocked or missing.
        """
        with self._passkeys() as passkeys:
            return passkeys.read_all(self.info.remaining_passkeys)

    def read_passkeys_of(self, rp_id_hash: bytes, rp_id: str | None = None) -> tuple[Passkey, ...]:
        """The passkeys of one site.

        Args:
            rp_id_hash: SHA-256 of the RP id, 32 bytes.
            rp_id: The RP id, when it is known; the key does not tell it here.

        Raises:
            PinError: The PIN is wrong, blocked or missing.
        """
        with self._passkeys() as passkeys:
            return passkeys.read_of(rp_id_hash, rp_id)

    def delete_passkey(self, credential_id: bytes) -> None:
        """Delete one passkey.

        Raises:
            NotFoundError: The key has none with this id.
            PinError: The PIN is wrong, blocked or missing.
        """
        with self._passkeys() as passkeys:
            passkeys.delete(credential_id)
        self._pin.note_passkeys_changed()

    def rename_passkey(self, passkey: Passkey, *, user_name: str | None, display_name: str | None) -> None:
        """Replace both names of a passkey; a key replaces them together (CTAP 2.2, section 6.8.6).

        Args:
            passkey: As it was listed.
            user_name: None or empty: it will have none.
            display_name: None or empty: it will have none.

        Raises:
            NotFoundError: The key has none with this id.
            PinError: The PIN is wrong, blocked or missing.
        """
        if self.info.listing_preview:
            raise self._unsupported("can list and delete passkeys but not rename them")
        if passkey.user_id is None:
            raise errors.nonsense(self._label, "a passkey without its user, which cannot be renamed")
        user = {"id": passkey.user_id, "name": user_name or None, "displayName": display_name or None}
        with self._passkeys() as passkeys:
            passkeys.rename(passkey.credential_id, {name: value for name, value in user.items() if value is not None})

    def answering(self, rp_id: str, credential_ids: Sequence[bytes], *, verified: bool = False) -> Assertion | None:
        """A signature without a touch, by the first of many credentials that answers.

        Args:
            rp_id: Of all of them.
            credential_ids: As many as there are; they are split into messages that the key takes.
            verified: Whether to use the remembered PIN, without which some credentials do not answer.

        Returns:
            The signature, not verified yet; None: none of them answered.

        Raises:
            PinError: The key wants its PIN (``pin_required``), or it is wrong, blocked or missing.
        """
        with errors.reported(self._label):
            return next(self._assertions.silent(rp_id, credential_ids, verified=verified), None)

    def all_answering(
        self, rp_id: str, credential_ids: Sequence[bytes], *, verified: bool = False
    ) -> tuple[Assertion, ...]:
        """As :meth:`answering`, one signature of each credential that answers."""
        with errors.reported(self._label):
            return tuple(self._assertions.silent(rp_id, credential_ids, verified=verified))

    def claimed(self, rp_id: str, credential_ids: Sequence[bytes]) -> bytes | None:
        """The first of *credential_ids* that a U2F key says is its own, without proving it.

        Returns:
            None where none is, or where the key takes any id for its own.
        """
        with errors.reported(self._label):
            return self._u2f.claimed(rp_id, credential_ids)

    def touched(
        self, rp_id: str, credential_id: bytes, client_data_hash: bytes | None = None, *, verified: bool = False
    ) -> Assertion:
        """A signature by one credential, with a touch.

        Args:
            rp_id: Of the credential.
            credential_id: Of the credential.
            client_data_hash: What is signed, 32 bytes; None: random ones.
            verified: Whether to use the remembered PIN, for keys that always want it; those with U2F only have none.

        Raises:
            NotFoundError: The credential does not answer.
            PinError: The key wants its PIN (``pin_required``), or it is wrong, blocked or missing.
        """
        with errors.reported(self._label):
            if self.is_u2f:
                return self._u2f.touched(rp_id, credential_id, client_data_hash)
            return self._assertions.touched(rp_id, credential_id, client_data_hash, verified=verified)

    @property
    def enrolment_wants_pin(self) -> bool:
        """Whether :meth:`enrol` needs the PIN."""
        from keyctl.device import enrolling

        return enrolling.wants_pin(self.info)

    def enrol(self, exclude: Sequence[bytes]) -> Enrolment:
        """Make the credential by which the key is known again, with a touch, and see that it answers.

        Args:
            exclude: Ids of such credentials that are on file.

        Raises:
            NotFoundError: The key holds one of these (``key_known``).
            PinError: It wants its PIN (``pin_required``), or that is wrong, blocked or missing.
            UnreachableError: What it made does not answer (``key_nonsense``).
        """
        from keyctl.device import enrolling

        with errors.reported(self._label):
            return self._u2f.enrol(exclude) if self.is_u2f else enrolling.enrol(self._exchange, self._pin, exclude)

    @property
    def seeds(self) -> SeedCommands:
        """The seeds of a backup key."""
        from keyctl.device.seeds import SeedCommands

        return SeedCommands(self._exchange, self._pin)

    @property
    def blobs(self) -> BlobCommands:
        """The large blobs, which the sites share with keyctl."""
        from keyctl.device.blobs import BlobCommands

        return BlobCommands(self._exchange, self._pin)

    @property
    def persistent_token(self) -> PersistentTokenCommands:
        """The token that reads the passkeys without the PIN."""
        from keyctl.device.persistent_token import PersistentTokenCommands

        return PersistentTokenCommands(self._exchange, self._pin)

    @property
    def own_credentials(self) -> OwnCredentials:
        """The passkeys that keyctl made for itself, as the places where pairings are kept."""
        from keyctl.device.own_credentials import OwnCredentials

        return OwnCredentials(self._exchange, self._pin)

    @property
    def secrets(self) -> SecretCommands:
        """The secrets of hmac-secret; they are the private half of a seed, so not for this process to ask for."""
        from keyctl.device.secrets import SecretCommands

        return SecretCommands(self._exchange, self._pin)

    @property
    def recovery_seeds(self) -> RecoverySeedCommands:
        """The seeds of the WebAuthn draft extension "recovery"; only virtual keys in this process have any."""
        from keyctl.device.recovery_seeds import RecoverySeedCommands

        return RecoverySeedCommands(self._exchange, self._pin, self._in_process)

    def reset(self) -> None:
        """Erase everything, after a touch.

        Raises:
            UnsupportedError: The key was plugged in too long ago (``reset_not_now``).
        """
        if self.is_u2f:
            raise self._unsupported("cannot be reset: it only knows U2F")
        try:
            self._exchange.send(Ctap.RESET)
        except CtapError as error:
            raise errors.reset_error_from_ctap(error, self._label) from error
        self._pin.note_reset()

    def wink(self) -> None:
        """Have the key blink for a moment (CTAP 2.2, section 11.2.9.2.1); nothing on it changes."""
        if self.key.transport is not Transport.USB or not self._device.capabilities & CAPABILITY_WINK:
            raise self._unsupported("cannot blink when it is told to", "only keys on USB do, and not all of them")
        with errors.reported(self._label):
            self._device.call(Hid.WINK)

    def wait_for_touch(self, cancel: Event) -> bool:
        """Whether the key was touched before *cancel* was set; see :func:`keyctl.device.selection.wait_for_touch`."""
        from keyctl.device import selection

        return selection.wait_for_touch(self._exchange, self.info, cancel)

    @property
    def _label(self) -> str:
        return self._exchange.label

    def _read_info(self) -> KeyInfo:
        if self.is_u2f:
            return answers.u2f_info()
        with errors.reported(self._label):
            return answers.key_info_from_ctap(self._exchange.send(Ctap.GET_INFO), self._label)

    def _serial(self, found: Found) -> str | None:
        if found.transport is not Transport.USB or found.vendor_id != YUBICO_VENDOR_ID:
            return found.serial
        try:
            config = self._device.call(Hid.YUBIKEY_CONFIG, b"\0")
        except (CtapError, KeyctlError):
            # Older ones do not know the command, and the number is a hint only.
            return found.serial
        return answers.yubikey_serial_from_config(config) or found.serial

    @contextmanager
    def _passkeys(self) -> Iterator[PasskeyCommands]:
        with errors.reported(self._label):
            from keyctl.device import passkeys

            yield passkeys.unlocked(self._exchange, self._pin)

    @property
    def _assertions(self) -> Assertions:
        if self.is_u2f:
            raise self._unsupported("signs nothing without a touch: it only knows U2F")
        from keyctl.device.assertions import Assertions

        return Assertions(self._exchange, self._pin)

    @property
    def _u2f(self) -> U2fCommands:
        if self._u2f_commands is None:
            from keyctl.device.u2f import U2fCommands

            self._u2f_commands = U2fCommands(self._device)
        return self._u2f_commands

    def _unsupported(self, what: str, hint: str = "`keyctl info` shows what it can do") -> UnsupportedError:
        return UnsupportedError("unsupported", f"{self._label} {what}", hint, key=self._label)
