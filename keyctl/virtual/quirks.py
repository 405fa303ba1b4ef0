"""Misbehaviours of real firmware that a virtual key can be told to show."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Quirk(StrEnum):
    """Names as given to ``virtual set NAME quirk=...``."""

    RP_ID_TAIL = "rp-id-tail"
    RP_ID_HEAD = "rp-id-head"
    RP_ID_48 = "rp-id-48"
    RP_NAME_IS_USER = "rp-name-is-user"
    EMPTY_RPS_MAP = "empty-rps-map"
    METADATA_ERROR = "metadata-error"
    BROKEN_ALGORITHM = "broken-algorithm"
    RPS_BREAK_OFF = "rps-break-off"
    CREDS_BREAK_OFF = "creds-break-off"
    DEAD_AFTER_RESET = "dead-after-reset"
    LONG_NAME_REFUSED = "long-name-refused"
    LONG_NAME_64 = "long-name-64"
    LONG_NAME_63 = "long-name-63"
    LONG_NAME_DROPPED = "long-name-dropped"
    NAME_KEY_MISSING = "name-key-missing"
    NAME_KEY_EMPTY = "name-key-empty"
    TOKEN_ONCE = "token-once"  # noqa: S105  # a quirk's name, no secret
    COUNTS_WHILE_BLOCKED = "counts-while-blocked"
    COUNTER_RANDOM = "counter-random"
    COUNTER_FROM_ZERO = "counter-from-zero"
    REMAINING_WRONG = "remaining-wrong"
    REMAINING_ABSENT = "remaining-absent"
    AAGUID_ZERO = "aaguid-zero"
    NO_TOUCH = "no-touch"
    UP_FLAG_ALWAYS = "up-flag-always"
    NO_UPDATE = "no-update"
    NO_PROTECTION_IN_LIST = "no-protection-in-list"
    MAP_ORDER = "map-order"
    LEGACY_TOKEN = "legacy-token"  # noqa: S105  # a quirk's name, no secret
    LONG_IDS = "long-ids"
    NO_LARGE_BLOB_KEY = "no-large-blob-key"
    LBW_DROPPED = "lbw-dropped"
    SILENT_WITHOUT_UV = "silent-without-uv"
    PREVIEW_SIGN_PACKED = "preview-sign-packed"
    PREVIEW_SIGN_OMITTED = "preview-sign-omitted"
    PREVIEW_SIGN_SELF_ATTESTED = "preview-sign-self-attested"
    PREVIEW_SIGN_FLAGS_0 = "preview-sign-flags-0"
    PREVIEW_SIGN_UNGUARDED = "preview-sign-unguarded"
    PREVIEW_SIGN_WRONG_AAGUID = "preview-sign-wrong-aaguid"
    PREVIEW_SIGN_FOREIGN_SEED = "preview-sign-foreign-seed"
    PREVIEW_SIGN_NO_LARGE_BLOB = "preview-sign-no-large-blob"


#: name -> what it does, one line.
QUIRKS: Mapping[str, str] = {
    Quirk.RP_ID_TAIL: "lists RP ids over 32 bytes as an ellipsis and their tail, 32 bytes in all",
    Quirk.RP_ID_HEAD: "lists only the first 32 bytes of RP ids",
    Quirk.RP_ID_48: "lists only the first 48 bytes of RP ids",
    Quirk.RP_NAME_IS_USER: "lists the user's name as the RP's name",
    Quirk.EMPTY_RPS_MAP: "without passkeys, answers the listing with an empty map instead of an error",
    Quirk.METADATA_ERROR: "cannot say how many passkeys it has",
    Quirk.BROKEN_ALGORITHM: "the oldest passkey has a public key that breaks the listing's CBOR",
    Quirk.RPS_BREAK_OFF: "stops half-way through the list of RPs",
    Quirk.CREDS_BREAK_OFF: "stops half-way through the passkeys of an RP",
    Quirk.DEAD_AFTER_RESET: "after a reset, fails everything until it is powered up again",
    Quirk.LONG_NAME_REFUSED: "refuses user names over 64 bytes",
    Quirk.LONG_NAME_64: "cuts user names to 64 bytes, in the middle of a character if need be",
    Quirk.LONG_NAME_63: "cuts user names over 64 bytes to 63",
    Quirk.LONG_NAME_DROPPED: "forgets user names over 64 bytes",
    Quirk.NAME_KEY_MISSING: "lists a user whose name is empty without a name",
    Quirk.NAME_KEY_EMPTY: "lists a user without a name with an empty one",
    Quirk.TOKEN_ONCE: "forgets the PIN token after one use",
    Quirk.COUNTS_WHILE_BLOCKED: "wrong PINs keep costing tries while it waits for a power cycle",
    Quirk.COUNTER_RANDOM: "the signature counter grows by random steps",
    Quirk.COUNTER_FROM_ZERO: "the first signature counter of a new key is 0",
    Quirk.REMAINING_WRONG: "getInfo always says that there is room for all passkeys",
    Quirk.REMAINING_ABSENT: "getInfo does not say how many more passkeys fit",
    Quirk.AAGUID_ZERO: "has an AAGUID of zeros",
    Quirk.NO_TOUCH: "says that it has no touch (up: false) and needs none",
    Quirk.UP_FLAG_ALWAYS: "claims a touch even in silent assertions",
    Quirk.NO_UPDATE: "does not know updateUserInformation",
    Quirk.NO_PROTECTION_IN_LIST: "leaves credProtect out of the listing",
    Quirk.MAP_ORDER: "answers with maps in an order that CTAP forbids",
    Quirk.LEGACY_TOKEN: "lists passkeys, but its PIN tokens have no permissions",
    Quirk.LONG_IDS: "makes credential ids of 32 to 241 bytes",
    Quirk.NO_LARGE_BLOB_KEY: "leaves largeBlobKey out of the listing",
    Quirk.LBW_DROPPED: "forgets the PIN token with the touch that used it, large-blob permission and all",
    Quirk.SILENT_WITHOUT_UV: "makes silent assertions without the PIN even under alwaysUv",
    Quirk.PREVIEW_SIGN_PACKED: "attests seeds of previewSign with its certificate, not with the format none",
    Quirk.PREVIEW_SIGN_OMITTED: "makes credentials and assertions as if previewSign was not asked for",
    Quirk.PREVIEW_SIGN_SELF_ATTESTED: "seeds of previewSign attest themselves, without a certificate",
    Quirk.PREVIEW_SIGN_FLAGS_0: "makes seeds of previewSign that want no touch and no PIN, and says so",
    Quirk.PREVIEW_SIGN_UNGUARDED: "signs with previewSign without the touch and the PIN that its seeds ask for",
    Quirk.PREVIEW_SIGN_WRONG_AAGUID: "tells another AAGUID with seeds of previewSign than its own",
    Quirk.PREVIEW_SIGN_FOREIGN_SEED: "hands over seeds of previewSign that it does not hold",
    Quirk.PREVIEW_SIGN_NO_LARGE_BLOB: "has no large blobs, so that it cannot keep a record of a seed",
}
