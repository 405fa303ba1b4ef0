"""The commands that take a lost key out of a computer's files, run on such files."""

from __future__ import annotations

import base64
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyctl.core import public_keys
from keyctl.core.inventory import Origin, Registration
from keyctl.core.local_removal import removal, ssh_key_blob

from .coverage_parts import SEEN_AT

if TYPE_CHECKING:
    from pathlib import Path

POINT = (
    ec.derive_private_key(7, ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
EDWARDS = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
#: What base64 writes with both of its signs.
HANDLE = b"\xfb\xef\xbe\xff\xff\xff" * 8


def registration(origin, **facts):
    base = Registration(
        credential_id=HANDLE,
        rp_id="ssh:",
        account=None,
        origin=origin,
        public_key=None,
        label="id_ecdsa_sk",
        seen_at=SEEN_AT,
    )
    return replace(base, **facts)


def sed(command: str, file: Path) -> str:
    """Run the proposed command on *file* instead of its usual place, and return what is left in it."""
    words, _, _ = command.rpartition(" ")
    subprocess.run(["sh", "-c", f'{words} "$1"', "sh", str(file)], check=True)  # our own words
    return file.read_text()


@pytest.mark.parametrize(
    ("cose", "kind"),
    [
        (public_keys.es256(POINT), "sk-ecdsa-sha2-nistp256@openssh.com"),
        (public_keys.ed25519(EDWARDS), "sk-ssh-ed25519@openssh.com"),
    ],
)
def test_the_line_of_an_ssh_key_is_deleted_and_no_other(tmp_path, cose, kind):
    blob = ssh_key_blob(cose, "ssh:")
    assert blob is not None
    mine = base64.b64encode(blob).decode()
    other = base64.b64encode(ssh_key_blob(cose, "ssh:work") or b"").decode()
    file = tmp_path / "authorized_keys"
    file.write_text(f"# {kind}\n{kind} {mine} kim@laptop\nrestrict {kind} {other} kim\nssh-ed25519 AAAA kim\n")
    found = removal(registration(Origin.SSH, public_key=cose), "blue")
    assert sed(found.commands[0], file) == f"# {kind}\nrestrict {kind} {other} kim\nssh-ed25519 AAAA kim\n"
    assert "SHA256:" + base64.b64encode(sha256(blob).digest()).decode().rstrip("=") in found.text
    assert found.commands[1] == "rm -i ~/.ssh/id_ecdsa_sk ~/.ssh/id_ecdsa_sk.pub"


def test_the_public_key_is_the_one_that_openssh_reads(tmp_path):
    if shutil.which("ssh-keygen") is None:
        # Nothing here reads it; the form is that of the line above.
        assert ssh_key_blob(public_keys.ed25519(EDWARDS), "ssh:")
        return
    blob = ssh_key_blob(public_keys.es256(POINT), "ssh:home")
    assert blob is not None
    file = tmp_path / "key.pub"
    file.write_text(f"sk-ecdsa-sha2-nistp256@openssh.com {base64.b64encode(blob).decode()} kim\n")
    told = subprocess.run(["ssh-keygen", "-lf", str(file)], check=True, capture_output=True, text=True).stdout
    assert base64.b64encode(sha256(blob).digest()).decode().rstrip("=") in told
    assert told.rstrip().endswith("(ECDSA-SK)")


@pytest.mark.parametrize("cose", [None, b"", b"\xff", public_keys.es256(POINT)[:-1], bytes.fromhex("a0")])
def test_an_ssh_key_whose_public_key_is_not_known_is_named_by_its_file(cose):
    found = removal(registration(Origin.SSH, public_key=cose), "blue")
    assert found.commands[0] == "ssh-keygen -lf ~/.ssh/authorized_keys"
    assert "id_ecdsa_sk" in found.text


@pytest.mark.parametrize(
    "written",
    [base64.b64encode(HANDLE).decode(), base64.urlsafe_b64encode(HANDLE).decode().rstrip("=")],
)
def test_a_pam_mapping_loses_the_key_and_keeps_the_others(tmp_path, written):
    other = base64.b64encode(b"other" * 8).decode()
    file = tmp_path / "u2f_keys"
    file.write_text(f"kim:{written},KEY,es256,+presence:{other},KEY,es256,+presence\nlee:{other},KEY:{written},KEY\n")
    found = removal(registration(Origin.PAM_U2F, label="u2f_keys", account="kim", rp_id="pam://laptop"), "blue")
    assert found.commands[0].endswith(" ~/.config/Yubico/u2f_keys")
    assert sed(found.commands[0], file) == f"kim:{other},KEY,es256,+presence\nlee:{other},KEY\n"
    assert "logs in as kim" in found.text


def test_only_the_mapping_of_the_whole_computer_wants_root():
    found = removal(registration(Origin.PAM_U2F, label="u2f_mappings"), "blue")
    assert found.commands[0].startswith("sudo sed -i ")
    assert found.commands[0].endswith(" /etc/u2f_mappings")
    for label in ("u2f_keys", "/etc/passwd", None):
        assert removal(registration(Origin.PAM_U2F, label=label), "blue").commands[0].startswith("sed -i ")


def test_a_mapping_of_another_name_is_quoted():
    found = removal(registration(Origin.PAM_U2F, label="my keys; rm", account=None), "blue")
    assert found.commands[0].endswith(" 'my keys; rm'")
    assert "the mapping file of pam_u2f" in removal(registration(Origin.PAM_U2F, label=None), "blue").text


def test_a_disk_is_named_by_its_uuid():
    uuid = "3c0e3a8e-0000-4000-8000-000000000001"
    found = removal(registration(Origin.LUKS, label="laptop", account=uuid, rp_id="io.systemd.cryptsetup"), "blue")
    assert all(command.startswith("sudo ") for command in found.commands)
    assert found.commands[-1] == f"sudo systemd-cryptenroll --wipe-slot=SLOT /dev/disk/by-uuid/{uuid}"
    assert base64.b64encode(HANDLE).decode()[:16] in found.text
    assert "passphrase" in found.text
    hostile = removal(registration(Origin.LUKS, label=None, account="$(id)"), "blue")
    assert hostile.commands[0] == "sudo systemd-cryptenroll /dev/disk/by-uuid/'$(id)'"
    assert removal(registration(Origin.LUKS, label=None), "blue").commands[0] == "sudo systemd-cryptenroll DISK"
