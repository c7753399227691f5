"""``hardener workload audit``: show the privileges of each running container, the riskiest first."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hardener.cli.common import Conversation, screen_beside, verbose_option
from hardener.cli.fleet_options import FleetOptions, own_fleet_options
from hardener.errors import ExitCode
from hardener.files import require_writable


@click.command(short_help="Show the privileges of running containers; change nothing.")
@own_fleet_options
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="PATH", help="Write all results as JSON."
)
@click.option(
    "--profile",
    "folders",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="DIR",
    help="Compare the containers under this profile with their recorded identity; repeatable.",
)
@verbose_option
@click.pass_obj
def audit(
    conversation: Conversation, *, hosts: FleetOptions, json_file: Path | None, folders: tuple[Path, ...]
) -> ExitCode:
    """Show the privileges of every running container, and their distance from least privilege. Read only.

    These are capabilities, seccomp, no_new_privs (nnp), security module (lsm), user, namespaces of the host,
    writable paths, devices and limits, as the kernel reports them. The riskiest containers come first, each
    with its first three recommendations. docs/workloads.md describes how the risk is computed, and its
    limits.

    The exit code is 0, however large the risk, and 4 if a host or a property of a container could not be
    read.

    \b
    hardener workload audit
    hardener workload audit -i inventory.yml --json workloads.json
    hardener workload audit --profile hardened/web
    """  # noqa: D301 - click reads the \b
    from hardener.fleet.inventory import is_this_machine
    from hardener.fleet.local_engine import engine_socket
    from hardener.terminal.console import console
    from hardener.terminal.workload_audit import screen
    from hardener.workflows.audit_workloads import audit_workloads
    from hardener.workload.use import made

    if json_file:
        require_writable(json_file)
    profiles = tuple(made(folder) for folder in folders)
    socket = engine_socket(os.environ) if is_this_machine(hosts.inventory) else ""
    fleet = hosts.fleet(conversation)
    result = audit_workloads(
        fleet, profiles, conversation.listener(json_file), socket=socket, json_file=json_file
    )
    for part in screen(result.audits):
        console(screen_beside(json_file)).print(part)
    return result.exit_code
