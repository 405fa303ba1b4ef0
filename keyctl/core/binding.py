r"""Assertion binding: evidence that a seed public key is the key's whose credential it came with.

Most keys do not attest their seed, so it is made to sign: the same key signs an assertion, and in it, as a key derived
from the seed, a text that names the seed. All that is signed and the entropy of the derived key follow from the seed,
the key's own answer and a nonce. The entropy above all: whoever may choose it can derive any key first and calculate a
seed to it afterwards, and so "prove" a seed with another key's signature.

    challenge = SHA-256("keyctl-pairing-challenge-v1\0" || nonce), the client data's hash of makeCredential
    ikm       = SHA-256("keyctl-binding-ikm-v1\0" || SHA-256(seed) || SHA-256(makeCredential's answer) || nonce)
    tbs       = SHA-256("keyctl-pairing-v1\0" || SHA-256(seed) || nonce)
    assertion = SHA-256("keyctl-binding-v1\0" || tbs), the client data's hash of getAssertion

The seed is its COSE_Key as :mod:`keyctl.core.seed_cose` writes it, an answer the CBOR without the status byte. Whoever
holds both answers and the nonce can check all of it again, on another computer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.core import arkg, attestation, authenticator_data, public_keys, seed_cose, seed_numbers
from keyctl.core.authenticator_data import Attested, AuthenticatorData, Flag
from keyctl.core.contexts import PAIRING_CTX
from keyctl.core.decoding import decode_map
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.arkg import SeedPublicKey
    from keyctl.core.attestation import Attestation

NONCE_BYTES = 32
_RP_ID_HASH = sha256(OWN_RP_ID.encode()).digest()
_TOUCHED_AND_VERIFIED = Flag.UP | Flag.UV

# Labels of the answers (CTAP 2.2, sections 6.1.2 and 6.2.2), and of the attestation object in the extension's output.
_FORMAT, _MADE_DATA, _STATEMENT, _UNSIGNED = 1, 2, 3, 6
_CREDENTIAL, _ASSERTED_DATA, _SIGNATURE = 1, 2, 3


class Check(StrEnum):
    """What was not as it must be; the values are for scripts."""

    NONCE = "nonce"
    ANSWER = "answer"
    SITE = "site"
    CEREMONY = "ceremony"
    CREDENTIAL_KEY = "credential_key"
    EXTENSION = "extension"
    ATTESTATION = "attestation"
    SELF_ATTESTATION = "self_attestation"
    SEED_ANSWER = "seed_answer"
    SEED_SITE = "seed_site"
    SEED_FLAGS = "seed_flags"
    SEED_AAGUID = "seed_aaguid"
    SEED_COUNTER = "seed_counter"
    SEED_POLICY = "seed_policy"
    SEED = "seed"
    SEED_ATTESTATION = "seed_attestation"
    SEED_ATTESTED_BY_OTHER = "seed_attested_by_other"
    ASSERTION = "assertion"
    ASSERTION_SITE = "assertion_site"
    ASSERTION_CEREMONY = "assertion_ceremony"
    ASSERTION_CREDENTIAL = "assertion_credential"
    ASSERTION_SIGNATURE = "assertion_signature"
    SEED_SIGNATURE = "seed_signature"


#: What each failed check means, to be shown as it is.
MEANINGS: Mapping[Check, str] = {
    Check.NONCE: f"the nonce has not {NONCE_BYTES} bytes",
    Check.ANSWER: "the answer with the new credential cannot be understood",
    Check.SITE: "the new credential is for another site than keyctl's own",
    Check.CEREMONY: "the new credential was made without touch and PIN",
    Check.CREDENTIAL_KEY: "the new credential has a public key that is not supported",
    Check.EXTENSION: "the key made a credential but no seed",
    Check.ATTESTATION: "the attestation of the new credential does not verify",
    Check.SELF_ATTESTATION: "the key attests for itself, which proves nothing",
    Check.SEED_ANSWER: "the attestation object of the seed cannot be understood",
    Check.SEED_SITE: "the seed is for another site than its credential",
    Check.SEED_FLAGS: "the seed was made in another ceremony than its credential",
    Check.SEED_AAGUID: "the seed is from another model than its credential",
    Check.SEED_COUNTER: "the seed has a signature counter",
    Check.SEED_POLICY: "the seed signs without touch and PIN",
    Check.SEED: "the seed makes no sense",
    Check.SEED_ATTESTATION: "the attestation of the seed does not verify",
    Check.SEED_ATTESTED_BY_OTHER: "the seed is attested with another certificate than its credential",
    Check.ASSERTION: "the answer with the signatures cannot be understood",
    Check.ASSERTION_SITE: "the signatures are for another site than keyctl's own",
    Check.ASSERTION_CEREMONY: "the signatures were made without touch and PIN",
    Check.ASSERTION_CREDENTIAL: "the signatures are from another credential than the seed came with",
    Check.ASSERTION_SIGNATURE: "the credential did not sign this, or something was put in afterwards",
    Check.SEED_SIGNATURE: "the seed's key did not sign this: the key does not hold this seed",
}


class BindingError(arkg.ArkgError):
    """A check failed; *check* says which, the text what that means."""

    def __init__(self, check: Check, detail: str | None = None) -> None:
        """*detail* is more precise than the meaning, and put behind it."""
        super().__init__(MEANINGS[check] if detail is None else f"{MEANINGS[check]}: {detail}")
        self.check = check


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is kept of a pairing, and all that is needed to check it again."""

    #: The answer of makeCredential and that of getAssertion: CBOR as the key sent it, without the status byte.
    made: bytes
    asserted: bytes
    #: 32 random bytes, drawn for this pairing before makeCredential.
    nonce: bytes


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A seed as a key handed it over; that the key holds it is not proved yet, where nobody attests it."""

    seed: SeedPublicKey
    #: By which the extension finds the seed again.
    signing_handle: bytes
    credential_id: bytes
    #: Of the credential: COSE_Key in canonical CBOR.
    public_key: bytes
    aaguid: bytes
    #: Of the credential.
    attestation: Attestation
    #: Of the seed: with the same leaf, or none.
    seed_attestation: Attestation

    @property
    def vouched_by(self) -> str:
        """Who vouches for the seed's credential: the format of its attestation, or ``none``."""
        return self.seed_attestation.format if self.seed_attestation.chain else self.attestation.format


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """What the key has to sign so that the offered seed is proved to be its own."""

    #: Of the key derived for this, 65 bytes uncompressed.
    public_key: bytes
    #: COSE_Sign_Args in CBOR.
    arguments: bytes
    #: The digest to be signed as the derived key, 32 bytes.
    tbs: bytes
    #: Of getAssertion.
    client_data_hash: bytes


def challenge(nonce: bytes) -> bytes:
    """The client data's hash for makeCredential.

    Raises:
        BindingError: *nonce* has not 32 bytes.
    """
    _check_nonce(nonce)
    return sha256(b"keyctl-pairing-challenge-v1\0" + nonce).digest()


def read_offer(made: bytes, nonce: bytes) -> Offer:
    """The seed in an answer of makeCredential, which was asked for touch, PIN and a seed that wants both.

    Args:
        made: The answer: CBOR without the status byte.
        nonce: The one that :func:`challenge` was made of.

    Raises:
        BindingError: A check failed.
    """
    client_data_hash = challenge(nonce)
    answer = _decoded(made, Check.ANSWER)
    content, data = _data(answer, _MADE_DATA, Check.ANSWER)
    attested = _attested(data, Check.ANSWER)
    _check_ceremony(data, Check.SITE, Check.CEREMONY)
    public_key = public_keys.canonical(attested.public_key)
    if public_key is None:
        raise BindingError(Check.CREDENTIAL_KEY)
    own = _attestation(answer, content + client_data_hash, attested.aaguid, Check.ATTESTATION)
    nested = _decoded(_nested(answer, data), Check.SEED_ANSWER)
    nested_content, nested_data = _data(nested, _MADE_DATA, Check.SEED_ANSWER)
    nested_attested = _attested(nested_data, Check.SEED_ANSWER)
    seed = _seed(data, nested_data)
    of_seed = _attestation(nested, nested_content + client_data_hash, attested.aaguid, Check.SEED_ATTESTATION)
    if of_seed.chain and of_seed.chain[0] not in own.chain[:1]:
        raise BindingError(Check.SEED_ATTESTED_BY_OTHER)
    return Offer(
        seed=seed,
        signing_handle=nested_attested.credential_id,
        credential_id=attested.credential_id,
        public_key=public_key,
        aaguid=attested.aaguid,
        attestation=own,
        seed_attestation=of_seed,
    )


def exercise(offer: Offer, made: bytes, nonce: bytes) -> Exercise:
    """What the key that sent *made* has to sign.

    Raises:
        BindingError: *nonce* has not 32 bytes.
    """
    _check_nonce(nonce)
    seed_hash = _seed_hash(offer.seed)
    ikm = sha256(b"keyctl-binding-ikm-v1\0" + seed_hash + sha256(made).digest() + nonce).digest()
    derived = arkg.derive_public_key(offer.seed, ikm, PAIRING_CTX)
    tbs = sha256(_text(seed_hash, nonce)).digest()
    return Exercise(
        public_key=derived.public_key,
        arguments=seed_cose.encode_sign_arguments(derived.key_handle, PAIRING_CTX),
        tbs=tbs,
        client_data_hash=sha256(b"keyctl-binding-v1\0" + tbs).digest(),
    )


def verify(evidence: Evidence) -> Offer:
    """The seed that *evidence* proves to be held by the key of its credential.

    Raises:
        BindingError: A check failed.
    """
    offer = read_offer(evidence.made, evidence.nonce)
    wanted = exercise(offer, evidence.made, evidence.nonce)
    answer = _decoded(evidence.asserted, Check.ASSERTION)
    content, data = _data(answer, _ASSERTED_DATA, Check.ASSERTION)
    signature, inner = answer.get(_SIGNATURE), _output(data).get(seed_numbers.EXTENSION_SIGNATURE)
    if not isinstance(signature, bytes) or not isinstance(inner, bytes):
        raise BindingError(Check.ASSERTION)
    _check_ceremony(data, Check.ASSERTION_SITE, Check.ASSERTION_CEREMONY)
    # No set: what the id is was not looked at, and some things cannot be in one.
    if _credential_id(answer) not in (None, offer.credential_id):
        raise BindingError(Check.ASSERTION_CREDENTIAL)
    if not public_keys.verifies(offer.public_key, content + wanted.client_data_hash, signature):
        raise BindingError(Check.ASSERTION_SIGNATURE)
    text = _text(_seed_hash(offer.seed), evidence.nonce)
    if not public_keys.verifies(public_keys.es256(wanted.public_key), text, inner):
        raise BindingError(Check.SEED_SIGNATURE)
    return offer


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES:
        raise BindingError(Check.NONCE)


def _seed_hash(seed: SeedPublicKey) -> bytes:
    return sha256(seed_cose.encode_seed(seed)).digest()


def _text(seed_hash: bytes, nonce: bytes) -> bytes:
    """What *tbs* is the digest of."""
    return b"keyctl-pairing-v1\0" + seed_hash + nonce


def _seed(own: AuthenticatorData, nested: AuthenticatorData) -> SeedPublicKey:
    """The seed in the authenticator data *nested* in an answer with *own*."""
    assert own.attested is not None
    assert nested.attested is not None
    for check, same in (
        (Check.SEED_SITE, nested.rp_id_hash == own.rp_id_hash),
        (Check.SEED_FLAGS, nested.flags == own.flags),
        (Check.SEED_AAGUID, nested.attested.aaguid == own.attested.aaguid),
        (Check.SEED_COUNTER, nested.counter == 0),
        (Check.SEED_POLICY, _is(_output(nested), seed_numbers.EXTENSION_FLAGS, seed_numbers.TOUCH_AND_PIN)),
    ):
        if not same:
            raise BindingError(check)
    try:
        return seed_cose.seed_from(nested.attested.public_key)
    except arkg.ArkgError as error:
        raise BindingError(Check.SEED, str(error)) from error


def _nested(answer: Mapping[Any, Any], data: AuthenticatorData) -> bytes:
    """The seed's attestation object, which the extension puts beside what the credential signs."""
    if not _is(_output(data), seed_numbers.EXTENSION_ALGORITHM, seed_numbers.ESP256_SPLIT_ARKG):
        raise BindingError(Check.EXTENSION)
    unsigned = answer.get(_UNSIGNED)
    output = unsigned.get(seed_numbers.EXTENSION) if isinstance(unsigned, dict) else None
    content = output.get(seed_numbers.EXTENSION_ATTESTATION) if isinstance(output, dict) else None
    if not isinstance(content, bytes):
        raise BindingError(Check.EXTENSION)
    return content


def _attestation(answer: Mapping[Any, Any], message: bytes, aaguid: bytes, check: Check) -> Attestation:
    try:
        return attestation.verify(answer.get(_FORMAT), answer.get(_STATEMENT), message, aaguid)
    except attestation.SelfAttestationError as error:
        raise BindingError(Check.SELF_ATTESTATION) from error
    except attestation.AttestationError as error:
        raise BindingError(check, str(error)) from error


def _check_ceremony(data: AuthenticatorData, site: Check, ceremony: Check) -> None:
    if data.rp_id_hash != _RP_ID_HASH:
        raise BindingError(site)
    if not data.has(_TOUCHED_AND_VERIFIED):
        raise BindingError(ceremony)


def _decoded(content: bytes, check: Check) -> Mapping[Any, Any]:
    try:
        return decode_map(content)
    except ValueError as error:
        raise BindingError(check) from error


def _data(answer: Mapping[Any, Any], label: int, check: Check) -> tuple[bytes, AuthenticatorData]:
    """The authenticator data in an answer, as they are signed and in parts."""
    content = answer.get(label)
    if not isinstance(content, bytes):
        raise BindingError(check)
    try:
        return content, authenticator_data.read(content)
    except ValueError as error:
        raise BindingError(check) from error


def _attested(data: AuthenticatorData, check: Check) -> Attested:
    if data.attested is None:
        raise BindingError(check)
    return data.attested


def _output(data: AuthenticatorData) -> Mapping[Any, Any]:
    """The extension's output; empty where there is none."""
    output = data.extensions.get(seed_numbers.EXTENSION)
    return output if isinstance(output, dict) else {}


def _credential_id(answer: Mapping[Any, Any]) -> object:
    """The id in an assertion; None where it was left out, as with an allow list of one (CTAP 2.0, section 5.2)."""
    if _CREDENTIAL not in answer:
        return None
    descriptor = answer[_CREDENTIAL]
    return descriptor.get("id", b"") if isinstance(descriptor, dict) else b""


def _is(parameters: Mapping[Any, Any], label: int, number: int) -> bool:
    """Whether *label* is there with *number*; for Python, 1 equals true."""
    value = parameters.get(label)
    return type(value) is int and value == number
