"""What is installed: the wheel holds all that users need beside the code."""

from __future__ import annotations

import configparser
import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import keyctl
from keyctl.cli.catalogue import CATALOGUE
from keyctl.cli.main import main

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built once, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    [path] = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def in_share(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """What is installed under ``share``: path -> content."""
    mark = f"fido_keyctl-{keyctl.__version__}.data/data/share/"
    return {name.removeprefix(mark): wheel.read(name) for name in wheel.namelist() if name.startswith(mark)}


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(f"fido_keyctl-{keyctl.__version__}.dist-info/{name}").decode()


def test_wheel_brings_manual_pages(wheel):
    pages = {name for name in in_share(wheel) if name.startswith("man/")}
    of_commands = {f"man/man1/fido-keyctl-{name}.1" for name in CATALOGUE}
    assert pages == {"man/man1/fido-keyctl.1", "man/man5/fido-keyctl-json.5", *of_commands}


@pytest.mark.parametrize(
    ("installed", "source"),
    [
        ("bash-completion/completions/fido-keyctl", "fido-keyctl.bash"),
        ("zsh/site-functions/_fido-keyctl", "fido-keyctl.zsh"),
        ("fish/vendor_completions.d/fido-keyctl.fish", "fido-keyctl.fish"),
    ],
)
def test_wheel_brings_completions(wheel, installed, source):
    assert in_share(wheel)[installed] == (ROOT / "completions" / source).read_bytes()


def test_wheel_brings_nothing_else_outside_the_package(wheel):
    """Files under ``share`` lie beside those of the system and of other packages."""
    assert all("fido-keyctl" in Path(name).name for name in in_share(wheel))
    roots = {name.split("/")[0] for name in wheel.namelist()}
    dist = f"fido_keyctl-{keyctl.__version__}"
    assert roots == {"keyctl", f"{dist}.data", f"{dist}.dist-info"}


def test_wheel_brings_all_modules_and_data(wheel):
    wanted = {
        str(path.relative_to(ROOT)) for ending in ("py", "json") for path in (ROOT / "keyctl").rglob(f"*.{ending}")
    }
    assert {"keyctl/data/aaguids.json", "keyctl/data/advisories.json", "keyctl/cli/main.py"} <= wanted
    assert wanted <= set(wheel.namelist())


def test_wheel_brings_the_licence(wheel):
    assert metadata(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert email.message_from_string(metadata(wheel, "METADATA"))["License-Expression"] == "Apache-2.0"


def test_wheel_installs_the_program_under_both_names(wheel):
    entries = configparser.ConfigParser()
    entries.read_string(metadata(wheel, "entry_points.txt"))
    assert dict(entries["console_scripts"]) == {
        "keyctl": "keyctl.cli.main:run",
        "fido-keyctl": "keyctl.cli.main:run",
    }


def test_program_says_the_version_of_the_wheel(wheel, capsys):
    assert main(["--version"]) == 0
    version = email.message_from_string(metadata(wheel, "METADATA"))["Version"]
    assert capsys.readouterr().out == f"keyctl {version}\n"
