"""Writes ``recorded.json``: what the programs of OpenSSH that are installed say to an agent.

Run it from the root of the repository, ``.venv/bin/python -m tests.vectors.ssh.record``; an sshd is needed.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from keyctl.core import key_formats, sshsig
from keyctl.core import ssh_agent_messages as messages
from tests.ssh import server

_KINDS = {
    "ed25519": ("ed25519",),
    "rsa": ("rsa", "-b", "2048"),
    "ecdsa256": ("ecdsa", "-b", "256"),
    "ecdsa384": ("ecdsa", "-b", "384"),
    "ecdsa521": ("ecdsa", "-b", "521"),
}


class Recorder:
    """An agent with one key in memory that keeps every request but those for the list of keys."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.derive_private_key(1, ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        self.blob = key_formats.openssh_blob(self.point)
        self.requests: list[bytes] = []
        self.path = folder / "agent"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self) -> list[str]:
        """What was recorded since the last time."""
        taken, self.requests = self.requests, []
        return [request.hex() for request in taken]

    def _accept(self) -> None:
        while True:
            connection = self._listener.accept()[0]
            threading.Thread(target=self._serve, args=(connection.makefile("rwb"),), daemon=True).start()

    def _serve(self, stream) -> None:
        while head := stream.read(4):
            message = stream.read(int.from_bytes(head, "big"))
            request = messages.read(message)
            answer = messages.SUCCESS
            if isinstance(request, messages.ListRequest):
                answer = messages.identities([(self.blob, "recorded")])
            else:
                self.requests.append(message)
            if isinstance(request, messages.SignRequest):
                der = self.key.sign(request.data, ec.ECDSA(hashes.SHA256()))
                answer = messages.signed(sshsig.ecdsa_signature(der))
            stream.write(messages.framed(answer))
            stream.flush()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorder = Recorder(folder)
        environment = os.environ | {"SSH_AUTH_SOCK": str(recorder.path)}

        def run(*command: str | Path) -> None:
            subprocess.run(command, env=environment, check=True, capture_output=True)

        line = f"ecdsa-sha2-nistp256 {base64.b64encode(recorder.blob).decode()} recorded\n"
        recorded = {}
        for kind, words in {**_KINDS, "certificate": ("ed25519",)}.items():
            place = folder / kind
            place.mkdir()
            server.make_host_key(place, *words)
            more = []
            if kind == "certificate":
                authority = folder / "authority"
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority)
                run("ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "127.0.0.1", place / "host.pub")
                more = [f"HostCertificate {place / 'host-cert.pub'}"]
            with server.running(place, more=more) as host:
                host.authorized_keys.write_text(line)
                if more:
                    (place / "known_hosts").write_text(
                        f"@cert-authority [127.0.0.1]:{host.port},127.0.0.1 {(folder / 'authority.pub').read_text()}"
                    )
                run(*host.ssh(), "true")
                recorded[kind] = recorder.taken()
                if kind == "ed25519":
                    run(*host.ssh("-A"), "ssh-add", "-l")
                    recorded["forwarded"] = recorder.taken()
                    run(*host.ssh("-o", "PubkeyAuthentication=unbound"), "true")
                    recorded["unbound"] = recorder.taken()
        public, message = folder / "key.pub", folder / "message"
        public.write_text(line)
        message.write_text("recorded\n")
        run("ssh-keygen", "-Y", "sign", "-n", "file", "-f", public, message)
        recorded["sshsig"] = recorder.taken()
        armored = (folder / "message.sig").read_text()
        run("ssh-add", "-D")
        recorded["other"] = recorder.taken()
        version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.strip()
        content = {
            "source": f"recorded from the programs of {version} by tests/vectors/ssh/record.py",
            "what": "messages to the agent, hex, without their length; those that list keys are left out",
            "key": recorder.point.hex(),
            "message": "recorded\n",
            "requests": recorded,
            "sshsig_file": armored,
        }
        target = Path(__file__).with_name("recorded.json")
        target.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
