"""Which advisories concern a key."""

import pytest

from keyctl.core import catalogue
from keyctl.core.advisories import AdvisoryLevel, Identity, advisories_for, matches_for

YK5 = "YubiKey 5 Series with NFC"


def results(model=None, product=None, **facts):
    found = advisories_for(Identity(model=model, product=product, **facts))
    return {advisory.id: advisory.result for advisory in found}


@pytest.mark.parametrize(
    ("model", "firmware", "affected"),
    [
        (YK5, "5.6.9", True),
        (YK5, "5.7.0", False),
        ("YubiKey 5 FIPS Series with NFC", "5.7.1", True),
        ("YubiKey 5 FIPS Series with NFC", "5.7.2", False),
        ("YubiKey Bio Series - FIDO Edition", "5.7.1", True),
        ("YubiKey Bio Series - FIDO Edition", "5.7.2", False),
        ("Security Key NFC by Yubico", "5.4.3", True),
        ("Security Key Series with NFC (Consumer Profile)", "5.8.0", False),
        ("uTrust FIDO2 Security Key", "1.0.0", False),
    ],
)
def test_eucleak_is_decided_by_model_and_firmware(model, firmware, affected):
    assert ("YSA-2024-03" in results(model, firmware=firmware)) is affected


def test_a_generation_decides_only_where_all_of_it_is_on_one_side():
    assert results(YK5, generation="5.4.2")["YSA-2024-03"] == "affected"
    assert "YSA-2024-03" not in results(YK5, generation="5.7.4")
    assert results("YubiKey 5 FIPS Series", generation="5.7.4")["YSA-2024-03"] == "unknown"
    assert results(YK5)["YSA-2024-03"] == "unknown"


def test_a_lower_limit_leaves_older_firmware_out():
    assert "YSA-2025-02" not in results(YK5, firmware="5.2.7")
    assert results(YK5, firmware="5.4.1")["YSA-2025-02"] == "affected"
    assert "YSA-2025-02" not in results(YK5, firmware="5.7.4")
    assert results(YK5, generation="5.4.3")["YSA-2025-02"] == "unknown"


def test_the_product_counts_where_the_model_is_not_known():
    assert results(product="Google Titan Security Key", vendor_id="18d1")["CVE-2021-3011"] == "affected"
    assert results(model="Google Titan Security Key v2", aaguid="42b4fb4a-2866-43b2-9bf7-6c6669c2e5d3") == {}


def test_a_firmware_that_is_no_version_counts_as_not_known():
    assert results(YK5, firmware="latest; rm -rf")["YSA-2024-03"] == "unknown"


def test_the_worst_comes_first():
    levels = [a.level for a in advisories_for(Identity(model=YK5, firmware="5.4.3"))]
    assert levels == sorted(levels, key=list(AdvisoryLevel).index, reverse=True)
    assert len(levels) == 3


def test_every_known_model_can_be_judged():
    for aaguid, facts in catalogue.load("aaguids.json")["aaguids"].items():
        found = advisories_for(Identity(model=facts["name"], aaguid=aaguid, generation=facts.get("metadata_firmware")))
        assert len({advisory.id for advisory in found}) == len(found)


def test_an_aaguid_of_zeros_says_nothing():
    assert catalogue.aaguid_text(bytes(16)) is None
    assert catalogue.model_name(bytes(16)) is None


def test_a_known_aaguid_has_a_model_and_a_generation():
    aaguid = bytes.fromhex("2fc0579f811347eab116bb5a8db9202a")
    assert catalogue.model_name(aaguid) == "YubiKey 5 Series with NFC"
    assert catalogue.metadata_firmware(aaguid) == "5.4.2"


@pytest.mark.parametrize(
    ("advisory", "facts", "result"),
    [
        (
            "YSA-2019-02",
            {"product": "Yubico Yubikey 4 OTP+U2F+CCID", "vendor_id": "1050", "firmware": "4.4.2"},
            "affected",
        ),
        ("YSA-2019-02", {"product": "Yubico Yubikey 4 OTP+U2F+CCID", "vendor_id": "1050", "firmware": "4.3.5"}, None),
        ("YSA-2019-02", {"product": "Yubico Yubikey 4 OTP+U2F+CCID", "vendor_id": "1050", "firmware": "4.4.5"}, None),
        (
            "CVE-2021-3011",
            {"product": "Yubico Yubikey NEO OTP+U2F+CCID", "vendor_id": "1050", "firmware": "3.4.9"},
            "affected",
        ),
        ("CVE-2021-3011", {"product": "FT K13", "vendor_id": "096e"}, "affected"),
        ("CVE-2021-3011", {"product": "FS ePass FIDO", "vendor_id": "096e"}, "unknown"),
        (
            "CVE-2021-3011",
            {"model": "Feitian ePass FIDO2 Authenticator", "aaguid": "833b721a-ff5f-4d00-bb2e-bdda3ec01e29"},
            None,
        ),
        ("CVE-2020-27208", {"model": "Somu Secp256R1 FIDO2 CTAP2 Authenticator"}, "affected"),
        ("CVE-2020-27208", {"aaguid": "c39efba6-fcf4-4c3e-828b-fc4a6115a0ff", "vendor_id": "20a0"}, "affected"),
        ("CVE-2020-27208", {"product": "Nitrokey Nitrokey FIDO2 2.4.0", "vendor_id": "20a0"}, "affected"),
        ("CVE-2020-27208", {"product": "Nitrokey Nitrokey 3", "vendor_id": "20a0"}, None),
        ("CVE-2020-27208", {"model": "Solo Secp256R1 FIDO2 CTAP2 Authenticator", "firmware": "4.0.0"}, "affected"),
        ("CVE-2020-27208", {"model": "Solo Secp256R1 FIDO2 CTAP2 Authenticator", "firmware": "4.1.5"}, None),
        (
            "CVE-2020-27208",
            {"product": "SoloKeys Solo 2 Security Key", "vendor_id": "1209", "product_id": "5070"},
            None,
        ),
        (
            "SOLO-DOWNGRADE",
            {"product": "SoloKeys Solo", "vendor_id": "0483", "product_id": "a2ca", "firmware": "3.0.1"},
            "affected",
        ),
        ("SOLO-DOWNGRADE", {"model": "Solo Secp256R1 FIDO2 CTAP2 Authenticator", "firmware": "3.1.0"}, None),
        ("SOLO-DOWNGRADE", {"model": "Solo Secp256R1 FIDO2 CTAP2 Authenticator"}, "unknown"),
        ("RP2350-PIN-LIMIT", {"aaguid": "2479c7bf-6b30-5683-9ec8-0e8171a918b7"}, "affected"),
        ("RP2350-PIN-LIMIT", {"aaguid": "89fb94b7-06c9-3673-9b7e-30526d968145"}, "unknown"),
    ],
)
def test_each_advisory_finds_its_products(advisory, facts, result):
    assert results(**facts).get(advisory) == result


def test_a_name_of_another_vendor_is_not_believed():
    """The same product name, with USB numbers that are somebody else's, or with none."""
    for facts in ({"vendor_id": "1234"}, {}, {"vendor_id": "1050", "model": "uTrust FIDO2 Security Key"}):
        assert results(product="Yubico Yubikey NEO", **facts) == {}


def test_a_plain_counter_of_another_vendor_is_no_version():
    assert results(model="Solo Secp256R1 FIDO2 CTAP2 Authenticator", firmware="262144")["SOLO-DOWNGRADE"] == "unknown"


CONTENT = {
    "vendors": {"acme": {"usb": ["0001"], "model": "^Acme", "since": "2030"}},
    "advisories": [
        {
            "id": "ACME-1",
            "cve": None,
            "level": "high",
            "effect": "it melts",
            "action": "cool it",
            "url": None,
            "published": "2030-01-01",
            "products": [{"vendor": "acme", "model": "^Acme", "before": "2.0"}],
        }
    ],
    "signature": "later",
}


def test_a_file_with_unknown_fields_is_understood_as_far_as_it_goes():
    [match] = matches_for(Identity(model="Acme One", firmware="1.9"), CONTENT)
    assert (match.advisory.id, match.advisory.result) == ("ACME-1", "affected")


def test_a_condition_that_is_not_understood_leaves_doubt_and_no_claim():
    [entry] = CONTENT["advisories"]
    [product] = entry["products"]
    content = CONTENT | {"advisories": [entry | {"products": [product | {"batch": "2029"}]}]}
    [match] = matches_for(Identity(model="Acme One", firmware="1.9"), content)
    assert match.advisory.result == "unknown"
    assert matches_for(Identity(model="Acme One", firmware="2.0"), content) == ()


def test_the_digest_changes_with_the_advisory_only():
    [entry] = CONTENT["advisories"]
    identity = Identity(model="Acme One", firmware="1.9")
    [before] = matches_for(identity, CONTENT)
    [same] = matches_for(identity, CONTENT | {"advisories": [dict(reversed(entry.items()))]})
    [changed] = matches_for(identity, CONTENT | {"advisories": [entry | {"action": "bury it"}]})
    assert before.digest == same.digest != changed.digest


@pytest.mark.parametrize(
    ("facts", "unknown"),
    [
        ({"product": "YubiKey OTP+FIDO+CCID", "product_id": "0407", "firmware": "5.4.3"}, 3),
        ({"product": "Yubico YubiKey FIDO", "firmware": "5.7.1", "aaguid": "00000000-0000-0000-0000-0000000000aa"}, 3),
        ({"product": "Yubico YubiKey FIDO", "firmware": "5.2.7"}, 2),
        ({}, 3),
        ({"product": "Yubico YubiKey FIDO", "firmware": "5.7.4"}, 0),
        ({"product": "Yubico Yubikey 4 OTP+U2F+CCID", "firmware": "4.3.5"}, 0),
    ],
)
def test_a_yubikey_of_no_known_model_is_not_called_fine(facts, unknown):
    found = results(vendor_id="1050", **facts)
    assert list(found.values()) == ["unknown"] * unknown
