"""The catalogue of sites, and what is found in it."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

import keyctl
from keyctl.core import sites
from keyctl.core.sites import UrlKind

CATALOGUE = json.loads((Path(keyctl.__file__).parent / "data" / "services.json").read_text("utf-8"))
ENTRIES = CATALOGUE["services"]
TEXTS = {"name", "documentation", "settings", "recovery", "passkey_sign_in", "second_factor"}


def test_the_catalogue_names_its_sources():
    for source in ("2factorauth", "CC BY 4.0", "MIT", "keyfleet", "Apache-2.0"):
        assert source in CATALOGUE["about"]


@pytest.mark.parametrize("rp_id", ENTRIES)
def test_every_entry_is_well_formed(rp_id):
    entry = ENTRIES[rp_id]
    assert entry.keys() <= TEXTS | {"also", "other_methods", "max_keys", "min_keys"}
    assert all(isinstance(entry[field], str) and entry[field] for field in TEXTS & entry.keys())
    assert entry["name"].isprintable()
    for domain in (rp_id, *entry.get("also", ())):
        assert domain == domain.lower()
        assert domain.isascii()
        assert "." in domain.strip(".")
        assert ":" not in domain
    for field in {"documentation", "settings", "recovery"} & entry.keys():
        assert entry[field].startswith("https://")
        assert entry[field].isprintable()
        assert " " not in entry[field]
    for field in {"max_keys", "min_keys"} & entry.keys():
        assert isinstance(entry[field], int)
        assert entry[field] > 0
    site = sites.find(rp_id)
    assert site is not None
    assert (site.rp_id, site.name, site.max_keys) == (rp_id, entry["name"], entry.get("max_keys"))
    assert sites.find_by_hash(sha256(rp_id.encode()).digest()) == rp_id


@pytest.mark.parametrize(
    ("rp_id", "listed_under"),
    [
        ("github.com", "github.com"),
        ("GitHub.com", "github.com"),
        ("login.github.com", "github.com"),
        ("a.b.c.github.com", "github.com"),
        ("amazon.de", "amazon.com"),
        ("www.amazon.de", "amazon.com"),
        # An entry of its own, although its parent domain has one too.
        ("aws.amazon.com", "aws.amazon.com"),
        # An entry of its own, although another names it.
        ("youtube.com", "youtube.com"),
        # Several entries name it.
        ("nordaccount.com", None),
        ("notgithub.com", None),
        ("github.com.evil.example", None),
        ("com", None),
        ("", None),
        ("...", None),
        ("ssh:", None),
        ("ssh:github.com", None),
        ("pam://desk.github.com", None),
        ("io.systemd.cryptsetup", None),
        ("\ud800.example", None),
    ],
)
def test_a_site_is_found_by_its_domain_a_parent_domain_or_another_of_its_domains(rp_id, listed_under):
    site = sites.find(rp_id)
    assert (site.rp_id if site else None) == listed_under


@pytest.mark.parametrize(
    ("rp_id", "canonical"),
    [
        ("github.com", "github.com"),
        ("GitHub.com", "github.com"),
        ("login.github.com", "login.github.com"),
        ("amazon.de", "amazon.com"),
        ("amazon.com", "amazon.com"),
        ("www.amazon.de", "www.amazon.de"),
        ("aws.amazon.com", "aws.amazon.com"),
        ("youtube.com", "google.com"),
        # Two entries name gmail.com, so they share their accounts.
        ("gmail.com", "google.com"),
        ("mail.google.com", "google.com"),
        ("unheard-of.example", "unheard-of.example"),
        ("ssh:Work", "ssh:Work"),
    ],
)
def test_only_domains_of_the_same_accounts_are_one_site(rp_id, canonical):
    assert sites.canonical(rp_id) == canonical


def test_what_is_canonical_stays_so_and_every_other_domain_leads_where_its_entry_leads():
    for rp_id, entry in ENTRIES.items():
        heads = {sites.canonical(domain) for domain in (rp_id, *entry.get("also", ()))}
        assert len(heads) == 1
        assert {sites.canonical(head) for head in heads} == heads


@pytest.mark.parametrize(
    ("name", "listed_under"),
    [
        ("GitHub", ["github.com"]),
        ("gitHUB", ["github.com"]),
        ("github.com", ["github.com"]),
        ("GITHUB.COM", ["github.com"]),
        ("amazon.de", ["amazon.com"]),
        ("nordaccount.com", ["nordlocker.com", "nordpass.com", "nordvpn.com"]),
        ("Git", []),
        ("", []),
    ],
)
def test_a_site_is_found_by_its_whole_name_or_a_domain(name, listed_under):
    assert [site.rp_id for site in sites.find_by_name(name)] == listed_under


def test_the_link_leads_to_the_settings_and_else_to_the_documentation():
    github, adobe, airasia = (sites.find(domain) for domain in ("github.com", "adobe.com", "airasia.com"))
    assert github is not None
    assert adobe is not None
    assert airasia is not None
    assert github.link == (github.settings_url, UrlKind.SETTINGS)
    assert adobe.link == (adobe.documentation_url, UrlKind.DOCUMENTATION)
    assert adobe.settings_url is None
    assert airasia.link is None


def test_a_hash_of_no_listed_domain_leads_nowhere():
    assert sites.find_by_hash(sha256(b"unheard-of.example").digest()) is None
    assert sites.find_by_hash(b"") is None
