"""A small site that knows the WebAuthn draft extension "recovery": python-fido2's server, and accounts in memory.

No site has it, so this is for the demonstration and the tests. It does what the draft's README has under "RP
operations", and refuses what its client or a key makes up.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from keyctl.core import p256, public_keys, recovery, recovery_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fido2.webauthn import (
        AttestedCredentialData,
        AuthenticationResponse,
        AuthenticatorData,
        PublicKeyCredentialCreationOptions,
        PublicKeyCredentialRequestOptions,
        RegistrationResponse,
    )

_USER_ID_BYTES = 16
#: More than any key hands out for one credential.
_MAX_HANDED_OUT = 16
_MAX_STATE = 2**32 - 1


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
    #: What the client gets to see; its extension is the draft's.
    options: PublicKeyCredentialCreationOptions | PublicKeyCredentialRequestOptions
    #: What may answer: credentials, or for a recovery, recovery credentials.
    allowed: tuple[bytes, ...]
    server_state: Any = field(repr=False)


class Site:
    """The site *rp_id*.

    What finishes a ceremony raises RefusedError for an answer that is not good for it.

    Args:
        rp_id: Its domain.
    """

    def __init__(self, rp_id: str) -> None:
        """See the class."""
        from fido2.server import Fido2Server
        from fido2.webauthn import PublicKeyCredentialRpEntity

        self.rp_id = rp_id
        self.origin = f"https://{rp_id}"
        self._server = Fido2Server(PublicKeyCredentialRpEntity(id=rp_id, name=rp_id))
        self._accounts: dict[str, Account] = {}
        self._open: list[Ceremony] = []

    def account(self, name: str) -> Account:
        """What is known of a user."""
        return self._accounts[name]

    def begin_registration(self, name: str) -> Ceremony:
        """For a new account, or one more credential of an old one."""
        account = self._accounts.setdefault(name, Account(user_id=os.urandom(_USER_ID_BYTES), name=name))
        return self._ask_to_register("register", account, {"action": "state"}, ())

    def finish_registration(self, ceremony: Ceremony, response: RegistrationResponse) -> bool:
        """Keep the new credential; returns whether recovery credentials should be stored for it."""
        data, credential, account = self._registered("register", ceremony, response)
        wanted = self._wanted(account, credential.credential_id, data)
        self._keep(replace(account, credentials={**account.credentials, credential.credential_id: credential}))
        return wanted

    def begin_login(self, name: str) -> Ceremony:
        """Ask for any of the account's credentials, and for its key's counter."""
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
        kept = self._handed_out(_output(data, "generate"))
        self._keep(replace(account, recovery={**account.recovery, response.raw_id: kept}))
        count = len(kept.credentials)
        self._notify(account.name, f"{count} recovery credential{'' if count == 1 else 's'} stored")
        return count

    def begin_recovery(self, name: str) -> Ceremony:
        """Somebody says that the key of this account is lost.

        Raises:
            RefusedError: Nothing could take its place.
        """
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
        data, credential, account = self._registered("recover", ceremony, response)
        output = _output(data, "recover")
        used, signature = output.get("credId"), output.get("sig")
        if used not in ceremony.allowed:
            raise RefusedError("that recovery credential was not asked for")
        lost, recovery_credential = _find(account, used)
        verified = isinstance(signature, bytes) and recovery_signature.verifies(
            _point(recovery_credential), bytes(data), response.response.client_data.hash, signature
        )
        if not verified:
            raise RefusedError("the recovery signature is wrong")
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
        from fido2.webauthn import (
            PublicKeyCredentialUserEntity,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        options, state = self._server.register_begin(
            PublicKeyCredentialUserEntity(id=account.user_id, name=account.name),
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
            extensions={recovery.EXTENSION: extension},
        )
        return self._opened(
            Ceremony(kind=kind, account=account.name, options=options.public_key, allowed=allowed, server_state=state)
        )

    def _ask_to_sign(self, kind: str, name: str, extension: Mapping[str, Any], allowed: tuple[bytes, ...]) -> Ceremony:
        from fido2.webauthn import PublicKeyCredentialDescriptor, PublicKeyCredentialType, UserVerificationRequirement

        options, state = self._server.authenticate_begin(
            [PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=id_) for id_ in allowed],
            user_verification=UserVerificationRequirement.REQUIRED,
            extensions={recovery.EXTENSION: extension},
        )
        return self._opened(
            Ceremony(kind=kind, account=name, options=options.public_key, allowed=allowed, server_state=state)
        )

    def _opened(self, ceremony: Ceremony) -> Ceremony:
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
    ) -> tuple[AuthenticatorData, AttestedCredentialData, Account]:
        account = self._closed(kind, ceremony)
        try:
            data = self._server.register_complete(ceremony.server_state, response)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        credential = data.credential_data
        assert credential is not None
        if any(credential.credential_id in other.credentials for other in self._accounts.values()):
            raise RefusedError("that credential is registered already")
        return data, credential, account

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

    def _handed_out(self, output: Mapping[str, Any]) -> RecoveryCredentials:
        """What a key hands out is signed by it, and still may be anything."""
        state, contents = output.get("state"), output.get("creds")
        if type(state) is not int or not 0 <= state <= _MAX_STATE:
            raise RefusedError("no counter")
        if not isinstance(contents, list) or len(contents) > _MAX_HANDED_OUT:
            raise RefusedError("no recovery credentials")
        made = tuple(handed_out(content) for content in contents)
        if len({one.credential_id for one in made}) != len(made):
            raise RefusedError("a recovery credential is there twice")
        for one in made:
            if len(one.credential_id) != recovery.CREDENTIAL_ID_BYTES or not _is_on_curve(one):
                raise RefusedError("a recovery credential is of another kind")
            if any(_has(account, one.credential_id) for account in self._accounts.values()):
                raise RefusedError("a recovery credential is known already")
        return RecoveryCredentials(state=state, credentials=made)

    def _wanted(self, account: Account, credential_id: bytes, data: AuthenticatorData) -> bool:
        """Whether the key's counter is another than the one stored; a lower one means that the key was reset."""
        output = (data.extensions or {}).get(recovery.EXTENSION)
        state = output.get("state") if isinstance(output, dict) else None
        kept = account.recovery.get(credential_id)
        return state is not None and state != (0 if kept is None else kept.state)

    def _keep(self, account: Account) -> None:
        self._accounts[account.name] = account

    def _notify(self, name: str, text: str) -> None:
        account = self.account(name)
        self._keep(replace(account, notices=(*account.notices, text)))


def handed_out(content: Any) -> AttestedCredentialData:
    """A recovery credential as a key hands it out.

    Raises:
        RefusedError: It makes no sense.
    """
    from fido2.webauthn import AttestedCredentialData

    try:
        return AttestedCredentialData(content)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, struct.error) as error:
        raise RefusedError("a recovery credential makes no sense") from error


def _output(data: AuthenticatorData, action: str) -> Mapping[str, Any]:
    output = (data.extensions or {}).get(recovery.EXTENSION)
    if not isinstance(output, dict) or output.get("action") != action:
        raise RefusedError(f"the key did not {action}")
    return output


def _find(account: Account, recovery_id: bytes) -> tuple[bytes, AttestedCredentialData]:
    """The credential that the recovery credential replaces, and that itself."""
    for credential_id, kept in account.recovery.items():
        for one in kept.credentials:
            if one.credential_id == recovery_id:
                return credential_id, one
    raise RefusedError("that recovery credential is not of this account any more")


def _has(account: Account, recovery_id: bytes) -> bool:
    return any(one.credential_id == recovery_id for kept in account.recovery.values() for one in kept.credentials)


def _is_on_curve(credential: AttestedCredentialData) -> bool:
    """Whether its public key is a good one for ES256."""
    public_key = credential.public_key
    return (
        public_keys.canonical(public_key) is not None
        and public_key.ALGORITHM == public_keys.ES256
        and p256.on_curve(_point(credential))
    )


def _point(credential: AttestedCredentialData) -> bytes:
    """The public key of a recovery credential that was stored."""
    x, y = credential.public_key[-2], credential.public_key[-3]
    assert isinstance(x, bytes)
    assert isinstance(y, bytes)
    return b"\x04" + x + y
