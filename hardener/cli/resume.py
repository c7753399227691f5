"""``hardener resume``: continue an unfinished run."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from hardener.cli.common import Conversation, accept_loss_option, home_option, verbose_option
from hardener.errors import ExitCode, HardenerError
from hardener.text import line, utc


@click.command(short_help="Continue an unfinished run.")
@click.argument("run", default="", metavar="[RUN]")
@click.option(
    "--max-fail",
    default="",
    metavar="N|P%",
    help="Number of hosts that may fail, instead of the limit of the run.",
)
@accept_loss_option
@home_option
@verbose_option
@click.pass_context
def resume(
    context: click.Context, *, run: str, max_fail: str, accept_loss: tuple[str, ...], home: Path
) -> ExitCode:
    """Continue `harden`, `provision` or `drift --remediate` after too many failures, Ctrl-C or a crash.

    RUN is an id or its beginning, or `latest`; without RUN, the unfinished runs are listed. The state of each
    host is read first, and shown: untouched, confirmed or rolled back. Confirmed hosts are not changed again.
    All others are audited and changed with the command line of the run, in its folder: failures are counted
    from zero, and canaries come first.

    \b
    hardener resume
    hardener resume latest --max-fail 3
    hardener resume latest --accept-loss web
    """  # noqa: D301 - click reads the \b
    from hardener.history.home import Home
    from hardener.history.journal import unfinished_run, unfinished_runs

    conversation = context.find_object(Conversation) or Conversation()
    if not run:
        for each in unfinished_runs(Home(home)):
            started = utc(datetime.fromtimestamp(each.started, UTC))
            work = "  still running" if each.at_work else ""
            click.echo(
                f"{each.run}  {started}  {len(each.left)} of {len(each.hosts)} hosts left{work}"
                f"  {line(' '.join(each.arguments), 200)}"
            )
        return ExitCode.COMPLIANT
    found = unfinished_run(Home(home), run)
    if found.at_work:
        raise HardenerError(
            f"run {found.run} is still running, or its process is stopped",
            hint="wait for it, or end its process first",
        )
    try:
        os.chdir(found.folder)
    except OSError as error:
        raise HardenerError(
            f"run {found.run} was started in {line(found.folder)}: {error.strerror}"
        ) from error
    accepted = [f"--accept-loss={each}" for each in accept_loss]  # in later attempts too
    conversation.arguments, conversation.resumed = (*found.arguments, *accepted), found
    name, *options = conversation.arguments
    options += ["--home", str(home), *(["--max-fail", max_fail] if max_fail else [])]
    group = context.find_root()
    command = group.command.get_command(group, name) if isinstance(group.command, click.Group) else None
    if command is None:
        raise HardenerError(f"run {found.run} has an unknown command: {line(name)}")
    with command.make_context(name, options, parent=group) as inner:
        code: ExitCode = command.invoke(inner)
    return code
