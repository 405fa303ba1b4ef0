"""The signature by which a recovery credential of the WebAuthn draft extension "recovery" makes room for a new one.

It covers the authenticator data of the new credential up to the extensions, of which its own output is one, and the
client data's hash. Both come from a key or a client and may be made up.
"""

from __future__ import annotations

from hashlib import sha256

from keyctl.core import authenticator_data, p256
from keyctl.core.authenticator_data import Flag


def signed_bytes(auth_data: bytes, client_data_hash: bytes) -> bytes:
    """What the recovery signature is over.

    Args:
        auth_data: Of the new credential, with its extension outputs.
        client_data_hash: 32 bytes.

    Raises:
        ValueError: The authenticator data make no sense, or hold no new credential or no extension output.
    """
    data = authenticator_data.read(auth_data)
    if not data.has(Flag.AT | Flag.ED):
        raise ValueError("authenticator data without a new credential and an extension output")
    return auth_data[: -data.extension_bytes] + client_data_hash


def verifies(point: bytes, auth_data: bytes, client_data_hash: bytes, signature: bytes) -> bool:
    """Whether *signature*, ECDSA in DER, is by the recovery credential with the public key *point*; False for nonsense.

    Args:
        point: P, uncompressed.
        auth_data: Of the new credential, with its extension outputs.
        client_data_hash: 32 bytes.
        signature: The output "sig".
    """
    try:
        message = signed_bytes(auth_data, client_data_hash)
    except ValueError:
        return False
    return p256.verifies(point, sha256(message).digest(), signature)
