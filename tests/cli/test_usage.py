"""Command lines that are wrong: what is said, what is left unsaid, and which way is shown."""

from __future__ import annotations

import pytest

from keyctl.cli.catalogue import ASKING_FOR_PIN, CATALOGUE, KEYUTILS_VERBS, OTHER_WORDS

#: Command lines with a PIN where none belongs.
WITH_PIN = [
    "pin change 471199 654321",
    "pin set --pin-stdin 471199",
    "pin verify 471199",
    "pin 471199",
    "pin 471199 --json",
    "pin change --pin 471199",
    "pin change --pin=471199",
    "pin verify --471199",
    "pin verify --pin471199",
    "info --471199",
    "passkeys list 471199",
    "passkeys 471199",
    "passkeys show 12345678 471199",
    "unattended on 471199",
    "scan 471199",
    "pair verify green 471199",
    "recover promote green 471199",
    "info 471199",
    "471199",
    "--pin-stdin 471199",
    "service 471199",
]


@pytest.mark.parametrize("line", WITH_PIN)
def test_pin_that_was_typed_as_an_argument_is_not_repeated(run, line):
    done = run(*line.split())
    assert done.status == 2
    assert "471199" not in done.out + done.err
    # Where a PIN is wanted at all, it is said how to give it.
    assert "--pin-stdin" in done.err or line.split()[0] not in ASKING_FOR_PIN


def test_word_too_many_is_told_by_what_the_command_takes(run):
    assert run("info", "blue").err == (
        "keyctl: error: keyctl info takes no argument\n"
        "keyctl: hint: a key is chosen with -k KEY; see `keyctl info --help`\n"
    )
    assert run("edit", "blue", "green").err == (
        "keyctl: error: keyctl edit takes no argument but NAME\nkeyctl: hint: see `keyctl edit --help`\n"
    )


@pytest.mark.parametrize("line", ["list @u", "reset @u", "info @s"])
def test_a_keyring_of_the_other_program_is_explained(run, line):
    done = run(*line.split())
    assert done.status == 2
    assert "keyrings of the Linux kernel are managed by the keyctl of keyutils" in done.err


@pytest.mark.parametrize("line", ["security 1", "prequest2 a b", "watch_sync 3", "add -x user a b @u"])
def test_verbs_of_the_other_program_are_explained(run, line):
    done = run(*line.split())
    assert done.status == 2
    assert "of the keyctl of keyutils, which manages the Linux kernel's keyrings" in done.err


@pytest.mark.parametrize("word", ["test", "rest", "resett"])
def test_what_erases_a_key_is_never_proposed(run, word):
    done = run(word)
    assert done.status == 2
    assert "reset" not in done.err.removeprefix(f"keyctl: error: no such command '{word}'")


def test_a_key_is_attached_in_one_way(run, blue):
    assert run("virtual", "attach", blue, "--nfc", "--hid", "--json").code == "usage"
    assert run("virtual", "attach", blue, "--json").code == "usage"


@pytest.mark.parametrize("word", OTHER_WORDS)
def test_words_of_other_tools_lead_somewhere(run, word):
    done = run(word, "x")
    assert done.status == 2
    assert done.err == f"keyctl: error: no such command '{word}'\nkeyctl: hint: {OTHER_WORDS[word]}\n"
    assert word not in CATALOGUE
    assert word not in KEYUTILS_VERBS


@pytest.mark.parametrize("group", ["pin", "pair", "recover", "service"])
def test_group_alone_names_its_commands(run, group):
    done = run(group)
    assert done.status == 2
    assert "hint: its commands are " in done.err
    assert {"pin": "verify", "pair": "derive", "recover": "ssh-agent", "service": "import"}[group] in done.err
