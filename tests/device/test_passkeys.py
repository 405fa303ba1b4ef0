"""Listings of keys that lie about counts, go in circles, never stop, or stop at once."""

from __future__ import annotations

import itertools
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.device.exchange import Exchange
from keyctl.device.passkeys import MAX_ENTRIES, PasskeyCommands
from keyctl.device.pins import CheckedCtap2, PinCommands
from keyctl.errors import UnreachableError
from keyctl.model import KeyInfo, Limits, Listing

if TYPE_CHECKING:
    from collections.abc import Callable

INFO = KeyInfo(
    versions=("FIDO_2_1",),
    options={"credMgmt": True, "clientPin": True, "pinUvAuthToken": True},
    pin_protocols=(2,),
    limits=Limits(max_message_size=1200),
)
METADATA, SITES, NEXT_SITE, PASSKEYS, NEXT_PASSKEY = range(1, 6)
NOT_ALLOWED = b"\x30"
NO_CREDENTIALS = b"\x2e"
OTHER = b"\x7f"


def ok(value: dict[int, Any]) -> bytes:
    return b"\0" + cbor.encode(value)


def site(name: str, **total: int) -> bytes:
    fields: dict[int, Any] = {3: {"id": name}, 4: sha256(name.encode()).digest()}
    return ok(fields | ({5: total["total"]} if total else {}))


def passkey(identity: bytes, **total: int) -> bytes:
    fields: dict[int, Any] = {6: {"id": b"u"}, 7: {"id": identity, "type": "public-key"}, 8: {3: -7}}
    return ok(fields | ({9: total["total"]} if total else {}))


def commands(scripted: Any, script: dict[int, Callable[[], bytes]]) -> tuple[PasskeyCommands, list[int]]:
    """A key that answers each subcommand by *script*; and the subcommands that it got."""
    asked: list[int] = []

    def answer(data: bytes) -> bytes:
        step = cbor.decode(data[1:])[1]
        asked.append(step)
        return script[step]()

    exchange = Exchange(scripted(answer), "blue")
    ctap = CheckedCtap2(exchange, INFO)
    return PasskeyCommands(ctap, PinCommands(ctap, "blue"), bytes(32), INFO, "blue"), asked


def listed(scripted: Any, **script: Any) -> Listing:
    usual: dict[int, Callable[[], bytes]] = {
        METADATA: lambda: ok({1: 1, 2: 9}),
        SITES: lambda: site("a.example", total=1),
        NEXT_SITE: lambda: NOT_ALLOWED,
        PASSKEYS: lambda: passkey(b"1", total=1),
        NEXT_PASSKEY: lambda: NOT_ALLOWED,
    }
    return commands(scripted, usual | {int(name[1:]): how for name, how in script.items()})[0].read_all(None)


def test_one_passkey_is_one_passkey(scripted: Any) -> None:
    listing = listed(scripted)
    assert [found.credential_id for found in listing.passkeys] == [b"1"]
    assert listing.complete
    assert (listing.count.used, listing.count.remaining) == (1, 9)


def test_no_passkeys_are_no_passkeys(scripted: Any) -> None:
    for empty in (NO_CREDENTIALS, b"\0", ok({}), ok({5: 0})):
        listing = listed(scripted, s2=lambda answer=empty: answer)
        assert (listing.passkeys, listing.complete) == ((), True)


def test_a_key_that_cannot_count_lists_all_the_same(scripted: Any) -> None:
    listing = listed(scripted, s1=lambda: b"\x01")
    assert len(listing.passkeys) == 1
    assert listing.count.used is None


def test_a_site_that_comes_again_ends_the_list(scripted: Any) -> None:
    listing = listed(scripted, s2=lambda: site("a.example", total=1000), s3=lambda: site("a.example"))
    assert len(listing.passkeys) == 1
    assert not listing.complete


def test_a_passkey_that_comes_again_ends_the_list(scripted: Any) -> None:
    listing = listed(scripted, s4=lambda: passkey(b"1", total=1000), s5=lambda: passkey(b"1"))
    assert len(listing.passkeys) == 1
    assert not listing.complete


@pytest.mark.parametrize("total", [2**32, MAX_ENTRIES + 1])
def test_an_absurd_count_is_not_believed_and_marks_the_list(scripted: Any, total: int) -> None:
    listing = listed(scripted, s2=lambda: site("a.example", total=total), s4=lambda: passkey(b"1", total=total))
    assert len(listing.passkeys) == 1
    assert not listing.complete


def test_a_key_that_never_stops_is_stopped(scripted: Any) -> None:
    number = itertools.count(2)
    listing = listed(
        scripted,
        s4=lambda: passkey(b"1", total=2**32),
        s5=lambda: passkey(next(number).to_bytes(4, "big")),
    )
    assert len(listing.passkeys) == MAX_ENTRIES
    assert not listing.complete


def test_a_count_that_is_missing_is_replaced_by_asking_until_the_end(scripted: Any) -> None:
    more = iter([passkey(b"2"), NOT_ALLOWED])
    listing = listed(scripted, s2=lambda: site("a.example"), s4=lambda: passkey(b"1"), s5=lambda: next(more))
    assert [found.credential_id for found in listing.passkeys] == [b"1", b"2"]
    assert listing.complete


def test_a_list_shorter_than_its_count_is_incomplete(scripted: Any) -> None:
    for end in (NOT_ALLOWED, NO_CREDENTIALS, OTHER):
        listing = listed(scripted, s4=lambda: passkey(b"1", total=2), s5=lambda answer=end: answer)
        assert len(listing.passkeys) == 1
        assert not listing.complete


def test_a_site_that_fails_does_not_hide_the_next(scripted: Any) -> None:
    per_site = iter([OTHER, passkey(b"2", total=1)])
    listing = listed(
        scripted, s2=lambda: site("a.example", total=2), s3=lambda: site("b.example"), s4=lambda: next(per_site)
    )
    assert [found.rp_id for found in listing.passkeys] == ["b.example"]
    assert not listing.complete


def test_a_site_without_its_hash_is_left_out(scripted: Any) -> None:
    listing = listed(scripted, s2=lambda: ok({3: {"id": "a.example"}, 5: 2}), s3=lambda: site("b.example"))
    assert [found.rp_id for found in listing.passkeys] == ["b.example"]
    assert not listing.complete


def test_a_first_passkey_that_cannot_be_decoded_does_not_hide_the_second(scripted: Any) -> None:
    more = iter([passkey(b"2"), NOT_ALLOWED])
    listing = listed(scripted, s4=lambda: b"\0\xff\xff", s5=lambda: next(more))
    assert [found.credential_id for found in listing.passkeys] == [b"2"]
    assert not listing.complete


@pytest.mark.parametrize("status", [0x33, 0x36, 0x38, 0x40])
def test_a_refused_token_is_an_error_at_any_point(scripted: Any, status: int) -> None:
    for step in ("s1", "s2", "s4"):
        with pytest.raises(CtapError) as caught:
            listed(scripted, **{step: lambda: bytes([status])})
        assert caught.value.code == status


def test_a_key_that_cannot_even_begin_is_an_error(scripted: Any) -> None:
    with pytest.raises(CtapError):
        listed(scripted, s2=lambda: OTHER)


def test_a_silent_key_is_an_error_and_no_short_list(scripted: Any) -> None:
    def silent() -> bytes:
        raise UnreachableError("key_silent", "blue did not answer in time")

    with pytest.raises(UnreachableError):
        listed(scripted, s4=silent)


def test_the_same_passkey_under_two_sites_is_listed_once(scripted: Any) -> None:
    listing = listed(scripted, s2=lambda: site("a.example", total=2), s3=lambda: site("b.example"))
    assert len(listing.passkeys) == 1


def test_a_known_list_is_read_with_as_many_commands_as_it_has_entries(scripted: Any) -> None:
    sites = iter([site("b.example")])
    firsts = iter([passkey(b"1", total=2), passkey(b"3", total=1)])
    key, asked = commands(
        scripted,
        {
            METADATA: lambda: ok({1: 3, 2: 9}),
            SITES: lambda: site("a.example", total=2),
            NEXT_SITE: lambda: next(sites),
            PASSKEYS: lambda: next(firsts),
            NEXT_PASSKEY: lambda: passkey(b"2"),
        },
    )
    assert len(key.read_all(None).passkeys) == 3
    assert asked == [METADATA, SITES, NEXT_SITE, PASSKEYS, NEXT_PASSKEY, PASSKEYS]


def test_one_site_that_cannot_be_read_is_an_error(scripted: Any) -> None:
    hashed = sha256(b"a.example").digest()
    key, _ = commands(scripted, {PASSKEYS: lambda: OTHER})
    with pytest.raises(CtapError):
        key.read_of(hashed, None)
    key, _ = commands(scripted, {PASSKEYS: lambda: b"\0\xff", NEXT_PASSKEY: lambda: NOT_ALLOWED})
    with pytest.raises(UnreachableError):
        key.read_of(hashed, None)
    key, _ = commands(scripted, {PASSKEYS: lambda: NO_CREDENTIALS})
    assert key.read_of(hashed, None) == ()
