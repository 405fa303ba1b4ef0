"""The client side of the WebAuthn draft extension "recovery", with the protection that the draft leaves out.

An id of a recovery credential names no account. A site that lists the ids of one account in the recovery of another
would learn from the answer that both are one person's (Wilson 2023). So the browser remembers which ids each account
was given and answers for no others; where it was not there when they were given, it says so and asks.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from keyctl.core import recovery
from keyctl.errors import DeclinedError
from keyctl.operations import demo_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from fido2.webauthn import AuthenticationResponse, RegistrationResponse

    from keyctl.device.draft_client import DraftClient
    from keyctl.operations.demo_site import Ceremony

#: What is asked where no list was kept.
CANNOT_EXCLUDE = (
    "this browser has no list of the recovery credentials of this account, so it cannot exclude that the site asks "
    "for those of another account, to learn that both are yours; go on?"
)


class UnlistedError(Exception):
    """The site asks for a recovery credential that this account's key never handed out."""


class Browser:
    """A browser that keeps what recovery credentials each account got.

    Args:
        agrees: Asked where linking of accounts cannot be excluded; whether to go on.
    """

    def __init__(self, agrees: Callable[[str], bool] = lambda _question: False) -> None:
        """See the class."""
        self._agrees = agrees
        #: (site, credential) -> user, as far as this browser saw it made.
        self._users: dict[tuple[str, bytes], bytes] = {}
        #: (site, user) -> recovery credentials that were handed out for it.
        self._handed_out: dict[tuple[str, bytes], set[bytes]] = {}

    def create(self, key: DraftClient, ceremony: Ceremony) -> RegistrationResponse:
        """Answer a registration or recovery.

        Raises:
            UnlistedError: It is about another account's recovery credentials.
            DeclinedError: The person does not want to go on without a list.
            KeyctlError: What the key says instead of an answer.
        """
        from fido2.webauthn import PublicKeyCredentialCreationOptions

        options = ceremony.options
        assert isinstance(options, PublicKeyCredentialCreationOptions)
        rp_id = str(options.rp.id)
        asked = (options.extensions or {}).get(recovery.EXTENSION)
        if isinstance(asked, dict) and asked.get("action") == "recover":
            self._check_listed(rp_id, options.user.id, {one["id"] for one in asked["allowCredentials"]})
        response = key.create(options)
        self._users[rp_id, response.raw_id] = options.user.id
        return response

    def get(self, key: DraftClient, ceremony: Ceremony) -> AuthenticationResponse:
        """Answer a login, or hand out recovery credentials, and keep the ids of these.

        Raises:
            KeyctlError: What the key says instead of an answer.
        """
        from fido2.webauthn import PublicKeyCredentialRequestOptions

        options = ceremony.options
        assert isinstance(options, PublicKeyCredentialRequestOptions)
        response = key.get(options)
        rp_id = str(options.rp_id)
        user_id = self._users.get((rp_id, response.raw_id))
        output = (response.response.authenticator_data.extensions or {}).get(recovery.EXTENSION)
        if user_id is not None and isinstance(output, dict) and output.get("action") == "generate":
            self._handed_out.setdefault((rp_id, user_id), set()).update(_ids(output.get("creds")))
        return response

    def _check_listed(self, rp_id: str, user_id: bytes, ids: set[bytes]) -> None:
        own = self._handed_out.get((rp_id, user_id))
        if own is None:
            if not self._agrees(CANNOT_EXCLUDE):
                raise DeclinedError("declined", "the recovery was not gone on with; nothing was changed")
        elif not ids <= own:
            raise UnlistedError


def _ids(contents: object) -> set[bytes]:
    """Of the recovery credentials in a key's answer; what makes no sense, the site refuses."""
    ids = set()
    for content in contents if isinstance(contents, list) else []:
        with contextlib.suppress(demo_site.RefusedError):
            ids.add(demo_site.handed_out(content).credential_id)
    return ids
