"""A small site that knows the draft extension "recovery": python-fido2's server, and accounts in memory.

It does what the draft's README has under "RP operations", and refuses what its client or a key makes up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from fido2.cose import ES256
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    UserVerificationRequirement,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fido2.ctap2 import AssertionResponse, AttestationResponse

EXTENSION = "recovery"
#: Bytes of authenticator data up to the attested credential data: the site's hash, flags and counter.
_HEAD_BYTES = 37


class RefusedError(Exception):
    """The site does not accept this answer; nothing changed."""


@dataclass(frozen=True, kw_only=True)
class RecoveryCredentials:
    """What one credential's key handed out."""

    #: The key's counter at that time.
    state: int
    credentials: tuple[AttestedCredentialData, ...]


@dataclass(frozen=True, kw_only=True)
class Account:
    """One user; replaced as a whole, so that no half of a change is ever seen."""

    user_id: bytes
    name: str
    #: Credential id -> what logs in.
    credentials: Mapping[bytes, AttestedCredentialData] = field(default_factory=dict)
    #: Credential id -> what replaces that credential.
    recovery: Mapping[bytes, RecoveryCredentials] = field(default_factory=dict)
    #: Mails that were sent.
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ceremony:
    """One question to the client, good for one answer."""

    kind: str
    account: str
    challenge: bytes
    extension: Mapping[str, Any]
    #: What may answer: credentials, or for a recovery, recovery credentials.
    allowed: tuple[bytes, ...]
    server_state: Any
    user_id: bytes = b""


class RelyingParty:
    """The site *rp_id*."""

    def __init__(self, rp_id: str) -> None:
        self.rp_id = rp_id
        self.origin = f"https://{rp_id}"
        self._server = Fido2Server(PublicKeyCredentialRpEntity(id=rp_id, name=rp_id))
        self._accounts: dict[str, Account] = {}
        self._open: list[Ceremony] = []

    def account(self, name: str) -> Account:
        return self._accounts[name]

    def begin_registration(self, name: str) -> Ceremony:
        """For a new account, or one more credential of an old one."""
        account = self._accounts.setdefault(name, Account(user_id=name.encode().ljust(16, b"\0"), name=name))
        return self._ask_to_register("register", account, {"action": "state"}, ())

    def finish_registration(self, ceremony: Ceremony, response: RegistrationResponse) -> bool:
        """Keep the new credential; returns whether recovery credentials should be stored for it."""
        data, account = self._registered("register", ceremony, response)
        credential = data.credential_data
        assert credential is not None
        wanted = self._wanted(account, credential.credential_id, data)
        self._keep(replace(account, credentials={**account.credentials, credential.credential_id: credential}))
        return wanted

    def begin_login(self, name: str) -> Ceremony:
        return self._ask_to_sign("log in", name, {"action": "state"}, tuple(self.account(name).credentials))

    def finish_login(self, ceremony: Ceremony, response: AuthenticationResponse) -> bool:
        """Let the user in; returns whether recovery credentials should be stored for the credential used."""
        data, account = self._signed("log in", ceremony, response)
        return self._wanted(account, response.raw_id, data)

    def begin_storing(self, name: str, credential_id: bytes) -> Ceremony:
        """Ask the key behind one credential for its recovery credentials."""
        return self._ask_to_sign("store", name, {"action": "generate"}, (credential_id,))

    def finish_storing(self, ceremony: Ceremony, response: AuthenticationResponse) -> int:
        """Keep them in the place of the ones before; returns how many there are."""
        data, account = self._signed("store", ceremony, response)
        output = self._output(data, "generate")
        state, contents = output.get("state"), output.get("creds")
        if type(state) is not int or not isinstance(contents, list):
            raise RefusedError("no recovery credentials")
        try:
            made = tuple(AttestedCredentialData(content) for content in contents)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RefusedError("a recovery credential makes no sense") from error
        if not all(isinstance(one.public_key, ES256) for one in made):
            raise RefusedError("a recovery credential is of another kind")
        kept = RecoveryCredentials(state=state, credentials=made)
        self._keep(replace(account, recovery={**account.recovery, response.raw_id: kept}))
        self._notify(account.name, f"{len(made)} recovery credentials stored")
        return len(made)

    def begin_recovery(self, name: str) -> Ceremony:
        """Somebody says that the key of this account is lost."""
        account = self.account(name)
        ids = tuple(one.credential_id for kept in account.recovery.values() for one in kept.credentials)
        if not ids:
            raise RefusedError("there are no recovery credentials")
        allowed = [{"type": "public-key", "id": id_} for id_ in ids]
        return self._ask_to_register("recover", account, {"action": "recover", "allowCredentials": allowed}, ids)

    def finish_recovery(self, ceremony: Ceremony, response: RegistrationResponse) -> bool:
        """Put the new credential in the place of the lost one, and of all that could replace that, in one go.

        Returns whether recovery credentials should be stored for the new one.
        """
        data, account = self._registered("recover", ceremony, response)
        output = self._output(data, "recover")
        used, signature = output.get("credId"), output.get("sig")
        if used not in ceremony.allowed:
            raise RefusedError("that recovery credential was not asked for")
        lost, recovery_credential = self._find(account, used)
        credential = data.credential_data
        assert credential is not None
        head = bytes(data)[: _HEAD_BYTES + len(credential)]
        try:
            recovery_credential.public_key.verify(head + response.response.client_data.hash, signature)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise RefusedError("the recovery signature is wrong") from error
        credentials = {id_: one for id_, one in account.credentials.items() if id_ != lost}
        promoted = replace(
            account,
            credentials={**credentials, credential.credential_id: credential},
            recovery={id_: kept for id_, kept in account.recovery.items() if id_ != lost},
        )
        wanted = self._wanted(promoted, credential.credential_id, data)
        self._keep(promoted)
        self._notify(account.name, "a lost key was replaced by its backup")
        return wanted

    def _ask_to_register(
        self, kind: str, account: Account, extension: Mapping[str, Any], allowed: tuple[bytes, ...]
    ) -> Ceremony:
        user = PublicKeyCredentialUserEntity(id=account.user_id, name=account.name)
        options, state = self._server.register_begin(user, user_verification=UserVerificationRequirement.REQUIRED)
        return self._opened(kind, account, options.public_key.challenge, extension, allowed, state)

    def _ask_to_sign(self, kind: str, name: str, extension: Mapping[str, Any], allowed: tuple[bytes, ...]) -> Ceremony:
        options, state = self._server.authenticate_begin(user_verification=UserVerificationRequirement.REQUIRED)
        return self._opened(kind, self.account(name), options.public_key.challenge, extension, allowed, state)

    def _opened(
        self,
        kind: str,
        account: Account,
        challenge: bytes,
        extension: Mapping[str, Any],
        allowed: tuple[bytes, ...],
        state: Any,
    ) -> Ceremony:
        ceremony = Ceremony(
            kind=kind,
            account=account.name,
            user_id=account.user_id,
            challenge=challenge,
            extension=extension,
            allowed=allowed,
            server_state=state,
        )
        self._open.append(ceremony)
        return ceremony

    def _closed(self, kind: str, ceremony: Ceremony) -> Account:
        """The account of a ceremony that has not been answered yet."""
        if ceremony not in self._open or ceremony.kind != kind:
            raise RefusedError("no such ceremony")
        self._open.remove(ceremony)
        return self.account(ceremony.account)

    def _registered(
        self, kind: str, ceremony: Ceremony, response: RegistrationResponse
    ) -> tuple[AuthenticatorData, Account]:
        account = self._closed(kind, ceremony)
        try:
            data = self._server.register_complete(ceremony.server_state, response)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        assert data.credential_data is not None
        if any(data.credential_data.credential_id in other.credentials for other in self._accounts.values()):
            raise RefusedError("that credential is registered already")
        return data, account

    def _signed(
        self, kind: str, ceremony: Ceremony, response: AuthenticationResponse
    ) -> tuple[AuthenticatorData, Account]:
        account = self._closed(kind, ceremony)
        allowed = [one for id_, one in account.credentials.items() if id_ in ceremony.allowed]
        try:
            self._server.authenticate_complete(ceremony.server_state, allowed, response)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        return response.response.authenticator_data, account

    def _output(self, data: AuthenticatorData, action: str) -> Mapping[str, Any]:
        output = (data.extensions or {}).get(EXTENSION)
        if not isinstance(output, dict) or output.get("action") != action:
            raise RefusedError(f"the key did not {action}")
        return output

    def _wanted(self, account: Account, credential_id: bytes, data: AuthenticatorData) -> bool:
        """Whether the key's counter is another than the one stored; a lower one means that the key was reset."""
        output = (data.extensions or {}).get(EXTENSION)
        state = output.get("state") if isinstance(output, dict) else None
        kept = account.recovery.get(credential_id)
        return state is not None and state != (0 if kept is None else kept.state)

    def _find(self, account: Account, recovery_id: bytes) -> tuple[bytes, AttestedCredentialData]:
        """The credential that the recovery credential replaces, and that itself."""
        for credential_id, kept in account.recovery.items():
            for one in kept.credentials:
                if one.credential_id == recovery_id:
                    return credential_id, one
        raise RefusedError("that recovery credential is not of this account any more")

    def _keep(self, account: Account) -> None:
        self._accounts[account.name] = account

    def _notify(self, name: str, text: str) -> None:
        account = self.account(name)
        self._keep(replace(account, notices=(*account.notices, text)))


def client_data(ceremony: Ceremony, origin: str) -> CollectedClientData:
    """What a browser at *origin* has a key sign."""
    creating = ceremony.kind in {"register", "recover"}
    kind = CollectedClientData.TYPE.CREATE if creating else CollectedClientData.TYPE.GET
    return CollectedClientData.create(type=kind, challenge=websafe_encode(ceremony.challenge), origin=origin)


def registration_response(data: CollectedClientData, made: AttestationResponse) -> RegistrationResponse:
    """What the browser sends after makeCredential."""
    assert made.auth_data.credential_data is not None
    return RegistrationResponse(
        raw_id=made.auth_data.credential_data.credential_id,
        response=AuthenticatorAttestationResponse(
            client_data=data,
            attestation_object=AttestationObject.create(made.fmt, made.auth_data, made.att_stmt),
        ),
    )


def authentication_response(data: CollectedClientData, answer: AssertionResponse) -> AuthenticationResponse:
    """What the browser sends after getAssertion."""
    return AuthenticationResponse(
        raw_id=answer.credential["id"],
        response=AuthenticatorAssertionResponse(
            client_data=data, authenticator_data=answer.auth_data, signature=answer.signature
        ),
    )
