"""The demonstration: every line was really run, and what is only a draft is called one."""

from __future__ import annotations


def test_the_story_is_told_to_its_end(run):
    done = run("demo", "--json")
    assert done.status == 0
    steps = done.document["data"]["steps"]
    for step in steps:
        assert set(step) == {"about", "command", "exit_status", "output"}
        assert step["output"]
        # Nothing of this machine, and no PIN.
        assert "/keyctl-demo-" not in step["output"]
        assert "4711" not in str(step)
    commands = [step["command"] for step in steps]
    assert all(command is None or command.split()[0] == "keyctl" for command in commands)
    scenes = [step for step in steps if step["command"] is None]
    assert all(step["exit_status"] == 0 for step in scenes)

    # The five steps, in their order, after a word on what they are.
    abouts = [step["about"] for step in steps]
    first = next(number for number, about in enumerate(abouts) if "DRAFT" in about)
    numbered = [number for number, about in enumerate(abouts) if about.startswith("draft, step")]
    assert [abouts[number].partition(":")[0] for number in numbered] == [
        "draft, step 1 of 5",
        "draft, step 2 of 5",
        "draft, step 3 of 5",
        "draft, steps 4 and 5 of 5",
    ]
    assert first < numbered[0]
    assert not any("recovery credential" in step["output"] for step in steps[:first])
    assert "mails kim: a lost key was replaced by its backup" in steps[numbered[-1]]["output"]
    assert steps[-1]["output"].endswith("no; gold was revoked")


def test_scenes_without_a_command_have_no_prompt_in_the_text(run):
    text = run("demo").out
    assert "None" not in text
    assert "\n\n# (a browser signs up with gold)\nshop.example: asks for a new credential" in text
    assert "\n$ keyctl virtual new gold --profile draft\n" in text
