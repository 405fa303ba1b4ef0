"""Which published security advisories concern a key, by model and firmware."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from keyctl.core import catalogue


class AdvisoryResult(StrEnum):
    """What can be said; advisories that do not concern the key are left out."""

    AFFECTED = "affected"
    #: The model is concerned, and the firmware that decides is not known.
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


def advisories_for(
    *, model: str | None, product: str | None, firmware: str | None, generation: str | None
) -> tuple[Advisory, ...]:
    """The advisories that concern a key, worst first.

    Args:
        model: What the AAGUID stands for.
        product: What the device calls itself; used where the model is not known.
        firmware: The dotted version that the key itself told, or None.
        generation: The dotted version from the model's metadata, or None; only its first two parts count, because
            keys of one model are sold with later patch levels than the statement names.
    """
    order = list(AdvisoryLevel)[::-1]
    found = []
    for entry in catalogue.load("advisories.json")["advisories"]:
        result = _result(entry["products"], model or product or "", _parts(firmware), _parts(generation))
        if result:
            facts = {name: entry[name] for name in ("id", "cve", "effect", "action", "url")}
            found.append(Advisory(level=AdvisoryLevel(entry["level"]), result=result, **facts))
    return tuple(sorted(found, key=lambda advisory: order.index(advisory.level)))


def _result(
    products: list[dict[str, str]], model: str, firmware: tuple[int, ...], generation: tuple[int, ...]
) -> AdvisoryResult | None:
    """The first product rule that the model fits decides, so special editions stand before their family."""
    for product in products:
        if not re.search(product["model"], model):
            continue
        first, fixed = _parts(product.get("from")), _parts(product.get("before"))
        if firmware:
            affected = first <= firmware and (not fixed or firmware < fixed)
            return AdvisoryResult.AFFECTED if affected else None
        if not first and not fixed:
            return AdvisoryResult.AFFECTED
        return _by_generation(generation[:2], first, fixed)
    return None


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
