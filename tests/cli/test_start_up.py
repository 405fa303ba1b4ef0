"""Help, version and completion load nothing that is slow: the modules are looked at, not the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from keyctl.cli.catalogue import CATALOGUE

ROOT = Path(__file__).parent.parent.parent
SLOW = {"fido2", "cryptography", "smartcard", "rich", "importlib.metadata", "keyctl.device", "keyctl.virtual"}

#: Runs command lines one after the other, and prints for each its status and the slow modules loaded until then.
CHILD = """
import contextlib, io, json, os, sys
from keyctl.cli.main import main

slow, steps = json.load(sys.stdin)
found = []
for arguments, variables in steps:
    os.environ.update(variables)
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        status = main(arguments)
    for name in variables:
        del os.environ[name]
    found.append([arguments, int(status), sorted(set(slow) & set(sys.modules))])
print(json.dumps(found))
"""


def run(steps: list[tuple[list[str], dict[str, str]]]) -> list[tuple[list[str], int, list[str]]]:
    """What :data:`CHILD` says of *steps*, each a command line and variables of its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([sorted(SLOW), steps]),
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[tuple[list[str], int, list[str]]] = json.loads(done.stdout)
    return found


def completing(words: str) -> tuple[list[str], dict[str, str]]:
    """What bash asks when the user presses the tabulator after *words*."""
    count = str(len(words.split(" ")) - 1)
    return [], {"_KEYCTL_COMPLETE": "bash_complete", "COMP_WORDS": words.replace(" ", "\n"), "COMP_CWORD": count}


def test_help_version_and_completion_load_nothing_slow():
    steps = [
        (["--version"], {}),
        (["--help"], {}),
        completing("keyctl "),
        completing("keyctl passkeys "),
        completing("keyctl passkeys delete --"),
        completing("keyctl completion "),
        *(([name, "--help"], {}) for name in CATALOGUE),
        (["passkeys", "delete", "--help"], {}),
        (["list", "--help", "--json"], {}),
        (["completion", "bash"], {}),
    ]
    # Each is looked at before the next one runs, and nothing was loaded before it, so the first that fails is to blame.
    assert run(steps) == [[arguments, 0, []] for arguments, _ in steps]


def test_usage_error_loads_nothing_slow():
    assert run([(["--frobnicate"], {}), (["list", "--frobnicate"], {})]) == [
        [["--frobnicate"], 2, []],
        [["list", "--frobnicate"], 2, []],
    ]


def test_command_that_does_its_work_loads_them():
    """So the names above are right, and the child would have seen them."""
    [[_, status, loaded]] = run([(["list"], {})])
    assert status == 0
    assert {"fido2", "keyctl.device"} <= set(loaded)
