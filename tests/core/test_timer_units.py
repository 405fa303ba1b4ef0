"""Words and lines of units and crontabs, whatever is in a path or a command."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import timer_units
from keyctl.core.timer_units import UnitPlace

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)


def unit_words(line):
    """The words of a command line as systemd reads it (systemd.service(5), "Command lines")."""
    first, *others = shlex.split(line)
    return [first.replace("%%", "%"), *(word.replace("%%", "%").replace("$$", "$") for word in others)]


@given(PRINTABLE, PRINTABLE)
def test_any_word_comes_back_from_a_unit(program, argument):
    line = f"{timer_units.word(program, first=True)} {timer_units.word(argument)}"
    assert unit_words(line) == [program, argument]


@given(PRINTABLE, PRINTABLE, PRINTABLE)
def test_any_word_comes_back_from_a_crontab(program, home, notify):
    line = timer_units.crontab([program], {"KEYCTL_HOME": home}, notify=notify)
    assert line.count("\n") == 1
    # cron ends the line at a percent sign that is not escaped.
    assert "%" not in line.replace("\\%", "")
    *when, command = line.rstrip("\n").split(" ", 5)
    assert when == ["30", "12", "*", "*", "1"]
    words = shlex.split(command.replace("\\%", "%"))
    assert words == [f"KEYCTL_HOME={home}", program, "health", "--quiet", "||", "/bin/sh", "-c", notify]


def test_a_unit_for_each_purpose():
    files = timer_units.units(["/bin/keyctl"], {}, on_plug=True, notify=None)
    assert [(file.name, file.place) for file in files] == [
        ("keyctl-health.service", UnitPlace.USER_UNITS),
        ("keyctl-health.timer", UnitPlace.USER_UNITS),
        ("keyctl-health-plug.service", UnitPlace.USER_UNITS),
        ("70-keyctl-health.rules", UnitPlace.UDEV_RULES),
    ]
    assert all(file.content.startswith(f"{timer_units.MARK}\n") for file in files)
    assert "Persistent=true\n" in files[1].content
    assert files[2].name in files[3].content


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x1b[2J", "\ud800", "a\u202eb"])
def test_what_fits_into_no_line_is_told(text):
    assert not timer_units.is_writable(text)


def test_ordinary_paths_fit():
    assert timer_units.is_writable('/home/kim müller/100% $HOME "quoted"')
