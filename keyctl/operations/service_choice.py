"""Which account, keys and site a command line means by the names in it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from keyctl.core import rp_ids, services
from keyctl.core.names import quoted
from keyctl.errors import Details, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import Inventory, Service

#: So many names are in a hint; the details of the error have all.
_MAX_NAMES = 10


def chosen(inventory: Inventory, name: str, account: str | None) -> tuple[Service, ...]:
    """The records of the one account that is meant.

    Raises:
        NotFoundError: There is none (``service_not_found``), or several are (``service_ambiguous``).
    """
    wanted, _ = services.identity(name, None)
    accounts = {
        identity: records
        for identity, records in services.accounts(inventory.services).items()
        if identity[0] == wanted
    }
    if account is None and len(accounts) == 1:
        return next(iter(accounts.values()))
    names = [records[0].account or "" for records in accounts.values()]
    if account is None and accounts:
        raise NotFoundError(
            "service_ambiguous",
            f"{len(accounts)} accounts of {name} are noted",
            f"give --account with one of {_listed([shlex.quote(text) for text in names])}",
            details=Details(candidates=tuple(names)),
        )
    if accounts:
        found = accounts.get(services.identity(name, account or None))
        if found is not None:
            return found
        raise NotFoundError(
            "service_not_found",
            f"{name} has no account {account}" if account else f"{name} has no account without a name",
            f"noted are {_listed([shlex.quote(text) for text in names])}",
            details=Details(candidates=tuple(names)),
        )
    raise NotFoundError(
        "service_not_found", f"no service {name} is noted", "`keyctl service list` shows those that are"
    )


def key_ids(inventory: Inventory, names: Sequence[str]) -> tuple[str, ...]:
    """The ids of the known keys with these names.

    Raises:
        NotFoundError: One of them is not known (``name_not_found``).
    """
    found = []
    for name in names:
        key = services.key_named(inventory, name)
        if key is None:
            raise unknown_key(inventory, f"no key {name} is known")
        found.append(key.id)
    return tuple(found)


def unknown_key(inventory: Inventory, message: str) -> NotFoundError:
    """The error for the name of a key that is none; it says which there are."""
    names = [key.name for key in inventory.keys]
    hint = f"known are {_listed(names)}" if names else "no key is known yet: `keyctl add NAME` gives one its name"
    return NotFoundError("name_not_found", message, hint, details=Details(candidates=tuple(names)))


def _listed(names: Sequence[str]) -> str:
    """*names* in a sentence, the first few of many."""
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def rp_id_of_name(name: str) -> str:
    """The RP id of the one site in the catalogue that is called *name*.

    Raises:
        UsageError: There is none, or several are.
    """
    from keyctl.core import sites

    found = sites.find_by_name(name)
    if len(found) == 1:
        return found[0].rp_id
    candidates = tuple(site.rp_id for site in found)
    if candidates:
        message, hint = f"{len(found)} sites are called {name}", f"give --rp with one of {_listed(candidates)}"
    else:
        message = f"the catalogue of sites has no {name}"
        # What looks like a domain need not be one: Node.js is not at node.js.
        hint = f"give its domain with --rp, for instance --rp {quoted(name) if '.' in name else 'example.com'}"
    raise UsageError("usage", message, hint, details=Details(candidates=candidates))


def checked_rp_id(text: str) -> str:
    """The RP id that *text* means.

    Raises:
        UsageError: It means none, or is the name of a site and not its domain.
    """
    from keyctl.core import sites

    rp_id = rp_ids.parse(text)
    if not {".", ":"} & set(rp_id) and sites.find(rp_id) is None and (found := sites.find_by_name(text)):
        raise UsageError(
            "usage",
            f"{text} is the name of a site, not its RP id",
            f"give --rp with {_listed([site.rp_id for site in found])}",
            details=Details(candidates=tuple(site.rp_id for site in found)),
        )
    return rp_id
