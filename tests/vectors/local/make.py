"""Makes the files beside it: what OpenSSH, pam_u2f and systemd-cryptenroll leave on a computer, and the keys they used.

Every file is written by the program whose format it is, from virtual keys on the USB bus of a real kernel::

    python tests/vectors/local/make.py

It takes what tests/hid takes (a guest is booted), and cryptsetup and systemd-cryptenroll. All secrets in the files are
for this purpose only.

keys/       the files of three virtual keys: ``daily`` and ``spare``, which have the PIN 1234, and ``old``, of U2F.
ssh/        made with ``daily`` by ``ssh-keygen -t TYPE-sk``; those named ``locked`` have the passphrase "open sesame".
            The other ciphers are put on the first by ``ssh-keygen -p -Z CIPHER``.
pam/        by ``pamu2fcfg``: ``u2f_keys`` with two keys for one person, ``others`` with more options. ``old_format`` is
            what pamu2fcfg printed for ``old``, rewritten as its versions before 1.1.0 did: handle in the base64 of
            URLs, public key as the hexadecimal point, nothing else.
luks/       ``cryptsetup luksDump --dump-json-metadata`` of a volume at which ``systemd-cryptenroll`` enrolled ``daily``
            and ``spare``.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1] / "hid")]

from desk import Shelf, booted  # noqa: E402  # found by the line above

if TYPE_CHECKING:
    from desk import Computer, Plugged

PIN = "1234"
PASSPHRASE = "open sesame"
#: Where the keys' files are in the guest, and where the programs work.
KEYS = "/run/local-keys"
DESK = "/run/local"
ORIGIN = "pam://laptop"
#: Name -> type and options.
SSH_KEYS = {
    "id_ecdsa_sk": ("ecdsa-sk",),
    "id_ed25519_sk": ("ed25519-sk",),
    "verified": ("ed25519-sk", "-O", "verify-required"),
    "verified_ecdsa": ("ecdsa-sk", "-O", "verify-required"),
    "work": ("ecdsa-sk", "-O", "application=ssh:work"),
    "resident": ("ed25519-sk", "-O", "resident", "-O", "user=kim"),
    "locked": ("ed25519-sk", "-a", "4", "-N", PASSPHRASE),
    "locked_ecdsa": ("ecdsa-sk", "-a", "4", "-N", PASSPHRASE),
}
#: What protects a copy of ``locked``.
CIPHERS = ("aes128-ctr", "aes192-ctr", "aes256-cbc", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")


def main() -> None:
    """Make all files anew."""
    with booted() as computer:
        shelf = Shelf(computer.guest, KEYS)
        computer.guest.write(f"{DESK}/window", f"#!/bin/sh\necho {PIN}\n", 0o755)
        computer.guest.write(f"{DESK}/password", "correct horse")
        daily = plug(computer, shelf, "daily")
        make_ssh_keys(computer)
        first = pamu2fcfg(computer, "-u", "kim", "-o", ORIGIN)
        others = [
            pamu2fcfg(computer, "-u", "verified", "-o", ORIGIN, "-N"),
            pamu2fcfg(computer, "-u", "untouched", "-o", ORIGIN, "-P"),
            pamu2fcfg(computer, "-u", "resident", "-o", ORIGIN, "-r"),
        ]
        computer.run("truncate", "-s", "20M", f"{DESK}/volume")
        format_how = ("--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--label", "backups")
        computer.run("cryptsetup", "-q", "luksFormat", *format_how, f"{DESK}/volume", f"{DESK}/password", seconds=120)
        enroll(computer, daily, "--fido2-with-client-pin=yes")
        daily.pull()

        spare = plug(computer, shelf, "spare")
        second = pamu2fcfg(computer, "-n", "-o", ORIGIN)
        enroll(computer, spare, "--fido2-with-client-pin=no", "--fido2-with-user-presence=no")
        spare.pull()

        old = shelf.plug("old", "uhid", profile="u2f")
        in_old_format = old_format(pamu2fcfg(computer, "-u", "kim", "-o", ORIGIN))
        old.pull()

        write("pam/u2f_keys", f"{first}{second}\n")
        write("pam/others", "".join(f"{line}\n" for line in others))
        write("pam/old_format", f"{in_old_format}\n")
        write("luks/volume.json", computer.run("cryptsetup", "luksDump", "--dump-json-metadata", f"{DESK}/volume"))
        for name in ("daily", "spare", "old"):
            for end in ("json", "settings.json"):
                write(f"keys/{name}.{end}", computer.run("cat", f"{KEYS}/{name}.{end}"))
    for cipher in CIPHERS:
        change_cipher(cipher)


def plug(computer: Computer, shelf: Shelf, name: str) -> Plugged:
    """Make a key with a PIN and plug it in."""
    key = shelf.plug(name, "uhid")
    computer.run("fido2-token", "-S", key.node, stdin=f"{PIN}\n{PIN}\n")
    return key


def make_ssh_keys(computer: Computer) -> None:
    """Make all of :data:`SSH_KEYS` with the key that is plugged in."""
    env = {"SSH_ASKPASS": f"{DESK}/window", "SSH_ASKPASS_REQUIRE": "force", "HOME": DESK}
    for name, options in SSH_KEYS.items():
        unlocked = () if "-N" in options else ("-N", "")
        argv = ("ssh-keygen", "-q", "-t", *options, *unlocked, "-C", f"kim@laptop {name}", "-f", name)
        computer.run(*argv, env=env, cwd=DESK, seconds=60)
        write(f"ssh/{name}", computer.run("cat", f"{DESK}/{name}"))
        write(f"ssh/{name}.pub", computer.run("cat", f"{DESK}/{name}.pub"))


def pamu2fcfg(computer: Computer, *options: str) -> str:
    """What pamu2fcfg prints with the key that is plugged in, as it is."""
    return computer.run("pamu2fcfg", *options, stdin=f"{PIN}\n").rstrip("\n")


def old_format(line: str) -> str:
    """*line* as pamu2fcfg printed it before version 1.1.0."""
    user, _, credential = line.partition(":")
    handle, point, *_ = credential.split(",")
    handle = handle.replace("+", "-").replace("/", "_").rstrip("=")
    return f"{user}:{handle},04{base64.b64decode(point).hex()}"


def enroll(computer: Computer, key: Plugged, *options: str) -> None:
    """Have the volume open with *key* too."""
    env = {"PASSWORD": "correct horse", "PIN": PIN}
    argv = ("systemd-cryptenroll", f"--fido2-device={key.node}", *options, f"{DESK}/volume")
    computer.run(*argv, env=env, seconds=120)


def change_cipher(cipher: str) -> None:
    """Protect a copy of the first locked key by another cipher."""
    name = f"locked_{cipher.partition('@')[0]}"
    path = HERE / "ssh" / name
    shutil.copy(HERE / "ssh" / "locked", path)
    path.chmod(0o600)
    phrases = ("-P", PASSPHRASE, "-N", PASSPHRASE)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-a", "4", "-Z", cipher, *phrases, "-f", path], check=True, capture_output=True
    )


def write(name: str, text: str) -> None:
    """Write one of the files."""
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
