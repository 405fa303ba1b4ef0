"""The transport: virtual keys that a real Linux kernel takes for USB devices."""

from __future__ import annotations

import pytest
from clients import Libfido2
from desk import NOBODY, WAITING_FOR_TOUCH, WORKING

BOTH_BUSES = pytest.mark.parametrize("bus", ["gadget", "uhid"])


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

    told = computer.start_keyctl_anew("list").told()
    listed = {key["serial"]: key for key in told.data["keys"]}
    assert len(listed) == len(keys)
    for key, product_id, name in zip(keys, ("000a", "fffe", "0010"), names, strict=True):
        shown = listed[f"serial-of-{key.name}"]
        assert (shown["vendor_id"], shown["product_id"]) == ("1209", product_id)
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
    ]
    assert told["u2f"] == "U2F_V2"
    assert (told["capabilities"], told["version"]) == (0x01 | 0x04, [1, 2, 3])
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


def test_second_program_is_told_that_the_key_is_busy_or_waits_its_turn(computer, shelf):
    key = shelf.plug("green")
    key.set("touch=never")
    request = Libfido2(computer, key).request("example.com", "alice")
    first = computer.guest.start("fido2-cred", "-M", "-i", request, key.node)
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
            told = running.told()
            assert (told.status, told.code) == (8, "key_silent")


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
