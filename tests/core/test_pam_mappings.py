"""Mapping files that pamu2fcfg wrote, lines of pam.d as people write them, and worse."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import openssh_keys, pam_mappings, public_keys
from keyctl.core.pam_mappings import Broken, Module

FOLDER = Path(__file__).parents[1] / "vectors" / "local"


def text(name: str) -> str:
    return (FOLDER / "pam" / name).read_text()


def test_two_keys_of_one_person_in_one_line():
    mappings = pam_mappings.read(text("u2f_keys"))
    assert (mappings.broken, mappings.passed_over) == ((), ())
    daily, spare = mappings.credentials
    assert (daily.user, daily.line, spare.user, spare.line) == ("kim", 1, "kim", 1)
    assert daily.credential_id != spare.credential_id
    handle, key, *_ = text("u2f_keys").removeprefix("kim:").split(":")[1].split(",")
    assert spare.credential_id == base64.b64decode(handle)
    assert spare.public_key == public_keys.es256(base64.b64decode(key))
    assert not daily.verify_required
    assert not daily.old_format


def test_options_and_passkeys():
    verified, untouched, resident = pam_mappings.read(text("others")).credentials
    assert (verified.user, verified.verify_required) == ("verified", True)
    assert (untouched.user, untouched.verify_required) == ("untouched", False)
    assert (resident.user, resident.credential_id) == ("resident", None)
    assert {public_keys.algorithm(entry.public_key) for entry in (verified, untouched, resident)} == {-7}
    assert [entry.line for entry in (verified, untouched, resident)] == [1, 2, 3]


def test_built_in_verification_is_verification():
    assert read_one(text("others").replace("+pin", "+verification").splitlines()[0]).verify_required


def test_format_of_u2f():
    entry = read_one(text("old_format"))
    assert entry.old_format
    assert len(entry.credential_id) == 64
    key = text("old_format").strip().split(",")[1]
    assert entry.public_key == public_keys.es256(bytes.fromhex(key))


def test_ed25519():
    """pamu2fcfg takes it since version 1.2; the key itself is from ssh-keygen."""
    key = openssh_keys.read((FOLDER / "ssh" / "id_ed25519_sk").read_bytes())
    fields = [base64.b64encode(octets).decode() for octets in (key.handle.credential_id, key.public_key[-32:])]
    entry = read_one(f"kim:{fields[0]},{fields[1]},eddsa,+presence")
    assert (entry.credential_id, entry.public_key) == (key.handle.credential_id, key.public_key)


def test_rsa_has_no_key_that_could_be_checked():
    assert read_one(f"kim:AAAA,{base64.b64encode(bytes(260)).decode()},rs256,").public_key is None


@pytest.mark.parametrize("change", [str.strip, lambda line: line.replace("==", ""), lambda line: f"{line}\r"])
def test_paddings_and_line_ends_do_no_harm(change):
    assert pam_mappings.read(change(text("u2f_keys"))).credentials == pam_mappings.read(text("u2f_keys")).credentials


def test_both_alphabets_of_base64_are_taken():
    lines = []
    for line in text("others").splitlines():
        handle, key, *rest = line.split(",")
        lines.append(",".join([*(field.replace("+", "-").replace("/", "_") for field in (handle, key)), *rest]))
    assert "\n".join(lines) != text("others").strip()
    assert pam_mappings.read("\n".join(lines)) == pam_mappings.read(text("others"))


def test_comments_and_empty_lines_are_passed_over():
    mappings = pam_mappings.read("# made by pamu2fcfg\n\n   \n" + text("u2f_keys"))
    assert [entry.line for entry in mappings.credentials] == [4, 4]
    assert mappings.broken == ()


def test_what_is_broken_is_told_with_its_line_and_the_rest_is_used():
    good = text("u2f_keys").strip()
    lines = [
        good,
        "robin",
        "sam:",
        "ash:notbase64!,AAAA,es256,+presence",
        "lee:AAAA",
        "max:AAAA,AAAA,es256,+presence:" + good.removeprefix("kim:"),
        "pat:AAAA,AAAA,es512,+presence",
        f"jo:{'A' * 4000},AAAA,es256,",
        "al:AAAA,zz",
    ]
    mappings = pam_mappings.read("\n".join(lines))
    assert [(entry.user, entry.line) for entry in mappings.credentials] == [("kim", 1)] * 2 + [("max", 6)] * 2
    assert mappings.broken == (
        Broken(2, "names no credential"),
        Broken(3, "names no credential"),
        Broken(4, "is not base64 where it has to be"),
        Broken(5, "has a credential without a public key"),
        Broken(6, "has a credential whose public key is wrong"),
        Broken(7, "has a credential of an unknown type"),
        Broken(8, "has a key handle of 3000 bytes"),
        Broken(9, "has a credential whose public key is wrong"),
    )


def test_only_the_last_line_of_a_user_counts():
    """So does pam_u2f: a second key has to be added to the line of the first."""
    first, second = text("u2f_keys").strip().removeprefix("kim:").split(":")
    mappings = pam_mappings.read(f"kim:{first}\nrobin:{first}\nkim:{second}\n")
    assert [(entry.user, entry.line) for entry in mappings.credentials] == [("robin", 2), ("kim", 3)]
    assert mappings.passed_over == (1,)


@given(st.text())
def test_any_text_is_read(anything):
    mappings = pam_mappings.read(anything)
    assert all(0 < broken.line <= anything.count("\n") + 1 for broken in mappings.broken)
    pam_mappings.modules(anything)
    pam_mappings.settings(anything)


@given(st.data())
def test_any_damage_leaves_credentials_or_says_where(data):
    good = text("others")
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:at] + data.draw(st.text(max_size=3)) + good[at + data.draw(st.integers(0, 40)) :]
    mappings = pam_mappings.read(damaged)
    assert all(entry.credential_id is None or entry.credential_id for entry in mappings.credentials)


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("auth sufficient pam_u2f.so", Module()),
        (
            "auth required pam_u2f.so cue origin=pam://office appid=pam://old",
            Module(origin="pam://office", appid="pam://old"),
        ),
        ("-auth required /lib/security/pam_u2f.so authfile=/etc/u2f_mappings", Module(authfile="/etc/u2f_mappings")),
        (
            "auth [success=1 default=ignore] pam_u2f.so authfile=/etc/u2f/%u expand",
            Module(authfile="/etc/u2f/%u", expand=True),
        ),
        ("auth required pam_u2f.so [cue_prompt=Touch \\[it\\] now] [origin=pam://a b]", Module(origin="pam://a b")),
        ("auth required pam_u2f.so \\\n   origin=pam://long # a comment origin=pam://no", Module(origin="pam://long")),
        ("auth\trequired\tpam_u2f.so\torigin=pam://first\torigin=pam://last", Module(origin="pam://last")),
        ("auth required pam_u2f.so origin= authfile=", Module()),
    ],
)
def test_calls_in_pam_d(line, module):
    assert pam_mappings.modules(f"# a comment\n{line}\n@include common-auth\n") == (module,)


@pytest.mark.parametrize(
    "line",
    [
        "#auth required pam_u2f.so",
        "auth required pam_unix.so",
        "auth required pam_exec.so_pam_u2f.so_",
        "pam_u2f.so",
        "",
    ],
)
def test_other_lines_of_pam_d(line):
    assert pam_mappings.modules(line) == ()


def test_settings_of_its_own_file():
    given = "# all of them\norigin = pam://office # here\n authfile=/etc/u2f\nexpand\n"
    assert pam_mappings.settings(given) == Module(origin="pam://office", authfile="/etc/u2f", expand=True)


def read_one(line: str) -> pam_mappings.Credential:
    mappings = pam_mappings.read(line)
    assert mappings.broken == ()
    (entry,) = mappings.credentials
    return entry


@pytest.mark.parametrize("rest", ["[ " * 500_000, "[ " * 500_000 + "\\", "[\\" * 300_000])
def test_brackets_that_are_never_closed_take_no_time(rest):
    assert pam_mappings.modules(f"auth required {rest}") == ()


def test_a_bracket_that_is_not_closed_goes_on_to_the_end():
    [module] = pam_mappings.modules("auth required pam_u2f.so [origin=pam://the door")
    assert module.origin == "pam://the door"


def test_a_user_whose_name_is_longer_than_any_is_none():
    mappings = pam_mappings.read("k" * 1001 + ":*,AAAA,rs256,\n")
    assert mappings.credentials == ()
    assert [(one.line, one.reason) for one in mappings.broken] == [(1, "is for a user with a name of 1001 characters")]
