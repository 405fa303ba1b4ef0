"""keyctl and other people's clients on virtual keys that a real Linux kernel takes for USB devices."""

from __future__ import annotations

import binascii
import json
import signal
import sys

import pytest

NOBODY = 65534
PIN = "correct-horse"
OTHER_PIN = "battery-staple"
BOTH_BUSES = pytest.mark.parametrize("bus", ["gadget", "uhid"])
WORKING = "1"
WAITING_FOR_TOUCH = "2"


def test_keys_on_both_kinds_of_bus_are_listed_with_what_they_say(computer, shelf):
    """Once as a process of its own, from the interpreter's start on."""
    keys = [
        shelf.plug("blue", "uhid", product_id=0x0A, product="Blue Key"),
        shelf.plug("green", product_id=0xFFFE, product="Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"),
        shelf.plug("red", product_id=0x10, product="Red Key"),
    ]
    names = ["Blue Key", "Nobody Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", "Nobody Red Key"]
    expected = {
        key.node: {
            "vendor_id": 0x1209,
            "product_id": product_id,
            "name": name,
            "serial": f"serial-of-{key.name}",
            "sizes": [64, 64],
        }
        for key, product_id, name in zip(keys, (0x0A, 0xFFFE, 0x10), names, strict=True)
    }
    assert computer.probe("nodes", user=NOBODY) == expected

    argv = (sys.executable, "-m", "keyctl", "list", "--json")
    done = computer.guest.run(*argv, cwd=str(computer.project), env={"KEYCTL_HOME": "/run/home"})
    assert done.status == 0, done.stderr
    listed = {key["serial"]: key for key in json.loads(done.stdout)["data"]["keys"]}
    assert len(listed) == len(keys)
    for key, name in zip(keys, names, strict=True):
        shown = listed[f"serial-of-{key.name}"]
        assert (shown["selector"], shown["transport"]) == (key.selector, "usb")
        assert (shown["product"], shown["firmware"]) == (name, "1.2.3")
        assert (shown["access"], shown["virtual"]) == ("ok", True)


def test_key_whose_name_is_not_text_is_listed(computer, shelf):
    key = shelf.plug("odd", "uhid", product="bad \udcff\n\x1b[31mname")
    told = computer.keyctl("list")
    assert [shown["selector"] for shown in told.data["keys"]] == [key.selector]


def test_key_without_permission_hides_no_other(computer, shelf):
    ours, theirs = shelf.plug("ours"), shelf.plug("theirs", "uhid")
    computer.run("chmod", "0666", ours.node)
    told = computer.keyctl("list", user=NOBODY)
    access = {key["selector"]: key["access"] for key in told.data["keys"]}
    assert access == {ours.selector: "ok", theirs.selector: "denied"}
    assert (told.status, told.code) == (0, "access_denied")
    assert computer.keyctl("info", "-k", theirs.selector, user=NOBODY).code == "access_denied"


def test_pin_that_keyctl_sets_is_the_pin_for_libfido2(computer, shelf):
    key = shelf.plug("green")
    assert "noclientPin" in computer.run("fido2-token", "-I", key.node)
    assert computer.keyctl("pin", "set", "-k", key.selector, pin=f"{PIN}\n").data["changed"]
    assert ", clientPin" in computer.run("fido2-token", "-I", key.node)
    computer.run("fido2-token", "-C", key.node, stdin=f"{PIN}\n{OTHER_PIN}\n{OTHER_PIN}\n")
    assert computer.keyctl("pin", "verify", "-k", key.selector, pin=f"{OTHER_PIN}\n").status == 0


def test_pin_that_libfido2_sets_is_the_pin_for_keyctl(computer, shelf):
    key = shelf.plug("green", "uhid")
    computer.run("fido2-token", "-S", key.node, stdin=f"{PIN}\n{PIN}\n")
    told = computer.keyctl("pin", "verify", "-k", key.selector, pin=f"{OTHER_PIN}\n")
    assert (told.status, told.code) == (4, "pin_wrong")
    assert "pin retries: 7" in computer.run("fido2-token", "-I", key.node)
    assert computer.keyctl("info", "-k", key.selector).data["pin"]["retries"] == 7


def test_keyctl_and_libfido2_agree_on_the_passkeys_at_each_step(computer, shelf):
    """With the listing command of CTAP 2.1's drafts, the only one that libfido2 1.12 knows."""
    key = shelf.plug("green", profile="fido2.1-pre")
    computer.keyctl("pin", "set", "-k", key.selector, pin=f"{PIN}\n")
    make_passkey(computer, key, "example.com", "alice")
    make_passkey(computer, key, "example.com", "bob")
    make_passkey(computer, key, "example.org", "carol")

    passkeys = passkeys_by_keyctl(computer, key)
    assert [(found["rp_id"], found["user_name"]) for found in passkeys] == [
        ("example.com", "alice"),
        ("example.com", "bob"),
        ("example.org", "carol"),
    ]
    assert ids(passkeys) == passkeys_by_libfido2(computer, key, "example.com", "example.org")

    alice, bob, carol = (found["credential_id"] for found in passkeys)
    deleted = computer.keyctl("passkeys", "delete", carol, "-k", key.selector, "--yes", pin=f"{PIN}\n")
    assert ids(deleted.data["deleted"]) == {carol}
    assert passkeys_by_libfido2(computer, key, "example.com") == {alice, bob}

    computer.run("fido2-token", "-D", "-i", base64(bob), key.node, stdin=f"{PIN}\n")
    assert ids(passkeys_by_keyctl(computer, key)) == {alice}


@BOTH_BUSES
def test_framing_is_what_python_fido2_expects(computer, shelf, bus):
    key = shelf.plug("green", bus)
    told = computer.probe("framing", key.node)
    assert told["echoed"] == [0, 57, 58, 7609]
    assert told["errors"] == [
        "INVALID_COMMAND",
        "INVALID_LENGTH",
        "INVALID_LENGTH",
        "INVALID_COMMAND",
        "INVALID_COMMAND",
    ]
    assert (told["capabilities"], told["version"]) == (0x01 | 0x04 | 0x08, [1, 2, 3])
    assert key.winks() == 1


@BOTH_BUSES
def test_key_pulled_while_it_works_is_reported_as_removed(computer, shelf, bus):
    key = shelf.plug("green", bus)
    key.set("delay-ms=60000")
    running = computer.start_keyctl("info", "-k", key.selector)
    computer.probe("await_keepalive", key.node, WORKING)
    key.pull()
    told = running.told()
    assert (told.status, told.code) == (8, "key_removed")
    assert computer.probe("nodes") == {}


def test_key_pulled_while_it_waits_for_a_touch_is_reported_as_removed(computer, shelf):
    key = shelf.plug("green")
    key.set("touch=never")
    confirmed = ("--confirm", key.selector, "--wait", "25")
    running = computer.start_keyctl("reset", "-k", key.selector, *confirmed)
    computer.probe("await_keepalive", key.node, WAITING_FOR_TOUCH)
    key.pull()
    told = running.told()
    assert (told.status, told.code) == (8, "key_removed")


def test_second_program_is_told_that_the_key_is_busy_or_waits_its_turn(computer, shelf):
    key = shelf.plug("green")
    key.set("touch=never")
    first = computer.guest.start("fido2-cred", "-M", "-i", request(computer, "example.com", "alice"), key.node)
    computer.probe("await_keepalive", key.node, WAITING_FOR_TOUCH)
    told = computer.keyctl("info", "-k", key.selector)
    assert (told.status, told.code) == (8, "key_busy")
    waiting = computer.start_keyctl("info", "-k", key.selector, "--wait", "25")
    key.set("touch=now")
    done = first.wait()
    assert done.status == 0, done.stderr
    assert waiting.told().status == 0


def test_program_killed_in_the_middle_leaves_a_key_that_works(computer, shelf):
    """The key goes on with the command, and its answer waits for whoever opens the key next."""
    key = shelf.plug("green")
    key.set("delay-ms=1000")
    running = computer.start_keyctl("info", "-k", key.selector)
    computer.probe("await_keepalive", key.node, WORKING)
    running.job.stop()
    key.set("delay-ms=0")
    assert computer.keyctl("info", "-k", key.selector, "--wait", "25").status == 0


def test_silent_keys_keep_nobody_waiting(computer, shelf):
    """One falls silent in the middle of a command, the other does not even open a channel."""
    talking, dumb = shelf.plug("talking"), shelf.plug("dumb", "uhid")
    talking.set("delay-ms=60000")
    first = computer.start_keyctl("info", "-k", talking.selector)
    computer.probe("await_keepalive", talking.node, WORKING)
    with shelf.freeze():
        second = computer.start_keyctl("info", "-k", dumb.selector)
        for running in (first, second):
            told = running.told(seconds=25)
            assert (told.status, told.code) == (8, "key_silent")


@pytest.mark.parametrize(("bus", "end"), [("usb", signal.SIGINT), ("hid", signal.SIGTERM)])
def test_attached_key_leaves_the_bus_when_the_command_is_ended(computer, bus, end):
    computer.keyctl("virtual", "new", bus)
    attached = computer.start_keyctl("virtual", "attach", bus, f"--{bus}", "--serial", end.name)
    (node,) = computer.probe("await_nodes", "1").values()
    assert node["serial"] == end.name
    attached.job.kill(end)
    attached.job.wait()
    assert computer.probe("await_nodes", "0") == {}


def test_ports_are_limited_and_given_back_after_a_kill(computer, shelf, shelves):
    """A process that is killed cannot pull its keys; the next one to plug in a key does."""
    other = shelves()
    for name in ("one", "two", "three"):
        other.plug(name)
    refused = computer.probe("attach", "gadget")
    assert refused["code"] == "attach_failed"
    assert refused["message"] == "every virtual USB port has a device in it"
    other.kill()
    shelf.plug("next")
    assert len(computer.probe("nodes")) == 1


def test_missing_drivers_and_permissions_are_explained(computer):
    assert "root" in computer.probe("attach", "uhid", user=NOBODY)["hint"]
    assert "root" in computer.probe("attach", "gadget", user=NOBODY)["hint"]
    computer.run("mv", "/dev/uhid", "/dev/uhid.away")
    computer.run("umount", "/sys/kernel/config")
    try:
        assert "modprobe uhid" in computer.probe("attach", "uhid")["hint"]
        assert "dummy_hcd" in computer.probe("attach", "gadget")["hint"]
    finally:
        computer.run("mv", "/dev/uhid.away", "/dev/uhid")
        computer.run("mount", "-t", "configfs", "none", "/sys/kernel/config")


def request(computer, rp_id: str, user: str) -> str:
    """The file in the guest that tells fido2-cred what to make."""
    lines = [base64(bytes(32).hex()), rp_id, user, base64(user.encode().hex())]
    path = "/run/request"
    computer.run("tee", path, stdin="\n".join(lines) + "\n")
    return path


def make_passkey(computer, key, rp_id: str, user: str) -> None:
    path = request(computer, rp_id, user)
    computer.run("fido2-cred", "-M", "-r", "-i", path, key.node, "es256", stdin=f"{PIN}\n")


def passkeys_by_keyctl(computer, key) -> list[dict]:
    told = computer.keyctl("passkeys", "list", "-k", key.selector, pin=f"{PIN}\n")
    assert told.status == 0
    assert told.data["complete"]
    return sorted(told.data["passkeys"], key=lambda passkey: (passkey["rp_id"], passkey["user_name"]))


def passkeys_by_libfido2(computer, key, *rp_ids: str) -> set[str]:
    """The credential ids, after a look at the list of sites."""
    sites = computer.run("fido2-token", "-L", "-r", key.node, stdin=f"{PIN}\n")
    assert sorted(line.split()[2] for line in sites.splitlines()) == sorted(rp_ids)
    lines = [
        line
        for rp_id in rp_ids
        for line in computer.run("fido2-token", "-L", "-k", rp_id, key.node, stdin=f"{PIN}\n").splitlines()
    ]
    return {binascii.a2b_base64(line.split()[1]).hex() for line in lines}


def ids(passkeys: list[dict]) -> set[str]:
    return {passkey["credential_id"] for passkey in passkeys}


def base64(hexadecimal: str) -> str:
    return binascii.b2a_base64(bytes.fromhex(hexadecimal), newline=False).decode()
