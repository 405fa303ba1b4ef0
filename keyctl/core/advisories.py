"""Which published security advisories concern a key, by vendor, model and firmware.

The file that lists them may be newer than this program: what it says beside is passed over, and a product rule with a
condition that is not understood never says more than that the key may be affected.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.core import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONDITIONS = {"vendor", "model", "aaguids", "u2f_only", "from", "before", "told_by_name"}


class AdvisoryResult(StrEnum):
    """What can be said; advisories that do not concern the key are left out."""

    AFFECTED = "affected"
    #: The model is concerned, and the firmware that decides is not known; or others of this name are.
    UNKNOWN = "unknown"


class AdvisoryLevel(StrEnum):
    """How bad it is for FIDO credentials."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"


@dataclass(frozen=True, kw_only=True)
class Advisory:
    """One advisory that concerns a key."""

    id: str
    cve: str | None
    level: AdvisoryLevel
    result: AdvisoryResult
    effect: str
    action: str
    url: str | None


@dataclass(frozen=True, kw_only=True)
class Match:
    """An advisory that concerns a key, and what tells this wording of it from a later one."""

    advisory: Advisory
    #: SHA-256 of all that the file says of it, 16 hex digits.
    digest: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All that is known of what a key is; None: not known."""

    #: What the AAGUID stands for.
    model: str | None = None
    #: What the device calls itself; used where the model is not known. Hostile text.
    product: str | None = None
    #: USB numbers, four hex digits each.
    vendor_id: str | None = None
    product_id: str | None = None
    #: UUID text; None also where the key has none.
    aaguid: str | None = None
    #: The dotted version that the key itself told.
    firmware: str | None = None
    #: The dotted version from the model's metadata; only its first two parts count, because keys of one model are sold
    #: with later patch levels than the statement names.
    generation: str | None = None


def advisories_for(identity: Identity) -> tuple[Advisory, ...]:
    """The advisories that concern a key, worst first."""
    return tuple(match.advisory for match in matches_for(identity))


def matches_for(identity: Identity, content: Mapping[str, Any] | None = None) -> tuple[Match, ...]:
    """As :func:`advisories_for`, each with its digest.

    Args:
        identity: The key.
        content: The file of advisories; None: the one that keyctl is shipped with.
    """
    content = _shipped() if content is None else content
    vendor = _vendor(identity, content["vendors"])
    if vendor is None:
        return ()
    order = list(AdvisoryLevel)[::-1]
    found = []
    for entry in content["advisories"]:
        result = _result(entry["products"], vendor, identity)
        if result:
            facts = {name: entry[name] for name in ("id", "cve", "effect", "action", "url")}
            advisory = Advisory(level=AdvisoryLevel(entry["level"]), result=result, **facts)
            found.append(Match(advisory=advisory, digest=_digest(entry)))
    return tuple(sorted(found, key=lambda match: order.index(match.advisory.level)))


@functools.cache
def _shipped() -> Mapping[str, Any]:
    return catalogue.load("advisories.json")


def _digest(entry: Mapping[str, Any]) -> str:
    return sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def _vendor(identity: Identity, vendors: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Whose key it is: by its AAGUID, which is no proof but what sites see too, else by its USB numbers.

    The product's name alone says nothing: every maker can write any name there.
    """
    for name, facts in vendors.items():
        if identity.aaguid is not None and identity.aaguid in facts.get("aaguids", ()):
            return name
        if identity.model is not None and re.search(facts["model"], identity.model):
            return name
    if identity.model is not None:
        # A model that is known and none of theirs, whatever the USB numbers say: makers lend them.
        return None
    usb = {identity.vendor_id, f"{identity.vendor_id}:{identity.product_id}"}
    return next((name for name, facts in vendors.items() if not usb.isdisjoint(facts["usb"])), None)


def _result(products: Sequence[Mapping[str, Any]], vendor: str, identity: Identity) -> AdvisoryResult | None:
    """The first product rule that the key fits decides, so special editions stand before their family."""
    for product in products:
        if product["vendor"] != vendor or not _fits(product, identity):
            continue
        first, fixed = _parts(product.get("from")), _parts(product.get("before"))
        result = _by_firmware(identity, first, fixed)
        sure = product.get("told_by_name", True) and product.keys() <= _CONDITIONS
        return result if sure or result is None else AdvisoryResult.UNKNOWN
    return None


def _fits(product: Mapping[str, Any], identity: Identity) -> bool:
    if product.get("u2f_only") and identity.aaguid is not None:
        return False
    if "aaguids" in product:
        return identity.aaguid in product["aaguids"]
    return re.search(product.get("model", ""), identity.model or identity.product or "") is not None


def _by_firmware(identity: Identity, first: tuple[int, ...], fixed: tuple[int, ...]) -> AdvisoryResult | None:
    firmware, generation = _parts(identity.firmware), _parts(identity.generation)
    if firmware:
        affected = first <= firmware and (not fixed or firmware < fixed)
        return AdvisoryResult.AFFECTED if affected else None
    if not first and not fixed:
        return AdvisoryResult.AFFECTED
    return _by_generation(generation[:2], first, fixed)


def _by_generation(
    generation: tuple[int, ...], first: tuple[int, ...], fixed: tuple[int, ...]
) -> AdvisoryResult | None:
    """Decide only where the whole generation lies on one side of both limits."""
    if not generation:
        return AdvisoryResult.UNKNOWN
    if (fixed and generation >= _rounded_up(fixed)) or (first and generation < first[:2]):
        return None
    inside = (not fixed or generation < fixed[:2]) and (not first or generation >= _rounded_up(first))
    return AdvisoryResult.AFFECTED if inside else AdvisoryResult.UNKNOWN


def _rounded_up(version: tuple[int, ...]) -> tuple[int, ...]:
    """The first generation that lies wholly at or after *version*: 5.7.0 gives 5.7, 5.7.2 gives 5.8."""
    major, minor, *patch = version
    return (major, minor + 1) if any(patch) else (major, minor)


def _parts(version: str | None) -> tuple[int, ...]:
    """A dotted version as numbers; empty when there is none or it is of another form."""
    if not version or not re.fullmatch(r"\d{1,9}(\.\d{1,9}){1,3}", version):
        return ()
    return tuple(int(part) for part in version.split("."))
