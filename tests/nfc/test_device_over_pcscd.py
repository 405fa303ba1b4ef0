"""The device layer with virtual keys in readers of the real smart card service."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2.ctap2 import ClientPin, Ctap2

from keyctl.core import public_keys
from keyctl.device import choose, connecting, session, virtual_keys
from keyctl.device.discover import Discovery, Found, discover
from keyctl.errors import KeyChoiceError, KeyctlError, StoreError
from keyctl.model import OWN_RP_ID, Access, Transport, Waits
from keyctl.store.paths import virtual_keys_folder
from tests.failing import failing

if TYPE_CHECKING:
    from pathlib import Path

PIN = "123456"
WAITS = Waits(touch_s=0, plug_s=0, lock_s=0)


def found_in(home: Path, reader: str) -> Found:
    (found,) = [found for found in discover(home, "nfc:").found if found.path == reader]
    return found


def open_key(home: Path, reader: str, trace: list[str] | None = None) -> session.Session:
    note = (lambda _line: None) if trace is None else trace.append
    return connecting.connect(found_in(home, reader), home, WAITS, lambda *_: None, note)


def register(attached_key: Any, rp_id: str) -> bytes:
    """A passkey, made by python-fido2 over the reader."""
    with attached_key.open() as device:
        ctap = Ctap2(device)
        pins = ClientPin(ctap)
        token = pins.get_pin_token(PIN, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp_id)
        made = ctap.make_credential(
            bytes(32),
            {"id": rp_id, "name": rp_id},
            {"id": sha256(rp_id.encode()).digest(), "name": "alice", "displayName": "Alice"},
            [{"type": "public-key", "alg": -7}],
            options={"rk": True},
            pin_uv_param=pins.protocol.authenticate(token, bytes(32)),
            pin_uv_protocol=pins.protocol.VERSION,
        )
        credential = made.auth_data.credential_data
        assert credential is not None
        return credential.credential_id


def test_a_reader_with_a_card_is_found_as_contactless(attached, home):
    reader = attached("blue").reader
    found = found_in(home, reader)
    assert (found.transport, found.selector) == (Transport.NFC, f"nfc:{reader}")
    assert discover(home, "usb:").problems == ()


@pytest.mark.usefixtures("slots")
def test_an_empty_reader_is_not_found(home):
    assert discover(home, "nfc:").found == ()
    assert discover(home, "nfc:").problems == ()


def test_opening_sends_one_getinfo(attached, home):
    trace: list[str] = []
    with open_key(home, attached("blue").reader, trace) as opened:
        assert opened.key.access is Access.OK
        assert opened.key.virtual
        assert opened.commands_sent == 1
    assert [line.partition(":")[0] for line in trace] == ["getInfo"]


def test_pins_and_passkeys_work_as_on_usb(attached, home):
    key = attached("blue")
    with open_key(home, key.reader) as opened:
        opened.set_pin(PIN)
    made = {register(key, rp_id) for rp_id in ("a.example", "b.example")}
    with open_key(home, key.reader) as opened:
        opened.use_pin(PIN)
        listing = opened.list_passkeys()
        assert listing.complete
        assert {passkey.credential_id for passkey in listing.passkeys} == made
        opened.rename_passkey(listing.passkeys[0], user_name="bob", display_name="Bob")
        opened.delete_passkey(listing.passkeys[1].credential_id)
        (left,) = opened.list_passkeys().passkeys
        assert left.user_name == "bob"
        opened.use_pin("000000")
        error = failing(opened.verify_pin)
        assert (error.code, error.details.tries_left) == ("pin_wrong", 7)


def test_a_reset_over_the_reader_leaves_a_key_that_answers(attached, home):
    with open_key(home, attached("blue").reader) as opened:
        opened.set_pin(PIN)
        opened.reset()
        opened.set_pin("654321")


def test_a_touch_that_does_not_come_is_cancelled(attached, home):
    key = attached("blue")
    key.set("touch=never")
    with open_key(home, key.reader) as opened:
        assert failing(opened.reset).code == "no_touch"
        assert opened.pin_retries().left == 8


def test_a_card_that_is_taken_away_is_a_removed_key(attached, home):
    key = attached("blue")
    with open_key(home, key.reader) as opened:
        key.pull()
        assert failing(opened.pin_retries).code == "key_removed"


def test_a_card_that_went_before_it_was_opened_is_a_removed_key(attached, home):
    key = attached("blue")
    found = found_in(home, key.reader)
    key.pull()
    assert failing(connecting.connect, found, home, WAITS, print).code == "key_removed"


@pytest.mark.usefixtures("slots")
def test_a_reader_that_does_not_exist_is_a_removed_key(home):
    found = Found(transport=Transport.NFC, path="No Such Reader 00 00")
    assert failing(connecting.connect, found, home, WAITS, print).code == "key_removed"


def test_a_reader_held_by_another_program_is_told_with_the_usual_suspect(attached, home):
    from smartcard import scard

    key = attached("blue")
    found = found_in(home, key.reader)
    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    try:
        either = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, card, _ = scard.SCardConnect(context, key.reader, scard.SCARD_SHARE_EXCLUSIVE, either)
        assert result == scard.SCARD_S_SUCCESS
        error = failing(connecting.connect, found, home, WAITS, print)
        probed, reason = connecting.probe(found, home, WAITS)
        scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)
    finally:
        scard.SCardReleaseContext(context)
    assert error.code == "reader_busy"
    assert "scdaemon" in error.message
    assert probed.access is Access.BUSY
    assert reason is not None
    with open_key(home, key.reader) as opened:
        assert opened.info.versions


def test_a_card_in_use_here_is_not_opened_once_more(attached, home):
    """The end of the second connection would take the card's power, and with it what the first one works with."""
    key = attached("blue")
    with open_key(home, key.reader) as opened:
        opened.set_pin(PIN)
        opened.use_pin(PIN)
        error = failing(open_key, home, key.reader)
        assert (error.code, error.key) == ("reader_busy", key.selector)
        opened.verify_pin()
    with open_key(home, key.reader) as opened:
        assert opened.info.pin_set


def test_a_virtual_key_in_a_reader_is_chosen_only_without_physical_keys(attached, home):
    found = found_in(home, attached("blue").reader)
    assert choose.choose(Discovery(found=(found,), problems=()), None) is found
    usb = Found(transport=Transport.USB, path="/dev/hidraw3")
    assert choose.choose(Discovery(found=(usb, found), problems=()), None) is usb
    other = Found(transport=Transport.VIRTUAL, path="red")
    with pytest.raises(KeyChoiceError) as caught:
        choose.choose(Discovery(found=(found, other), problems=()), None)
    assert caught.value.details.candidates == (found.selector, "virtual:red")


def test_errors_in_a_card_s_own_way_are_understood(attached_sw64, home):
    with open_key(home, attached_sw64) as opened:
        opened.set_pin(PIN)
        opened.use_pin("000000")
        assert failing(opened.verify_pin).code == "pin_wrong"


def test_a_card_of_another_kind_is_no_candidate(other_card, home):
    found = found_in(home, other_card)
    assert failing(connecting.connect, found, home, WAITS, print).code == "no_card"
    with pytest.raises(KeyChoiceError) as caught:
        choose.choose(Discovery(found=(found,), problems=()), None)
    assert caught.value.code == "no_key"


def attach_to(home, slot, stop, attached) -> None:
    identity = virtual_keys.UsbIdentity(vendor_id=0, product_id=0, manufacturer="", product="", serial="")
    virtual_keys.attach(
        home,
        "blue",
        virtual_keys.Bus.NFC,
        port=slot.port,
        identity=identity,
        stop=stop,
        on_attached=attached.set,
        on_wink=lambda: None,
    )


def test_attaching_puts_the_key_into_the_reader_and_nowhere_else(slots, home):
    folder = virtual_keys_folder(home)
    virtual_keys.new(folder, "blue", "full")
    stop, attached = threading.Event(), threading.Event()
    errors: list[KeyctlError] = []

    def attach() -> None:
        try:
            attach_to(home, slots[0], stop, attached)
        except KeyctlError as error:
            errors.append(error)

    thread = threading.Thread(target=attach)
    thread.start()
    try:
        assert attached.wait(10), errors
        slots[0].wait(card=True)
        assert [found.selector for found in discover(home).found] == [f"nfc:{slots[0].reader}"]
        with pytest.raises(StoreError):
            attach_to(home, slots[1], stop, attached)
    finally:
        stop.set()
        thread.join()
    slots[0].wait(card=False)
    assert [found.selector for found in discover(home).found] == ["virtual:blue"]
    assert errors == []


@pytest.fixture
def attached_sw64(slots, tmp_path):
    """The reader of a virtual key on a card that sends CTAP errors as status word 64xx."""
    from keyctl.virtual.card import FidoCard
    from keyctl.virtual.device import VirtualDevice

    virtual_keys.new(tmp_path, "sw64", "full")
    yield from in_reader(FidoCard(VirtualDevice(tmp_path, "sw64"), sw64=True), slots[0])


@pytest.fixture
def other_card(slots):
    """The reader of a card that knows no application."""

    class OtherCard:
        def power_up(self) -> None:
            """Nothing to do."""

        def power_down(self) -> None:
            """Nothing to do."""

        def transmit(self, _command: bytes) -> bytes:
            return b"\x6a\x82"

    yield from in_reader(OtherCard(), slots[0])


def in_reader(card: Any, slot: Any) -> Any:
    """Hold *card* in the reader meanwhile."""
    from keyctl.virtual.vpcd import serve

    stop = threading.Event()
    more = {"port": slot.port, "stop": stop, "on_connected": lambda: None, "is_present": lambda: True}
    thread = threading.Thread(target=serve, args=(card,), kwargs=more)
    thread.start()
    try:
        slot.wait(card=True)
        yield slot.reader
    finally:
        stop.set()
        thread.join()
        slot.wait(card=False)


@pytest.mark.parametrize("profile", ["full", "fido2.0", "u2f"])
def test_a_card_is_enrolled_and_known_again(attached, home, profile):
    card = attached("blue", profile=profile)
    with open_key(home, card.reader) as opened:
        made = opened.enrol([bytes(64)])
    card.set("touch=never")
    with open_key(home, card.reader) as opened:
        if made.u2f:
            assert opened.claimed(OWN_RP_ID, [bytes(64), made.credential_id]) == made.credential_id
            card.set("touch=now")
            found = opened.touched(OWN_RP_ID, made.credential_id)
        else:
            found = opened.answering(OWN_RP_ID, [*(os.urandom(64) for _ in range(20)), made.credential_id])
        assert public_keys.verifies(made.public_key, found.signed, found.signature)
        opened.identify(replace(opened.key, name="blue"))
        card.pull()
        error = failing(opened.claimed if made.u2f else opened.answering, OWN_RP_ID, [made.credential_id])
        assert (error.code, error.key, error.message) == ("key_removed", "blue", "blue was removed")
