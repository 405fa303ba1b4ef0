"""Which registrations are on this key? Asked silently, by credential id; a miss says nothing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.inventory import Registration
from keyctl.core.text import is_unicode
from keyctl.errors import PinError, TouchError
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from keyctl.core.inventory import KnownKey
    from keyctl.device.assertions import Assertion
    from keyctl.device.session import Session
    from keyctl.operations.local_credentials import LocalCredential


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What a key said of the registrations that it was asked about."""

    #: On the key, now.
    answered: tuple[Registration, ...]
    #: On record on this key, and without an answer. Those that want the PIN answer nothing without it.
    silent: tuple[Registration, ...]


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One credential id, under one RP id."""

    registration: Registration
    #: Whether it may be one of those that answer with the PIN only.
    wants_pin: bool


def probe(session: Session, known: KnownKey, local: Sequence[LocalCredential]) -> Probed:
    """Ask a key which of these registrations it holds; it must have proved which key it is.

    Args:
        session: The key; a PIN that it remembers is used where an answer needs it.
        known: Its record: what is on file as being on it is asked about again.
        local: Credentials that files of this computer use, wherever they are.

    Raises:
        UnreachableError: The key is gone, silent, or answers nonsense.
        PinError: The PIN is wrong or blocked.
    """
    current = tuple(entry for entry in known.registrations if entry.reset_at is None)
    now = times.now()
    answered: dict[bytes, Registration] = {}
    # Nobody touches the key, as those that know U2F only want it: what it did not answer so far it will not.
    with contextlib.suppress(TouchError):
        for rp_id, questions in _questions(current, local, now).items():
            for entry in _answers(session, rp_id, questions):
                answered[entry.credential_id] = replace(entry, seen_at=now)
    silent = tuple(entry for entry in current if entry.credential_id not in answered)
    return Probed(answered=tuple(answered.values()), silent=silent)


def has_questions(known: KnownKey, local: Sequence[LocalCredential]) -> bool:
    """Whether :func:`probe` would ask anything."""
    current = [entry for entry in known.registrations if entry.reset_at is None]
    return bool(_questions(current, local, ""))


def _questions(
    current: Iterable[Registration], local: Iterable[LocalCredential], now: str
) -> dict[str, dict[bytes, _Question]]:
    """What to ask: RP id -> credential id -> question."""
    questions: dict[str, dict[bytes, _Question]] = {}
    # What is on file is asked in its own words, whatever a file of this computer says today.
    on_file = (_Question(registration=entry, wants_pin=True) for entry in current)
    for question in (*_from_files(local, now), *on_file):
        registration = question.registration
        if _is_site(registration.rp_id):
            questions.setdefault(registration.rp_id, {})[registration.credential_id] = question
    return questions


def _is_site(rp_id: str) -> bool:
    """Whether a key can be asked about it: files and inventories may hold any text, also what makes no message.

    What is keyctl's own is no registration.
    """
    return rp_id not in {"", OWN_RP_ID} and is_unicode(rp_id)


def _from_files(local: Iterable[LocalCredential], now: str) -> Iterable[_Question]:
    for credential in local:
        if credential.credential_id is None:
            continue
        for rp_id in credential.rp_ids:
            registration = Registration(
                credential_id=credential.credential_id,
                rp_id=rp_id,
                account=credential.account,
                origin=credential.origin,
                public_key=credential.public_key,
                label=credential.label,
                seen_at=now,
            )
            yield _Question(registration=registration, wants_pin=credential.verify_required)


def _answers(session: Session, rp_id: str, questions: Mapping[bytes, _Question]) -> Iterator[Registration]:
    """The registrations of one RP that the key holds, each by a signature that verifies where that can be checked."""
    found = _touched(session, rp_id, questions) if session.is_u2f else _silent(session, rp_id, questions)
    for assertion in found:
        registration = questions[assertion.credential_id].registration
        if _verifies(registration, assertion):
            yield registration


def _silent(session: Session, rp_id: str, questions: Mapping[bytes, _Question]) -> Iterator[Assertion]:
    """Signatures without a touch; with the PIN, where it is at hand and an answer may want it."""
    answered: tuple[Assertion, ...] = ()
    locked = False
    try:
        answered = session.all_answering(rp_id, tuple(questions))
    except PinError as error:
        if error.code != "pin_required":
            raise
        locked = True
    yield from answered
    missing = questions.keys() - {assertion.credential_id for assertion in answered}
    again = tuple(own_id for own_id in questions if own_id in missing and (locked or questions[own_id].wants_pin))
    if again and session.has_pin:
        yield from session.all_answering(rp_id, again, verified=True)


def _touched(session: Session, rp_id: str, questions: Mapping[bytes, _Question]) -> Iterator[Assertion]:
    """What a U2F key says that it holds, which it says without a touch, and proves with one."""
    left = list(questions)
    while (claimed := session.claimed(rp_id, left)) is not None:
        left = left[left.index(claimed) + 1 :]
        yield session.touched(rp_id, claimed)


def _verifies(registration: Registration, assertion: Assertion) -> bool:
    from keyctl.core import public_keys

    public_key = registration.public_key
    return public_key is None or public_keys.verifies(public_key, assertion.signed, assertion.signature)
