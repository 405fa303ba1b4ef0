"""What all tests share: a home of their own, no real card readers, and no skipping where it counts."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests import keyrings

# The developer's own card readers are none of a test's business. The library reads this once per process, so it is set
# before any test; tests/nfc puts the address of a daemon of its own here.
os.environ.setdefault("PCSCLITE_CSOCK_NAME", "/nonexistent/pcscd.comm")


# No test is a matter of how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="write what came out into the stories and golden files")


# Started in the background by a shell, this process ignores Ctrl-C, and so would every program that the tests run.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for every test; nothing reads or writes the developer's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("KEYCTL_HOME", str(folder))
    return folder


@pytest.fixture
def vault() -> Iterator[keyrings.Vault]:
    """A keyring that takes tokens, and forgets them at the end of the test."""
    from tests import keyrings

    with keyrings.chosen(keyrings.Vault()) as backend:
        yield backend


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist, a file stays with one worker, and all that needs the guest shares one boot."""
    for item in items:
        group = "guest" if "hid" in item.path.parts else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly: where CI=true, a skipped test means that a component is missing."""
    if os.environ.get("CI") == "true" and terminalreporter.stats.get("skipped"):
        terminalreporter.section("a skipped test is a failure here", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
