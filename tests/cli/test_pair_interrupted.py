"""What a person sees who ends a pairing half-way."""

from __future__ import annotations

from .terminal import CTRL_C


def test_ctrl_c_between_the_keys_names_what_is_left_and_how_to_delete_it(at_terminal, virtual, run, pin_file):
    for name, profile in (("blue", "full"), ("green", "arkg")):
        virtual.new(name, profile=profile)
        assert run("add", name, "-k", f"virtual:{name}").status == 0
    virtual.unplug("blue")
    screen = at_terminal("pair", "create", "blue", "green")
    screen.expect("PIN for green (8 tries left): ")
    screen.type(f"{virtual.PIN}\n")
    screen.expect("waiting for blue to be plugged in (120 s)")
    screen.type(CTRL_C)
    assert screen.end() == 130
    assert "something may be left of it on green: `keyctl pair remove --leftovers` deletes it" in screen.text
    assert run("pair", "list", "--json").document["data"]["pairings"] == []
    assert run("pair", "remove", "--leftovers", "--yes", "--pin-file", pin_file()).out == "nothing is left on green\n"


def test_ctrl_c_before_anything_was_made_names_nothing(at_terminal, virtual, run):
    for name, profile in (("blue", "full"), ("green", "arkg")):
        virtual.new(name, profile=profile)
        assert run("add", name, "-k", f"virtual:{name}").status == 0
    screen = at_terminal("pair", "create", "blue", "green")
    screen.expect("PIN for green (8 tries left): ")
    screen.type(CTRL_C)
    assert screen.end() == 130
    assert "left of it" not in screen.text
