"""Hostile text in Markdown is shown and not obeyed."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import markdown


@given(st.text(max_size=60))
def test_nothing_is_left_that_markdown_or_a_terminal_obeys(text):
    shown = markdown.escaped(text)
    assert "\n" not in shown
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>#|~&!]", re.sub(r"\\[`*_{}\[\]<>#|~&!\\]", "", shown))


@given(st.text(alphabet="a` ", min_size=1, max_size=12))
def test_a_code_span_ends_where_its_text_ends(text):
    span = markdown.code(text)
    fence = re.match("`+", span)
    assert fence is not None
    ticks = fence[0]
    assert span.endswith(ticks)
    inside = span[len(ticks) : -len(ticks)]
    assert text in inside
    assert ticks not in re.findall("`+", inside)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.com/settings", "<https://github.com/settings>"),
        ("http://plain.example/", "`http://plain.example/`"),
        ("javascript:alert(1)", "`javascript:alert(1)`"),
        ("https://a.example/> [x](y", "`https://a.example/> [x](y`"),
        ("https://bücher.example/", "`https://bücher.example/`"),
    ],
)
def test_only_a_plain_https_url_is_a_link(url, shown):
    assert markdown.link(url) == shown
