"""The keys of SSH hosts, as far as their signatures over a session have to be verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.ssh_wire import Reader, WireError, fingerprint, mpint, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

#: Ends the kind of a host key that an authority signed; the key itself is in it (OpenSSH: PROTOCOL.certkeys).
_CERTIFICATE = "-cert-v01@openssh.com"
_ED25519 = "ssh-ed25519"
_RSA = "ssh-rsa"
_ECDSA = frozenset({"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"})
#: Bits. OpenSSH takes none below; those above only make others compute.
_MIN_RSA_BITS, _MAX_RSA_BITS = 1024, 16384


@dataclass(frozen=True)
class _Plain:
    """A host key without a certificate around it."""

    kind: str
    #: Exponent and modulus of RSA.
    numbers: tuple[int, ...]
    #: Of other kinds: the key, after the name of its curve where there are several.
    strings: tuple[bytes, ...]

    @property
    def blob(self) -> bytes:
        return b"".join([string(self.kind.encode()), *map(mpint, self.numbers), *map(string, self.strings)])


def told(blob: bytes) -> str:
    """The fingerprint of a host key, as ssh shows it; a certificate's is that of the key in it."""
    try:
        return fingerprint(_read(blob).blob)
    except WireError:
        return fingerprint(blob)


def check_signature(blob: bytes, signature: bytes, data: bytes) -> None:
    """Make sure that the host signed *data*.

    Args:
        blob: Its public key, or a certificate with it.
        signature: With its algorithm.
        data: The session id.

    Raises:
        WireError: It did not, or with a key or algorithm that is not known or not good enough.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    key = _read(blob)
    fields = Reader(signature)
    algorithm, value = fields.text().removesuffix(_CERTIFICATE), fields.string()
    fields.finish()
    check = _check_ed25519 if key.kind == _ED25519 else _check_rsa if key.kind == _RSA else _check_ecdsa
    try:
        check(key, algorithm, value, data)
    except InvalidSignature as error:
        raise WireError("is signed by somebody else") from error
    except UnsupportedAlgorithm as error:
        raise WireError("is of a kind that this computer cannot verify") from error
    except WireError:
        raise
    except ValueError as error:
        raise WireError("holds no proper key") from error


def _read(blob: bytes) -> _Plain:
    fields = Reader(blob)
    name = fields.text()
    kind = name.removesuffix(_CERTIFICATE)
    if kind != name:
        fields.string()  # a random number, before the key
    if kind == _ED25519:
        key = _Plain(kind, (), (fields.string(),))
    elif kind == _RSA:
        key = _Plain(kind, (fields.mpint(), fields.mpint()), ())
    elif kind in _ECDSA:
        key = _Plain(kind, (), (fields.string(), fields.string()))
    else:
        raise WireError("is of a kind that keyctl does not know")
    if kind == name:
        fields.finish()
    return key


def _check_ed25519(key: _Plain, algorithm: str, value: bytes, data: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    if algorithm != _ED25519:
        raise _other_kind()
    ed25519.Ed25519PublicKey.from_public_bytes(key.strings[0]).verify(value, data)


def _check_ecdsa(key: _Plain, algorithm: str, value: bytes, data: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    curves: dict[bytes, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
        b"nistp256": (ec.SECP256R1(), hashes.SHA256()),
        b"nistp384": (ec.SECP384R1(), hashes.SHA384()),
        b"nistp521": (ec.SECP521R1(), hashes.SHA512()),
    }
    name, point = key.strings
    if algorithm != key.kind or key.kind.encode() != b"ecdsa-sha2-" + name:
        raise _other_kind()
    curve, digest = curves[name]
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    numbers = Reader(value)
    r, s = numbers.mpint(), numbers.mpint()
    numbers.finish()
    public.verify(encode_dss_signature(r, s), data, ec.ECDSA(digest))


def _check_rsa(key: _Plain, algorithm: str, value: bytes, data: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    # RFC 8332; with SHA-1, for which the plain name stands, a signature proves nothing any more.
    digests: dict[str, hashes.HashAlgorithm] = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}
    e, n = key.numbers
    if algorithm not in digests or not _MIN_RSA_BITS <= n.bit_length() <= _MAX_RSA_BITS:
        raise _other_kind()
    rsa.RSAPublicNumbers(e, n).public_key().verify(value, data, padding.PKCS1v15(), digests[algorithm])


def _other_kind() -> WireError:
    return WireError("is of another kind than its signature, or of one that is too weak")
