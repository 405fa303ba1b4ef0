"""Evidence that a seed is a key's own: what is honest passes, and each lie fails the check that is there for it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.core import arkg, authenticator_data, binding, p256, seed_cose
from keyctl.core.binding import BindingError, Check, Evidence
from keyctl.core.contexts import PAIRING_CTX

from .binding_parts import AAGUID, ASSERTED_FLAGS, NONCE, Key, certificate, cose_of, packed

if TYPE_CHECKING:
    from collections.abc import Callable

HONEST = Key()
EVIDENCE = HONEST.evidence()
EXERCISE = binding.exercise(binding.read_offer(EVIDENCE.made, NONCE), EVIDENCE.made, NONCE)
SEED = arkg.public_seed(HONEST.private)
SEED_MAP = dict(cbor.decode(seed_cose.encode_seed(SEED)))


def failed(evidence: Evidence) -> Check:
    """The check that *evidence* fails."""
    with pytest.raises(BindingError) as caught:
        binding.verify(evidence)
    assert str(caught.value).startswith(binding.MEANINGS[caught.value.check])
    return caught.value.check


def making(change: Callable[[dict[int, Any]], object], key: Key = HONEST) -> Evidence:
    """Evidence whose first answer was changed."""
    answer = key.answer()
    change(answer)
    return replace(EVIDENCE, made=cbor.encode(answer))


def nesting(change: Callable[[dict[int, Any]], object]) -> Evidence:
    """Evidence whose attestation object of the seed was changed."""

    def change_answer(answer: dict[int, Any]) -> None:
        nested = dict(cbor.decode(answer[6]["previewSign"][7]))
        change(nested)
        answer[6]["previewSign"][7] = cbor.encode(nested)

    return making(change_answer)


def asserting(change: Callable[[dict[int, Any]], object], evidence: Evidence = EVIDENCE) -> Evidence:
    """Evidence whose second answer was changed."""
    answer = dict(cbor.decode(evidence.asserted))
    change(answer)
    return replace(evidence, asserted=cbor.encode(answer))


def assertion(inner: Any, key: Key = HONEST, **changes: Any) -> Evidence:
    """Evidence with another assertion that the credential really signed."""
    return replace(EVIDENCE, asserted=cbor.encode(key.assertion(EXERCISE.client_data_hash, inner, **changes)))


INNER = HONEST.seed_signature(EXERCISE.arguments, EXERCISE.tbs)


def test_honest_evidence_proves_the_seed() -> None:
    offer = binding.verify(EVIDENCE)
    assert offer.seed == SEED
    assert offer.signing_handle == HONEST.signing_handle
    assert offer.credential_id == HONEST.credential_id
    assert offer.public_key == cbor.encode(cose_of(HONEST.credential))
    assert offer.aaguid == AAGUID
    assert (offer.attestation.format, offer.seed_attestation.format) == ("packed", "none")
    assert offer.attestation.names_model


def test_what_is_signed_follows_from_seed_answer_and_nonce() -> None:
    seed_hash = sha256(seed_cose.encode_seed(SEED)).digest()
    ikm = sha256(b"keyctl-binding-ikm-v1\0" + seed_hash + sha256(EVIDENCE.made).digest() + NONCE).digest()
    derived = arkg.derive_public_key(SEED, ikm, b"keyctl/pairing/v1")
    assert EXERCISE.public_key == derived.public_key
    assert EXERCISE.arguments == seed_cose.encode_sign_arguments(derived.key_handle, PAIRING_CTX)
    assert EXERCISE.tbs == sha256(b"keyctl-pairing-v1\0" + seed_hash + NONCE).digest()
    assert EXERCISE.client_data_hash == sha256(b"keyctl-binding-v1\0" + EXERCISE.tbs).digest()


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(Key(attested=False), id="no attestation at all"),
        pytest.param(Key(seed_attested_by="leaf"), id="an attested seed"),
        pytest.param(Key(cose_seed={**SEED_MAP, -1: {**SEED_MAP[-1], 3: -7}}), id="an algorithm in an inner key"),
    ],
)
def test_what_honest_keys_may_do_differently_passes(key: Key) -> None:
    offer = binding.verify(key.evidence())
    assert offer.seed == SEED
    assert bool(offer.attestation.chain) == key.attested
    assert bool(offer.seed_attestation.chain) == (key.seed_attested_by is not None)


def test_an_assertion_may_leave_out_the_credential() -> None:
    assert binding.verify(asserting(lambda answer: answer.pop(1))).seed == SEED


@pytest.mark.parametrize(
    ("key", "check"),
    [
        (Key(rp_id="example.com", nested_rp_id="example.com"), Check.SITE),
        (Key(flags=0b1100_0001, nested_flags=0b1100_0001), Check.CEREMONY),
        (Key(flags=0b1100_0100, nested_flags=0b1100_0100), Check.CEREMONY),
        (Key(cose_credential=SEED_MAP), Check.CREDENTIAL_KEY),
        (Key(algorithm=-7), Check.EXTENSION),
        (Key(nested_rp_id="example.com"), Check.SEED_SITE),
        (Key(nested_flags=0b1100_0001), Check.SEED_FLAGS),
        (Key(nested_aaguid=bytes(16)), Check.SEED_AAGUID),
        (Key(nested_counter=1), Check.SEED_COUNTER),
        (Key(policy=0b000), Check.SEED_POLICY),
        (Key(policy=0b001), Check.SEED_POLICY),
        (Key(policy="5"), Check.SEED_POLICY),
        (Key(cose_seed={**SEED_MAP, 1: 2}), Check.SEED),
        (Key(cose_seed={**SEED_MAP, 3: -65701}), Check.SEED),
        (Key(cose_seed={**SEED_MAP, -3: -51}), Check.SEED),
        (Key(cose_seed={**SEED_MAP, -1: {**SEED_MAP[-1], -1: 2}}), Check.SEED),
        (Key(cose_seed={**SEED_MAP, -1: {**SEED_MAP[-1], -3: bytes(32)}}), Check.SEED),
        (Key(cose_seed={**SEED_MAP, -2: SEED_MAP[-1]}), Check.SEED),
        (Key(cose_seed=cose_of(HONEST.credential)), Check.SEED),
        (Key(seed_attested_by="other leaf"), Check.SEED_ATTESTED_BY_OTHER),
        (Key(attested=False, seed_attested_by="leaf"), Check.SEED_ATTESTED_BY_OTHER),
    ],
)
def test_a_key_that_lies_about_its_seed_fails_the_check_for_it(key: Key, check: Check) -> None:
    """It signs its lies properly, so nothing but the check itself can find them."""
    assert failed(replace(EVIDENCE, made=key.made())) is check


@pytest.mark.parametrize(
    ("evidence", "check"),
    [
        (replace(EVIDENCE, made=b""), Check.ANSWER),
        (replace(EVIDENCE, made=b"\0" + EVIDENCE.made), Check.ANSWER),
        (making(lambda answer: answer.pop(2)), Check.ANSWER),
        (making(lambda answer: answer.update({2: answer[2][:60]})), Check.ANSWER),
        (making(lambda answer: answer.update({2: answer[2][:-1]})), Check.ANSWER),
        (making(lambda answer: answer.update({2: HONEST.assertion(bytes(32), INNER)[2]})), Check.ANSWER),
        (making(lambda answer: answer.pop(6)), Check.EXTENSION),
        (making(lambda answer: answer[6].clear()), Check.EXTENSION),
        (making(lambda answer: answer[6]["previewSign"].update({7: {1: "none"}})), Check.EXTENSION),
        (making(lambda answer: answer[6].update({"previewSign": [7]})), Check.EXTENSION),
        (making(lambda answer: answer.update({1: "android-key"})), Check.ATTESTATION),
        (making(lambda answer: answer.update({1: ["packed"]})), Check.ATTESTATION),
        (making(lambda answer: answer[3].update({"sig": b"\x30\0"})), Check.ATTESTATION),
        (making(lambda answer: answer[3].update({"x5c": [certificate("other leaf")]})), Check.ATTESTATION),
        (making(lambda answer: answer[3].pop("x5c")), Check.SELF_ATTESTATION),
        (nesting(lambda nested: nested.pop(2)), Check.SEED_ANSWER),
        (nesting(lambda nested: nested.update({2: nested[2] + b"\0"})), Check.SEED_ANSWER),
        (nesting(lambda nested: nested.pop(1)), Check.SEED_ATTESTATION),
        (nesting(lambda nested: nested.update({3: {"sig": b""}})), Check.SEED_ATTESTATION),
        (nesting(lambda nested: nested.update({1: "packed", 3: packed("leaf", b"other")})), Check.SEED_ATTESTATION),
        (nesting(lambda nested: nested.update({1: "packed", 3: {"alg": -7, "sig": b""}})), Check.SELF_ATTESTATION),
    ],
)
def test_a_changed_first_answer_fails(evidence: Evidence, check: Check) -> None:
    assert failed(evidence) is check


@pytest.mark.parametrize(
    ("evidence", "check"),
    [
        (replace(EVIDENCE, asserted=b""), Check.ASSERTION),
        (replace(EVIDENCE, asserted=EVIDENCE.asserted + b"\0"), Check.ASSERTION),
        (asserting(lambda answer: answer.pop(2)), Check.ASSERTION),
        (asserting(lambda answer: answer.pop(3)), Check.ASSERTION),
        (assertion(INNER, extensions={"previewSign": {}}), Check.ASSERTION),
        (assertion(INNER, extensions={"previewSign": INNER}), Check.ASSERTION),
        (assertion(INNER, extensions=None, flags=0b101), Check.ASSERTION),
        (assertion(INNER, rp_id="example.com"), Check.ASSERTION_SITE),
        (assertion(INNER, flags=ASSERTED_FLAGS & ~0b100), Check.ASSERTION_CEREMONY),
        (assertion(INNER, flags=ASSERTED_FLAGS & ~0b001), Check.ASSERTION_CEREMONY),
        (asserting(lambda answer: answer[1].update({"id": bytes(32)})), Check.ASSERTION_CREDENTIAL),
        (asserting(lambda answer: answer.update({1: 5})), Check.ASSERTION_CREDENTIAL),
        (asserting(lambda answer: answer[1].update({"id": {}})), Check.ASSERTION_CREDENTIAL),
        (asserting(lambda answer: answer.update({3: INNER})), Check.ASSERTION_SIGNATURE),
        (assertion(INNER, key=Key(name="other")), Check.ASSERTION_CREDENTIAL),
        (asserting(lambda answer: answer.pop(1), assertion(INNER, key=Key(name="other"))), Check.ASSERTION_SIGNATURE),
        (assertion(b""), Check.SEED_SIGNATURE),
        (assertion(INNER[:-1]), Check.SEED_SIGNATURE),
    ],
)
def test_a_changed_second_answer_fails(evidence: Evidence, check: Check) -> None:
    assert failed(evidence) is check


@pytest.mark.parametrize("nonce", [b"", bytes(31), bytes(33)])
def test_a_nonce_of_another_length_fails(nonce: bytes) -> None:
    assert failed(replace(EVIDENCE, nonce=nonce)) is Check.NONCE
    with pytest.raises(BindingError):
        binding.exercise(binding.read_offer(EVIDENCE.made, NONCE), EVIDENCE.made, nonce)


def test_evidence_for_another_nonce_fails() -> None:
    other = sha256(b"other").digest()
    assert failed(replace(EVIDENCE, nonce=other)) is Check.ATTESTATION
    unattested = Key(attested=False).evidence()
    assert failed(replace(unattested, nonce=other)) is Check.ASSERTION_SIGNATURE


def test_a_signature_of_the_seed_that_was_put_in_afterwards_fails() -> None:
    """Spliced from another pairing of the same key: the credential's signature does not cover it."""
    again = HONEST.evidence(sha256(b"other").digest())
    stolen = authenticator_data.read(cbor.decode(again.asserted)[2]).extensions["previewSign"][6]

    with_stolen = HONEST.assertion(EXERCISE.client_data_hash, stolen)[2]
    assert failed(asserting(lambda answer: answer.update({2: with_stolen}))) is Check.ASSERTION_SIGNATURE
    # Even where the credential signs it, as malware in the key could make it do, it is over another text.
    assert failed(assertion(stolen)) is Check.SEED_SIGNATURE


def test_a_seed_that_was_calculated_from_a_chosen_ikm_fails() -> None:
    """Another key's derived public key first, then a seed under which a chosen ikm leads to it."""
    genuine, ikm = Key(name="genuine"), sha256(b"chosen").digest()
    target = arkg.derive_public_key(arkg.public_seed(genuine.private), ikm, PAIRING_CTX)
    # The liar knows the second half of its seed, and so tau.
    sk_kem = 4711
    probe = arkg.derive_public_key(arkg.SeedPublicKey(SEED.pk_bl, p256.base_multiple(sk_kem)), ikm, PAIRING_CTX)
    ctx_bl, ctx_kem = arkg._contexts(PAIRING_CTX)
    tau = arkg._tau(arkg._decapsulate(sk_kem, probe.key_handle, ctx_kem), ctx_bl)
    pk_bl = p256.add(target.public_key, p256.base_multiple(p256.N - tau))
    forged = arkg.SeedPublicKey(pk_bl, p256.base_multiple(sk_kem))
    # It works: with this ikm, the genuine key's signature verifies under the forged seed's derived key.
    assert arkg.derive_public_key(forged, ikm, PAIRING_CTX).public_key == target.public_key

    liar = Key(attested=False, cose_seed=dict(cbor.decode(seed_cose.encode_seed(forged))))
    made = liar.made()
    wanted = binding.exercise(binding.read_offer(made, NONCE), made, NONCE)
    inner = genuine.seed_signature(seed_cose.encode_sign_arguments(target.key_handle, PAIRING_CTX), wanted.tbs)
    asserted = cbor.encode(liar.assertion(wanted.client_data_hash, inner))
    assert failed(Evidence(made=made, asserted=asserted, nonce=NONCE)) is Check.SEED_SIGNATURE


def test_a_foreign_seed_behind_an_honest_credential_fails() -> None:
    """What stands between key and host puts its own seed into the part that nobody signs."""
    own = Key(name="malware")

    def change(answer: dict[int, Any]) -> None:
        answer[6]["previewSign"][7] = cbor.encode(own.nested(binding.challenge(NONCE)))

    evidence = making(change)
    wanted = binding.exercise(binding.read_offer(evidence.made, NONCE), evidence.made, NONCE)
    # It holds the foreign seed, but not the credential.
    inner = own.seed_signature(wanted.arguments, wanted.tbs)
    spliced = HONEST.assertion(wanted.client_data_hash, INNER)
    spliced[2] = own.assertion(wanted.client_data_hash, inner)[2]
    assert failed(replace(evidence, asserted=cbor.encode(spliced))) is Check.ASSERTION_SIGNATURE
    # It may have the credential sign, but that does not hold the foreign seed.
    signed = cbor.encode(HONEST.assertion(wanted.client_data_hash, INNER))
    assert failed(replace(evidence, asserted=signed)) is Check.SEED_SIGNATURE


def test_every_check_has_its_meaning() -> None:
    assert set(binding.MEANINGS) == set(Check)
    assert len(set(binding.MEANINGS.values())) == len(Check)


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_evidence_fails_a_check_or_proves_the_same_seed(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([EVIDENCE, ATTESTED]))
    name = data.draw(st.sampled_from(["made", "asserted"]))
    damaged = bytearray(getattr(whole, name))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(damaged[: data.draw(st.integers(0, 2 * len(damaged)))])
    with contextlib.suppress(BindingError):
        assert binding.verify(replace(whole, **{name: content})).seed == SEED


ATTESTED = Key(seed_attested_by="leaf").evidence()
