"""The header of a volume at which systemd-cryptenroll enrolled two keys, and JSON that is none."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import luks_tokens
from keyctl.core.local_files import LocalFileError

METADATA = (Path(__file__).parents[1] / "vectors" / "local" / "luks" / "volume.json").read_bytes()
UUID = "fc3017d0-807b-4871-88f9-e75e385f2e91"


def test_tokens_of_systemd_are_read():
    daily, spare = luks_tokens.read(METADATA).tokens
    credential = json.loads(METADATA)["tokens"]["0"]["fido2-credential"]
    assert daily.credential_id == base64.b64decode(credential)
    assert daily.rp_id == spare.rp_id == "io.systemd.cryptsetup"
    assert (daily.number, daily.keyslots) == ("0", ("1",))
    assert (daily.pin_required, daily.touch_required, daily.verification_required) == (True, True, False)
    assert (spare.pin_required, spare.keyslots) == (False, ("2",))


def test_tokens_of_others_are_passed_over():
    metadata = {"tokens": {"0": {"type": "systemd-tpm2"}, "1": {"type": None}, "2": [], "3": "systemd-fido2"}}
    assert luks_tokens.read(json.dumps(metadata).encode()) == luks_tokens.Tokens((), ())


def test_site_is_that_of_systemd_where_none_is_told():
    document = json.loads(METADATA)
    del document["tokens"]["0"]["fido2-rp"]
    assert luks_tokens.read(json.dumps(document).encode()).tokens[0].rp_id == "io.systemd.cryptsetup"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fido2-credential", None),
        ("fido2-credential", 5),
        ("fido2-credential", ""),
        ("fido2-credential", "no base64"),
        ("fido2-credential", "A" * 8000),
        ("fido2-rp", None),
        ("fido2-rp", ""),
        ("fido2-rp", ["x"]),
        ("fido2-rp", "\ud800"),
    ],
)
def test_broken_token_is_told_and_the_others_are_used(field, value):
    document = json.loads(METADATA)
    document["tokens"]["0"][field] = value
    tokens = luks_tokens.read(json.dumps(document).encode())
    assert [token.number for token in tokens.tokens] == ["1"]
    (reason,) = tokens.broken
    assert reason.startswith("has a token '0' that ")


@pytest.mark.parametrize("slots", [None, 5, "1", {"1": 1}, [1, None]])
def test_key_slots_are_texts_in_a_list(slots):
    document = json.loads(METADATA)
    document["tokens"]["0"]["keyslots"] = slots
    assert luks_tokens.read(json.dumps(document).encode()).tokens[0].keyslots == ()


@pytest.mark.parametrize(
    "metadata",
    [b"", b"\xff", b"[]", b"{}", b"null", b'{"tokens": []}', b"[" * 100_000, b'{"tokens": ' + b"9" * 5000 + b"}"],
)
def test_what_is_no_metadata_is_an_error(metadata):
    with pytest.raises(LocalFileError, match="metadata"):
        luks_tokens.read(metadata)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(field=st.sampled_from(sorted(json.loads(METADATA)["tokens"]["0"])), value=JSON)
def test_any_value_in_a_token_is_used_or_told(field, value):
    document = json.loads(METADATA)
    document["tokens"]["0"][field] = value
    tokens = luks_tokens.read(json.dumps(document).encode())
    assert "1" in {token.number for token in tokens.tokens}


@given(JSON)
def test_any_json_is_read_or_an_error(value):
    try:
        assert luks_tokens.read(json.dumps({"tokens": value}).encode()).tokens == ()
    except LocalFileError:
        return


def test_header_tells_uuid_and_label():
    first = bytearray(512)
    first[:8] = b"LUKS\xba\xbe\0\2"
    first[24:31] = b"backups"
    first[168:204] = UUID.encode()
    assert luks_tokens.header(bytes(first)) == luks_tokens.Header(UUID, "backups")
    first[168] = 0xFF
    assert luks_tokens.header(bytes(first)) == luks_tokens.Header(None, "backups")


@pytest.mark.parametrize("first", [b"", b"LUKS\xba\xbe", b"LUKS\xba\xbe\0\1" + bytes(500), bytes(512)])
def test_other_volumes_have_no_such_header(first):
    assert luks_tokens.header(first) is None


@given(st.binary(max_size=600))
def test_any_header_is_read(rest):
    header = luks_tokens.header(b"LUKS\xba\xbe\0\2" + rest)
    assert header is not None
