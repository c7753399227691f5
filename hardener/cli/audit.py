"""``hardener audit``: read what is true on the hosts, judge it, report it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from hardener.cli.common import (
    Conversation,
    DecisionFiles,
    FleetOptions,
    ReportFiles,
    Selection,
    decision_options,
    exit_zero_option,
    fleet_options,
    home_option,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.errors import ExitCode


@click.command(short_help="Audit hosts; changes nothing.")
@fleet_options
@selection_options
@decision_options
@report_options
@click.option(
    "--snapshots",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the collected facts in this folder, a file a host.",
)
@home_option
@exit_zero_option
@verbose_option
@click.pass_obj
def audit(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    decided: DecisionFiles,
    files: ReportFiles,
    snapshots: Path | None,
    home: Path,
    exit_zero: bool,
) -> ExitCode:
    """Audit hosts against the CIS Docker Benchmark. Read only.

    Facts are collected by one Ansible task a host, as root: directly where root logs in, with sudo otherwise
    (or as ansible_become says). A host that cannot be reached is part of every report.

    \b
    hardener audit -i localhost,
    hardener audit -i inventory.yml --limit web --junit junit.xml --json report.json
    """  # noqa: D301 - click reads the \b
    from hardener.cli.auditing import audited
    from hardener.cli.recording import Recorder
    from hardener.cli.turn import turn
    from hardener.fleet import ansible_version
    from hardener.terminal.progress import echo

    started = datetime.now(UTC)
    files.keep(hosts.inventory, decided.waivers, decided.attestations)
    decisions = decided.read(started.date(), inventory=hosts.inventory)
    fleet = hosts.fleet(echo if conversation.verbose else None)
    plain = conversation.verbose
    with (
        turn(home, hosts, changing=False),
        Recorder(home, hosts, selection) as recorder,
        audited(
            fleet, selection, decisions, snapshots=snapshots, files=files, recorder=recorder, plain=plain
        ) as assessments,
    ):
        from hardener.cli.reporting import exit_code, report, run_info  # loaded while Ansible started

        run = run_info(selection, decisions, started=started, ansible_version=ansible_version())
        previous = recorder.previous(run) if files.look_back else None
        summary = report(assessments, files, run=run, previous=previous)
        code = exit_code(summary.counts)
        recorder.finish("audit", run, assessments, code)
    return ExitCode.COMPLIANT if exit_zero else code
