"""The FIDO credentials that this computer uses, found in the files of the programs that use them.

They are what no security key can list: OpenSSH's keys, logins by pam_u2f, and disks that systemd unlocks.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from keyctl.core import openssh_keys, pam_mappings
from keyctl.core.inventory import Origin
from keyctl.core.local_files import LocalFileError
from keyctl.core.names import quoted
from keyctl.errors import StoreError, UsageError
from keyctl.operations import local_disks, local_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from keyctl.core.openssh_keys import SkKey
    from keyctl.errors import KeyctlError
    from keyctl.operations.asking import Circumstances

#: Key files have less than 1 KiB.
_MAX_KEY_FILE_BYTES = 64 * 1024
_MAX_TEXT_FILE_BYTES = 1024 * 1024
_PASSPHRASE_ROUNDS = 3
#: As many lines of one file are complained about: it may be no mapping at all.
_MAX_REASONS = 10


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where to look."""

    #: The user's own folder.
    home: Path
    #: For the user's settings (XDG_CONFIG_HOME).
    config: Path
    etc: Path
    #: The kernel's list of block devices (``/sys/class/block``), and the folder of their nodes.
    blocks: Path
    devices: Path
    host: str
    user: str

    @classmethod
    def of_this_computer(cls) -> Self:
        """The real ones, for the user that keyctl runs as.

        Raises:
            UsageError: It is not known where the user's home folder is.
        """
        try:
            home = Path.home()
        except RuntimeError as error:
            # A user without one, as in containers that run under any number.
            raise UsageError(
                "usage", "it is not known where your home folder is", "give it with the variable HOME"
            ) from error
        # The XDG Base Directory specification says that a relative path is to be ignored.
        config = Path(os.environ.get("XDG_CONFIG_HOME", ""))
        user = ""
        # Users without a name are in no mapping.
        with contextlib.suppress(KeyError, OSError, ImportError):
            user = getpass.getuser()
        return cls(
            home=home,
            config=config if config.is_absolute() else home / ".config",
            etc=Path("/etc"),
            blocks=Path("/sys/class/block"),
            devices=Path("/dev"),
            host=socket.gethostname(),
            user=user,
        )


@dataclass(frozen=True, kw_only=True)
class LocalCredential:
    """A credential that a file names. Its texts are hostile."""

    origin: Origin
    #: For the person; it may be absolute, and is never stored.
    file: str
    #: To be stored: a name without a path.
    label: str | None
    #: Any of them: which one it was made for the file does not say.
    rp_ids: tuple[str, ...]
    account: str | None
    #: None for what is ``locked`` or ``resident``.
    credential_id: bytes | None
    #: COSE_Key in CBOR, where the file has it.
    public_key: bytes | None
    #: Whether it answers with the PIN or a fingerprint only.
    verify_required: bool
    #: ``locked``: a passphrase hides the id; ``resident``: a passkey, which the key lists and the file does not.
    state: Literal["readable", "locked", "resident"]


@dataclass(frozen=True, kw_only=True)
class LocalFindings:
    """What was found."""

    credentials: tuple[LocalCredential, ...]
    #: One for each file, or line of one, that makes no sense or may not be read (``local_unreadable``).
    problems: tuple[KeyctlError, ...]
    #: What else there is to say, for people.
    remarks: tuple[str, ...]


class _Found:
    """What was found so far."""

    def __init__(self) -> None:
        self.credentials: list[LocalCredential] = []
        self.problems: list[KeyctlError] = []
        self.remarks: list[str] = []

    @contextlib.contextmanager
    def problems_noted(self) -> Iterator[None]:
        """Go on after a file that cannot be used."""
        try:
            yield
        except StoreError as error:
            self.problems.append(error)


def find(circumstances: Circumstances, places: Places, *, ask_passphrase: bool) -> LocalFindings:
    """Find all credentials in the files of this computer.

    Args:
        circumstances: Whom to ask for passphrases.
        places: Where to look.
        ask_passphrase: Whether to ask; without it, and where nobody is there, encrypted files stay locked.
    """
    found = _Found()
    _find_ssh(found, places, circumstances if ask_passphrase else None)
    _find_pam(found, places)
    _find_luks(found, places)
    by_content: dict[object, LocalCredential] = {}
    for entry in found.credentials:
        # One disk may be seen in several ways, one key may lie in two files.
        which = entry.credential_id or entry.public_key or entry.file
        by_content.setdefault((entry.origin, entry.rp_ids, entry.account, which), entry)
    return LocalFindings(
        credentials=tuple(by_content.values()), problems=tuple(found.problems), remarks=tuple(found.remarks)
    )


def _find_ssh(found: _Found, places: Places, circumstances: Circumstances | None) -> None:
    """Look into all files in ``~/.ssh``, whatever they are called."""
    locked = 0
    for path in _all_names(found, places.home / ".ssh"):
        if not _is_within(path, places.home):
            continue
        key = None
        with found.problems_noted():
            content = local_files.read(path, _MAX_KEY_FILE_BYTES)
            try:
                key = openssh_keys.read(content or b"")
            except LocalFileError as error:
                raise local_files.senseless(path, str(error), "restore it from a backup, or move it away") from error
        if key is not None and key.encryption is not None:
            if circumstances is None:
                locked += 1
            else:
                key = _unlocked(found, circumstances, path, key)
        if key is not None:
            found.credentials.append(_of_ssh(path, key))
    if locked:
        found.remarks.append(
            f"{locked} {'key file of ssh is' if locked == 1 else 'key files of ssh are'} locked by a passphrase; "
            "--ask-passphrase asks for it"
        )


def _is_within(path: Path, folder: Path) -> bool:
    """Whether the file itself is somewhere below *folder*: links to elsewhere are not followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        # Python up to 3.12 says RuntimeError to a loop of links.
        return False


def _unlocked(found: _Found, circumstances: Circumstances, path: Path, key: SkKey) -> SkKey:
    """*key* with its handle, or as it is when nobody knows the passphrase."""
    asker = circumstances.asker
    try:
        openssh_keys.require_unlockable(key)
        for _ in range(_PASSPHRASE_ROUNDS):
            passphrase = asker.passphrase(str(path))
            if passphrase is None:
                break
            try:
                return openssh_keys.unlock(key, passphrase)
            except openssh_keys.WrongPassphraseError as error:
                asker.tell(f"{path} {error}")
    except LocalFileError as error:
        hint = f"protect it with the usual cipher: ssh-keygen -p -Z aes256-ctr -f {quoted(str(path))}"
        found.problems.append(local_files.senseless(path, str(error), hint))
    return key


def _of_ssh(path: Path, key: SkKey) -> LocalCredential:
    handle = key.handle
    return LocalCredential(
        origin=Origin.SSH,
        file=str(path),
        label=_label(path.name),
        rp_ids=(key.application,),
        account=None,
        credential_id=handle.credential_id if handle else None,
        public_key=key.public_key,
        verify_required=handle.verify_required if handle else False,
        state="readable" if handle else "locked",
    )


def _find_pam(found: _Found, places: Places) -> None:
    """Look into the mapping files of pam_u2f: its usual one, that of its documentation, and those that PAM names."""
    calls = tuple(_calls(found, places))
    named = {_authfile(call, places) for call in calls}
    usual = places.config / "Yubico" / "u2f_keys"
    for path in dict.fromkeys((usual, places.etc / "u2f_mappings", *(path for path in named if path))):
        text = None
        with found.problems_noted():
            text = _text(path)
        if text is None:
            continue
        if text.encode().startswith(openssh_keys.HEADER):
            found.remarks.append(f"{path} is a key of OpenSSH's for pam_u2f, which is not looked into")
            continue
        uses = [call for call in calls if _authfile(call, places) == path] or [*calls, pam_mappings.Module()]
        _read_mappings(found, path, text, _rp_ids(uses, places))


def _calls(found: _Found, places: Places) -> Iterator[pam_mappings.Module]:
    """How the files in ``pam.d`` call pam_u2f, completed by its own settings."""
    common = pam_mappings.Module()
    with found.problems_noted():
        common = pam_mappings.settings(_text(places.etc / "security" / "pam_u2f.conf") or "")
    for path in _all_names(found, places.etc / "pam.d"):
        with found.problems_noted():
            for call in pam_mappings.modules(_text(path) or ""):
                yield pam_mappings.Module(
                    origin=call.origin or common.origin,
                    appid=call.appid or common.appid,
                    authfile=call.authfile or common.authfile,
                    expand=call.expand or common.expand,
                )


def _authfile(call: pam_mappings.Module, places: Places) -> Path | None:
    """The mapping file that this call reads for the user; None: the usual one."""
    if call.authfile is None:
        return None
    name = call.authfile
    if call.expand:
        name = name.replace("%u", places.user).replace("%%", "%")
    # A relative name is one in the home folder of whoever logs in.
    return places.home / name


def _rp_ids(uses: Iterable[pam_mappings.Module], places: Places) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The RP ids that credentials of these calls may be for, and those of U2F credentials."""
    default = f"pam://{places.host}"
    origins = [call.origin or default for call in uses]
    appids = [call.appid or call.origin or default for call in uses]
    return tuple(dict.fromkeys(origins)), tuple(dict.fromkeys(appids))


def _read_mappings(found: _Found, path: Path, text: str, rp_ids: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    mappings = pam_mappings.read(text)
    hint = "make it anew with pamu2fcfg; pam_u2f lets nobody of this line in"
    reasons = [f"line {broken.line} {broken.reason}" for broken in mappings.broken]
    if len(reasons) > _MAX_REASONS:
        reasons = [*reasons[:_MAX_REASONS], f"has {len(reasons) - _MAX_REASONS} more such lines"]
    found.problems += [local_files.senseless(path, reason, hint) for reason in reasons]
    found.remarks += [
        f"{path} line {line} lets nobody in: a later line is for the same user, and pam_u2f reads only that"
        for line in mappings.passed_over[:_MAX_REASONS]
    ]
    origins, appids = rp_ids
    found.credentials += [
        LocalCredential(
            origin=Origin.PAM_U2F,
            file=str(path),
            label=_label(path.name),
            rp_ids=appids if entry.old_format else origins,
            account=entry.user,
            credential_id=entry.credential_id,
            public_key=entry.public_key,
            verify_required=entry.verify_required,
            state="resident" if entry.credential_id is None else "readable",
        )
        for entry in mappings.credentials
    ]


def _find_luks(found: _Found, places: Places) -> None:
    """Look at the headers of all disks that may be read."""
    crypttab = ""
    with found.problems_noted():
        crypttab = _text(places.etc / "crypttab") or ""
    candidates: tuple[local_disks.Candidate, ...] = ()
    with found.problems_noted():
        candidates = local_disks.candidates(places.blocks, places.devices, crypttab)
    denied = 0
    for candidate in candidates:
        with found.problems_noted():
            try:
                volume = local_disks.volume(candidate.path)
            except PermissionError:
                denied += candidate.counts
                continue
            if volume is not None:
                _read_volume(found, volume)
    if denied:
        disks, them = ("disk", "that") if denied == 1 else ("disks", "those")
        # In a container root may have less than all rights.
        advice = ", not even by root" if os.geteuid() == 0 else f"; run as root for {them}"
        found.remarks.append(f"{denied} {disks} could not be looked at{advice}")


def _read_volume(found: _Found, volume: local_disks.Volume) -> None:
    tokens = local_disks.tokens(volume.path)
    hint = "enrol the key again with systemd-cryptenroll"
    found.problems += [local_files.senseless(volume.path, broken, hint) for broken in tokens.broken]
    found.credentials += [
        LocalCredential(
            origin=Origin.LUKS,
            file=str(volume.path),
            label=volume.header.label or _label(volume.path.name),
            rp_ids=(token.rp_id,),
            account=volume.header.uuid,
            credential_id=token.credential_id,
            public_key=None,
            # systemd makes them without a policy: the PIN protects the secret and not the answer.
            verify_required=False,
            state="readable",
        )
        for token in tokens.tokens
    ]


def _all_names(found: _Found, folder: Path) -> tuple[Path, ...]:
    with found.problems_noted():
        return local_files.names(folder)
    return ()


def _text(path: Path) -> str | None:
    content = local_files.read(path, _MAX_TEXT_FILE_BYTES)
    return None if content is None else content.decode(errors="replace")


def _label(name: str) -> str:
    """The name of a file as text that can be stored: not every name is UTF-8."""
    return os.fsencode(name).decode(errors="replace")
