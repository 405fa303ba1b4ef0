"""Keyrings for tests: GNOME's own on a bus of its own, and one that forgets at the end of the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import keyring
from keyring.backend import KeyringBackend
from keyring.backends import SecretService, Windows

from tests.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

PATIENCE_S = 60
#: A bus that starts no service by itself: neither another keyring nor a window that asks for a password.
BUS = """<busconfig>
<type>session</type>
<listen>{address}</listen>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>
"""


class Vault(Windows.WinVaultKeyring):
    """Passes for the one of Windows, which is never locked, and keeps what it gets in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class Plain(KeyringBackend):
    """Keeps what it gets where everybody can read it, for all that is known."""

    priority = 2

    def get_password(self, service: str, username: str) -> str | None:
        raise AssertionError((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError((service, username, password))


@contextlib.contextmanager
def chosen(backend: KeyringBackend) -> Iterator[KeyringBackend]:
    """Have the library use *backend*."""
    before = keyring.core._keyring_backend
    keyring.set_keyring(backend)
    try:
        yield backend
    finally:
        keyring.core._keyring_backend = before


@contextlib.contextmanager
def of_gnome(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService.Keyring]:
    """GNOME's keyring, unlocked, and nothing of the developer's."""
    for program in ("dbus-daemon", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed")
    # The paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="keyctl-keyring-"))
    address = f"unix:path={folder}/bus"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "DBUS_SESSION_BUS_ADDRESS": address,
    }
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        settings = folder / "bus.conf"
        settings.write_text(BUS.format(address=address))
        bus = ["dbus-daemon", f"--config-file={settings}", "--nofork", "--nopidfile", "--nosyslog", "--print-address"]
        daemons.append(_started(bus, environment))
        assert daemons[0].stdout is not None
        daemons[0].stdout.readline()
        daemons.append(
            _started(["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"], environment)
        )
        assert daemons[1].stdin is not None
        daemons[1].stdin.write(b"a password")
        daemons[1].stdin.close()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        _wait_for_service()
        with chosen(SecretService.Keyring()) as backend:
            assert isinstance(backend, SecretService.Keyring)
            yield backend
    finally:
        for daemon in reversed(daemons):
            with daemon:
                daemon.terminate()
        shutil.rmtree(folder)


def lock() -> None:
    """Lock the keyring that is there, as a screen saver may."""
    import secretstorage

    with contextlib.closing(secretstorage.dbus_init()) as connection:
        secretstorage.get_default_collection(connection).lock()


def _started(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def _wait_for_service() -> None:
    import secretstorage

    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.closing(secretstorage.dbus_init()) as connection:
            if secretstorage.check_service_availability(connection):
                with contextlib.suppress(secretstorage.ItemNotFoundException):
                    secretstorage.Collection(connection)
                    return
        time.sleep(0.05)
    raise AssertionError("the keyring did not come up")
