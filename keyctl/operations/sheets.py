"""One page to keep with a key, from what the inventory knows of it; nothing is opened, asked or changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import coverage, sheets, times
from keyctl.core.pairings import Method
from keyctl.core.sheets import SheetAccount, SheetFacts, SheetPairing
from keyctl.model import KeyState
from keyctl.operations import naming, pair_choice, pair_views
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Circumstances

_METHODS = {
    Method.ARKG: "arkg",
    Method.WEBAUTHN_DRAFT: "WebAuthn draft",
    Method.SOFTWARE: "software (weaker)",
    Method.REGISTRATION: "registration (both keys at every site)",
}


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A page."""

    #: Of the key.
    name: str
    #: The whole page.
    content: str


def sheet(circumstances: Circumstances, name: str, *, markdown: bool, with_accounts: bool) -> Sheet:
    """The page of a key.

    Args:
        circumstances: Where the inventory is.
        name: The key's name.
        markdown: Whether it is Markdown, else HTML.
        with_accounts: Whether the accounts that the key opens are on it.

    Raises:
        NotFoundError: No key has the name (``name_not_found``).
        StoreError: A file of the inventory cannot be read or understood.
    """
    inventory = store.read_whole(circumstances.home)
    known = naming.find(inventory, name)
    facts = SheetFacts(
        name=known.name,
        role=known.role.value if known.role is not None else None,
        owner=known.owner,
        location=known.location,
        model=known.model,
        serial=known.serial,
        aaguid=known.aaguid,
        trouble=known.state.value if known.state is not KeyState.ACTIVE else None,
        virtual=known.virtual,
        pairings=tuple(
            _pairing(inventory, pairing) for pairing in inventory.pairings_of(known.id) if pairing.retired_at is None
        ),
        accounts=_accounts(inventory, known) if with_accounts else None,
        made_at=times.now(),
    )
    content = sheets.as_markdown(facts) if markdown else sheets.as_html(facts)
    return Sheet(name=known.name, content=content)


def _pairing(inventory: Inventory, pairing: Pairing) -> SheetPairing:
    return SheetPairing(
        primary=pair_choice.name_of(inventory, pairing.primary_id),
        backup=pair_choice.name_of(inventory, pairing.backup_id),
        method=_METHODS[pairing.method],
        fingerprint=pair_views.fingerprint_of(pairing),
        created_at=pairing.created_at,
        verified_at=pairing.verified_at,
    )


def _accounts(inventory: Inventory, known: KnownKey) -> tuple[SheetAccount, ...]:
    accounts = [
        SheetAccount(
            service=opening.row.service, account=opening.row.account, rp_id=opening.row.rp_id, url=opening.row.url
        )
        for opening in coverage.openings(inventory, {known.id})
    ]
    accounts.sort(key=lambda one: (one.service.casefold(), (one.account or "").casefold(), one.rp_id))
    return tuple(accounts)
