"""What an agent signs, for whom: real conversations are granted, everything that is almost one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import ssh_agent_messages as messages
from keyctl.core import ssh_userauth, sshsig
from keyctl.core.contexts import Kind
from keyctl.core.ssh_agent_rules import Connection, RefusalError
from keyctl.core.ssh_wire import string
from tests.core.ssh_parts import BLOB, KINDS, bind, login, recorded, sign


def connection(*, forwarding_allowed: bool = False) -> Connection:
    return Connection(forwarding_allowed=forwarding_allowed)


def wanted(data: bytes, blob: bytes = BLOB) -> messages.SignRequest:
    return messages.SignRequest(key_blob=blob, data=data, flags=0)


MESSAGE = sshsig.Message(namespace="git", hash="sha512", digest=bytes(64))


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_in_is_granted_in_the_session_that_was_said(kind):
    here = connection()
    here.bind(bind(kind))
    purpose = here.purpose(Kind.SSH, sign(kind))
    assert isinstance(purpose.what, ssh_userauth.Login)
    assert purpose.host_key == bind(kind).host_key


def test_a_client_that_says_nothing_of_its_session_is_granted_a_log_in():
    assert connection().purpose(Kind.SSH, sign("ed25519")).host_key == bind("ed25519").host_key
    assert connection().purpose(Kind.SSH, sign("unbound")).host_key is None


def test_messages_are_granted_to_both_kinds_of_keys():
    for kind in (Kind.SSH, Kind.SIGN):
        assert connection().purpose(kind, wanted(MESSAGE.signed_data)).what == MESSAGE
        assert connection().purpose(kind, sign("sshsig")).host_key is None


@given(st.binary(max_size=200))
def test_nothing_but_log_ins_and_messages_is_granted(content):
    for kind in (Kind.SSH, Kind.SIGN):
        for data in (content, b"SSHSIG" + content, login()[:36] + content):
            with pytest.raises(RefusalError):
                connection().purpose(kind, wanted(data))


@pytest.mark.parametrize(
    ("kind", "request_", "why"),
    [
        (Kind.SIGN, wanted(login()), "in the format of ssh-keygen"),
        (Kind.SSH, wanted(login(blob=b"another")), "with another key"),
        (Kind.SSH, wanted(login(), blob=b"another"), "with another key"),
        (Kind.SSH, wanted(login(algorithm=b"ssh-rsa")), "with another key"),
        (Kind.SSH, wanted(login(algorithm=b"ecdsa-sha2-nistp256-cert-v01@openssh.com")), "with another key"),
        (Kind.SSH, wanted(bytes(32)), "to be signed begins with no session id"),
    ],
)
def test_what_is_not_granted(kind, request_, why):
    with pytest.raises(RefusalError, match=why):
        connection().purpose(kind, request_)


def test_a_log_in_in_another_session_is_refused():
    here = connection()
    here.bind(bind("ed25519"))
    with pytest.raises(RefusalError, match="another session"):
        here.purpose(Kind.SSH, sign("rsa"))


def test_a_log_in_at_another_host_is_refused():
    here = connection()
    here.bind(bind("ed25519"))
    data = login(
        session_id=bind("ed25519").session_id,
        method=b"publickey-hostbound-v00@openssh.com",
        host_key=bind("rsa").host_key,
    )
    with pytest.raises(RefusalError, match="another host"):
        here.purpose(Kind.SSH, wanted(data))


def test_a_session_that_no_host_vouches_for_spoils_the_connection():
    here = connection()
    with pytest.raises(RefusalError, match="does not vouch"):
        here.bind(replace(bind("ed25519"), session_id=bytes(32)))
    for request in (sign("ed25519"), sign("sshsig")):
        with pytest.raises(RefusalError, match="was wrong"):
            here.purpose(Kind.SSH, request)


def test_a_host_key_of_an_unknown_kind_spoils_the_connection_and_forwarding_is_believed_all_the_same():
    here = connection()
    unknown = replace(bind("ed25519"), host_key=string(b"ssh-new") + string(b"key"), is_forwarding=True)
    with pytest.raises(RefusalError, match="does not know"):
        here.bind(unknown)
    with pytest.raises(RefusalError, match="another computer"):
        here.require_local()


def forwarded() -> messages.BindRequest:
    """What a client says before it lets another computer ask."""
    return next(one for one in recorded("forwarded") if isinstance(one, messages.BindRequest) and one.is_forwarding)


def test_another_computer_gets_nothing_unless_it_may():
    here = connection()
    here.require_local()
    here.bind(forwarded())
    with pytest.raises(RefusalError, match="--allow-forwarded"):
        here.require_local()
    with pytest.raises(RefusalError, match="--allow-forwarded"):
        here.purpose(Kind.SSH, sign("sshsig"))


def test_another_computer_that_may_ask_logs_in_at_the_next_host_only():
    here = connection(forwarding_allowed=True)
    here.bind(forwarded())
    assert here.purpose(Kind.SSH, sign("sshsig")).what
    # The host that forwards is not the one that is logged in to.
    with pytest.raises(RefusalError, match="another session"):
        here.purpose(Kind.SSH, wanted(login(session_id=forwarded().session_id)))
    here.bind(bind("rsa"))
    assert here.purpose(Kind.SSH, sign("rsa")).host_key == bind("rsa").host_key


def test_a_connection_serves_one_log_in_and_the_same_hop_may_be_said_twice():
    here = connection(forwarding_allowed=True)
    here.bind(forwarded())
    here.bind(forwarded())
    here.bind(bind("rsa"))
    with pytest.raises(RefusalError, match="for another session already"):
        here.bind(bind("ed25519"))


def test_there_is_an_end_to_hops():
    here = connection(forwarding_allowed=True)
    hops = [replace(bind(kind), is_forwarding=True) for kind in KINDS]
    for hop in hops:
        here.bind(hop)
    here._sessions *= 3
    with pytest.raises(RefusalError, match="more than 16 hosts"):
        here.bind(forwarded())
