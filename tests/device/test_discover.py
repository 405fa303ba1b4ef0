"""What is connected, found without opening or loading anything that is not needed."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.device import readers, virtual_keys
from keyctl.device.discover import Found, discover, is_selector
from keyctl.errors import UnreachableError
from keyctl.model import Transport
from keyctl.store.paths import virtual_keys_folder
from keyctl.virtual.keys import hold

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"fido2", "smartcard", "cryptography"}


def run(code: str, **environment: str) -> set[str]:
    """The top-level modules that *code* loads in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "", **environment},
    )
    return set(done.stdout.split())


def test_loading_the_search_and_the_choice_loads_nothing_heavy() -> None:
    assert HEAVY.isdisjoint(run("import keyctl.device.discover, keyctl.device.choose"))


def test_looking_for_usb_and_virtual_keys_touches_no_card_readers(home: Path) -> None:
    virtual_keys.new(virtual_keys_folder(home), "blue", "full")
    searches = "from pathlib import Path\nfrom keyctl.device.discover import discover\n"
    for scheme in ("usb:", "virtual:blue"):
        assert "smartcard" not in run(f"{searches}discover(Path({str(home)!r}), {scheme!r})")


def test_reading_a_virtual_key_loads_neither_ctap2_nor_cryptography(home: Path) -> None:
    virtual_keys.new(virtual_keys_folder(home), "blue", "full")
    code = (
        "from pathlib import Path\nimport sys\n"
        "from keyctl.device.discover import discover\nfrom keyctl.device.connecting import probe\n"
        "from keyctl.model import Waits\n"
        f"home = Path({str(home)!r})\n"
        "found = discover(home, 'virtual:').found[0]\n"
        "key, error = probe(found, home, Waits(touch_s=0, plug_s=0, lock_s=0))\n"
        "assert error is None and 'fido2.ctap2' not in sys.modules and 'fido2.hid' not in sys.modules"
    )
    run(code)


def test_selectors_are_told_by_their_beginning() -> None:
    assert all(is_selector(text) for text in ("usb:/dev/hidraw0", "nfc:Reader", "virtual:blue"))
    assert not any(is_selector(text) for text in ("blue", "12345678", "", "USB:x", "contact:x"))


@given(st.sampled_from(list(Transport)), st.text(max_size=20))
def test_every_key_has_a_selector(transport: Transport, path: str) -> None:
    assert is_selector(Found(transport=transport, path=path).selector)


def test_a_home_that_does_not_exist_has_no_keys_and_is_not_made(home: Path) -> None:
    assert discover(home, "virtual:").found == ()
    assert not home.exists()


def test_virtual_keys_come_by_name_without_those_that_are_unplugged(home: Path) -> None:
    folder = virtual_keys_folder(home)
    for name in ("red", "blue", "green"):
        virtual_keys.new(folder, name, "full")
    virtual_keys.unplug(folder, "green")
    assert [found.selector for found in discover(home, "virtual:").found] == ["virtual:blue", "virtual:red"]


def test_a_virtual_key_on_a_bus_shows_only_there(home: Path) -> None:
    folder = virtual_keys_folder(home)
    virtual_keys.new(folder, "blue", "full")
    with hold(folder, "blue", "nfc"):
        assert discover(home, "virtual:").found == ()
    assert len(discover(home, "virtual:").found) == 1


def test_a_damaged_virtual_key_is_a_problem_and_does_not_hide_the_others(home: Path) -> None:
    folder = virtual_keys_folder(home)
    for name in ("blue", "red"):
        virtual_keys.new(folder, name, "full")
    (folder / "blue.json").write_text("{")
    discovery = discover(home, "virtual:")
    assert [found.path for found in discovery.found] == ["red"]
    assert [problem.code for problem in discovery.problems] == ["store_unreadable"]


def test_a_folder_that_cannot_be_read_is_a_problem(home: Path) -> None:
    home.mkdir()
    (home / "virtual").write_text("not a folder")
    assert discover(home, "virtual:").found == ()


def test_a_stopped_service_is_told_to_who_asks_for_a_reader(home: Path) -> None:
    """In a process of its own: other tests may have a service running in this one."""
    run(
        "from pathlib import Path\nfrom keyctl.device.discover import discover\n"
        f"discovery = discover(Path({str(home)!r}), 'nfc:Reader')\n"
        "assert [problem.code for problem in discovery.problems] == ['pcsc_stopped'] and not discovery.found",
        PCSCLITE_CSOCK_NAME=str(home / "pcscd.comm"),
    )


def test_a_service_is_missed_where_a_card_reader_is_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PCSCLITE_CSOCK_NAME", raising=False)
    interface = tmp_path / "bus" / "usb" / "devices" / "1-1:1.0"
    interface.mkdir(parents=True)
    (interface / "bInterfaceClass").write_text("03\n")
    assert not readers.is_missed(tmp_path)
    (interface / "bInterfaceClass").write_text("0b\n")
    assert readers.is_missed(tmp_path)


def test_a_service_is_missed_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", "/run/other/pcscd.comm")
    assert readers.is_missed(tmp_path)


def test_a_service_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    """In a process of its own: the library reads the address of the service once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "pcscd.comm"))
        listener.listen()
        run(
            "from keyctl.device import readers\nfrom keyctl.errors import UnreachableError\n"
            "try:\n    readers.readers(service_s=0.1)\n"
            "except UnreachableError as error:\n    assert error.code == 'pcsc_stopped', error\n"
            "else:\n    raise SystemExit('no error')",
            PCSCLITE_CSOCK_NAME=str(tmp_path / "pcscd.comm"),
        )


def test_a_missing_library_is_told_with_its_cure() -> None:
    """A Python that finds no pyscard, like most on Linux."""
    run(
        "import sys\nfrom keyctl.device import readers\nfrom keyctl.errors import UnreachableError\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'smartcard': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "try:\n    readers.readers()\n"
        "except UnreachableError as error:\n"
        "    assert error.code == 'pcsc_missing' and 'pyscard' in error.hint\n"
        "else:\n    raise SystemExit('no error')",
    )


@pytest.mark.parametrize(
    ("atr", "transport"),
    [
        # A YubiKey 5 NFC on a contactless reader, and the same key's card part on USB.
        ("3b8d80018073c021c057597562694b6579f9", Transport.NFC),
        ("3bfd1300008131fe158073c021c057597562694b657940", Transport.CONTACT),
        ("3b8f8001804f0ca000000306030001000000006a", Transport.NFC),
        ("3b800100", Transport.CONTACT),
        ("3b", Transport.CONTACT),
        ("", Transport.CONTACT),
    ],
)
def test_contactless_cards_are_told_by_their_first_bytes(atr: str, transport: Transport) -> None:
    assert readers.transport_of(bytes.fromhex(atr)) is transport


@given(st.binary(max_size=40))
def test_any_first_bytes_are_one_or_the_other(atr: bytes) -> None:
    assert readers.transport_of(atr) in {Transport.NFC, Transport.CONTACT}


def test_the_hint_for_a_stopped_service_says_how_to_start_it() -> None:
    assert isinstance(readers.stopped(), UnreachableError)
    assert readers.stopped().hint
