"""What is signed to log in: that of real clients, and what is almost that."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import ssh_userauth, sshsig
from keyctl.core.ssh_wire import WireError
from tests.core.ssh_parts import BLOB, KINDS, SESSION_ID, bind, login, sign

HOST_BOUND = b"publickey-hostbound-v00@openssh.com"


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_in_names_the_session_and_the_host_that_ssh_said_before(kind):
    found = ssh_userauth.read(sign(kind).data)
    assert (found.session_id, found.host_key) == (bind(kind).session_id, bind(kind).host_key)
    assert (found.key_blob, found.algorithm) == (BLOB, "ecdsa-sha2-nistp256")


def test_the_plain_method_names_no_host():
    found = ssh_userauth.read(sign("unbound").data)
    assert found.host_key is None
    assert found.user == ssh_userauth.read(sign("ed25519").data).user


def test_fields_come_back():
    found = ssh_userauth.read(login(user="jürgen".encode(), method=HOST_BOUND, host_key=b"host"))
    assert (found.user, found.session_id, found.host_key) == ("jürgen", SESSION_ID, b"host")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends in the middle"),
        (login(session_id=b""), "no session id"),
        (login(session_id=bytes(65)), "no session id"),
        (login(service=b"ssh-userauth"), "another service"),
        (login(method=b"hostbased"), "something else than a signature"),
        (login(method=b"password"), "something else than a signature"),
        (login(flag=b"\0"), "something else than a signature"),
        (login(flag=b"\2"), "something else than a signature"),
        (login(method=HOST_BOUND), "ends in the middle"),
        (login(host_key=b"host"), "after its end"),
        (login() + b"\0", "after its end"),
        (login(user=b"\xff"), "something else than text"),
        (login().replace(b"\x32", b"\x33", 1), "ends in the middle|no request to log in"),
        (b"\0\0\0\x20" + SESSION_ID + b"\x33" + login()[37:], "no request to log in"),
    ],
)
def test_what_is_no_log_in_is_refused(content, why):
    with pytest.raises(WireError, match=why):
        ssh_userauth.read(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_in_or_refused(content):
    with contextlib.suppress(WireError):
        assert ssh_userauth.read(content).user is not None


@given(st.text(min_size=1, max_size=40), st.binary(min_size=64, max_size=64))
def test_nothing_is_a_log_in_and_a_message_too(namespace, digest):
    signed = sshsig.Message(namespace=namespace, hash="sha512", digest=digest).signed_data
    with pytest.raises(WireError):
        ssh_userauth.read(signed)
    assert not sshsig.is_signed_data(login(user=namespace.encode()))
