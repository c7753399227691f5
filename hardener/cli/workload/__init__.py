"""``hardener workload``: what each container may do, and how little of it it needs. One file a verb."""

from __future__ import annotations

import click

from hardener.cli.verbs import LazyVerbs

# Every verb is the command of that name in the module of that name.
VERBS = ("audit", "profile", "proofs", "prove", "record")


@click.group(cls=LazyVerbs, package=__name__, names=VERBS, short_help="Give containers least privilege.")
def workload() -> None:
    """Give each container the least privilege that its work needs.

    Without -i the containers are those of this machine. docs/workloads.md is the guide.
    """
