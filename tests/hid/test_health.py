"""The health check as cron runs it, on keys on USB: no terminal, no seat, next to no environment."""

from __future__ import annotations

from clients import Libfido2
from desk import NOBODY

PINS = {"blue": "123456", "green": "correct-horse"}


def test_two_keys_are_checked_without_asking_one_of_them_by_its_token(computer, shelf):
    for name, pin in PINS.items():
        key = shelf.plug(name)
        Libfido2(computer, key, pin).set_pin()
        computer.probe("sign_up", key.node, pin, "kim", f"{name}.example")
        assert computer.keyctl("add", name, "-k", key.selector, pin=pin).status == 0
        # Whoever waits for a touch would wait in vain.
        key.set("touch=never")
    assert computer.keyctl("unattended", "on", "--file", "--yes", "-k", "blue", pin=PINS["blue"]).status == 0

    told = computer.start_keyctl_anew("health").told()
    assert (told.status, told.document["status"]) == (10, "found")
    results = {(check["id"], check["key"]): check["result"] for check in told.data["checks"]}
    for name in PINS:
        assert (results["recognition", name], results["pin_tries", name]) == ("ok", "ok")
    assert (results["scan", "blue"], results["scan", "green"]) == ("ok", "warn")
    assert "blue.example" in {check["rp_id"] for check in told.data["checks"]}

    # Somebody without a seat may not open them, and hears that rather than that all is well.
    computer.run("cp", "-r", f"{computer.home}/keyctl", "/run/nobodys")
    computer.run("chown", "-R", str(NOBODY), "/run/nobodys")
    told = computer.keyctl("health", "--home", "/run/nobodys", user=NOBODY)
    assert told.status == 10
    found = [check for check in told.data["checks"] if check["id"] == "unreachable"]
    assert [check["result"] for check in found] == ["warn", "warn"]
    assert all("seat" in check["hint"] or "udev" in check["hint"] for check in found)
