"""Which advisories concern a key."""

import pytest

from keyctl.core import catalogue
from keyctl.core.advisories import AdvisoryLevel, advisories_for

YK5 = "YubiKey 5 Series with NFC"


def results(model=None, product=None, firmware=None, generation=None):
    found = advisories_for(model=model, product=product, firmware=firmware, generation=generation)
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
    assert results(product="Titan Security Key")["CVE-2021-3011"] == "affected"
    assert results(model="Google Titan Security Key v2") == {}


def test_a_firmware_that_is_no_version_counts_as_not_known():
    assert results(YK5, firmware="latest; rm -rf")["YSA-2024-03"] == "unknown"


def test_the_worst_comes_first():
    levels = [a.level for a in advisories_for(model=YK5, product=None, firmware="5.4.3", generation=None)]
    assert levels == sorted(levels, key=list(AdvisoryLevel).index, reverse=True)
    assert len(levels) == 3


def test_every_known_model_can_be_judged():
    for facts in catalogue.load("aaguids.json")["aaguids"].values():
        advisories_for(model=facts["name"], product=None, firmware=None, generation=facts.get("metadata_firmware"))


def test_an_aaguid_of_zeros_says_nothing():
    assert catalogue.aaguid_text(bytes(16)) is None
    assert catalogue.model_name(bytes(16)) is None


def test_a_known_aaguid_has_a_model_and_a_generation():
    aaguid = bytes.fromhex("2fc0579f811347eab116bb5a8db9202a")
    assert catalogue.model_name(aaguid) == "YubiKey 5 Series with NFC"
    assert catalogue.metadata_firmware(aaguid) == "5.4.2"
