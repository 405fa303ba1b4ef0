"""The person at the terminal: questions and PINs go there, whatever stdin and stdout are.

Whether there is a terminal: stderr is one, and /dev/tty opens. Without one nothing is asked and nothing waited for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from keyctl.core.names import composed, quoted
from keyctl.core.text import reason_of, tries, visible
from keyctl.errors import DeclinedError, PinError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.cli.pin_sources import PinSource
    from keyctl.operations.asking import PinRequest

_NEW_PIN_ROUNDS = 3
#: Who reads it off another screen mistypes easily, and may have spent a touch before.
_FINGERPRINT_ROUNDS = 3


def present() -> bool:
    """Whether a person can be asked."""
    if sys.stderr is None or not sys.stderr.isatty():
        return False
    if os.name != "posix":
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Around writing to stdout: whatever is in the way, a full disk for instance, ends as a broken pipe does."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        say(f"keyctl: error: cannot write the output: {reason_of(error)}")
        raise BrokenPipeError from error


def say(text: str) -> None:
    """A line for people, on stderr, at once; that nobody can read it changes nothing about what is done."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(f"{visible(text)}\n")
            sys.stderr.flush()
        except OSError:
            abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Keep Python from failing at exit, with a status of its own, over what *stream* could not take."""
    with contextlib.suppress(OSError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


class Person:
    """Answers an operation's questions: from the terminal, or from the options that stand in for a person.

    Args:
        present: Whether a person is there at all.
        terminal: Whether questions may be asked there.
        pin_source: Where PINs come from instead of the prompt, or None.
        yes: Whether ``--yes`` was given; None for a command that has no such option.
        confirm: The text of ``--confirm``, or None.
    """

    def __init__(
        self,
        *,
        present: bool,
        terminal: bool,
        pin_source: PinSource | None = None,
        yes: bool | None = None,
        confirm: str | None = None,
    ) -> None:
        self._present = present
        self._terminal = terminal
        self._pin_source = pin_source
        self._yes = yes
        self._confirm = confirm

    @property
    def attended(self) -> bool:
        """Whether PINs are typed in by a person."""
        return self._terminal and self._pin_source is None

    @property
    def can_choose(self) -> bool:
        """Whether a person can touch the key that is meant, and no PIN waits for a key that is named."""
        return self._present and self._pin_source is None

    @property
    def _nobody_to_ask(self) -> str:
        return "--no-input forbids to ask" if self._present else "there is no terminal to ask on"

    def pin(self, request: PinRequest) -> str:
        """Take the PIN from its source; a new one is asked for twice at a terminal."""
        if self._pin_source is not None:
            return self._pin_source(request)
        if not self._terminal:
            raise PinError(
                "pin_required",
                f"the PIN of {request.key} is needed, and {self._nobody_to_ask}",
                "give it with --pin-stdin, --pin-file FILE or --pin-command CMD",
                key=request.key,
            )
        if request.purpose == "current":
            return _hidden(f"PIN for {request.key} ({tries(request.tries_left)} left): ", request)
        return _new_pin(request)

    def passphrase(self, file: str) -> str | None:
        """Ask for it at the terminal and nowhere else; nothing typed leaves the file locked."""
        if not self._terminal:
            return None
        try:
            return _typed(f"Passphrase for {file} (nothing: leave it locked): ") or None
        except EOFError:
            return None
        except UnicodeDecodeError:
            say("what was typed is not in the character set of the terminal; see `locale`")
            return None

    def check_confirmable(self, typed: str | None = None, warning: str = "") -> None:
        """Refuse where neither a person nor an option can confirm; *typed* wants more than ``--yes``."""
        if not (self._terminal or self._confirm is not None or (self._yes and typed is None)):
            for line in warning.splitlines():
                say(line)
            option = f"--confirm {quoted(typed)}" if typed is not None else "--yes"
            if typed is None and self._yes is None:
                option = "--confirm TEXT with the name of the key"
            raise UsageError(
                "confirm_required",
                f"this wants a confirmation, and {self._nobody_to_ask}",
                f"give {option}, or --dry-run to see what would happen",
            )

    def check_pins_for(self, keys: int) -> None:
        """Refuse several keys where PINs come as lines that do not say whose they are."""
        if keys > 1 and self._pin_source is not None and not self._pin_source.by_key:
            raise UsageError(
                "usage",
                f"{keys} keys want their PIN, and lines from stdin or a file do not say whose they are",
                "give --pin-command CMD, which sees KEYCTL_KEY; where one key will do, choose it with -k",
            )

    def confirm(self, question: str, text: str | None = None) -> None:
        """Ask for yes or no; no is the default. ``--confirm`` with the right *text* is a yes too."""
        if self._yes:
            return
        if self._confirm is not None and text is not None:
            self.check_given(text, typed=False)
            return
        self.check_confirmable()
        if _asked(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
            raise _declined()

    def confirm_by_typing(self, warning: str, text: str) -> None:
        """Have the name of what is destroyed typed back."""
        self.check_confirmable(text, warning)
        if self._confirm is not None:
            self.check_given(text, typed=True)
            return
        # A name may hold what nobody can type, a line feed for instance: then what is shown for it is meant.
        shown = visible(text)
        if composed(_asked(f"{warning}\nType {shown} to go on: ").strip()) not in {
            composed(text).strip(),
            composed(shown).strip(),
        }:
            raise _declined()

    def check_given(self, text: str, *, typed: bool) -> None:
        """Refuse a ``--confirm`` that is not *text*; where no typing is wanted, ``--yes`` is enough."""
        if self._confirm is None or (self._yes and not typed):
            return
        if composed(self._confirm) != composed(text):
            raise DeclinedError(
                "declined",
                f"--confirm says {self._confirm}, but this is {text}; nothing was changed",
                f"give --confirm {quoted(text)} if that is what you mean",
            )

    def can_compare(self, fingerprint: str) -> bool:
        """Whether it is the one given as ``--confirm``, or can be typed."""
        from keyctl.core import fingerprints

        if self._confirm is not None:
            return fingerprints.matches(fingerprint, self._confirm)
        if not self._terminal:
            raise UsageError(
                "confirm_required",
                f"this wants a fingerprint to be compared, and {self._nobody_to_ask}",
                "give --confirm FINGERPRINT: all four groups, from paper or from the screen of the other computer",
            )
        return True

    def fingerprint(self, question: str, fingerprint: str) -> None:
        """Have it typed as the other screen shows it, or given as ``--confirm``."""
        from keyctl.core import fingerprints

        if not self.can_compare(fingerprint):
            raise _other_fingerprint("--confirm is not")
        if self._confirm is not None:
            return
        prompt = "Type all four groups of it: "
        for attempt in range(_FINGERPRINT_ROUNDS):
            typed = _asked(f"{question}\n{prompt}" if attempt == 0 else prompt).strip()
            if fingerprints.matches(fingerprint, typed):
                return
            if not typed:
                raise _declined()
            say("that is not it")
        raise _other_fingerprint("what was typed is not")

    def tell(self, text: str) -> None:
        """Say something at once."""
        say(text)


def _asked(question: str) -> str:
    """The line that was typed; end of input counts as no answer, and so does a terminal that goes away."""
    *lines, prompt = question.split("\n")
    answer = ""
    with contextlib.suppress(OSError), _tty() as (reader, writer):
        for line in lines:
            writer.write(f"{visible(line)}\n")
        writer.write(visible(prompt))
        writer.flush()
        try:
            answer = reader.readline()
        finally:
            if not answer.endswith("\n"):
                writer.write("\n")
    return answer


@contextlib.contextmanager
def _tty() -> Iterator[tuple[TextIO, TextIO]]:
    """The terminal for reading and for writing, whatever stdin and stdout are."""
    source, target = ("/dev/tty", "/dev/tty") if os.name == "posix" else ("CONIN$", "CONOUT$")
    with (
        open(source, encoding="utf-8", errors="replace") as reader,  # noqa: PTH123  # pathlib slows every start
        open(target, "w", encoding="utf-8", errors="replace") as writer,  # noqa: PTH123  # as above
    ):
        yield reader, writer


def _new_pin(request: PinRequest) -> str:
    """A new PIN that the key may take, typed twice alike; what it would refuse is not asked for a second time."""
    from keyctl.core import pins

    limits = {"min_length": request.min_length or 0, "max_length": request.max_length or pins.MAX_BYTES}
    for left in reversed(range(_NEW_PIN_ROUNDS)):
        pin = _hidden(f"New PIN for {request.key} (at least {request.min_length} characters): ", request)
        try:
            pins.check_new(pins.normalised(pin), **limits)
        except PinError as error:
            if not left:
                raise error.about(request.key) from None
            say(f"{error.message}; nothing was sent to the key")
            continue
        if _hidden("The same again: ", request) == pin:
            return pin
        say("the two are not the same; nothing was sent to the key")
    raise PinError("pin_policy", "the new PIN was not typed twice alike", "start again", key=request.key)


def _hidden(prompt: str, request: PinRequest) -> str:
    """The PIN that is typed while the terminal shows nothing."""
    try:
        typed = _typed(prompt)
    except EOFError as error:
        raise _declined() from error
    except UnicodeDecodeError as error:
        raise PinError(
            "pin_policy",
            "what was typed is not in the character set of the terminal",
            "nothing was sent to the key; see `locale`",
            key=request.key,
        ) from error
    if not typed:
        raise PinError(
            "pin_required", f"no PIN was typed for {request.key}", "nothing was sent to the key", key=request.key
        )
    return typed


def _typed(prompt: str) -> str:
    """What is typed while the terminal shows nothing; its echo is restored however this ends.

    Raises:
        EOFError: The input ended, or the terminal went away.
    """
    import getpass

    try:
        return getpass.getpass(visible(prompt))
    except OSError as error:
        raise EOFError from error
    except (EOFError, KeyboardInterrupt, UnicodeDecodeError):
        # The prompt is still at the end of its line.
        say("")
        raise


def _declined() -> DeclinedError:
    return DeclinedError("declined", "nothing was changed", None)


def _other_fingerprint(what: str) -> DeclinedError:
    return DeclinedError(
        "declined",
        f"{what} the fingerprint of this seed; nothing was changed",
        "if it is what the other computer shows, this is another seed, and somebody may have put it there",
    )
