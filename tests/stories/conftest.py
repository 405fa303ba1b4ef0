"""Stories: transcripts of whole command lines with their output and exit status, run through the real entry point.

A story is a text file. ``# ...`` is prose. ``$ keyctl ...`` is a command line; the lines below it are its output (what
goes to stderr stands first, marked with ``! ``) and ``[exit N]`` where that is not 0. Lines that start with ``% `` set
the stage:

    % file NAME TEXT            a private file in the story's folder, its lines separated by ``|``
    % sign-up KEY SITE USER     somebody registers the virtual key at a site, with the PIN 123456
    % stdin TEXT                what the next command reads
    % swap KEY KEY              two virtual keys change places, as if each were put where the other was

``{SITE/USER}`` in a command stands for the first 16 digits of that passkey's id, ``{step WORDS}`` for the id of the
first step after a loss, among those that were last told, in which these words are. In the output the ids, which are
random, are shown as ``<SITE/USER>`` and ``<step>``, the story's folder as ``~``, dates as ``<date>``, the inventory's
own numbers as ``<id>``, and the fingerprints of seeds and derived keys as ``<seed>`` and ``<key>``; a smart card
service that does not run is not told. Nothing else is replaced. ``pytest --accept`` writes what came out into the file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keyctl.cli.main import main
from keyctl.device import registration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIN = "123456"
ID_DIGITS = 16
_STEP = re.compile(r"\[[ x]\] [0-9a-f]{10}  ")
_STEP_NAMED = re.compile(r"\{step ([^}]+)\}")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".txt":
        return StoryFile.from_parent(parent, path=file_path)
    return None


class StoryFile(pytest.File):
    def collect(self) -> Iterable[pytest.Item]:
        yield StoryItem.from_parent(self, name=self.path.stem)


class StoryItem(pytest.Item):
    def runtest(self) -> None:
        told = self.path.read_text()
        happened = Stage().play(told)
        if self.config.getoption("--accept"):
            self.path.write_text(happened)
        elif told != happened:
            raise StoryDiffersError(told, happened)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> object:
        if isinstance(excinfo.value, StoryDiffersError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)  # type: ignore[arg-type]  # passed on as it came


class StoryDiffersError(Exception):
    def __init__(self, told: str, happened: str) -> None:
        import difflib

        lines = difflib.unified_diff(told.splitlines(), happened.splitlines(), "told", "happened", lineterm="")
        super().__init__("\n".join(lines))


class Stage:
    """Where one story plays: a home and a working folder of its own."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        #: Those of earlier keys for the same account too.
        self._all_ids: list[tuple[str, str]] = []
        self._stdin = ""
        #: Lines that begin with the box and the id of a step after a loss.
        self._steps: list[str] = []

    def play(self, told: str) -> str:
        """The story with what really happened."""
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            self._folder = Path(folder).resolve()
            patch.setenv("KEYCTL_HOME", str(self._folder / "home"))
            patch.chdir(self._folder)
            lines = [line for line in told.splitlines() if line.startswith(("#", "$ ", "% ")) or not line]
            happened: list[str] = []
            for line in lines:
                if line.startswith(("$ ", "% ")) and happened and happened[-1] and happened[-1][0] not in "#%":
                    happened.append("")
                if not line and (not happened or not happened[-1]):
                    continue
                happened.append(line)
                if line.startswith("% "):
                    self._set(shlex.split(line[2:]))
                elif line.startswith("$ "):
                    happened.extend(self._run(line[2:]))
        return "\n".join(happened).rstrip("\n") + "\n"

    def _set(self, words: list[str]) -> None:
        what, *rest = words
        if what == "file":
            name, text = rest
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_text(text.replace("|", "\n") + "\n")
        elif what == "sign-up":
            key, rp_id, user = rest
            site = registration.Site(rp_id=rp_id, user_name=user, display_name=user.title())
            folder = self._folder / "home" / "virtual"
            own_id = registration.register(folder, key, site, PIN).hex()
            self._ids[f"{rp_id}/{user}"] = own_id
            self._all_ids.append((f"{rp_id}/{user}", own_id))
        elif what == "stdin":
            self._stdin = rest[0].replace("|", "\n") + "\n"
        elif what == "swap":
            one, other = (self._folder / "home" / "virtual" / f"{name}.json" for name in rest)
            aside = one.with_name("aside")
            one.rename(aside)
            other.rename(one)
            aside.rename(other)
        else:
            raise ValueError(f"no stage direction: {what}")

    def _run(self, command: str) -> Iterator[str]:
        for name, own_id in self._ids.items():
            command = command.replace(f"{{{name}}}", own_id[:ID_DIGITS])
        command = _STEP_NAMED.sub(lambda match: next(one[4:14] for one in self._steps if match[1] in one), command)
        program, *arguments = shlex.split(command)
        assert program == "keyctl"
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _stdin(self._stdin):
            status = main(arguments)
        self._stdin = ""
        self._steps = [line for line in out.getvalue().splitlines() if _STEP.match(line)] or self._steps
        yield from (f"! {line}" for line in self._stable(err.getvalue()).splitlines())
        # A line of output that is empty would end the story's block of output, and one with a # would be prose.
        yield from (f".{line}" if line[:1] in {"", "#"} else line for line in self._stable(out.getvalue()).splitlines())
        if status:
            yield f"[exit {status}]"

    def _stable(self, text: str) -> str:
        for name, own_id in self._all_ids:
            # Any prefix of eight digits or more: lists show the shortest one that is unique.
            text = re.sub(
                rf"\b{own_id[:8]}[0-9a-f]*", lambda match, name=name, own=own_id: _shown(match, name, own), text
            )
        text = re.sub(r"\b20\d\d-\d\d-\d\d(T[0-9:]{8}Z)?", "<date>", text)
        text = re.sub(
            r"\b[0-9a-f]{16}(?=\.json\b)|(?<=record, |..seed, |record \(|..seed \(|.remove )[0-9a-f]{16}",
            "<id>",
            text,
        )
        text = re.sub(r"\b[A-Z2-7]{5}(-[A-Z2-7]{5}){3}\b", "<seed>", text)
        text = re.sub(r"(?<=^\[[ x]\] )[0-9a-f]{10}(?=  )", "<step>", text, flags=re.MULTILINE)
        text = re.sub(r"(?<=--done )[0-9a-f]{10}\b|(?<=\(`)[0-9a-f]{10}(?=`\)$)", "<step>", text, flags=re.MULTILINE)
        text = re.sub(r"SHA256:[A-Za-z0-9+/]{43}", "<key>", text)
        text = re.sub(r"\bAAAAE2VjZHNh[A-Za-z0-9+/]+=*", "<public key>", text)
        # Where there are no readers, whether that service runs is the machine's own affair.
        text = re.sub(r"; the smart card service is not running( \([^)]*\))?", "", text)
        return text.replace(str(self._folder), "~")


def _shown(match: re.Match[str], name: str, own_id: str) -> str:
    return f"<{name}>" if own_id.startswith(match[0]) else match[0]


@contextlib.contextmanager
def _stdin(text: str) -> Iterator[None]:
    """A real pipe, so that the program reads it as it would read any."""
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    outside = sys.stdin
    sys.stdin = os.fdopen(reader)
    try:
        yield
    finally:
        sys.stdin.close()
        sys.stdin = outside
