"""What stands between this process and the keys on USB: device nodes, logins, udev rules, other programs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core.diagnosis_facts import Login, NodeGroup, Opening, Process, UdevRules, Unknown, UsbFacts, UsbKey
from keyctl.core.text import reason_of
from keyctl.device import hidraw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Where udev looks for rules; a file hides those of the same name in later folders (udev(7)).
RULES_FOLDERS = tuple(
    Path(folder)
    for folder in (
        "/etc/udev/rules.d",
        "/run/udev/rules.d",
        "/usr/local/lib/udev/rules.d",
        "/usr/lib/udev/rules.d",
        "/lib/udev/rules.d",
    )
)
PROC = Path("/proc")
RUN = Path("/run")
ROOT = Path("/")

_MAX_FILE_BYTES = 262_144
_VENDOR = re.compile(r'idVendor\}=="([0-9a-fA-F]{4})"')
_CONTAINER_FILES = {"docker": ".dockerenv", "podman": "run/.containerenv", "flatpak": ".flatpak-info"}


def linux_usb(
    environment: Mapping[str, str],
    *,
    sys_root: Path = hidraw.SYS,
    dev_root: Path = hidraw.DEV,
    proc_root: Path = PROC,
    run_root: Path = RUN,
    root: Path = ROOT,
    rules_folders: Iterable[Path] = RULES_FOLDERS,
) -> UsbFacts:
    """All about keys on USB, on Linux; each key's node is opened and closed again, and nothing is sent.

    Args:
        environment: The environment variables.
        sys_root: Where sysfs is mounted.
        dev_root: Where the device nodes are.
        proc_root: Where procfs is mounted.
        run_root: Where services leave notes about their state.
        root: The folder in which containers leave marks.
        rules_folders: Where udev looks for rules, the first one first.
    """
    return UsbFacts(
        hidraw=_has_hidraw(sys_root),
        keys=_usb_keys(sys_root, dev_root, proc_root),
        login=login(environment, run_root),
        rules=udev_rules(rules_folders),
        container=container(environment, root),
        administrator=None,
    )


def other_usb() -> UsbFacts:
    """All about keys on USB, where the system has no device nodes: they are listed and nothing more."""
    return UsbFacts(
        hidraw=None,
        keys=_listed(),
        login=Unknown(reason="a matter of Linux only"),
        rules=Unknown(reason="a matter of Linux only"),
        container=None,
        administrator=_is_administrator(),
    )


def login(environment: Mapping[str, str], run_root: Path = RUN) -> Login | Unknown:
    """Who runs this, and whether the user sits in front of the machine.

    That is so with an active session on a seat, whichever session this process belongs to: the keys are given to the
    user, not to the session.
    """
    if sys.platform == "win32":
        return Unknown(reason="a matter of Linux only")
    import pwd

    number = os.getuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:
        # Containers run under any number.
        user = str(number)
    remote = bool(environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"))
    sessions = _sessions(run_root / "systemd" / "sessions")
    if sessions is None:
        # No login service that can be asked: what it left in the environment has to do.
        at_seat = True if environment.get("XDG_SEAT") and not remote else False if remote else None
        return Login(user=user, at_seat=at_seat, remote=remote)
    own = [facts for facts in sessions.values() if facts.get("UID") == str(number)]
    at_seat = any(facts.get("SEAT") and facts.get("ACTIVE") == "1" for facts in own)
    this = sessions.get(environment.get("XDG_SESSION_ID", ""), {})
    return Login(user=user, at_seat=at_seat, remote=remote or this.get("REMOTE") == "1")


def udev_rules(folders: Iterable[Path] = RULES_FOLDERS) -> UdevRules | Unknown:
    """What the udev rules in *folders* do about security keys."""
    files: dict[str, Path] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                if path.name.endswith(".rules"):
                    files.setdefault(path.name, path)
    if not files:
        return Unknown(reason="there are no udev rules here")
    recognise = hand_over = False
    vendors: set[str] = set()
    for _, path in sorted(files.items()):
        lines = [line for line in _text(path).split("\n") if not line.lstrip().startswith("#")]
        tags = [line for line in lines if "uaccess" in line]
        recognise |= any("fido_id" in line for line in lines)
        hand_over |= any("ID_SECURITY_TOKEN" in line for line in tags)
        # Lists of models say "hidraw" once, at their beginning.
        if any("hidraw" in line for line in lines):
            vendors |= {vendor.lower() for line in tags for vendor in _VENDOR.findall(line)}
    return UdevRules(recognise=recognise, hand_over=hand_over, vendors=frozenset(vendors))


def container(environment: Mapping[str, str], root: Path = ROOT) -> str | None:
    """The kind of container or sandbox that this runs in, or None."""
    for kind, mark in _CONTAINER_FILES.items():
        if (root / mark).exists():
            return kind
    if environment.get("SNAP_NAME"):
        return "snap"
    # Set by systemd-nspawn, lxc and others for their first process (systemd's CONTAINER_INTERFACE).
    named = environment.get("container", "")
    return named if named.isalnum() else None


def holders(paths: Iterable[str], proc_root: Path = PROC) -> dict[str, tuple[Process, ...]]:
    """Which programs have which of *paths* open, as far as this user may know; this process is left out."""
    wanted = set(paths)
    found: dict[str, list[Process]] = {path: [] for path in wanted}
    if not wanted:
        return {}
    for pid, name in processes(proc_root):
        if pid != os.getpid():
            for path in _open_files(proc_root / str(pid) / "fd") & wanted:
                found[path].append(Process(pid=pid, name=name))
    return {path: tuple(those) for path, those in found.items()}


def processes(proc_root: Path = PROC) -> Iterator[tuple[int, str]]:
    """The running programs, by number, each with its name; that is hostile text."""
    try:
        numbers = sorted(int(entry.name) for entry in proc_root.iterdir() if entry.name.isdecimal())
    except OSError:
        return
    for number in numbers:
        name = _text(proc_root / str(number) / "comm").strip()
        if name:
            yield number, name


def _usb_keys(sys_root: Path, dev_root: Path, proc_root: Path) -> tuple[UsbKey, ...]:
    nodes = list(hidraw.nodes(sys_root, dev_root))
    held = holders((str(node.path) for node in nodes), proc_root)
    keys = []
    for node in nodes:
        opening, reason = _opening(node.path)
        keys.append(
            UsbKey(
                selector=f"usb:{node.path}",
                product=node.name,
                serial=node.serial,
                vendor_id=node.vendor_id,
                product_id=node.product_id,
                opening=opening,
                reason=reason,
                group=_group(node.path),
                holders=held[str(node.path)],
            )
        )
    return tuple(keys)


def _has_hidraw(sys_root: Path) -> bool | Unknown:
    if not (sys_root / "class").is_dir():
        return Unknown(reason=f"{sys_root} is not mounted here, so that no key on USB can be found")
    return (sys_root / "class" / "hidraw").is_dir()


def _opening(path: Path) -> tuple[Opening, str | None]:
    try:
        # Neither waits for anything nor makes a terminal of what it opens.
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as error:
        opening = {
            errno.ENOENT: Opening.MISSING,
            errno.EACCES: Opening.DENIED,
            errno.EPERM: Opening.FORBIDDEN,
        }.get(error.errno or 0, Opening.FAILED)
        return opening, reason_of(error)
    return Opening.OK, None


def _group(path: Path) -> NodeGroup | None:
    """The group that may read and write *path*; with an access list the mode shows more than the group has."""
    if sys.platform == "win32":
        return None
    import grp

    try:
        status = path.stat()
        if status.st_gid == 0 or status.st_mode & 0o060 != 0o060:
            return None
        group = grp.getgrgid(status.st_gid)
    except (OSError, KeyError):
        return None
    return NodeGroup(
        name=group.gr_name,
        now=status.st_gid in {os.getegid(), *os.getgroups()},
        listed=_user() in group.gr_mem,
    )


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _sessions(folder: Path) -> dict[str, dict[str, str]] | None:
    """What the login service notes of each session; None: there is none, or it keeps that to itself."""
    try:
        names = [path.name for path in folder.iterdir() if path.name.isalnum()]
    except OSError:
        return None
    return {
        name: dict(line.split("=", 1) for line in _text(folder / name).split("\n") if "=" in line) for name in names
    }


def _open_files(folder: Path) -> set[str]:
    found: set[str] = set()
    # Other users' programs, and those that ended while we looked.
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def _text(path: Path) -> str:
    """What is in the file, empty where it cannot be read; a pipe in its place does not make anybody wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            return (file.read(_MAX_FILE_BYTES) or b"").decode(errors="replace")
    except OSError:
        return ""


def _listed() -> tuple[UsbKey, ...] | Unknown:
    try:
        from fido2 import hid

        descriptors = hid.list_descriptors()
    except (ImportError, OSError) as error:
        return Unknown(reason=f"cannot look for keys on USB: {error}".lower())
    return tuple(
        UsbKey(
            selector=f"usb:{os.fsdecode(descriptor.path)}",
            product=descriptor.product_name,
            serial=descriptor.serial_number,
            vendor_id=descriptor.vid,
            product_id=descriptor.pid,
            opening=Opening.UNTRIED,
        )
        for descriptor in descriptors
    )


def _is_administrator() -> bool | None:
    """Whether this process has an administrator's rights; None where that means nothing."""
    if sys.platform != "win32":
        return None
    import ctypes

    return bool(ctypes.windll.shell32.IsUserAnAdmin())
