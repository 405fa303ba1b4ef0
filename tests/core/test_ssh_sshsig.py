"""Signatures of messages: what ssh-keygen wants signed and writes, and what is almost that."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import p256, sshsig
from keyctl.core.ssh_wire import Reader, WireError, string
from tests.core.ssh_parts import BLOB, RECORDED, sign


def test_what_ssh_keygen_wants_signed_for_a_file():
    found = sshsig.read_signed_data(sign("sshsig").data)
    digest = hashlib.sha512(RECORDED["message"].encode()).digest()
    assert found == sshsig.Message(namespace="file", hash=sshsig.HASH, digest=digest)
    assert found.signed_data == sign("sshsig").data


def test_the_file_is_that_of_ssh_keygen_byte_for_byte():
    text = RECORDED["sshsig_file"]
    fields = Reader(base64.b64decode("".join(text.splitlines()[1:-1])))
    fields.take(6 + 4)
    _key, _namespace, _reserved, _hash, signature = (fields.string() for _ in range(5))
    assert sshsig.armored(sshsig.read_signed_data(sign("sshsig").data), BLOB, signature) == text
    blob = Reader(signature)
    assert blob.text() == "ecdsa-sha2-nistp256"
    numbers = Reader(blob.string())
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    der = encode_dss_signature(numbers.mpint(), numbers.mpint())
    assert p256.verifies(bytes.fromhex(RECORDED["key"]), hashlib.sha256(sign("sshsig").data).digest(), der)
    assert sshsig.ecdsa_signature(der) == signature


@given(st.text(min_size=1, max_size=50), st.sampled_from(["sha256", "sha512"]))
def test_messages_come_back(namespace, name):
    message = sshsig.Message(namespace=namespace, hash=name, digest=hashlib.new(name).digest())
    if namespace.isprintable():
        assert sshsig.read_signed_data(message.signed_data) == message
    else:
        with pytest.raises(WireError, match="no visible text"):
            sshsig.read_signed_data(message.signed_data)


def signed(namespace=b"file", reserved=b"", name=b"sha512", digest=bytes(64), more=b""):
    return b"SSHSIG" + b"".join(map(string, (namespace, reserved, name, digest))) + more


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"SSHSI", "ends in the middle"),
        (b"SSHSIGx", "ends in the middle"),
        (b"SSHSIH" + signed()[6:], "no signature of a message"),
        (signed(namespace=b""), "is empty"),
        (signed(namespace=b"x" * 257), "longer than 256 bytes"),
        (signed(namespace=b"a\x1b[2J"), "no visible text"),
        (signed(namespace="a\u202eb".encode()), "no visible text"),
        (signed(reserved=b"x"), "nothing yet"),
        (signed(name=b"sha1", digest=bytes(20)), "no hash"),
        (signed(name=b"sha256"), "no hash"),
        (signed(digest=bytes(63)), "no hash"),
        (signed(more=b"\0"), "after its end"),
    ],
)
def test_what_is_no_message_is_refused(content, why):
    with pytest.raises(WireError, match=why):
        sshsig.read_signed_data(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(content):
    for candidate in (content, b"SSHSIG" + content):
        with contextlib.suppress(WireError):
            assert sshsig.read_signed_data(candidate).signed_data == candidate
