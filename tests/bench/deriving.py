"""Time one derived public key, and two multiplications of the base point and one key agreement by OpenSSL alone.

Prints the least of many rounds of each, in seconds, as JSON.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from keyctl.core import arkg, p256

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, AT_ONCE = 60, 10


def least(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(AT_ONCE):
        work()
    return (time.perf_counter() - started) / AT_ONCE


def main() -> None:
    seed = arkg.public_seed(arkg.derive_seed(os.urandom(32), os.urandom(32)))
    peer = p256.public_key(seed.pk_kem)
    ikm, ctx = os.urandom(32), b"kc1:sign:bench"
    scalars = [int.from_bytes(os.urandom(31), "big") + 1 for _ in range(2)]

    def alone() -> None:
        ephemeral, other = (ec.derive_private_key(scalar, ec.SECP256R1()) for scalar in scalars)
        ephemeral.exchange(ec.ECDH(), peer)
        other.public_key()

    derived_s, openssl_s = float("inf"), float("inf")
    for _ in range(ROUNDS):
        # In turns, so that both meet the same neighbours.
        derived_s = min(derived_s, least(lambda: arkg.derive_public_key(seed, ikm, ctx)))
        openssl_s = min(openssl_s, least(alone))
    print(json.dumps({"derived_s": derived_s, "openssl_s": openssl_s}))  # noqa: T201  # for who started it


if __name__ == "__main__":
    main()
