"""``hardener provision``: Docker where there is none, configured before it first starts; then harden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import (
    Changes,
    Conversation,
    DecisionFiles,
    FleetOptions,
    ReportFiles,
    Selection,
    change_options,
    decision_options,
    fleet_options,
    home_option,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.errors import ExitCode
from hardener.text import line

if TYPE_CHECKING:
    from hardener.fleet import Fleet
    from hardener.model import Assessment

# What an assessment says of Docker on a host where it is not installed, or has yet to start.
_WITHOUT = ("none", "not answering")


@click.command(short_help="Make bare hosts hardened Docker hosts.")
@fleet_options
@selection_options
@decision_options
@change_options
@report_options
@home_option
@verbose_option
@click.pass_obj
def provision(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    decided: DecisionFiles,
    changes: Changes,
    files: ReportFiles,
    home: Path,
) -> ExitCode:
    """Install Docker on the hosts that have none, then do what `hardener harden` does.

    Docker does not run before its configuration is in place: its units are held while it is installed, and
    it is started by the transaction that brings the configuration. A run that is interrupted leaves it held,
    through a reboot too; the next one goes on. A host that has Docker is hardened, and no more.

    The reports compare what is true at the end with what was true before Docker was there.

    \b
    hardener provision -i inventory.yml --allow connectivity --junit junit.xml
    """  # noqa: D301 - click reads the \b
    from hardener.cli.auditing import audited
    from hardener.cli.changing import change, record_before
    from hardener.cli.hardening import announce, tell_withheld
    from hardener.cli.recording import Recorder
    from hardener.cli.reporting import run_info
    from hardener.cli.turn import turn
    from hardener.fleet import ansible_version
    from hardener.plan import plan
    from hardener.terminal.progress import echo

    started = datetime.now(UTC)
    files.keep(hosts.inventory, decided.waivers, decided.attestations)
    plain = conversation.verbose
    decisions = decided.read(started.date(), inventory=hosts.inventory)
    fleet = hosts.fleet(echo if plain else None)
    with turn(home, hosts, changing=not changes.check), Recorder(home, hosts, selection) as recorder:
        kept = changes.kept("before")
        with audited(fleet, selection, decisions, snapshots=kept, recorder=recorder, plain=plain) as before:
            without = [each.host for each in before if each.facts.get("docker") in _WITHOUT]
        installing = bool(without) and not changes.check
        earlier = run_info(selection, decisions, started=started, ansible_version=ansible_version())
        if installing:
            record_before(recorder, "provision", earlier, before)
        installed = _install(fleet, without, changes, plain=plain) if without else ExitCode.COMPLIANT
        now: Iterable[Assessment] | None = None
        if installing:
            with audited(fleet, selection, decisions, snapshots=None, recorder=recorder, plain=plain) as now:
                pass
        made = list(map(plan, before if now is None else now))
        tell_withheld(made)
        plans = [each for each in made if each.steps]
        announce(plans)
        return change(
            fleet,
            plans,
            selection,
            changes,
            files,
            recorder=recorder,
            verb="provision",
            before=before,
            now=now,
            started=started,
            decisions=decisions,
            earlier=earlier if installing else None,
            so_far=installed,
            plain=plain,
        )


def _install(fleet: Fleet, hosts: Sequence[str], changes: Changes, *, plain: bool) -> ExitCode:
    """Have an engine on these hosts; the answer is worse than compliant where one has none for all that."""
    from hardener.cli.hardening import rolled_back, tell
    from hardener.fleet import Hosts, State, TaskResult
    from hardener.terminal.progress import Progress
    from hardener.terminal.unified_diff import render

    code = ExitCode.COMPLIANT
    click.echo(f"install: {', '.join(map(line, hosts))}", err=True)
    variables = {**changes.bounds, "provision_hosts": list(hosts), "harden_plan": {}}
    with (
        fleet.run("provision", variables=variables, check=changes.check, diff=changes.diff) as run,
        Progress("check" if changes.check else "install", last="set_fact", plain=plain) as progress,
    ):
        for event in run:
            progress.show(Hosts(tuple(hosts)) if isinstance(event, Hosts) else event)
            if not isinstance(event, TaskResult):
                continue
            if event.action == "converge" and event.state is State.CHANGED:
                tell(event, progress)
            if event.action == "converge" and rolled_back(event):
                code = ExitCode.ROLLED_BACK
            if changes.diff:
                progress.clear()
                for text in render(event.host, event.data.get("diff")):
                    click.echo(text)
    if code is ExitCode.COMPLIANT and not all(run.outcomes[host].ended_well for host in hosts):
        return ExitCode.INCOMPLETE
    return code
