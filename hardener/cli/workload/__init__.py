"""``hardener workload``: least privilege for containers. One file for each command."""

from __future__ import annotations

import click

from hardener.cli.command_groups import LazyCommandGroup

# Each is a function of the same name in the module of the same name.
COMMANDS = ("audit", "check", "profile", "proofs", "prove", "record")


@click.group(
    cls=LazyCommandGroup, package=__name__, names=COMMANDS, short_help="Give containers least privilege."
)
def workload() -> None:
    """Give each container the least privilege that its work needs.

    Without -i the containers are those of this machine. docs/workloads.md is the guide.
    """
