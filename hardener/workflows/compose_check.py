"""Judge the services of a compose project by the controls for containers, before anything is deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hardener.assess import assess
from hardener.bounded import read
from hardener.errors import HardenerError
from hardener.model import Control, Finding, Severity, Status, Verdict
from hardener.text import line
from hardener.workflows import exit_codes
from hardener.workflows.assess import AssessResult
from hardener.workflows.options import DecisionFiles, ReportFiles, Selection
from hardener.workflows.report import report, run_info
from hardener.workload import declared
from hardener.workload.compose_nodes import child, composed, entries
from hardener.workload.project import configuration

SECTION = "runtime"
_BASIS = " (not running: judged by its configuration)"
_MOST = 4 << 20  # bytes of a compose file or a seccomp profile
# What the host or the image decides, or what happens later.
_UNDECLARED = frozenset(
    (
        *("swarm-mode-off", "container-selinux", "container-no-sshd", "container-health-running"),
        *("container-no-host-userns", "exec-not-privileged", "exec-not-root-user", "image-latest-pulled"),
    )
)


def check_project(
    paths: Sequence[Path],
    selection: Selection,
    decided: DecisionFiles,
    files: ReportFiles,
    *,
    warn: Callable[[str], None],
    fail_on: Severity | None = None,
) -> AssessResult:
    """Judge what docker compose would create, and write the reports.

    Args:
        paths: the compose files, in the order in which docker compose takes them.
        selection: which controls count; all for containers if it names none.
        decided: the waivers and attestations.
        files: which reports are written.
        warn: shows a warning about a report.
        fail_on: the lowest severity of a result that decides the exit code; None for all.

    Raises:
        HardenerError: an option is invalid, or a file cannot be read.
    """
    started = datetime.now(UTC)
    controls = _controls(selection)
    decisions = decided.read(started.date(), inventory=str(paths[0]))
    files.keep(*paths, *decided.named)
    project = configuration(paths)
    folder = paths[0].parent
    snapshot = declared.snapshot(project, lambda name: _text(folder / name), host=paths[0].name)
    judged = assess(snapshot, controls, benchmark=selection.benchmark, decisions=decisions)
    assessment = replace(judged, findings=tuple(map(_as_declared, judged.findings)), workloads=None)
    run = run_info(selection, decisions, started=started, inventory=str(paths[0]))
    run = replace(run, places=_places(paths, project))
    summary = report([assessment], files, run=run, warn=warn)
    return AssessResult(summary, decisions, exit_codes.of_audit(summary.counts, [assessment], fail_on))


def _controls(selection: Selection) -> tuple[Control, ...]:
    """Return the selected controls for containers.

    Raises:
        HardenerError: a selector selects another control.
    """
    controls = replace(selection, only=selection.only or (SECTION,)).controls()
    if other := next((each for each in controls if each.section != SECTION), None):
        raise HardenerError(
            f"{other.id_in(selection.benchmark)} is decided by a host, not by a compose file",
            hint="`hardener audit` judges hosts",
        )
    return controls


def _as_declared(finding: Finding) -> Finding:
    """Return a finding without remarks on hosts; a person decides what the files do not."""
    verdict, slug = finding.verdict, finding.control.slug
    if verdict.status is Status.ERROR or (slug in _UNDECLARED and verdict.status is not Status.FAIL):
        question = Verdict(
            Status.MANUAL, verdict.expected, "a compose file does not decide it: audit the host"
        )
        return Finding(finding.control, question)
    offenders = tuple(replace(each, detail=each.detail.replace(_BASIS, "")) for each in verdict.offenders)
    evidence = tuple(each.replace(_BASIS, "") for each in verdict.evidence)
    actual = verdict.actual.replace(_BASIS, "")
    return replace(finding, verdict=replace(verdict, actual=actual, offenders=offenders, evidence=evidence))


def _places(paths: Sequence[Path], project: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return line and column of the services in the first file, by the names of their containers."""
    services = child(composed(_text(paths[0]), name=str(paths[0])), "services")
    return {
        declared.container_name(project, key.value): (key.start_mark.line + 1, key.start_mark.column + 1)
        for key, _ in entries(services)
        if isinstance(key, yaml.ScalarNode) and key.value in project["services"]
    }


def _text(path: Path) -> str:
    try:
        return read(path, most=_MOST).decode()
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error.strerror}") from error
    except ValueError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error}") from error
