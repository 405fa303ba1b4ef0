"""The virtual key's cryptography against published values."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from fido2.ctap2 import Info

from keyctl.virtual import pin_protocol, signing, state
from keyctl.virtual.sealed_info import sealed

VECTORS = Path(__file__).parent / "vectors"


def load(name: str):
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def test_pin_protocol_one():
    vector = {name: value for name, value in load("pin_protocol_one.json").items() if name != "source"}
    pin = vector.pop("pin")
    octets = {name: bytes.fromhex(value) for name, value in vector.items()}
    one = pin_protocol.PIN_PROTOCOLS[1]
    assert pin_protocol.public_key(octets["platform_private"]) == {
        1: 2,
        3: -25,
        -1: 1,
        -2: octets["platform_x"],
        -3: octets["platform_y"],
    }
    # Key agreement has no sides: what the platform computes, a key with its private key computes too.
    key = {1: 2, 3: -25, -1: 1, -2: octets["key_x"], -3: octets["key_y"]}
    secret = one.shared_secret(octets["platform_private"], key)
    assert secret == octets["shared_secret"]
    assert one.decrypt(secret, octets["token_enc"]) == octets["token"]
    assert one.encrypt(secret, octets["token"]) == octets["token_enc"]
    assert one.decrypt(secret, octets["pin_hash_enc"]) == sha256(pin.encode()).digest()[:16]


def test_ed25519():
    for case in load("signing.json")["ed25519"]["cases"]:
        octets = {name: bytes.fromhex(value) for name, value in case.items()}
        assert signing.public_key(-8, octets["private"]) == {1: 1, 3: -8, -1: 6, -2: octets["public"]}
        assert signing.sign(-8, octets["private"], octets["message"]) == octets["signature"]


def test_u2f():
    vector = load("u2f.json")
    point = signing.public_point(bytes.fromhex(vector["private"]))
    assert point == bytes.fromhex(vector["public"])


def test_what_get_info_seals_is_opened_by_python_fido2():
    token, value = bytes(range(32)), bytes(range(16))
    info = Info(
        versions=[],
        enc_identifier=sealed(token, b"encIdentifier", value),
        enc_cred_store_state=sealed(token, b"encCredStoreState", value),
    )
    assert info.get_identifier(token) == info.get_cred_store_state(token) == value
    assert info.enc_identifier[16:] != info.enc_cred_store_state[16:]


def test_an_empty_large_blob_array():
    assert b"\x80" + sha256(b"\x80").digest()[:16] == state.NO_LARGE_BLOBS


def test_p256():
    vector = load("signing.json")["p256"]
    assert signing.public_key(-7, bytes.fromhex(vector["private"])) == {
        1: 2,
        3: -7,
        -1: 1,
        -2: bytes.fromhex(vector["x"]),
        -3: bytes.fromhex(vector["y"]),
    }
