"""Files of ssh-keygen, pamu2fcfg and systemd-cryptenroll, and the very virtual keys that they were made with."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from keyctl.core import public_keys
from keyctl.core.inventory import Origin
from keyctl.device import connecting, discover, session
from keyctl.errors import UsageError
from keyctl.model import Waits
from keyctl.operations import local_credentials
from keyctl.operations.local_credentials import LocalCredential, LocalFindings, Places
from keyctl.virtual import keys

VECTORS = Path(__file__).parents[1] / "vectors" / "local"
SSH = VECTORS / "ssh"
#: Of the keys in the files.
PIN = "1234"
PASSPHRASE = "open sesame"
NOBODY = 65534
WAITS = Waits(touch_s=5.0, plug_s=0.0, lock_s=0.0)


class Computer:
    """Folders of a computer, empty at first."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(
            home=folder / "kim",
            config=folder / "kim" / ".config",
            etc=folder / "etc",
            blocks=folder / "sys" / "class" / "block",
            devices=folder / "dev",
            host="laptop",
            user="kim",
        )
        for place in (self.ssh, self.places.config / "Yubico", self.places.etc / "pam.d"):
            place.mkdir(parents=True)
        for place in (self.places.blocks, self.places.devices):
            place.mkdir(parents=True)

    @property
    def ssh(self) -> Path:
        return self.places.home / ".ssh"

    @property
    def u2f_keys(self) -> Path:
        return self.places.config / "Yubico" / "u2f_keys"

    def add_disk(self, name: str, sectors: int = 40960) -> Path:
        """Have the kernel tell of a disk; returns where its node would be."""
        (self.places.blocks / name).mkdir()
        (self.places.blocks / name / "size").write_text(f"{sectors}\n")
        node = self.places.devices / name.replace("!", "/")
        node.parent.mkdir(exist_ok=True)
        return node


@pytest.fixture
def computer(tmp_path):
    return Computer(tmp_path / "computer")


@pytest.fixture
def find(computer, desk, person):
    """Looks for everything; whoever is asked for passphrases is the last argument."""

    def look(who=None) -> LocalFindings:
        asked = who is not None
        return local_credentials.find(desk.circumstances(who or person()), computer.places, ask_passphrase=asked)

    return look


@pytest.fixture
def open_key(desk):
    """Opens one of the keys that the files were made with."""
    desk.folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:

        def connect(name: str, pin: str | None = None) -> session.Session:
            for path in (VECTORS / "keys").glob(f"{name}.*"):
                shutil.copy(path, desk.folder)
            keys.plug(desk.folder, name)
            found = next(key for key in discover.discover(desk.home, "virtual:").found if key.path == name)
            opened = stack.enter_context(connecting.connect(found, desk.home, WAITS, lambda *_touch: None))
            if pin is not None:
                opened.use_pin(pin)
            return opened

        yield connect


@contextlib.contextmanager
def no_rights():
    """As somebody who may read nothing of what is not for all."""
    user = os.geteuid()
    # Python itself may be installed where only root reads, and loads this codec when it is first needed.
    codecs.lookup("ascii")
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


def holds(key: session.Session, credential: LocalCredential, *, verified: bool = False) -> bool:
    """Whether the key signs with the credential, and rightly where that can be seen."""
    (rp_id,) = credential.rp_ids
    signed = key.answering(rp_id, [credential.credential_id], verified=verified)
    if signed is None:
        return False
    public_key = credential.public_key
    assert public_key is None or public_keys.verifies(public_key, signed.signed, signed.signature)
    return True


def test_empty_computer_has_nothing(find):
    assert find() == LocalFindings(credentials=(), problems=(), remarks=())


def test_computer_without_any_of_the_folders_has_nothing(desk, person, tmp_path):
    nowhere = tmp_path / "nowhere"
    places = Places(home=nowhere, config=nowhere, etc=nowhere, blocks=nowhere, devices=nowhere, host="laptop", user="")
    findings = local_credentials.find(desk.circumstances(person()), places, ask_passphrase=True)
    assert findings == LocalFindings(credentials=(), problems=(), remarks=())


def test_places_of_this_computer(monkeypatch):
    monkeypatch.setenv("HOME", "/home/kim")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert Places.of_this_computer().config == Path("/home/kim/.config")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/kim/settings")
    places = Places.of_this_computer()
    assert (places.home, places.config) == (Path("/home/kim"), Path("/home/kim/settings"))
    assert places.host == socket.gethostname()


@pytest.mark.parametrize("name", ["id_ecdsa_sk", "id_ed25519_sk", "work", "resident", "verified", "verified_ecdsa"])
def test_key_of_ssh_is_found_and_the_security_key_signs_with_it(computer, find, open_key, name):
    shutil.copy(SSH / name, computer.ssh)
    shutil.copy(SSH / f"{name}.pub", computer.ssh)
    findings = find()
    (credential,) = findings.credentials
    assert (findings.problems, findings.remarks) == ((), ())
    assert (credential.origin, credential.state, credential.account) == (Origin.SSH, "readable", None)
    assert (credential.file, credential.label) == (str(computer.ssh / name), name)
    assert credential.rp_ids == (("ssh:work",) if name == "work" else ("ssh:",))
    wants_pin = name.startswith("verified")
    assert credential.verify_required == wants_pin
    daily = open_key("daily", PIN)
    assert holds(daily, credential, verified=wants_pin)
    assert holds(daily, credential) != wants_pin
    assert not holds(open_key("spare"), credential)


def test_locked_key_tells_what_can_be_read_and_what_to_do(computer, find):
    shutil.copy(SSH / "locked", computer.ssh)
    findings = find()
    (credential,) = findings.credentials
    assert (credential.state, credential.credential_id, credential.rp_ids) == ("locked", None, ("ssh:",))
    assert public_keys.algorithm(credential.public_key) == -8
    assert findings.remarks == ("1 key file of ssh is locked by a passphrase; --ask-passphrase asks for it",)
    shutil.copy(SSH / "locked_ecdsa", computer.ssh)
    assert find().remarks == ("2 key files of ssh are locked by a passphrase; --ask-passphrase asks for it",)


def test_passphrase_unlocks_and_a_wrong_one_may_be_followed_by_the_right_one(computer, find, open_key, person):
    shutil.copy(SSH / "locked", computer.ssh)
    kim = person(passphrases=["open barley", PASSPHRASE])
    (credential,) = find(kim).credentials
    assert kim.asked == [str(computer.ssh / "locked")] * 2
    assert kim.told == [f"{computer.ssh / 'locked'} has another passphrase"]
    assert credential.state == "readable"
    assert holds(open_key("daily"), credential)


@pytest.mark.parametrize("passphrases", [[None], ["wrong", None], ["wrong", "wrong", "wrong"]])
def test_file_whose_passphrase_nobody_knows_stays_locked(computer, find, person, passphrases):
    shutil.copy(SSH / "locked", computer.ssh)
    kim = person(passphrases=list(passphrases))
    findings = find(kim)
    assert [credential.state for credential in findings.credentials] == ["locked"]
    assert (findings.problems, findings.remarks, kim.passphrases) == ((), (), [])


def test_unsupported_cipher_is_told_and_nobody_is_asked(computer, find, person):
    shutil.copy(SSH / "locked_chacha20-poly1305", computer.ssh)
    kim = person()
    findings = find(kim)
    assert [credential.state for credential in findings.credentials] == ["locked"]
    (problem,) = findings.problems
    assert problem.code == "local_unreadable"
    assert "chacha20-poly1305@openssh.com" in problem.message
    assert "ssh-keygen -p -Z aes256-ctr" in problem.hint
    assert kim.asked == []


def test_other_files_in_the_folder_of_ssh_are_left_alone(computer, find, tmp_path):
    (computer.ssh / "config").write_text("Host *\n")
    (computer.ssh / "known_hosts").write_text("x" * 100_000)
    (computer.ssh / "large").write_bytes((SSH / "work").read_bytes() + bytes(70_000))
    (computer.ssh / "folder").mkdir()
    (computer.ssh / "loop").symlink_to("loop")
    (computer.ssh / "nowhere").symlink_to("gone")
    outside = tmp_path / "outside"
    shutil.copy(SSH / "id_ecdsa_sk", outside)
    (computer.ssh / "outside").symlink_to(outside)
    os.mkfifo(computer.ssh / "pipe")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(computer.ssh):
        listener.bind("control")
        assert find() == LocalFindings(credentials=(), problems=(), remarks=())


def test_key_that_lies_in_the_home_folder_and_is_linked_twice_is_found_once(computer, find):
    shutil.copy(SSH / "work", computer.places.home / "work")
    for name in ("one", "two"):
        (computer.ssh / name).symlink_to(computer.places.home / "work")
    (credential,) = find().credentials
    assert credential.label == "one"


def test_name_that_is_no_text_can_be_stored_all_the_same(computer, find):
    shutil.copy(SSH / "work", os.fsencode(computer.ssh) + b"/\xff\x1b")
    (credential,) = find().credentials
    assert credential.label == "\ufffd\x1b"


def test_damaged_file_is_a_problem_and_the_others_are_found(computer, find):
    content = (SSH / "work").read_bytes()
    (computer.ssh / "cut").write_bytes(content[:300])
    (computer.ssh / "work").write_bytes(content)
    findings = find()
    assert [credential.label for credential in findings.credentials] == ["work"]
    (problem,) = findings.problems
    assert problem.message == f"{computer.ssh / 'cut'} ends in the middle"
    assert (problem.exit_status, problem.details.file) == (6, str(computer.ssh / "cut"))


def test_pam_u2f_finds_both_keys_of_one_person(computer, find, open_key):
    shutil.copy(VECTORS / "pam" / "u2f_keys", computer.u2f_keys)
    first, second = find().credentials
    assert {(entry.origin, entry.account, entry.rp_ids) for entry in (first, second)} == {
        (Origin.PAM_U2F, "kim", ("pam://laptop",))
    }
    daily, spare = open_key("daily"), open_key("spare")
    assert [holds(daily, entry) for entry in (first, second)] == [True, False]
    assert [holds(spare, entry) for entry in (first, second)] == [False, True]


def test_passkeys_of_pam_u2f_are_named_although_they_cannot_be_asked_for(computer, find):
    shutil.copy(VECTORS / "pam" / "others", computer.places.etc / "u2f_mappings")
    verified, untouched, resident = find().credentials
    assert (verified.account, verified.verify_required, verified.state) == ("verified", True, "readable")
    assert (untouched.account, untouched.verify_required) == ("untouched", False)
    assert (resident.account, resident.state, resident.credential_id) == ("resident", "resident", None)
    assert resident.label == "u2f_mappings"


def test_key_of_u2f_claims_its_credential_and_signs_when_touched(computer, find, open_key):
    shutil.copy(VECTORS / "pam" / "old_format", computer.u2f_keys)
    (credential,) = find().credentials
    old = open_key("old")
    assert old.claimed("pam://laptop", [credential.credential_id]) == credential.credential_id
    signed = old.touched("pam://laptop", credential.credential_id)
    assert public_keys.verifies(credential.public_key, signed.signed, signed.signature)


@pytest.mark.parametrize(
    ("calls", "new", "old"),
    [
        ([], ("pam://laptop",), ("pam://laptop",)),
        (["origin=pam://office"], ("pam://office", "pam://laptop"), ("pam://office", "pam://laptop")),
        (["appid=pam://past"], ("pam://laptop",), ("pam://past", "pam://laptop")),
        (["authfile=FILE origin=pam://office"], ("pam://office",), ("pam://office",)),
        (
            ["authfile=FILE origin=pam://a", "authfile=FILE origin=pam://b"],
            ("pam://a", "pam://b"),
            ("pam://a", "pam://b"),
        ),
        (["authfile=FILE", "authfile=/elsewhere origin=pam://office"], ("pam://laptop",), ("pam://laptop",)),
    ],
)
def test_rp_ids_are_those_of_the_calls_that_read_the_file(computer, find, calls, new, old):
    path = computer.places.etc / "u2f_mappings"
    both = (VECTORS / "pam" / "u2f_keys").read_text() + (VECTORS / "pam" / "old_format").read_text().replace(
        "kim", "jo"
    )
    path.write_text(both)
    lines = [f"auth required pam_u2f.so {call.replace('FILE', str(path))}\n" for call in calls]
    (computer.places.etc / "pam.d" / "sudo").write_text("".join(lines))
    findings = find()
    assert [entry.rp_ids for entry in findings.credentials] == [new, new, old]


@pytest.mark.parametrize("authfile", ["{etc}/u2f/%u expand", "{etc}/u2f/kim", "../etc/u2f/kim"])
def test_files_that_pam_names_are_read(computer, find, authfile):
    (computer.places.etc / "u2f").mkdir()
    shutil.copy(VECTORS / "pam" / "u2f_keys", computer.places.etc / "u2f" / "kim")
    line = f"auth required pam_u2f.so cue authfile={authfile.format(etc=computer.places.etc)}\n"
    (computer.places.etc / "pam.d" / "login").write_text(line)
    assert len(find().credentials) == 2


def test_settings_of_pam_u2f_hold_for_calls_that_say_nothing_else(computer, find):
    shutil.copy(VECTORS / "pam" / "u2f_keys", computer.places.etc / "keys")
    (computer.places.etc / "security").mkdir()
    conf = f"origin = pam://everywhere\nauthfile = {computer.places.etc / 'keys'}\n"
    (computer.places.etc / "security" / "pam_u2f.conf").write_text(conf)
    (computer.places.etc / "pam.d" / "sudo").write_text("auth required pam_u2f.so\n")
    (computer.places.etc / "pam.d" / "login").write_text("auth required pam_u2f.so origin=pam://door\n")
    assert {entry.rp_ids for entry in find().credentials} == {("pam://door", "pam://everywhere")}


def test_broken_and_passed_over_lines_are_told(computer, find):
    good = (VECTORS / "pam" / "u2f_keys").read_text()
    computer.u2f_keys.write_text(f"robin:AAAA\n{good}{good}")
    findings = find()
    assert len(findings.credentials) == 2
    assert [problem.message for problem in findings.problems] == [
        f"{computer.u2f_keys} line 1 has a credential without a public key"
    ]
    assert findings.remarks == (
        f"{computer.u2f_keys} line 2 lets nobody in: a later line is for the same user, and pam_u2f reads only that",
    )


def test_file_that_is_no_mapping_is_not_complained_about_for_ever(computer, find):
    computer.u2f_keys.write_text("kim\n" * 50_000 + "kim:AAAA\n" * 50_000)
    findings = find()
    assert [problem.message for problem in findings.problems[9:]] == [
        f"{computer.u2f_keys} line 10 names no credential",
        f"{computer.u2f_keys} has 49991 more such lines",
    ]
    assert len(findings.remarks) == 10


def test_key_of_openssh_for_pam_u2f_is_named(computer, find):
    shutil.copy(SSH / "id_ecdsa_sk", computer.u2f_keys)
    findings = find()
    assert (findings.credentials, findings.problems) == ((), ())
    assert str(computer.u2f_keys) in findings.remarks[0]


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """An encrypted volume with the tokens of the stored one."""
    if shutil.which("cryptsetup", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("cryptsetup is not installed")
    folder = tmp_path_factory.mktemp("luks")
    path = folder / "volume"
    with path.open("wb") as file:
        file.truncate(20 * 1024 * 1024)
    quick = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
    for slot in (0, 1, 2):
        (folder / f"password{slot}").write_text(f"correct horse {slot}")
    cryptsetup("-q", "luksFormat", "--type", "luks2", *quick, "--label", "backups", path, folder / "password0")
    for slot in (1, 2):
        cryptsetup("-q", "luksAddKey", *quick, "-d", folder / "password0", path, folder / f"password{slot}")
    for token in json.loads((VECTORS / "luks" / "volume.json").read_text())["tokens"].values():
        cryptsetup("token", "import", path, said=json.dumps(token))
    return path


def cryptsetup(*words, said: str = "") -> str:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        ["cryptsetup", *words],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["vda2", "mapper!disk"])
def test_disk_is_found_and_the_security_keys_sign_for_it(computer, find, open_key, volume, name):
    computer.add_disk(name).symlink_to(volume)
    findings = find()
    assert (findings.problems, findings.remarks) == ((), ())
    first, second = findings.credentials
    assert (first.origin, first.label, first.rp_ids) == (Origin.LUKS, "backups", ("io.systemd.cryptsetup",))
    assert first.account == second.account == cryptsetup("luksUUID", volume).strip()
    assert (first.public_key, first.state) == (None, "readable")
    daily, spare = open_key("daily"), open_key("spare")
    assert [holds(daily, entry) for entry in (first, second)] == [True, False]
    assert [holds(spare, entry) for entry in (first, second)] == [False, True]


@pytest.mark.parametrize(
    "line", ["data VOLUME none fido2-device=auto", "data /dev/none none luks,header=VOLUME", "# x\ndata\tVOLUME"]
)
def test_files_in_crypttab_are_found(computer, find, volume, line):
    (computer.places.etc / "crypttab").write_text(f"{line.replace('VOLUME', str(volume))}\nswap UUID=1 none\n\nodd\n")
    assert len(find().credentials) == 2


def test_one_volume_seen_in_several_ways_is_found_once(computer, find, volume, tmp_path):
    computer.add_disk("vda2").symlink_to(volume)
    shutil.copy(volume, tmp_path / "mirror")
    computer.add_disk("vdb2").symlink_to(tmp_path / "mirror")
    (computer.places.etc / "crypttab").write_text(f"data {volume}\n")
    assert len(find().credentials) == 2


def test_disks_without_luks_and_without_a_medium_are_passed_over(computer, find, volume):
    computer.add_disk("vda").write_bytes(bytes(4096))
    computer.add_disk("vdb").write_bytes(b"")
    computer.add_disk("vdc")
    computer.add_disk("vdd").mkdir()
    computer.add_disk("loop0", sectors=0).symlink_to(volume)
    computer.add_disk("sr0").symlink_to(volume)
    (computer.places.blocks / "odd").mkdir()
    (computer.places.blocks / "odder").write_text("")
    assert find() == LocalFindings(credentials=(), problems=(), remarks=())


def test_damaged_header_is_a_problem(computer, find, volume):
    node = computer.add_disk("vda2")
    node.write_bytes(volume.read_bytes()[:4096] + bytes(8192))
    findings = find()
    assert findings.credentials == ()
    (problem,) = findings.problems
    assert problem.message.startswith(f"{node} cannot be looked at: cryptsetup: ")
    assert problem.code == "local_unreadable"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo first >&2; echo second >&2; exit 3", "cannot be looked at: cryptsetup: second"),
        ("exec cat /dev/zero", "cannot be looked at: cryptsetup: it said nothing, or took too long"),
        ("echo '{}'", "has metadata without tokens"),
        ('echo \'{"tokens": {"0": {"type": "systemd-fido2"}}}\'', "has a token '0' that names no credential"),
    ],
)
def test_whatever_cryptsetup_says_is_a_problem_at_worst(computer, find, volume, tmp_path, monkeypatch, script, reason):
    program = tmp_path / "bin" / "cryptsetup"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    node = computer.add_disk("vda2")
    node.symlink_to(volume)
    findings = find()
    assert findings.credentials == ()
    assert [problem.message for problem in findings.problems] == [f"{node} {reason}"]


@pytest.mark.parametrize(("user", "advice"), [(NOBODY, "; run as root for those"), (0, ", not even by root")])
def test_what_may_not_be_read_is_counted_or_named(desk, person, monkeypatch, user, advice):
    """Disks are for root alone, so they are no problem; a file of one's own is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        computer = Computer(Path(folder) / "computer")
        for path in (computer.u2f_keys, computer.ssh / "work", *map(computer.add_disk, ("vda", "vda1", "dm-0", "vdb"))):
            path.write_text("secret")
            path.chmod(0)
        (computer.places.blocks / "vda1" / "partition").write_text("1\n")
        circumstances = desk.circumstances(person())
        with no_rights(), monkeypatch.context() as patch:
            # Root without all its rights, as in a container, cannot be had here; what it calls itself can.
            patch.setattr(os, "geteuid", lambda: user)
            findings = local_credentials.find(circumstances, computer.places, ask_passphrase=False)
    assert findings.credentials == ()
    assert findings.remarks == (f"2 disks could not be looked at{advice}",)
    assert [problem.message for problem in findings.problems] == [
        f"cannot read {path}: permission denied" for path in (computer.ssh / "work", computer.u2f_keys)
    ]


def test_names_that_no_file_can_have_are_passed_over(computer, find):
    shutil.copy(VECTORS / "pam" / "u2f_keys", computer.u2f_keys)
    (computer.places.etc / "pam.d" / "login").write_text("auth required pam_u2f.so authfile=/etc/\0\n")
    (computer.places.etc / "crypttab").write_text("a /dev/\0 none\nb /dev/x none header=/\0\n")
    findings = find()
    assert (len(findings.credentials), findings.problems) == (2, ())


def test_what_is_proposed_for_a_file_is_one_word_of_a_command_line(computer, find, person):
    name = "it's $(reboot)"
    shutil.copy(SSH / "locked_chacha20-poly1305", computer.ssh / name)
    [problem] = find(person()).problems
    assert shlex.split(problem.hint)[-1] == str(computer.ssh / name)


def test_a_user_without_a_home_folder_is_told(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(UsageError, match="home folder"):
        Places.of_this_computer()
