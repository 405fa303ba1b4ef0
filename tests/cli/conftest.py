"""Running keyctl: in this process, as a child without a terminal, and on a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Ctap2

import keyctl
from keyctl.cli.main import main
from keyctl.errors import CODES, EXIT_MEANINGS
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from tests.records import put

from .terminal import PATIENCE_S, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIN = "123456"


@dataclass(frozen=True)
class Ran:
    """One command line after it ended; nothing that may never happen has happened."""

    status: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.err, self.err
        assert self.status in EXIT_MEANINGS, (self.status, self.err)
        assert self.status != 1, self.err

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` printed: one document on one line and nothing else."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        found: dict[str, Any] = json.loads(self.out)
        assert found["schema"] == "keyctl/1"
        assert found["exit_status"] == self.status
        for error in found["errors"]:
            assert error["code"] in CODES
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The one error of the document."""
        [found] = self.document["errors"]
        assert self.document["data"] is None
        assert CODES[found["code"]][0] == self.status
        return found

    @property
    def code(self) -> str:
        """The code of the one error."""
        found: str = self.error["code"]
        return found


class VirtualKeys:
    """Virtual keys of the test's home, made and looked at without the command line."""

    PIN = PIN

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "virtual"

    def new(self, name: str = "blue", *settings: str, pin: str | None = PIN, profile: str = "full") -> str:
        """Make a key; returns its selector."""
        keys.new(self.folder, name, profile)
        if pin is not None:
            with self.open(name) as device:
                ClientPin(Ctap2(device)).set_pin(pin)
        if settings:
            self.set(name, *settings)
        return f"virtual:{name}"

    def open(self, name: str = "blue") -> VirtualDevice:
        return VirtualDevice(self.folder, name)

    def set(self, name: str, *settings: str) -> None:
        keys.configure(self.folder, name, settings)

    def tries(self, name: str = "blue") -> int:
        """How many wrong PINs the key still takes."""
        with self.open(name) as device:
            return ClientPin(Ctap2(device)).get_pin_retries()[0]

    def spend(self, down_to: int) -> None:
        """Give wrong PINs until so many tries are left."""
        while self.tries() > down_to:
            self.takes("000000")
            self.unplug()
            self.plug()

    def takes(self, pin: str, name: str = "blue") -> bool:
        """Whether *pin* is the PIN; asks the key, so a wrong one costs a try."""
        with self.open(name) as device:
            client = ClientPin(Ctap2(device))
            with contextlib.suppress(CtapError):
                return bool(client.get_pin_token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT))
            return False

    def has_pin(self, name: str = "blue") -> bool:
        with self.open(name) as device:
            return bool(Ctap2(device).info.options["clientPin"])

    def plug(self, name: str = "blue") -> None:
        keys.plug(self.folder, name)

    def unplug(self, name: str = "blue") -> None:
        keys.unplug(self.folder, name)

    def age(self, name: str = "blue") -> None:
        """Have the key been plugged in for long, so that it refuses a reset."""
        path = self.folder / f"{name}.settings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"powered_at": 1.0}))

    def make(self, rp: str, user: dict[str, Any], name: str = "blue") -> str:
        """Make a passkey with texts of any kind; returns its id."""
        with self.open(name) as device:
            ctap = Ctap2(device)
            client = ClientPin(ctap)
            token = client.get_pin_token(self.PIN, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp)
            made = ctap.make_credential(
                bytes(32),
                {"id": rp, "name": rp},
                {"id": os.urandom(16), **user},
                [{"type": "public-key", "alg": -7}],
                options={"rk": True},
                pin_uv_param=client.protocol.authenticate(token, bytes(32)),
                pin_uv_protocol=client.protocol.VERSION,
            )
        data = made.auth_data.credential_data
        assert data is not None
        return data.credential_id.hex()


@pytest.fixture
def virtual(home: Path) -> VirtualKeys:
    return VirtualKeys(home)


@pytest.fixture
def blue(virtual: VirtualKeys) -> str:
    """A virtual key with a PIN; its selector."""
    return virtual.new("blue")


@pytest.fixture
def write(home: Path) -> Callable[..., None]:
    """Put records into the inventory as they are."""
    return partial(put, home)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command line in this process, without a terminal; ``stdin`` is what comes from there."""

    def run(*arguments: str, stdin: bytes = b"") -> Ran:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main(arguments)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """Of children: they run this very keyctl, wherever they are."""
    # What the developer has set of these is nobody else's business.
    foreign = {"COLUMNS", "LINES", "NO_COLOR", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8"}
    own = {name: value for name, value in os.environ.items() if name not in foreign}
    return own | {"PYTHONPATH": str(Path(keyctl.__file__).parent.parent), "TERM": "dumb"}


@pytest.fixture
def child(environment: dict[str, str]) -> Callable[..., Ran]:
    """Run a command line as a process in a session of its own, so that it has no terminal."""

    def child(*arguments: str, stdin: bytes = b"", variables: dict[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "keyctl", *arguments],
            input=stdin,
            env=environment | (variables or {}),
            capture_output=True,
            start_new_session=True,
            timeout=PATIENCE_S,
            check=False,
        )
        # Tests of streams make them print what is no UTF-8.
        return Ran(
            done.returncode, *(stream.decode(errors="backslashreplace") for stream in (done.stdout, done.stderr))
        )

    return child


@pytest.fixture
def shell(environment: dict[str, str]) -> Callable[..., Ran]:
    """Run a line of sh in which ``$K`` is keyctl, without a terminal; ``stdin`` is a descriptor."""

    def shell(line: str, stdin: int = subprocess.DEVNULL, **variables: str) -> Ran:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            stdin=stdin,
            env=environment | {"K": f"{sys.executable} -m keyctl"} | variables,
            capture_output=True,
            start_new_session=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Ran(done.returncode, *(stream.decode() for stream in (done.stdout, done.stderr)))

    return shell


@pytest.fixture
def at_terminal(environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Start a command line on a terminal."""
    with contextlib.ExitStack() as stack:

        def at_terminal(*arguments: str, variables: dict[str, str] | None = None, **facts: Any) -> Terminal:
            terminal = Terminal(*arguments, environment=environment | (variables or {}), **facts)
            return stack.enter_context(terminal)

        yield at_terminal


@pytest.fixture
def pin_file(tmp_path: Path) -> Callable[..., str]:
    """Write a private file; returns its path."""

    def pin_file(content: str | bytes = f"{PIN}\n", name: str = "pin") -> str:
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return pin_file
