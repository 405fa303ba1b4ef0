"""Listing, deleting and renaming the passkeys of a key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import passkey_ids, rp_ids, services, sites
from keyctl.core.text import visible
from keyctl.errors import KeyctlError, NotFoundError, StoreError, UnreachableError, UnsupportedError, UsageError
from keyctl.model import Purpose
from keyctl.operations import noting, stranding, unlocking
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import Inventory
    from keyctl.device.session import Session
    from keyctl.model import Key, Listing, Passkey
    from keyctl.operations.asking import Circumstances

#: Failures after which the key may have done what it was told.
_ANSWER_LOST = frozenset({"key_removed", "key_silent", "key_nonsense"})


@dataclass(frozen=True, kw_only=True)
class PasskeyList:
    """What a key says it holds."""

    key: Key
    used: int | None
    remaining: int | None
    #: False: the key stopped half-way, or sent one that cannot be understood.
    complete: bool
    passkeys: tuple[Passkey, ...]


@dataclass(frozen=True, kw_only=True)
class OnePasskey:
    """One passkey and the key that it is on."""

    key: Key
    passkey: Passkey


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which passkeys a command names: by id, or all of a site (and user)."""

    ids: tuple[str, ...] = ()
    rp: str | None = None
    user: str | None = None


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What was asked for and what became of it. ``deleted`` is empty in a dry run."""

    key: Key
    matched: tuple[Passkey, ...]
    deleted: tuple[Passkey, ...]
    #: Not deleted, or not known to be.
    failed: tuple[Passkey, ...]


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """The passkey as the key holds it now: some keys cut long names."""

    key: Key
    changed: bool
    passkey: Passkey


def list_all(session: Session, circumstances: Circumstances) -> PasskeyList:
    """All passkeys of the key; asks for the PIN.

    Raises:
        UnsupportedError: The key cannot list them.
        PinError: The PIN is wrong, missing or may not be tried.
    """
    listing = _read(session, circumstances)
    inventory = store.read(circumstances.home)
    return PasskeyList(
        key=session.key,
        used=listing.count.used,
        remaining=listing.count.remaining,
        complete=listing.complete,
        passkeys=tuple(_with_service_name(passkey, inventory) for passkey in listing.passkeys),
    )


def show(session: Session, circumstances: Circumstances, passkey_id: str) -> OnePasskey:
    """The one passkey that *passkey_id* names.

    Raises:
        NotFoundError: None or several fit.
    """
    passkey_ids.check(passkey_id)
    listing = _read(session, circumstances)
    passkey = passkey_ids.find(listing.passkeys, passkey_id, complete=listing.complete)
    return OnePasskey(key=session.key, passkey=_with_service_name(passkey, store.read(circumstances.home)))


def _with_service_name(passkey: Passkey, inventory: Inventory) -> Passkey:
    """*passkey* with the name of its service: a person's own, else what it is commonly called."""
    rp_id = passkey.rp_id if passkey.rp_id_exact else sites.find_by_hash(passkey.rp_id_hash)
    if rp_id is None or passkey.purpose is not Purpose.PASSKEY:
        return passkey
    site = sites.find(rp_id)
    own = (
        service.name
        for service in inventory.services
        if sites.canonical(service.rp_id) == sites.canonical(rp_id)
        and (service.account is None or services.folded(service.account) == services.folded(passkey.user_name or ""))
    )
    return replace(passkey, known_as=next(own, site.name if site is not None else None))


def delete(
    session: Session, circumstances: Circumstances, selection: Selection, *, dry_run: bool
) -> tuple[Deletion, tuple[KeyctlError, ...]]:
    """Delete passkeys, all or none of which must be understood, after a confirmation.

    A dry run tells what nothing else opens.

    Returns:
        What happened, and the errors of those that could not be deleted.

    Raises:
        NotFoundError: An id names none or several.
        DeclinedError: The answer was no.
        UsageError: What is said to be an RP id is none, or not as keys store it, and there is nothing of it.
    """
    for passkey_id in selection.ids:
        passkey_ids.check(passkey_id)
    if not dry_run:
        _check_confirmable(session.key, circumstances, selection)
    matched = _select(session, circumstances, selection)
    _require_passkeys(matched)
    if matched:
        _confirm(session.key, circumstances, matched, dry_run=dry_run)
    if dry_run or not matched:
        return Deletion(key=session.key, matched=matched, deleted=(), failed=()), ()
    deletion, errors = _delete_each(session, matched)
    try:
        noting.deleted(circumstances, session.key, {passkey.credential_id for passkey in deletion.deleted})
    except StoreError as error:
        return deletion, (*errors, error)
    return deletion, errors


def rename(
    session: Session,
    circumstances: Circumstances,
    passkey_id: str,
    *,
    user_name: str | None,
    display_name: str | None,
    dry_run: bool,
) -> Renaming:
    """Change the names that a passkey shows; None leaves one as it is.

    Raises:
        UnsupportedError: The key cannot change them.
        NotFoundError: None or several fit the id.
    """
    passkey_ids.check(passkey_id)
    label = session.key.label
    if not dry_run and session.key.id is not None:
        noting.require_writable(circumstances)
    if session.info.listing_preview:
        raise UnsupportedError(
            "unsupported",
            f"{label} can list and delete passkeys but not rename them",
            "its firmware is older than the final CTAP 2.1",
            key=label,
        )
    listing = _read(session, circumstances)
    passkey = passkey_ids.find(listing.passkeys, passkey_id, complete=listing.complete)
    _require_passkeys((passkey,))
    wanted_user = passkey.user_name if user_name is None else user_name
    wanted_display = passkey.display_name if display_name is None else display_name
    same = (wanted_user or None, wanted_display or None) == (passkey.user_name, passkey.display_name)
    if dry_run or same:
        return Renaming(key=session.key, changed=False, passkey=passkey)
    session.rename_passkey(passkey, user_name=wanted_user, display_name=wanted_display)
    # Read back: keys cut, shorten or drop names without a word.
    now = {found.credential_id: found for found in session.read_passkeys_of(passkey.rp_id_hash, passkey.rp_id)}
    kept = now.get(passkey.credential_id)
    if kept is None:
        raise NotFoundError(
            "passkey_not_found",
            f"{label} no longer lists the passkey after renaming it",
            "look at `keyctl passkeys list`",
            key=label,
        )
    noting.renamed(circumstances, session.key, kept)
    return Renaming(key=session.key, changed=True, passkey=kept)


def _read(session: Session, circumstances: Circumstances) -> Listing:
    _unlock(session, circumstances)
    return session.list_passkeys()


def _unlock(session: Session, circumstances: Circumstances) -> None:
    """Ask for the PIN of a key that can list passkeys; all that can be refused without it is refused before."""
    require_listing(session)
    unlocking.require_current_pin_usable(session)
    unlocking.unlock(session, circumstances)


def require_listing(session: Session) -> None:
    """Refuse keys that cannot tell their passkeys.

    Raises:
        UnsupportedError: It is one of those.
    """
    if not session.info.listing:
        label = session.key.label
        stores_some = session.info.options.get("rk", False)
        raise UnsupportedError(
            "unsupported",
            f"{label} cannot list its passkeys" if stores_some else f"{label} stores no passkeys",
            "this came with CTAP 2.1; passkeys on the key still work, and only a reset deletes them"
            if stores_some
            else "it serves sites as a second factor only, of which no key keeps a list",
            key=label,
        )


def _select(session: Session, circumstances: Circumstances, selection: Selection) -> tuple[Passkey, ...]:
    if selection.rp is not None:
        _unlock(session, circumstances)
        of_site = session.read_passkeys_of(sha256(selection.rp.encode()).digest(), selection.rp)
        if not of_site:
            # A key may hold any text; this one it does not, so that only a slip is to be told from what is gone.
            _require_rp_id(selection.rp)
        return tuple(passkey for passkey in of_site if selection.user in {None, passkey.user_name})
    listing = _read(session, circumstances)
    named = [passkey_ids.find(listing.passkeys, text, complete=listing.complete) for text in selection.ids]
    # The same passkey may be named twice, by its id and by a prefix.
    return tuple({passkey.credential_id: passkey for passkey in named}.values())


def _require_rp_id(text: str) -> None:
    """Refuse an address or capitals where the RP id is meant: a script that deletes by it would find nothing, ever.

    Raises:
        UsageError: It is one of those.
    """
    meant = rp_ids.likely(text)
    if meant not in {None, text}:
        raise UsageError("usage", f"no site has the RP id {text}", f"the RP id in it is probably {meant}: --rp {meant}")


def _require_passkeys(passkeys: Sequence[Passkey]) -> None:
    for passkey in passkeys:
        if passkey.purpose is not Purpose.PASSKEY:
            raise UsageError(
                "usage",
                f"{passkey.credential_id.hex()[:16]} is no passkey but keyctl's own record of a {passkey.purpose}",
                "`keyctl pair remove` removes it together with what belongs to it; where no pairing is known, first "
                "`keyctl pair restore`",
            )


def _check_confirmable(key: Key, circumstances: Circumstances, selection: Selection) -> None:
    """Before the PIN: whether the confirmation can be had that this will need, as far as the inventory tells."""
    inventory = store.read(circumstances.home)
    known = inventory.key_with_id(key.id) if key.id is not None else None
    if known is None:
        circumstances.asker.check_confirmable()
        return
    noting.require_writable(circumstances)
    rp_id_hash = sha256(selection.rp.encode()).digest() if selection.rp is not None else None
    meant = {
        passkey.credential_id
        for passkey in known.passkeys
        if (passkey.rp_id_hash == rp_id_hash and selection.user in {None, passkey.user_name})
        or any(passkey.credential_id.hex().startswith(text.lower()) for text in selection.ids)
    }
    stranded = stranding.lines(inventory, known.id, meant) if meant else ""
    circumstances.asker.check_confirmable(key.label if stranded else None, stranded)


def _confirm(key: Key, circumstances: Circumstances, matched: Sequence[Passkey], *, dry_run: bool) -> None:
    """A yes; where an account would be left without a key, the name of this one. A dry run tells which would be."""
    stranded = ""
    if key.id is not None:
        inventory = noting.with_passkeys(store.read(circumstances.home), key.id, matched)
        stranded = stranding.lines(inventory, key.id, {passkey.credential_id for passkey in matched})
    if dry_run:
        stranding.rehearse(circumstances.asker, stranded, "", key.label)
    else:
        stranding.confirm(circumstances.asker, stranded, _question(key, matched), key.label)


def _question(key: Key, matched: Sequence[Passkey]) -> str:
    what = "this passkey" if len(matched) == 1 else f"these {len(matched)} passkeys"
    lines = "".join(f"  {passkey_ids.describe(passkey)}\n" for passkey in matched)
    return f"{lines}Delete {what} from {visible(key.label)}? The sites keep their half, which opens nothing without it."


def _delete_each(session: Session, matched: tuple[Passkey, ...]) -> tuple[Deletion, tuple[KeyctlError, ...]]:
    deleted: list[Passkey] = []
    failed: list[Passkey] = []
    errors: list[KeyctlError] = []
    for position, passkey in enumerate(matched):
        try:
            session.delete_passkey(passkey.credential_id)
        except KeyctlError as error:
            if error.code in _ANSWER_LOST:
                # Nobody knows whether the key did it; the rest is not tried.
                errors.append(_lost_while_deleting(session.key, passkey, error))
                failed.extend(matched[position:])
                break
            errors.append(error.about(session.key.label))
            failed.append(passkey)
            if not session.has_pin:
                # It is sent to no key twice, so the rest would fail for want of it.
                failed.extend(matched[position + 1 :])
                break
        else:
            deleted.append(passkey)
    deletion = Deletion(key=session.key, matched=matched, deleted=tuple(deleted), failed=tuple(failed))
    return deletion, tuple(errors)


def _lost_while_deleting(key: Key, passkey: Passkey, error: KeyctlError) -> UnreachableError:
    return UnreachableError(
        error.code,
        f"{error.message}; {passkey_ids.describe(passkey)} may be deleted or not",
        "plug the key in again and look with `keyctl passkeys list`",
        key=key.label,
        details=error.details,
    )
