"""``hardener assess``: judge stored snapshots; no host, no Ansible."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import (
    DecisionFiles,
    ReportFiles,
    Selection,
    decision_options,
    exit_zero_option,
    report_options,
    selection_options,
)
from hardener.errors import ExitCode, HardenerError
from hardener.text import line

if TYPE_CHECKING:
    from hardener.model import Decisions
    from hardener.snapshot import Snapshot

STDIN = Path("-")
_NAMED = 5


@click.command(short_help="Judge stored snapshots, without any host.")
@click.argument("snapshots", nargs=-1, required=True, metavar="SNAPSHOT...", type=click.Path(path_type=Path))
@selection_options
@decision_options
@report_options
@exit_zero_option
def assess(
    *,
    snapshots: tuple[Path, ...],
    selection: Selection,
    decided: DecisionFiles,
    files: ReportFiles,
    exit_zero: bool,
) -> ExitCode:
    """Judge snapshots that were collected earlier, exactly as `hardener audit` judges them.

    SNAPSHOT is a file, a folder of *.json files, or - for standard input. A host that Ansible cannot reach
    makes its own, as roles/collect says.

    \b
    hardener assess snapshots/ --junit junit.xml
    sudo python3 host_snapshot.pyz | hardener assess -
    """  # noqa: D301 - click reads the \b
    from hardener.assess import assess as judge
    from hardener.cli.reporting import exit_code, report, run_info

    started = datetime.now(UTC)
    controls = selection.controls()
    decisions = decided.read(started.date())
    paths = [path for each in snapshots for path in _files(each)]
    files.keep(*paths, decided.waivers, decided.attestations)
    assessments = []
    without_groups = []
    for snapshot in map(_load, paths):
        assessments.append(judge(snapshot, controls, benchmark=selection.benchmark, decisions=decisions))
        if snapshot.groups is None:
            without_groups.append(snapshot.host)
    if decisions:
        _tell_undecided(decisions, without_groups)
    summary = report(assessments, files, run=run_info(selection, decisions, started=started))
    return ExitCode.COMPLIANT if exit_zero else exit_code(summary.counts)


def _tell_undecided(decisions: Decisions, hosts: Sequence[str]) -> None:
    """Say on standard error which decisions go by groups that the snapshots of some hosts do not name."""
    from hardener.decisions.apply import by_groups
    from hardener.text import first

    if hosts and (decided := by_groups(decisions)):
        names = line(", ".join(first(hosts, _NAMED)))
        click.echo(
            f"{', '.join(first(decided, _NAMED))}: by groups, which the snapshots of {names} do not name:"
            " not applied there (name hosts, or collect through Ansible)",
            err=True,
        )


def _files(path: Path) -> Sequence[Path]:
    """The snapshots of a folder in the order of their names; what is no folder is one.

    Raises:
        HardenerError: a folder holds none.
    """
    if path == STDIN or not path.is_dir():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise HardenerError(f"no snapshot in {path}", hint="snapshots are *.json files")
    return found


def _load(path: Path) -> Snapshot:
    """A snapshot.

    Raises:
        HardenerError: it cannot be read.
    """
    from hardener.snapshot import Snapshot

    if path == STDIN:
        return Snapshot.parse(sys.stdin.buffer.read(), name="standard input")
    return Snapshot.load(path)
