"""Files that ssh-keygen wrote, and what comes of them when they are damaged."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import openssh_keys, public_keys
from keyctl.core.local_files import LocalFileError
from keyctl.core.openssh_keys import WrongPassphraseError

FOLDER = Path(__file__).parents[1] / "vectors" / "local" / "ssh"
PASSPHRASE = "open sesame"
LOCKED = ["locked", "locked_ecdsa", "locked_aes128-ctr", "locked_aes192-ctr", "locked_aes256-cbc", "locked_aes256-gcm"]


def content(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def of_public_half(name: str) -> tuple[bytes, str]:
    """Public key in COSE and application, from what ssh-keygen wrote beside it."""
    blob = base64.b64decode((FOLDER / f"{name}.pub").read_text().split()[1])
    strings = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        strings.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    if strings[0].startswith(b"sk-ecdsa"):
        return public_keys.es256(strings[2]), strings[3].decode()
    return public_keys.ed25519(strings[1]), strings[2].decode()


@pytest.mark.parametrize(
    ("name", "application", "verify_required", "resident"),
    [
        ("id_ecdsa_sk", "ssh:", False, False),
        ("id_ed25519_sk", "ssh:", False, False),
        ("verified", "ssh:", True, False),
        ("verified_ecdsa", "ssh:", True, False),
        ("work", "ssh:work", False, False),
        ("resident", "ssh:", False, True),
    ],
)
def test_files_of_ssh_keygen_are_read(name, application, verify_required, resident):
    key = openssh_keys.read(content(name))
    assert (key.public_key, key.application) == of_public_half(name)
    assert key.application == application
    assert key.encryption is None
    assert key.handle.verify_required == verify_required
    assert key.handle.resident == resident
    assert key.handle.comment == f"kim@laptop {name}"
    assert len(key.handle.credential_id) == 64
    assert openssh_keys.unlock(key, "anything") is key


@pytest.mark.parametrize("name", LOCKED)
def test_locked_file_tells_public_key_and_application_and_the_rest_for_its_passphrase(name):
    key = openssh_keys.read(content(name))
    public = "locked_ecdsa" if name == "locked_ecdsa" else "locked"
    assert (key.public_key, key.application) == of_public_half(public)
    assert (key.handle, key.encryption.kdf) == (None, "bcrypt")
    openssh_keys.require_unlockable(key)
    with pytest.raises(WrongPassphraseError):
        openssh_keys.unlock(key, "open barley")
    unlocked = openssh_keys.unlock(key, PASSPHRASE)
    assert unlocked.encryption is None
    assert unlocked.handle.comment == f"kim@laptop {public}"
    assert len(unlocked.handle.credential_id) == 64


@pytest.mark.parametrize("passphrase", ["", "\0", "\udcff", "x" * 10_000])
def test_odd_passphrases_are_wrong_ones(passphrase):
    with pytest.raises(WrongPassphraseError):
        openssh_keys.unlock(openssh_keys.read(content("locked")), passphrase)


def test_unsupported_cipher_is_known_before_anybody_is_asked():
    key = openssh_keys.read(content("locked_chacha20-poly1305"))
    with pytest.raises(LocalFileError, match=r"chacha20-poly1305@openssh\.com"):
        openssh_keys.require_unlockable(key)
    with pytest.raises(LocalFileError, match="not supported"):
        openssh_keys.unlock(key, PASSPHRASE)


@pytest.mark.parametrize("rounds", [0, 2001, 0xFFFFFFFF])
def test_file_cannot_ask_for_hours_of_work(rounds):
    was = b"\0\0\0\x18\0\0\0\x10"
    raw = unarmoured("locked")
    at = raw.index(was) + len(was) + 16
    key = openssh_keys.read(armoured(raw[:at] + struct.pack(">I", rounds) + raw[at + 4 :]))
    with pytest.raises(LocalFileError, match=f"{rounds} rounds"):
        openssh_keys.unlock(key, PASSPHRASE)


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())])
@pytest.mark.parametrize("encryption", [serialization.NoEncryption(), serialization.BestAvailableEncryption(b"x")])
@pytest.mark.parametrize("form", [serialization.PrivateFormat.OpenSSH, serialization.PrivateFormat.PKCS8])
def test_keys_that_are_on_no_security_key_are_none_of_ours(key, encryption, form):
    assert openssh_keys.read(key.private_bytes(serialization.Encoding.PEM, form, encryption)) is None


def test_files_of_other_kinds_are_none_of_ours():
    assert openssh_keys.read(b"") is None
    assert openssh_keys.read(content("id_ecdsa_sk.pub")) is None
    assert openssh_keys.read(b"\n" + content("id_ecdsa_sk")) is None


def test_line_ends_of_windows_do_no_harm():
    name = "id_ed25519_sk"
    assert openssh_keys.read(content(name).replace(b"\n", b"\r\n")) == openssh_keys.read(content(name))


@pytest.mark.parametrize("name", ["id_ecdsa_sk", "id_ed25519_sk", "locked"])
def test_every_cut_is_an_error(name):
    raw = unarmoured(name)
    for length in range(len(raw)):
        with pytest.raises(LocalFileError):
            unlocked(openssh_keys.read(armoured(raw[:length])))


@pytest.mark.parametrize("missing", [1, 15, 16, 32, 1000])
@pytest.mark.parametrize("name", LOCKED)
def test_sealed_part_that_lost_its_end_is_an_error(name, missing):
    key = openssh_keys.read(content(name))
    cut = replace(key.encryption, sealed=key.encryption.sealed[:-missing])
    with pytest.raises(LocalFileError):
        unlocked(replace(key, encryption=cut))


@pytest.mark.parametrize("name", ["id_ecdsa_sk", "id_ed25519_sk", *LOCKED])
def test_whatever_follows_is_an_error(name):
    with pytest.raises(LocalFileError):
        unlocked(openssh_keys.read(armoured(unarmoured(name) + b"\0")))


@pytest.mark.parametrize("name", ["id_ecdsa_sk", "id_ed25519_sk"])
def test_public_half_that_differs_is_an_error(name):
    """A file that promises one key and holds another could pass off the one for the other."""
    raw = unarmoured(name)
    at = raw.index(b"ssh:")
    with pytest.raises(LocalFileError, match="different keys"):
        openssh_keys.read(armoured(raw[:at] + b"sshx" + raw[at + 4 :]))


@pytest.mark.parametrize(
    ("name", "was", "becomes", "reason"),
    [
        ("work", b"\0\0\0\0\0\0\0\1", b"\0\0\0\0\0\0\0\2", "more than one key"),
        ("work", b"\0\0\0\0\0\0\0\1", b"\0\0\0\1x\0\0\0\1", "says how"),
        ("work", b"nistp256\0", b"nistp384\0", "unknown curve"),
        ("work", b"ssh:work", b"ssh:\xff\xfe\xfd\xfc", "something else than text"),
        ("work", b"laptop work\1", b"laptop work\2", "padding"),
        ("locked", b"\0\0\0\6bcrypt", b"\0\0\0\6scrypt", "'scrypt', which is not supported"),
        ("locked", b"\0\0\0\x0aaes256-ctr", b"\0\0\0\x0aaes256-xyz", "'aes256-xyz', which is not supported"),
    ],
)
def test_what_is_wrong_is_told(name, was, becomes, reason):
    raw = unarmoured(name)
    assert was in raw
    with pytest.raises(LocalFileError, match=reason):
        unlocked(openssh_keys.read(armoured(raw.replace(was, becomes, 1))))


def test_file_without_key_handle_is_an_error():
    raw = unarmoured("id_ed25519_sk")
    handle = openssh_keys.read(content("id_ed25519_sk")).handle.credential_id
    # Its place is taken by the string after it, so that all lengths stay right.
    emptied = raw.replace(b"\0\0\0\x40" + handle + bytes(4), bytes(4) + b"\0\0\0\x40" + handle, 1)
    assert emptied != raw
    with pytest.raises(LocalFileError, match="key handle of 0 bytes"):
        openssh_keys.read(armoured(emptied))


def test_armour_that_is_no_ascii_is_an_error():
    with pytest.raises(LocalFileError, match="base64"):
        openssh_keys.read(openssh_keys.HEADER + b"\n\xff\n-----END OPENSSH PRIVATE KEY-----\n")


@given(name=st.sampled_from(["id_ecdsa_sk", "id_ed25519_sk"]), data=st.data())
def test_any_damage_is_an_error_or_leaves_a_key(name, data):
    raw = bytearray(unarmoured(name))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        key = openssh_keys.read(armoured(bytes(raw)))
    except LocalFileError:
        return
    # Damage to the name of a cipher shows when it is needed.
    assert key is None or key.encryption is not None or key.handle.credential_id


@given(st.binary())
def test_anything_after_the_first_line_is_an_error_or_nothing(rest):
    try:
        assert openssh_keys.read(openssh_keys.HEADER + b"\n" + rest) is None
    except LocalFileError:
        return


def unlocked(key):
    """*key* with all that is in its file."""
    return openssh_keys.unlock(key, PASSPHRASE)


def unarmoured(name: str) -> bytes:
    return base64.b64decode(b"".join(content(name).splitlines()[1:-1]))


def armoured(raw: bytes) -> bytes:
    return openssh_keys.HEADER + b"\n" + base64.encodebytes(raw) + b"-----END OPENSSH PRIVATE KEY-----\n"
