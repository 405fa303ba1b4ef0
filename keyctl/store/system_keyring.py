"""The operating system's keyring: an encrypted place for a secret that programs need while nobody is there.

Only keyrings that encrypt what they keep are used, each known by its class: what a settings file of the library names
may be anything.
"""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from keyctl.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keyring.backend import KeyringBackend

#: What the keyring shows as the program that keeps something.
SERVICE = "keyctl unattended"
_HINT = "keep the token in a private file instead: `keyctl unattended on --file`"
_UNLOCK = "unlock it, as signing in to the desktop does, or keep the token in a file: `keyctl unattended on --file`"


def require(*, unlocking: bool) -> None:
    """Refuse where nothing can be kept.

    Args:
        unlocking: Whether somebody is there whom the keyring may ask to unlock it.

    Raises:
        StoreError: There is no keyring, it does not encrypt, or it is locked (``keyring_unusable``).
    """
    _opened(unlocking=unlocking)


def read(user: str) -> str | None:
    """What is kept for *user*; None: nothing. Nobody is asked to unlock it.

    Raises:
        StoreError: The keyring cannot be used (``keyring_unusable``).
    """
    keyring = _opened(unlocking=False)
    with _reported():
        return keyring.get_password(SERVICE, user)


def write(user: str, secret: str, *, unlocking: bool) -> None:
    """Keep *secret* for *user*.

    Raises:
        StoreError: The keyring cannot be used (``keyring_unusable``).
    """
    keyring = _opened(unlocking=unlocking)
    with _reported():
        keyring.set_password(SERVICE, user, secret)


def delete(user: str, *, unlocking: bool) -> None:
    """Keep nothing for *user*; it is no error when there is nothing.

    Raises:
        StoreError: The keyring cannot be used (``keyring_unusable``).
    """
    keyring = _opened(unlocking=unlocking)
    with _reported():
        # Some keyrings fail where there is nothing to delete.
        if keyring.get_password(SERVICE, user) is not None:
            keyring.delete_password(SERVICE, user)


def _opened(*, unlocking: bool) -> KeyringBackend:
    """The keyring, which encrypts, and which asks nobody anything unless *unlocking*."""
    with _reported():
        keyring = _chosen()
        is_locked = _lock_of(keyring)
        if is_locked is None:
            raise StoreError("keyring_unusable", _refusal(keyring), _HINT)
        if not unlocking and is_locked(keyring):
            raise StoreError("keyring_unusable", "the system's keyring is locked", _UNLOCK)
        return keyring


def _chosen() -> KeyringBackend:
    """The keyring that the library chooses; of several that it would try one after the other, the first.

    Where not all of those encrypt, the one that does not.
    """
    import keyring
    from keyring.backends import chainer

    # It tells failures to whoever configured logging: not to ours, and never to standard error.
    logging.getLogger("keyring").addHandler(logging.NullHandler())
    logging.getLogger("keyring").propagate = False
    chosen = keyring.get_keyring()
    if not isinstance(chosen, chainer.ChainerBackend):
        return chosen
    several = list(chosen.backends)
    return next((one for one in several if _lock_of(one) is None), several[0] if several else chosen)


def _lock_of(keyring: KeyringBackend) -> Callable[[Any], bool] | None:
    """How to find out whether *keyring* is locked; None: it is none of those that are known to encrypt."""
    from keyring.backends import SecretService, Windows, kwallet, macOS

    kinds: tuple[tuple[type, Callable[[Any], bool]], ...] = (
        (SecretService.Keyring, _secret_service_is_locked),
        (kwallet.DBusKeyring, _kwallet_is_locked),
        (macOS.Keyring, _keychain_is_locked),
        # Windows unlocks it when its user signs in.
        (Windows.WinVaultKeyring, lambda _: False),
    )
    return next((is_locked for kind, is_locked in kinds if isinstance(keyring, kind)), None)


def _refusal(keyring: KeyringBackend) -> str:
    """Why *keyring* is not used."""
    from keyring.backends import fail, null

    if isinstance(keyring, fail.Keyring | null.Keyring):
        return "there is no keyring of the system here"
    kind = type(keyring)
    return f"the keyring {kind.__module__}.{kind.__qualname__} is not known to encrypt what it keeps"


def _secret_service_is_locked(keyring: Any) -> bool:
    """GNOME Keyring, KeePassXC and others (the Secret Service API of freedesktop.org)."""
    import secretstorage
    from secretstorage.collection import DEFAULT_COLLECTION

    with closing(secretstorage.dbus_init()) as connection:
        path = getattr(keyring, "preferred_collection", DEFAULT_COLLECTION)
        try:
            return secretstorage.Collection(connection, path).is_locked()
        except secretstorage.ItemNotFoundException:
            # To make one, it would ask for a password.
            return True


def _kwallet_is_locked(keyring: Any) -> bool:
    """KWallet of KDE."""
    import dbus

    # One name however keyctl was started: KWallet asks for each program whether it may.
    keyring.appid = "keyctl"
    remote = dbus.SessionBus().get_object(keyring.bus_name, keyring.object_path)
    wallet = dbus.Interface(remote, "org.kde.KWallet")
    # There is one for handles, too, which are numbers.
    return not wallet.isOpen(wallet.networkWallet(), signature="s")


def _keychain_is_locked(_: Any) -> bool:
    """The Keychain of macOS, which from now on also asks nobody in a window whether this program may."""
    import ctypes
    import ctypes.util

    security = ctypes.CDLL(ctypes.util.find_library("Security"))
    security.SecKeychainSetUserInteractionAllowed(ctypes.c_ubyte(0))
    status = ctypes.c_uint32(0)
    failed = security.SecKeychainGetStatus(None, ctypes.byref(status))
    # kSecUnlockStateStatus
    return bool(failed) or not status.value & 1


@contextmanager
def _reported() -> Iterator[None]:
    """Around calls of the library: whatever it and the services behind it fail with becomes ``keyring_unusable``."""
    try:
        yield
    except _failures() as error:
        what = str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__
        raise StoreError("keyring_unusable", f"the system's keyring cannot be used: {what}", _HINT) from error


def _failures() -> tuple[type[Exception], ...]:
    """What can be raised, for instance because its settings name a keyring that is not installed."""
    from configparser import Error as SettingsError

    from keyring.errors import KeyringError

    kinds: list[type[Exception]] = [KeyringError, SettingsError, ImportError, AttributeError, RuntimeError, ValueError]
    kinds += [OSError]
    try:
        from jeepney import DBusErrorResponse
        from secretstorage import SecretStorageException
    except ImportError:
        pass
    else:
        kinds += [SecretStorageException, DBusErrorResponse]
    try:
        from dbus import DBusException
    except ImportError:
        pass
    else:
        kinds.append(DBusException)
    return tuple(kinds)
