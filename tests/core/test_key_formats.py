"""A derived key as other programs read it; they are asked."""

from __future__ import annotations

import base64
import json
import shutil
from hashlib import sha256
from subprocess import run
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

from keyctl.core import key_formats, p256
from keyctl.core.arkg import ArkgError

from .seed_vectors import load, octets

if TYPE_CHECKING:
    from pathlib import Path

POINT = octets(load("arkg_p256.json")["vectors"][0])["pk_prime"]
KEY = p256.public_key(POINT)


def test_pem_is_read_by_others() -> None:
    text = key_formats.pem(POINT)
    assert text.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert text.endswith("-----END PUBLIC KEY-----\n")
    assert load_pem_public_key(text.encode()) == KEY


def test_jwk_has_the_point_and_its_thumbprint() -> None:
    jwk = key_formats.jwk(POINT)
    assert {name: jwk[name] for name in ("kty", "crv", "use", "alg")} == {
        "kty": "EC",
        "crv": "P-256",
        "use": "sig",
        "alg": "ES256",
    }
    assert b"\x04" + base64.urlsafe_b64decode(jwk["x"] + "=") + base64.urlsafe_b64decode(jwk["y"] + "=") == POINT
    required = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    kid = base64.urlsafe_b64encode(sha256(required.encode()).digest()).decode().rstrip("=")
    assert jwk["kid"] == key_formats.thumbprint(POINT) == kid
    assert json.loads(json.dumps(jwk)) == jwk


def test_openssh_is_read_by_others() -> None:
    line = key_formats.openssh(POINT, "keyctl ssh:host1")
    assert load_ssh_public_key(line.encode()) == KEY
    kind, blob, comment = line.split(" ", 2)
    assert (kind, comment) == ("ecdsa-sha2-nistp256", "keyctl ssh:host1")
    assert base64.b64decode(blob) == key_formats.openssh_blob(POINT)
    assert key_formats.openssh(POINT, "") == f"{kind} {blob}"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_ssh_keygen_shows_the_same_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(key_formats.openssh(POINT, "host1") + "\n")
    shown = run(["ssh-keygen", "-l", "-f", path], capture_output=True, text=True, check=True).stdout
    assert shown == f"256 {key_formats.openssh_fingerprint(POINT)} host1 (ECDSA)\n"


@pytest.mark.parametrize("comment", ["a\nssh-rsa AAAA", "a\r", "a\0", "\u2028", "\u202e"])
def test_a_comment_cannot_smuggle_in_a_line(comment: str) -> None:
    with pytest.raises(ArkgError, match="not printable"):
        key_formats.openssh(POINT, comment)


@pytest.mark.parametrize("point", [b"", POINT[1:], POINT[:-1], b"\x04" + bytes(64), b"\x02" + POINT[1:33]])
def test_what_is_no_point_has_no_form(point: bytes) -> None:
    for form in (key_formats.pem, key_formats.jwk, key_formats.openssh_blob, key_formats.openssh_fingerprint):
        with pytest.raises(ArkgError):
            form(point)
