"""``hardener rollback``: hosts as they were before a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from ansible_collections.hardener.docker.plugins.module_utils.contract import WOULD_CHANGE

from hardener.cli.common import Conversation, FleetOptions, fleet_options, home_option, verbose_option
from hardener.errors import ExitCode
from hardener.text import line

_PATHS_SHOWN = 5


@click.command(short_help="Take back what was changed, run by run.")
@fleet_options
@click.option(
    "--run", metavar="ID", default="", help="Back to before this run; without it, before the last one."
)
@click.option("--list", "listing", is_flag=True, help="Change nothing; say which runs there were.")
@click.option("--check", is_flag=True, help="Change nothing; say what would change.")
@click.option("--diff", is_flag=True, help="Show every change as a unified diff.")
@home_option
@verbose_option
@click.pass_obj
def rollback(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    run: str,
    listing: bool,
    check: bool,
    diff: bool,
    home: Path,
) -> ExitCode:
    """Take back the last run of every host, or a run and all that came after it.

    Files are what they were, and so is the running host: the engine, the packet filter, the audit rules. What
    somebody else has changed meanwhile stays as it is, and a line says so. A host keeps its last ten runs.

    The exit code is 0 where every host is back, and 4 where one is not, or not in all.

    \b
    hardener rollback -i inventory.yml --list
    hardener rollback -i inventory.yml --limit db01 --run 20261125T040000Z-1b2c3d4e
    """  # noqa: D301 - click reads the \b
    from hardener.cli.turn import turn
    from hardener.fleet import State, TaskResult
    from hardener.terminal.progress import Progress, echo
    from hardener.terminal.unified_diff import render

    if run and listing:
        raise click.UsageError("--run and --list do not go together")
    fleet = hosts.fleet(echo if conversation.verbose else None)
    variables: dict[str, object] = {"rollback_run": run, "rollback_list": listing}
    with (
        turn(home, hosts, changing=not (listing or check)),
        fleet.run("rollback", variables=variables, check=check, diff=diff) as running,
        Progress("list" if listing else "rollback", last="rollback", plain=conversation.verbose) as progress,
    ):
        for event in running:
            progress.show(event)
            if not isinstance(event, TaskResult) or event.action != "rollback":
                continue
            progress.clear()
            if listing and event.state is State.OK:
                for text in _listed(event.host, event.data.get("runs") or ()):
                    click.echo(text)
                continue
            if not event.reason:
                would = "would go " if event.data.get("outcome") == WOULD_CHANGE else ""
                progress.note(f"{line(event.host)}: {would}{line(str(event.data.get('msg')))}")
            for note in event.data.get("notes") or ():
                progress.note(f"{line(event.host)}: {line(str(note))}", colour="yellow")
            if diff:
                progress.clear()
                for text in render(event.host, event.data.get("diff")):
                    click.echo(text)
    well = all(outcome.ended_well for outcome in running.outcomes.values())
    return ExitCode.COMPLIANT if well else ExitCode.INCOMPLETE


def _listed(host: str, runs: Any) -> Iterator[str]:
    """The runs of a host, the newest first, a line each and one more for why it ended so."""
    if not runs:
        yield f"{line(host)}: no runs"
    for each in runs:
        name, outcome = line(str(each["run"])), line(str(each["outcome"]))
        yield f"{line(host)}  {name}  {_when(each)}  {outcome}{_who(each)}"
        if each.get("reason"):
            yield f"    {line(str(each['reason']))}"
        paths = [line(str(path)) for path in each.get("paths") or ()]
        more = f", and {len(paths) - _PATHS_SHOWN} more" if len(paths) > _PATHS_SHOWN else ""
        if paths:
            yield f"    {', '.join(paths[:_PATHS_SHOWN])}{more}"


def _when(run: Mapping[str, Any]) -> str:
    when = run.get("started") or run.get("ended")
    if not isinstance(when, (int, float)):
        return "-"
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _who(run: Mapping[str, Any]) -> str:
    return f"  by {line(str(run['who']))}" if run.get("who") else ""
