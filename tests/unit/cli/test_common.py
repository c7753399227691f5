"""Which results decide the exit code, and what a quiet run shows."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from hardener.comparison import Drift
from hardener.errors import ExitCode
from hardener.model import Severity, Status
from hardener.workflows import exit_codes
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host
from tests.unit.reports.assessments import CONTROLS, assessment, gone, statuses

ONLY = ("--only", "3.18")  # file-daemon-json-mode, of medium or higher severity


@pytest.mark.parametrize(("one", "other"), list(product(Severity, Severity)))
def test_severities_are_compared_in_their_order_of_definition(one: Severity, other: Severity) -> None:
    assert one.is_at_least(other) is (list(Severity).index(one) <= list(Severity).index(other))


@pytest.mark.parametrize("fail_on", [None, *Severity])
@pytest.mark.parametrize("place", range(len(CONTROLS)))
@pytest.mark.parametrize(
    ("status", "code"), [(Status.FAIL, ExitCode.NOT_COMPLIANT), (Status.ERROR, ExitCode.INCOMPLETE)]
)
def test_only_results_at_or_above_the_severity_of_fail_on_change_the_exit_code(
    fail_on: Severity | None, place: int, status: Status, code: ExitCode
) -> None:
    found = [Status.PASS] * len(CONTROLS)
    found[place] = status
    one = assessment("a", statuses(*found))
    counts = fail_on is None or CONTROLS[place].severity.is_at_least(fail_on)
    wanted = code if counts else ExitCode.COMPLIANT
    assert exit_codes.of_audit(one.counts(), [one], fail_on) is wanted

    drift = Drift()
    drift.add(assessment("a", statuses(*[Status.PASS] * len(CONTROLS))), one)
    moved = ExitCode.DRIFTED if status is Status.FAIL else ExitCode.INCOMPLETE
    assert exit_codes.of_drift(drift, fail_on) is (moved if counts else ExitCode.COMPLIANT)


def test_an_unaudited_host_makes_the_run_incomplete_at_any_severity() -> None:
    one = gone("a")
    low = [each for each in one.findings if each.severity is Severity.LOW]
    assert low
    part = type(one)("a", one.benchmark, "", tuple(low), unreachable="timed out")
    assert exit_codes.of_audit(part.counts(), [part], Severity.CRITICAL) is ExitCode.INCOMPLETE
    drift = Drift()
    drift.add(one, one)
    assert exit_codes.of_drift(drift, Severity.CRITICAL) is ExitCode.INCOMPLETE


def test_fail_on_sets_the_lowest_severity_that_changes_the_exit_code_of_each_command(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    snapshot = tmp_path / "a.json"
    snapshot.write_text(json.dumps(host("0666").raw))
    assert audited(hardener, fleet, {"a": host("0644")}, *ONLY).exit_code == 0
    for command in (
        ("audit", "-i", "inv,", *ONLY),
        ("harden", "-i", "inv,", *ONLY, "--check"),
        ("plan", "-i", "inv,", *ONLY),
        ("assess", str(snapshot), *ONLY),
    ):
        fleet.snapshots = {"a": host("0666")}
        assert hardener(*command).exit_code == 3, command
        assert hardener(*command, "--fail-on", "low").exit_code == 3, command
        assert hardener(*command, "--fail-on", "critical").exit_code == 0, command


def test_drift_below_the_severity_of_fail_on_is_shown_with_exit_code_0(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host("0644")})
    fleet.snapshots = {"a": host("0666")}
    assert hardener("drift", "-i", "inv,").exit_code == 6
    result = hardener("drift", "-i", "inv,", "--fail-on", "critical")
    assert result.exit_code == 0
    assert "1 broken" in result.stdout


@pytest.mark.parametrize("verb", ["audit", "drift", "harden"])
def test_a_quiet_run_prints_no_output_and_has_the_same_exit_code_and_report(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path, verb: str
) -> None:
    audited(hardener, fleet, {"a": host("0644")})
    fleet.snapshots = {"a": host("0666")}
    loud = hardener(verb, "-i", "inv,")
    quiet = hardener(verb, "-i", "inv,", "--quiet", "--json", str(tmp_path / "report.json"))
    assert loud.stdout
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (loud.exit_code, "", "")
    assert json.loads((tmp_path / "report.json").read_text())["summary"]["hosts"] == 1


def test_a_quiet_run_prints_failures(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    result = audited(hardener, fleet, {"a": "timed out"}, "--quiet")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "a: " in result.stderr
    assert "timed out" in result.stderr
    assert hardener("audit", "-i", "inv,", "-q", "--only", "no-such").stderr.startswith("hardener: error: ")


def test_quiet_assess_prints_nothing(hardener: Hardener, home: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "a.json"
    snapshot.write_text(json.dumps(host("0666").raw))
    result = hardener("assess", str(snapshot), "--quiet", *ONLY)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "")
