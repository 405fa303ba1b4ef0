"""Pairing over the real HID stack: two keys on USB, from their pairing to a signature by the backup key alone."""

from __future__ import annotations

from clients import Libfido2

PINS = {"blue": "123456", "green": "correct-horse"}
#: Tells the PIN of the key that it is asked about.
PASSWORD_MANAGER = "".join(
    ["case $KEYCTL_KEY in\n", *(f"{name}) echo {pin};;\n" for name, pin in PINS.items()), "*) exit 1;;\nesac\n"]
)
BANK = "bank.example"
OWN_SITE = "keyctl.invalid"
TARGET = "sign:releases"
MESSAGE = "keyctl 1.0\n"
#: Of the two dozen commands that the backup key gets.
HALF_WAY = 15


def test_backup_key_signs_alone_and_either_key_brings_the_pairing_back(computer, shelf):
    manager = computer.new_path()
    computer.guest.write(manager, PASSWORD_MANAGER)

    def keyctl(*words: str, status: int = 0):
        told = computer.keyctl(*words, "--pin-command", f"sh {manager}")
        assert told.status == status, told
        return told.data

    def sites(key) -> list[str]:
        return Libfido2(computer, key, PINS[key.name]).site_names()

    def restored(key, *words: str):
        """The only pairing on *key*, on a new computer that knows neither key."""
        computer.move_out()
        told = computer.keyctl("pair", "restore", "-k", key.selector, *words, pin=f"{PINS[key.name]}\n")
        assert told.status == 0, told
        assert told.data["key"]["name"] == key.name
        [pairing] = told.data["pairings"]
        return pairing

    blue, green = shelf.plug("blue", "uhid"), shelf.plug("green", "uhid", profile="arkg")
    for key in (blue, green):
        Libfido2(computer, key, PINS[key.name]).set_pin()
        assert keyctl("add", key.name, "-k", key.selector)["changed"]
        computer.probe("sign_up", key.node, PINS[key.name], "kim", BANK)

    # Pulled half-way, when the seed is there.
    green.set(f"fault={HALF_WAY}:pulled-after")
    keyctl("pair", "create", "blue", "green", status=8)
    green.replug()
    assert sites(green) == [BANK, OWN_SITE]
    assert keyctl("pair", "remove", "--leftovers", "--yes")["removed_from"] == ["green"]
    assert sites(green) == sites(blue) == [BANK]

    made = keyctl("pair", "create", "blue", "green")["pairing"]
    assert (made["method"], made["stored_on"]) == ("arkg", ["blue", "green"])
    assert sites(green) == sites(blue) == [BANK, OWN_SITE]

    green.pull()
    derived = keyctl("pair", "derive", "--for", TARGET)
    [derived_key] = derived["derived"]
    assert (derived_key["endorsed"], derived["checked_against_key"]) == (True, True)

    # The primary key is lost.
    blue.pull()
    green.replug()
    drill = keyctl("pair", "verify")
    assert (drill["verified"], drill["target"]) == (True, TARGET)
    message, public_key, signature = (computer.new_path() for _ in range(3))
    computer.guest.write(message, MESSAGE)
    computer.guest.write(public_key, derived_key["pem"])
    keyctl("recover", "sign", message, "--for", TARGET, "--output", signature)
    computer.run("openssl", "dgst", "-sha256", "-verify", public_key, "-signature", signature, message)

    pairing = restored(green)
    assert (pairing["id"], pairing["fingerprint"], pairing["state"]) == (made["id"], made["fingerprint"], "verified")
    blue.replug()
    pairing = restored(blue, "--confirm", made["fingerprint"])
    assert (pairing["id"], pairing["state"]) == (made["id"], "never_verified")


def test_software_seed_is_made_and_used_by_a_process_of_its_own_with_one_port(computer, shelf):
    """That opens the backup key's node itself, which the primary key gets next."""
    manager = computer.new_path()
    computer.guest.write(manager, PASSWORD_MANAGER)
    pins = ("--pin-command", f"sh {manager}")

    def known(name: str):
        key = shelf.plug(name, "uhid")
        Libfido2(computer, key, PINS[name]).set_pin()
        assert computer.keyctl("add", name).status == 0
        return key

    blue = known("blue")
    blue.pull()
    green = known("green")

    creating = computer.start_keyctl("pair", "create", "blue", "green", "--method", "software", *pins, terminal=True)
    creating.job.await_said("waiting for blue to be plugged in")
    green.pull()
    blue.replug()
    assert blue.node == green.node
    created = creating.told()
    assert created.status == 0, created
    assert created.data["pairing"]["stored_on"] == ["blue", "green"]
    assert "green is done: you can put it back into the safe now" in created.said

    blue.pull()
    green.replug()
    drill = computer.start_keyctl("pair", "verify", *pins).told()
    assert drill.status == 0, drill
    assert drill.data["verified"]
