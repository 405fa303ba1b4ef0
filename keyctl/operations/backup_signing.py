"""Signing as derived keys with the backup key: one PIN for as long as it stays open, one touch for each signature."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from keyctl.core import contexts, p256, seed_cose
from keyctl.core.pairings import Method
from keyctl.errors import PinError, UnreachableError, UnsupportedError
from keyctl.model import Recognition
from keyctl.operations import opening, pair_choice, seed_trust, unlocking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import DerivedKey, Pairing, Seed
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances

_HASH_BYTES = 32


class Signer(ABC):
    """The backup key of a pairing, proved and unlocked."""

    #: The backup key.
    key: Key
    #: The connection to it; None where another process opens the key for each signature.
    session: Session | None

    def sign(self, derived: DerivedKey, digest: bytes) -> bytes:
        """Sign as a derived key of the pairing, with a touch.

        Args:
            derived: Which one; it was made from the pairing's seed.
            digest: The SHA-256 of what is signed, 32 bytes.

        Returns:
            ECDSA in DER, verified under the derived public key.

        Raises:
            NotFoundError: The key does not hold the seed.
            PinError: The PIN is wrong or blocked.
            TouchError: Nobody touched it in time.
            UnreachableError: It is gone or silent, or signed as something else (``signature_wrong``).
        """
        ctx = contexts.parse(derived.target).ctx
        return self.sign_in_context(derived.public_key, derived.key_handle, ctx, digest)

    @abstractmethod
    def sign_in_context(self, public_key: bytes, key_handle: bytes, ctx: bytes, digest: bytes) -> bytes:
        """As :meth:`sign`, for a derived key with a context of its own, a drill's for instance."""


@contextlib.contextmanager
def signing(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> Iterator[Signer]:
    """The backup key of *pairing*, open; its PIN is asked for once.

    Raises:
        NotFoundError: The backup key is not known here (``name_not_found``).
        KeyChoiceError: It is not connected.
        UnsupportedError: The pairing has no seed, or the key cannot sign with one any more.
        StoreError: The seed is not the one trusted here.
        PinError: No PIN, or none that may be tried now.
    """
    seed_trust.require(circumstances, inventory, pairing)
    assert pairing.seed is not None
    name = pair_choice.require_name(inventory, pairing.backup_id)
    with opened_by_name(circumstances, name) as session:
        unlocking.require_current_pin_usable(session)
        if pairing.method is Method.SOFTWARE:
            from keyctl.operations import software_seeds

            pin = software_seeds.ask_pin(session, circumstances)
            require_is(session, name)
            key = session.key
        else:
            session.seeds.require()
            unlocking.unlock(session, circumstances)
            require_is(session, name)
            yield _OwnSeed(session, pairing.seed)
            return
    # Its own process opens the key for each signature, so it must not be open here.
    yield _SoftwareSeed(key, pin, circumstances, pairing.seed)


def signer_of(session: Session, circumstances: Circumstances, method: Method, seed: Seed, pin: str) -> Signer:
    """The backup key that is open and unlocked already, for a seed that is not in the inventory yet.

    Args:
        session: The key; with :attr:`Method.SOFTWARE` it is closed, as another process opens it.
        circumstances: What the command line says.
        method: How the seed came about.
        seed: Which one.
        pin: Of the key.
    """
    if method is Method.SOFTWARE:
        session.close()
        return _SoftwareSeed(session.key, pin, circumstances, seed)
    return _OwnSeed(session, seed)


@contextlib.contextmanager
def opened_by_name(circumstances: Circumstances, name: str) -> Iterator[Session]:
    """The key that proves to be *name*; a person at a terminal is asked to plug it in where it is not there.

    With ``--key PATH`` the one at that path: a key that tells who it is only with its PIN (alwaysUv) is found so, and
    has to prove its name afterwards (:func:`require_is`).

    Raises:
        KeyChoiceError: It is not connected.
        UnsupportedError: It only knows U2F, or asks for its PIN before it says which key it is.
    """
    with opening.opened(opening.patient(circumstances, name)) as session:
        if session.key.recognition is Recognition.CLAIMED:
            raise UnsupportedError(
                "unsupported",
                f"{name} only knows U2F, so it holds no seed",
                "`keyctl info` shows what it can do",
                key=name,
            )
        if session.key.recognition is not Recognition.LOCKED:
            require_is(session, name)
        yield session


def require_is(session: Session, name: str) -> None:
    """Refuse a key that did not prove to be *name*.

    Raises:
        UnreachableError: It is (``wrong_key``).
    """
    if session.key.name != name:
        raise UnreachableError(
            "wrong_key",
            f"{session.key.label} is not {name}",
            f"plug in {name}; `keyctl list` shows what is connected",
            key=session.key.label,
        )


class _OwnSeed(Signer):
    """A key that has the seed itself."""

    session: Session

    def __init__(self, session: Session, seed: Seed) -> None:
        self.key = session.key
        self.session = session
        self._seed = seed

    def sign_in_context(self, public_key: bytes, key_handle: bytes, ctx: bytes, digest: bytes) -> bytes:
        assert self._seed.key_handle is not None
        signed = self.session.seeds.sign(
            self._seed.credential_id,
            self._seed.key_handle,
            seed_cose.encode_sign_arguments(key_handle, ctx),
            digest,
            os.urandom(_HASH_BYTES),
        )
        return _verified(self.key, public_key, digest, signed.signature)


class _SoftwareSeed(Signer):
    """A key whose secrets a process of its own turns into the seed, for each signature."""

    session: None = None

    def __init__(self, key: Key, pin: str, circumstances: Circumstances, seed: Seed) -> None:
        self.key = key
        self._pin: str | None = pin
        self._circumstances = circumstances
        self._seed = seed

    def sign_in_context(self, public_key: bytes, key_handle: bytes, ctx: bytes, digest: bytes) -> bytes:
        from keyctl.operations import software_seeds

        if self._pin is None:
            raise PinError(
                "pin_required",
                f"{self.key.label} refused the PIN, so it is not sent again",
                "run it again with the right one",
                key=self.key.label,
            )
        try:
            signature = software_seeds.sign(
                self.key,
                self._pin,
                self._circumstances,
                credential_id=self._seed.credential_id,
                public_seed=self._seed.public_seed,
                key_handle=key_handle,
                ctx=ctx,
                digest=digest,
            )
        except PinError:
            self._pin = None
            raise
        return _verified(self.key, public_key, digest, signature)


def _verified(key: Key, public_key: bytes, digest: bytes, signature: bytes) -> bytes:
    if not p256.verifies(public_key, digest, signature):
        raise UnreachableError(
            "signature_wrong",
            f"{key.label} answered with a signature that is not that of the derived key",
            "run `keyctl pair verify` to find out whether it still holds its seed",
            key=key.label,
        )
    return signature
