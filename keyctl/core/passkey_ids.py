"""Finding the passkey that an id on the command line means."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core.text import visible
from keyctl.errors import Details, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.model import Passkey

#: A shorter prefix of a credential id is refused: it would be a guess.
MIN_PREFIX_DIGITS = 8


def check(text: str) -> str:
    """*text* as lower-case hex digits.

    Raises:
        UsageError: It is no hex, or shorter than 8 digits.
    """
    digits = text.lower()
    hint = "`keyctl passkeys list` shows the ids; the first 8 digits or more are enough where no two begin alike"
    if not re.fullmatch("[0-9a-f]+", digits):
        raise UsageError("usage", f"{text} is no passkey id: an id is written in hex digits", hint)
    if len(digits) < MIN_PREFIX_DIGITS:
        raise UsageError("usage", f"{text} is too short for a passkey id", hint)
    return digits


def find(passkeys: Sequence[Passkey], text: str, *, complete: bool = True) -> Passkey:
    """The only passkey whose credential id is *text* or begins with it.

    Args:
        passkeys: All that could be read.
        text: Hex digits that passed :func:`check`.
        complete: Whether *passkeys* are all there are; a prefix is only unique among all.

    Raises:
        NotFoundError: None fits, or several do, or it is the hash of a site and no id at all.
    """
    digits = check(text)
    fits = [passkey for passkey in passkeys if passkey.credential_id.hex().startswith(digits)]
    exact = [passkey for passkey in fits if passkey.credential_id.hex() == digits]
    if exact:
        return exact[0]
    if len(fits) > 1:
        ids = tuple(passkey.credential_id.hex() for passkey in fits)
        raise NotFoundError(
            "passkey_ambiguous",
            f"{text} fits {len(fits)} passkeys: {', '.join(describe(passkey) for passkey in fits)}",
            "give more digits of the one you mean",
            details=Details(candidates=ids),
        )
    if not fits:
        raise _not_found(passkeys, text, digits, complete=complete)
    if not complete:
        raise NotFoundError(
            "passkey_ambiguous",
            f"the list of passkeys is not complete, so {text} may fit more than one",
            "give the whole id",
            details=Details(candidates=(fits[0].credential_id.hex(),)),
        )
    return fits[0]


def short_ids(passkeys: Sequence[Passkey]) -> dict[bytes, str]:
    """Per credential id the shortest prefix, in hex, that names one passkey of *passkeys* and is long enough."""
    ids = sorted({passkey.credential_id.hex() for passkey in passkeys})
    shortest = {}
    for before, own, after in zip(["", *ids], ids, [*ids[1:], ""], strict=False):
        shared = max(_shared_digits(own, before), _shared_digits(own, after))
        shortest[bytes.fromhex(own)] = own[: max(MIN_PREFIX_DIGITS, shared + 1)]
    return shortest


def describe(passkey: Passkey) -> str:
    """One passkey in a sentence on one line, whatever its names hold: site, user and the first digits of its id."""
    user = passkey.user_name or passkey.display_name or "no user name"
    site = passkey.rp_id or passkey.rp_id_hash.hex()[:16]
    return visible(f"{user} at {site} ({passkey.credential_id.hex()[:16]})")


def _not_found(passkeys: Sequence[Passkey], text: str, digits: str, *, complete: bool) -> NotFoundError:
    """People paste the hash of the RP id, which other tools print beside the credential id."""
    sites = {sha256((passkey.rp_id or "").encode()).hexdigest(): passkey for passkey in passkeys}
    sites |= {passkey.rp_id_hash.hex(): passkey for passkey in passkeys}
    for site_hash, passkey in sites.items():
        if site_hash.startswith(digits):
            site = visible(passkey.rp_id or site_hash)
            return NotFoundError(
                "passkey_not_found",
                f"{text} is the hash of the site {site}, not the id of a passkey",
                f"use --rp {site} for all its passkeys, or an id that `keyctl passkeys list` shows",
                details=Details(candidates=_ids_of(passkeys, passkey.rp_id_hash)),
            )
    return NotFoundError(
        "passkey_not_found",
        f"no passkey on this key has the id {text}",
        "`keyctl passkeys list` shows what is there; registrations that are no passkeys are not stored on the key"
        if complete
        else "not all passkeys could be read, so it may be among the others",
    )


def _ids_of(passkeys: Sequence[Passkey], rp_id_hash: bytes) -> tuple[str, ...]:
    return tuple(passkey.credential_id.hex() for passkey in passkeys if passkey.rp_id_hash == rp_id_hash)


def _shared_digits(one: str, other: str) -> int:
    shared = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        shared += 1
    return shared
