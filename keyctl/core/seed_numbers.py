"""Every number and name of the seed's formats that is a placeholder, or that a later draft may change.

Nothing else in keyctl writes them down. What is stored says which ones it was written with (:data:`CURRENT`), so that a
record of another draft is refused and not misread.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The draft of the key derivation, whose test vectors are the same in -08 to -11; -05 is another scheme.
DRAFT = "draft-bradleylundberg-cfrg-arkg-11"

#: COSE key type of a seed public key (section 5.1); a placeholder.
ARKG_PUB = -65537
#: COSE algorithm of the ARKG instance ARKG-P256 (section 5.2); a placeholder.
ARKG_P256 = -65700
#: COSE algorithm of signing a digest with a key that ARKG-P256 derived (section 5.2); a placeholder.
ESP256_SPLIT_ARKG = -65539
#: COSE algorithm of the derived keys: ECDSA with SHA-256 on P-256 (RFC 9864, section 2.1), registered for good.
ESP256 = -9

#: The CTAP extension by which a key makes a seed and signs with what was derived from it, in its version 4. Version 5
#: has another name, and other maps.
EXTENSION = "previewSign"
# The labels of its maps, inputs and outputs.
EXTENSION_KEY_HANDLE = 2
EXTENSION_ALGORITHM = 3
EXTENSION_FLAGS = 4
EXTENSION_TBS = 6
EXTENSION_SIGNATURE = 6
EXTENSION_ARGUMENTS = 7
EXTENSION_ATTESTATION = 7
#: What a key must insist on for each signature: touch and PIN, with the bits of authenticator data's flags.
TOUCH_AND_PIN = 0b101


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Those that a stored record was written with."""

    draft: str
    extension: str
    key_type: int
    algorithm: int
    signing_algorithm: int
    derived_algorithm: int


CURRENT = Numbers(
    draft=DRAFT,
    extension=EXTENSION,
    key_type=ARKG_PUB,
    algorithm=ARKG_P256,
    signing_algorithm=ESP256_SPLIT_ARKG,
    derived_algorithm=ESP256,
)
