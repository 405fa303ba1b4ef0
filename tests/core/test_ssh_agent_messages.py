"""Messages to an agent: those of real programs, and bytes of any kind."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl.core import ssh_agent_messages as messages
from keyctl.core.ssh_wire import Reader, WireError, string, uint32
from tests.core.ssh_parts import BLOB, KINDS, RECORDED, bind, recorded, sign

#: Requests in which every byte counts.
PARSED = [message for name, group in RECORDED["requests"].items() if name != "other" for message in group]


@pytest.mark.parametrize("kind", KINDS)
def test_ssh_says_whose_session_it_is_and_then_wants_a_signature(kind):
    assert [type(one) for one in recorded(kind)] == [messages.BindRequest, messages.SignRequest]
    assert not bind(kind).is_forwarding
    assert sign(kind).key_blob == BLOB


def test_ssh_says_when_it_forwards():
    binds = [one for one in recorded("forwarded") if isinstance(one, messages.BindRequest)]
    assert [one.is_forwarding for one in binds] == [False, True]


def test_what_else_programs_ask_is_told_in_words():
    assert {one.what for one in recorded("other")} == {"remove all keys"}
    assert messages.read(b"\x16" + string(b"secret")).what == "lock"
    assert messages.read(b"\xf0").what == "do what message 240 means"
    unknown = messages.read(b"\x1b" + string(b"restrict@example.com") + b"anything")
    assert unknown.what == "use the extension restrict@example.com"


@given(st.binary(max_size=300))
@example(b"")
def test_any_bytes_are_a_request_or_refused(content):
    with contextlib.suppress(WireError):
        assert messages.read(content) is not None


@given(st.sampled_from(PARSED).map(bytes.fromhex), st.data())
def test_a_damaged_request_is_refused_or_another_one(message, data):
    at = data.draw(st.integers(0, len(message) - 1))
    for damaged in (message[:at], message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :], message + b"\0"):
        with contextlib.suppress(WireError):
            assert messages.read(damaged) != messages.read(message)


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_a_request_to_sign_comes_back(blob, content, flags):
    message = b"\x0d" + string(blob) + string(content) + uint32(flags)
    assert messages.read(message) == messages.SignRequest(key_blob=blob, data=content, flags=flags)


def test_the_answers_are_as_the_draft_has_them():
    listed = Reader(messages.identities([(b"blob", "ssh:host")]))
    assert (listed.octet(), listed.uint32(), listed.string(), listed.text()) == (12, 1, b"blob", "ssh:host")
    listed.finish()
    answer = Reader(messages.extensions())
    assert (answer.octet(), answer.text(), answer.text(), answer.text()) == (
        29,
        "query",
        *("query", messages.SESSION_BIND),
    )
    answer.finish()
    assert messages.signed(b"x") == b"\x0e\0\0\0\x01x"
    assert messages.framed(messages.FAILURE) == b"\0\0\0\x01\x05"
    assert messages.read(b"\x1b" + string(b"query")) == messages.QueryRequest()
    assert messages.read(b"\x0b") == messages.ListRequest()


def test_no_more_keys_are_listed_than_one_answer_holds():
    keys = [(bytes(104), "x" * 1000)] * 300
    fitting = messages.fitting(keys)
    size = len(messages.framed(messages.identities(keys[:fitting])))
    assert size <= messages.MAX_MESSAGE_BYTES < size + 104 + 1000 + 8
    assert messages.fitting([(b"", "")] * 3000) == messages.MAX_IDENTITIES
    assert messages.fitting([]) == 0
