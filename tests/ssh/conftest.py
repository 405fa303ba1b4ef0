"""Two paired keys, a key that was derived while the backup was away, and an sshd that it may log in to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import keyctl
from tests.missing import missing

from . import server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PIN = "123456"
HOST = "ssh:server.example.com"
LABEL = "sign:release"


@dataclass(frozen=True)
class Desk:
    """keyctl as it is typed, without a terminal; PINs come from a command."""

    folder: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        # Git asks for a home folder and its settings; ssh asks nobody.
        own = {"KEYCTL_HOME": str(self.home), "PYTHONPATH": str(Path(keyctl.__file__).parent.parent)}
        git = {"HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        others = {"SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "XDG_CONFIG_HOME"}
        return {name: value for name, value in os.environ.items() if name not in others} | own | git

    def run(self, *words: str | Path, stdin: bytes = b"", status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """A command line of keyctl; None: any exit status."""
        done = subprocess.run(
            [sys.executable, "-m", "keyctl", *words],
            input=stdin,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            start_new_session=True,
            timeout=server.PATIENCE_S * 2,
            check=False,
        )
        ran = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.stderr, ran.stderr
        assert status in {None, ran.returncode}, ran.stderr
        return ran

    def give_pin(self) -> None:
        """Have the PIN where :attr:`pins` takes it from."""
        (self.folder / "pin").touch(mode=0o600)
        (self.folder / "pin").write_text(f"{PIN}\n")

    @property
    def pins(self) -> list[str]:
        return ["--pin-command", f"cat {self.folder / 'pin'}"]

    def agent(
        self, *options: str | Path, command: Sequence[str | Path], status: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """``recover ssh-agent`` with a command."""
        return self.run("recover", "ssh-agent", *options, *self.pins, "--", *command, status=status)

    def public_key(self, target: str) -> Path:
        """The line for authorized_keys in a file, as ``ssh-keygen -f`` and git take it."""
        path = self.folder / f"{target.partition(':')[0]}.pub"
        path.write_text(self.run("pair", "derive", "--for", target, "--format", "ssh").stdout)
        return path


@pytest.fixture(scope="session")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Blue and green are paired; two keys were derived while green was away, and it is back now."""
    if lacking := server.missing():
        missing(f"{', '.join(lacking)} not installed")
    folder = tmp_path_factory.mktemp("paired")
    desk = Desk(folder, folder / "home")
    desk.give_pin()
    for name, profile in (("blue", "full"), ("green", "arkg")):
        desk.run("virtual", "new", name, "--profile", profile)
        desk.run("pin", "set", "-k", f"virtual:{name}", "--pin-stdin", stdin=f"{PIN}\n".encode())
        desk.run("add", name, "-k", f"virtual:{name}")
    desk.run("pair", "create", "blue", "green", *desk.pins)
    desk.run("virtual", "unplug", "green")
    desk.run("pair", "derive", "--for", HOST, "--for", LABEL, *desk.pins)
    desk.run("virtual", "plug", "green")
    return desk


@pytest.fixture
def desk(paired: Desk, home: Path, tmp_path: Path) -> Desk:
    """A copy of these for one test."""
    shutil.copytree(paired.home, home)
    desk = Desk(tmp_path, home)
    desk.give_pin()
    return desk


@pytest.fixture(params=["ed25519"])
def host(desk: Desk, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[server.Server]:
    """An sshd that lets the derived key for :data:`HOST` in; the parameter is the kind of its own key."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    with server.running(folder, kind=request.param) as found:
        found.authorized_keys.write_text(desk.public_key(HOST).read_text())
        yield found
