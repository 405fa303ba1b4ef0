"""``keyctl info``."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.core.text import tries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.advisories import Advisory
    from keyctl.operations.information import Information, PinState

#: What an option of getInfo means when it is true (CTAP 2.2, section 6.4); others are shown under their own name.
_OPTIONS = {
    "rk": "stores passkeys",
    "uv": "fingerprint set",
    "credMgmt": "lists passkeys",
    "credentialMgmtPreview": "lists passkeys (preview)",
    "largeBlobs": "stores large blobs",
    "alwaysUv": "always wants PIN or fingerprint",
    "ep": "enterprise attestation on",
}
_ALGORITHMS = {-7: "ES256", -8: "EdDSA", -9: "ESP256", -35: "ES384", -36: "ES512", -19: "Ed25519", -257: "RS256"}


@click.command(name="info", cls=Command, short_help="Show what a key is and can do, its PIN state and advisories.")
@click.pass_context
def COMMAND(context: click.Context) -> Outcome:  # noqa: N802  # as in the catalogue
    """Show what a key is and can do, its PIN state and advisories.

    Needs no PIN and no touch. How many passkeys are on the key is told by `keyctl passkeys list`.
    """
    from keyctl.cli import app
    from keyctl.operations import information, opening

    with opening.opened(app.circumstances(context)) as session:
        result = information.information(session)
    return Outcome(data=result, text=lambda: _text(result))


def _text(info: Information) -> str:
    from keyctl.cli import tables

    key = info.key
    noted = (("role", key.role), ("owner", key.owner), ("location", key.location), ("note", key.note))
    rows = [
        ("key", key.label),
        *((what, text) for what, text in noted if text),
        ("model", key.model or key.product),
        ("kind", "virtual, for trying out: never for real accounts" if key.virtual else "hardware"),
        ("serial", key.serial),
        ("firmware", key.firmware),
        ("aaguid", key.aaguid),
        ("speaks", ", ".join(info.versions)),
        ("PIN", _pin(info.pin)),
        ("passkeys", _passkeys(info)),
        ("can", _can(info.options)),
        ("extensions", ", ".join(info.extensions) or None),
        ("algorithms", ", ".join(_ALGORITHMS.get(number, str(number)) for number in info.algorithms) or None),
    ]
    advisories = [_advisory(advisory) for advisory in info.advisories] or ["none known"]
    return tables.pairs([*rows, *zip(chain(["advisories"], repeat(" ")), advisories, strict=False)])


def _can(options: Mapping[str, bool]) -> str | None:
    """What the key can do, or None: it does not say. Most keys have the preview beside what it was a preview of."""
    outdated = {"credentialMgmtPreview"} if options.get("credMgmt") else set()
    return ", ".join(text for name, text in _OPTIONS.items() if options.get(name) and name not in outdated) or None


def _pin(pin: PinState | None) -> str:
    if pin is None:
        return "this key has no PIN function"
    if not pin.set:
        return f"not set (at least {pin.min_length} characters)"
    words = [f"set, {tries(pin.retries)} left"]
    if pin.power_cycle_needed:
        words.append("unplug it before the next try")
    if pin.change_required:
        words.append("must be changed first")
    if pin.uv_retries is not None:
        words.append(f"{pin.uv_retries} fingerprint tries left")
    return ", ".join(words)


def _passkeys(info: Information) -> str:
    if info.passkeys is None:
        return "this key cannot list them" if info.options.get("rk") else "this key stores none"
    remaining = info.passkeys.remaining
    return "room is not told" if remaining is None else f"room for {remaining} more"


def _advisory(advisory: Advisory) -> str:
    doubt = "" if advisory.result == "affected" else " (firmware not known: perhaps)"
    return f"{advisory.id}, {advisory.level}{doubt}: {advisory.effect}; {advisory.action}"
