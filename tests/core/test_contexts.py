"""What people type for a derived key becomes one context each; what cannot be promised is refused."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import contexts
from keyctl.core.contexts import Kind, Target
from keyctl.errors import UnsupportedError, UsageError

from .seed_vectors import load, octets


@pytest.mark.parametrize("vector", load("hmac_secret_seeds.json")["vectors"], ids=lambda vector: str(vector["id"]))
def test_published_entropy_comes_out(vector: dict[str, Any]) -> None:
    values = octets(vector)
    assert contexts.parse("ssh:host1").ctx == values["ctx"]
    assert contexts.ikm(values["pairing_secret"], values["ctx"]) == values["ikm"]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_pairing_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="pairing secret"):
        contexts.ikm(bytes(length), b"")


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("rp:github.com", "rp:github.com"),
        ("RP:GitHub.COM", "rp:github.com"),
        ("rp:bücher.example", "rp:xn--bcher-kva.example"),
        ("rp:bu\u0308cher.example/Ann", "rp:xn--bcher-kva.example/ann"),
        ("rp:github.com/Ann/2", "rp:github.com/ann/2"),
        ("ssh:Server", "ssh:server"),
        ("ssh:server.example.com", "ssh:server.example.com"),
        ("ssh:bücher.example", "ssh:xn--bcher-kva.example"),
        ("ssh:192.0.2.1", "ssh:192.0.2.1"),
        ("ssh:[2001:DB8:0:0::1]", "ssh:2001:db8::1"),
        ("ssh:2001:db8::1", "ssh:2001:db8::1"),
        ("ssh:::ffff:192.0.2.1", "ssh:192.0.2.1"),
        ("sign:Releases", "sign:releases"),
        ("sign:two words", "sign:two words"),
        ("sign:u\u0308ber", "sign:\u00fcber"),
        ("sign:ÜBER", "sign:\u00fcber"),
        ("sign:\u03a3\u0391\u03a3", "sign:\u03c3\u03b1\u03c3"),
        ("sign:a:b", "sign:a:b"),
    ],
)
def test_what_is_typed_has_one_form(typed: str, text: str) -> None:
    target = contexts.parse(typed)
    assert target.text == text
    assert contexts.parse(text) == target
    assert target.ctx == b"kc1:" + text.encode()


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ssh",
        "ssh:",
        "github.com",
        "https://github.com",
        "web:github.com",
        "rp:",
        "rp:/ann",
        "rp:github.com/",
        "rp:https://github.com",
        "rp:ssh:",
        "rp:192.0.2.1",
        "ssh:ann@server",
        "ssh:server:22",
        "ssh:server.",
        "ssh:[server]",
        "ssh:fe80::1%eth0",
        "ssh:two words",
        "ssh:1234",
        "sign:",
        "sign: releases",
        "sign:releases ",
        "sign:re\nleases",
        "sign:re\u202eleases",
        "sign:\u0378",
        "sign:\ud800",
        "sign:" + "a" * 1000,
    ],
)
def test_what_is_no_target_is_refused_with_a_hint(typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        contexts.parse(typed)
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("typed", ["age:backup", "enc:files", "ENCRYPT:x", "gpg:ann", "luks:disk", "age1qqqq"])
def test_encryption_is_refused_with_the_reason(typed: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        contexts.parse(typed)
    assert "cannot encrypt" in caught.value.message
    assert "would be lost" in (caught.value.hint or "")


def test_a_site_has_a_domain_and_perhaps_an_account() -> None:
    target = contexts.parse("rp:github.com/ann/2")
    assert (target.rp_id, target.account) == ("github.com", "ann/2")
    assert (contexts.parse("rp:github.com").rp_id, contexts.parse("rp:github.com").account) == ("github.com", None)
    assert (contexts.parse("ssh:github.com").rp_id, contexts.parse("sign:a/b").account) == (None, None)


def test_a_long_label_is_hashed() -> None:
    longest, longer = contexts.parse("sign:" + "a" * 55), contexts.parse("sign:" + "a" * 56)
    assert len(longest.ctx) == 64
    assert longer.ctx == b"kc1h:sign:" + sha256(b"kc1:sign:" + b"a" * 56).digest()
    assert contexts.parse("ssh:" + "a" * 56).ctx != longer.ctx


@given(kind=st.sampled_from(Kind), label=st.text(max_size=80))
def test_any_text_is_a_target_that_stays_the_same_or_is_refused(kind: Kind, label: str) -> None:
    try:
        target = contexts.parse(f"{kind}:{label}")
    except UsageError:
        return
    assert contexts.parse(target.text) == target
    assert target.kind is kind
    assert len(target.ctx) <= 64
    assert target.ctx != contexts.PAIRING_CTX


@given(one=st.builds(Target, st.sampled_from(Kind), st.text(max_size=70)), other=st.text(max_size=70))
def test_different_targets_have_different_contexts(one: Target, other: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in one.label + other):
        return
    for kind in Kind:
        second = Target(kind, other)
        assert (second.ctx == one.ctx) == (second == one)
