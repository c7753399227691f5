"""The front door: ``hardener VERB``, one file a verb.

Standard output is data, standard error is conversation, the exit code is a contract (``ExitCode``). Whatever
goes wrong is one line on standard error. Verbs import what they need when they run: ``--help`` is fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from hardener import __version__
from hardener.cli.activity import activity
from hardener.cli.assess import assess
from hardener.cli.audit import audit
from hardener.cli.baseline import baseline
from hardener.cli.common import Conversation, verbose_option
from hardener.cli.controls import controls
from hardener.cli.diff import diff
from hardener.cli.drift import drift
from hardener.cli.evidence import evidence
from hardener.cli.explain import explain
from hardener.cli.harden import harden
from hardener.cli.images import images
from hardener.cli.lab import lab
from hardener.cli.metrics import metrics
from hardener.cli.plan import plan
from hardener.cli.provision import provision
from hardener.cli.report import report
from hardener.cli.rollback import rollback
from hardener.cli.runs import runs
from hardener.cli.scan import scan
from hardener.cli.schedule import schedule
from hardener.cli.show import show
from hardener.cli.trend import trend
from hardener.cli.waivers import waivers
from hardener.errors import ExitCode, HardenerError
from hardener.text import line


class _Hardener(click.Group):
    """The verbs, and one way to end for all of them."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run a verb; however it ends becomes an exit code and at most one line."""
        _open_standard_streams()
        conversation = Conversation()
        try:
            code = super().main(args, standalone_mode=False, obj=conversation, **extra) or ExitCode.COMPLIANT
        except HardenerError as error:
            code = _say(line(str(error), 2000), error.exit_code)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
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


def _open_standard_streams() -> None:
    """Give what the caller closed (``>&-``) to /dev/null: a file opened later would get its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _usage(error: click.ClickException) -> str:
    message = line(error.format_message()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # a full disk is no defect
        return line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    what = line(f"{type(error).__name__}: {error}")
    return f"internal error: {what} (`hardener -v …` shows where; please report it)"


def _say(message: str, code: ExitCode) -> ExitCode:
    click.echo(f"hardener: error: {message}", err=True)
    return code


@click.group(cls=_Hardener, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hardener %(version)s")
@verbose_option
def main() -> None:
    """Harden Docker hosts, prove it with the CIS Docker Benchmark, keep it so.

    \b
    Exit codes:
      0    compliant: no control fails
      1    internal error
      2    wrong use: an option, a file, an inventory
      3    not compliant: a control fails, or evidence is refused
      4    incomplete: nothing fails, but a host or a control could not be evaluated
      5    rolled back: a change broke a host and was undone
      6    drifted: something is worse than it was (`hardener drift`)
      7    repaired: something had drifted, and is as it was again
      130  interrupted
    """  # noqa: D301 - click reads the \b


for _verb in (
    audit,
    plan,
    harden,
    provision,
    drift,
    rollback,
    activity,
    images,
    scan,
    runs,
    show,
    diff,
    trend,
    report,
    evidence,
    baseline,
    schedule,
    metrics,
    assess,
    waivers,
    explain,
    controls,
    lab,
):
    main.add_command(_verb)
