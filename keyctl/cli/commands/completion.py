"""``keyctl completion``."""

from __future__ import annotations

import click

from keyctl.cli.frame import Command, Outcome

SHELLS = ("bash", "zsh", "fish", "powershell")
PROGRAM_NAMES = ("keyctl", "fido-keyctl")


@click.command(name="completion", cls=Command, short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(SHELLS), help="The shell to complete in.")
@click.pass_context
def COMMAND(context: click.Context, *, shell: str) -> Outcome:  # noqa: N802  # the name by which the catalogue finds it
    """Print the completion script for a shell.

    It completes both names of the program, keyctl and fido-keyctl. Installed packages bring a script for fido-keyctl.
    The line for your shell, and the file at whose end it belongs:

    \b
    ~/.bashrc                   eval "$(keyctl completion bash)"
    ~/.zshrc, after compinit    eval "$(keyctl completion zsh)"
    ~/.config/fish/config.fish  keyctl completion fish | source
    $PROFILE of PowerShell      keyctl completion powershell | Out-String | iex
    """  # noqa: D301  # Click wants the control character
    root = context.find_root().command
    content = "\n".join(script(root, shell, name) for name in PROGRAM_NAMES)
    return Outcome(data={"content": content}, text=lambda: content)


def script(program: click.Command, shell: str, name: str) -> str:
    """The script that completes the word *name* in *shell*."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise LookupError(shell)
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    # The instance's source() would first ask the installed shell for its version, which says nothing about the target.
    maker = kind(program, {}, name, variable)
    return (maker.source_template % maker.source_vars()).strip()
