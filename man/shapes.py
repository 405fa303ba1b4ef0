"""What is in the JSON document: which command has which data, and what every field is.

The fields and their types are those of the dataclasses that the program turns into JSON; what they mean is told by
``prose.toml``, which has to name every field and no other. Annotations are evaluated here, because they are read.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from keyctl import model
from keyctl.cli.commands.demo import DemoStep
from keyctl.core import (
    account_rows,
    advisories,
    health_results,
    holdings,
    inventory,
    loss_steps,
    merged_records,
    merging,
    pairings,
    promotions,
    results,
    sites,
    timer_units,
)
from keyctl.core.coverage import Coverage, Summary
from keyctl.core.diagnosis_facts import Diagnosis
from keyctl.errors import Details
from keyctl.model import Key
from keyctl.operations import (
    accepting,
    agent_keys,
    deriving,
    last_result,
    losing,
    overview,
    pair_views,
    promoting,
    service_import,
    services,
    unattended_setup,
)
from keyctl.operations.forgetting import Forgotten
from keyctl.operations.information import Information, PinState
from keyctl.operations.inventory_files import InventoryExport, InventoryImport, Places
from keyctl.operations.keeping_in_step import MissingAccount
from keyctl.operations.key_reading import ScannedKey
from keyctl.operations.naming import Addition
from keyctl.operations.pair_creating import Creation
from keyctl.operations.pair_exporting import SeedExport
from keyctl.operations.pair_importing import SeedImport
from keyctl.operations.pair_restoring import Restoration
from keyctl.operations.pair_verifying import Drill
from keyctl.operations.passkeys import Deletion, OnePasskey, PasskeyList, Renaming
from keyctl.operations.pins import KeyChange
from keyctl.operations.readings import Entry
from keyctl.operations.recovering import RecoverySignature
from keyctl.operations.scanning import LocalEntry, Scan
from keyctl.operations.sheets import Sheet
from keyctl.operations.ssh_agent import Listening
from keyctl.operations.timers import TimerFiles
from keyctl.operations.virtual_keys import VirtualChange
from keyctl.store import check_results, unattended_tokens
from keyctl.virtual.keys import VirtualKey


class DocumentStatus(StrEnum):
    """The envelope's ``status``."""

    OK = "ok"
    FOUND = "found"
    PARTIAL = "partial"
    ERROR = "error"


@dataclass(frozen=True)
class Error:
    """One of the envelope's ``errors``."""

    code: str
    message: str
    hint: str | None
    key: str | None
    details: Details


@dataclass(frozen=True)
class Document:
    """The envelope."""

    schema: str
    command: str | None
    status: DocumentStatus
    exit_status: int
    data: Mapping[str, Any] | None
    errors: tuple[Error, ...]


@dataclass(frozen=True)
class Keys:
    """The data of ``list``."""

    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Services:
    """The data of ``service list``."""

    services: tuple[services.ServiceView, ...]


@dataclass(frozen=True)
class Pairings:
    """The data of ``pair list`` and ``pair show``."""

    pairings: tuple[pair_views.PairingView, ...]


@dataclass(frozen=True)
class VirtualKeys:
    """The data of ``virtual list``."""

    virtual_keys: tuple[VirtualKey, ...]


@dataclass(frozen=True)
class Imitations:
    """The data of ``virtual profiles``."""

    profiles: Mapping[str, str]
    quirks: Mapping[str, str]


@dataclass(frozen=True)
class Demonstration:
    """The data of ``demo``."""

    steps: tuple[DemoStep, ...]


@dataclass(frozen=True)
class Content:
    """A text as a whole."""

    content: str


@dataclass(frozen=True)
class Version:
    """The data of ``--version``."""

    version: str


#: Command -> its ``data``; the options that print and end stand where there is no command.
DATA: dict[str, type] = {
    "--version": Version,
    "--help": Content,
    "status": overview.Overview,
    "list": Keys,
    "info": Information,
    "pin set": KeyChange,
    "pin change": KeyChange,
    "pin verify": KeyChange,
    "passkeys list": PasskeyList,
    "passkeys show": OnePasskey,
    "passkeys delete": Deletion,
    "passkeys rename": Renaming,
    "add": Addition,
    "edit": KeyChange,
    "forget": Forgotten,
    "scan": Scan,
    "unattended on": unattended_setup.Unattended,
    "unattended off": unattended_setup.Unattended,
    "unattended list": unattended_setup.KeptTokens,
    "service add": services.ServiceChange,
    "service edit": services.ServiceChange,
    "service remove": services.ServiceChange,
    "service list": Services,
    "service import": service_import.ServiceImport,
    "coverage": Coverage,
    "pair create": Creation,
    "pair list": Pairings,
    "pair show": Pairings,
    "pair verify": Drill,
    "pair remove": pair_views.Removal,
    "pair restore": Restoration,
    "pair derive": deriving.Derivation,
    "pair export": SeedExport,
    "pair import": SeedImport,
    "recover sign": RecoverySignature,
    "recover ssh-agent": Listening,
    "recover promote": promoting.Promotion,
    "health": health_results.Health,
    "health accept": accepting.AcceptedFindings,
    "health timer": TimerFiles,
    "lost": losing.Loss,
    "found": losing.Found,
    "sheet": Sheet,
    "inventory export": InventoryExport,
    "inventory import": InventoryImport,
    "inventory path": Places,
    "reset": KeyChange,
    "wink": KeyChange,
    "doctor": Diagnosis,
    "virtual new": VirtualChange,
    "virtual list": VirtualKeys,
    "virtual profiles": Imitations,
    "virtual remove": VirtualChange,
    "virtual plug": VirtualChange,
    "virtual unplug": VirtualChange,
    "virtual set": VirtualChange,
    "virtual attach": VirtualChange,
    "demo": Demonstration,
    "completion": Content,
}

#: Names that the dataclasses' modules import for type checking only.
_NAMES: dict[str, Any] = {
    **vars(model),
    **vars(advisories),
    **vars(account_rows),
    **vars(holdings),
    **vars(inventory),
    **vars(merged_records),
    **vars(merging),
    **vars(pairings),
    **vars(accepting),
    **vars(agent_keys),
    **vars(check_results),
    **vars(health_results),
    **vars(loss_steps),
    **vars(last_result),
    **vars(losing),
    **vars(overview),
    **vars(promoting),
    **vars(promotions),
    **vars(results),
    **vars(timer_units),
    **vars(unattended_setup),
    **vars(unattended_tokens),
    **vars(pair_views),
    **vars(deriving),
    "MissingAccount": MissingAccount,
    **vars(services),
    **vars(sites),
    "AccountRow": account_rows.AccountRow,
    "Summary": Summary,
    "Entry": Entry,
    "LocalEntry": LocalEntry,
    "ScannedKey": ScannedKey,
    "Mapping": Mapping,
    "PinState": PinState,
    "VirtualKey": VirtualKey,
}
_WORDS = {str: "string", bytes: "hex string", int: "number", float: "number", bool: "boolean"}


def fields_of(shape: type) -> dict[str, Any]:
    """The names and types of the fields of a dataclass, in the order in which they are printed."""
    hints = typing.get_type_hints(shape, localns=_NAMES)
    return {field.name: hints[field.name] for field in dataclasses.fields(shape)}


def shapes_within(roots: typing.Iterable[type]) -> list[type]:
    """All dataclasses and enumerations that the fields of *roots* lead to, without *roots*, each once."""
    roots = tuple(roots)
    seen: dict[type, None] = dict.fromkeys(roots)
    waiting = list(roots)
    for shape in waiting:
        if dataclasses.is_dataclass(shape):
            for hint in fields_of(shape).values():
                new = [inner for inner in _inner(hint) if inner not in seen]
                seen.update(dict.fromkeys(new))
                waiting += new
    return [shape for shape in seen if shape not in roots]


def words(hint: Any) -> str:
    """A type as people say it: ``array of passkey, or null``."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        given = " or ".join(words(argument) for argument in arguments if argument is not types.NoneType)
        return f"{given} or null" if types.NoneType in arguments else given
    if typing.get_origin(hint) is tuple:
        return f"array of {words(arguments[0])}"
    if typing.get_origin(hint) is Mapping:
        return "object" if arguments[1] is Any else f"object, {words(arguments[1])} by name"
    return _WORDS.get(hint) or title(hint)


def title(shape: type) -> str:
    """A class name as words: ``PinState`` is a pin state."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", shape.__name__).lower()


def _inner(hint: Any) -> list[type]:
    arguments = typing.get_args(hint)
    if arguments:
        return [shape for argument in arguments for shape in _inner(argument)]
    known = dataclasses.is_dataclass(hint) or (isinstance(hint, type) and issubclass(hint, Enum))
    return [hint] if known and isinstance(hint, type) else []
