"""A derived public key in the forms that other programs read: PEM, JWK, and OpenSSH's.

Each function takes the point, 65 bytes uncompressed, and raises :exc:`~keyctl.core.arkg.ArkgError` where it is not on
P-256. The COSE form is :func:`keyctl.core.seed_cose.encode_derived_key`.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256

from keyctl.core import p256, ssh_wire
from keyctl.core.arkg import ArkgError

_TYPE = b"ecdsa-sha2-nistp256"
_CURVE = b"nistp256"


def pem(point: bytes) -> str:
    """SubjectPublicKeyInfo (RFC 5480) in PEM, with a final newline."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    _check(point)
    return p256.public_key(point).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def jwk(point: bytes) -> dict[str, str]:
    """A JSON Web Key (RFC 7517; RFC 7518, section 6.2.1) for ES256, with its thumbprint as key id."""
    return {**_required(point), "use": "sig", "alg": "ES256", "kid": thumbprint(point)}


def thumbprint(point: bytes) -> str:
    """The JWK thumbprint (RFC 7638) with SHA-256, base64url."""
    content = json.dumps(_required(point), separators=(",", ":"), sort_keys=True)
    return _base64url(sha256(content.encode("ascii")).digest())


def openssh(point: bytes, comment: str) -> str:
    """A line for ``authorized_keys`` (RFC 5656, section 3.1), without a newline.

    Args:
        point: The key.
        comment: What it is for; may be empty.

    Raises:
        ArkgError: *comment* has characters that would end the line or hide in it.
    """
    if not comment.isprintable():
        raise ArkgError("the comment of an OpenSSH key has characters that are not printable")
    key = base64.b64encode(openssh_blob(point)).decode("ascii")
    return f"{_TYPE.decode()} {key} {comment}".rstrip(" ")


def openssh_blob(point: bytes) -> bytes:
    """The key as the SSH protocol has it (RFC 5656, section 3.1)."""
    _check(point)
    return b"".join(map(ssh_wire.string, (_TYPE, _CURVE, point)))


def openssh_fingerprint(point: bytes) -> str:
    """What ``ssh-keygen -l`` shows: ``SHA256:`` and base64 without padding."""
    return ssh_wire.fingerprint(openssh_blob(point))


def _required(point: bytes) -> dict[str, str]:
    """What goes into a thumbprint (RFC 7638, section 3.2)."""
    _check(point)
    x, y = point[1 : 1 + p256.COORDINATE_BYTES], point[1 + p256.COORDINATE_BYTES :]
    return {"kty": "EC", "crv": "P-256", "x": _base64url(x), "y": _base64url(y)}


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def _check(point: bytes) -> None:
    if not p256.on_curve(point):
        raise ArkgError("the key is not an uncompressed point of P-256")
