"""``hardener resume``: go on with a run that broke off."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from hardener.cli.common import Conversation, home_option, verbose_option
from hardener.errors import ExitCode, HardenerError
from hardener.text import line


@click.command(short_help="Go on with a run that broke off.")
@click.argument("run", default="", metavar="[RUN]")
@click.option(
    "--max-fail", default="", metavar="N|P%", help="Another limit of failures than that of the run."
)
@home_option
@verbose_option
@click.pass_context
def resume(context: click.Context, *, run: str, max_fail: str, home: Path) -> ExitCode:
    """Go on with `harden`, `provision` or `drift --remediate` where a limit, Ctrl-C or a crash ended it.

    RUN is its name or the beginning of that, or `latest`; without it, the runs of which something is left
    are listed. The hosts are looked at first: each is untouched, confirmed or rolled back, and a line says
    which. Confirmed hosts are not changed again. All others are audited and changed as the run was to do, by
    the same command line in the same folder: failures are counted anew, canaries come first.

    \b
    hardener resume
    hardener resume latest --max-fail 3
    """  # noqa: D301 - click reads the \b
    from hardener.history.home import Home
    from hardener.history.journal import unfinished_run, unfinished_runs

    conversation = context.find_object(Conversation) or Conversation()
    if not run:
        for each in unfinished_runs(Home(home)):
            started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.started))
            work = "  at work" if each.at_work else ""
            click.echo(
                f"{each.run}  {started}  {len(each.left)} of {len(each.hosts)} hosts left{work}"
                f"  {line(' '.join(each.arguments), 200)}"
            )
        return ExitCode.COMPLIANT
    found = unfinished_run(Home(home), run)
    if found.at_work:
        raise HardenerError(
            f"run {found.run} is still at work, or stopped", hint="wait for it, or end its process first"
        )
    try:
        os.chdir(found.folder)
    except OSError as error:
        raise HardenerError(
            f"run {found.run} was called in {line(found.folder)}: {error.strerror}"
        ) from error
    conversation.arguments, conversation.resumed = found.arguments, found
    verb, *options = (each for each in found.arguments)
    options += ["--home", str(home), *(["--max-fail", max_fail] if max_fail else [])]
    group = context.find_root()
    command = group.command.get_command(group, verb) if isinstance(group.command, click.Group) else None
    if command is None:
        raise HardenerError(f"run {found.run} is of no known verb: {line(verb)}")
    with command.make_context(verb, options, parent=group) as inner:
        code: ExitCode = command.invoke(inner)
    return code
