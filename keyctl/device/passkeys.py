"""Credential management (CTAP 2.2, section 6.8), with keys that may stop half-way, go in circles or make no sense."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from fido2.ctap import CtapError
from fido2.ctap2.credman import CredentialManagement

from keyctl.device import answers, errors
from keyctl.errors import UnreachableError, UnsupportedError
from keyctl.model import Listing, PasskeyCount

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from keyctl.device.answers import Site
    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.pins import CheckedCtap2, PinCommands
    from keyctl.model import KeyInfo, Passkey

_ERR = CtapError.ERR
_RESULT = CredentialManagement.RESULT
#: How keys say that there is nothing, or nothing more.
_ENDS = {_ERR.NO_CREDENTIALS, _ERR.NOT_ALLOWED, _ERR.NO_OPERATIONS}
_T = TypeVar("_T")

#: More sites, or more passkeys of one site, than any key has.
MAX_ENTRIES = 4096
#: With these the key refuses the token: nothing was read, and going on is of no use.
REFUSALS = {_ERR.PIN_AUTH_INVALID, _ERR.PIN_TOKEN_EXPIRED, _ERR.PUAT_REQUIRED, _ERR.UNAUTHORIZED_PERMISSION}


def unlocked(exchange: Exchange, pin: KeyPin) -> PasskeyCommands:
    """The passkeys of one key, by a token fetched for the very next step: it may be bound to it or soon expire.

    Raises:
        UnsupportedError: It cannot list its passkeys.
        PinError: The PIN is wrong, blocked or missing.
    """
    if not pin.info.listing:
        label = exchange.label
        raise UnsupportedError(
            "unsupported", f"{label} cannot list its passkeys", "`keyctl info` shows what it can do", key=label
        )
    token = pin.unlocked(lambda pins, remembered: pins.token_for_passkeys(remembered))
    ctap, pins = pin.commands()
    return PasskeyCommands(ctap, pins, token, pin.info, exchange.label)


class PasskeyCommands:
    """The passkeys of one key, by one token.

    All methods raise CtapError when the key refuses, and UnreachableError when it is gone or answers nonsense.

    Args:
        ctap: The key.
        pins: Its PIN commands.
        token: A fresh token for credential management.
        info: What the key said of itself.
        label: The word people know it by.
    """

    def __init__(self, ctap: CheckedCtap2, pins: PinCommands, token: bytes, info: KeyInfo, label: str) -> None:
        """See the class."""
        self._commands = CredentialManagement(ctap, pins.protocol, token)
        self._has_large_blobs = "largeBlobKey" in info.extensions
        self._label = label
        self._complete = True

    def count(self) -> PasskeyCount:
        """How many passkeys there are and how many more fit."""
        return answers.passkey_count_from_ctap(self._commands.get_metadata(), self._label)

    def read_all(self, remaining: int | None) -> Listing:
        """Every passkey that can be read.

        Args:
            remaining: How many more fit, should the key not say it here.
        """
        try:
            count = self.count()
        except CtapError as error:
            if error.code in REFUSALS:
                raise
            count = PasskeyCount(used=None, remaining=remaining)
        passkeys: dict[bytes, Passkey] = {}
        for site in self._sites():
            for passkey in self._of_site(site):
                passkeys.setdefault(passkey.credential_id, passkey)
            if len(passkeys) > MAX_ENTRIES:
                self._complete = False
                break
        return Listing(passkeys=tuple(passkeys.values()), count=count, complete=self._complete)

    def read_of(self, rp_id_hash: bytes, rp_id: str | None) -> tuple[Passkey, ...]:
        """The passkeys of one site that can be read; *rp_id* is its name, when it is known."""
        return tuple(
            self._not_nothing(self._of_site(answers.Site(rp_id_hash=rp_id_hash, rp_id=rp_id), must_begin=True))
        )

    def read_with_blob_keys(self, rp_id: str) -> tuple[tuple[Passkey, bytes | None], ...]:
        """As :meth:`read_of`, each with its large-blob key; None: it has none, or the key leaves it out."""
        site = answers.Site(rp_id_hash=sha256(rp_id.encode()).digest(), rp_id=rp_id)
        found = self._credentials(
            site,
            lambda answer: (self._passkey(answer, site), answers.large_blob_key_from_ctap(answer)),
            lambda pair: pair[0].credential_id,
            must_begin=True,
        )
        return tuple(self._not_nothing(found))

    def delete(self, credential_id: bytes) -> None:
        """Delete one passkey."""
        self._commands.delete_cred(_descriptor(credential_id))

    def rename(self, credential_id: bytes, user: Mapping[str, Any]) -> None:
        """Replace the whole user entity of one passkey."""
        self._commands.update_user_info(_descriptor(credential_id), user)  # type: ignore[arg-type]  # takes any mapping

    def _sites(self) -> list[Site]:
        return self._enumerate(
            self._commands.enumerate_rps_begin,
            self._commands.enumerate_rps_next,
            total_field=_RESULT.TOTAL_RPS,
            understand=lambda answer: answers.site_from_ctap(answer, self._label),
            identity=lambda site: site.rp_id_hash,
            must_begin=True,
        )

    def _of_site(self, site: Site, *, must_begin: bool = False) -> list[Passkey]:
        return self._credentials(
            site,
            lambda answer: self._passkey(answer, site),
            lambda passkey: passkey.credential_id,
            must_begin=must_begin,
        )

    def _passkey(self, answer: Mapping[int, Any], site: Site) -> Passkey:
        return answers.passkey_from_ctap(answer, site, self._label, has_large_blobs=self._has_large_blobs)

    def _not_nothing(self, entries: list[_T]) -> list[_T]:
        """*entries*, unless none of those that there are could be read."""
        if not entries and not self._complete:
            raise errors.nonsense(self._label)
        return entries

    def _credentials(
        self,
        site: Site,
        understand: Callable[[Mapping[int, Any]], _T],
        identity: Callable[[_T], Hashable],
        *,
        must_begin: bool,
    ) -> list[_T]:
        return self._enumerate(
            lambda: self._commands.enumerate_creds_begin(site.rp_id_hash),
            self._commands.enumerate_creds_next,
            total_field=_RESULT.TOTAL_CREDENTIALS,
            understand=understand,
            identity=identity,
            must_begin=must_begin,
        )

    def _enumerate(
        self,
        begin: Callable[[], Mapping[int, Any]],
        proceed: Callable[[], Mapping[int, Any]],
        *,
        total_field: int,
        understand: Callable[[Mapping[int, Any]], _T],
        identity: Callable[[_T], Hashable],
        must_begin: bool,
    ) -> list[_T]:
        """All entries of one enumeration; notes in ``_complete`` when some could not be read.

        With *must_begin* a failure of the first command is raised, as nothing was read then.
        """
        entries: dict[Hashable, _T] = {}
        # Unknown until the first answer says it; a key that does not is asked until it stops.
        total: int | None = None
        for asked in range(MAX_ENTRIES):
            try:
                answer = proceed() if asked else begin()
                if asked == 0:
                    total = answers.total_from_ctap(answer, total_field, MAX_ENTRIES)
                    if not answer or total == 0:
                        return []
                    self._complete &= total is not None or total_field not in answer
                entry = understand(answer)
            except CtapError as error:
                if error.code in REFUSALS or (asked == 0 and must_begin and error.code != _ERR.NO_CREDENTIALS):
                    raise
                # Without a total this is how the list ends; otherwise it breaks off.
                ends = _ENDS if asked else {_ERR.NO_CREDENTIALS}
                self._complete &= total is None and error.code in ends
                return list(entries.values())
            except UnreachableError as error:
                if error.code != "key_nonsense":
                    raise
                # This one cannot be understood; the next ones may.
                self._complete = False
            else:
                if identity(entry) in entries:
                    # It goes round in circles.
                    break
                entries[identity(entry)] = entry
            if asked + 1 == total:
                return list(entries.values())
        self._complete = False
        return list(entries.values())


def _descriptor(credential_id: bytes) -> Any:
    return {"type": "public-key", "id": credential_id}
