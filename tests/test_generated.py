"""What is generated from the commands is there, current and complete."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

import click
import pytest

from keyctl.cli.catalogue import CATALOGUE
from keyctl.cli.main import main, program
from keyctl.cli.options import SHARED_OPTIONS
from keyctl.errors import CODES

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "man").glob("man*/*"))
GOLDEN = sorted((ROOT / "tests" / "contract").glob("*.json"))


@pytest.fixture(scope="session")
def generate():
    """The module man/generate.py, imported as Python does when it runs as a script."""
    sys.path.insert(0, str(ROOT / "man"))
    try:
        return importlib.import_module("generate")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="session")
def shapes(generate):
    return generate.shapes


def commands(generate):
    """The contexts of all commands and groups, the program first."""
    return [generate.context_of(path) for path in generate.paths_under(())]


def test_generated_files_are_current(generate):
    stale = [str(path) for path in generate.changes(ROOT)]
    assert not stale, "run `PYTHONPATH=. python man/generate.py`"


def test_the_shell_offers_files_wherever_one_is_named(generate):
    named = [
        (context, parameter)
        for context in commands(generate)
        for parameter in context.command.get_params(context)
        if re.search(r"\bFILE\b", parameter.make_metavar(context))
    ]
    assert len(named) > 10
    for context, parameter in named:
        offered = [item.type for item in parameter.shell_complete(context, "some")]
        assert offered == ["file"], (context.command_path, parameter.name)


def test_output_does_not_depend_on_the_terminal_or_the_hash_seed():
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "200", "PYTHONHASHSEED": "1"}
    script = [sys.executable, str(ROOT / "man" / "generate.py"), "--check"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_lists_what_is_not_current_and_writes_nothing(generate, tmp_path, capsys):
    assert generate.main([], tmp_path) == 0
    capsys.readouterr()
    assert generate.main(["--check"], tmp_path) == 0
    changed, surplus, readme = "man/man1/fido-keyctl-list.1", "man/man1/fido-keyctl-gone.1", "README.md"
    (tmp_path / changed).write_text("old")
    (tmp_path / surplus).write_text("old")
    (tmp_path / readme).write_text("<!-- help: list -->\n<!-- end -->\n")
    assert generate.main(["--check"], tmp_path) == 1
    assert sorted(capsys.readouterr().out.split()) == sorted([changed, surplus, readme])
    assert (tmp_path / changed).read_text() == "old"
    assert (tmp_path / surplus).exists()

    assert generate.main([], tmp_path) == 0
    assert not (tmp_path / surplus).exists()
    assert generate.changes(tmp_path) == {}


def test_unknown_argument_is_a_usage_error(generate, tmp_path):
    assert generate.main(["--chekc"], tmp_path) == 2
    assert not list(tmp_path.iterdir())


def test_help_in_the_readme_is_what_a_terminal_of_80_columns_shows(generate, monkeypatch, capsys):
    text = "before\n<!-- help: passkeys delete -->\nold\n<!-- end -->\nbetween\n<!-- help: -->\n<!-- end -->\n"
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["passkeys", "delete", "--help"]) == 0
    of_command = capsys.readouterr().out.split("\n\nOptions of every command:\n")[0] + "\n"
    assert main(["--help"]) == 0
    of_program = capsys.readouterr().out
    wanted = (
        f"before\n<!-- help: passkeys delete -->\n```text\n{of_command}```\n<!-- end -->\nbetween\n"
        f"<!-- help: -->\n```text\n{of_program}```\n<!-- end -->\n"
    )
    assert generate.with_help(text) == wanted
    assert generate.with_help(wanted) == wanted


@pytest.mark.parametrize("text", ["<!-- help: list -->\n", "<!-- help: nothing -->\n<!-- end -->\n"])
def test_help_marker_without_end_or_command_is_refused(generate, text):
    with pytest.raises(ValueError, match=r"no end|no command"):
        generate.with_help(text)


def test_every_command_has_help(generate):
    for context in commands(generate):
        assert context.command.help, context.command_path


def test_no_help_shows_the_mark_that_keeps_its_lines_apart(generate):
    """It is a control character, which a raw docstring would not hold; the manual pages are made of the same text."""
    for context in commands(generate):
        assert "\\b" not in f"{context.command.help}{context.get_help()}", context.command_path


def test_every_help_fits_80_columns(generate):
    for context in commands(generate):
        wide = [line for line in context.get_help().split("\n") if len(line) > 80]
        assert not wide, context.command_path


@pytest.mark.parametrize("name", CATALOGUE)
def test_catalogue_says_what_the_command_says(generate, name):
    command = generate.context_of((name,)).command
    assert command.get_short_help_str(limit=1000) == CATALOGUE[name].summary
    assert command.name == name


def test_every_option_and_argument_has_help(generate):
    for context in commands(generate):
        for param in context.command.params:
            assert getattr(param, "help", None), f"{context.command_path} {param.name}"


def test_help_lists_every_option_and_argument_once(generate):
    for context in commands(generate):
        lines = [line.strip() for line in context.get_help().split("\n")]
        for left, _ in filter(None, (param.get_help_record(context) for param in context.command.params)):
            count = sum(line == left or line.startswith(f"{left}  ") for line in lines)
            assert count == 1, f"{context.command_path} {left}"


def test_every_command_takes_the_shared_options(generate):
    for context in commands(generate):
        assert set(SHARED_OPTIONS) <= set(context.command.params), context.command_path


def test_every_command_has_a_page_and_every_page_a_command(generate):
    names = {page.name for page in PAGES}
    assert names == {"fido-keyctl.1", "fido-keyctl-json.5", *(f"fido-keyctl-{name}.1" for name in CATALOGUE)}
    for path in generate.paths_under(()):
        if path:
            page = (ROOT / "man" / "man1" / f"fido-keyctl-{path[0]}.1").read_text()
            assert f"keyctl {' '.join(path)}".replace("-", r"\-") in page


def test_no_file_takes_the_name_of_keyutils_program():
    """Its keyctl(1) and its completion are in the same folders."""
    files = [*PAGES, *(ROOT / "completions").iterdir()]
    assert all(file.name.startswith("fido-keyctl") for file in files)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_groff_accepts_the_page(page):
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    done = subprocess.run([groff, "-man", "-ww", "-Tutf8", "-z", page], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_ascii_without_blank_lines(page):
    """What else there is would be at the mercy of the reader's locale, and blank lines are not for roff sources."""
    lines = page.read_bytes().decode("ascii").split("\n")
    assert lines.pop() == ""
    assert all(lines)


def test_json_page_lists_every_code_and_field(shapes):
    page = (ROOT / "man" / "man5" / "fido-keyctl-json.5").read_text()
    for code, (status, meaning) in CODES.items():
        assert f".TP\n\\fB{code}\\fR\n{meaning}".replace("'", r"\(aq") in page
        assert f"(exit status {int(status)})" in page
    roots = [shapes.Document, *shapes.DATA.values()]
    for shape in [*roots, *shapes.shapes_within(roots)]:
        names = [member.value for member in shape] if issubclass(shape, Enum) else shapes.fields_of(shape)
        for name in names:
            assert f".TP\n\\fB{name}\\fR" in page, f"{shape.__name__}.{name}"


def require_fit(told, hint, shapes, where):
    """Assert that a golden document, which holds names of types instead of values, has exactly the documented form."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        inner = [argument for argument in arguments if argument is not types.NoneType]
        assert len(inner) == 1, where
        if told != "null" or len(inner) == len(arguments):
            require_fit(told, inner[0], shapes, where)
    elif typing.get_origin(hint) is tuple:
        assert isinstance(told, list), where
        for item in told:
            require_fit(item, arguments[0], shapes, f"{where}[]")
    elif typing.get_origin(hint) is Mapping:
        assert isinstance(told, dict), where
        for name, item in told.items():
            require_fit(item, arguments[1], shapes, f"{where}.{name}")
    elif dataclasses.is_dataclass(hint):
        fields = shapes.fields_of(hint)
        assert isinstance(told, dict), where
        assert list(told) == list(fields), where
        for name, inner in fields.items():
            require_fit(told[name], inner, shapes, f"{where}.{name}")
    else:
        assert told == {int: "int", bool: "bool", float: "float"}.get(hint, "str"), where


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.stem)
def test_documents_are_as_the_page_says(golden, shapes):
    told = json.loads(golden.read_text())
    fields = shapes.fields_of(shapes.Document)
    assert list(told) == list(fields)
    assert told["status"] in list(shapes.DocumentStatus)
    require_fit(told["errors"], fields["errors"], shapes, "errors")
    if told["data"] != "null":
        form = shapes.DATA.get(f"--{golden.stem}") or shapes.DATA[told["command"]]
        require_fit(told["data"], form, shapes, "data")


def test_every_form_of_data_has_a_golden_document(shapes):
    """But that of the demonstration, whose steps are a story, and of the agent, which runs until it is told to end."""
    told = {json.loads(golden.read_text())["command"] for golden in GOLDEN}
    others = {shapes.Version, shapes.Demonstration, shapes.Listening}
    forms = {shapes.DATA[command] for command in told & shapes.DATA.keys()} | others
    assert forms == set(shapes.DATA.values())


def test_examples_in_the_prose_are_commands_with_these_options(generate):
    texts = [section["text"] for section in generate.PROSE["overview"] if "text" in section]
    texts += generate.PROSE["examples"].values()
    lines = re.findall(r"^ {4}(keyctl (?:.*\\\n)*.*)$", "\n".join(texts), re.MULTILINE)
    assert len(lines) > 20
    for line in lines:
        words = shlex.split(line.replace("\\\n", " "))[1:]
        if ">" in words:
            words = words[: words.index(">")]
        path = []
        while words and words[0] in known_under(generate.context_of(tuple(path))):
            path.append(words.pop(0))
        context = generate.context_of(tuple(path))
        assert not isinstance(context.command, click.Group) or context.command.invoke_without_command, line
        # Parses only: nothing runs before `invoke`.
        context.command.make_context(path[-1], words, parent=program.make_context("keyctl", []))


def known_under(context):
    return context.command.list_commands(context) if isinstance(context.command, click.Group) else []
