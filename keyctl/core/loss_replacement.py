"""How the place of a lost key is filled: which key to buy, who takes over, and what is paired again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import promotions
from keyctl.core.accounts import may_share_owner
from keyctl.core.key_models import model_of
from keyctl.core.loss_steps import StepKind
from keyctl.core.names import quoted
from keyctl.core.pairings import PairingState
from keyctl.model import KeyState, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.loss_steps import Step, Writer
    from keyctl.core.pairings import Pairing

_ENOUGH_KEYS = 2
#: Who is likeliest to take over, first.
ROLES = [Role.BACKUP, Role.PRIMARY, Role.SPARE, None]


def replacement_steps(writer: Writer, inventory: Inventory, lost: KnownKey) -> Iterator[Step]:
    """What to buy, the promotion, the next pairing, and the new key at all accounts."""
    left = remaining(inventory, lost)
    yield _buy(writer, left)
    pairing = _pairing(inventory, lost)
    if pairing is not None and pairing.primary_id == lost.id:
        yield _promote(writer, inventory, lost, pairing)
    elif pairing is None and left and lost.role is Role.PRIMARY:
        yield _new_role(writer, lost, left)
    newest = _newest(left, lost)
    pair = (
        _pair(writer, inventory, lost, pairing) if pairing is not None else _first_pair(writer, inventory, left, newest)
    )
    yield pair
    yield _register(writer, pair.key or newest)


def steps_among(writer: Writer, inventory: Inventory, left: Sequence[KnownKey]) -> Iterator[Step]:
    """What to buy, the next pairing, and the new key at all accounts, where nothing is known of the lost key.

    Args:
        writer: Of the lost key.
        inventory: What is known.
        left: The keys at hand, the likeliest to take over first.
    """
    yield _buy(writer, left)
    pair = _first_pair(writer, inventory, left, None)
    yield pair
    yield _register(writer, pair.key)


def remaining(inventory: Inventory, lost: KnownKey) -> list[KnownKey]:
    """The keys of the same owner that are at hand, the likeliest to take over first."""
    keys = [
        key
        for key in inventory.keys
        if key.id != lost.id
        and key.state is KeyState.ACTIVE
        and key.virtual is lost.virtual
        and may_share_owner(key, lost)
    ]
    return likeliest_first(keys)


def likeliest_first(keys: Iterable[KnownKey]) -> list[KnownKey]:
    """*keys*, the likeliest to take over first."""
    return sorted(keys, key=lambda key: (ROLES.index(key.role), key.name))


def _buy(writer: Writer, left: Sequence[KnownKey]) -> Step:
    models = sorted({key.model for key in left if key.model})
    other = f"of another maker or model than {' and '.join(models)}, as one flaw hits all keys of a model"
    if not models:
        other = "of another maker or model than those that you have, as one flaw hits all keys of a model"
    if len(left) < _ENOUGH_KEYS:
        names = f"{left[0].name} is the only key left" if left else "no key is left"
        text = f"{names}: get another one {other}"
    elif len({model_of(key) for key in left} - {None}) > 1:
        text = f"{' and '.join(key.name for key in left)} are left, of different models: enough to go on with"
    else:
        text = f"{' and '.join(key.name for key in left)} are left; let the next key be one {other}"
    return writer.step(
        StepKind.BUY, "buy", text, settled=len(left) >= _ENOUGH_KEYS, commands=("keyctl add NEW --role backup",)
    )


def _pairing(inventory: Inventory, lost: KnownKey) -> Pairing | None:
    """The pairing that decides what comes next: with the lost key as primary before one as backup; promoted first.

    Where the other key is lost, too, or was reset, nobody can take over by it. It is not to be removed either: should
    that key be found, it can.
    """
    since = lost.changed.get("state", "")
    pairings = [
        one
        for one in inventory.pairings_of(lost.id)
        # One that was retired before is of an earlier loss, after which the key was found again.
        if (one.retired_at is None or (one.primary_id == lost.id and one.retired_at >= since))
        and _may_be_at_hand(inventory, one.backup_id if one.primary_id == lost.id else one.primary_id)
    ]
    states = [PairingState.RETIRED, PairingState.VERIFIED, PairingState.NEVER_VERIFIED, PairingState.BROKEN]
    pairings.sort(key=lambda one: (one.primary_id != lost.id, states.index(one.state), one.created_at, one.id))
    return pairings[0] if pairings else None


def _may_be_at_hand(inventory: Inventory, key_id: str) -> bool:
    """Whether nothing says that the key is gone; of one that is not known here nothing does."""
    key = inventory.key_with_id(key_id)
    return key is None or key.state is KeyState.ACTIVE


def _promote(writer: Writer, inventory: Inventory, lost: KnownKey, pairing: Pairing) -> Step:
    backup = inventory.key_with_id(pairing.backup_id)
    settled = pairing.retired_at is not None
    if backup is None:
        text = f"put the backup key in the place of {lost.name}: plug it in, and give it its name again first"
        commands: tuple[str, ...] = ("keyctl add NAME", "keyctl pair restore", "keyctl recover promote")
    elif settled:
        text = f"{backup.name} took the place of {lost.name} on {pairing.retired_at}"
        commands = (f"keyctl recover promote {quoted(backup.name)}",)
    else:
        text = f"put {backup.name} in the place of {lost.name}: it becomes the primary key, for good"
        commands = (f"keyctl recover promote {quoted(backup.name)}",)
    name = backup.name if backup is not None else None
    return writer.step(StepKind.PROMOTE, "promote", text, settled=settled, key=name, commands=commands)


def _new_role(writer: Writer, lost: KnownKey, left: Sequence[KnownKey]) -> Step:
    successor = _successor(left)
    name = successor.name
    return writer.step(
        StepKind.PROMOTE,
        "promote",
        f"let {name} be the primary key in the place of {lost.name}",
        settled=successor.role is Role.PRIMARY,
        key=name,
        commands=(f"keyctl edit {quoted(name)} --role primary",),
    )


def _successor(left: Sequence[KnownKey]) -> KnownKey:
    """The key that is the primary key, or likeliest to be it; there is one."""
    return next((key for key in left if key.role is Role.PRIMARY), left[0])


def _first_pair(writer: Writer, inventory: Inventory, left: Sequence[KnownKey], newest: str | None) -> Step:
    """The next pairing, where the lost key was in none: of keys at hand where there are two."""
    names = {key.id: key.name for key in left}
    for one in inventory.pairings:
        if one.retired_at is None and {one.primary_id, one.backup_id} <= set(names):
            backup = names[one.backup_id]
            text = f"{names[one.primary_id]} is paired with {backup}"
            command = f"keyctl pair verify {quoted(backup)}"
            return writer.step(StepKind.PAIR, "pair", text, settled=True, key=backup, commands=(command,))
    primary = _successor(left) if left else None
    others = [key for key in left if key is not primary]
    # What was bought since comes first, then what a flaw of the primary key's model does not hit.
    others.sort(key=lambda key: (key.name != newest, primary is not None and model_of(key) == model_of(primary)))
    other = others[0].name if others else None
    text = f"pair {primary.name if primary else 'the new primary key'} with {other or 'the new key'}"
    command = f"keyctl pair create {quoted(primary.name) if primary else 'PRIMARY'} {quoted(other) if other else 'NEW'}"
    return writer.step(StepKind.PAIR, "pair", f"{text}, so that the next loss is less", key=other, commands=(command,))


def _pair(writer: Writer, inventory: Inventory, lost: KnownKey, pairing: Pairing) -> Step:
    """The pairing that follows *pairing*, in which the lost key had a part."""
    commands: tuple[str, ...] = ()
    if pairing.backup_id == lost.id:
        # Whoever is left is the primary key of the next pairing.
        primary = inventory.key_with_id(pairing.primary_id)
        labels = [quoted(f"{primary.name}/{lost.name}" if primary is not None else pairing.id)]
        commands = (f"keyctl pair remove {labels[0]}",)
        pairing = replace(pairing, primary_id=pairing.backup_id, backup_id=pairing.primary_id)
    following = promotions.next_backup(inventory, pairing)
    new = inventory.key_with_id(pairing.backup_id)
    name = new.name if new is not None else "the new primary key"
    if following.paired:
        text = f"{name} is paired with {following.key}"
        commands = (following.command,)
    else:
        text = f"pair {name} again, with {following.key or 'the new key'}"
        commands += (following.command if following.key else f"{following.command.removesuffix('BACKUP')}NEW",)
    return writer.step(StepKind.PAIR, "pair", text, settled=following.paired, key=following.key, commands=commands)


def _register(writer: Writer, new: str | None) -> Step:
    return writer.step(
        StepKind.REGISTER,
        "register",
        f"register {new or 'the new key'} at every account that it does not open yet; this lists them, with links",
        key=new,
        commands=(f"keyctl coverage --missing {quoted(new) if new is not None else 'NEW'}",),
    )


def _newest(left: Sequence[KnownKey], lost: KnownKey) -> str | None:
    """The name of the key that was added last since the loss; None: none was."""
    since = lost.changed.get("state", "")
    new = [key for key in left if since and key.added_at > since]
    return max(new, key=lambda key: key.added_at).name if new else None
