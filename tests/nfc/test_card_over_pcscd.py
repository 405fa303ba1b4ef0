"""A virtual key in a reader of the real smart card service; the client, python-fido2, takes it for any other card."""

from __future__ import annotations

import threading

import pytest
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import STATUS, CtapError
from fido2.ctap2 import ClientPin, CredentialManagement, Ctap2
from fido2.server import Fido2Server

from keyctl.errors import UnreachableError
from keyctl.virtual.card import FidoCard
from keyctl.virtual.vpcd import ATR, serve

PIN = "correct-horse"
ES256 = [{"type": "public-key", "alg": -7}]
RP = {"id": "example.com", "name": "Example"}
CLIENT_DATA_HASH = bytes(32)


class Person(UserInteraction):
    """Somebody who knows the PIN."""

    def request_pin(self, *_):
        return PIN


class Site:
    """A web site that checks everything it is sent, and the browser in front of it."""

    def __init__(self, device):
        self.server = Fido2Server({"id": RP["id"], "name": RP["name"]})
        self.client = Fido2Client(device, DefaultClientDataCollector("https://example.com"), Person())

    def register(self, user: str, *, passkey: bool = False, known=()):
        options, state = self.server.register_begin(
            {"id": user.encode(), "name": user, "displayName": user},
            credentials=known,
            resident_key_requirement="required" if passkey else "discouraged",
            user_verification="required" if passkey else "discouraged",
        )
        answer = self.client.make_credential(options.public_key)
        return self.server.register_complete(state, answer).credential_data

    def sign_in(self, credentials):
        options, state = self.server.authenticate_begin(credentials, user_verification="discouraged")
        answer = self.client.get_assertion(options.public_key).get_response(0)
        return self.server.authenticate_complete(state, credentials, answer)


def recorded(device) -> list[tuple[bytes, int]]:
    """The list that each command (its header) and the first byte of its status word is put into from now on."""
    exchanges: list[tuple[bytes, int]] = []
    exchange = device.apdu_exchange

    def record(apdu, protocol=None):
        answer = exchange(apdu, protocol)
        exchanges.append((apdu[:4], answer[1]))
        return answer

    device.apdu_exchange = record
    return exchanges


def make_credential(device, *, exclude):
    return Ctap2(device).make_credential(
        CLIENT_DATA_HASH,
        RP,
        {"id": b"someone", "name": "someone"},
        ES256,
        exclude_list=[{"type": "public-key", "id": credential_id} for credential_id in exclude],
    )


def test_reader_shows_a_contactless_card_that_answers_get_info(attached):
    with attached("blue").open() as device:
        assert device.get_atr() == ATR
        assert Ctap2(device).info.versions[0].startswith("FIDO_2")


def test_site_accepts_what_the_card_registers_and_signs(attached):
    with attached("blue").open() as device:
        site = Site(device)
        credential = site.register("alice")
        assert site.sign_in([credential]) == credential


def test_pin_is_set_and_a_wrong_one_costs_a_try(attached):
    with attached("blue").open() as device:
        pin = ClientPin(Ctap2(device))
        pin.set_pin(PIN)
        assert Ctap2(device).info.options["clientPin"] is True
        tries, _ = pin.get_pin_retries()
        with pytest.raises(CtapError, match="PIN_INVALID"):
            pin.get_pin_token("wrong-horse")
        assert pin.get_pin_retries()[0] == tries - 1
        assert pin.get_pin_token(PIN)


def test_taking_the_card_away_ends_the_block_after_three_wrong_pins(attached):
    """Without power a key forgets wrong PINs in a row (CTAP 2.2, section 6.5.5.7)."""
    card = attached("blue")
    with card.open() as device:
        pin = ClientPin(Ctap2(device))
        pin.set_pin(PIN)
        for _ in range(2):
            with pytest.raises(CtapError, match="PIN_INVALID"):
                pin.get_pin_token("wrong-horse")
        for _ in range(2):
            with pytest.raises(CtapError, match="PIN_AUTH_BLOCKED"):
                pin.get_pin_token("wrong-horse")
    with card.open() as device:
        assert ClientPin(Ctap2(device)).get_pin_token(PIN)


def test_passkeys_are_listed_and_deleted(attached):
    with attached("blue").open() as device:
        ctap2 = Ctap2(device)
        ClientPin(ctap2).set_pin(PIN)
        site = Site(device)
        made = {site.register(user, passkey=True).credential_id for user in ("alice", "bob")}
        pin = ClientPin(ctap2)
        token = pin.get_pin_token(PIN, ClientPin.PERMISSION.CREDENTIAL_MGMT)
        management = CredentialManagement(Ctap2(device), pin.protocol, token)
        (rp,) = management.enumerate_rps()
        rp_id_hash = rp[CredentialManagement.RESULT.RP_ID_HASH]
        listed = management.enumerate_creds(rp_id_hash)
        ids = [credential[CredentialManagement.RESULT.CREDENTIAL_ID] for credential in listed]
        assert {credential_id["id"] for credential_id in ids} == made
        management.delete_cred(ids[0])
        assert len(management.enumerate_creds(rp_id_hash)) == 1


@pytest.mark.parametrize("extended", [False, True])
def test_long_requests_and_answers_pass_in_both_forms(attached, extended):
    with attached("blue").open() as device:
        device.use_ext_apdu = extended
        exchanges = recorded(device)
        strangers = [bytes([number]) * 96 for number in range(5)]
        credential_id = make_credential(device, exclude=strangers).auth_data.credential_data.credential_id
        chained = any(header[0] == 0x90 for header, _ in exchanges)
        in_parts = any(status == 0x61 for _, status in exchanges)
        assert (chained, in_parts) == (not extended, not extended)
        with pytest.raises(CtapError, match="CREDENTIAL_EXCLUDED"):
            make_credential(device, exclude=[*strangers, credential_id])


def test_card_says_that_it_waits_for_a_touch(attached):
    card = attached("blue")
    card.set("touch=never")
    said: list[STATUS] = []

    def touch(status: STATUS) -> None:
        said.append(status)
        card.set("touch=now")

    with card.open() as device:
        Ctap2(device).selection(on_keepalive=touch)
    assert said == [STATUS.UPNEEDED]


def test_waiting_for_a_touch_can_be_cancelled(attached):
    card = attached("blue")
    card.set("touch=never")
    cancel = threading.Event()
    with card.open() as device:
        ctap2 = Ctap2(device)
        with pytest.raises(CtapError, match="KEEPALIVE_CANCEL"):
            ctap2.selection(event=cancel, on_keepalive=lambda _: cancel.set())
        assert ctap2.get_info()


def test_client_that_does_not_poll_waits_for_the_touch(attached):
    card = attached("blue")
    card.set("touch=after:0.3")
    with card.open() as device:
        device.use_nfcctap_getresponse = False
        exchanges = recorded(device)
        Ctap2(device).selection()
    assert 0x91 not in [status for _, status in exchanges]


def test_two_cards_at_the_same_time_are_told_apart(attached):
    blue, red = attached("blue", 0), attached("red", 1)
    with blue.open() as blue_device, red.open() as red_device:
        blue_site, red_site = Site(blue_device), Site(red_device)
        blue_credential = blue_site.register("alice")
        red_credential = red_site.register("alice")
        both = [blue_credential, red_credential]
        assert blue_site.sign_in(both) == blue_credential
        assert red_site.sign_in(both) == red_credential


def test_pulled_card_is_a_connection_error(attached):
    from smartcard.Exceptions import CardConnectionException

    card = attached("blue")
    with card.open() as device:
        card.pull()
        with pytest.raises(CardConnectionException):
            Ctap2(device)


def test_card_pulled_while_it_waits_for_a_touch_is_a_connection_error(attached):
    from smartcard.Exceptions import CardConnectionException

    card = attached("blue")
    card.set("touch=never")
    with card.open() as device, pytest.raises(CardConnectionException):
        Ctap2(device).selection(on_keepalive=lambda _: card.pull())


def test_hostile_commands_are_answered_and_the_card_lives_on(attached):
    with attached("blue").open() as device:
        for apdu, status in [
            ("07", 0x6700),
            ("8010", 0x6700),
            ("8010000000FFFF00", 0x6700),
            ("FF030000", 0x6E00),
            ("80FF0000", 0x6D00),
            ("00030000", 0x9000),
            ("8011000000", 0x6985),
            ("00A4040001FF", 0x6A82),
        ]:
            _, sw1, sw2 = device.apdu_exchange(bytes.fromhex(apdu))
            assert sw1 << 8 | sw2 == status
        device.connect()
        assert Ctap2(device).info


def test_reader_with_a_card_takes_no_second_one(attached, slots):
    with attached("blue", 0).open() as device:
        with pytest.raises(UnreachableError) as caught:
            serve(
                FidoCard(device),
                port=slots[0].port,
                stop=threading.Event(),
                on_connected=lambda: None,
                is_present=lambda: True,
                take_within_s=1.0,
            )
        assert caught.value.code == "attach_failed"
        assert Ctap2(device).info
