"""What a diagnosis knows of a computer and of the keys on it, and the form of what it says.

Facts that could not be found out are an :class:`Unknown`, so that a check can say why it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keyctl.core.results import CheckResult  # noqa: TC001  # the annotations are evaluated for the manual page


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    #: Stable; several keys may have a check with the same id.
    id: str
    result: CheckResult
    message: str
    #: What to do, perhaps in several lines; with an OK result it is worth showing, too.
    hint: str | None = None
    #: Selector of the key or reader that it is about.
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All checks, worst first; ``result`` is the worst of them, and OK where nothing was found."""

    result: CheckResult
    checks: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A fact that could not be found out."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Process:
    """A running program. Its name is hostile text."""

    pid: int
    name: str


class Opening(StrEnum):
    """What came of opening a device node."""

    OK = "ok"
    #: The key is there, and its node is not.
    MISSING = "missing"
    #: By the permissions of the node.
    DENIED = "denied"
    #: By something else, whatever the permissions say: the device rules of a container for instance.
    FORBIDDEN = "forbidden"
    FAILED = "failed"
    #: Not tried: this system has no nodes.
    UNTRIED = "untried"


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """The group that may read and write a device node, and the user's part in it."""

    name: str
    #: Whether this process is in it.
    now: bool
    #: Whether the system's list of groups has the user in it; it counts from the next login.
    listed: bool


@dataclass(frozen=True, kw_only=True)
class UsbKey:
    """A security key on USB."""

    selector: str
    #: Hostile text.
    product: str | None
    serial: str | None
    vendor_id: int | None
    product_id: int | None
    opening: Opening
    #: The system's words for an opening that failed.
    reason: str | None = None
    #: None where no group but root's may use the node.
    group: NodeGroup | None = None
    #: Other programs that have it open.
    holders: tuple[Process, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who runs this, and whether the machine knows the user to be sitting in front of it."""

    user: str
    #: None: no login service keeps track of it here.
    at_seat: bool | None
    remote: bool


@dataclass(frozen=True, kw_only=True)
class UdevRules:
    """What the udev rules of this system do about security keys."""

    #: Every key is recognised as one, by its report descriptor.
    recognise: bool
    #: What is recognised is handed to the person at the seat.
    hand_over: bool
    #: USB numbers of the vendors of whom some models are handed over, in lower-case hex.
    vendors: frozenset[str]

    @property
    def for_all(self) -> bool:
        """Whether keys of every model can be expected to be handed over."""
        return self.recognise and self.hand_over

    def cover(self, key: UsbKey) -> bool:
        """Whether *key* can be expected to be handed over."""
        return self.for_all or f"{key.vendor_id or 0:04x}" in self.vendors


@dataclass(frozen=True, kw_only=True)
class UsbFacts:
    """All about USB."""

    #: Whether the kernel offers raw access to HID devices; None: a matter of Linux only.
    hidraw: bool | Unknown | None
    keys: tuple[UsbKey, ...] | Unknown
    login: Login | Unknown
    rules: UdevRules | Unknown
    #: What kind of container or sandbox this runs in, like ``docker``, or None.
    container: str | None
    #: Windows only.
    administrator: bool | None


class Service(StrEnum):
    """What became of asking the smart card service."""

    RUNNING = "running"
    #: Nothing is there that could be asked.
    ABSENT = "absent"
    #: Its socket may not be opened by this user.
    DENIED = "denied"
    #: It ends the conversation at once.
    REFUSES = "refuses"
    SILENT = "silent"


class ReaderState(StrEnum):
    """What is on a card reader."""

    EMPTY = "empty"
    KEY = "key"
    OTHER_CARD = "other_card"
    #: One program holds it alone.
    EXCLUSIVE = "exclusive"
    #: Other programs use the card, so it was not disturbed.
    IN_USE = "in_use"
    #: The card does not answer.
    SILENT = "silent"


@dataclass(frozen=True, kw_only=True)
class CardReader:
    """A reader as the smart card service lists it. Its name is hostile text."""

    name: str
    state: ReaderState


@dataclass(frozen=True, kw_only=True)
class UsbReader:
    """A reader as the USB bus lists it."""

    #: Hostile text.
    product: str | None
    #: Whether it is a part of a security key that is on USB as well.
    in_key: bool
    #: The kernel's driver that took it, or None; ``usbfs`` stands for a program.
    driver: str | None
    holders: tuple[Process, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReaderFacts:
    """All about card readers and the service that speaks to them."""

    #: None: pyscard can be used; else what is wrong, and ``missing`` when it is not installed.
    support: str | None
    service: Service
    #: Whether the service's program is on this computer; None: it is part of the system.
    installed: bool | None
    #: The socket that PCSCLITE_CSOCK_NAME names, or None.
    named_socket: str | None
    usb: tuple[UsbReader, ...]
    #: None: the service could not be asked.
    readers: tuple[CardReader, ...] | None
    #: Running programs that are known to hold readers.
    suspects: tuple[Process, ...]


@dataclass(frozen=True, kw_only=True)
class VirtualState:
    """A virtual key."""

    selector: str
    plugged: bool = False
    #: The bus that it is attached to, or None.
    attached: str | None = None
    #: Why its files cannot be used, or None.
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Library:
    """The library that speaks to keys."""

    #: None: not installed.
    version: str | None
    #: Why it cannot be loaded, or None.
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Home:
    """The folder for keyctl's files."""

    path: str
    exists: bool
    is_folder: bool = False
    #: Whether others may look into it; False where permissions are not POSIX.
    open_to_others: bool = False
    writable: bool = False
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class FileProblem:
    """A file of the inventory, or of those beside it, that cannot be used."""

    message: str
    hint: str | None


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """All about keyctl's own files, and what checks without a person need."""

    #: Files of the inventory that cannot be read or understood, copies that a syncing program made among them, and what
    #: else keeps the health check from running.
    problems: tuple[FileProblem, ...]
    #: Files beside the inventory, in the same folder, that are not read, or count as not there.
    overlooked: tuple[FileProblem, ...]
    #: The folder for what concerns this computer only, and what is wrong with it; None: nothing.
    state: str
    state_problem: str | None
    #: Whether others may look into it; False where permissions are not POSIX.
    state_open_to_others: bool
    #: Files in it that cannot be read or understood, without which a key or a seed cannot be trusted.
    pin_problems: tuple[FileProblem, ...]
    now: str
    #: The latest time that a file of the inventory tells of; None: none does.
    newest: str | None
    #: The latest time that this computer's own state tells of; None: of none.
    noted: str | None
    #: Names of keys that may be read without their PIN, whose tokens are in the system's keyring.
    in_keyring: tuple[str, ...]
    #: Why that keyring cannot be used by a program that asks nobody; None: it can.
    keyring_problem: str | None
    #: The units of `keyctl health timer` that are in place.
    timer: tuple[str, ...]
    #: Whether the user's units run while nobody is logged in; None: not known.
    linger: bool | None


@dataclass(frozen=True, kw_only=True)
class NamedProgram:
    """A program ``keyctl`` of the search path."""

    path: str
    #: Whether it is this program.
    own: bool


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything; None: not looked at, because it concerns other keys than the one that was named."""

    #: As ``sys.platform``.
    platform: str
    #: The text of ``--key``, or None.
    wanted: str | None
    library: Library
    usb: UsbFacts | None
    readers: ReaderFacts | None
    virtual: tuple[VirtualState, ...] | Unknown | None
    home: Home | None
    #: In the order of the search path.
    programs: tuple[NamedProgram, ...] | None
    #: None: not looked at, as with ``--key``.
    keeping: Keeping | None = None
