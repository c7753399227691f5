"""``hardener completion``: print the script by which a shell completes the command line."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")
# A value such as ``csv=`` goes on: bash would add a space behind it.
_RETURN = "\n    return 0\n"
_NO_SPACE = "\n    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace"


@click.command(short_help="Print shell completion for bash, zsh or fish.", hidden=True)
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, files, controls, sections, runs and report formats.

    Write the script to a folder where the shell looks for completions, and start a new shell. `hardener` must
    be in the PATH of the shell.

    \b
    hardener completion bash >~/.local/share/bash-completion/completions/hardener
    hardener completion zsh >~/.zfunc/_hardener     # a folder in $fpath
    hardener completion fish >~/.config/fish/completions/hardener.fish
    """  # noqa: D301 - click reads the \b
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = ShellComplete.source(kind(context.find_root().command, {}, "hardener", "_HARDENER_COMPLETE"))
    click.echo(script.replace(_RETURN, _NO_SPACE + _RETURN) if shell == "bash" else script)
