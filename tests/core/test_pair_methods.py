"""Which method two keys can do, and what is said of those that they cannot."""

from __future__ import annotations

import pytest

from keyctl.core import pair_methods
from keyctl.core.pair_methods import Side
from keyctl.core.pairings import Method
from keyctl.model import KeyInfo, Limits


def side(name: str, *extensions: str, virtual: bool = False) -> Side:
    info = KeyInfo(versions=("FIDO_2_1",), extensions=extensions, limits=Limits(max_message_size=1200))
    return Side(name=name, virtual=virtual, info=info)


@pytest.mark.parametrize(
    ("primary", "backup", "method"),
    [
        (side("blue"), side("green", "previewSign"), Method.ARKG),
        (side("blue", "previewSign"), side("green"), Method.REGISTRATION),
        (side("blue"), side("green", "hmac-secret"), Method.REGISTRATION),
        (side("blue"), side("green", "previewSign5"), Method.REGISTRATION),
        (side("blue", "recovery", virtual=True), side("green", "recovery", virtual=True), Method.WEBAUTHN_DRAFT),
        (side("blue", "recovery"), side("green", "recovery"), Method.REGISTRATION),
        (side("blue", virtual=True), side("green", "recovery", virtual=True), Method.REGISTRATION),
        (
            side("blue", "recovery", virtual=True),
            side("green", "recovery", "previewSign", virtual=True),
            Method.ARKG,
        ),
    ],
)
def test_the_strongest_that_both_can_do(primary: Side, backup: Side, method: Method) -> None:
    choice = pair_methods.strongest(primary, backup)
    assert choice.method is method
    assert bool(choice.reasons) is (method is not Method.ARKG)


def test_why_nothing_stronger_is_told_of_each_key_by_name():
    choice = pair_methods.strongest(side("blue", "recovery", virtual=True), side("green", virtual=True))
    assert choice.reasons == (
        "no arkg, green: it makes no seeds (no previewSign)",
        "no webauthn_draft, green: it has no recovery extension, which is a draft",
    )


def test_a_draft_that_neither_has_heard_of_is_not_spoken_of():
    assert pair_methods.strongest(side("blue"), side("green")).reasons == (
        "no arkg, green: it makes no seeds (no previewSign)",
    )


@pytest.mark.parametrize("method", [Method.ARKG, Method.SOFTWARE, Method.WEBAUTHN_DRAFT])
def test_of_a_key_that_is_not_there_nothing_is_known(method: Method) -> None:
    absent = Side(name="green", virtual=True, info=None)
    assert pair_methods.why_not(method, absent, role="backup") == "it is not connected"


def test_software_is_never_chosen():
    """Whatever the keys can do."""
    able = side("green", "hmac-secret", "credBlob", "largeBlobKey")
    assert pair_methods.why_not(Method.SOFTWARE, able, role="backup") is None
    assert pair_methods.strongest(able, able).method is Method.REGISTRATION
