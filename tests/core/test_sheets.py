"""The page that is kept with a key: what is on it, and that nothing in it is obeyed, loaded or run."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import sheets
from keyctl.core.sheets import SheetAccount, SheetFacts, SheetPairing
from tests.harmless import assert_harmless

SEED = "KMAYH-4YB7K-HYGZD-VGWPC"
PAIRED = SheetPairing(
    primary="blue",
    backup="green",
    method="arkg",
    fingerprint=SEED,
    created_at="2026-01-31T08:00:00Z",
    verified_at=None,
)
FACTS = SheetFacts(
    name="green",
    role="backup",
    owner="Kim",
    location="bank safe, box 12",
    model="YubiKey 5C NFC",
    serial="12345678",
    aaguid="2fc0579f-8113-47ea-b116-bb5a8db9202a",
    trouble=None,
    virtual=False,
    pairings=(PAIRED,),
    accounts=None,
    made_at="2026-11-28T08:00:00Z",
)
ACCOUNTS = tuple(
    SheetAccount(service=f"Site {n}", account="kim", rp_id=f"site{n}.example", url=None) for n in range(80)
)
HOSTILE = "</b><script src=https://evil.example>\"'&\x1b[2J\u202e\n# x `y` [z](https://evil.example)"


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._style = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = self._style and tag != "style"

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.words += data


def everywhere(text: str) -> SheetFacts:
    """*text* in every place where somebody else's may be."""
    account = SheetAccount(service=text, account=text, rp_id=text, url=text)
    return replace(
        FACTS,
        name=text,
        role=text,
        owner=text,
        location=text,
        model=text,
        serial=text,
        aaguid=text,
        pairings=(replace(PAIRED, primary=text, backup=text), replace(PAIRED, backup=text, fingerprint=None)),
        accounts=(account,),
    )


def test_the_page_tells_which_key_it_is_and_what_to_do():
    words = Page(sheets.as_html(FACTS)).words
    for told in (
        "green", "backup", "Kim", "bank safe, box 12", "YubiKey 5C NFC", "12345678",
        "2fc0579f-8113-47ea-b116-bb5a8db9202a", "2026-11-28", "The PIN is not here", "When blue is lost",
        "keyctl lost blue", "keyctl recover promote green", "keyctl pair restore", "When this key itself is lost",
    ):  # fmt: skip
        assert told in words
    page = Page(sheets.as_html(FACTS))
    assert [attrs.get("class") for tag, attrs in page.tags].count("fingerprint") == 1
    for group in SEED.split("-"):
        assert f"<span>{group}</span>" in sheets.as_html(FACTS)


def test_the_accounts_are_on_it_only_when_they_are_wanted():
    assert "Site 1" not in sheets.as_html(FACTS)
    assert "Site 1" not in sheets.as_markdown(FACTS)
    told = replace(FACTS, accounts=ACCOUNTS)
    for content in (sheets.as_html(told), sheets.as_markdown(told)):
        assert all(account.service in content for account in ACCOUNTS)
        assert "The 80 accounts that green opens" in content
        assert "keep it where only you find it" in content
    assert "No account is known that green opens" in sheets.as_html(replace(FACTS, accounts=()))
    assert "The account that green opens" in sheets.as_markdown(replace(FACTS, accounts=ACCOUNTS[:1]))


def test_a_key_that_is_nobodys_backup_key_has_other_steps():
    spare = sheets.as_markdown(replace(FACTS, role="spare", pairings=()))
    assert "When another key is lost" in spare
    assert "promote" not in spare
    primary = sheets.as_markdown(replace(FACTS, name="blue", role="primary"))
    assert "When green is lost" not in primary
    assert "When this key itself is lost" in primary
    both = sheets.as_markdown(replace(FACTS, pairings=(PAIRED, replace(PAIRED, primary="amber"))))
    assert "When blue or amber is lost" in both
    assert "`keyctl recover promote blue/green`" in both
    assert "`keyctl recover promote amber/green`" in both
    unknown = sheets.as_markdown(replace(FACTS, pairings=(replace(PAIRED, primary=None),)))
    assert "`keyctl lost NAME`" in unknown


@pytest.mark.parametrize("trouble", ["lost", "reset"])
def test_a_key_that_is_gone_or_for_trying_out_says_so_first(trouble):
    words = sheets.as_markdown(replace(FACTS, trouble=trouble, virtual=True))
    assert f"**This key {'is marked as lost' if trouble == 'lost' else 'was reset'}" in words
    assert "virtual key, for trying out only" in Page(sheets.as_html(replace(FACTS, virtual=True))).words


@given(st.sampled_from([HOSTILE, "x" * 1000, "'", "\u2028"]) | st.text(min_size=1, max_size=40))
def test_nothing_in_the_page_runs_or_loads_whatever_things_are_called(text):
    content = sheets.as_html(everywhere(text))
    expected = Page(sheets.as_html(everywhere("plain")))
    page = Page(content)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in expected.tags]
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe", "object", "a", "base", "form", "svg"}
    for _, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name in {"src", "href", "style"}}
    [style] = re.findall(r"<style>(.*?)</style>", content, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in content
    assert_harmless(content)


@given(st.sampled_from([HOSTILE]) | st.text(min_size=1, max_size=40))
def test_no_name_begins_a_line_in_markdown(text):
    plain = sheets.as_markdown(everywhere("plain")).split("\n")
    lines = sheets.as_markdown(everywhere(text)).split("\n")
    assert len(lines) == len(plain)
    assert_harmless("".join(lines))
    obeyed = [re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"\\.", "", line)) for line in lines]
    assert not any("<" in line for line in obeyed)


def test_it_fits_paper_of_both_sizes():
    content = sheets.as_html(FACTS)
    assert "@page { margin:" in content
    # The size is the printer's: A4 and Letter alike; what is printed is narrower than either.
    assert not re.search(r"@page \{[^}]*size", content)
    assert "max-width: 178mm" in content
    assert "display: table-header-group" in content
    assert "break-inside: avoid" in content
