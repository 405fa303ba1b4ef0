"""From pairing to promotion: two virtual keys, a site and a browser that knows the draft extension "recovery"."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    AuthenticatorData,
    CollectedClientData,
    RegistrationResponse,
)

from keyctl.device.commands import Hid, describe
from keyctl.device.discover import Found
from keyctl.device.draft_client import DraftClient
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import DeclinedError, NotFoundError, UnreachableError
from keyctl.model import Transport
from keyctl.operations import pair_draft
from keyctl.operations.demo_browser import CANNOT_EXCLUDE, Browser, UnlistedError
from keyctl.operations.demo_site import Ceremony, RefusedError, Site
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from tests.virtual.recovery_desk import EXPORT, GET_ALLOWED_ALGS, IMPORT, REMOVE, Desk
from tests.wire_watch import CONFIG, RECOVERY, WatchedDevice

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "example.com"
TOUCHED = {"makeCredential", "getAssertion"}


@pytest.fixture
def site():
    return Site(SITE)


@pytest.fixture
def browser():
    return Browser()


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


def client(key: Desk, site: Site) -> DraftClient:
    return DraftClient(key.bench.device, key.bench.name, site.origin, key.bench.PIN)


def register(site: Site, browser: Browser, key: Desk, name: str) -> tuple[bytes, bool]:
    """The credential, and whether the site wants recovery credentials for it."""
    ceremony = site.begin_registration(name)
    response = browser.create(client(key, site), ceremony)
    return response.raw_id, site.finish_registration(ceremony, response)


def log_in(site: Site, browser: Browser, key: Desk, name: str) -> bool:
    ceremony = site.begin_login(name)
    return site.finish_login(ceremony, browser.get(client(key, site), ceremony))


def store(site: Site, browser: Browser, key: Desk, name: str, credential_id: bytes) -> int:
    ceremony = site.begin_storing(name, credential_id)
    return site.finish_storing(ceremony, browser.get(client(key, site), ceremony))


def recover(site: Site, browser: Browser, key: Desk, name: str) -> bytes:
    ceremony = site.begin_recovery(name)
    response = browser.create(client(key, site), ceremony)
    site.finish_recovery(ceremony, response)
    return response.raw_id


def asking(ceremony: Ceremony, extension: object, **more: Any) -> Ceremony:
    """The ceremony with another input of the extension."""
    return replace(ceremony, options=replace(ceremony.options, extensions={"recovery": extension}, **more))


def listing(*ids: bytes) -> dict[str, Any]:
    return {"action": "recover", "allowCredentials": [{"type": "public-key", "id": id_} for id_ in ids]}


@pytest.fixture
def enrolled(site, browser, primary, backup):
    """An account whose key has a backup, known to the site; its credential."""
    pair(primary, backup)
    credential_id, _ = register(site, browser, primary, "kim")
    store(site, browser, primary, "kim", credential_id)
    return credential_id


class Wire:
    """All that was sent to either key."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.sent: list[bytes] = []

    def around(self, key: Desk) -> None:
        key.bench.device = WatchedDevice(key.bench.device, self.seen, self.sent)
        key.begin()

    @contextlib.contextmanager
    def session(self, key: Desk) -> Iterator[Session]:
        """As keyctl opens it."""
        found = Found(transport=Transport.VIRTUAL, path=key.bench.name)
        device = WatchedDevice(VirtualDevice(key.bench.folder, key.bench.name), self.seen, self.sent)
        guard = GuardedDevice(device, found.selector, touch_s=5, lock_s=0, on_touch=lambda *_: None)
        with Session(found, guard, None, key.bench.folder) as opened:
            opened.use_pin(key.bench.PIN)
            yield opened

    @property
    def touches(self) -> int:
        return sum(describe(Hid.CBOR, message).name in TOUCHED for message in self.sent)


def test_the_five_steps(folder, site, browser, primary, backup):
    """Pair, store, lose, recover, promote."""
    wire = Wire()
    wire.around(primary)
    wire.around(backup)
    # The account is older than the pairing.
    lost, wanted = register(site, browser, primary, "kim")
    assert not wanted
    assert not log_in(site, browser, primary, "kim")

    # One: the keys are paired; the backup goes into the safe.
    with wire.session(backup) as opened:
        seed = pair_draft.export_seed(opened)
    with wire.session(primary) as opened:
        pair_draft.import_seed(opened, seed)
    with wire.session(backup) as opened:
        assert pair_draft.drill(opened, seed)
    keys.unplug(folder, "backup")

    # Two: at the next login the site sees the new state and stores the recovery credential, for one touch more.
    assert log_in(site, browser, primary, "kim")
    touches = wire.touches
    assert store(site, browser, primary, "kim", lost) == 1
    assert wire.touches == touches + 1
    assert not log_in(site, browser, primary, "kim")
    assert site.account("kim").notices == ("1 recovery credential stored",)

    # Three: the primary is lost.
    keys.remove(folder, "primary")

    # Four: the backup registers a new credential, signed by the key that was derived.
    keys.plug(folder, "backup")
    backup.bench.open()
    wire.around(backup)
    ceremony = site.begin_recovery("kim")
    response = browser.create(client(backup, site), ceremony)
    assert response.response.attestation_object.auth_data.extensions["recovery"]["action"] == "recover"

    # Five: the site revokes the lost key and promotes the backup, in one go.
    before = site.account("kim")
    assert set(before.credentials) == {lost}
    assert not site.finish_recovery(ceremony, response)
    promoted = site.account("kim")
    assert set(promoted.credentials) == {response.raw_id}
    assert promoted.recovery == {}
    assert promoted.notices[-1] == "a lost key was replaced by its backup"
    assert not log_in(site, browser, backup, "kim")

    assert RECOVERY in wire.seen
    assert CONFIG not in wire.seen


def test_the_promoted_backup_gets_a_backup_of_its_own(site, browser, primary, backup, new_key, enrolled):
    """It had one when it was promoted, and the site asks for its credentials at once."""
    pair(backup, new_key("third"))
    ceremony = site.begin_recovery("kim")
    response = browser.create(client(backup, site), ceremony)
    assert site.finish_recovery(ceremony, response)
    assert store(site, browser, backup, "kim", response.raw_id) == 1
    assert not log_in(site, browser, backup, "kim")
    # The lost key opens nothing any more: it is not asked, and its answer to a question of its own making is refused.
    with pytest.raises(NotFoundError):
        log_in(site, browser, primary, "kim")
    ceremony = site.begin_login("kim")
    descriptors = [replace(ceremony.options.allow_credentials[0], id=enrolled)]
    forged = replace(ceremony, options=replace(ceremony.options, allow_credentials=descriptors))
    answer = browser.get(client(primary, site), forged)
    with pytest.raises(RefusedError, match="Unknown credential"):
        site.finish_login(ceremony, answer)


def test_only_the_lost_key_is_revoked(site, browser, primary, backup, new_key, enrolled):
    other = new_key("other")
    pair(other, new_key("others-backup"))
    other_id, wanted = register(site, browser, other, "kim")
    assert wanted
    store(site, browser, other, "kim", other_id)
    new_id = recover(site, browser, backup, "kim")
    account = site.account("kim")
    assert set(account.credentials) == {other_id, new_id}
    assert set(account.recovery) == {other_id}
    assert enrolled not in account.credentials
    assert primary.listed()[1] == 1


def test_the_site_asks_again_when_the_seeds_change(site, browser, primary, backup, new_key, enrolled):
    assert not log_in(site, browser, primary, "kim")
    pair(primary, new_key("third"))
    assert log_in(site, browser, primary, "kim")
    assert store(site, browser, primary, "kim", enrolled) == 2
    assert not log_in(site, browser, primary, "kim")
    primary.do(REMOVE, {3: {0xFF: backup.export()[0xFF]}})
    assert log_in(site, browser, primary, "kim")
    assert store(site, browser, primary, "kim", enrolled) == 1
    # The removed backup recovers nothing any more.
    with pytest.raises(NotFoundError):
        recover(site, browser, backup, "kim")


def test_a_state_lower_than_the_stored_one_is_a_reset(site, browser, primary, enrolled):
    """A credential that survived it would hide later seeds from a site that waits for a higher number."""
    account = site.account("kim")
    higher = {id_: replace(kept, state=kept.state + 5) for id_, kept in account.recovery.items()}
    site._keep(replace(account, recovery=higher))
    assert log_in(site, browser, primary, "kim")
    assert store(site, browser, primary, "kim", enrolled) == 1
    assert not log_in(site, browser, primary, "kim")


def test_four_backups_any_of_which_recovers(site, browser, primary, new_key):
    backups = [new_key(f"backup-{number}") for number in range(4)]
    for backup in backups:
        pair(primary, backup)
    credential_id, wanted = register(site, browser, primary, "kim")
    assert wanted
    assert store(site, browser, primary, "kim", credential_id) == 4
    new_id = recover(site, browser, backups[2], "kim")
    assert set(site.account("kim").credentials) == {new_id}


# Attacks.


def test_a_key_that_is_no_backup_recovers_nothing(site, browser, new_key, enrolled):
    assert enrolled
    stranger = new_key("stranger")
    stranger.export()
    with pytest.raises(NotFoundError):
        recover(site, browser, stranger, "kim")


@pytest.fixture
def lee(site, browser, primary, enrolled):
    """Another account with the same keys; its credential."""
    assert enrolled
    credential_id, _ = register(site, browser, primary, "lee")
    store(site, browser, primary, "lee", credential_id)
    return credential_id


def test_another_accounts_recovery_credential_replaces_nothing(site, browser, backup, enrolled, lee):
    """Both accounts have the same backup key; the answer of one ceremony is swapped for that of the other."""
    for_kim, for_lee = site.begin_recovery("kim"), site.begin_recovery("lee")
    # A key answers the right challenge with the wrong account's ids, as a client that was tricked has it do.
    tricked = asking(for_kim, for_lee.options.extensions["recovery"], user=for_lee.options.user)
    response = browser.create(client(backup, site), tricked)
    with pytest.raises(RefusedError, match="not asked for"):
        site.finish_recovery(for_kim, response)
    assert set(site.account("kim").credentials) == {enrolled}
    assert set(site.account("lee").credentials) == {lee}


def test_a_site_cannot_link_accounts_through_this_browser(site, browser, backup, lee):
    """It asks for one account and lists another's ids (Wilson 2023): a signature would say that one person has both."""
    assert lee
    kims, lees = site.begin_recovery("kim"), site.begin_recovery("lee")
    for ids in (lees.allowed, kims.allowed + lees.allowed, (bytes(82),)):
        with pytest.raises(UnlistedError):
            browser.create(client(backup, site), asking(kims, listing(*ids)))


def test_a_browser_without_the_list_says_so_and_asks(site, backup, enrolled):
    asked: list[str] = []

    def agrees(question: str) -> bool:
        asked.append(question)
        return len(asked) > 1

    new_browser = Browser(agrees)
    ceremony = site.begin_recovery("kim")
    with pytest.raises(DeclinedError):
        new_browser.create(client(backup, site), ceremony)
    assert set(site.account("kim").credentials) == {enrolled}
    response = new_browser.create(client(backup, site), ceremony)
    assert asked == [CANNOT_EXCLUDE, CANNOT_EXCLUDE]
    site.finish_recovery(ceremony, response)
    assert set(site.account("kim").credentials) == {response.raw_id}


def test_a_browser_that_nobody_is_at_declines(site, backup, enrolled):
    assert enrolled
    with pytest.raises(DeclinedError):
        Browser().create(client(backup, site), site.begin_recovery("kim"))


def test_a_cut_id_recovers_nothing(site, backup, enrolled):
    ceremony = site.begin_recovery("kim")
    (whole,) = ceremony.allowed
    for cut in (whole[:-1], whole[:66], whole[:1]):
        with pytest.raises(UnreachableError if len(cut) < 66 else NotFoundError):
            Browser(lambda _: True).create(client(backup, site), asking(ceremony, listing(cut)))
    assert set(site.account("kim").credentials) == {enrolled}


def test_an_id_with_a_point_beside_the_curve_recovers_nothing(site, backup, enrolled):
    ceremony = site.begin_recovery("kim")
    (whole,) = ceremony.allowed
    off = whole[:65] + bytes([whole[65] ^ 1]) + whole[66:]
    with pytest.raises(UnreachableError, match="invalid parameter"):
        Browser(lambda _: True).create(client(backup, site), asking(ceremony, listing(off)))
    assert set(site.account("kim").credentials) == {enrolled}


def forged_response(site, new_key, ceremony: Ceremony) -> RegistrationResponse:
    """An attacker's own backup key recovers with an id of its own; that id then stands in no list of the site."""
    attacker, accomplice = new_key("attacker"), new_key("accomplice")
    pair(accomplice, attacker)
    (own,) = accomplice.generated(accomplice.bench.make(site.rp_id).auth_data.credential_data.credential_id)
    return client(attacker, site).create(asking(ceremony, listing(own.credential_id)).options)


def test_a_recovery_credential_of_the_attackers_own_is_refused(site, new_key, enrolled):
    ceremony = site.begin_recovery("kim")
    response = forged_response(site, new_key, ceremony)
    with pytest.raises(RefusedError, match="not asked for"):
        site.finish_recovery(ceremony, response)
    assert set(site.account("kim").credentials) == {enrolled}


@pytest.mark.parametrize("signature", [None, b"", b"no signature", 5])
def test_a_recovery_signature_by_another_key_is_refused(site, new_key, enrolled, signature):
    """The attacker names the account's own recovery credential, which no attestation keeps him from."""
    ceremony = site.begin_recovery("kim")
    response = forged_response(site, new_key, ceremony)
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
    plain = asking(ceremony, {"action": "state"})
    with pytest.raises(RefusedError, match="did not recover"):
        site.finish_recovery(ceremony, browser.create(client(new_key("attacker"), site), plain))
    assert set(site.account("kim").credentials) == {enrolled}


def test_an_answer_is_good_once(site, browser, backup, enrolled):
    assert enrolled
    ceremony = site.begin_recovery("kim")
    response = browser.create(client(backup, site), ceremony)
    site.finish_recovery(ceremony, response)
    account = site.account("kim")
    with pytest.raises(RefusedError, match="ceremony"):
        site.finish_recovery(ceremony, response)
    assert site.account("kim") == account


def test_an_answer_is_good_for_its_own_ceremony_only(site, browser, backup, enrolled):
    first, second = site.begin_recovery("kim"), site.begin_recovery("kim")
    response = browser.create(client(backup, site), first)
    with pytest.raises(RefusedError, match="challenge"):
        site.finish_recovery(second, response)
    assert set(site.account("kim").credentials) == {enrolled}
    with pytest.raises(RefusedError, match="ceremony"):
        site.finish_registration(first, response)


def test_of_two_recoveries_at_once_one_wins(site, browser, backup, enrolled):
    assert enrolled
    first, second = site.begin_recovery("kim"), site.begin_recovery("kim")
    responses = [browser.create(client(backup, site), ceremony) for ceremony in (first, second)]
    site.finish_recovery(first, responses[0])
    with pytest.raises(RefusedError, match="any more"):
        site.finish_recovery(second, responses[1])
    assert set(site.account("kim").credentials) == {responses[0].raw_id}


def test_another_site_gets_nothing(site, backup, enrolled):
    """Its page shows the ids that it fetched from the real one."""
    assert enrolled
    ceremony = site.begin_recovery("kim")
    other = Site("examp1e.com")
    other.begin_registration("kim")
    fetched = replace(ceremony.options, rp=replace(ceremony.options.rp, id=other.rp_id))
    with pytest.raises(NotFoundError):
        client(backup, other).create(fetched)


def test_without_recovery_credentials_there_is_no_recovery(site, browser, primary):
    register(site, browser, primary, "kim")
    with pytest.raises(RefusedError, match="no recovery credentials"):
        site.begin_recovery("kim")


def test_a_stolen_pin_and_ids_without_the_backup_are_worth_nothing(site, browser, primary, enrolled):
    """The primary made the recovery credentials and still cannot sign for one."""
    assert enrolled
    ceremony = site.begin_recovery("kim")
    with pytest.raises(NotFoundError):
        browser.create(client(primary, site), ceremony)
    primary.export()
    with pytest.raises(NotFoundError):
        browser.create(client(primary, site), site.begin_recovery("kim"))


class Forger:
    """A key that signs whatever it is told to, as anybody's program can; its account is like any other."""

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._id = os.urandom(16)
        ceremony = site.begin_registration(name)
        public_key = ES256.from_cryptography_key(self._key.public_key())
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV
        data = AuthenticatorData.create(
            sha256(site.rp_id.encode()).digest(),
            flags | AuthenticatorData.FLAG.AT,
            0,
            AttestedCredentialData.create(bytes(16), self._id, public_key),
        )
        content = AuthenticatorAttestationResponse(
            client_data=self._client_data(CollectedClientData.TYPE.CREATE, ceremony),
            attestation_object=AttestationObject.create("none", data, {}),
        )
        site.finish_registration(ceremony, RegistrationResponse(raw_id=self._id, response=content))

    def hand_out(self, output: object) -> int:
        """Store *output* as what the key answered."""
        ceremony = self._site.begin_storing(self._name, self._id)
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.ED
        data = AuthenticatorData.create(sha256(self._site.rp_id.encode()).digest(), flags, 1, b"", {"recovery": output})
        client_data = self._client_data(CollectedClientData.TYPE.GET, ceremony)
        signature = self._key.sign(data + client_data.hash, ec.ECDSA(SHA256()))
        content = AuthenticatorAssertionResponse(client_data=client_data, authenticator_data=data, signature=signature)
        return self._site.finish_storing(ceremony, AuthenticationResponse(raw_id=self._id, response=content))

    def _client_data(self, kind: CollectedClientData.TYPE, ceremony: Ceremony) -> CollectedClientData:
        return CollectedClientData.create(type=kind, challenge=ceremony.options.challenge, origin=self._site.origin)


def made_credential(id_bytes: int = 82) -> bytes:
    public_key = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    return bytes(AttestedCredentialData.create(bytes(16), os.urandom(id_bytes), public_key))


@pytest.mark.parametrize(
    "output",
    [
        5,
        {},
        {"action": "generate"},
        {"action": "state", "state": 1, "creds": []},
        {"action": "generate", "state": -1, "creds": []},
        {"action": "generate", "state": True, "creds": []},
        {"action": "generate", "state": 2**32, "creds": []},
        {"action": "generate", "state": 1, "creds": 5},
        {"action": "generate", "state": 1, "creds": [5]},
        {"action": "generate", "state": 1, "creds": [b""]},
        {"action": "generate", "state": 1, "creds": [b"short"]},
        {"action": "generate", "state": 1, "creds": [made_credential()[:-9]]},
        {"action": "generate", "state": 1, "creds": [made_credential() + b"more"]},
        {"action": "generate", "state": 1, "creds": [made_credential(81)]},
        {"action": "generate", "state": 1, "creds": [made_credential() for _ in range(17)]},
        {"action": "generate", "state": 1, "creds": [made_credential()] * 2},
    ],
)
def test_what_a_key_hands_out_may_be_anything(site, output):
    forger = Forger(site, "kim")
    with pytest.raises(RefusedError):
        forger.hand_out(output)
    assert site.account("kim").recovery == {}
    assert forger.hand_out({"action": "generate", "state": 1, "creds": [made_credential()]}) == 1


def test_a_recovery_credential_belongs_to_one_account(site, enrolled):
    """An account of the attacker's that lists another's ids would have that person's key recover it."""
    (stolen,) = site.account("kim").recovery[enrolled].credentials
    forger = Forger(site, "attacker")
    with pytest.raises(RefusedError, match="known already"):
        forger.hand_out({"action": "generate", "state": 1, "creds": [bytes(stolen)]})
    assert site.account("attacker").recovery == {}
