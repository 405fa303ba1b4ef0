"""What people type for a site becomes its RP id, or they are told which part of it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import rp_ids
from keyctl.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "rp_id"),
    [
        ("github.com", "github.com"),
        ("GitHub.COM", "github.com"),
        ("localhost", "localhost"),
        ("my_host.example", "my_host.example"),
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        # The forms browsers make of them (UTS 46, non-transitional): what RFC 5891 calls A-labels.
        ("straße.example", "xn--strae-oqa.example"),
        ("STRAẞE.example", "xn--strae-oqa.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("ΒΌΛΟΣ.example", "xn--nxasmq6b.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("\uff45xample\uff0e\uff43om", "example.com"),
        ("ssh:", "ssh:"),
        ("ssh:Work", "ssh:Work"),
        ("SSH:Work", "ssh:Work"),
        ("pam://desk", "pam://desk"),
        ("io.systemd.cryptsetup", "io.systemd.cryptsetup"),
    ],
)
def test_rp_id_is_the_one_that_browsers_and_files_use(typed, rp_id):
    assert rp_ids.parse(typed) == rp_id


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("https://example.com", "example.com"),
        ("https://kim@example.com:8443/settings?x=1#keys", "example.com"),
        ("http://bücher.example/", "xn--bcher-kva.example"),
        ("example.com/settings", "example.com"),
        ("example.com:443", "example.com"),
        ("localhost:3000", "localhost"),
        ("*.example.com", "example.com"),
        ("kim@example.com", "example.com"),
        ("example.com.", "example.com"),
        (" example.com ", "example.com"),
        # A page of a site that the catalogue knows: the site's own RP id.
        ("https://gist.github.com/kim", "github.com"),
    ],
)
def test_pasted_address_is_refused_with_the_part_that_is_meant(typed, part):
    with pytest.raises(UsageError) as failure:
        rp_ids.parse(typed)
    assert failure.value.code == "usage"
    assert failure.value.hint == f"the RP id in it is probably {part}"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        ".",
        "..",
        "a..b",
        "-a.example",
        "a-.example",
        "192.168.1.1",
        "[::1]",
        "my site",
        "ssh: x",
        "ssh:\x1b[31m",
        "a\x00b",
        "a\u200db.example",
        "\u0301a.example",
        "\ud800.example",
        "☃.example",
        f"{'a' * 64}.example",
        f"{'ä' * 60}.example",
        f"{'a.' * 130}example",
        "a" * 100_000,
        f"ssh:{'a' * 1000}",
        "://",
    ],
)
def test_what_is_no_rp_id_is_refused(typed):
    with pytest.raises(UsageError) as failure:
        rp_ids.parse(typed)
    assert failure.value.message.endswith("is not an RP id")
    assert len(failure.value.message) < 400


@given(st.text(max_size=40) | st.from_regex(r"[a-zA-Zäß:/@.0-9-]{1,30}", fullmatch=True))
def test_any_text_is_an_rp_id_in_its_only_form_or_refused(text):
    try:
        rp_id = rp_ids.parse(text)
    except UsageError:
        return
    assert rp_ids.parse(rp_id) == rp_id
    assert ":" in rp_id or (rp_id.isascii() and rp_id == rp_id.lower())
