"""Programs of others read our reports: what they count is what we wrote. `make readers` installs them."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hardener.model import NOT_HELD, Assessment, Status
from hardener.reports.formats import FORMATS
from hardener.reports.interface import write_reports
from hardener.reports.metrics import RunMetrics, metrics
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    BENCHMARK,
    CONTROLS,
    DECISIONS,
    HOSTILE,
    assessment,
    decided,
    gone,
    hostile_assessment,
)

HERE = Path(__file__).parent
READERS = HERE.parents[1] / ".venv-readers"
# What no text of XML can hold is replaced by us; two names would be one for a reader that trims them.
HOSTS = [
    assessment(),
    gone(),
    decided(),
    *(hostile_assessment(f"h{at}{text}") for at, text in enumerate(HOSTILE)),
]
RUN = RunInfo(
    run_id="7f3a",
    tool_version="0.2.0",
    benchmark=BENCHMARK,
    catalogue_digest="c0ffee",
    ansible_version="2.19.14",
    started=datetime(2026, 11, 25, 0, 29, 58, tzinfo=UTC),
    ended=datetime(2026, 11, 25, 0, 30, 1, tzinfo=UTC),
    decisions=DECISIONS,
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every report of the hosts."""
    folder = tmp_path_factory.mktemp("reports")
    write_reports(HOSTS, {folder / each.file: each.report(RUN) for each in FORMATS.values()})
    return folder


def printed(*command: str | Path) -> Any:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def number(hosts: Sequence[Assessment], *statuses: Status) -> int:
    return sum(finding.status in statuses for host in hosts for finding in host.findings)


# Beside the controls, a case says whether a host was reached, and another that its change was not begun.
NOT_BEGUN = sum(bool(host.not_begun) for host in HOSTS)
JUNIT_CASES = number(HOSTS, *Status) + len(HOSTS) + NOT_BEGUN


def test_python_readers_count_all_written_results(reports: Path) -> None:
    every = number(HOSTS, *Status)
    assert printed(READERS / "bin/python", HERE / "read_reports.py", reports) == {
        "pandas": ["host", every, number(HOSTS, Status.FAIL)],
        "junitparser": [len(HOSTS), JUNIT_CASES],
        "sarif-tools": [number(HOSTS, *NOT_HELD), 1],
        "trestle": [every, len(HOSTS)],
    }


def test_javascript_readers_count_all_written_results(reports: Path) -> None:
    reached = [host for host in HOSTS if not host.unreachable]
    failures = number(HOSTS, Status.FAIL)
    errors = number(reached, Status.ERROR) + (len(HOSTS) - len(reached)) + NOT_BEGUN
    skipped = number(reached, Status.MANUAL, Status.WAIVED, Status.NOT_APPLICABLE) + len(CONTROLS)
    assert printed("node", HERE / "junit.mjs", READERS, reports / "report.junit.xml") == {
        "junit2json": [len(HOSTS), JUNIT_CASES, failures, errors, skipped],
        "test-results-parser": [len(HOSTS), JUNIT_CASES - skipped, failures, errors, skipped],
    }


def test_promtool_reports_no_problem() -> None:
    hosts = [*HOSTS, *(replace(assessment(f"g{at}"), groups=(text,)) for at, text in enumerate(HOSTILE))]
    about = RunMetrics(
        inventory="\n".join(HOSTILE),
        verb="audit",
        exit_code=3,
        run=RUN,
        assessments=hosts,
        seen=lambda _: None,
    )
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics([about]).encode(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_no_host_name_of_the_test_reports_occurs_twice() -> None:
    assert Counter(host.host for host in HOSTS).most_common(1)[0][1] == 1
