"""An sshd of the tests' own: the running user, loopback, an ephemeral port, one host key, one list of keys."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Seconds; only a program that hangs takes so long.
PATIENCE_S = 60.0
_SEPARATION = Path("/run/sshd")


@dataclass(frozen=True)
class Server:
    """An sshd that runs."""

    folder: Path
    port: int

    @property
    def authorized_keys(self) -> Path:
        return self.folder / "authorized_keys"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ssh(self, *options: str) -> list[str]:
        """The beginning of a command line of ssh that logs in here, up to the host."""
        known = self.folder / "known_hosts"
        settings = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "IdentityFile=none"]
        chosen = [word for setting in settings for word in ("-o", setting)]
        return ["ssh", "-F", "none", *chosen, "-p", str(self.port), *options, "127.0.0.1"]


def missing() -> list[str]:
    """Programs that are not there."""
    programs = {"sshd": sshd(), **{name: shutil.which(name) for name in ("ssh", "ssh-keygen", "ssh-add", "git")}}
    return [name for name, path in programs.items() if path is None]


def sshd() -> str | None:
    """Which wants to be started by its whole path."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def make_host_key(folder: Path, kind: str, *more: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *more, "-N", "", "-f", folder / "host"], check=True)


@contextlib.contextmanager
def running(folder: Path, *, kind: str = "ed25519", more: Sequence[str] = ()) -> Iterator[Server]:
    """An sshd with its files in *folder*; a host key that is there already is taken."""
    if not (folder / "host").exists():
        make_host_key(folder, kind)
    (folder / "authorized_keys").touch(mode=0o600)
    program = sshd()
    assert program is not None
    if os.geteuid() == 0 and not _SEPARATION.exists():
        _SEPARATION.mkdir(mode=0o755)
    for _ in range(5):
        port = _free_port()
        (folder / "config").write_text("\n".join([*_config(folder, port), *more, ""]))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, "-D", "-e", "-f", folder / "config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            # Somebody else may have taken the port meanwhile.
            if not _answers(process, port):
                continue
            public = (folder / "host.pub").read_text().split()
            (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n")
            yield Server(folder, port)
            return
        finally:
            process.terminate()
            process.wait()
    raise AssertionError((folder / "log").read_text())


def _config(folder: Path, port: int) -> list[str]:
    return [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        f"AllowUsers {pwd.getpwuid(os.geteuid()).pw_name}",
        "PermitRootLogin prohibit-password",
        "AuthenticationMethods publickey",
        "UsePAM no",
        "StrictModes no",
        "PidFile none",
        "LogLevel VERBOSE",
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            return connection.recv(4) == b"SSH-"
        time.sleep(0.02)
    return False
