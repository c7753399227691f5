"""A run, and how reports of it are written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardener.comparison.previous_runs import PreviousRuns
from hardener.model import Assessment
from hardener.reports.formats import FORMATS
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from tests.unit.reports.assessments import BENCHMARK, DECISIONS, Write, Written


@pytest.fixture
def run() -> RunInfo:
    return RunInfo(
        run_id="20261125T003000Z-7f3a",
        tool_version="0.1.0",
        benchmark=BENCHMARK,
        catalogue_digest="c0ffee" * 10 + "c0ff",
        ansible_version="2.19.14",
        started=datetime(2026, 11, 25, 0, 29, 58, 250_000, tzinfo=UTC),
        ended=datetime(2026, 11, 25, 0, 30, 1, 123_456, tzinfo=UTC),
        decisions=DECISIONS,
    )


@pytest.fixture
def written(write: Write) -> Written:
    """Write a report as ``write`` does, and read it."""
    return lambda *hosts, **options: write(*hosts, **options).read_text(encoding="utf-8")


@pytest.fixture
def write(tmp_path: Path, run: RunInfo, format_name: str) -> Write:
    """Write a report of hosts in the format that the module or the parameter ``format_name`` says."""

    def report(*assessments: Assessment, previous: PreviousRuns | None = None) -> Path:
        form = FORMATS[format_name]
        path = tmp_path / form.file
        write_reports(assessments, {path: form.report(run, previous)})
        return path

    return report
