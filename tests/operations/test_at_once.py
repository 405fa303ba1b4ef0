"""Working on several things at the same time."""

from __future__ import annotations

from threading import Barrier, current_thread

import pytest

from keyctl.operations import at_once


def test_the_results_are_in_the_order_of_the_items():
    assert at_once.each("abc", str.upper) == ["A", "B", "C"]
    assert at_once.each([], str.upper) == []


def test_all_are_worked_on_at_once():
    meeting = Barrier(3, timeout=10)
    at_once.each(range(3), lambda _: meeting.wait())


def test_one_alone_is_worked_on_right_here():
    assert at_once.each(["x"], lambda _: current_thread()) == [current_thread()]


def test_a_failure_ends_nothing_but_itself_and_is_raised_in_the_end():
    done = []

    def work(number):
        if number:
            raise ValueError(number)
        done.append(number)

    with pytest.raises(ValueError, match="1"):
        at_once.each([2, 1, 0][::-1], work)
    assert done == [0]
