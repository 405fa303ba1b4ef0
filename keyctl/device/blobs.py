"""Large blobs (CTAP 2.2, section 6.10): reading the array that all sites share, and changing one entry of it.

A key takes a new array in parts and puts it in the place of the old one when the last part has come with the right
checksum, so that what is interrupted before leaves the old one.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.device import blob_array, errors
from keyctl.device.commands import Ctap
from keyctl.device.exchange import MAX_MESSAGE_BYTES
from keyctl.errors import KeyctlError, UnreachableError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keyctl.device.blob_array import BlobArray
    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.pins import Token

#: What a message has beside a part of the array.
_OVERHEAD_BYTES = 64
#: The least that a key with large blobs has.
_MIN_ARRAY_BYTES = 1024
_MAC_PREFIX = b"\xff" * 32 + b"\x0c\x00"
_OFFSET_BYTES = 4

# Parameters and answer.
_GET, _SET, _OFFSET, _LENGTH, _MAC, _PROTOCOL = range(1, 7)
_FRAGMENT = 0x01

_UNCHANGED = "what is stored there is as it was"
_UNSURE = "whether the new data is stored there now is not known"
_UNREAD = "the new data was sent, but reading it back failed"


class BlobCommands:
    """The large blobs of one key.

    A method that sends a command raises, beside what it says:

    * UnsupportedError: the key has no large blobs;
    * UnreachableError: it is gone, silent, busy, answers nonsense or reports an error; the checksum of its array is
      wrong (``key_nonsense``), which is never written over.

    Args:
        exchange: The key.
        pin: Its PIN, and what it said of itself.
    """

    def __init__(self, exchange: Exchange, pin: KeyPin) -> None:
        """See the class."""
        self._exchange = exchange
        self._pin = pin

    @property
    def supported(self) -> bool:
        """Whether the key has large blobs, and keys to them for its passkeys; nothing is sent."""
        info = self._pin.info
        return info.options.get("largeBlobs", False) and "largeBlobKey" in info.extensions

    @property
    def capacity(self) -> int:
        """How many bytes of the array fit on the key."""
        return self._pin.info.limits.max_large_blob_array or _MIN_ARRAY_BYTES

    def read(self) -> BlobArray:
        """The array; it needs no PIN."""
        with errors.reported(self._label):
            content = self._read()
        try:
            return blob_array.parse(content)
        except blob_array.ChecksumError as error:
            raise UnreachableError(
                "key_nonsense",
                f"the large blobs of {self._label} are damaged: their checksum is wrong",
                "nothing is written over them; unplug the key and try again, and if it stays, ask who else writes "
                "there, a browser perhaps",
                key=self._label,
            ) from error
        except ValueError as error:
            raise errors.nonsense(self._label, "large blobs that cannot be understood") from error

    def find(self, key: bytes) -> bytes | None:
        """What is stored under the largeBlobKey *key*, 32 bytes; None: nothing.

        Raises:
            UnreachableError: Also: it cannot be unpacked (``key_nonsense``).
        """
        return self.finder()(key)

    def finder(self) -> Callable[[bytes], bytes | None]:
        """:meth:`find` for several keys: the array is read once, with the first of them."""
        read = functools.cache(self.read)

        def find(key: bytes) -> bytes | None:
            array = read()
            try:
                return array.find(key)
            except ValueError as error:
                raise errors.nonsense(self._label, "with stored data that cannot be unpacked") from error

        return find

    def require_room(self, content_bytes: int) -> None:
        """Find out whether so many bytes fit beside what is there, before anything is made for them.

        Raises:
            UnsupportedError: They do not (``key_full``).
        """
        self._require_room(self.read().bytes_with(content_bytes))

    def write(self, key: bytes, content: bytes) -> None:
        """Store *content* under the largeBlobKey *key*, in the place of what is there; it is read back.

        Everything else stays as it is. An error says what is on the key then.

        Raises:
            UnsupportedError: There is no room for it (``key_full``).
            PinError: The PIN is wrong, blocked or missing.
        """
        self._write(self.read().with_content(key, content))

    def remove(self, key: bytes) -> bool:
        """Remove what is stored under the largeBlobKey *key*; everything else stays as it is.

        Returns:
            Whether there was something.

        Raises:
            PinError: The PIN is wrong, blocked or missing.
        """
        array = self.read()
        if not array.holds(key):
            return False
        self._write(array.without(key))
        return True

    @property
    def _label(self) -> str:
        return self._exchange.label

    @property
    def _fragment_bytes(self) -> int:
        """CTAP 2.2, section 6.10.1, maxFragmentLength."""
        return min(self._pin.info.limits.max_message_size, MAX_MESSAGE_BYTES) - _OVERHEAD_BYTES

    def _read(self) -> bytes:
        """The array as it is on the key, not checked; raises CtapError."""
        if not self.supported:
            raise UnsupportedError(
                "unsupported",
                f"{self._label} has no large blobs, so nothing can be stored on it",
                "`keyctl info` shows what it can do",
                key=self._label,
            )
        content, count = b"", self._fragment_bytes
        while len(content) <= min(self.capacity, blob_array.MAX_BYTES):
            answer = self._exchange.send(Ctap.LARGE_BLOBS, {_GET: count, _OFFSET: len(content)})
            fragment = answer.get(_FRAGMENT)
            if not isinstance(fragment, bytes) or len(fragment) > count:
                raise errors.nonsense(self._label, "without the part of its large blobs that it was asked for")
            content += fragment
            if len(fragment) < count:
                return content
        raise errors.nonsense(self._label, "more large blobs than it has room for")

    def _require_room(self, wanted: int) -> None:
        if wanted > self.capacity:
            raise UnsupportedError(
                "key_full",
                f"{self._label} has no room for this: {wanted} bytes of large blobs, and {self.capacity} fit",
                "remove something that is stored there, such as another pairing",
                key=self._label,
            )

    def _write(self, array: BlobArray) -> None:
        content = array.content
        self._require_room(len(content))
        token = self._pin.unlocked(lambda pins, remembered: pins.token_for_blobs(remembered))
        size = self._fragment_bytes
        for offset in range(0, len(content), size):
            last = offset + size >= len(content)
            with self._saying(_UNSURE if last else _UNCHANGED, refused=_UNCHANGED):
                self._send(token, offset, content[offset : offset + size], len(content))
        with self._saying(_UNREAD, refused=_UNREAD):
            if self._read() != content:
                raise errors.nonsense(self._label, "other large blobs than were just written")

    def _send(self, token: Token, offset: int, fragment: bytes, length: int) -> None:
        message = _MAC_PREFIX + offset.to_bytes(_OFFSET_BYTES, "little") + sha256(fragment).digest()
        parameters: dict[int, Any] = {
            _SET: fragment,
            _OFFSET: offset,
            _MAC: token.authenticate(message),
            _PROTOCOL: token.protocol.VERSION,
        }
        if offset == 0:
            parameters[_LENGTH] = length
        self._exchange.send(Ctap.LARGE_BLOBS, parameters)

    @contextmanager
    def _saying(self, fate: str, *, refused: str) -> Iterator[None]:
        """Around one step of writing: what fails says what is on the key then.

        Args:
            fate: After whatever happened.
            refused: Where the key itself reported the failure.
        """
        try:
            yield
        except CtapError as error:
            raise errors.error_from_ctap(error, self._label).continued(refused) from error
        except KeyctlError as error:
            raise error.continued(fate) from error
