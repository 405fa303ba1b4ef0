"""Texts that obey nobody and hide nothing, whatever they were made of."""

from __future__ import annotations

import unicodedata

#: What no output for people may hold beside line ends.
FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def assert_harmless(text: str) -> None:
    wrong = [character for character in text if character != "\n" and unicodedata.category(character) in FORBIDDEN]
    assert not wrong, wrong
