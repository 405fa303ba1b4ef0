"""A key whose every answer may be damaged: nothing but keyctl's own errors comes out, and no PIN goes in twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyctl.core import public_keys
from keyctl.device.commands import describe
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import KeyctlError
from keyctl.model import OWN_RP_ID, Transport
from keyctl.virtual.device import VirtualDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import Bench

PIN = "123456"
#: getInfo, tries, key agreement, token, metadata, two sites with two passkeys; and what comes after.
COMMANDS = 14

damage = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 400), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0, 400), st.just(0)),
    st.tuples(st.just("add"), st.integers(0, 20), st.integers(0, 255)),
    st.tuples(st.just("status"), st.just(0), st.integers(1, 255)),
)


class Damaged(VirtualDevice):
    """A virtual key with a bad cable."""

    def __init__(self, bench: Bench, position: int, how: tuple[str, int, int]) -> None:
        super().__init__(bench.folder, bench.name)
        self._position = position
        self._how = how
        self.sent: list[str] = []

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        self.sent.append(describe(cmd, data).name)
        answer = super().call(cmd, data, *more)
        return self._damage(answer) if len(self.sent) == self._position else answer

    def _damage(self, answer: bytes) -> bytes:
        kind, place, value = self._how
        place %= len(answer)
        match kind:
            case "flip":
                return answer[:place] + bytes([answer[place] ^ value]) + answer[place + 1 :]
            case "cut":
                return answer[:place]
            case "add":
                return answer + bytes([value]) * place
            case _:
                return bytes([value]) + answer[1:]


@pytest.fixture
def full_key(bench: Bench) -> Bench:
    """A key with passkeys at two sites."""
    for rp_id, user in [("a.example", "x"), ("a.example", "y"), ("b.example", "x"), ("b.example", "y")]:
        bench.register(rp_id, user)
    return bench


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(1, COMMANDS), how=damage)
def test_a_damaged_answer_gives_a_result_or_an_error_of_ours(
    full_key: Bench, position: int, how: tuple[str, int, int]
) -> None:
    device = Damaged(full_key, position, how)
    guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    try:
        with Session(Found(transport=Transport.USB, path="x"), guard) as opened:
            ours(opened.pin_retries)
            opened.use_pin(PIN)
            listing = ours(opened.list_passkeys)
            if listing is not None:
                assert len(listing.passkeys) <= 4 or not listing.complete
    except KeyctlError:
        # getInfo itself was damaged.
        assert position == 1
    assert sum("Token" in name for name in device.sent) <= 1


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(2, 14), how=damage)
def test_a_damaged_answer_makes_no_credential_that_does_not_answer(
    full_key: Bench, position: int, how: tuple[str, int, int]
) -> None:
    full_key.set("quirk=legacy-token")
    device = Damaged(full_key, position, how)
    guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    with Session(Found(transport=Transport.USB, path="x"), guard) as opened:
        opened.use_pin(PIN)
        made = ours(lambda: opened.enrol([bytes(64)]))
        ids = [bytes(64), *([made.credential_id] if made else [])]
        for verified in (False, True):
            found = ours(lambda verified=verified: opened.all_answering(OWN_RP_ID, ids, verified=verified))
            assert {assertion.credential_id for assertion in found or ()} <= set(ids)
    with full_key.open() as opened:
        found = opened.answering(OWN_RP_ID, ids)
        assert made is None or public_keys.verifies(made.public_key, found.signed, found.signature)


def ours(call: Callable[[], Any]) -> Any:
    """What *call* returns, or None when it raises an error of ours."""
    try:
        return call()
    except KeyctlError:
        return None


#: One of each kind: general, of the list, of the PIN, of the token, of a touch, unknown.
STATUSES = (0x01, 0x06, 0x12, 0x2E, 0x30, 0x31, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3A, 0x7F, 0x99)


@pytest.mark.parametrize("position", range(1, 10))
def test_any_failure_at_any_command_is_told_and_spends_one_pin_at_most(full_key: Bench, position: int) -> None:
    for status in STATUSES:
        device = Damaged(full_key, position, ("status", 0, status))
        guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
        try:
            with Session(Found(transport=Transport.USB, path="x"), guard) as opened:
                opened.use_pin(PIN)
                opened.list_passkeys()
        except KeyctlError as error:
            assert error.details.ctap_status == status  # noqa: PT017  # success is allowed as well
        assert sum("Token" in name for name in device.sent) <= 1
