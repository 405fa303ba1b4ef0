"""Facts of a health check, in few words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from keyctl.core import health, times
from keyctl.core.advisories import Identity
from keyctl.core.health_facts import Facts, KeyFacts, KeyReading, PairingFacts
from keyctl.core.inventory import Inventory
from keyctl.core.results import CheckResult
from keyctl.model import Recognition

from .coverage_parts import NOW, inventory_of, key


def ago(days):
    return (times.parse(NOW) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def known(name="blue", **facts):
    """A key that was enrolled and read yesterday; *facts* are fields of its record."""
    record = key(name, *facts.pop("held", ()))
    enrolled_at = facts.pop("enrolled_at", ago(1))
    return replace(
        record,
        recognition=replace(record.recognition, enrolled_at=enrolled_at, u2f=facts.pop("u2f", False)),
        **({"passkeys_read_at": ago(1)} | facts),
    )


def reading(**facts):
    """What a key says with which all is well."""
    told = {
        "recognition": Recognition.PROVED,
        "pin_supported": True,
        "pin_set": True,
        "tries_left": 8,
        "min_pin_length": 6,
        "listing": True,
        "remaining": 20,
        "enterprise_attestation": False,
        "identity": Identity(model="Acme One", firmware="1.0"),
    }
    return KeyReading(**(told | facts))


def key_facts(record=None, *, connected=True, **facts):
    """A connected key with which all is well, but for what *facts* of its reading say."""
    record = known() if record is None else record
    own = {name: facts.pop(name) for name in ("drilled_at", "drill_failure") if name in facts}
    return KeyFacts(label=record.name, known=record, reading=reading(**facts) if connected else None, **own)


def pairing_facts(pairing, **facts):
    return PairingFacts(pairing=pairing, label="blue/green", **facts)


def facts(*keys, inventory=None, **more):
    """A check of *keys*, and of an inventory that holds them and nothing else."""
    records = [one.known for one in keys if one.known is not None]
    told = inventory_of(*records) if inventory is None else inventory
    return Facts(**({"now": NOW, "inventory": told, "keys": keys, "whole": False} | more))


def results(checked):
    """Id -> result, of what is not all well; the worst where there are several."""
    found = {}
    for finding in sorted(health.findings(checked), key=lambda one: list(CheckResult).index(one.result)):
        if finding.result is not CheckResult.OK:
            found[finding.id] = finding.result.value
    return found


def list_of(checked):
    return list(health.findings(checked))


def one(checked, check_id):
    """The only finding with that id."""
    [found] = [finding for finding in health.findings(checked) if finding.id == check_id]
    return found


EMPTY = Inventory()
