"""Process number 1 of the guest: runs what the host says, one JSON object a line over a virtio serial port.

It is run as a script, from the host's file system. Loading a Python program takes seconds on the guest's processor, so
it can also load modules once and run a function of theirs in a child process of its own, any number of times.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

FOLDER = Path("/run/jobs")
POLL_S = 0.01
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Job:
    """A process in a process group of its own, whose output goes to files."""

    def __init__(self, request, number):
        self.output, self.errors, given = (FOLDER / f"{number}.{end}" for end in ("out", "err", "in"))
        self.status = None
        self.input = None
        self.told = 0
        if request["stdin"] is None:
            stdin, self.input = os.pipe()
        else:
            given.write_bytes(request["stdin"].encode(errors="surrogateescape"))
            stdin = os.open(given, os.O_RDONLY)
        streams = [
            stdin,
            *(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in (self.output, self.errors)),
        ]
        self.process = start(request, streams)
        for stream in streams:
            os.close(stream)

    def say(self, text):
        with contextlib.suppress(BrokenPipeError):
            os.write(self.input, text.encode(errors="surrogateescape"))

    def next_line(self, seconds):
        """The next line of output, or None when it does not come in time or the process ended."""
        deadline = time.monotonic() + seconds
        while True:
            over = self.is_over() or time.monotonic() > deadline
            rest = self.output.read_bytes()[self.told :]
            line, end, _ = rest.partition(b"\n")
            if end:
                self.told += len(line) + 1
                return text_of(line)
            if over:
                return None
            time.sleep(POLL_S)

    def await_said(self, text, seconds):
        """Whether *text* comes on its error output before the time is over, or the process."""
        deadline = time.monotonic() + seconds
        while True:
            over = self.is_over() or time.monotonic() > deadline
            if text in text_of(self.errors.read_bytes()):
                return True
            if over:
                return False
            time.sleep(POLL_S)

    def is_over(self):
        if self.status is None:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def kill(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, number)

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        expired = False
        while not self.is_over():
            if not expired and time.monotonic() > deadline:
                expired = True
                self.kill(signal.SIGKILL)
            time.sleep(POLL_S)
        if self.input is not None:
            os.close(self.input)
        return {
            "status": self.status,
            "expired": expired,
            "stdout": text_of(self.output.read_bytes()),
            "stderr": text_of(self.errors.read_bytes()),
        }


def start(request, streams):
    """Start the program or the function; returns the process."""
    if request["function"] is not None:
        process = os.fork()
        if process == 0:
            run(request, streams)
        return process
    # Without a copy of this large process.
    os.chdir(request["cwd"])
    return os.posix_spawnp(
        request["argv"][0],
        request["argv"],
        ENVIRONMENT | request["env"],
        file_actions=[(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)],
        setsid=True,
        setsigdef=[signal.SIGPIPE],
    )


def run(request, streams):
    """Call the function, in the child process; never returns."""
    status = 127
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        # The line to the host, too.
        os.closerange(len(streams), 64)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(ENVIRONMENT | request["env"])
        if request["user"] is not None:
            os.setgroups([])
            os.setgid(request["user"])
            os.setuid(request["user"])
        module, _, function = request["function"].partition(":")
        sys.argv = request["argv"]
        status = call(getattr(importlib.import_module(module), function))
    except BaseException:  # noqa: BLE001  # shown as the interpreter would
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)


def call(function):
    """The exit status that a script gets whose last word is *function*."""
    try:
        result = function()
    except SystemExit as error:
        result = error.code
    return result or 0


def text_of(content):
    return content.decode(errors="surrogateescape")


def obey(jobs, request):
    number = request["job"]
    match request["do"]:
        case "load":
            sys.path[:0] = request["folders"]
            for name in request["modules"]:
                # What needs a library that is not installed cannot be called either.
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
            return {}
        case "start":
            jobs[number] = Job(request, number)
            return {}
        case "write":
            path = Path(request["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(request["text"].encode(errors="surrogateescape"))
            path.chmod(request["mode"])
            return {}
        case "ask":
            jobs[number].say(request["line"] + "\n")
            return {"line": jobs[number].next_line(request["seconds"])}
        case "listen":
            return {"said": jobs[number].await_said(request["text"], request["seconds"])}
        case "kill":
            jobs[number].kill(request["signal"])
            return {}
        case "wait":
            return jobs.pop(number).wait(request["seconds"])


def main():
    os.environ |= ENVIRONMENT
    FOLDER.mkdir(mode=0o700)
    # The only one; the number of its controller differs from boot to boot.
    while not (ports := list(Path("/dev").glob("vport*"))):
        time.sleep(POLL_S)
    with ports[0].open("r+b", buffering=0) as port:
        port.write(b"{}\n")
        jobs = {}
        received = b""
        while True:
            received += port.read(65536)
            *lines, received = received.split(b"\n")
            for line in lines:
                try:
                    answer = obey(jobs, json.loads(line))
                except OSError as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                rest = json.dumps(answer).encode() + b"\n"
                while rest:
                    rest = rest[port.write(rest) :]


main()
