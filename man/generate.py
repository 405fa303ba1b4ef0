"""Write all that is made from the commands: manual pages, completions, and the help texts in README.md.

Run it from the repository as ``PYTHONPATH=. python man/generate.py``. With ``--check`` it writes nothing, lists the
files that are not current, and exits with 1 if there are any.
"""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import roff
import shapes

from keyctl.cli.catalogue import CATALOGUE
from keyctl.cli.commands.completion import script
from keyctl.cli.frame import SHARED_TITLE
from keyctl.cli.main import program
from keyctl.cli.options import SHARED_OPTIONS
from keyctl.core.health_limits import LIMIT_FIELDS, Limits
from keyctl.core.health_table import RULES
from keyctl.errors import CODES, EXIT_MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

ROOT = Path(__file__).parent.parent
PROSE: dict[str, Any] = tomllib.loads((Path(__file__).parent / "prose.toml").read_text("utf-8"))
#: The name of all files: keyutils has keyctl(1), and a completion, of its own.
NAME = "fido-keyctl"
#: Shell -> ending of its completion file.
SHELLS = {"bash": "bash", "zsh": "zsh", "fish": "fish", "powershell": "ps1"}
#: Click leaves a margin of two on a terminal of 80 columns.
HELP_WIDTH = 78

CommandPath = tuple[str, ...]
_HELP_BLOCK = re.compile(r"(<!-- help:(?P<path>[^>\n]*)-->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Bring all files under *root* up to date, or list those that are not.

    Returns:
        The exit status.
    """
    if set(arguments) - {"--check"}:
        print(__doc__, file=sys.stderr)
        return 2
    stale = changes(root)
    for path, content in stale.items():
        print(path)
        if "--check" in arguments:
            continue
        if content is None:
            (root / path).unlink()
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, "utf-8", newline="\n")
    return 1 if stale and "--check" in arguments else 0


def changes(root: Path) -> dict[Path, str | None]:
    """What is not current under *root*: path -> what the file should hold, or None where there should be none."""
    wanted: dict[Path, str | None] = {**files()}
    for folder in {path.parent for path in wanted}:
        surplus = {path.relative_to(root) for path in (root / folder).glob(f"{NAME}*")} - set(wanted)
        wanted |= dict.fromkeys(sorted(surplus))
    readme = Path("README.md")
    if (root / readme).exists():
        wanted[readme] = with_help((root / readme).read_text("utf-8"))
    return {path: content for path, content in wanted.items() if content is None or _content(root / path) != content}


def files() -> dict[Path, str]:
    """The files that are generated as a whole."""
    man1 = Path("man", "man1")
    made = {man1 / f"{NAME}.1": overview()}
    made |= {man1 / f"{NAME}-{name}.1": command_page(name) for name in CATALOGUE}
    made[Path("man", "man5", f"{NAME}-json.5")] = json_page()
    for shell, ending in SHELLS.items():
        made[Path("completions", f"{NAME}.{ending}")] = script(program, shell, NAME) + "\n"
    return made


def with_help(text: str) -> str:
    """*text* with the block after every ``<!-- help: COMMAND -->`` replaced by that command's help.

    The options that every command takes are in the program's own block only.

    Raises:
        ValueError: A marker has no end, or names no command.
    """

    def block(match: re.Match[str]) -> str:
        path = tuple(match["path"].split())
        content = context_of(path).get_help()
        if path:
            content, _, _ = content.partition(f"\n\n{SHARED_TITLE}:\n")
        return f"{match[1]}```text\n{content}\n```\n{match[3]}"

    replaced, count = _HELP_BLOCK.subn(block, text)
    if count != text.count("<!-- help:"):
        raise ValueError("a help marker in the text has no end")
    return replaced


def context_of(path: CommandPath) -> click.Context:
    """Click's context of the command *path*, without parsing anything.

    Raises:
        ValueError: There is no such command.
    """
    context = click.Context(program, info_name="keyctl", terminal_width=HELP_WIDTH, **program.context_settings)
    for name in path:
        group = context.command
        command = group.get_command(context, name) if isinstance(group, click.Group) else None
        if command is None:
            raise ValueError(f"there is no command {' '.join(path)}")
        context = click.Context(command, info_name=name, parent=context, **command.context_settings)
    return context


def paths_under(path: CommandPath) -> Iterator[CommandPath]:
    """*path* and all commands below it, in the order of their help."""
    yield path
    context = context_of(path)
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            yield from paths_under((*path, name))


def overview() -> str:
    """The page of the program."""
    made = {
        "commands": _catalogue(),
        "options": _all_options(),
        "statuses": _statuses(),
    }
    names = ("keyctl", NAME)
    usage = [".SH SYNOPSIS", *_lines_of_usage(f"{roff.bold(name)} {_usage(context_of(()))}" for name in names)]
    pages = [f"{NAME}-{name}(1)" for name in CATALOGUE]
    body = [*usage, *_sections(PROSE["overview"], made), *_see_also([*pages, f"{NAME}-json(5)", "pcscd(8)"])]
    return roff.page(NAME, 1, "manage FIDO2 security keys of any vendor", body)


def command_page(name: str) -> str:
    """The page of one command with all that is under it."""
    paths = list(paths_under((name,)))
    context = context_of((name,))
    usage = [
        f"{roff.bold('keyctl ' + ' '.join(path))} {_usage(context_of(path))}" for path in paths if not _is_group(path)
    ]
    body = [
        ".SH SYNOPSIS",
        *_lines_of_usage(usage),
        ".SH DESCRIPTION",
        *_help(context),
        *([] if len(paths) == 1 else [".SH COMMANDS"]),
        *(line for path in paths[1:] for line in _subcommand(path)),
        ".SH OPTIONS",
        *_parameters(context),
        ".PP",
        roff.inline(f"The options of every command, `--key` and `--json` among them, are in `{NAME}`(1)."),
        *_MORE.get(name, list)(),
        ".SH EXIT STATUS",
        roff.inline(f"0 when all went well; the others are in `{NAME}`(1), and the errors in `{NAME}-json`(5)."),
        ".SH EXAMPLES",
        *roff.paragraphs(_prose("examples", CATALOGUE.keys())[name]),
        *_see_also([f"{NAME}(1)", f"{NAME}-json(5)"]),
    ]
    summary = CATALOGUE[name].summary
    return roff.page(f"{NAME}-{name}", 1, summary[:1].lower() + summary[1:].rstrip("."), body)


def _health_tables() -> list[str]:
    """What `health` looks at, and the limits that can be set, from where the program has them."""
    lines = [".SH CHECKS"]
    for subject in dict.fromkeys(rule.subject for rule in RULES):
        lines.append(f'.SS "{roff.plain(f"about the {subject}" if subject == "inventory" else f"for each {subject}")}"')
        for rule in RULES:
            if rule.subject is subject:
                fixed = "" if rule.acceptable else "; it cannot be accepted"
                text = f"({rule.level}{fixed}) {rule.meaning}. What to do: {rule.action}."
                lines += roff.term(roff.bold(rule.id), text)
    lines += [".SH LIMITS", roff.inline("`health.toml` in keyctl's folder may set these, each as `name = number`:")]
    for name, limit in LIMIT_FIELDS.items():
        default = getattr(Limits(), name)
        lines += roff.term(roff.bold(name), f"{limit.meaning}; {default}, from {limit.lowest} to {limit.highest}")
    return lines


#: Command -> what its page has beside what Click knows.
_MORE: dict[str, Callable[[], list[str]]] = {"health": _health_tables}


def json_page() -> str:
    """The page of the JSON documents."""
    runnable = {" ".join(path) for path in paths_under(()) if path and not _is_group(path)}
    if runnable != {command for command in shapes.DATA if not command.startswith("--")}:
        raise LookupError(f"DATA and the commands differ: {sorted(runnable ^ shapes.DATA.keys())}")
    inner = shapes.shapes_within([shapes.Document, *shapes.DATA.values()])
    meanings = _prose("fields", {shape.__name__ for shape in (shapes.Document, *shapes.DATA.values(), *inner)})
    kinds = [shape for shape in inner if issubclass(shape, Enum)]
    made = {
        "document": _fields(shapes.Document, meanings),
        "data": [line for shape in dict.fromkeys(shapes.DATA.values()) for line in _data(shape, meanings)],
        "objects": [line for shape in inner if shape not in kinds for line in _titled_fields(shape, meanings)],
        "kinds": [line for shape in kinds for line in _titled_fields(shape, meanings)],
        "codes": [
            line
            for code, (status, meaning) in CODES.items()
            for line in roff.term(roff.bold(code), f"{meaning} (exit status {int(status)})")
        ],
        "statuses": _statuses(),
    }
    body = [*_sections(PROSE["json"], made), *_see_also([f"{NAME}(1)"])]
    return roff.page(f"{NAME}-json", 5, "what keyctl --json prints", body, ("keyctl-json",))


def _is_group(path: CommandPath) -> bool:
    """Whether it does nothing by itself."""
    command = context_of(path).command
    return isinstance(command, click.Group) and not command.invoke_without_command


def _prose(table: str, names: Collection[str]) -> dict[str, Any]:
    """The table of that name, which tells of exactly *names*.

    Raises:
        LookupError: It does not.
    """
    texts: dict[str, Any] = PROSE[table]
    if texts.keys() != set(names):
        raise LookupError(f"[{table}] in prose.toml lacks or has too many: {sorted(texts.keys() ^ set(names))}")
    return texts


def _content(path: Path) -> str | None:
    # Bytes, because reading as text would take foreign line ends for our own.
    return path.read_bytes().decode() if path.exists() else None


def _sections(prose: Iterable[dict[str, str]], made: dict[str, list[str]]) -> Iterator[str]:
    for section in prose:
        yield f".SH {section['title']}"
        yield from roff.paragraphs(section["text"]) if "text" in section else made[section["from"]]


def _catalogue() -> list[str]:
    return [line for name, entry in CATALOGUE.items() for line in roff.term(roff.bold(f"keyctl {name}"), entry.summary)]


def _statuses() -> list[str]:
    return [line for status, words in EXIT_MEANINGS.items() for line in roff.term(roff.bold(str(int(status))), words)]


def _see_also(pages: Iterable[str]) -> list[str]:
    marked = ", ".join(f"{roff.bold(page[:-3])}{page[-3:]}" for page in pages)
    return [".SH SEE ALSO", marked]


def _usage(context: click.Context) -> str:
    return roff.synopsis(" ".join(context.command.collect_usage_pieces(context)))


def _lines_of_usage(lines: Iterable[str]) -> list[str]:
    return "\n.br\n".join(lines).split("\n")


def _subcommand(path: CommandPath) -> list[str]:
    context = context_of(path)
    heading = f'.SS "keyctl {roff.plain(" ".join(path))} {_usage(context)}"'
    return [heading, *_help(context), *_parameters(context)]


def _help(context: click.Context) -> list[str]:
    return roff.paragraphs(inspect.cleandoc(context.command.help or ""))


def _parameters(context: click.Context) -> list[str]:
    """The command's own; what is the same for all commands is on the page of the program."""
    return _options(context, [param for param in context.command.params if param not in SHARED_OPTIONS])


def _all_options() -> list[str]:
    context = context_of(())
    own = [param for param in program.get_params(context) if param not in SHARED_OPTIONS]
    every = roff.inline("These go with every command, anywhere before a lone `--`; the last one given counts:")
    return [*_options(context, own), ".PP", every, *_options(context, SHARED_OPTIONS)]


def _options(context: click.Context, params: Iterable[click.Parameter]) -> list[str]:
    records = [record for param in params if (record := param.get_help_record(context))]
    return [line for left, right in records for line in roff.term(roff.synopsis(left), right)]


def _data(shape: type, meanings: dict[str, Any]) -> list[str]:
    commands = ", ".join(command for command, of_command in shapes.DATA.items() if of_command is shape)
    return [f'.SS "{roff.plain(commands)}"', *_fields(shape, meanings)]


def _titled_fields(shape: type, meanings: dict[str, Any]) -> list[str]:
    return [f'.SS "{roff.plain(shapes.title(shape))}"', *_fields(shape, meanings)]


def _fields(shape: type, meanings: dict[str, Any]) -> list[str]:
    """The fields of an object with type and meaning, or the values of an enumeration with their meaning.

    Raises:
        LookupError: The prose does not tell of exactly these.
    """
    told: dict[str, str] = meanings[shape.__name__]
    if issubclass(shape, Enum):
        marked = {str(member.value): roff.bold(str(member.value)) for member in shape}
    else:
        types = {name: shapes.words(hint) for name, hint in shapes.fields_of(shape).items()}
        marked = {name: f"{roff.bold(name)} ({roff.plain(words)})" for name, words in types.items()}
    if marked.keys() != told.keys():
        raise LookupError(
            f"[fields.{shape.__name__}] in prose.toml lacks or has too many: {sorted(marked.keys() ^ told.keys())}"
        )
    return [line for name, left in marked.items() for line in roff.term(left, told[name])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
