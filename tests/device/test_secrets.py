"""Secrets of hmac-secret: always the same for the same salts, only with the PIN, and never in a message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from fido2.ctap2 import ClientPin, Ctap2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import KeyctlError, NotFoundError, TouchError, UnreachableError, UnsupportedError
from keyctl.model import OWN_RP_ID, Waits
from keyctl.virtual.device import VirtualDevice
from tests.device.test_hostile_keys import Damaged, damage
from tests.failing import failing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import Bench

PIN = "123456"
SALT1, SALT2 = b"\x01" * 32, b"\x02" * 32
PATIENT = Waits(touch_s=20, plug_s=0, lock_s=0)


@pytest.mark.parametrize("profile", ["full", "small", "arkg", "fido2.0"])
@pytest.mark.parametrize("quirk", [None, "token-once", "map-order", "no-touch", "lbw-dropped", "long-ids"])
def test_the_same_salts_give_the_same_secrets(
    make_bench: Callable[..., Bench], profile: str, quirk: str | None
) -> None:
    bench = make_bench(profile, pin=PIN)
    if quirk is not None:
        bench.set(f"quirk={quirk}")
    with bench.open(pin=PIN) as opened:
        assert opened.secrets.supported
        made = opened.secrets.make([])
        first = opened.secrets.two(made.credential_id, SALT1, SALT2)
        assert first == opened.secrets.two(made.credential_id, SALT1, SALT2)
        assert opened.secrets.two(made.credential_id, SALT2, SALT1) == first[::-1]
        other = opened.secrets.make([])
        assert not set(first) & set(opened.secrets.two(other.credential_id, SALT1, SALT2))
    assert [len(secret) for secret in first] == [32, 32]
    assert len(set(first)) == 2
    assert (made.large_blob_key is None) == (profile == "fido2.0")


def python_fido2s(bench: Bench, credential_id: bytes, *, verified: bool) -> bytes:
    """Both secrets as python-fido2 gets them."""
    with VirtualDevice(bench.folder, bench.name) as device:
        ctap = Ctap2(device)
        pins = ClientPin(ctap)
        more: dict[str, Any] = {}
        if verified:
            token = pins.get_pin_token(PIN, ClientPin.PERMISSION.GET_ASSERTION, OWN_RP_ID)
            more = {"pin_uv_param": pins.protocol.authenticate(token, bytes(32)), "pin_uv_protocol": 2}
        agreement, shared = pins._get_shared_secret()
        sealed = pins.protocol.encrypt(shared, SALT1 + SALT2)
        inputs = {1: agreement, 2: sealed, 3: pins.protocol.authenticate(shared, sealed), 4: 2}
        answer = ctap.get_assertion(
            OWN_RP_ID,
            bytes(32),
            [{"type": "public-key", "id": credential_id}],
            {"hmac-secret": inputs},
            **more,
        )
        outputs = answer.auth_data.extensions
        assert outputs is not None
        return pins.protocol.decrypt(shared, outputs["hmac-secret"])


def test_they_are_those_that_others_get_with_the_pin(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(pin=PIN)
    with bench.open(pin=PIN) as opened:
        made = opened.secrets.make([])
        secrets = opened.secrets.two(made.credential_id, SALT1, SALT2)
    assert b"".join(secrets) == python_fido2s(bench, made.credential_id, verified=True)
    (credential,) = bench.kept()["credentials"]
    assert credential["protection"] == 3
    # Only so far that somebody gets secrets without the PIN at all.
    bench.keep(credentials=[credential | {"protection": 1}])
    assert b"".join(secrets) != python_fido2s(bench, made.credential_id, verified=False)


def test_each_costs_one_touch(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(pin=PIN)
    bench.set("touch=after:0.02")
    with bench.open(PATIENT, pin=PIN) as opened:
        made = opened.secrets.make([])
        bench.trace.clear()
        opened.secrets.two(made.credential_id, SALT1, SALT2)
    assert len(bench.touches) == 2
    token = ["clientPin getKeyAgreement", "clientPin getPinUvAuthTokenUsingPinWithPermissions"]
    assert bench.sent() == [*token, "clientPin getKeyAgreement", "getAssertion"]


@pytest.mark.parametrize("profile", ["fido2.1-pre", "u2f"])
def test_keys_without_it_are_sent_nothing(make_bench: Callable[..., Bench], profile: str) -> None:
    with make_bench(profile).open(pin=PIN) as opened:
        before = opened.commands_sent
        assert not opened.secrets.supported
        assert isinstance(failing(opened.secrets.make, []), UnsupportedError)
        assert isinstance(failing(opened.secrets.two, bytes(32), SALT1, SALT2), UnsupportedError)
        assert opened.commands_sent == before


def test_wrong_turns_are_errors(bench: Bench) -> None:
    with bench.open() as opened:
        assert failing(opened.secrets.make, []).code == "pin_required"
        assert failing(opened.secrets.two, bytes(32), SALT1, SALT2).code == "pin_required"
        opened.use_pin(PIN)
        assert isinstance(failing(opened.secrets.two, os.urandom(32), SALT1, SALT2), NotFoundError)
        made = opened.secrets.make([])
        assert isinstance(failing(opened.secrets.make, [made.credential_id]), UnsupportedError)
    bench.set("touch=never")
    with bench.open(pin=PIN) as opened:
        assert isinstance(failing(opened.secrets.two, made.credential_id, SALT1, SALT2), TouchError)
    assert bench.own_ids() == [made.credential_id]


class Unverified(VirtualDevice):
    """A key that says in what it signs that the PIN was not there."""

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        answer = super().call(cmd, data, *more)
        if data[:1] != b"\x02":
            return answer
        # Authenticator data with a touch, a PIN and extensions.
        head = answer.index(b"\x85", answer.index(b"hmac-secret") - 60)
        return answer[:head] + b"\x81" + answer[head + 1 :]


def test_secrets_without_the_pin_are_refused(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        made = opened.secrets.make([])
    guard = GuardedDevice(Unverified(bench.folder, bench.name), "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    with Session(bench.found(), guard) as opened:
        opened.use_pin(PIN)
        error = failing(opened.secrets.two, made.credential_id, SALT1, SALT2)
    assert (type(error), error.code) == (UnreachableError, "key_nonsense")
    assert "without the PIN" in error.message


@pytest.mark.parametrize("fault", ["pulled", "garbage"])
@pytest.mark.parametrize("number", range(1, 8))
def test_a_key_that_is_pulled_keeps_its_credentials(bench: Bench, number: int, fault: str) -> None:
    with bench.open(pin=PIN) as opened:
        earlier = opened.secrets.make([])
        secrets = opened.secrets.two(earlier.credential_id, SALT1, SALT2)
        bench.set(f"fault={number}:{fault}")
        with pytest.raises(UnreachableError):
            opened.secrets.two(opened.secrets.make([]).credential_id, SALT1, SALT2)
    bench.set("fault=none")
    bench.replug()
    with bench.open(pin=PIN) as opened:
        assert opened.secrets.two(earlier.credential_id, SALT1, SALT2) == secrets


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(2, 8), how=damage)
def test_a_damaged_answer_gives_secrets_or_an_error_of_ours(
    bench: Bench, position: int, how: tuple[str, int, int]
) -> None:
    bench.keep(credentials=[])
    guard = GuardedDevice(Damaged(bench, position, how), "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    with Session(bench.found(), guard) as opened:
        opened.use_pin(PIN)
        try:
            made = opened.secrets.make([])
            opened.secrets.two(made.credential_id, SALT1, SALT2)
        except KeyctlError:
            pass
