"""Seeds for keys that have hmac-secret but no seeds of their own: made and used in a process that ends at once.

That process has the key to itself and does all the arithmetic. What comes back is public, or a signature. The PIN is
asked for here, and reaches it through a pipe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyctl.core import seed_cose
from keyctl.core.authenticator_data import MAX_CREDENTIAL_ID_BYTES
from keyctl.device.exchange import MAX_MESSAGE_BYTES
from keyctl.errors import UnsupportedError
from keyctl.operations import software_process, unlocking
from keyctl.operations.software_messages import Request, Signing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances

_USER_ID_BYTES = 32
_LARGE_BLOB_KEY_BYTES = 32
#: Two numbers of 32 bytes in DER, at most.
_MAX_SIGNATURE_BYTES = 72


@dataclass(frozen=True, kw_only=True)
class SoftwareSeed:
    """What a key has to show of a seed that its secrets stand for."""

    #: COSE_Key as :func:`keyctl.core.seed_cose.encode_seed` writes it.
    public_seed: bytes
    #: Of the credential that has the secrets, and its user id, 32 random bytes.
    credential_id: bytes
    user_id: bytes
    #: For the record that the key keeps, 32 bytes; None: it has no large blobs.
    large_blob_key: bytes | None = field(repr=False)


def require(session: Session) -> None:
    """Refuse keys that cannot have such a seed, or have no PIN; nobody is asked anything.

    Raises:
        UnsupportedError: It only knows U2F, or has no hmac-secret or no PINs.
        PinError: It has no PIN (``pin_not_set``), or wants another one first.
    """
    label = session.key.label
    if session.is_u2f or not session.secrets.supported:
        what = "only knows U2F" if session.is_u2f else "has no hmac-secret"
        raise UnsupportedError(
            "unsupported",
            f"{label} {what}, so it cannot hold a software seed",
            "pair it with `--method registration`; `keyctl info` shows what it can do",
            key=label,
        )
    unlocking.require_pin_support(session)
    unlocking.require_pin(session)
    unlocking.require_current_pin_usable(session)


def ask_pin(session: Session, circumstances: Circumstances) -> str:
    """The key's PIN, asked for after all that can be checked before; the key has mostly not seen it yet.

    Raises:
        UnsupportedError: As :func:`require`.
        PinError: As :func:`require`, or no PIN may be tried now, or none was given.
    """
    require(session)
    return unlocking.unlock(session, circumstances)


def make(key: Key, pin: str, circumstances: Circumstances) -> SoftwareSeed:
    """Make a seed, with three touches: one for a credential, and two for its secrets, which have to be the same twice.

    Args:
        key: A known key as it was recognised; no session with it is open.
        pin: Its PIN; the caller does not try it again after it was refused.
        circumstances: What the command line says.

    Raises:
        KeyChoiceError: The key is not where it was (``no_key``).
        UnsupportedError: It has no room (``key_full``).
        PinError: The PIN is wrong or blocked.
        TouchError: Nobody touched the key in time.
        UnreachableError: Another key is in its place (``wrong_key``); it is gone or silent, or gave other secrets
            the second time; or the process failed (``seed_process_failed``). Message and hint say what became of a
            credential that was made already.
    """
    answer = _asked(key, pin, circumstances, None)
    with software_process.understanding():
        seed = SoftwareSeed(
            public_seed=_of_length(answer["public_seed"], 1, MAX_MESSAGE_BYTES),
            credential_id=_of_length(answer["credential_id"], 1, MAX_CREDENTIAL_ID_BYTES),
            user_id=_of_length(answer["user_id"], _USER_ID_BYTES),
            large_blob_key=None
            if answer["large_blob_key"] is None
            else _of_length(answer["large_blob_key"], _LARGE_BLOB_KEY_BYTES),
        )
        if seed_cose.encode_seed(seed_cose.read_seed(seed.public_seed)) != seed.public_seed:
            raise ValueError("another encoding")
    return seed


def sign(
    key: Key,
    pin: str,
    circumstances: Circumstances,
    *,
    credential_id: bytes,
    public_seed: bytes,
    key_handle: bytes,
    ctx: bytes,
    digest: bytes,
) -> bytes:
    """Sign a digest as a key derived from a seed, with one touch.

    Args:
        key: A known key as it was recognised; no session with it is open.
        pin: Its PIN; the caller does not try it again after it was refused.
        circumstances: What the command line says.
        credential_id: Of the credential that has the secrets.
        public_seed: The seed that these have to give.
        key_handle: Of the derived key, 81 bytes.
        ctx: The context it was derived with.
        digest: SHA-256 of what is to be signed, 32 bytes.

    Returns:
        ECDSA in DER. It was verified, but not under what the caller takes for the derived public key.

    Raises:
        KeyChoiceError: The key is not where it was (``no_key``).
        NotFoundError: It does not hold the credential any more (``passkey_not_found``).
        PinError: The PIN is wrong or blocked.
        TouchError: Nobody touched the key in time.
        StoreError: The secrets give another seed, or the handle was not made for it (``pairing_changed``).
        UnreachableError: Another key is in its place (``wrong_key``); it is gone or silent; or the process failed
            (``seed_process_failed``).
    """
    signing = Signing(
        credential_id=credential_id, public_seed=public_seed, key_handle=key_handle, ctx=ctx, digest=digest
    )
    answer = _asked(key, pin, circumstances, signing)
    with software_process.understanding():
        return _of_length(answer["signature"], 1, _MAX_SIGNATURE_BYTES)


def _asked(key: Key, pin: str, circumstances: Circumstances, signing: Signing | None) -> Mapping[str, bytes | None]:
    assert key.id is not None
    assert key.selector is not None
    request = Request(
        home=circumstances.home,
        state=circumstances.state,
        waits=circumstances.waits,
        attended=circumstances.asker.attended,
        selector=key.selector,
        key_id=key.id,
        aaguid=key.aaguid,
        label=key.label,
        pin=pin,
        signing=signing,
    )
    return software_process.answered(request, circumstances)


def _of_length(octets: bytes | None, shortest: int, longest: int | None = None) -> bytes:
    if octets is None or not shortest <= len(octets) <= (longest or shortest):
        raise ValueError("of another length")
    return octets
