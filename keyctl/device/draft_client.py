"""A browser's part in the WebAuthn draft extension "recovery": python-fido2's client, and the extension.

No browser knows the draft, so this is for the demonstration and the tests. The extension is an input to makeCredential
and getAssertion, which keys without it ignore; the draft's own command is not sent here.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fido2.client import ClientError, DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import CtapError
from fido2.ctap2.extensions import (
    AuthenticationExtensionProcessor,
    Ctap2Extension,
    RegistrationExtensionProcessor,
)

from keyctl.core import recovery
from keyctl.device import errors
from keyctl.errors import KeyctlError, NotFoundError, UnsupportedError
from keyctl.store.paths import virtual_keys_folder
from keyctl.virtual.device import VirtualDevice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fido2.ctap import CtapDevice
    from fido2.ctap2.base import Ctap2
    from fido2.webauthn import (
        AuthenticationResponse,
        PublicKeyCredentialCreationOptions,
        PublicKeyCredentialRequestOptions,
        RegistrationResponse,
    )


class DraftClient:
    """A browser at one site, with one key.

    Methods raise:

    * NotFoundError: the key has no credential, or no recovery credential, that the site asks for;
    * PinError: the PIN is wrong or blocked;
    * TouchError: nobody touched the key in time;
    * UnsupportedError: it cannot do what the site asks for;
    * UnreachableError: it is gone, or reports an error.

    Args:
        device: The key.
        label: What messages call it.
        origin: The site's, like ``https://example.com``.
        pin: Of the key.
    """

    def __init__(self, device: CtapDevice, label: str, origin: str, pin: str) -> None:
        """See the class."""
        self._label = label
        self._client = Fido2Client(device, DefaultClientDataCollector(origin), _Person(pin), [_Recovery()])

    def create(self, options: PublicKeyCredentialCreationOptions) -> RegistrationResponse:
        """A new credential, with the PIN and a touch."""
        with self._reported():
            return self._client.make_credential(options)

    def get(self, options: PublicKeyCredentialRequestOptions) -> AuthenticationResponse:
        """A signature by one of the site's credentials, with the PIN and a touch."""
        with self._reported():
            return self._client.get_assertion(options).get_response(0)

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._told(error) from error

    def _told(self, error: ClientError) -> KeyctlError:
        if not isinstance(error.cause, CtapError):
            return UnsupportedError(
                "unsupported", f"{self._label} cannot do what the site asks for", "use another key", key=self._label
            )
        if error.cause.code == CtapError.ERR.NO_CREDENTIALS:
            return NotFoundError(
                "passkey_not_found",
                f"{self._label} has nothing that the site asks for",
                "use the key that was registered there, or its backup",
                key=self._label,
            )
        return errors.error_from_ctap(error.cause, self._label)


@contextlib.contextmanager
def opened(home: Path, name: str, origin: str, pin: str) -> Iterator[DraftClient]:
    """A browser with the virtual key *name*.

    Args:
        home: The home folder.
        name: Of the virtual key.
        origin: The site's.
        pin: Of the key.

    Raises:
        UnreachableError: The key is unplugged (``key_removed``).
        NotFoundError: There is no such virtual key.
        StoreError: Its files cannot be used.
    """
    label = f"virtual:{name}"
    try:
        with VirtualDevice(virtual_keys_folder(home), name) as device:
            yield DraftClient(device, label, origin, pin)
    except OSError as error:
        raise errors.error_from_os(error, label) from error


class _Person(UserInteraction):
    """Types the PIN; the touch is the key's own business."""

    def __init__(self, pin: str) -> None:
        self._pin = pin

    def request_pin(self, permissions: object, rp_id: str | None) -> str:  # noqa: ARG002  # the library's signature
        return self._pin


class _Recovery(Ctap2Extension):
    """Hands the site's input to the key as it is; the output is in the authenticator data."""

    def is_supported(self, ctap: Ctap2) -> bool:
        return recovery.EXTENSION in ctap.info.extensions

    def make_credential(
        self, ctap: Ctap2, options: PublicKeyCredentialCreationOptions, pin_protocol: object
    ) -> RegistrationExtensionProcessor | None:
        del pin_protocol
        inputs = self._inputs(ctap, options)
        return RegistrationExtensionProcessor(inputs=inputs) if inputs else None

    def get_assertion(
        self, ctap: Ctap2, options: PublicKeyCredentialRequestOptions, pin_protocol: object
    ) -> AuthenticationExtensionProcessor | None:
        del pin_protocol
        inputs = self._inputs(ctap, options)
        return AuthenticationExtensionProcessor(inputs=inputs) if inputs else None

    def _inputs(
        self, ctap: Ctap2, options: PublicKeyCredentialCreationOptions | PublicKeyCredentialRequestOptions
    ) -> dict[str, Any]:
        given = (options.extensions or {}).get(recovery.EXTENSION)
        return {recovery.EXTENSION: given} if given is not None and self.is_supported(ctap) else {}
