"""``hardener activity``: what containers were denied, and what the engine tells of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener.cli.common import Conversation, FleetOptions, fleet_options, require_writable, verbose_option
from hardener.errors import ExitCode, HardenerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.activity import Heard

_UNITS = {"s": 1, "m": 60, "h": 3600}
_LONGEST = 24 * 3600


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([smh])", value)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= _LONGEST:
        raise click.BadParameter(f"{value!r} is no time from 1s to 24h, such as 30s, 10m, 2h")
    return seconds


@click.command(short_help="Listen to what containers are denied.")
@fleet_options
@click.option(
    "--for",
    "seconds",
    default="1m",
    show_default=True,
    callback=_seconds,
    metavar="TIME",
    help="How long each host listens: 30s, 10m, 2h.",
)
@click.option("--json", type=click.Path(path_type=Path), metavar="FILE", help="Write all of it as JSON.")
@verbose_option
@click.pass_obj
def activity(conversation: Conversation, *, hosts: FleetOptions, seconds: int, json: Path | None) -> ExitCode:
    """Listen to denials by AppArmor, SELinux and seccomp, and to the engine, by container.

    Nothing is written on the hosts. Where the role activity has installed its collector, what it has seen in
    seven days comes first, and tells what is usual for an image from what is not. docs/activity.md says what
    can be seen, and what leaves no trace.

    The exit code is 3 where something is unusual for its image (grave, where no baseline says what is usual),
    and 4 where a host could not be heard, has lost something, or has a collector that writes nothing.

    \b
    hardener activity -i inventory.yml --for 10m --json activity.json
    """  # noqa: D301 - click reads the \b
    from hardener.activity import read
    from hardener.fleet import State, TaskResult
    from hardener.terminal.activity import screen
    from hardener.terminal.console import console
    from hardener.terminal.progress import Progress, echo
    from hardener.text import line

    if json:
        require_writable(json)
    fleet = hosts.fleet(echo if conversation.verbose else None)
    variables: dict[str, object] = {"activity_seconds": seconds}
    heard: list[Heard] = []
    with (
        fleet.run("activity", variables=variables) as running,
        Progress("activity", last="activity", plain=conversation.verbose) as progress,
    ):
        for event in running:
            progress.show(event)
            if not isinstance(event, TaskResult) or event.action != "activity" or event.state is not State.OK:
                continue
            try:
                heard.append(read(event.host, event.data))
            except HardenerError as error:
                progress.note(line(str(error)), colour="red")
                continue
            progress.clear()
            for part in screen(heard[-1]):
                console(sys.stdout).print(part)
    if json:
        _write(json, heard)
    return _exit_code(heard, every=len(running.outcomes))


def _exit_code(heard: Sequence[Heard], *, every: int) -> ExitCode:
    if any(past.alarming for each in heard for past in each.pasts):
        return ExitCode.NOT_COMPLIANT
    if len(heard) < every or not every or not all(each.complete for each in heard):
        return ExitCode.INCOMPLETE
    return ExitCode.COMPLIANT


def _write(path: Path, heard: Sequence[Heard]) -> None:
    import dataclasses
    from json import dumps

    from hardener.files import write_text

    data = {"hosts": [dataclasses.asdict(each) for each in heard]}
    write_text(path, dumps(data, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> str:
    from hardener.text import utc

    return utc(value)
