"""The command line ``hardener COMMAND``, with one file for each command.

Results go to standard output, progress and messages to standard error; the exit code is one of ``ExitCode``.
An error is one line on standard error. The module of a command is imported when it is called, and its
heavy imports happen when it runs, so ``--help`` is fast.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from hardener import __version__
from hardener.cli.command_groups import LazyCommandGroup, NoCommandError
from hardener.cli.common import Conversation, verbose_option
from hardener.cli.streams import OutputClosedError, prepare_standard_streams
from hardener.errors import ExitCode, HardenerError
from hardener.text import line

# Each is a function of the same name in the module of the same name.
COMMANDS = (
    "activity",
    "assess",
    "audit",
    "completion",
    "controls",
    "diff",
    "drift",
    "evidence",
    "harden",
    "lab",
    "plan",
    "provision",
    "release",
    "report",
    "resume",
    "rollback",
    "runs",
    "scan",
    "schedule",
    "show",
    "waivers",
    "workload",
)
_RENAMED = {
    "explain": "controls",
    "images": "scan verify",
    "metrics": "report metrics",
    "site": "report site",
    "trend": "runs trend",
}

# click does not wrap what follows the \b.
_HELP = "\n".join(
    [
        "Harden Docker hosts, prove it with the CIS Docker Benchmark, keep it so.\n\n\b",
        "Exit codes (the last of these that applies):",
        *(f"  {code.value:<4} {code.meaning}" for code in ExitCode),
    ]
)


class _Hardener(LazyCommandGroup):
    """The group of all commands; it turns every result and error into an exit code."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the new one for a command of 0.2."""
        if new := _RENAMED.get(args[0]):
            raise click.UsageError(f"`hardener {args[0]}` is now `hardener {new}`", ctx)
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run a command; turn its result or its error into an exit code and at most one line."""
        prepare_standard_streams()
        conversation = Conversation(arguments=_without_verbose(sys.argv[1:] if args is None else args))
        try:
            code = super().main(args, standalone_mode=False, obj=conversation, **extra) or ExitCode.COMPLIANT
            sys.stdout.flush()
        except OutputClosedError:
            code = ExitCode.OUTPUT_CLOSED
        except HardenerError as error:
            code = _say(line(str(error), 2000), error.exit_code)
        except NoCommandError as error:
            click.echo(error.ctx.get_help() if error.ctx else error.message, err=True)
            code = ExitCode.USAGE
        except click.ClickException as error:
            code = _say(_usage(error), ExitCode.USAGE)
        except (click.Abort, KeyboardInterrupt):
            code = _say("interrupted", ExitCode.INTERRUPTED)
        except Exception as error:
            if conversation.verbose:
                raise
            code = _say(_unexpected(error), ExitCode.INTERNAL)
        if standalone_mode:
            sys.exit(code)
        return code


def _without_verbose(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the command line from the name of the command on, without a preceding ``-v``."""
    rest = list(arguments)
    while rest and rest[0] in ("-v", "--verbose"):
        del rest[0]
    return tuple(rest)


def _usage(error: click.ClickException) -> str:
    message = line(error.format_message()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # A full disk is not a defect of hardener.
        return line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    what = line(f"{type(error).__name__}: {error}")
    return f"internal error: {what} (`hardener -v …` shows where; please report it)"


def _say(message: str, code: ExitCode) -> ExitCode:
    click.echo(f"hardener: error: {message}", err=True)
    return code


@click.group(
    cls=_Hardener,
    package=__name__,
    names=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_HELP,
)
@click.version_option(__version__, message="hardener %(version)s")
@verbose_option
def main() -> None:
    """Run one of the commands."""
