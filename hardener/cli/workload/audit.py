"""``hardener workload audit``: what each running container may do, the riskiest first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import (
    Conversation,
    FleetOptions,
    own_fleet_options,
    require_writable,
    verbose_option,
)
from hardener.errors import ExitCode, HardenerError

if TYPE_CHECKING:
    from hardener.fleet import Run
    from hardener.terminal.progress import Progress
    from hardener.workload.audit import HostAudit
    from hardener.workload.use import MadeProfile


@click.command(short_help="Show what running containers may do; changes nothing.")
@own_fleet_options
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="PATH", help="Write all as JSON."
)
@click.option(
    "--profile",
    "folders",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="DIR",
    help="Say of the containers under this profile what is not as it was recorded. May be repeated.",
)
@verbose_option
@click.pass_obj
def audit(
    conversation: Conversation, *, hosts: FleetOptions, json_file: Path | None, folders: tuple[Path, ...]
) -> ExitCode:
    """Show what every running container has, and how far that is from least privilege. Read only.

    Capabilities, seccomp, no_new_privs (nnp), security module (lsm), user, namespaces of the host, where it
    can write, devices, limits: as the kernel has them. The riskiest come first, each with the first three
    things to do. docs/workloads.md says how the risk is computed, and what it cannot see.

    The exit code is 0, however large the risk, and 4 where a host or something about a container could not be
    read.

    \b
    hardener workload audit
    hardener workload audit -i inventory.yml --json workloads.json
    hardener workload audit --profile hardened/web
    """  # noqa: D301 - click reads the \b
    from hardener.files import write_text
    from hardener.fleet.inventory import is_this_machine
    from hardener.fleet.local_engine import engine_socket
    from hardener.reports.lib.serial import indented
    from hardener.terminal.console import console
    from hardener.terminal.progress import Progress, echo
    from hardener.terminal.workload_audit import screen
    from hardener.workfolder import temporary_folder
    from hardener.workload.document import document
    from hardener.workload.use import made

    if json_file:
        require_writable(json_file)
    profiles = tuple(made(folder) for folder in folders)
    socket = engine_socket(os.environ) if is_this_machine(hosts.inventory) else ""
    fleet = hosts.fleet(echo if conversation.verbose else None)
    with temporary_folder() as folder:
        variables: dict[str, object] = {"collect_dest": str(folder)}
        if socket:
            variables["collect_socket"] = socket
        with (
            fleet.run("audit", variables=variables) as running,
            Progress("workload audit", last="collect", plain=conversation.verbose) as progress,
        ):
            audits = _audited(running, progress, profiles)
    if json_file:
        write_text(json_file, indented(document(audits)))
    for part in screen(audits):
        console(sys.stdout).print(part)
    return ExitCode.COMPLIANT if all(each.complete for each in audits) else ExitCode.INCOMPLETE


def _audited(running: Run, progress: Progress, profiles: tuple[MadeProfile, ...]) -> list[HostAudit]:
    """The audit of every host, in the order of the inventory."""
    from hardener.fleet import TaskResult
    from hardener.snapshot import Snapshot
    from hardener.workload.audit import HostAudit
    from hardener.workload.audit import audit as judge
    from hardener.workload.use import use

    found: dict[str, HostAudit] = {}
    for event in running:
        progress.show(event)
        if isinstance(event, TaskResult) and event.action == "collect" and "snapshot" in event.data:
            path = Path(event.data["snapshot"])
            try:
                found[event.host] = judge(
                    Snapshot.load(path), host=event.host, use=lambda container: use(container, profiles)
                )
            except HardenerError as error:
                found[event.host] = HostAudit(host=event.host, error=str(error))
            path.unlink()
    return [
        found.get(host) or HostAudit(host=host, error=outcome.reason or "it gave no facts")
        for host, outcome in running.outcomes.items()
    ]
