"""The story of the WebAuthn draft extension "recovery" in the demonstration: a site, a browser, and what they say.

It plays what happens outside of keyctl after a pairing by the draft: the primary key logs in, is lost, and its backup
key takes over at the site. No shipping key, site or browser has the draft.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import recovery
from keyctl.errors import NotFoundError
from keyctl.operations.demo_browser import Browser, UnlistedError
from keyctl.operations.demo_site import Site

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from keyctl.device.draft_client import DraftClient
    from keyctl.operations.demo_site import Account

SITE = "shop.example"
USER = "kim"


class Story:
    """One account at one site; each method is a scene, and returns what was said in it, line by line.

    A scene raises KeyctlError when a key does not do its part.

    Args:
        home: The home folder.
        pin: Of all keys.
    """

    def __init__(self, home: Path, pin: str) -> None:
        """See the class."""
        self._home = home
        self._pin = pin
        self._site = Site(SITE)
        self._browser = Browser()
        #: Credential id -> the key that made it.
        self._owners: dict[bytes, str] = {}

    @property
    def account(self) -> Account:
        """What the site knows."""
        return self._site.account(USER)

    def sign_up(self, key: str) -> list[str]:
        """Make the account, before its key has a backup."""
        ceremony = self._site.begin_registration(USER)
        with self._client(key) as client:
            response = self._browser.create(client, ceremony)
        self._owners[response.raw_id] = key
        wanted = self._site.finish_registration(ceremony, response)
        return [
            self._asked("a new credential, and how often your seeds changed"),
            f"{key}: touched; made a credential",
            self._says(f"hello, {USER}; your key has {'a backup' if wanted else 'no backup yet'}"),
        ]

    def log_in(self, key: str) -> list[str]:
        """Log in; where the site sees other seeds than before, it stores the recovery credentials, with one touch."""
        ceremony = self._site.begin_login(USER)
        with self._client(key) as client:
            response = self._browser.get(client, ceremony)
            wanted = self._site.finish_login(ceremony, response)
            lines = [
                self._asked("your signature, and how often your seeds changed"),
                f"{key}: touched; signed",
                self._says(f"welcome, {USER}"),
            ]
            return [*lines, *self._storing(client, key, response.raw_id)] if wanted else lines

    def thief(self, key: str) -> list[str]:
        """Somebody who found the lost key, and knows its PIN, tries to log in."""
        asked = self._asked("your signature")
        try:
            with self._client(key) as client:
                self._browser.get(client, self._site.begin_login(USER))
        except NotFoundError:
            return [asked, f"{key}: has nothing that {SITE} asks for", self._says(f"no; {key} was revoked")]
        raise RuntimeError(f"{key} still opens {SITE}")

    def recover(self, key: str) -> list[str]:
        """Have the backup key take over: a new credential, signed for by the key that was derived on its behalf."""
        before = self.account
        ceremony = self._site.begin_recovery(USER)
        with self._client(key) as client:
            response = self._browser.create(client, ceremony)
        self._site.finish_recovery(ceremony, response)
        lost = [self._owners[id_] for id_ in before.credentials if id_ not in self.account.credentials]
        self._owners[response.raw_id] = key
        return [
            self._asked(f"a new credential, signed for by {_count(len(ceremony.allowed))} that it stored"),
            "browser: these are ids that this account's own key handed out; no other account is among them",
            f"{key}: touched; made a credential, and signed it with the derived private key",
            self._says("the signature is right; in one step:"),
            *(f"  revoked {name}, and all that could replace it" for name in lost),
            f"  registered {key}",
            self._mailed(),
        ]

    def linking(self, key: str) -> list[str]:
        """A site that asks for an account's recovery with an id that is not of that account gets no answer."""
        ceremony = self._site.begin_recovery(USER)
        foreign = {"type": "public-key", "id": bytes(recovery.CREDENTIAL_ID_BYTES)}
        extension = {recovery.EXTENSION: {"action": "recover", "allowCredentials": [foreign]}}
        options = replace(ceremony.options, extensions=extension)
        try:
            with self._client(key) as client:
                self._browser.create(client, replace(ceremony, options=options))
        except UnlistedError:
            return [
                self._asked("a new credential, signed for by one of another account's recovery credentials"),
                "browser: no; the answer would tell that both accounts are yours",
            ]
        raise RuntimeError(f"the browser answered for a recovery credential that {USER} never got")

    def _storing(self, client: DraftClient, key: str, credential_id: bytes) -> list[str]:
        ceremony = self._site.begin_storing(USER, credential_id)
        count = self._site.finish_storing(ceremony, self._browser.get(client, ceremony))
        return [
            self._asked(f"the recovery credentials of {key}, because its seeds changed"),
            f"{key}: touched; made {count} without the backup key at hand",
            self._mailed(),
        ]

    def _client(self, key: str) -> AbstractContextManager[DraftClient]:
        from keyctl.device import draft_client

        return draft_client.opened(self._home, key, self._site.origin, self._pin)

    def _asked(self, what: str) -> str:
        return self._says(f"asks for {what}")

    def _says(self, what: str) -> str:
        return f"{SITE}: {what}"

    def _mailed(self) -> str:
        return self._says(f"mails {USER}: {self.account.notices[-1]}")


def _count(credentials: int) -> str:
    return "the one recovery credential" if credentials == 1 else f"one of the {credentials} recovery credentials"
