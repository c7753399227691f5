"""Judge the privileges of the containers of a fleet: their distance from least privilege."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import ExitCode, HardenerError
from hardener.files import write_text
from hardener.fleet import Fleet, requests
from hardener.fleet.answers import Collected
from hardener.reports.lib.serial import indented
from hardener.snapshot import Snapshot
from hardener.workflows import exit_codes
from hardener.workflows.listener import Listener
from hardener.workfolder import temporary_folder
from hardener.workload.audit import HostAudit
from hardener.workload.audit import audit as judge
from hardener.workload.document import document
from hardener.workload.use import MadeProfile, use


@dataclass(frozen=True, slots=True)
class WorkloadsResult:
    """The result for each host, in inventory order."""

    audits: Sequence[HostAudit]
    exit_code: ExitCode


def audit_workloads(
    fleet: Fleet,
    profiles: tuple[MadeProfile, ...],
    listener: Listener,
    *,
    socket: str,
    json_file: Path | None,
) -> WorkloadsResult:
    """Audit the containers of every host.

    Args:
        fleet: the hosts.
        profiles: profiles with whose identities containers are compared.
        listener: receives the progress.
        socket: the engine's socket; empty if the host has to find it.
        json_file: the file for the results; None writes nothing.
    """
    found: dict[str, HostAudit] = {}
    with (
        temporary_folder() as folder,
        requests.collect(fleet, folder, socket=socket) as answers,
        listener.phase("workload audit") as phase,
    ):
        for collected in answers.each(phase):
            found[collected.host] = _judged(collected, profiles)
            collected.snapshot.unlink()
    audits = [
        found.get(host) or HostAudit(host=host, error=outcome.reason or "the host returned no facts")
        for host, outcome in answers.outcomes.items()
    ]
    if json_file:
        write_text(json_file, indented(document(audits)))
    return WorkloadsResult(audits, exit_codes.complete(all(each.complete for each in audits)))


def _judged(collected: Collected, profiles: tuple[MadeProfile, ...]) -> HostAudit:
    try:
        snapshot = Snapshot.load(collected.snapshot, name="the answer of the host")
        return judge(snapshot, host=collected.host, use=lambda container: use(container, profiles))
    except HardenerError as error:
        return HostAudit(host=collected.host, error=str(error))
