"""``hardener report``: reports, pages and metrics of the history. One file for each command."""

from __future__ import annotations

import click

from hardener.cli.command_groups import LazyCommandGroup

# Each is a function of the same name in the module of the same name.
COMMANDS = ("metrics", "site", "write")


@click.group(
    cls=LazyCommandGroup,
    package=__name__,
    names=COMMANDS,
    short_help="Write reports, pages and metrics of the history.",
)
def report() -> None:
    """Write what the history knows, without connecting to hosts: a report of a run, pages, metrics."""
