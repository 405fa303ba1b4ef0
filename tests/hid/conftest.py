"""Virtual keys on the USB buses of a real kernel, in a guest that is booted once for all tests that ask for it.

All tests in this folder are one group for pytest-xdist: one guest is enough for two processors.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The tests' own modules; pytest's way of importing leaves the path alone.
sys.path.insert(0, str(Path(__file__).parent))

from desk import Computer, Shelf, booted
from guest_parts import PartsMissingError

from tests.missing import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def computer() -> Iterator[Computer]:
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(booted())
        except PartsMissingError as error:
            missing(f"the guest needs {error}")


@pytest.fixture(autouse=True)
def empty_home(computer: Computer) -> None:
    """Another one for every test, as on this side."""
    computer.move_out()


@pytest.fixture(scope="session")
def shelves(computer: Computer) -> Callable[[], Shelf]:
    """A function that makes more shelves."""
    count = 0

    def make() -> Shelf:
        nonlocal count
        count += 1
        return Shelf(computer.guest, f"/run/keys-{count}")

    return make


@pytest.fixture(scope="session")
def session_shelf(shelves: Callable[[], Shelf]) -> Shelf:
    return shelves()


@pytest.fixture
def shelf(session_shelf: Shelf) -> Iterator[Shelf]:
    """An empty one; what is plugged in from it is pulled after the test."""
    yield session_shelf
    session_shelf.clear()
