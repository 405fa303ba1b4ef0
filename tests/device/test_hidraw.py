"""Finding and opening keys among hidraw nodes, on a tree like sysfs and on real character devices."""

from __future__ import annotations

import os
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.device import discover, hidraw
from keyctl.device.ctaphid import HidDevice
from keyctl.model import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

# HID usage page 0xF1D0, usage 1, 64 bytes in and 64 bytes out (CTAP 2.2, section 11.2.8.2).
KEY = bytes.fromhex("06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0")
MOUSE = bytes.fromhex(
    "05010902a1010901a100050919012903150025019503750181029501750581030501093009311581257f750895028106c0c0"
)
#: The keyboard interface of a YubiKey begins like this: not a security key.
KEYBOARD = bytes.fromhex(
    "05010906a101050719e029e71500250175019508810295017508810195057501050819012905910295017503910195067508150026ff000507190029ff8100c0"
)


class Tree:
    """A sysfs and a /dev of the tests' own."""

    def __init__(self, root: Path) -> None:
        self.sys = root / "sys"
        self.dev = root / "dev"
        self.dev.mkdir()
        (self.sys / "class" / "hidraw").mkdir(parents=True)

    def plug(
        self,
        number: int,
        descriptor: bytes = KEY,
        uevent: bytes = b"HID_ID=0003:00001050:00000407\nHID_NAME=Yubico YubiKey\nHID_UNIQ=\n",
        node: str = "/dev/null",
        instance: str = "0003:1050:0407.0001",
    ) -> Path:
        """A node *number* that leads to the character device *node*."""
        device = self.sys / "devices" / instance
        device.mkdir(parents=True, exist_ok=True)
        (device / "report_descriptor").write_bytes(descriptor)
        (device / "uevent").write_bytes(uevent)
        folder = self.sys / "class" / "hidraw" / f"hidraw{number}"
        folder.mkdir()
        (folder / "device").symlink_to(device)
        status = Path(node).stat()
        (folder / "dev").write_text(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}\n")
        (self.dev / f"hidraw{number}").symlink_to(node)
        return self.dev / f"hidraw{number}"

    def found(self) -> list[discover.Found]:
        return discover.linux_usb_keys([], self.sys, self.dev)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_only_security_keys_are_found_in_the_order_of_their_numbers(tree: Tree) -> None:
    tree.plug(10, instance="0003:1050:0407.000A")
    tree.plug(2, instance="0003:1050:0407.0002")
    tree.plug(3, descriptor=MOUSE, instance="0003:046D:C077.0003")
    tree.plug(4, descriptor=KEYBOARD, instance="0003:1050:0407.0004")
    assert [found.path for found in tree.found()] == [str(tree.dev / "hidraw2"), str(tree.dev / "hidraw10")]


def test_name_serial_and_numbers_come_from_sysfs(tree: Tree) -> None:
    tree.plug(0, uevent=b"DRIVER=hid-generic\nHID_ID=0003:000020A0:000042B2\nHID_NAME=Nitrokey 3\nHID_UNIQ=ABC1\n")
    (found,) = tree.found()
    assert (found.product, found.serial, found.vendor_id, found.product_id) == ("Nitrokey 3", "ABC1", 0x20A0, 0x42B2)
    assert found.selector == f"usb:{tree.dev}/hidraw0"
    assert found.access is None


def test_a_name_that_is_not_utf8_does_not_hide_the_key(tree: Tree) -> None:
    tree.plug(0, uevent=b"HID_ID=0003:00001234:00005678\nHID_NAME=\xff\xfe key\nHID_UNIQ=\n")
    (found,) = tree.found()
    assert found.product == "�� key"
    assert found.serial is None


def test_a_line_break_in_the_name_cannot_change_the_vendor(tree: Tree) -> None:
    tree.plug(0, uevent=b"HID_ID=0003:00001234:00005678\nHID_NAME=evil\nHID_ID=0003:00001050:00000407\n")
    assert tree.found()[0].vendor_id == 0x1234


@pytest.mark.parametrize("hid_id", [b"", b"HID_ID=\n", b"HID_ID=0003:zz:1\n", b"HID_ID=1:2\n", b"HID_ID=1:2:3:4\n"])
def test_a_key_without_readable_numbers_is_found_all_the_same(tree: Tree, hid_id: bytes) -> None:
    tree.plug(0, uevent=hid_id)
    assert tree.found()[0].vendor_id is None


def test_a_key_that_may_not_be_opened_is_listed_as_denied(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.plug(0)
    # The operating system's answer: root may open everything.
    monkeypatch.setattr(os, "access", lambda *_args, **_more: False)
    assert tree.found()[0].access is Access.DENIED


def test_a_key_without_a_node_is_a_problem_and_no_key(tree: Tree) -> None:
    tree.plug(0).unlink()
    problems: list[discover.KeyctlError] = []
    assert discover.linux_usb_keys(problems, tree.sys, tree.dev) == []
    assert [problem.code for problem in problems] == ["access_denied"]


def test_a_machine_without_hidraw_has_no_keys(tmp_path: Path) -> None:
    assert discover.linux_usb_keys([], tmp_path, tmp_path) == []


def test_a_key_that_is_pulled_while_sysfs_is_read_is_no_key(tree: Tree) -> None:
    tree.plug(0)
    (tree.sys / "devices" / "0003:1050:0407.0001" / "uevent").unlink()
    assert tree.found() == []


def test_report_sizes_are_those_of_the_descriptor() -> None:
    assert hidraw.report_sizes(KEY) == (64, 64)
    assert hidraw.report_sizes(KEY.replace(b"\x95\x40\x91", b"\x95\x20\x91")) == (64, 32)


def test_a_usage_of_four_bytes_brings_its_page_along() -> None:
    assert hidraw.report_sizes(KEY.replace(bytes.fromhex("06d0f10901"), bytes.fromhex("0b0100d0f1"))) == (64, 64)


def test_a_long_item_is_skipped() -> None:
    assert hidraw.report_sizes(bytes.fromhex("fe0300aabbcc") + KEY) == (64, 64)


@pytest.mark.parametrize(
    "bad", [b"", KEY[:10], KEY.replace(b"\x95\x40", b"\x95\x00"), KEY.replace(b"\x95\x40", b"\x95\x03")]
)
def test_reports_too_small_or_missing_make_no_key(bad: bytes) -> None:
    assert hidraw.report_sizes(bad) is None


@given(st.binary(max_size=200))
def test_any_descriptor_gives_sizes_or_none(descriptor: bytes) -> None:
    sizes = hidraw.report_sizes(descriptor)
    assert sizes is None or all(8 <= size <= 1024 for size in sizes)


@given(st.integers(0, len(KEY) - 1), st.integers(0, 255))
def test_a_mutated_descriptor_gives_sizes_or_none(position: int, value: int) -> None:
    mutated = KEY[:position] + bytes([value]) + KEY[position + 1 :]
    sizes = hidraw.report_sizes(mutated)
    assert sizes is None or all(8 <= size <= 1024 for size in sizes)


class Wire:
    """A terminal device as a hidraw node: what is written at one end is read at the other, unchanged."""

    def __init__(self) -> None:
        self.key_end, self._host_end = os.openpty()
        tty.setraw(self._host_end)
        self.node = os.ttyname(self._host_end)

    def close(self) -> None:
        for end in (self.key_end, self._host_end):
            if end >= 0:
                os.close(end)
        self.key_end = self._host_end = -1


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def test_reports_pass_in_both_directions_with_a_report_number_on_the_way_out(tree: Tree, wire: Wire) -> None:
    path = tree.plug(0, node=wire.node)
    connection = hidraw.HidrawConnection(str(path), tree.found()[0].device_path, sys_root=tree.sys)
    try:
        connection.write_packet(b"\x11" * 64)
        assert os.read(wire.key_end, 100) == b"\0" + b"\x11" * 64
        os.write(wire.key_end, b"\x22" * 64)
        assert connection.read_packet() == b"\x22" * 64
    finally:
        connection.close()


def test_a_channel_is_opened_over_a_real_device_node(tree: Tree, wire: Wire) -> None:
    path = tree.plug(0, node=wire.node)

    def answer() -> None:
        request = os.read(wire.key_end, 65)[1:]
        os.write(
            wire.key_end,
            (
                request[:7].replace(b"\x00\x08", b"\x00\x11") + request[7:15] + bytes.fromhex("0000000102050403 05")
            ).ljust(64, b"\0"),
        )

    key = threading.Thread(target=answer)
    key.start()
    connection = hidraw.HidrawConnection(str(path), None, sys_root=tree.sys)
    device = HidDevice(connection, connection.report_size, "usb:test")
    key.join()
    assert device.device_version == (5, 4, 3)
    device.close()


def test_a_silent_node_is_given_up(tree: Tree, wire: Wire) -> None:
    path = tree.plug(0, node=wire.node)
    connection = hidraw.HidrawConnection(str(path), None, sys_root=tree.sys, silence_s=0.01)
    with pytest.raises(TimeoutError):
        connection.read_packet()
    connection.close()
    connection.close()


def test_a_number_that_went_to_another_device_is_refused(tree: Tree) -> None:
    path = tree.plug(0)
    with pytest.raises(OSError, match="No such device"):
        hidraw.HidrawConnection(str(path), "/sys/devices/0003:1050:0407.0099", sys_root=tree.sys)


def test_a_node_that_is_another_device_than_sysfs_says_is_refused(tree: Tree) -> None:
    path = tree.plug(0)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="No such device"):
        hidraw.HidrawConnection(str(path), None, sys_root=tree.sys)


def test_a_node_that_is_gone_from_sysfs_is_refused(tree: Tree) -> None:
    path = tree.plug(0)
    (tree.sys / "class" / "hidraw" / "hidraw0" / "dev").unlink()
    with pytest.raises(OSError, match="No such device"):
        hidraw.HidrawConnection(str(path), None, sys_root=tree.sys)


def test_refused_nodes_are_closed_again(tree: Tree) -> None:
    path = tree.plug(0)
    before = open_descriptors()
    with pytest.raises(OSError, match="No such device"):
        hidraw.HidrawConnection(str(path), "elsewhere", sys_root=tree.sys)
    assert open_descriptors() == before


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
