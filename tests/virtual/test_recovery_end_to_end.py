"""From pairing to promotion: two virtual keys, a site and a browser that knows the draft extension "recovery"."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from fido2.ctap import CtapError
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    RegistrationResponse,
)

from keyctl.virtual import keys
from tests.relying_party import (
    Ceremony,
    RefusedError,
    RelyingParty,
    authentication_response,
    client_data,
    registration_response,
)
from tests.virtual.recovery_desk import EXPORT, GET_ALLOWED_ALGS, IMPORT, REMOVE, Desk
from tests.wire_watch import CONFIG, RECOVERY, WatchedDevice

if TYPE_CHECKING:
    from fido2.webauthn import AuthenticationResponse

ERR = CtapError.ERR
SITE = "example.com"


class UnlistedError(Exception):
    """The site asks for a recovery credential that this account's key never handed out."""


@dataclass
class Browser:
    """The client: it keeps what recovery credentials each account got, and answers for no others."""

    site: RelyingParty
    #: (site, user) -> recovery credential ids.
    handed_out: dict[tuple[str, bytes], set[bytes]] = field(default_factory=dict)
    touches: int = 0

    def create(self, key: Desk, ceremony: Ceremony, user_id: bytes | None = None) -> RegistrationResponse:
        """As the user whom the site names, or whom the person thinks that it is about."""
        user = ceremony.user_id if user_id is None else user_id
        if ceremony.kind == "recover":
            self._check_listed(user, ceremony)
        data = client_data(ceremony, self.site.origin)
        made = key.make(dict(ceremony.extension), self.site.rp_id, user_id=user, client_data_hash=data.hash)
        self.touches += 1
        return registration_response(data, made)

    def get(self, key: Desk, ceremony: Ceremony, credential_id: bytes) -> AuthenticationResponse:
        data = client_data(ceremony, self.site.origin)
        answer = key.assertion(credential_id, dict(ceremony.extension), self.site.rp_id, client_data_hash=data.hash)
        self.touches += 1
        output = (answer.auth_data.extensions or {}).get("recovery", {})
        made = {AttestedCredentialData(content).credential_id for content in output.get("creds", [])}
        self.handed_out.setdefault((self.site.rp_id, ceremony.user_id), set()).update(made)
        return authentication_response(data, answer)

    def _check_listed(self, user_id: bytes, ceremony: Ceremony) -> None:
        own = self.handed_out.get((self.site.rp_id, user_id), set())
        asked = {descriptor["id"] for descriptor in ceremony.extension["allowCredentials"]}
        if not asked <= own:
            raise UnlistedError


@pytest.fixture
def site():
    return RelyingParty(SITE)


@pytest.fixture
def browser(site):
    return Browser(site)


@pytest.fixture
def new_key(make_bench):
    def new(name: str) -> Desk:
        return Desk(make_bench("draft", name=name))

    return new


@pytest.fixture
def primary(new_key):
    return new_key("primary")


@pytest.fixture
def backup(new_key):
    return new_key("backup")


def pair(primary: Desk, backup: Desk) -> None:
    allowed = primary.send(GET_ALLOWED_ALGS)[2]
    primary.do(IMPORT, {3: backup.do(EXPORT, {2: allowed})[3]})


def register(browser: Browser, key: Desk, name: str) -> tuple[bytes, bool]:
    """The credential, and whether the site wants recovery credentials for it."""
    ceremony = browser.site.begin_registration(name)
    response = browser.create(key, ceremony)
    return response.raw_id, browser.site.finish_registration(ceremony, response)


def log_in(browser: Browser, key: Desk, name: str, credential_id: bytes) -> bool:
    ceremony = browser.site.begin_login(name)
    return browser.site.finish_login(ceremony, browser.get(key, ceremony, credential_id))


def store(browser: Browser, key: Desk, name: str, credential_id: bytes) -> int:
    ceremony = browser.site.begin_storing(name, credential_id)
    return browser.site.finish_storing(ceremony, browser.get(key, ceremony, credential_id))


def recover(browser: Browser, key: Desk, name: str) -> bytes:
    ceremony = browser.site.begin_recovery(name)
    response = browser.create(key, ceremony)
    browser.site.finish_recovery(ceremony, response)
    return response.raw_id


@pytest.fixture
def enrolled(browser, primary, backup):
    """An account whose key has a backup, known to the site; its credential."""
    pair(primary, backup)
    credential_id, _ = register(browser, primary, "kim")
    store(browser, primary, "kim", credential_id)
    return credential_id


def test_the_five_steps(folder, site, browser, primary, backup):
    """Pair, store, lose, recover, promote."""
    seen: list[int] = []
    for key in (primary, backup):
        key.bench.device = WatchedDevice(key.bench.device, seen)
        key.begin()
    # The account is older than the pairing.
    lost, wanted = register(browser, primary, "kim")
    assert not wanted
    assert not log_in(browser, primary, "kim", lost)

    # One: the keys are paired; the backup goes into the safe.
    pair(primary, backup)
    keys.unplug(folder, "backup")

    # Two: at the next login the site sees the new state and stores the recovery credential, for one touch more.
    assert log_in(browser, primary, "kim", lost)
    touches = browser.touches
    assert store(browser, primary, "kim", lost) == 1
    assert browser.touches == touches + 1
    assert not log_in(browser, primary, "kim", lost)
    assert site.account("kim").notices == ("1 recovery credentials stored",)

    # Three: the primary is lost.
    keys.remove(folder, "primary")

    # Four: the backup registers a new credential, signed by the key that was derived.
    keys.plug(folder, "backup")
    backup.bench.open()
    backup.bench.device = WatchedDevice(backup.bench.device, seen)
    backup.begin()
    ceremony = site.begin_recovery("kim")
    response = browser.create(backup, ceremony)
    assert response.response.attestation_object.auth_data.extensions["recovery"]["action"] == "recover"

    # Five: the site revokes the lost key and promotes the backup, in one go.
    before = site.account("kim")
    assert set(before.credentials) == {lost}
    assert not site.finish_recovery(ceremony, response)
    promoted = site.account("kim")
    assert set(promoted.credentials) == {response.raw_id}
    assert promoted.recovery == {}
    assert promoted.notices[-1] == "a lost key was replaced by its backup"
    assert not log_in(browser, backup, "kim", response.raw_id)

    assert RECOVERY in seen
    assert CONFIG not in seen


def test_the_promoted_backup_gets_a_backup_of_its_own(site, browser, primary, backup, new_key, enrolled):
    """It had one when it was promoted, and the site asks for its credentials at once."""
    pair(backup, new_key("third"))
    ceremony = site.begin_recovery("kim")
    response = browser.create(backup, ceremony)
    assert site.finish_recovery(ceremony, response)
    assert store(browser, backup, "kim", response.raw_id) == 1
    assert not log_in(browser, backup, "kim", response.raw_id)
    # The lost key opens nothing any more.
    ceremony = site.begin_login("kim")
    with pytest.raises(RefusedError):
        site.finish_login(ceremony, browser.get(primary, ceremony, enrolled))


def test_only_the_lost_key_is_revoked(site, browser, primary, backup, new_key, enrolled):
    other = new_key("other")
    pair(other, new_key("others-backup"))
    other_id, wanted = register(browser, other, "kim")
    assert wanted
    store(browser, other, "kim", other_id)
    new_id = recover(browser, backup, "kim")
    account = site.account("kim")
    assert set(account.credentials) == {other_id, new_id}
    assert set(account.recovery) == {other_id}
    assert enrolled not in account.credentials
    assert primary.listed()[1] == 1


def test_the_site_asks_again_when_the_seeds_change(browser, primary, backup, new_key, enrolled):
    assert not log_in(browser, primary, "kim", enrolled)
    pair(primary, new_key("third"))
    assert log_in(browser, primary, "kim", enrolled)
    assert store(browser, primary, "kim", enrolled) == 2
    assert not log_in(browser, primary, "kim", enrolled)
    primary.do(REMOVE, {3: {0xFF: backup.export()[0xFF]}})
    assert log_in(browser, primary, "kim", enrolled)
    assert store(browser, primary, "kim", enrolled) == 1
    # The removed backup recovers nothing any more.
    with pytest.raises(CtapError, match="NO_CREDENTIALS"):
        recover(browser, backup, "kim")


def test_a_state_lower_than_the_stored_one_is_a_reset(site, browser, primary, enrolled):
    """A credential that survived it would hide later seeds from a site that waits for a higher number."""
    account = site.account("kim")
    higher = {id_: replace(kept, state=kept.state + 5) for id_, kept in account.recovery.items()}
    site._keep(replace(account, recovery=higher))
    assert log_in(browser, primary, "kim", enrolled)
    assert store(browser, primary, "kim", enrolled) == 1
    assert not log_in(browser, primary, "kim", enrolled)


def test_four_backups_any_of_which_recovers(site, browser, primary, new_key):
    backups = [new_key(f"backup-{number}") for number in range(4)]
    for backup in backups:
        pair(primary, backup)
    credential_id, wanted = register(browser, primary, "kim")
    assert wanted
    assert store(browser, primary, "kim", credential_id) == 4
    new_id = recover(browser, backups[2], "kim")
    assert set(site.account("kim").credentials) == {new_id}


# Attacks.


def test_a_key_that_is_no_backup_recovers_nothing(browser, new_key, enrolled):
    assert enrolled
    stranger = new_key("stranger")
    stranger.export()
    with pytest.raises(CtapError, match="NO_CREDENTIALS"):
        recover(browser, stranger, "kim")


def test_another_accounts_recovery_credential_replaces_nothing(site, browser, primary, backup, enrolled):
    """Both accounts have the same backup key; the answer of one ceremony is swapped for that of the other."""
    lee, _ = register(browser, primary, "lee")
    store(browser, primary, "lee", lee)
    for_kim, for_lee = site.begin_recovery("kim"), site.begin_recovery("lee")
    # A key answers the right challenge with the wrong account's ids, as a client that was tricked has it do.
    tricked = replace(for_kim, extension=for_lee.extension)
    response = browser.create(backup, tricked, site.account("lee").user_id)
    with pytest.raises(RefusedError, match="not asked for"):
        site.finish_recovery(for_kim, response)
    assert set(site.account("kim").credentials) == {enrolled}
    assert set(site.account("lee").credentials) == {lee}


def test_a_site_cannot_link_accounts_through_this_browser(site, browser, primary, backup, enrolled):
    """It asks for one account and lists another's ids (Wilson 2023): a signature would say that one person has both."""
    assert enrolled
    lee, _ = register(browser, primary, "lee")
    store(browser, primary, "lee", lee)
    linking = replace(site.begin_recovery("kim"), extension=site.begin_recovery("lee").extension)
    with pytest.raises(UnlistedError):
        browser.create(backup, linking)


def forged_response(site, browser, new_key, ceremony: Ceremony) -> RegistrationResponse:
    """An attacker's own backup key recovers with an id of its own; that id then stands in no list of the site."""
    attacker, accomplice = new_key("attacker"), new_key("accomplice")
    pair(accomplice, attacker)
    (own,) = accomplice.generated(accomplice.bench.make(site.rp_id).auth_data.credential_data.credential_id)
    descriptors = [{"type": "public-key", "id": own.credential_id}]
    asked = replace(ceremony, extension={"action": "recover", "allowCredentials": descriptors})
    browser.handed_out[site.rp_id, b"attacker"] = {own.credential_id}
    return browser.create(attacker, asked, b"attacker")


def test_a_recovery_credential_of_the_attackers_own_is_refused(site, browser, new_key, enrolled):
    ceremony = site.begin_recovery("kim")
    response = forged_response(site, browser, new_key, ceremony)
    with pytest.raises(RefusedError, match="not asked for"):
        site.finish_recovery(ceremony, response)
    assert set(site.account("kim").credentials) == {enrolled}


@pytest.mark.parametrize("signature", [None, b"", b"no signature", 5])
def test_a_recovery_signature_by_another_key_is_refused(site, browser, new_key, enrolled, signature):
    """The attacker names the account's own recovery credential, which no attestation keeps him from."""
    ceremony = site.begin_recovery("kim")
    response = forged_response(site, browser, new_key, ceremony)
    attestation = response.response.attestation_object
    data = attestation.auth_data
    output = data.extensions["recovery"] | {"credId": ceremony.allowed[0]}
    if signature is not None:
        output["sig"] = signature
    spliced = AuthenticatorData.create(
        data.rp_id_hash, data.flags, data.counter, data.credential_data, {"recovery": output}
    )
    forged = replace(
        response.response, attestation_object=AttestationObject.create(attestation.fmt, spliced, attestation.att_stmt)
    )
    answer = RegistrationResponse(raw_id=response.raw_id, response=forged)
    with pytest.raises(RefusedError, match="signature is wrong"):
        site.finish_recovery(ceremony, answer)
    assert set(site.account("kim").credentials) == {enrolled}


def test_a_registration_without_the_recovery_signature_replaces_nothing(site, browser, new_key, enrolled):
    ceremony = site.begin_recovery("kim")
    plain = replace(ceremony, kind="register", extension={"action": "state"})
    with pytest.raises(RefusedError, match="did not recover"):
        site.finish_recovery(ceremony, browser.create(new_key("attacker"), plain))
    assert set(site.account("kim").credentials) == {enrolled}


def test_an_answer_is_good_once(site, browser, backup, enrolled):
    assert enrolled
    ceremony = site.begin_recovery("kim")
    response = browser.create(backup, ceremony)
    site.finish_recovery(ceremony, response)
    account = site.account("kim")
    with pytest.raises(RefusedError, match="ceremony"):
        site.finish_recovery(ceremony, response)
    assert site.account("kim") == account


def test_an_answer_is_good_for_its_own_ceremony_only(site, browser, backup, enrolled):
    first, second = site.begin_recovery("kim"), site.begin_recovery("kim")
    response = browser.create(backup, first)
    with pytest.raises(RefusedError, match="challenge"):
        site.finish_recovery(second, response)
    assert set(site.account("kim").credentials) == {enrolled}
    with pytest.raises(RefusedError, match="ceremony"):
        site.finish_registration(first, response)


def test_of_two_recoveries_at_once_one_wins(site, browser, backup, enrolled):
    assert enrolled
    first, second = site.begin_recovery("kim"), site.begin_recovery("kim")
    responses = [browser.create(backup, ceremony) for ceremony in (first, second)]
    site.finish_recovery(first, responses[0])
    with pytest.raises(RefusedError, match="any more"):
        site.finish_recovery(second, responses[1])
    assert set(site.account("kim").credentials) == {responses[0].raw_id}


def test_another_site_gets_nothing(browser, backup, enrolled):
    """Its page shows the ids that it fetched from the real one."""
    assert enrolled
    ceremony = browser.site.begin_recovery("kim")
    with pytest.raises(CtapError, match="NO_CREDENTIALS"):
        backup.make(dict(ceremony.extension), "examp1e.com", client_data_hash=bytes(32))


def test_without_recovery_credentials_there_is_no_recovery(site, browser, primary):
    register(browser, primary, "kim")
    with pytest.raises(RefusedError, match="no recovery credentials"):
        site.begin_recovery("kim")


def test_a_stolen_pin_and_ids_without_the_backup_are_worth_nothing(site, browser, primary, enrolled):
    """The primary made the recovery credentials and still cannot sign for one."""
    assert enrolled
    ceremony = site.begin_recovery("kim")
    with pytest.raises(CtapError, match="NO_CREDENTIALS"):
        browser.create(primary, ceremony)
    primary.export()
    with pytest.raises(CtapError, match="NO_CREDENTIALS"):
        browser.create(primary, site.begin_recovery("kim"))
