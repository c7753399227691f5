"""``hardener workload``: least privilege for containers. One file for each verb."""

from __future__ import annotations

import click

from hardener.cli.verbs import LazyVerbs

# Each verb is a command of the same name in the module of the same name.
VERBS = ("audit", "profile", "proofs", "prove", "record")


@click.group(cls=LazyVerbs, package=__name__, names=VERBS, short_help="Give containers least privilege.")
def workload() -> None:
    """Give each container the least privilege that its work needs.

    Without -i the containers are those of this machine. docs/workloads.md is the guide.
    """
