"""Host keys that vouch for a session, as real sshds did, and those that do not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import ssh_host_keys
from keyctl.core.ssh_wire import WireError, fingerprint, mpint, string
from tests.core.ssh_parts import KINDS, SESSION_ID, bind


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_vouches_for_its_session_and_for_no_other(kind):
    request = bind(kind)
    ssh_host_keys.check_signature(request.host_key, request.signature, request.session_id)
    with pytest.raises(WireError, match="somebody else"):
        ssh_host_keys.check_signature(request.host_key, request.signature, SESSION_ID)


@pytest.mark.parametrize("kind", KINDS)
def test_another_hosts_signature_is_none(kind):
    other = bind("forwarded" if kind != "ed25519" else "certificate")
    with pytest.raises(WireError):
        ssh_host_keys.check_signature(bind(kind).host_key, other.signature, other.session_id)


@given(st.sampled_from(KINDS), st.data())
def test_damaged_bytes_are_refused(kind, data):
    request = bind(kind)
    parts = [request.host_key, request.signature, request.session_id]
    which = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(parts[which]) - 1))
    flipped = parts[which][:at] + bytes([parts[which][at] ^ data.draw(st.integers(1, 255))]) + parts[which][at + 1 :]
    # What an authority says of a host is ssh's affair; only the key in it is looked at.
    if kind == "certificate" and which == 0:
        return
    with pytest.raises(WireError):
        ssh_host_keys.check_signature(*parts[:which], flipped, *parts[which + 1 :])
    if which < 2:
        with pytest.raises(WireError):
            ssh_host_keys.check_signature(*parts[:which], parts[which][:at], *parts[which + 1 :])


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_any_bytes_are_refused(blob, signature):
    with pytest.raises(WireError):
        ssh_host_keys.check_signature(blob, signature, SESSION_ID)
    assert ssh_host_keys.told(blob).startswith("SHA256:")


def test_kinds_that_are_not_known_are_refused():
    blob = string(b"sk-ssh-ed25519@openssh.com") + string(bytes(32)) + string(b"ssh:")
    with pytest.raises(WireError, match="does not know"):
        ssh_host_keys.check_signature(blob, string(b"x") + string(b""), SESSION_ID)


@pytest.mark.parametrize(("bits", "algorithm"), [(1024, b"ssh-rsa"), (512, b"rsa-sha2-256")])
def test_weak_rsa_is_refused(bits, algorithm):
    key = rsa.generate_private_key(65537, max(bits, 1024))
    numbers = key.public_key().public_numbers()
    n = numbers.n if bits >= 1024 else numbers.n >> 1024 - bits
    blob = string(b"ssh-rsa") + mpint(numbers.e) + mpint(n)
    digest = hashes.SHA1() if algorithm == b"ssh-rsa" else hashes.SHA256()
    signature = string(algorithm) + string(key.sign(SESSION_ID, padding.PKCS1v15(), digest))
    with pytest.raises(WireError, match="too weak"):
        ssh_host_keys.check_signature(blob, signature, SESSION_ID)


def test_the_fingerprint_is_that_which_ssh_shows_also_of_a_certificate():
    plain, certified = bind("ed25519").host_key, bind("certificate").host_key
    assert ssh_host_keys.told(plain) == fingerprint(plain)
    # string kind, string random number, string key
    at = 4 + len(b"ssh-ed25519-cert-v01@openssh.com")
    key = certified[at + 4 + 32 :][:36]
    assert ssh_host_keys.told(certified) == fingerprint(string(b"ssh-ed25519") + key)
