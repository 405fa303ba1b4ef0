"""A security key on a card reader: python-fido2's device, with limits, and with errors that say what is wrong."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from fido2.ctap import STATUS, CtapError
from fido2.pcsc import CtapPcscDevice
from smartcard.Exceptions import CardConnectionException, SmartcardException
from smartcard.pcsc.PCSCExceptions import BaseSCardException
from smartcard.pcsc.PCSCReader import PCSCReader

from keyctl.device import errors
from keyctl.device.commands import Ctap, Hid
from keyctl.device.readers import check_service, stopped
from keyctl.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

logging.getLogger("fido2").addHandler(logging.NullHandler())
logging.getLogger("fido2").propagate = False

# Results of PC/SC functions (PC/SC specification, part 5; the same numbers on all platforms).
_E_SHARING_VIOLATION = 0x8010000B
_W_UNRESPONSIVE_CARD = 0x80100066
_W_UNPOWERED_CARD = 0x80100067
_W_RESET_CARD = 0x80100068
_SERVICE_GONE = {0x8010001D, 0x8010001E}
#: What a reader says of a card that just arrived and is not ready.
_WARM_UP = {_W_UNRESPONSIVE_CARD, _W_UNPOWERED_CARD, _W_RESET_CARD}

#: More than any CTAP answer: a card may announce "more data" for ever.
_MAX_ANSWER_BYTES = 65536
_MAX_EXCHANGES = 100_000
#: The readers whose card this program has open.
_in_use: set[str] = set()
_in_use_lock = threading.Lock()
#: Some cards send the CTAP status in the second byte of status word 64xx.
_SW1_CTAP_STATUS = 0x64
_SUCCESS = b"\0"


class CardDevice(CtapPcscDevice):
    """A key on a card reader.

    The constructor asks for getInfo, to find out whether the card knows CTAP2; the first getInfo afterwards is answered
    from that. The connection is shared with other programs, and lasts until :meth:`close`: ending it takes the card's
    power, and with it touch and tokens. So this program has one connection to a card at a time: looking for another key
    must not end the work with this one.

    Args:
        reader: The reader's name.
        label: The word people know the key by.

    Raises:
        UnreachableError: There is no security key on the reader (``no_card``), it was taken away, or another program,
            or this one, holds the reader (``reader_busy``).
    """

    def __init__(self, reader: str, label: str) -> None:
        """See the class."""
        #: What errors call the key; it changes when the key is recognised.
        self.label = label
        self._status_word = 0
        self._exchanges = 0
        self._received = 0
        self._probing = True
        self._first_info: bytes | None = None
        self._taken: str | None = None
        # pyscard's connection leaves an exception behind on standard error when the service is not there.
        check_service()
        self._take(reader)
        try:
            connection = PCSCReader(reader).createConnection()
        except (SmartcardException, BaseSCardException) as error:
            self._give_back()
            raise stopped().about(label) from error
        try:
            super().__init__(connection, reader)
        except (SmartcardException, BaseSCardException) as error:
            self.close()
            raise self._translated(error) from error
        except ValueError as error:
            self.close()
            raise self._no_key() from error
        except UnreachableError:
            self.close()
            raise
        self._probing = False

    def connect(self) -> None:
        """Power the card up and select the FIDO application, with one more try for a card that is not ready.

        Raises:
            UnreachableError: As the constructor.
        """
        try:
            self._power_up_and_select()
        except CardConnectionException as error:
            if _result(error) not in _WARM_UP:
                raise
            self._power_up_and_select()

    def apdu_exchange(self, apdu: bytes, protocol: int | None = None) -> tuple[bytes, int, int]:
        """Send one command of the card's own language.

        Raises:
            CardConnectionException: The card is gone, or another program interfered.
            UnreachableError: It sends without end (``key_nonsense``).
        """
        self._exchanges += 1
        if self._exchanges > _MAX_EXCHANGES or self._received > _MAX_ANSWER_BYTES:
            raise errors.nonsense(self.label, "without end")
        answer, sw1, sw2 = super().apdu_exchange(apdu, protocol)
        self._received += len(answer)
        self._status_word = sw1 << 8 | sw2
        return answer, sw1, sw2

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Send one command and return the answer.

        Raises:
            CtapError: The card's status word says that it failed.
            UnreachableError: The card is gone, or another program interfered.
        """
        self._exchanges = self._received = 0
        is_info = cmd == Hid.CBOR and data == bytes([Ctap.GET_INFO])
        if is_info and self._first_info is not None:
            answer, self._first_info = self._first_info, None
            return answer
        try:
            answer = super().call(cmd, data, event, on_keepalive)
        except CtapError as error:
            sw1, sw2 = divmod(self._status_word, 0x100)
            if sw1 == _SW1_CTAP_STATUS and sw2:
                raise CtapError(sw2) from error
            raise
        except (SmartcardException, BaseSCardException) as error:
            raise self._translated(error) from error
        if is_info and self._probing:
            if answer[:1] == bytes([CtapError.ERR.INVALID_COMMAND]):
                # Not all keys that know U2F only say so in the status word, which is where the library looks.
                raise CtapError(CtapError.ERR.INVALID_COMMAND)
            self._first_info = answer
        if answer == _SUCCESS and cmd == Hid.CBOR and data[0] == Ctap.RESET:
            # One key answers nothing after a reset until its application is selected again. If that fails, the next
            # command tells: the reset itself is done.
            with contextlib.suppress(SmartcardException, UnreachableError):
                self._select()
        return answer

    def close(self, release: bool = True) -> None:
        """End the power session."""
        try:
            super().close(release)
        except (SmartcardException, BaseSCardException):
            # The card or the service is gone: there is nothing left to end.
            return
        finally:
            self._give_back()

    def _take(self, reader: str) -> None:
        with _in_use_lock:
            if reader in _in_use:
                raise UnreachableError(
                    "reader_busy",
                    f"{self.label} holds a key that keyctl is working with",
                    "put the other key on another reader, or wait until keyctl is done with this one",
                    key=self.label,
                )
            _in_use.add(reader)
        self._taken = reader

    def _give_back(self) -> None:
        if self._taken is not None:
            with _in_use_lock:
                _in_use.discard(self._taken)
            self._taken = None

    def _power_up_and_select(self) -> None:
        self._conn.connect()
        self._select()

    def _select(self) -> None:
        try:
            super()._select()
        except ValueError as error:
            raise self._no_key() from error

    def _no_key(self) -> UnreachableError:
        return UnreachableError(
            "no_card",
            f"the card on {self.label} is no security key",
            "put the key on the reader and leave it there; some keys switch NFC off until they were plugged in once",
            key=self.label,
        )

    def _translated(self, error: SmartcardException | BaseSCardException) -> UnreachableError:
        result = _result(error)
        if result in _SERVICE_GONE:
            return stopped().about(self.label)
        if result in {_E_SHARING_VIOLATION, _W_RESET_CARD}:
            return UnreachableError(
                "reader_busy",
                f"another program holds {self.label}, often scdaemon of GnuPG",
                "end it, for scdaemon with `gpgconf --kill scdaemon`, and try again",
                key=self.label,
            )
        if result in _WARM_UP:
            return UnreachableError(
                "key_silent",
                f"the card on {self.label} does not answer",
                "take it off the reader and put it back",
                key=self.label,
            )
        return errors.removed(self.label)


def _result(error: SmartcardException | BaseSCardException) -> int:
    """The PC/SC result, as the unsigned number that the specification has."""
    return int(error.hresult) & 0xFFFFFFFF
