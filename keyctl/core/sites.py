"""What is known of sites that take security keys: names, other domains, links, how many keys; shipped with keyctl."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from keyctl.core import catalogue
from keyctl.core.services import folded


class UrlKind(StrEnum):
    """What a link of a site leads to."""

    #: Where keys are registered.
    SETTINGS = "settings"
    #: How keys are registered.
    DOCUMENTATION = "documentation"


@dataclass(frozen=True, kw_only=True)
class Site:
    """One site of the catalogue; None: not documented."""

    #: The domain it is listed under.
    rp_id: str
    name: str
    #: Other domains of the same accounts.
    also: tuple[str, ...]
    settings_url: str | None
    documentation_url: str | None
    #: How many keys an account takes.
    max_keys: int | None

    @property
    def link(self) -> tuple[str, UrlKind] | None:
        """Where to register a key: the settings, else what the site writes about it; None: neither is known."""
        if self.settings_url is not None:
            return self.settings_url, UrlKind.SETTINGS
        if self.documentation_url is not None:
            return self.documentation_url, UrlKind.DOCUMENTATION
        return None


def find(rp_id: str) -> Site | None:
    """The site of *rp_id*: listed under it, or with it among its other domains, or either for a parent domain.

    A domain that several sites name as another of theirs is none of them.
    """
    domain = rp_id.lower()
    # What is no domain, ``pam://host.example`` for instance, has no parent domain either.
    while domain and ":" not in domain:
        listed = _listed_under(domain)
        if listed:
            return _site(listed[0]) if len(listed) == 1 else None
        domain = domain.partition(".")[2]
    return None


def find_by_name(name: str) -> tuple[Site, ...]:
    """The sites of this whole name, whatever its case, or with this domain, by domain."""
    wanted = folded(name)
    return tuple(
        _site(rp_id)
        for rp_id, entry in sorted(_entries().items())
        if wanted in {folded(entry["name"]), rp_id, *entry.get("also", ())}
    )


def find_by_hash(rp_id_hash: bytes) -> str | None:
    """The domain in the catalogue with this SHA-256 (32 bytes)."""
    return _hashes().get(rp_id_hash)


def canonical(rp_id: str) -> str:
    """One and the same RP id for all that share their accounts: *rp_id* itself unless the catalogue knows better.

    Two domains share their accounts when the catalogue says so (``also``); a parent domain is another site.
    """
    if ":" in rp_id:
        return rp_id
    domain = rp_id.lower()
    return _families().get(domain, domain)


def _listed_under(domain: str) -> tuple[str, ...]:
    """The entry of *domain*, else all that name it as another of their domains."""
    return (domain,) if domain in _entries() else _others().get(domain, ())


@functools.cache
def _site(rp_id: str) -> Site:
    entry = _entries()[rp_id]
    return Site(
        rp_id=rp_id,
        name=entry["name"],
        also=tuple(entry.get("also", ())),
        settings_url=entry.get("settings"),
        documentation_url=entry.get("documentation"),
        max_keys=entry.get("max_keys"),
    )


@functools.cache
def _entries() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = catalogue.load("services.json")["services"]
    return entries


@functools.cache
def _others() -> dict[str, tuple[str, ...]]:
    """Other domain -> the entries that name it."""
    others: dict[str, tuple[str, ...]] = {}
    for rp_id, entry in _entries().items():
        for domain in entry.get("also", ()):
            others[domain] = (*others.get(domain, ()), rp_id)
    return others


@functools.cache
def _families() -> dict[str, str]:
    """Domain -> the one that stands for all that share accounts with it.

    That is transitive: two entries that name the same other domain share their accounts too.
    """
    families: dict[str, set[str]] = {}
    for rp_id, entry in _entries().items():
        family = {rp_id, *entry.get("also", ())}
        if len(family) > 1:
            family.update(*(families.get(domain, ()) for domain in tuple(family)))
            families.update(dict.fromkeys(family, family))
    heads = {id(family): min(family, key=_seniority) for family in families.values()}
    return {domain: heads[id(family)] for domain, family in families.items()}


def _seniority(domain: str) -> tuple[int, str]:
    """The entry with the most other domains stands for its family."""
    return -len(_entries().get(domain, {}).get("also", ())), domain


@functools.cache
def _hashes() -> dict[bytes, str]:
    return {sha256(domain.encode()).digest(): domain for domain in (*_entries(), *_others())}
