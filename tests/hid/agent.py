"""Process number 1 of the guest: runs what the host says, one JSON object a line over a virtio serial port.

It is run by itself, from the host's file system, and imports nothing of the project.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

FOLDER = Path("/run/jobs")
POLL_S = 0.01
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Job:
    """A process in a process group of its own, whose output goes to files."""

    def __init__(self, request, number):
        self.output = FOLDER / f"{number}.out"
        self.errors = FOLDER / f"{number}.err"
        self.told = 0
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                request["argv"],
                cwd=request["cwd"],
                env={"PATH": PATH, "LANG": "C.UTF-8", **request["env"]},
                user=request["user"],
                group=request["user"],
                extra_groups=None if request["user"] is None else [],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        if request["stdin"] is not None:
            # No more than a pipe holds.
            self.say(request["stdin"])
            self.process.stdin.close()

    def say(self, text):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text.encode(errors="surrogateescape"))
            self.process.stdin.flush()

    def next_line(self, seconds):
        """The next line of output, or None when it does not come in time or the process ended."""
        deadline = time.monotonic() + seconds
        while True:
            over = self.process.poll() is not None or time.monotonic() > deadline
            rest = self.output.read_bytes()[self.told :]
            line, end, _ = rest.partition(b"\n")
            if end:
                self.told += len(line) + 1
                return text_of(line)
            if over:
                return None
            time.sleep(POLL_S)

    def kill(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait(self, seconds):
        expired = False
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            expired = True
            self.kill(signal.SIGKILL)
            self.process.wait()
        return {
            "status": self.process.returncode,
            "expired": expired,
            "stdout": text_of(self.output.read_bytes()),
            "stderr": text_of(self.errors.read_bytes()),
        }


def text_of(content):
    return content.decode(errors="surrogateescape")


def obey(jobs, request):
    number = request["job"]
    match request["do"]:
        case "start":
            jobs[number] = Job(request, number)
            return {}
        case "ask":
            jobs[number].say(request["line"] + "\n")
            return {"line": jobs[number].next_line(request["seconds"])}
        case "kill":
            jobs[number].kill(request["signal"])
            return {}
        case "wait":
            return jobs.pop(number).wait(request["seconds"])


def main():
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
                except (OSError, subprocess.SubprocessError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                rest = json.dumps(answer).encode() + b"\n"
                while rest:
                    rest = rest[port.write(rest) :]


main()
