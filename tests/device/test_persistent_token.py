"""The persistent token through a session: it reads, it is refused when it has ended, and nothing of it is traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keyctl.device import answers
from keyctl.errors import PinError, UnreachableError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import Bench

PIN = "123456"
OTHER_PIN = "another PIN"
MINIMAL: dict[int, Any] = {1: ["FIDO_2_1"], 3: bytes(16)}


def issue(bench: Bench) -> bytes:
    with bench.open(pin=PIN) as opened:
        return opened.persistent_token.issue()


def test_it_reads_what_the_pin_reads(bench: Bench) -> None:
    bench.register("a.example")
    bench.register("a.example", "bob")
    bench.register("b.example")
    with bench.open(pin=PIN) as opened:
        wanted = opened.list_passkeys()
    token = issue(bench)
    assert len(token) == 32
    bench.trace.clear()
    with bench.open() as opened:
        assert opened.persistent_token.list_passkeys(token) == wanted
        assert opened.commands_sent <= 2 + 3 + 8
        assert not opened.has_pin
    assert "clientPin" not in " ".join(bench.trace)
    assert token.hex() not in " ".join(bench.trace)


def test_it_is_the_same_every_time_and_survives_the_plug(bench: Bench) -> None:
    token = issue(bench)
    bench.replug()
    assert issue(bench) == token
    with bench.open() as opened:
        assert opened.persistent_token.works(token)


@pytest.mark.parametrize("end", ["change", "reset"])
def test_it_ends_with_the_pin(bench: Bench, end: str) -> None:
    token = issue(bench)
    bench.replug()
    with bench.open(pin=PIN) as opened:
        if end == "change":
            opened.change_pin(OTHER_PIN)
        else:
            opened.reset()
    with bench.open() as opened:
        assert not opened.persistent_token.works(token)
        with pytest.raises(UnreachableError, match="takes its unattended token no more") as caught:
            opened.persistent_token.list_passkeys(token)
    assert caught.value.code == "token_refused"
    assert token.hex() not in f"{caught.value!r} {caught.value.details}"


def test_the_mark_of_the_store_changes_with_the_passkeys(bench: Bench) -> None:
    token = issue(bench)
    marks = []
    for _ in range(2):
        with bench.open() as opened:
            marks.append(opened.persistent_token.store_state(token))
            assert opened.commands_sent == 1
    bench.register("a.example")
    with bench.open() as opened:
        marks.append(opened.persistent_token.store_state(token))
        assert opened.persistent_token.store_state(bytes(32)) not in marks
    assert marks[0] is not None
    assert marks[0] == marks[1] != marks[2]


def test_before_the_first_token_there_is_no_mark(bench: Bench) -> None:
    with bench.open() as opened:
        assert opened.persistent_token.store_state(bytes(32)) is None


def test_a_wrong_pin_costs_one_try(bench: Bench) -> None:
    with bench.open(pin="000000") as opened:
        with pytest.raises(PinError, match="wrong PIN"):
            opened.persistent_token.issue()
        assert opened.pin_retries().left == 7


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre", "u2f"])
def test_older_keys_have_none_and_no_pin_is_spent(make_bench: Callable[..., Bench], profile: str) -> None:
    bench = make_bench(profile)
    with bench.open(pin=PIN) as opened:
        sent = opened.commands_sent
        for call in (opened.persistent_token.issue, lambda: opened.persistent_token.works(bytes(32))):
            with pytest.raises(UnsupportedError, match="has no persistent token"):
                call()
        assert opened.commands_sent == sent


def test_a_key_whose_tokens_have_no_permissions_gives_none(bench: Bench) -> None:
    """The old way would give a token that can do everything."""
    bench.set("quirk=legacy-token")
    with bench.open(pin=PIN) as opened, pytest.raises(UnsupportedError):
        opened.persistent_token.issue()


@pytest.mark.parametrize("sealed", [b"", bytes(31), bytes(48), "text", 7, [bytes(32)], None])
def test_a_mark_that_is_none_is_left_out(sealed: object) -> None:
    assert answers.key_info_from_ctap({**MINIMAL, 0x1E: sealed}, "blue").sealed_store_state is None
    assert answers.key_info_from_ctap({**MINIMAL, 0x1E: bytes(32)}, "blue").sealed_store_state == bytes(32)


def test_a_key_that_cannot_count_may_list(bench: Bench) -> None:
    bench.set("quirk=metadata-error")
    bench.register("a.example")
    token = issue(bench)
    with bench.open() as opened:
        assert opened.persistent_token.works(token)
        assert len(opened.persistent_token.list_passkeys(token).passkeys) == 1
        assert not opened.persistent_token.works(bytes(32))
