"""Which key a command is about."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core import advice
from keyctl.device import choose as choosing
from keyctl.device import virtual_keys
from keyctl.device.choose import choose
from keyctl.device.discover import Discovery, Found
from keyctl.errors import KeyChoiceError, KeyctlError, UnreachableError
from keyctl.model import Transport
from keyctl.store.paths import virtual_keys_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USB = Found(transport=Transport.USB, path="/dev/hidraw3", product="Yubico YubiKey OTP+FIDO+CCID", serial="A1")
SECOND = Found(transport=Transport.USB, path="/dev/hidraw7", serial="A2")
VIRTUAL = Found(transport=Transport.VIRTUAL, path="blue")
OTHER_VIRTUAL = Found(transport=Transport.VIRTUAL, path="red")
#: There is no such reader, so asking it fails.
READER = Found(transport=Transport.NFC, path="No Such Reader 00 00")
OWN_READER = Found(transport=Transport.CONTACT, path="Yubico YubiKey OTP+FIDO+CCID 00 00")


def there(*found: Found, problems: tuple[KeyctlError, ...] = ()) -> Discovery:
    return Discovery(found=found, problems=problems)


def refused(discovery: Discovery, wanted: str | None) -> KeyChoiceError:
    with pytest.raises(KeyChoiceError) as caught:
        choose(discovery, wanted)
    return caught.value


def test_the_only_key_is_chosen() -> None:
    assert choose(there(USB), None) is USB


def test_a_physical_key_comes_before_virtual_ones() -> None:
    assert choose(there(USB, VIRTUAL, OTHER_VIRTUAL), None) is USB


def test_without_a_physical_key_the_only_virtual_one_is_chosen() -> None:
    assert choose(there(VIRTUAL), None) is VIRTUAL


def test_no_key_says_what_to_do() -> None:
    error = refused(there(), None)
    assert (error.code, error.message) == ("no_key", "no security key found")
    assert error.hint == advice.NO_KEY


def test_what_was_in_the_way_is_in_the_hint() -> None:
    stopped = UnreachableError("pcsc_stopped", "the smart card service is not running", "start it")
    hint = refused(there(problems=(stopped,)), None).hint
    assert hint == f"{advice.NO_KEY}; the smart card service is not running (start it)"


def test_several_keys_are_listed_by_selector() -> None:
    error = refused(there(USB, SECOND, VIRTUAL), None)
    assert error.code == "several_keys"
    assert error.details.candidates == ("usb:/dev/hidraw3", "usb:/dev/hidraw7")
    assert "usb:/dev/hidraw3, usb:/dev/hidraw7" in error.message
    assert "-k" in (error.hint or "")


def test_several_virtual_keys_are_several_keys() -> None:
    assert refused(there(VIRTUAL, OTHER_VIRTUAL), None).details.candidates == ("virtual:blue", "virtual:red")


def test_a_selector_names_exactly_one() -> None:
    everything = there(USB, SECOND, READER, VIRTUAL)
    for found in everything.found:
        assert choose(everything, found.selector) is found


@pytest.mark.parametrize("wanted", ["usb:/dev/hidraw", "virtual:blu", "nfc:", "virtual:BLUE"])
def test_a_part_of_a_selector_names_none(wanted: str) -> None:
    error = refused(there(USB, VIRTUAL), wanted)
    assert error.code == "no_key"
    assert wanted in error.message


def test_a_serial_number_names_a_key() -> None:
    assert choose(there(USB, SECOND), "A2") is SECOND


def test_a_name_that_fits_nothing_is_told() -> None:
    error = refused(there(USB), "blue-5c")
    assert (error.code, error.message) == ("no_key", "no key blue-5c is connected")


def test_two_keys_of_one_serial_number_are_two_keys() -> None:
    twin = Found(transport=Transport.USB, path="/dev/hidraw9", serial="A1")
    assert refused(there(USB, twin), "A1").code == "several_keys"


def test_the_card_part_of_a_usb_key_is_no_second_key() -> None:
    assert choose(there(USB, OWN_READER), None) is USB


def test_a_reader_that_cannot_be_asked_does_not_compete_with_a_key() -> None:
    assert choose(there(USB, READER), None) is USB
    assert choose(there(READER, VIRTUAL), None) is VIRTUAL


def test_a_reader_that_cannot_be_asked_is_chosen_where_it_is_the_only_one() -> None:
    """Opening it then says what is wrong with it."""
    assert choose(there(READER), None) is READER


def test_a_key_that_is_there_is_not_waited_for(home: Path) -> None:
    virtual_keys.new(virtual_keys_folder(home), "blue", "full")
    told: list[float] = []
    assert choosing.wait_for_keys(home, "virtual:blue", 30, told.append)[0].path == "blue"
    assert told == []


def test_without_waiting_nobody_is_told(home: Path) -> None:
    told: list[float] = []
    with pytest.raises(KeyChoiceError):
        choosing.wait_for_keys(home, "virtual:blue", 0, told.append)
    assert told == []


def test_a_key_that_comes_later_is_found(home: Path) -> None:
    plugged: list[threading.Thread] = []

    def plug(seconds: float) -> None:
        assert seconds == 30
        thread = threading.Thread(target=virtual_keys.new, args=(virtual_keys_folder(home), "blue", "full"))
        thread.start()
        plugged.append(thread)

    assert choosing.wait_for_keys(home, "virtual:blue", 30, plug)[0].path == "blue"
    assert len(plugged) == 1
    plugged[0].join()


def test_a_key_that_does_not_come_is_waited_for_no_longer(home: Path) -> None:
    told: list[float] = []
    started = time.monotonic()
    with pytest.raises(KeyChoiceError):
        choosing.wait_for_keys(home, "virtual:blue", 0.05, told.append)
    assert time.monotonic() - started < 2
    assert told == [0.05]


def test_several_keys_are_not_waited_for(home: Path) -> None:
    folder = virtual_keys_folder(home)
    for name in ("blue", "red"):
        virtual_keys.new(folder, name, "full")
    never: Callable[[float], Any] = pytest.fail
    assert [found.path for found in choosing.wait_for_keys(home, None, 30, never)] == ["blue", "red"]
