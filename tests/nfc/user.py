"""A user with cards and a password manager, who types whole command lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from keyctl.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PINS = {"blue": "123456", "green": "correct horse"}
#: Tells the PIN of the key that it is asked about, and notes which that was.
PASSWORD_MANAGER = """
echo "$KEYCTL_KEY" >>"{log}"
case "$KEYCTL_KEY" in {cases} *) exit 1;; esac
"""


class Desk:
    """A user with a password manager; *folder* is for the latter."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._folder = folder
        self._log = folder / "asked"
        self._manager = folder / "manager"
        cases = " ".join(f'{name}) echo "{pin}";;' for name, pin in PINS.items())
        self._manager.write_text(PASSWORD_MANAGER.format(log=self._log, cases=cases))
        #: What people were told by the last command, and its errors.
        self.said = ""
        self.errors: list[Any] = []

    def keyctl(self, *words: str, expected: int = 0, pin_of: str | None = None) -> Any:
        """What a command printed as data; where it printed none, the codes of its errors.

        Args:
            words: The command line.
            expected: The exit status.
            pin_of: The key whose PIN is given for whatever key it is; None: the password manager is asked.
        """
        given = ("--pin-command", self.manager) if pin_of is None else ("--pin-file", self._pin_file(pin_of))
        self._capsys.readouterr()
        status = main([*words, "--json", *given])
        output, self.said = self._capsys.readouterr()
        document = json.loads(output)
        self.errors = document["errors"]
        assert status == document["exit_status"] == expected, self.errors
        return document["data"] or [error["code"] for error in self.errors]

    @property
    def manager(self) -> str:
        """What ``--pin-command`` takes."""
        return f"sh {self._manager}"

    def _pin_file(self, name: str) -> str:
        path = self._folder / f"{name}.pin"
        path.touch(mode=0o600)
        path.write_text(f"{PINS[name]}\n")
        return str(path)

    def asked_for(self) -> list[str]:
        """The keys whose PIN was wanted since the last time."""
        names = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return names

    def rows(self, *options: str) -> dict[tuple[str, str], Any]:
        """What ``coverage`` tells, by site and account."""
        data = self.keyctl("coverage", *options)
        return {(row["rp_id"], row["account"]): row for row in data["services"]}

    def listed(self) -> dict[str, Any]:
        """What ``list`` tells, by name, or selector where there is no name."""
        return {key["name"] or key["selector"]: key for key in self.keyctl("list")["keys"]}
