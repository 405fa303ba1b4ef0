"""USB keys on Linux: found in sysfs without opening anything, and opened so that nothing waits for ever.

Any user may read sysfs. python-fido2's own listing opens every node, and loses keys that it may not open or whose name
is not UTF-8.
"""

from __future__ import annotations

import errno
import os
import re
import select
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SYS = Path("/sys")
DEV = Path("/dev")

#: Keys in a command send something every 0.1 s (CTAP 2.2, section 11.2.9.1.7); one that is silent for so long is dead.
SILENCE_S = 12.0

_NODE = re.compile(r"hidraw([0-9]{1,9})")
_MAX_FILE_BYTES = 8192
_FIDO_USAGE_PAGE = 0xF1D0
_FIDO_USAGE = 0x01
#: A frame has a header of 7 bytes (CTAP 2.2, section 11.2.4); no HID report is longer than 1024.
_REPORT_SIZES = range(8, 1025)


@dataclass(frozen=True, kw_only=True)
class HidNode:
    """One hidraw node that is a security key."""

    path: Path
    #: What sysfs says sits behind the node; the number at its end changes with every plugging in.
    device_path: str
    #: ``MAJOR:MINOR``.
    device_number: str
    #: Bytes of one report from and to the key.
    report_size_in: int
    report_size_out: int
    #: Hostile text, all of it.
    name: str | None
    serial: str | None
    vendor_id: int | None
    product_id: int | None


def nodes(sys_root: Path = SYS, dev_root: Path = DEV) -> Iterator[HidNode]:
    """The security keys among the hidraw nodes, by number.

    Args:
        sys_root: Where sysfs is mounted.
        dev_root: Where the device nodes are.
    """
    try:
        names = [entry.name for entry in (sys_root / "class" / "hidraw").iterdir()]
    except OSError:
        return
    numbered = sorted((int(match[1]), name) for name in names if (match := _NODE.fullmatch(name)))
    for _, name in numbered:
        found = node(dev_root / name, sys_root)
        if found is not None:
            yield found


def node(path: Path, sys_root: Path = SYS) -> HidNode | None:
    """What sysfs says of the node *path*; None when it is not there, or no security key."""
    folder = sys_root / "class" / "hidraw" / path.name
    try:
        sizes = report_sizes(_read(folder / "device" / "report_descriptor"))
        if sizes is None:
            return None
        facts = _uevent(_read(folder / "device" / "uevent"))
        device_number = _read(folder / "dev").decode("ascii", errors="replace").strip()
        device_path = os.path.realpath(folder / "device", strict=True)
    except OSError:
        # Unplugged while we looked.
        return None
    vendor_id, product_id = _vendor_and_product(facts.get("HID_ID", ""))
    return HidNode(
        path=path,
        device_path=device_path,
        device_number=device_number,
        report_size_in=sizes[0],
        report_size_out=sizes[1],
        name=facts.get("HID_NAME") or None,
        serial=facts.get("HID_UNIQ") or None,
        vendor_id=vendor_id,
        product_id=product_id,
    )


def report_sizes(descriptor: bytes) -> tuple[int, int] | None:
    """Bytes of the input and of the output report when *descriptor* is a security key's, else None.

    Reads what it needs of the HID report descriptor language (Device Class Definition for HID 1.11, section 6.2.2):
    the first application collection's usage, and the sizes of its reports.
    """
    usage_page = usage = size = count = 0
    depth = 0
    is_key = False
    inputs = outputs = 0
    for tag, value in _items(descriptor):
        match tag:
            case 0x04:
                usage_page = value
            case 0x08:
                usage = usage or value
            case 0x74:
                size = value
            case 0x94:
                count = value
            case 0xA0:
                if depth == 0:
                    # A usage of four bytes brings its page along.
                    full = usage if usage > 0xFFFF else usage_page << 16 | usage
                    is_key = full == _FIDO_USAGE_PAGE << 16 | _FIDO_USAGE
                depth += 1
                usage = 0
            case 0xC0:
                depth -= 1
            case 0x80:
                inputs = inputs or (size * count // 8 if is_key else 0)
                usage = 0
            case 0x90:
                outputs = outputs or (size * count // 8 if is_key else 0)
                usage = 0
            case _:
                pass
    if inputs in _REPORT_SIZES and outputs in _REPORT_SIZES:
        return inputs, outputs
    return None


class HidrawConnection:
    """Reports to and from one open hidraw node.

    Args:
        path: The node.
        device_path: What it was when it was found; numbers are given out again after a key was pulled.
        sys_root: Where sysfs is mounted.
        silence_s: When a read gives up.

    Raises:
        OSError: It cannot be opened, or is another device by now (ENODEV).
    """

    def __init__(
        self, path: str, device_path: str | None, *, sys_root: Path = SYS, silence_s: float = SILENCE_S
    ) -> None:
        """See the class."""
        self._silence_s = silence_s
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            # After opening: from here on the number cannot be given to another device.
            now = node(Path(path), sys_root)
            number = os.fstat(self._descriptor).st_rdev
            if now is None or now.device_number != f"{os.major(number)}:{os.minor(number)}":
                raise _gone()
            if device_path not in {None, now.device_path}:
                raise _gone()
        except OSError:
            os.close(self._descriptor)
            raise
        self._size_in = now.report_size_in
        self.report_size = now.report_size_out

    def write_packet(self, packet: bytes) -> None:
        """Send one report of :attr:`report_size` bytes.

        Raises:
            OSError: The key was pulled.
        """
        # hidraw wants the report number first; FIDO keys have one report, number 0.
        report = b"\0" + packet
        if os.write(self._descriptor, report) != len(report):
            raise OSError("the report was not sent whole")

    def read_packet(self) -> bytes:
        """The next report, as the key sent it; it may be too short.

        Raises:
            TimeoutError: The key is silent.
            OSError: The key was pulled.
        """
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(self._silence_s * 1000):
            raise TimeoutError
        packet = os.read(self._descriptor, self._size_in)
        if not packet:
            raise _gone()
        return packet

    def close(self) -> None:
        """Close the node."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _items(descriptor: bytes) -> Iterator[tuple[int, int]]:
    """The short items, tag with type bits and value; stops where the descriptor makes no sense."""
    rest = descriptor
    while rest:
        prefix, rest = rest[0], rest[1:]
        if prefix == 0xFE:
            # A long item: its length, its tag, its data. None is defined.
            rest = rest[2 + rest[0] :] if rest else b""
            continue
        length = (0, 1, 2, 4)[prefix & 0x03]
        if len(rest) < length:
            return
        yield prefix & 0xFC, int.from_bytes(rest[:length], "little")
        rest = rest[length:]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES)


def _uevent(content: bytes) -> dict[str, str]:
    """The assignments in a uevent file; the first of each name, as a hostile name may bring lines of its own."""
    facts: dict[str, str] = {}
    for line in content.decode("utf-8", errors="replace").split("\n"):
        name, _, value = line.partition("=")
        facts.setdefault(name, value)
    return facts


def _vendor_and_product(hid_id: str) -> tuple[int | None, int | None]:
    """The numbers in ``BUS:VENDOR:PRODUCT``, like ``0003:00001050:00000407``."""
    try:
        _, vendor, product = (int(part, 16) for part in hid_id.split(":"))
    except ValueError:
        return None, None
    return vendor, product


def _gone() -> OSError:
    return OSError(errno.ENODEV, os.strerror(errno.ENODEV))
