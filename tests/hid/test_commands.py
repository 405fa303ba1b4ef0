"""Commands of keyctl on keys on USB: which key is meant, blinking, finding out what is wrong, attaching."""

from __future__ import annotations

import fnmatch
import re
import signal

import pytest
from clients import Libfido2
from desk import NOBODY, WAITING_FOR_TOUCH


def test_key_with_the_serial_blinks_and_no_other(computer, shelf):
    green, red = shelf.plug("green"), shelf.plug("red")
    told = computer.keyctl("wink", "-k", "serial-of-red")
    assert told.data["key"]["selector"] == red.selector
    assert (green.winks(), red.winks()) == (0, 1)


def test_several_keys_are_an_error_where_nobody_is_there_to_touch_one(computer, shelf):
    keys = {shelf.plug("green").selector, shelf.plug("red", "uhid").selector}
    told = computer.keyctl("info")
    assert (told.status, told.code) == (3, "several_keys")
    (error,) = told.document["errors"]
    assert set(error["details"]["candidates"]) == keys


@pytest.mark.parametrize(("touched", "other"), [("full", "fido2.0"), ("u2f", "u2f")])
def test_key_that_is_touched_is_taken_and_the_other_stops_blinking(computer, shelf, touched, other):
    """By authenticatorSelection, by a credential that is never made, and by a U2F registration."""
    chosen, left = shelf.plug("chosen", profile=touched), shelf.plug("left", "uhid", profile=other)
    left.set("touch=never")
    chosen.set("touch=after:1")
    told = computer.start_keyctl("info", terminal=True).told()
    assert told.data["key"]["selector"] == chosen.selector
    assert "touch the one you mean" in told.said
    # It would be busy if it still waited for a touch.
    assert Libfido2(computer, left).told()["proto"] == "0x02"


def test_keys_stop_blinking_at_ctrl_c(computer, shelf):
    keys = shelf.plug("green"), shelf.plug("red", "uhid")
    for key in keys:
        key.set("touch=never")
    running = computer.start_keyctl("info", terminal=True)
    for key in keys:
        computer.probe("await_keepalive", key.node, WAITING_FOR_TOUCH)
    running.job.kill(signal.SIGINT)
    assert running.job.wait().status == 130
    for key in keys:
        assert Libfido2(computer, key).told()["proto"] == "0x02"


def test_key_that_is_pulled_is_out_of_the_choice(computer, shelf):
    keys = stays, goes = shelf.plug("stays", "uhid"), shelf.plug("goes")
    for key in keys:
        key.set("touch=never")
    running = computer.start_keyctl("info", terminal=True)
    for key in keys:
        computer.probe("await_keepalive", key.node, WAITING_FOR_TOUCH)
    goes.pull()
    stays.set("touch=now")
    told = running.told()
    assert told.data["key"]["selector"] == stays.selector


@pytest.mark.parametrize("replaced", [False, True])
def test_key_that_was_exchanged_after_it_was_found_is_not_opened(computer, shelf, replaced):
    """The next key gets the same node."""
    first = shelf.plug("first")
    finder = computer.start_probe("find_and_open")
    assert finder.ask() == first.selector
    first.pull()
    if replaced:
        assert shelf.plug("second").node == first.node
    assert finder.ask() == ["key_removed", 8]


def test_programs_on_one_key_all_get_their_answers(computer, shelf):
    """The kernel gives every report to all of them."""
    key = shelf.plug("green")
    enough = computer.new_path()
    # It has no patience with a key that is busy, and may fail in between.
    loop = f"while [ ! -e {enough} ]; do fido2-token -I {key.node} && echo again; done"
    other = computer.guest.start("sh", "-c", loop)
    ours = [computer.start_keyctl("info", "-k", key.selector, "--wait", "25") for _ in range(2)]
    assert [running.told().status for running in ours] == [0, 0]
    computer.guest.write(enough, "")
    assert other.wait().stdout.count("again") > 0


def test_doctor_gives_a_rule_that_opens_the_key_to_a_group(computer, shelf):
    key = shelf.plug("green", product_id=0xBEEF)
    told = computer.keyctl("doctor", user=NOBODY)
    assert (told.status, told.data["result"]) == (10, "fail")
    (check,) = (check for check in told.data["checks"] if check["key"] == key.selector)
    assert (check["id"], check["result"]) == ("usb-login", "fail")
    rule = re.search(r'SUBSYSTEM=="hidraw", KERNELS=="(.*)", GROUP="fido", MODE="(.*)"', check["hint"])
    assert rule is not None, check["hint"]
    pattern, mode = rule.groups()
    device = computer.run("readlink", "-f", f"/sys/class/hidraw/{key.node.rpartition('/')[2]}/device").strip()
    assert fnmatch.fnmatchcase(device.rpartition("/")[2], pattern)

    # What udev would do with it.
    computer.run("chgrp", str(NOBODY), key.node)
    computer.run("chmod", mode, key.node)
    told = computer.keyctl("doctor", user=NOBODY)
    assert (told.status, told.data["result"]) == (0, "ok")


def test_doctor_names_the_program_that_keeps_the_key_busy(computer, shelf):
    key = shelf.plug("green", "uhid")
    key.set("touch=never")
    request = Libfido2(computer, key).request("example.com", "kim")
    other = computer.guest.start("fido2-cred", "-M", "-i", request, key.node)
    computer.probe("await_keepalive", key.node, WAITING_FOR_TOUCH)
    told = computer.keyctl("doctor")
    key.set("touch=now")
    assert other.wait().status == 0
    assert (told.status, told.data["result"]) == (10, "warn")
    (check,) = (check for check in told.data["checks"] if check["id"] == "usb-shared")
    assert "fido2-cred (process " in check["message"]


@pytest.mark.parametrize(("bus", "end", "status"), [("usb", signal.SIGINT, 0), ("hid", signal.SIGTERM, 143)])
def test_attached_key_leaves_the_bus_when_the_command_is_ended(computer, bus, end, status):
    """In an interpreter of its own, as a user has it."""
    computer.keyctl("virtual", "new", bus)
    identity = ("--serial", "4711", "--product", "Blue", "--vendor-id", "1050", "--product-id", "0BAD")
    attached = computer.start_keyctl_anew("virtual", "attach", bus, f"--{bus}", *identity)
    ((node, told),) = computer.probe("await_nodes", "1").items()
    assert (told["vendor_id"], told["product_id"], told["serial"]) == (0x1050, 0x0BAD, "4711")
    assert told["name"] == {"usb": "keyctl Blue", "hid": "Blue"}[bus]
    (shown,) = computer.keyctl("list").data["keys"]
    assert shown["selector"] == f"usb:{node}"
    attached.job.kill(end)
    assert attached.job.wait().status == status
    assert computer.probe("nodes") == {}


def test_unplugging_an_attached_key_pulls_it_from_whoever_waits_for_its_touch(computer):
    computer.keyctl("virtual", "new", "blue")
    computer.keyctl("virtual", "set", "blue", "touch=never")
    attached = computer.start_keyctl("virtual", "attach", "blue", "--usb")
    (node,) = computer.probe("await_nodes", "1")
    confirmed = ("--confirm", f"usb:{node}", "--wait", "25")
    waiting = computer.start_keyctl("reset", "-k", f"usb:{node}", *confirmed)
    computer.probe("await_keepalive", node, WAITING_FOR_TOUCH)
    computer.keyctl("virtual", "unplug", "blue")
    told = waiting.told()
    assert (told.status, told.code) == (8, "key_removed")
    assert attached.told().status == 0
    assert computer.probe("nodes") == {}
