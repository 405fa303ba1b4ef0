"""Which key opens what: a new user with two keys on USB, from their names to what is left without them."""

from __future__ import annotations

from clients import Libfido2, OpenSsh

PINS = {"blue": "123456", "green": "correct-horse"}
#: Tells the PIN of the key that it is asked about.
PASSWORD_MANAGER = "".join(
    ["case $KEYCTL_KEY in\n", *(f"{name}) echo {pin};;\n" for name, pin in PINS.items()), "*) exit 1;;\nesac\n"]
)
GITHUB, BANK, MAIL = "github.com", "bank.example", "mail.example"


def test_two_keys_are_told_apart_wherever_they_are_and_known_when_they_are_gone(computer, shelf):
    manager = computer.new_path()
    computer.guest.write(manager, PASSWORD_MANAGER)

    def keyctl(*words: str, status: int = 0):
        told = computer.keyctl(*words, "--pin-command", f"sh {manager}")
        assert told.status == status, told
        return told.data or told.code

    def browser(key, *sites: str) -> None:
        computer.probe("sign_up", key.node, PINS[key.name], "kim", *sites)

    def ssh(name: str, kind: str, *options: str) -> None:
        OpenSsh(computer, PINS[name], f"{computer.home}/.ssh").make(kind, f"id_{kind}_sk", *options)

    # Both on the same node, one after the other.
    blue = shelf.plug("blue")
    Libfido2(computer, blue, PINS["blue"]).set_pin()
    assert keyctl("add", "blue")["key"]["selector"] == blue.selector
    browser(blue, GITHUB, BANK)
    ssh("blue", "ed25519")
    blue.pull()
    green = shelf.plug("green", "uhid")
    assert green.node == blue.node
    Libfido2(computer, green, PINS["green"]).set_pin()
    assert keyctl("add", "green")["changed"]
    browser(green, GITHUB, MAIL)
    ssh("green", "ecdsa", "verify-required")
    blue.replug()

    scan = keyctl("scan", "--local")
    assert {entry["key"]["name"]: {found["rp_id"] for found in entry["added"]} for entry in scan["keys"]} == {
        "blue": {GITHUB, BANK, "ssh:"},
        "green": {GITHUB, MAIL, "ssh:"},
    }
    assert {entry["file"].rpartition("/")[2]: entry["key"] for entry in scan["local"] if entry["origin"] == "ssh"} == {
        "id_ed25519_sk": "blue",
        "id_ecdsa_sk": "green",
    }
    found = keyctl("coverage", "--missing", "green")
    assert {row["rp_id"]: row["status"] for row in found["services"] if row["rp_id"] != "ssh:"} == {
        GITHUB: "covered",
        BANK: "single_key",
        MAIL: "single_key",
    }
    assert BANK in {row["rp_id"] for row in found["missing"]}

    # Each on the other one's node.
    nodes = blue.node, green.node
    for key in (blue, green):
        key.pull()
    for key in sorted((blue, green), key=lambda key: key.node, reverse=True):
        key.replug()
    assert (green.node, blue.node) == nodes
    assert keyctl("pin", "verify", "-k", "blue")["key"]["selector"] == blue.selector

    # A stranger on the node of a key.
    blue.pull()
    stranger = shelf.plug("stranger")
    assert stranger.node == blue.node
    libfido2 = Libfido2(computer, stranger, PINS["blue"])
    libfido2.set_pin()
    assert keyctl("pin", "verify", "-k", "blue", status=3) == "no_key"
    assert libfido2.told()["pin retries"] == "8"
    stranger.pull()

    green.replug()
    assert keyctl("reset", "-k", "green", "--confirm", "green")["key"]["state"] == "reset"
    green.pull()
    listed = keyctl("list")["keys"]
    assert {key["name"]: (key["state"], key["connected"]) for key in listed} == {
        "blue": ("active", False),
        "green": ("reset", False),
    }
    rows = {row["rp_id"]: row for row in keyctl("coverage")["services"]}
    assert (rows[GITHUB]["status"], rows[MAIL]["status"]) == ("single_key", "uncovered")
    assert rows[MAIL]["keys"]["green"]["evidence"] == "reset"
