"""What a derived key is for, as people type it, and the ARKG context and entropy that follow from it.

``rp:DOMAIN[/ACCOUNT]``, ``ssh:HOST`` and ``sign:LABEL`` become one canonical text each, so that the same request gives
the same key again, on every computer. Nothing that was derived can be found again once these rules change.
"""

from __future__ import annotations

import hmac
import ipaddress
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from keyctl.core import rp_ids
from keyctl.core.arkg import MAX_CTX_BYTES
from keyctl.errors import UnsupportedError, UsageError

#: The context of the one key by which a backup key proves that a seed is its own.
PAIRING_CTX = b"keyctl/pairing/v1"
#: Of the keys that are derived for a drill, each for one signature.
DRILL_CTX = b"keyctl/drill/v1"
_PREFIX = b"kc1:"
#: Of contexts that would be too long otherwise; the kind stays readable, as what may be signed hangs on it.
_HASHED_PREFIX = b"kc1h:"
_IKM_INFO = b"keyctl/ikm/v1"
#: RFC 5869, section 2.2.
_NO_SALT = bytes(32)
#: Of the pairing secret; less is not what keyctl draws.
DRV_BYTES = 32
_MAX_CHARACTERS = 1000
#: What people use for files and messages that only the recipient can read.
_ENCRYPTION = frozenset(
    {"age", "decrypt", "decryption", "enc", "encrypt", "encryption", "gpg", "hpke", "jwe", "luks", "openpgp", "pgp"}
)
_HINT = "targets are rp:DOMAIN, rp:DOMAIN/ACCOUNT, ssh:HOST and sign:LABEL"


class Kind(StrEnum):
    """What a derived key may sign."""

    #: For a site, perhaps for one account there.
    RP = "rp"
    #: Log-ins to an SSH server, and nothing else.
    SSH = "ssh"
    #: Anything.
    SIGN = "sign"


@dataclass(frozen=True)
class Target:
    """One derived key's purpose, in canonical form; made by :func:`parse`."""

    kind: Kind
    label: str

    @property
    def text(self) -> str:
        """As it is shown and stored; :func:`parse` takes it back."""
        return f"{self.kind}:{self.label}"

    @property
    def rp_id(self) -> str | None:
        """The site's domain; None for other kinds."""
        return self.label.partition("/")[0] if self.kind is Kind.RP else None

    @property
    def account(self) -> str | None:
        """The account at the site, where one was named."""
        return self.label.partition("/")[2] or None if self.kind is Kind.RP else None

    @property
    def ctx(self) -> bytes:
        """The ARKG context, at most 64 bytes; a SHA-256 of it under another prefix where that is too short."""
        kind = self.kind.encode() + b":"
        ctx = _PREFIX + kind + self.label.encode()
        return ctx if len(ctx) <= MAX_CTX_BYTES else _HASHED_PREFIX + kind + sha256(ctx).digest()


def parse(text: str) -> Target:
    """The target that *text* means.

    Raises:
        UsageError: It is none; the hint says which there are.
        UnsupportedError: It is for encryption, which no derived key can do.
    """
    if len(text) > _MAX_CHARACTERS:
        raise UsageError("usage", f"a target of {len(text)} characters is too long", _HINT)
    prefix, colon, rest = text.partition(":")
    kind = prefix.lower()
    if kind in _ENCRYPTION or (not colon and kind.startswith("age1")):
        raise UnsupportedError(
            "unsupported",
            f"a derived key cannot encrypt: {text!r}",
            "the backup key can sign with a derived key but not decrypt: what is encrypted for one would be lost",
        )
    if not colon or kind not in _READERS:
        raise UsageError("usage", f"{text!r} is no target", _HINT)
    return Target(Kind(kind), _READERS[Kind(kind)](rest))


def ikm(drv: bytes, ctx: bytes) -> bytes:
    """The entropy for the derived key of *ctx*: HKDF-SHA-256 (RFC 5869) without salt, 32 bytes.

    Args:
        drv: The pairing secret, 32 bytes, drawn anew for every seed: the same one under two seeds makes handles that
            can be linked.
        ctx: The context, which goes into the key as well.

    Raises:
        ValueError: *drv* has another length.
    """
    if len(drv) != DRV_BYTES:
        raise ValueError("the pairing secret has another length")
    prk = hmac.digest(_NO_SALT, drv, "sha256")
    return hmac.digest(prk, _IKM_INFO + ctx + b"\x01", "sha256")


def _site(text: str) -> str:
    """DOMAIN[/ACCOUNT]: A-labels and lower case before the slash."""
    domain, slash, account = text.partition("/")
    # Other RP ids, such as those of SSH keys, are no sites.
    if ":" in domain:
        raise UsageError("usage", f"{domain!r} is not a domain", _HINT)
    rp_id = rp_ids.parse(domain)
    return f"{rp_id}/{_label(account)}" if slash else rp_id


def _host(text: str) -> str:
    """A host name as :func:`rp_ids.parse` reads domains, or an address in its shortest form."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" not in bare:
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            pass
        else:
            # Python 3.13 began to write mapped addresses in another way, so they become the plain ones.
            return str((address.version == 6 and address.ipv4_mapped) or address)
    if ":" not in text:
        try:
            return rp_ids.parse(text)
        except UsageError:
            pass
    hint = "a host is written without user and port, as in ssh:server.example.com"
    raise UsageError("usage", f"{text!r} is not a host", hint)


def _label(text: str) -> str:
    """Any text in lower case and NFC (UAX 15)."""
    label = unicodedata.normalize("NFC", _lower(unicodedata.normalize("NFC", text)))
    # The forms of unassigned characters are not known yet; invisible ones cannot be typed again from what is shown.
    if not label.isprintable() or label != label.strip() or not label:
        raise UsageError("usage", f"{text!r} is not a label", "a label is visible text without spaces around it")
    return label


def _lower(text: str) -> str:
    # One character at a time: at the end of a word Python would turn a capital sigma into another letter.
    return "".join(character.lower() for character in text)


_READERS = {Kind.RP: _site, Kind.SSH: _host, Kind.SIGN: _label}
