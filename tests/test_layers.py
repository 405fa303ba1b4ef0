"""Imports go one way, and what is slow to load is loaded by the functions that need it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "keyctl").rglob("*.py"))

#: Layer -> what its modules may import of keyctl, beside their own layer.
MAY_IMPORT = {
    "cli": {"operations", "core", "store.paths", "errors", "model"},
    "operations": {"core", "store", "device", "errors", "model"},
    "device": {"core", "store", "virtual", "errors", "model"},
    "virtual": {"core", "store", "errors", "model"},
    "store": {"core", "errors", "model"},
    "core": {"errors", "model"},
    "model": set(),
    "errors": set(),
    "data": set(),
    "__main__": {"cli"},
    "__init__": set(),
}
#: What talks to devices, so that nothing else can.
DEVICE_LIBRARIES = ("fido2.hid", "fido2.ctap2", "fido2.client", "fido2.pcsc", "smartcard")
#: What costs more to load than all of keyctl.
SLOW_LIBRARIES = ("fido2", "cryptography", "smartcard", "rich")


class Import(NamedTuple):
    """One imported module, and whether it is imported as soon as the importing module is."""

    module: str
    line: int
    at_once: bool


def imports_of(path: Path) -> list[Import]:
    """All that *path* imports, for type checking too, each to the module and not to the name in it."""
    tree = ast.parse(path.read_text("utf-8"))
    later = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_for_types(node)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        at_once = id(node) not in later
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_once) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            found += [Import(module_of(node.module, alias.name), node.lineno, at_once) for alias in node.names]
    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def module_of(package: str, name: str) -> str:
    """The module that ``from package import name`` loads; of other people's packages, both names may be one."""
    if package.split(".", maxsplit=1)[0] != "keyctl":
        return f"{package}.{name}"
    base = ROOT.joinpath(*package.split("."), name)
    return f"{package}.{name}" if base.is_dir() or base.with_suffix(".py").is_file() else package


def within(module: str, packages: tuple[str, ...] | set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def layer_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "keyctl").parts
    return parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "keyctl"))


def test_every_layer_has_its_rule():
    assert {layer_of(path) for path in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path):
    layer = layer_of(path)
    # The package itself holds the version and nothing else.
    allowed = {f"keyctl.{part}" for part in MAY_IMPORT[layer] | {layer}}
    wrong = [
        f"{path}:{found.line} imports {found.module}"
        for found in imports_of(path)
        if found.module.startswith("keyctl.") and not within(found.module, allowed)
    ]
    assert not wrong


@pytest.mark.parametrize("path", [path for path in MODULES if layer_of(path) != "device"], ids=name_of)
def test_only_the_device_layer_talks_to_devices(path):
    wrong = [
        f"{path}:{found.line} imports {found.module}"
        for found in imports_of(path)
        if within(found.module, DEVICE_LIBRARIES)
    ]
    assert not wrong


@pytest.mark.parametrize(
    "path", [path for path in MODULES if layer_of(path) in {"cli", "operations", "core", "store"}], ids=name_of
)
def test_slow_libraries_are_loaded_when_they_are_needed(path):
    wrong = [
        f"{path}:{found.line} imports {found.module}"
        for found in imports_of(path)
        if found.at_once and within(found.module, SLOW_LIBRARIES)
    ]
    assert not wrong


def test_what_is_imported_is_seen(tmp_path):
    """The rules above hold for modules that are read rightly."""
    path = tmp_path / "some.py"
    path.write_text(
        "import fido2.hid\nfrom fido2 import ctap2\nfrom keyctl.store import paths\nfrom keyctl import __version__\n"
        "if TYPE_CHECKING:\n    from keyctl.device.session import Session\ndef f():\n    import rich\n"
    )
    assert [(found.module, found.at_once) for found in sorted(imports_of(path), key=lambda found: found.line)] == [
        ("fido2.hid", True),
        ("fido2.ctap2", True),
        ("keyctl.store.paths", True),
        ("keyctl", True),
        ("keyctl.device.session", False),
        ("rich", False),
    ]
