"""previewSign: a seed beside a credential, and signatures by the keys that others derive from its public half.

Version 4 of the draft of the WebAuthn extension "sign" (https://yubicolabs.github.io/webauthn-sign-extension/4/), as
keys have it that are sold; where the draft leaves a status code open, the one that they answer with.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.core import arkg, seed_numbers
from keyctl.virtual import attestation
from keyctl.virtual.authorization import Flag
from keyctl.virtual.info import aaguid
from keyctl.virtual.profiles import ES256, PREVIEW_SIGN
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.requests import Parameters, decode
from keyctl.virtual.signing import sign
from keyctl.virtual.signing_seeds import HANDLE_BYTES, MAX_SIGNING_SEEDS, POLICIES, SigningSeed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.state import Credential

ERR = CtapError.ERR
_IKM_BYTES = 32
_SCALAR_BYTES = 32
_DIGEST_BYTES = 32
_DEFAULT_FLAGS = int(Flag.UP)
# The algorithms that keys on the market write into the two halves of a seed: ES256, and ECDH-ES+HKDF-256 (RFC 9053).
_BLINDING_ALGORITHM = ES256
_KEM_ALGORITHM = -25

# Of an attestation object.
_FORMAT = 1
_AUTHENTICATOR_DATA = 2
_STATEMENT = 3

# Of the arguments, a COSE_Sign_Args.
_ARGUMENTS_ALGORITHM = 3
_ARGUMENTS_HANDLE = -1
_ARGUMENTS_CONTEXT = -2

#: Authenticator data begins with the RP id's SHA-256 and the flags (WebAuthn level 2, section 6.1).
_RP_AND_FLAGS_BYTES = 33
_NO_COUNTER = bytes(4)


@dataclass(frozen=True, kw_only=True)
class SeedWish:
    """What kind of seed a new credential is to have."""

    algorithm: int
    flags: int

    @property
    def signed_output(self) -> Mapping[int, Any]:
        """For the authenticator data of the credential."""
        return {seed_numbers.EXTENSION_ALGORITHM: self.algorithm}


@dataclass(frozen=True, kw_only=True)
class MadeSeed:
    """A seed that was just made."""

    seed: SigningSeed
    #: The public half as a COSE key.
    public_key: Mapping[int, Any]


def read_seed_wish(context: Context, value: Any, *, has_mac: bool) -> SeedWish | None:
    """What the input *value* of makeCredential asks for, or None where the credential is made without a seed.

    Args:
        context: The key.
        value: Anything.
        has_mac: Whether the request comes with a PIN token: with a PIN set, no seed is made without one.

    Raises:
        CtapError: INVALID_OPTION for flags that nobody knows; UNSUPPORTED_ALGORITHM; KEY_STORE_FULL; else the input is
            malformed.
    """
    inputs = Parameters(value)
    flags = inputs.optional_integer(seed_numbers.EXTENSION_FLAGS)
    if flags is None:
        flags = _DEFAULT_FLAGS
    if flags not in POLICIES:
        raise CtapError(ERR.INVALID_OPTION)
    algorithms = inputs.integers(seed_numbers.EXTENSION_ALGORITHM)
    if any(number >= 0 for number in algorithms):
        raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
    if seed_numbers.ESP256_SPLIT_ARKG not in algorithms:
        raise CtapError(ERR.UNSUPPORTED_ALGORITHM)
    if Quirk.PREVIEW_SIGN_OMITTED in context.quirks or (context.state.pin is not None and not has_mac):
        return None
    if len(context.state.signing_seeds) >= MAX_SIGNING_SEEDS:
        raise CtapError(ERR.KEY_STORE_FULL)
    if Quirk.PREVIEW_SIGN_FLAGS_0 in context.quirks:
        flags = 0
    return SeedWish(algorithm=seed_numbers.ESP256_SPLIT_ARKG, flags=flags)


def make_seed(context: Context, wish: SeedWish, credential_id: bytes) -> MadeSeed:
    """Make a seed for the new credential with *credential_id*, and keep it."""
    private = _fresh()
    seed = SigningSeed(
        credential_id=credential_id,
        handle=os.urandom(HANDLE_BYTES),
        algorithm=wish.algorithm,
        flags=wish.flags,
        sk_bl=private.sk_bl.to_bytes(_SCALAR_BYTES, "big"),
        sk_kem=private.sk_kem.to_bytes(_SCALAR_BYTES, "big"),
    )
    context.state.signing_seeds = (*context.state.signing_seeds, seed)
    context.changed(durable=True)
    foreign = Quirk.PREVIEW_SIGN_FOREIGN_SEED in context.quirks
    return MadeSeed(seed=seed, public_key=_public_key(arkg.public_seed(_fresh() if foreign else private)))


def unsigned_output(
    context: Context, made: MadeSeed, data: bytes, client_data_hash: bytes, *, enterprise: bool
) -> Mapping[int, Any]:
    """The attestation object of a seed, for the unsigned outputs.

    Args:
        context: The key.
        made: The seed.
        data: The authenticator data of its credential.
        client_data_hash: Of the request.
        enterprise: Whether the credential has an enterprise attestation.

    Raises:
        StoreError: The test root's file cannot be used or written.
    """
    own_aaguid = aaguid(context)
    told_aaguid = own_aaguid
    if Quirk.PREVIEW_SIGN_WRONG_AAGUID in context.quirks:
        told_aaguid = bytes(byte ^ 0xFF for byte in own_aaguid)
    handle = made.seed.handle
    seed_data = b"".join(
        (
            data[:_RP_AND_FLAGS_BYTES],
            _NO_COUNTER,
            told_aaguid,
            len(handle).to_bytes(2, "big"),
            handle,
            cbor.encode(made.public_key),
            cbor.encode({PREVIEW_SIGN: {seed_numbers.EXTENSION_FLAGS: made.seed.flags}}),
        )
    )
    kind, statement = "none", dict[str, Any]()
    if Quirk.PREVIEW_SIGN_SELF_ATTESTED in context.quirks:
        signature = sign(ES256, made.seed.sk_bl, seed_data + client_data_hash)
        kind, statement = "packed", {"alg": ES256, "sig": signature}
    elif Quirk.PREVIEW_SIGN_PACKED in context.quirks:
        kind = "packed"
        statement = attestation.statement(context, own_aaguid, seed_data + client_data_hash, enterprise=enterprise)
    attested = {_FORMAT: kind, _AUTHENTICATOR_DATA: seed_data, _STATEMENT: statement}
    return {seed_numbers.EXTENSION_ATTESTATION: cbor.encode(attested)}


@dataclass(frozen=True, kw_only=True)
class SignatureWish:
    """What is to be signed, and by which derived key."""

    seed: SigningSeed
    digest: bytes
    arkg_handle: bytes
    arkg_context: bytes
    #: Whether a quirk lets the seed's policy go.
    unguarded: bool
    #: Whether a quirk signs also for keys that the seed has not.
    foreign: bool

    def output(self, *, verified: bool) -> Mapping[int, Any]:
        """The signature, for the authenticator data.

        Raises:
            CtapError: PUAT_REQUIRED where the seed wants the PIN and the user is not *verified*; INVALID_CREDENTIAL:
                the key to sign with is not derived from the seed.
        """
        if self.seed.flags & Flag.UV and not (verified or self.unguarded):
            raise CtapError(ERR.PUAT_REQUIRED)
        private = arkg.PrivateSeed(
            sk_bl=int.from_bytes(self.seed.sk_bl, "big"), sk_kem=int.from_bytes(self.seed.sk_kem, "big")
        )
        try:
            private_key = arkg.derive_private_key(private, self.arkg_handle, self.arkg_context)
        except arkg.ArkgError:
            if not self.foreign:
                raise CtapError(ERR.INVALID_CREDENTIAL) from None
            private_key = private.sk_bl
        return {seed_numbers.EXTENSION_SIGNATURE: _sign_digest(private_key, self.digest)}


def check_before_looking(value: Any, *, has_list: bool) -> None:
    """Refuse what is refused whether or not there is such a credential.

    Raises:
        CtapError: INVALID_OPTION without an allow list, the seed's handle or something to sign; else the input is
            malformed.
    """
    inputs = Parameters(value)
    if (
        not has_list
        or inputs.optional_octets(seed_numbers.EXTENSION_KEY_HANDLE) is None
        or inputs.optional_octets(seed_numbers.EXTENSION_TBS) is None
    ):
        raise CtapError(ERR.INVALID_OPTION)


def read_signature_wish(context: Context, value: Any, credential: Credential, *, present: bool) -> SignatureWish | None:
    """What the input *value* of getAssertion asks for, or None where the key does as if it asked for nothing.

    Args:
        context: The key.
        value: What :func:`check_before_looking` let pass.
        credential: The one that makes the assertion.
        present: Whether the assertion comes with a touch.

    Raises:
        CtapError: INVALID_CREDENTIAL: there is no such seed, or it is for another algorithm; MISSING_PARAMETER: it is
            not said which derived key to sign with; INVALID_LENGTH: what is to be signed is no SHA-256; UP_REQUIRED:
            the seed wants a touch; else the input is malformed.
    """
    if Quirk.PREVIEW_SIGN_OMITTED in context.quirks:
        return None
    inputs = Parameters(value)
    name = credential.id, inputs.octets(seed_numbers.EXTENSION_KEY_HANDLE)
    seed = next((seed for seed in context.state.signing_seeds if (seed.credential_id, seed.handle) == name), None)
    if seed is None:
        raise CtapError(ERR.INVALID_CREDENTIAL)
    arguments = Parameters(decode(inputs.octets(seed_numbers.EXTENSION_ARGUMENTS)))
    if arguments.optional_integer(_ARGUMENTS_ALGORITHM) != seed.algorithm:
        raise CtapError(ERR.INVALID_CREDENTIAL)
    unguarded = Quirk.PREVIEW_SIGN_UNGUARDED in context.quirks
    wish = SignatureWish(
        seed=seed,
        arkg_handle=arguments.octets(_ARGUMENTS_HANDLE),
        arkg_context=arguments.octets(_ARGUMENTS_CONTEXT),
        digest=inputs.octets(seed_numbers.EXTENSION_TBS, _DIGEST_BYTES, _DIGEST_BYTES),
        unguarded=unguarded,
        foreign=Quirk.PREVIEW_SIGN_FOREIGN_SEED in context.quirks,
    )
    if seed.flags & Flag.UP and not (present or unguarded):
        raise CtapError(ERR.UP_REQUIRED)
    return wish


def _fresh() -> arkg.PrivateSeed:
    return arkg.derive_seed(os.urandom(_IKM_BYTES), os.urandom(_IKM_BYTES))


def _public_key(public: arkg.SeedPublicKey) -> Mapping[int, Any]:
    """*public* as keys on the market write it: with algorithms in both halves, which the ARKG draft leaves out."""
    return {
        1: seed_numbers.ARKG_PUB,
        3: seed_numbers.ARKG_P256,
        -1: _point(public.pk_bl, _BLINDING_ALGORITHM),
        -2: _point(public.pk_kem, _KEM_ALGORITHM),
        -3: seed_numbers.ESP256,
    }


def _point(point: bytes, algorithm: int) -> Mapping[int, Any]:
    middle = 1 + len(point) // 2
    return {1: 2, 3: algorithm, -1: 1, -2: point[1:middle], -3: point[middle:]}


def _sign_digest(private_key: int, digest: bytes) -> bytes:
    """ECDSA on P-256 over a SHA-256 that somebody else took; DER."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    return ec.derive_private_key(private_key, ec.SECP256R1()).sign(digest, ec.ECDSA(Prehashed(SHA256())))
