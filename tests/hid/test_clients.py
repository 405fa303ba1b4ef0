"""Other people's programs on virtual keys: what they do keyctl sees, and what keyctl does they see."""

from __future__ import annotations

import pytest
from clients import Libfido2, OpenSsh, base64

PIN = "correct-horse"
OTHER_PIN = "battery-staple"
#: Larger than what libfido2 1.12 refuses to encrypt.
BLOB = "a text of some length that is not all the same"


def test_libfido2_lists_keys_with_what_usb_tells_of_them(computer, shelf):
    green = shelf.plug("green", product_id=0x0A, product="Green Key")
    red = shelf.plug("red", product_id=0xFFFE, product="Red Key")
    assert set(computer.run("fido2-token", "-L").splitlines()) == {
        f"{green.node}: vendor=0x1209, product=0x000a (Nobody Green Key)",
        f"{red.node}: vendor=0x1209, product=0xfffe (Nobody Red Key)",
    }


def test_pin_that_keyctl_sets_is_the_pin_for_libfido2(computer, shelf):
    key = shelf.plug("green")
    libfido2 = Libfido2(computer, key, PIN)
    assert "noclientPin" in libfido2.told()["options"].split(", ")
    assert computer.keyctl("pin", "set", "-k", key.selector, pin=f"{PIN}\n").data["changed"]
    assert "clientPin" in libfido2.told()["options"].split(", ")
    libfido2.change_pin(OTHER_PIN)
    assert computer.keyctl("pin", "verify", "-k", key.selector, pin=f"{OTHER_PIN}\n").status == 0


def test_pin_that_libfido2_sets_is_the_pin_for_keyctl(computer, shelf):
    key = shelf.plug("green", "uhid")
    libfido2 = Libfido2(computer, key, PIN)
    libfido2.set_pin()
    told = computer.keyctl("pin", "verify", "-k", key.selector, pin=f"{OTHER_PIN}\n")
    assert (told.status, told.code) == (4, "pin_wrong")
    assert libfido2.told()["pin retries"] == "7"
    assert computer.keyctl("info", "-k", key.selector).data["pin"]["retries"] == 7


@pytest.mark.parametrize(("profile", "verified"), [("full", ("-v",)), ("fido2.0", ())])
def test_libfido2_verifies_what_the_key_attests_and_signs(computer, shelf, profile, verified):
    """Keys of the first generation make nothing without their PIN, once they have one."""
    libfido2 = Libfido2(computer, shelf.plug("green", profile=profile), PIN)
    libfido2.set_pin()
    made = libfido2.make("example.com", "kim", *verified, algorithm="eddsa")
    assert made.format == "packed"
    libfido2.sign_in(made, *verified)


def test_libfido2_gets_secrets_that_depend_on_salt_and_pin(computer, shelf):
    libfido2 = Libfido2(computer, shelf.plug("green", "uhid"), PIN)
    libfido2.set_pin()
    made = libfido2.make("example.org", "kim", "-r", "-h")
    user_id, secret = libfido2.sign_in(made, "-r", "-h", salt=bytes(32))[-2:]
    assert user_id == base64(b"kim".hex())
    assert libfido2.sign_in(made, "-r", "-h", salt=bytes(32))[-1] == secret
    other = libfido2.sign_in(made, "-r", "-h", salt=bytes(31) + b"\1")[-1]
    verified = libfido2.sign_in(made, "-r", "-h", "-v", salt=bytes(32))[-1]
    assert len({secret, other, verified}) == 3


@pytest.mark.parametrize("profile", ["u2f", "full"])
def test_libfido2_verifies_what_the_key_does_by_u2f(computer, shelf, profile):
    libfido2 = Libfido2(computer, shelf.plug("green", "uhid", profile=profile))
    made = libfido2.make("example.com", "kim", "-u")
    assert made.format == "fido-u2f"
    libfido2.sign_in(made, "-u")


def test_libfido2_keeps_blobs_on_the_key(computer, shelf):
    libfido2 = Libfido2(computer, shelf.plug("green", "uhid"), PIN)
    libfido2.set_pin()
    libfido2.store("example.com", "kim", "-b")
    given, got = computer.new_path(), computer.new_path()
    computer.guest.write(given, BLOB)
    libfido2.token("-S", "-b", "-n", "example.com", given, typed=(PIN, PIN))
    libfido2.token("-G", "-b", "-n", "example.com", got, typed=(PIN, PIN))
    assert computer.run("cat", got) == BLOB
    libfido2.token("-D", "-b", "-n", "example.com", typed=(PIN, PIN))
    libfido2.token("-G", "-b", "-n", "example.com", got, typed=(PIN, PIN), status=1)


def test_settings_that_libfido2_makes_are_what_keyctl_reads(computer, shelf):
    key = shelf.plug("green", "uhid")
    libfido2 = Libfido2(computer, key, PIN)
    libfido2.set_pin()
    libfido2.token("-S", "-a", typed=(PIN,))
    libfido2.token("-S", "-u", typed=(PIN,))
    libfido2.token("-S", "-l", "9", typed=(PIN,))
    libfido2.token("-S", "-f", typed=(PIN,))
    told = libfido2.told()
    assert {"ep", "alwaysUv"} < set(told["options"].split(", "))
    assert (told["minpinlen"], told["pin change required"]) == ("9", "true")

    data = computer.keyctl("info", "-k", key.selector).data
    assert (data["options"]["ep"], data["options"]["alwaysUv"]) == (True, True)
    assert (data["pin"]["min_length"], data["pin"]["change_required"]) == (9, True)
    assert "U2F_V2" not in data["versions"]
    libfido2.change_pin(OTHER_PIN)
    assert libfido2.told()["pin change required"] == "false"


def test_key_that_libfido2_reset_is_empty(computer, shelf):
    key = shelf.plug("green", "uhid")
    libfido2 = Libfido2(computer, key, PIN)
    libfido2.token("-R")
    libfido2.set_pin()
    key.replug()
    libfido2.token("-R")
    assert "noclientPin" in libfido2.told()["options"].split(", ")


def test_keyctl_and_libfido2_agree_on_the_passkeys_at_each_step(computer, shelf):
    """With libfido2 1.12 listing by the command of CTAP 2.1's drafts, keyctl by the final one."""
    key = shelf.plug("green")
    computer.keyctl("pin", "set", "-k", key.selector, pin=f"{PIN}\n")
    libfido2 = Libfido2(computer, key, PIN)
    libfido2.store("example.com", "alice")
    libfido2.store("example.com", "bob")
    libfido2.store("example.org", "carol")

    passkeys = passkeys_of(computer, key)
    assert [(found["rp_id"], found["user_name"]) for found in passkeys] == [
        ("example.com", "alice"),
        ("example.com", "bob"),
        ("example.org", "carol"),
    ]
    assert libfido2.site_names() == ["example.com", "example.org"]
    assert {found.credential_id for found in libfido2.passkeys("example.com", "example.org")} == ids(passkeys)

    alice, bob, carol = (found["credential_id"] for found in passkeys)
    selected = ("-k", key.selector)
    computer.keyctl("passkeys", "rename", alice, "--display-name", "Alice", *selected, pin=f"{PIN}\n")
    deleted = computer.keyctl("passkeys", "delete", carol, *selected, "--yes", pin=f"{PIN}\n")
    assert ids(deleted.data["deleted"]) == {carol}
    assert libfido2.site_names() == ["example.com"]
    names = {found.credential_id: found for found in libfido2.passkeys("example.com")}
    assert set(names) == {alice, bob}
    assert names[alice].display_name == "Alice"

    libfido2.rename(names[alice], "alice@example.com", "Alicia")
    libfido2.delete(bob)
    (left,) = passkeys_of(computer, key)
    assert (left["credential_id"], left["user_name"]) == (alice, "alice@example.com")
    assert left["display_name"] == "Alicia"


def test_keyctl_lists_with_no_more_commands_than_libfido2(computer, shelf):
    """Five sites with five passkeys each."""
    key = shelf.plug("green", "uhid")
    libfido2 = Libfido2(computer, key, PIN)
    libfido2.set_pin()
    key.fill(PIN, 5, 25)
    start = key.traffic()
    passkeys = passkeys_of(computer, key)
    middle = key.traffic()
    sites = libfido2.site_names()
    listed = libfido2.passkeys(*sites)
    assert ids(passkeys) == {found.credential_id for found in listed}
    assert len(passkeys) == 25
    assert (middle - start).commands <= (key.traffic() - middle).commands


def test_openssh_signs_with_what_it_made_on_the_key(computer, shelf):
    key = shelf.plug("green")
    Libfido2(computer, key, PIN).set_pin()
    openssh = OpenSsh(computer, PIN)
    openssh.make("ecdsa", "plain")
    openssh.make("ed25519", "careful", "resident", "verify-required", "application=ssh:work", "user=kim")
    for name in ("plain", "careful"):
        signature = openssh.sign(name, "a text")
        openssh.verify(name, "a text", signature)
        openssh.verify(name, "another text", signature, status=255)

    (passkey,) = passkeys_of(computer, key)
    assert (passkey["rp_id"], passkey["user_name"], passkey["protection"]) == ("ssh:work", "openssh", "required")
    assert bytes.fromhex(passkey["user_id"]).rstrip(b"\0") == b"kim"
    (downloaded,) = openssh.download()
    assert openssh.public(downloaded) == openssh.public("careful")
    openssh.verify("careful", "a text", openssh.sign(downloaded, "a text"))


def test_openssh_no_longer_finds_what_keyctl_deleted(computer, shelf):
    key = shelf.plug("green", "uhid")
    Libfido2(computer, key, PIN).set_pin()
    openssh = OpenSsh(computer, PIN)
    openssh.make("ed25519", "one", "resident", "application=ssh:one")
    openssh.make("ecdsa", "two", "resident", "application=ssh:two")
    told = computer.keyctl("passkeys", "delete", "--rp", "ssh:one", "-k", key.selector, "--yes", pin=f"{PIN}\n")
    assert len(told.data["deleted"]) == 1
    (left,) = openssh.download()
    assert openssh.public(left) == openssh.public("two")


def test_pam_u2f_takes_the_key(computer, shelf):
    key = shelf.plug("green", "uhid")
    Libfido2(computer, key, PIN).set_pin()
    site = ("-u", "kim", "-o", "pam://host", "-i", "pam://host")
    user, handle, public_key, algorithm, flags = fields_of_pam_u2f(computer, *site)
    assert (user, algorithm, flags) == ("kim", "es256", "+presence")
    assert "*" not in {handle, public_key}
    assert passkeys_of(computer, key) == []

    _, handle, _, _, flags = fields_of_pam_u2f(computer, *site, "-r", "-N")
    assert (handle, flags) == ("*", "+presence+pin")
    (passkey,) = passkeys_of(computer, key)
    assert (passkey["rp_id"], passkey["user_name"]) == ("pam://host", "kim")


def passkeys_of(computer, key) -> list[dict]:
    """As keyctl lists them."""
    told = computer.keyctl("passkeys", "list", "-k", key.selector, pin=f"{PIN}\n")
    assert told.status == 0
    assert told.data["complete"]
    return sorted(told.data["passkeys"], key=lambda passkey: (passkey["rp_id"], passkey["user_name"]))


def ids(passkeys: list[dict]) -> set[str]:
    return {passkey["credential_id"] for passkey in passkeys}


def fields_of_pam_u2f(computer, *arguments: str) -> list[str]:
    """The line for pam_u2f's file: user, and of the credential the handle, the public key, algorithm and flags."""
    line = computer.run("pamu2fcfg", *arguments, stdin=f"{PIN}\n").strip()
    user, _, credential = line.partition(":")
    return [user, *credential.split(",")]
