"""The virtual key's cryptography against published values."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from keyctl.virtual import pin_protocol, signing

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


def test_p256():
    vector = load("signing.json")["p256"]
    assert signing.public_key(-7, bytes.fromhex(vector["private"])) == {
        1: 2,
        3: -7,
        -1: 1,
        -2: bytes.fromhex(vector["x"]),
        -3: bytes.fromhex(vector["y"]),
    }
