"""From facts to findings: what is said in which situation, and that nothing is blamed twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core.diagnosis import RULES, diagnose
from keyctl.core.diagnosis_facts import (
    CardReader,
    Check,
    Facts,
    FileProblem,
    Home,
    Keeping,
    Library,
    Login,
    NamedProgram,
    NodeGroup,
    Opening,
    Process,
    ReaderFacts,
    ReaderState,
    Service,
    UdevRules,
    Unknown,
    UsbFacts,
    UsbKey,
    UsbReader,
    VirtualState,
)
from keyctl.core.results import CheckResult

KEY = UsbKey(
    selector="usb:/dev/hidraw3",
    product="Yubico YubiKey FIDO",
    serial=None,
    vendor_id=0x1050,
    product_id=0x0407,
    opening=Opening.OK,
)
USB = UsbFacts(
    hidraw=True,
    keys=(KEY,),
    login=Login(user="kim", at_seat=True, remote=False),
    rules=UdevRules(recognise=True, hand_over=True, vendors=frozenset()),
    container=None,
    administrator=None,
)
READERS = ReaderFacts(
    support=None, service=Service.RUNNING, installed=True, named_socket=None, usb=(), readers=(), suspects=()
)
KEEPING = Keeping(
    problems=(),
    overlooked=(),
    state="/home/kim/state",
    state_problem=None,
    state_open_to_others=False,
    pin_problems=(),
    now="2026-06-01T08:00:00Z",
    newest="2026-05-31T08:00:00Z",
    noted="2026-06-01T07:00:00Z",
    in_keyring=("blue",),
    keyring_problem=None,
    timer=(),
    linger=True,
)
WELL = Facts(
    platform="linux",
    wanted=None,
    library=Library(version="2.2.1", problem=None),
    usb=USB,
    readers=READERS,
    virtual=(),
    home=Home(path="/home/kim/keys", exists=True, is_folder=True, writable=True),
    programs=(NamedProgram(path="/usr/local/bin/keyctl", own=True),),
    keeping=KEEPING,
)
NO_RULES = UdevRules(recognise=False, hand_over=False, vendors=frozenset())
READER = UsbReader(product="ACR122U", in_key=False, driver=None)
FINDINGS = {CheckResult.WARN, CheckResult.FAIL}


def findings(facts: Facts) -> list[Check]:
    return [check for check in diagnose(facts).checks if check.result in FINDINGS]


def finding(facts: Facts) -> Check:
    [found] = findings(facts)
    assert found.hint
    return found


def on_usb(*keys: UsbKey, **facts: object) -> Facts:
    return replace(WELL, usb=replace(USB, keys=keys, **facts))


def denied(**facts: object) -> Facts:
    return on_usb(replace(KEY, opening=Opening.DENIED), **facts)


def with_readers(**facts: object) -> Facts:
    return replace(WELL, readers=replace(READERS, **facts))


def in_reader(state: ReaderState, *suspects: Process) -> Facts:
    return with_readers(readers=(CardReader(name="ACS ACR122U 00 00", state=state),), suspects=suspects)


def check(facts: Facts, identifier: str) -> Check:
    [found] = [check for check in diagnose(facts).checks if check.id == identifier]
    return found


def test_where_all_is_well_nothing_is_found():
    found = diagnose(WELL)
    assert found.result is CheckResult.OK
    assert {check.result for check in found.checks} <= {CheckResult.OK, CheckResult.SKIP}


def test_every_rule_says_what_it_looked_at():
    for rule in RULES:
        if rule.__name__ not in {"administrator", "usb_node", "virtual_keys", "timer"}:
            assert list(rule(WELL)), rule.__name__


def test_the_worst_comes_first():
    facts = replace(denied(), programs=(NamedProgram(path="/bin/keyctl", own=False),))
    results = [check.result for check in diagnose(facts).checks]
    assert results == sorted(results, key=[*CheckResult].index, reverse=True)
    assert diagnose(facts).result is CheckResult.FAIL


def test_no_key_at_all_is_a_finding():
    found = finding(on_usb())
    assert (found.id, found.key) == ("keys", None)


@pytest.mark.parametrize(
    "facts",
    [
        in_reader(ReaderState.KEY),
        replace(on_usb(), virtual=(VirtualState(selector="virtual:blue", plugged=True),)),
    ],
)
def test_a_key_elsewhere_than_on_usb_is_enough(facts):
    facts = replace(facts, usb=replace(USB, keys=()))
    assert findings(facts) == []
    assert check(facts, "keys").result is CheckResult.OK


def test_kernel_without_hidraw_is_told():
    assert {found.id for found in findings(on_usb(hidraw=False))} == {"keys", "hidraw"}
    unknown = check(on_usb(KEY, hidraw=Unknown(reason="no sysfs")), "hidraw")
    assert (unknown.result, unknown.message) == (CheckResult.SKIP, "no sysfs")


def test_login_over_the_network_wants_a_group():
    found = finding(denied(login=Login(user="kim", at_seat=False, remote=True)))
    assert (found.id, found.result, found.key) == ("usb-login", CheckResult.FAIL, "usb:/dev/hidraw3")
    assert "over the network" in found.message
    lines = found.hint.split("\n")
    assert '    SUBSYSTEM=="hidraw", ENV{ID_SECURITY_TOKEN}=="1", GROUP="fido", MODE="0660"' in lines
    assert "put this line into /etc/udev/rules.d/71-fido-group.rules:" in lines
    assert "    groupadd --force --system fido" in lines
    assert "    usermod --append --groups fido kim" in lines
    assert "    udevadm control --reload && udevadm trigger --subsystem-match=hidraw" in lines
    assert lines.index("then log in again") == len(lines) - 2
    assert "without being here" in lines[-1]


@pytest.mark.parametrize(("at_seat", "word"), [(False, "cron"), (None, "no login service")])
def test_cron_and_machines_without_a_login_service_have_no_seat(at_seat, word):
    found = finding(denied(login=Login(user="kim", at_seat=at_seat, remote=False)))
    assert found.id == "usb-login"
    assert word in found.message


def test_group_rule_names_the_model_where_udev_does_not_recognise_keys():
    found = finding(denied(login=Login(user="kim", at_seat=False, remote=True), rules=NO_RULES))
    assert 'SUBSYSTEM=="hidraw", KERNELS=="*:1050:0407.*", GROUP="fido", MODE="0660"' in found.hint


def test_missing_udev_rule_is_told_with_the_rule():
    found = finding(denied(rules=NO_RULES))
    assert found.id == "usb-rule"
    assert '    SUBSYSTEM=="hidraw", KERNELS=="*:1050:0407.*", TAG+="uaccess"\n' in found.hint


@pytest.mark.parametrize(("vendors", "identifier"), [({"1050"}, "usb-access"), ({"534c"}, "usb-rule")])
def test_rules_for_other_vendors_do_not_count(vendors, identifier):
    assert finding(denied(rules=replace(NO_RULES, vendors=frozenset(vendors)))).id == identifier


def test_missing_rules_that_refuse_nobody_are_no_finding():
    assert findings(on_usb(KEY, rules=NO_RULES)) == []
    assert check(on_usb(KEY, rules=NO_RULES), "usb-rule").result is CheckResult.SKIP


def test_member_of_the_group_since_the_login_has_to_log_in_again():
    group = NodeGroup(name="fido", now=False, listed=True)
    found = finding(on_usb(replace(KEY, opening=Opening.DENIED, group=group)))
    assert found.id == "usb-group"
    assert "log out and in again" in found.hint


def test_user_who_is_not_in_the_group_is_told_how_and_what_it_means():
    group = NodeGroup(name="plugdev", now=False, listed=False)
    found = finding(on_usb(replace(KEY, opening=Opening.DENIED, group=group)))
    assert found.id == "usb-group"
    assert "usermod --append --groups plugdev kim" in found.hint
    assert "until a key is blocked" in found.hint


def test_refusal_without_a_reason_is_told_all_the_same():
    assert finding(denied()).id == "usb-access"
    unknown = Unknown(reason="who knows")
    assert finding(denied(login=unknown, rules=unknown)).id == "usb-access"


@pytest.mark.parametrize("container", ["docker", "flatpak", "snap", None])
def test_container_without_the_node_is_told_how_to_hand_it_in(container):
    found = finding(on_usb(replace(KEY, opening=Opening.MISSING), container=container, rules=NO_RULES))
    hint = {"docker": "--device /dev/hidraw3", "flatpak": "flatpak override", "snap": "u2f-devices", None: "--device"}
    assert hint[container] in found.hint


def test_key_whose_node_is_missing_is_a_key_all_the_same():
    assert [found.id for found in findings(on_usb(replace(KEY, opening=Opening.MISSING)))] == ["usb-node"]


@pytest.mark.parametrize(("opening", "word"), [(Opening.FORBIDDEN, "forbidden"), (Opening.FAILED, "no such device")])
def test_other_failures_to_open_are_told_in_the_system_s_words(opening, word):
    found = finding(on_usb(replace(KEY, opening=opening, reason="no such device")))
    assert found.id == "usb-access"
    assert word in found.message


def test_every_key_is_told_by_itself():
    other = replace(KEY, selector="usb:/dev/hidraw5", opening=Opening.DENIED)
    told = {check.key: check.result for check in diagnose(on_usb(KEY, other)).checks if check.id == "usb-access"}
    assert told == {"usb:/dev/hidraw3": CheckResult.OK, "usb:/dev/hidraw5": CheckResult.FAIL}


def test_program_that_has_the_key_open_is_named_and_is_a_warning():
    found = finding(on_usb(replace(KEY, holders=(Process(pid=4711, name="firefox"),))))
    assert (found.id, found.result) == ("usb-shared", CheckResult.WARN)
    assert "firefox (process 4711)" in found.message


@pytest.mark.parametrize(("administrator", "count"), [(False, 2), (True, 1), (None, 1)])
def test_windows_wants_an_administrator(administrator, count):
    facts = replace(on_usb(hidraw=None, administrator=administrator), platform="win32")
    assert len([found for found in findings(facts) if found.id in {"administrator", "keys"}]) == count


def test_keys_that_the_system_only_lists_are_not_judged():
    facts = replace(on_usb(replace(KEY, opening=Opening.UNTRIED), hidraw=None), platform="darwin")
    assert findings(facts) == []
    assert check(facts, "usb-access").result is CheckResult.SKIP


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"service": Service.ABSENT, "installed": False}, "is not installed"),
        ({"service": Service.ABSENT, "installed": True}, "is installed but does not run"),
        ({"service": Service.DENIED}, "may not connect"),
        ({"service": Service.REFUSES}, "hangs up on this user"),
        ({"service": Service.SILENT}, "does not answer"),
    ],
)
def test_service_that_is_of_no_use_is_told_where_there_is_a_reader(facts, word):
    found = finding(with_readers(readers=None, usb=(READER,), **facts))
    assert (found.id, found.result) == ("reader-service", CheckResult.FAIL)
    assert word in found.message


def test_service_that_refuses_is_told_with_the_polkit_rule():
    found = finding(with_readers(readers=None, usb=(READER,), service=Service.REFUSES))
    assert found.hint.count("org.debian.pcsc-lite.") == 2


def test_service_that_is_not_there_is_missed_by_nobody_without_a_reader():
    facts = with_readers(readers=None, service=Service.ABSENT, installed=False)
    assert findings(facts) == []
    part_of_key = replace(facts, readers=replace(facts.readers, usb=(replace(READER, in_key=True),)))
    assert findings(part_of_key) == []


def test_service_that_is_there_and_refuses_is_a_note_without_a_reader():
    noted = check(with_readers(readers=None, service=Service.REFUSES), "reader-service")
    assert noted.result is CheckResult.OK
    assert noted.hint
    assert finding(with_readers(readers=None, service=Service.SILENT)).result is CheckResult.WARN


@pytest.mark.parametrize("facts", [{"named_socket": "/run/other.comm"}, {}])
def test_service_is_missed_by_who_named_it_or_a_reader(facts):
    missed = with_readers(readers=None, service=Service.ABSENT, **facts)
    if not facts:
        missed = replace(missed, wanted="nfc:ACS", usb=None, virtual=None)
    found = [found for found in findings(missed) if found.id == "reader-service"]
    assert len(found) == 1
    assert ("PCSCLITE_CSOCK_NAME" in found[0].message) is bool(facts)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_service_of_other_systems_has_its_own_hint(platform):
    facts = replace(with_readers(service=Service.ABSENT, readers=None, installed=None), platform=platform)
    facts = replace(facts, wanted="nfc:ACS", usb=None, virtual=None)
    [found] = [found for found in findings(facts) if found.id == "reader-service"]
    assert "systemctl" not in found.hint


def test_missing_pyscard_is_a_finding_with_a_reader_only():
    missing = with_readers(support="missing", readers=None, service=Service.ABSENT)
    assert findings(missing) == []
    noted = check(with_readers(support="missing", readers=None), "reader-support")
    assert (noted.result, bool(noted.hint)) == (CheckResult.OK, True)
    assert finding(with_readers(support="missing", readers=None, usb=(READER,))).id == "reader-support"
    assert "undefined symbol" in finding(with_readers(support="undefined symbol", readers=None)).message


@pytest.mark.parametrize(
    ("reader", "suspects", "hint"),
    [
        (replace(READER, driver="pn533_usb"), (), "modprobe -r pn533_usb"),
        (replace(READER, holders=(Process(pid=7, name="scdaemon"),)), (), "disable-ccid"),
        (replace(READER, holders=(Process(pid=7, name="nfcd"),)), (), "end that program"),
        (READER, (Process(pid=7, name="scdaemon"),), "disable-ccid"),
        (READER, (), "libccid"),
    ],
)
def test_reader_that_the_service_has_not_is_told_with_who_took_it(reader, suspects, hint):
    found = finding(with_readers(usb=(reader,), suspects=suspects))
    assert found.id == "reader-driver"
    assert hint in found.hint


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (ReaderState.KEY, CheckResult.OK),
        (ReaderState.EMPTY, CheckResult.OK),
        (ReaderState.IN_USE, CheckResult.OK),
        (ReaderState.OTHER_CARD, CheckResult.WARN),
        (ReaderState.SILENT, CheckResult.WARN),
        (ReaderState.EXCLUSIVE, CheckResult.FAIL),
    ],
)
def test_what_is_on_a_reader_is_told(state, result):
    told = check(in_reader(state), "reader-card")
    assert (told.result, told.key) == (result, "nfc:ACS ACR122U 00 00")


def test_program_that_may_hold_the_reader_is_named():
    found = finding(in_reader(ReaderState.EXCLUSIVE, Process(pid=12, name="scdaemon")))
    assert "scdaemon (process 12)" in found.message
    assert "gpgconf --kill scdaemon" in found.hint
    assert "`pcsc-shared`" in found.hint
    assert "gpgconf" in finding(in_reader(ReaderState.EXCLUSIVE)).hint


def test_the_smart_card_part_of_a_key_is_no_reader_to_complain_of():
    reader = CardReader(name="Yubico YubiKey FIDO+CCID 00 00", state=ReaderState.EXCLUSIVE)
    assert findings(with_readers(readers=(reader,))) == []


@pytest.mark.parametrize(
    ("version", "word"), [("2.2.0", "older than 2.2.1"), ("2.1.1", "CVE-2026-40947"), ("1.1", "CVE-2026-40947")]
)
def test_old_library_is_a_finding(version, word):
    found = finding(replace(WELL, library=Library(version=version, problem=None)))
    assert found.id == "library"
    assert word in found.message
    assert ("CVE" in found.message) is (version != "2.2.0")


@pytest.mark.parametrize("version", ["2.2.1", "2.2.1.post1", "2.10.0", "3.0", "2.3.0rc1"])
def test_later_library_is_fine(version):
    assert findings(replace(WELL, library=Library(version=version, problem=None))) == []


def test_library_that_cannot_be_loaded_is_a_finding():
    assert "no module" in finding(replace(WELL, library=Library(version=None, problem="no module"))).message
    unknown = check(replace(WELL, library=Library(version=None, problem=None)), "library")
    assert unknown.result is CheckResult.SKIP


@pytest.mark.parametrize(
    ("home", "result"),
    [
        (Home(path="/h", exists=False), CheckResult.OK),
        (Home(path="/h", exists=True, is_folder=True, writable=True), CheckResult.OK),
        (Home(path="/h", exists=True, is_folder=True, writable=True, open_to_others=True), CheckResult.WARN),
        (Home(path="/h", exists=True, is_folder=True), CheckResult.WARN),
        (Home(path="/h", exists=True, problem="permission denied"), CheckResult.WARN),
        (Home(path="/h", exists=True), CheckResult.FAIL),
    ],
)
def test_home_folder_is_private_and_writable(home, result):
    assert check(replace(WELL, home=home), "home").result is result


OWN, OTHER = NamedProgram(path="/usr/local/bin/keyctl", own=True), NamedProgram(path="/usr/bin/keyctl", own=False)


@pytest.mark.parametrize(
    ("programs", "result", "hint"),
    [
        ((), CheckResult.SKIP, None),
        ((OWN,), CheckResult.OK, None),
        ((OWN, OTHER), CheckResult.OK, "/usr/bin/keyctl"),
        ((OTHER,), CheckResult.WARN, "`fido-keyctl`"),
        ((OTHER, OWN), CheckResult.WARN, "`fido-keyctl`"),
    ],
)
def test_clash_of_names_is_told(programs, result, hint):
    told = check(replace(WELL, programs=programs), "program-name")
    assert told.result is result
    assert (hint is None and told.hint is None) or hint in told.hint
    elsewhere = check(replace(WELL, programs=programs, platform="darwin"), "program-name")
    assert elsewhere.result is CheckResult.SKIP


def only_virtual(*states: VirtualState, wanted: str | None = None) -> Facts:
    return replace(WELL, wanted=wanted, usb=None, readers=None, virtual=states)


def test_unplugged_virtual_key_is_a_finding_only_when_it_is_named():
    blue = VirtualState(selector="virtual:blue")
    assert findings(replace(WELL, virtual=(blue,))) == []
    found = finding(only_virtual(blue, wanted="virtual:blue"))
    assert (found.id, found.hint) == ("virtual-keys", "plug it in with `keyctl virtual plug blue`")


def test_broken_virtual_key_is_a_finding():
    assert (
        finding(replace(WELL, virtual=(VirtualState(selector="virtual:b", problem="is not JSON"),))).key == "virtual:b"
    )
    assert [found.message for found in findings(replace(WELL, virtual=Unknown(reason="no entry")))] == ["no entry"]


def test_attached_virtual_key_is_found_on_its_bus():
    attached = VirtualState(selector="virtual:blue", plugged=True, attached="nfc")
    assert "attached to nfc" in check(only_virtual(attached, wanted="virtual:blue"), "virtual-keys").message


def test_only_the_checks_of_the_key_that_is_named_are_told():
    keys = (replace(KEY, opening=Opening.DENIED), replace(KEY, selector="usb:/dev/hidraw5"))
    facts = replace(on_usb(*keys), wanted="usb:/dev/hidraw5", readers=None, virtual=None, home=None, programs=None)
    found = diagnose(facts)
    assert found.result is CheckResult.OK
    assert {check.key for check in found.checks} == {None, "usb:/dev/hidraw5"}


def test_key_that_is_named_and_not_there_is_a_finding():
    found = finding(replace(WELL, wanted="usb:/dev/hidraw9"))
    assert (found.id, found.key) == ("keys", "usb:/dev/hidraw9")


HOSTILE = st.text(max_size=20) | st.just("\n    rm -rf /\n\x1b[2J\u202e")


@given(HOSTILE, HOSTILE, st.sampled_from(Opening), st.sampled_from(ReaderState))
def test_hostile_texts_bring_no_lines_into_hints(text, name, opening, state):
    """Hints are lines to be pasted: none of them comes from a key, a reader or a program."""
    calm, hostile = (
        replace(
            WELL,
            usb=replace(
                USB,
                keys=(
                    replace(
                        KEY,
                        selector=f"usb:{word}",
                        product=word,
                        opening=opening,
                        group=NodeGroup(name=word, now=False, listed=False),
                        holders=(Process(pid=1, name=other),),
                    ),
                ),
                login=Login(user=other, at_seat=False, remote=True),
            ),
            readers=replace(
                READERS,
                readers=(CardReader(name=f"{other} 00", state=state),),
                usb=(replace(READER, product=word, driver=None, holders=(Process(pid=1, name=other),)),),
                suspects=(Process(pid=2, name=other),),
            ),
            virtual=(VirtualState(selector=f"virtual:{word}", problem=other),),
            home=Home(path=word, exists=True, is_folder=True, writable=True, open_to_others=True),
            programs=(NamedProgram(path=word, own=False),),
        )
        for word, other in (("calm", "words"), (text, name))
    )
    count = [(check.hint or "").count("\n") for check in diagnose(calm).checks]
    assert sorted(count) == sorted((check.hint or "").count("\n") for check in diagnose(hostile).checks)


# Keyctl's own files, and checks that nobody watches.


def keeping(**facts: object) -> Facts:
    return replace(WELL, keeping=replace(KEEPING, **facts))


@pytest.mark.parametrize(
    ("facts", "identifier", "word"),
    [
        (
            {"problems": (FileProblem(message="x.json is a second version of y.json", hint="compare"),)},
            "inventory",
            "second",
        ),
        ({"state_problem": "you may not write to it"}, "state", "may not write"),
        ({"state_open_to_others": True}, "state", "others can look"),
        ({"now": "1970-01-01T00:00:00Z", "newest": None}, "clock", "long past"),
        ({"newest": "2027-01-01T00:00:00Z"}, "clock", "2027"),
        ({"keyring_problem": "the system's keyring is locked"}, "keyring", "locked"),
    ],
)
def test_what_is_wrong_with_the_files_is_told(facts, identifier, word):
    found = finding(keeping(**facts))
    assert found.id == identifier
    assert word in found.message


def test_a_timer_that_ends_with_the_login_is_told():
    facts = replace(keeping(linger=False, timer=("keyctl-health.timer",)), usb=None)
    [found] = [check for check in diagnose(facts).checks if check.id == "timer"]
    assert (found.result, "logged in" in found.message) == (CheckResult.WARN, True)


def test_a_timer_has_no_seat():
    """A key that only who sits there may open is out of its reach."""
    timer = replace(KEEPING, timer=("keyctl-health.timer",))

    def plugged(group: NodeGroup | None, **login: object) -> Facts:
        who = {"user": "kim", "at_seat": True, "remote": False, **login}
        return replace(on_usb(replace(KEY, group=group), login=Login(**who)), keeping=timer)

    seated = plugged(None)
    assert finding(seated).id == "timer"
    in_group = NodeGroup(name="plugdev", now=True, listed=True)
    for well in (
        plugged(in_group),
        plugged(None, user="root"),
        plugged(None, at_seat=False, remote=True),
        replace(seated, keeping=KEEPING),
    ):
        assert findings(well) == []


def test_no_timer_and_no_token_are_no_matter():
    facts = keeping(timer=(), linger=False, in_keyring=(), keyring_problem="there is none")
    assert findings(facts) == []
    assert not {"timer", "keyring"} & {check.id for check in diagnose(facts).checks}


def test_a_clock_that_was_set_back_since_keyctl_ran_is_a_warning():
    found = finding(keeping(noted="2026-06-03T08:00:00Z"))
    assert (found.id, found.result) == ("clock", CheckResult.WARN)
    assert "set back: keyctl ran at 2026-06-03T08:00:00Z" in found.message
    assert not findings(keeping(noted=None))
