"""How a credential that a key has for a computer is removed there: what to type, from what the inventory knows of it.

The inventory knows names of files, never paths, so the usual places are named.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from keyctl.core import ssh_wire
from keyctl.core.inventory import Origin
from keyctl.core.names import quoted

if TYPE_CHECKING:
    from keyctl.core.inventory import Registration

#: Where the mapping files of pam_u2f usually are, by their names.
_PAM_FILES = {"u2f_keys": "~/.config/Yubico/u2f_keys", "u2f_mappings": "/etc/u2f_mappings"}
#: Characters of a credential's id that tell it from others of a disk.
_SHOWN = 16


class Removal(NamedTuple):
    """How it is done."""

    #: What to do, in words that follow "on every computer that has it".
    text: str
    commands: tuple[str, ...]


def removal(registration: Registration, lost: str) -> Removal:
    """How *registration* of the key *lost* is removed."""
    ways = {Origin.SSH: _of_ssh, Origin.PAM_U2F: _of_pam, Origin.LUKS: _of_luks}
    return ways[registration.origin](registration, lost)


def ssh_key_blob(public_key: bytes, application: str) -> bytes | None:
    """The public key as ``authorized_keys`` has it, in base64 there (OpenSSH's PROTOCOL.u2f); None: it is no such key.

    Args:
        public_key: COSE_Key in CBOR, ES256 or Ed25519.
        application: The RP id, for instance ``ssh:``.
    """
    from keyctl.core import public_keys
    from keyctl.core.decoding import decode_map

    try:
        parameters = decode_map(public_key)
    except ValueError:
        return None
    if public_keys.canonical(parameters) is None:
        return None
    kind: tuple[bytes, ...]
    if parameters[3] == public_keys.ES256:
        kind = (b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\x04" + parameters[-2] + parameters[-3])
    else:
        kind = (b"sk-ssh-ed25519@openssh.com", parameters[-2])
    parts = (*kind, application.encode("utf-8", "replace"))
    return b"".join(map(ssh_wire.string, parts))


def _of_ssh(registration: Registration, lost: str) -> Removal:
    name = registration.label or "the key file"
    blob = None
    if registration.public_key is not None:
        blob = ssh_key_blob(registration.public_key, registration.rp_id)
    remove_file: tuple[str, ...] = ()
    if registration.label:
        remove_file = (f"rm -i ~/.ssh/{quoted(registration.label)} ~/.ssh/{quoted(registration.label)}.pub",)
    if blob is None:
        text = (
            f"remove the SSH key {name} ({registration.rp_id}) of {lost} from every server's ~/.ssh/authorized_keys, "
            "and from the sites where it signs or pushes"
        )
        return Removal(text, ("ssh-keygen -lf ~/.ssh/authorized_keys", *remove_file))
    text = (
        f"remove the SSH key {name} ({registration.rp_id}, {ssh_wire.fingerprint(blob)}) of {lost} from every server's "
        "~/.ssh/authorized_keys, and from the sites where it signs or pushes"
    )
    return Removal(text, (f"sed -i '\\#{base64.b64encode(blob).decode()}#d' ~/.ssh/authorized_keys", *remove_file))


def _of_pam(registration: Registration, lost: str) -> Removal:
    file = _PAM_FILES.get(registration.label or "", registration.label or "the mapping file of pam_u2f")
    user = f" as {registration.account}" if registration.account else ""
    text = (
        f"{lost} logs in{user} or gives sudo by pam_u2f: enrol another key with pamu2fcfg first, then take {lost} "
        f"out of {file}"
    )
    # What base64 has two spellings for: old mapping files are in that for URLs, without the padding.
    handle = base64.b64encode(registration.credential_id).decode().rstrip("=")
    pattern = handle.replace("+", "[+-]").replace("/", "[/_]")
    place = file if file in _PAM_FILES.values() else quoted(file)
    sudo = "sudo " if file == _PAM_FILES["u2f_mappings"] else ""
    return Removal(text, (f"{sudo}sed -i 's#:{pattern}=*,[^:]*##' {place}",))


def _of_luks(registration: Registration, lost: str) -> Removal:
    name = registration.label or registration.account or "a disk"
    place = f"/dev/disk/by-uuid/{quoted(registration.account)}" if registration.account else "DISK"
    shown = base64.b64encode(registration.credential_id).decode()[:_SHOWN]
    text = (
        f"{lost} unlocks the disk {name}: make sure that a passphrase or another key does too, then wipe the slot of "
        f"the token whose fido2-credential begins with {shown}"
    )
    commands = (
        f"sudo systemd-cryptenroll {place}",
        f"sudo cryptsetup luksDump {place}",
        f"sudo cryptsetup token export --token-id TOKEN {place}",
        f"sudo systemd-cryptenroll --wipe-slot=SLOT {place}",
    )
    return Removal(text, commands)
