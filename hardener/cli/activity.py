"""``hardener activity``: show denials of containers and events of the engine."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import Conversation, seconds_callback, verbose_option
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode
from hardener.files import require_writable


@click.command(short_help="Show which accesses containers are denied.")
@fleet_options
@click.option(
    "--for",
    "seconds",
    default="1m",
    show_default=True,
    callback=seconds_callback(most="24h", examples="30s, 10m, 2h"),
    metavar="TIME",
    help="How long each host is observed: 30s, 10m, 2h.",
)
@click.option(
    "--json", type=click.Path(path_type=Path), metavar="PATH", help="Write all observations as JSON."
)
@verbose_option
@click.pass_obj
def activity(conversation: Conversation, *, hosts: FleetOptions, seconds: int, json: Path | None) -> ExitCode:
    """Show denials by AppArmor, SELinux and seccomp, and events of the engine, by container.

    Nothing is written on the hosts. If the role `activity` has installed its collector, its observations of
    the last seven days are shown first; they are the baseline of what is usual for an image. docs/activity.md
    lists what can be observed, and what leaves no trace.

    The exit code is 3 if an observation is unusual for its image (or of high severity, if there is no
    baseline), and 4 if a host could not be observed, lost observations, or has a collector that writes
    nothing.

    \b
    hardener activity -i inventory.yml --for 10m --json activity.json
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.activity import listen

    if json:
        require_writable(json)
    return listen(hosts.fleet(conversation), seconds, conversation.listener(json), json_file=json)
