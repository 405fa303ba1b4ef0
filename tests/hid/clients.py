"""Other people's programs for security keys, as somebody at the guest runs them: libfido2's tools and OpenSSH's."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desk import Computer, Plugged

#: Told by the client program, which hashes what it likes; the tools take it as it is.
CLIENT_DATA_HASH = bytes(range(32))


@dataclass(frozen=True)
class Listed:
    """One line of ``fido2-token -L -k``. Ids are hexadecimal."""

    credential_id: str
    display_name: str
    user_id: str
    algorithm: str
    protection: str


@dataclass(frozen=True)
class Made:
    """A credential whose attestation was found to be right."""

    rp_id: str
    credential_id: str
    algorithm: str
    #: What fido2-cred told, line by line, and the public key as a file in the guest.
    lines: tuple[str, ...]
    public_key: str

    @property
    def format(self) -> str:
        """That of the attestation."""
        return self.lines[2]


class Libfido2:
    """Its tools, on one key.

    They read PINs from a terminal, or where there is none from standard input.

    Args:
        computer: Where they run.
        key: The key.
        pin: Its PIN, now or as soon as it has one.
    """

    def __init__(self, computer: Computer, key: Plugged, pin: str = "") -> None:
        self._computer = computer
        self._key = key
        self._pin = pin
        self._folder = computer.new_path()

    def token(self, *arguments: str, typed: tuple[str, ...] = (), status: int = 0) -> str:
        """Run fido2-token; returns what it said."""
        return self._computer.run("fido2-token", *arguments, self._key.node, stdin=_lines(*typed), status=status)

    def told(self) -> dict[str, str]:
        """What ``fido2-token -I`` prints: name -> text."""
        lines = (line.partition(": ") for line in self.token("-I").splitlines())
        return {name: text for name, _, text in lines}

    def set_pin(self) -> None:
        """Give the key its first PIN."""
        self.token("-S", typed=(self._pin, self._pin))

    def change_pin(self, new: str) -> None:
        """Replace the PIN."""
        self.token("-C", typed=(self._pin, new, new))
        self._pin = new

    def site_names(self) -> list[str]:
        """The RP ids of all passkeys, sorted."""
        sites = self.token("-L", "-r", typed=(self._pin,))
        return sorted(line.split(maxsplit=2)[2] for line in sites.splitlines())

    def passkeys(self, *rp_ids: str) -> list[Listed]:
        """The passkeys of those sites, which have some."""
        found = []
        for rp_id in rp_ids:
            for line in self.token("-L", "-k", rp_id, typed=(self._pin,)).splitlines():
                _, credential_id, display_name, user_id, algorithm, protection = line.split()
                found.append(Listed(_hex(credential_id), display_name, _hex(user_id), algorithm, protection))
        return found

    def delete(self, credential_id: str) -> None:
        """Delete a passkey."""
        self.token("-D", "-i", base64(credential_id), typed=(self._pin,))

    def rename(self, passkey: Listed, name: str, display_name: str) -> None:
        """Change the names of a passkey's user."""
        ids = ("-i", base64(passkey.credential_id), "-k", base64(passkey.user_id))
        self.token("-S", "-c", *ids, "-n", name, "-p", display_name, typed=(self._pin,))

    def request(self, rp_id: str, user: str) -> str:
        """The file in the guest that tells fido2-cred what to make."""
        return self._file("request", base64(CLIENT_DATA_HASH.hex()), rp_id, user, base64(user.encode().hex()))

    def store(self, rp_id: str, user: str, *options: str) -> None:
        """Make a passkey; *options* as for :meth:`make`."""
        self._make(rp_id, user, "es256", ("-r", *options))

    def make(self, rp_id: str, user: str, *options: str, algorithm: str = "es256") -> Made:
        """Make a credential and verify its attestation.

        Args:
            rp_id: Whose.
            user: Name and id of the user.
            options: Of fido2-cred: ``-r`` stored on the key, ``-v`` with the PIN, ``-u`` by U2F, ``-h`` with
                hmac-secret, ``-b`` with a key for large blobs.
            algorithm: As fido2-cred calls it.
        """
        made = self._make(rp_id, user, algorithm, options)
        lines = made.splitlines()
        path = self._file("made", *lines)
        checked = tuple(option for option in options if option in {"-v", "-h"})
        verified = self._computer.run("fido2-cred", "-V", *checked, "-i", path, algorithm)
        credential_id, _, public_key = verified.partition("\n")
        return Made(rp_id, _hex(credential_id), algorithm, tuple(lines), self._file("public-key", public_key))

    def _make(self, rp_id: str, user: str, algorithm: str, options: tuple[str, ...]) -> str:
        argv = ("fido2-cred", "-M", *options, "-i", self.request(rp_id, user), self._key.node, algorithm)
        return self._computer.run(*argv, stdin=_lines(self._pin))

    def sign_in(self, made: Made, *options: str, salt: bytes = b"") -> list[str]:
        """Sign in with a credential and verify the signature; returns what fido2-assert told, line by line.

        Args:
            made: The credential.
            options: Of fido2-assert: ``-r`` the key is to find it itself, ``-v`` with the PIN, ``-u`` by U2F, ``-h``
                with hmac-secret.
            salt: For hmac-secret.
        """
        wanted = [base64(CLIENT_DATA_HASH.hex()), made.rp_id]
        wanted += [] if "-r" in options else [base64(made.credential_id)]
        wanted += [base64(salt.hex())] if "-h" in options else []
        request = self._file("wanted", *wanted)
        signed = self._computer.run(
            "fido2-assert", "-G", *options, "-i", request, self._key.node, stdin=_lines(self._pin)
        ).splitlines()
        path = self._file("signed", *signed)
        checked = tuple(option for option in options if option in {"-v", "-h"})
        self._computer.run("fido2-assert", "-V", *checked, "-i", path, made.public_key, made.algorithm)
        return signed

    def _file(self, name: str, *lines: str) -> str:
        path = f"{self._folder}/{name}"
        self._computer.guest.write(path, _lines(*lines))
        return path


class OpenSsh:
    """``ssh-keygen``, for somebody whose keys lie in a folder of their own and who types the PIN into a window.

    Args:
        computer: Where it runs.
        pin: The PIN of whatever key is plugged in.
        folder: Where the keys lie; None: where nothing is yet.
    """

    def __init__(self, computer: Computer, pin: str, folder: str | None = None) -> None:
        self._computer = computer
        self._folder = folder or computer.new_path()
        window = f"{self._folder}/window"
        computer.guest.write(window, f"#!/bin/sh\necho {pin}\n", 0o755)
        self._env = {"SSH_ASKPASS": window, "SSH_ASKPASS_REQUIRE": "force", "HOME": self._folder}

    def make(self, kind: str, name: str, *options: str) -> None:
        """Make a key pair, its private half on the security key; *options* are words for ``-O``."""
        named = [word for option in options for word in ("-O", option)]
        self._keygen("-q", "-t", f"{kind}-sk", *named, "-N", "", "-C", name, "-f", name)

    def public(self, name: str) -> str:
        """The public half, without its comment."""
        return " ".join(self._computer.run("cat", f"{self._folder}/{name}.pub").split()[:2])

    def download(self) -> list[str]:
        """Fetch what is stored on the security key; returns the names of the key pairs, sorted."""
        self._keygen("-K", "-N", "")
        names = self._computer.run("ls", self._folder).splitlines()
        return sorted(name for name in names if name.startswith("id_") and not name.endswith(".pub"))

    def sign(self, name: str, text: str) -> str:
        """Sign *text*; returns the signature."""
        return self._keygen("-Y", "sign", "-f", name, "-n", "file", stdin=text)

    def verify(self, name: str, text: str, signature: str, *, status: int = 0) -> None:
        """Verify that *signature* was made with the key pair *name* over *text*."""
        allowed, path = f"{self._folder}/allowed", f"{self._folder}/signature"
        self._computer.guest.write(allowed, f"kim {self.public(name)}\n")
        self._computer.guest.write(path, signature)
        self._keygen("-Y", "verify", "-f", allowed, "-I", "kim", "-n", "file", "-s", path, stdin=text, status=status)

    def _keygen(self, *arguments: str, stdin: str = "", status: int = 0) -> str:
        return self._computer.run("ssh-keygen", *arguments, stdin=stdin, status=status, env=self._env, cwd=self._folder)


def base64(hexadecimal: str) -> str:
    return binascii.b2a_base64(bytes.fromhex(hexadecimal), newline=False).decode()


def _hex(text: str) -> str:
    return binascii.a2b_base64(text).hex()


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
