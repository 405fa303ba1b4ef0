"""What a diagnosis sees, in trees like those of the system, real processes and real sockets."""

from __future__ import annotations

import grp
import os
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core.diagnosis_facts import Home, NamedProgram, Opening, Service, UdevRules, Unknown
from keyctl.device import surroundings, surroundings_readers, surroundings_usb, virtual_keys
from keyctl.store.paths import virtual_keys_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

# HID usage page 0xF1D0, usage 1, 64 bytes in and 64 bytes out (CTAP 2.2, section 11.2.8.2).
KEY = bytes.fromhex("06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0")
ROOT_FOLDER = Path(surroundings.__file__).parent.parent.parent


@dataclass(frozen=True)
class Machine:
    """The folders that a diagnosis looks into."""

    root: Path

    @property
    def folders(self) -> dict[str, Any]:
        return {
            "sys_root": self.root / "sys",
            "dev_root": self.root / "dev",
            "proc_root": Path("/proc"),
            "run_root": self.root / "run",
            "root": self.root,
            "rules_folders": [self.root / "etc", self.root / "lib"],
        }

    def plug(self, number: int = 3, node: str | None = "/dev/null", *, with_reader: bool = False) -> Path:
        """A key; *node* is what its node leads to, None: it has none here."""
        device = self.root / "sys" / "devices" / "usb1" / "1-2"
        hid = device / "1-2:1.0" / f"0003:1050:0407.{number:04X}"
        hid.mkdir(parents=True)
        (hid / "report_descriptor").write_bytes(KEY)
        (hid / "uevent").write_bytes(b"HID_ID=0003:00001050:00000407\nHID_NAME=Yubico YubiKey\nHID_UNIQ=12\n")
        folder = self.root / "sys" / "class" / "hidraw" / f"hidraw{number}"
        folder.mkdir(parents=True)
        (folder / "device").symlink_to(hid)
        (folder / "dev").write_text("240:3\n")
        (self.root / "dev").mkdir(exist_ok=True)
        path = self.root / "dev" / f"hidraw{number}"
        if node is not None:
            path.symlink_to(node)
        if with_reader:
            self.plug_reader(device, "1-2:1.1")
        return path

    def plug_reader(self, device: Path | None = None, interface: str = "1-3:1.0", driver: str | None = None) -> None:
        device = device or self.root / "sys" / "devices" / "usb1" / "1-3"
        (device / interface).mkdir(parents=True)
        (device / interface / "bInterfaceClass").write_text("0b\n")
        (device / "product").write_text("ACR122U\n")
        (device / "busnum").write_text("1\n")
        (device / "devnum").write_text("4\n")
        if driver is not None:
            drivers = self.root / "sys" / "drivers" / driver
            drivers.mkdir(parents=True)
            (device / interface / "driver").symlink_to(drivers)
        listed = self.root / "sys" / "bus" / "usb" / "devices"
        listed.mkdir(parents=True, exist_ok=True)
        (listed / interface).symlink_to(device / interface)

    def rules(self, folder: str, name: str, text: str) -> None:
        (self.root / folder).mkdir(exist_ok=True)
        (self.root / folder / name).write_text(text)

    def session(self, name: str, **facts: object) -> None:
        folder = self.root / "run" / "systemd" / "sessions"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("# This is private data.\n" + "".join(f"{k}={v}\n" for k, v in facts.items()))

    def usb(self, **environment: str) -> Any:
        return surroundings_usb.linux_usb(environment, **self.folders)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "sys" / "class").mkdir(parents=True)
    return Machine(tmp_path)


def test_key_is_opened_and_told_with_what_sysfs_says(machine: Machine) -> None:
    path = machine.plug()
    [key] = machine.usb().keys
    assert (key.selector, key.product, key.serial) == (f"usb:{path}", "Yubico YubiKey", "12")
    assert (key.vendor_id, key.product_id, key.opening) == (0x1050, 0x0407, Opening.OK)
    assert machine.usb().hidraw is True


def test_kernel_without_hidraw_and_system_without_sysfs_are_told_apart(machine: Machine, tmp_path: Path) -> None:
    assert machine.usb().hidraw is False
    nowhere = Machine(tmp_path / "nowhere").usb()
    assert isinstance(nowhere.hidraw, Unknown)
    assert nowhere.keys == ()


def test_key_without_a_node_is_missing(machine: Machine) -> None:
    machine.plug(node=None)
    assert machine.usb().keys[0].opening is Opening.MISSING


def test_node_that_is_no_device_of_this_kernel_fails_with_the_reason(machine: Machine) -> None:
    path = machine.plug(node=None)
    with socket.socket(socket.AF_UNIX) as listener, in_folder(path.parent):
        listener.bind(path.name)
        [key] = machine.usb().keys
    assert key.opening is Opening.FAILED
    assert key.reason == "no such device or address"


def test_pipe_in_place_of_a_node_makes_nobody_wait(machine: Machine) -> None:
    os.mkfifo(machine.plug(node=None))
    assert machine.usb().keys[0].opening is Opening.OK


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_node_of_a_group_is_refused_to_others_with_the_name_of_the_group() -> None:
    code = """
import grp, os, pwd, sys
from pathlib import Path
from keyctl.device import surroundings_usb
root, groups = Path(sys.argv[1]), [int(group) for group in sys.argv[2:]]
os.setgroups(groups)
os.setgid(65534)
os.setuid(65534)
[key] = surroundings_usb.linux_usb({}, sys_root=root / "sys", dev_root=root / "dev").keys
print(key.opening, key.group.name, key.group.now, key.group.listed)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        machine = Machine(Path(folder))
        path = machine.plug(node=None)
        path.touch()
        # Group 1 has a name on every system that tests run on.
        os.chown(path, 0, 1)
        path.chmod(0o660)
        environment = {"PYTHONPATH": str(ROOT_FOLDER)}
        done = {
            groups: subprocess.run(
                [sys.executable, "-c", code, folder, *groups],
                env=environment, check=True, capture_output=True, text=True,
            ).stdout.split()
            for groups in ((), ("1",))
        }  # fmt: skip
    name = grp.getgrgid(1).gr_name
    assert done == {(): ["denied", name, "False", "False"], ("1",): ["ok", name, "True", "False"]}


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Socket names are short; the tests' folders are not."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def test_active_session_at_a_seat_counts_wherever_this_runs(machine: Machine) -> None:
    machine.session("c1", UID=os.getuid(), ACTIVE=1, SEAT="seat0", REMOTE=0)
    machine.session("7", UID=os.getuid(), ACTIVE=1, REMOTE=1)
    login = machine.usb(XDG_SESSION_ID="7").login
    assert (login.at_seat, login.remote) == (True, True)


@pytest.mark.parametrize("facts", [{"ACTIVE": 0}, {"UID": 99999}, {"SEAT": ""}])
def test_session_that_is_not_the_user_s_active_one_at_a_seat_does_not_count(
    machine: Machine, facts: dict[str, object]
) -> None:
    machine.session("2", **({"UID": os.getuid(), "ACTIVE": 1, "SEAT": "seat0"} | facts))
    # What the environment says may be left over from another login.
    assert machine.usb(XDG_SEAT="seat0").login.at_seat is False


@pytest.mark.parametrize(
    ("environment", "at_seat", "remote"),
    [
        ({"XDG_SEAT": "seat0"}, True, False),
        ({"SSH_CONNECTION": "192.0.2.1 4 192.0.2.2 22"}, False, True),
        ({}, None, False),
    ],
)
def test_without_a_login_service_the_environment_decides(
    machine: Machine, environment: dict[str, str], at_seat: bool | None, remote: bool
) -> None:
    login = machine.usb(**environment).login
    assert (login.at_seat, login.remote) == (at_seat, remote)


# As in systemd 252.
FIDO_ID = 'ACTION=="remove", GOTO="fido_id_end"\nSUBSYSTEM=="hidraw", IMPORT{program}="fido_id"\n'
UACCESS = '# (USB) authentication devices\nENV{ID_SECURITY_TOKEN}=="?*", TAG+="uaccess"\n'
# As in libfido2.
BY_NUMBER = (
    'KERNEL=="hidraw*", SUBSYSTEM=="hidraw", ATTRS{idVendor}=="1050", ATTRS{idProduct}=="0407", TAG+="uaccess"\n'
    '#KERNEL=="hidraw*", ATTRS{idVendor}=="AAAA", TAG+="uaccess"\n'
)


def test_rules_of_systemd_are_understood(machine: Machine) -> None:
    machine.rules("lib", "60-fido-id.rules", FIDO_ID)
    machine.rules("lib", "70-uaccess.rules", UACCESS)
    assert machine.usb().rules == UdevRules(recognise=True, hand_over=True, vendors=frozenset())


def test_half_of_the_rules_hands_nothing_over(machine: Machine) -> None:
    machine.rules("lib", "70-uaccess.rules", UACCESS)
    assert not machine.usb().rules.for_all


def test_rule_that_is_masked_is_none(machine: Machine) -> None:
    machine.rules("lib", "60-fido-id.rules", FIDO_ID)
    machine.rules("etc", "60-fido-id.rules", "")
    assert not machine.usb().rules.recognise


def test_rules_by_number_count_for_their_vendors(machine: Machine) -> None:
    machine.rules("lib", "70-u2f.rules", BY_NUMBER)
    assert machine.usb().rules.vendors == {"1050"}


def test_system_without_rules_is_not_known(machine: Machine) -> None:
    assert isinstance(machine.usb().rules, Unknown)


def test_containers_are_known_by_their_marks(machine: Machine) -> None:
    assert machine.usb().container is None
    assert machine.usb(container="lxc").container == "lxc"
    assert machine.usb(container="$(reboot)").container is None
    assert machine.usb(SNAP_NAME="keyctl").container == "snap"
    (machine.root / ".dockerenv").touch()
    assert machine.usb().container == "docker"


@contextmanager
def another_program(path: Path) -> Iterator[int]:
    """A program that has *path* open; its number."""
    code = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        yield program.pid
        program.communicate()


def test_program_that_has_a_node_open_is_found_and_this_one_is_not(machine: Machine) -> None:
    path = machine.plug(node=None)
    path.touch()
    with path.open(), another_program(path) as number:
        [key] = machine.usb().keys
    assert [process.pid for process in key.holders] == [number]
    assert key.holders[0].name.startswith("python")


def test_processes_that_cannot_be_looked_into_hide_no_others(tmp_path: Path) -> None:
    for number, name in ((1, b"init\n"), (20, b"evil\x1b[2J\xff\n"), (3, b"")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_bytes(name)
    (tmp_path / "20" / "fd").mkdir()
    (tmp_path / "20" / "fd" / "5").symlink_to("/dev/hidraw3")
    (tmp_path / "self").mkdir()
    [found] = surroundings_usb.holders(["/dev/hidraw3"], tmp_path)["/dev/hidraw3"]
    assert (found.pid, found.name) == (20, "evil\x1b[2J\ufffd")
    assert surroundings_usb.holders(["/dev/hidraw3"], tmp_path / "none") == {"/dev/hidraw3": ()}


def test_reader_that_is_part_of_a_key_is_told_from_others(machine: Machine) -> None:
    machine.plug(with_reader=True)
    machine.plug_reader(driver="pn533_usb")
    folders = machine.root / "sys", machine.root / "dev"
    own, other = surroundings_readers.usb_readers(*folders)
    assert (own.in_key, other.in_key) == (True, False)
    assert (own.driver, other.driver, other.product) == (None, "pn533_usb", "ACR122U")


def test_program_that_has_taken_a_reader_is_found(machine: Machine) -> None:
    machine.plug_reader()
    node = machine.root / "dev" / "bus" / "usb" / "001" / "004"
    node.parent.mkdir(parents=True)
    node.touch()
    with another_program(node) as number:
        [reader] = surroundings_readers.usb_readers(machine.root / "sys", machine.root / "dev")
    assert [process.pid for process in reader.holders] == [number]


class ServiceSocket:
    """A socket in place of the smart card service's."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self.folder.name) / "pcscd.comm")

    def facts(self, service_s: float = 5.0) -> Any:
        environment = {"PCSCLITE_CSOCK_NAME": self.path, "PATH": self.folder.name}
        nowhere = Path(self.folder.name) / "none"
        return surroundings_readers.reader_facts(environment, sys_root=nowhere, proc_root=nowhere, service_s=service_s)


@pytest.fixture
def service() -> Iterator[ServiceSocket]:
    service = ServiceSocket()
    with service.folder:
        yield service


def test_missing_socket_is_an_absent_service(service: ServiceSocket) -> None:
    facts = service.facts()
    assert (facts.service, facts.readers, facts.named_socket) == (Service.ABSENT, None, service.path)


def test_socket_that_was_left_over_is_an_absent_service(service: ServiceSocket) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(service.path)
    assert service.facts().service is Service.ABSENT


def test_socket_with_a_name_that_is_too_long_is_an_absent_service(service: ServiceSocket) -> None:
    service.path = "/" + "x" * 200
    assert service.facts().service is Service.ABSENT


@pytest.mark.parametrize(("answers", "state"), [(False, Service.SILENT), (True, Service.REFUSES)])
def test_service_that_says_nothing_and_one_that_hangs_up_are_told_apart(answers: bool, state: Service) -> None:
    """In a process of its own: the library reads the name of the socket once."""
    code = """
import os
from pathlib import Path
from keyctl.device import surroundings_readers
print(surroundings_readers.reader_facts(os.environ, sys_root=Path("/nowhere"), service_s=1.0).service, flush=True)
os._exit(0)
"""
    service = ServiceSocket()
    with service.folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(service.path)
        listener.listen()
        listener.settimeout(20)

        def hang_up() -> None:
            # keyctl's own connection, and then the library's.
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        if answers:
            thread.start()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(ROOT_FOLDER), "PCSCLITE_CSOCK_NAME": service.path},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        if answers:
            thread.join()
    assert done.stdout.strip() == state


def test_library_that_is_not_there_or_broken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halfway_installed.py").write_text("def")
    monkeypatch.syspath_prepend(tmp_path)
    assert surroundings.library().problem is None
    assert surroundings.library("not_installed_at_all").problem == "No module named 'not_installed_at_all'"
    assert surroundings.library("halfway_installed").problem


def test_home_is_looked_at_and_not_made(tmp_path: Path) -> None:
    home = tmp_path / "keys"
    assert surroundings.home_folder(home) == Home(path=str(home), exists=False)
    assert not home.exists()
    home.mkdir(mode=0o700)
    found = surroundings.home_folder(home)
    assert (found.is_folder, found.open_to_others, found.writable) == (True, False, True)
    home.chmod(0o750)
    assert surroundings.home_folder(home).open_to_others
    (tmp_path / "file").touch()
    assert not surroundings.home_folder(tmp_path / "file").is_folder
    assert not surroundings.home_folder(tmp_path / "file" / "in").exists
    assert surroundings.home_folder(Path("a\0b")).problem


SCRIPT = "#!/usr/bin/python3\nimport sys\nfrom keyctl.cli.main import run\nsys.exit(run())\n"


def test_programs_of_the_name_are_told_in_order_and_once(tmp_path: Path) -> None:
    own, other, again, empty = (tmp_path / name for name in ("own", "other", "again", "empty"))
    for folder, text in ((own, SCRIPT), (other, "\x7fELF")):
        folder.mkdir()
        (folder / "keyctl").write_text(text)
        (folder / "keyctl").chmod(0o755)
    again.symlink_to(other)
    (empty / "keyctl").mkdir(parents=True)
    path = os.pathsep.join(["", ".", str(empty), str(other), str(again), str(own), "/nonexistent"])
    assert surroundings.named_programs(path) == (
        NamedProgram(path=str(other / "keyctl"), own=False),
        NamedProgram(path=str(own / "keyctl"), own=True),
    )


def test_pipe_of_the_name_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keyctl", 0o755)
    assert surroundings.named_programs(str(tmp_path)) == (NamedProgram(path=str(tmp_path / "keyctl"), own=False),)


def test_virtual_keys_are_told_broken_ones_included(home: Path) -> None:
    folder = virtual_keys_folder(home)
    assert surroundings.virtual_states(home) == ()
    for name in ("blue", "red"):
        virtual_keys.new(folder, name, "full")
    virtual_keys.unplug(folder, "blue")
    (folder / "red.json").write_text("nonsense")
    blue, red = surroundings.virtual_states(home)
    assert (blue.selector, blue.plugged, blue.problem) == ("virtual:blue", False, None)
    assert red.selector == "virtual:red"
    assert red.problem


@pytest.mark.parametrize(
    ("wanted", "looked_at"),
    [
        (None, {"usb", "readers", "virtual", "home", "programs"}),
        ("usb:/dev/hidraw3", {"usb"}),
        ("nfc:ACS", {"readers"}),
        ("virtual:blue", {"virtual"}),
        ("12345678", {"usb", "readers", "virtual"}),
    ],
)
def test_only_what_concerns_the_named_key_is_looked_at(home: Path, wanted: str | None, looked_at: set[str]) -> None:
    facts = surroundings.gather(home, wanted, {"PATH": ""})
    parts = ("usb", "readers", "virtual", "home", "programs")
    assert {part for part in parts if getattr(facts, part) is not None} == looked_at
