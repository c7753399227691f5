"""Numbers that no host has, in the place of all numbers of a snapshot, are judged, told and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener.assess import assess
from hardener.catalogue import load
from hardener.history import History
from hardener.model import Assessment
from hardener.reports.formats import FORMATS
from hardener.reports.interface import write_reports
from hardener.snapshot import Snapshot
from hardener.workload.audit import audit, workloads
from tests.unit.history.runs import put, record
from tests.unit.reports.assessments import BENCHMARK
from tests.unit.snapshots import container, hardened, make

NUMBERS: dict[str, Any] = {
    "zero": 0,
    "below zero": -1,
    "more than 64 bits": 1 << 64,
    "less than 64 bits": -(1 << 63) - 1,
    "more than a float": 10**400,
    "as long as JSON allows": int("9" * 4300),
    "a float": 0.5,
    "a tiny float": 5e-324,
    "the largest float": 1.7976931348623157e308,
    "true": True,
}


def spoiled(value: Any, number: Any) -> Any:
    """A document with one number in the place of all."""
    if isinstance(value, dict):
        return {key: spoiled(each, number) for key, each in value.items()}
    if isinstance(value, list):
        return [spoiled(each, number) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number
    return value


@pytest.fixture(params=NUMBERS)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """A host whose every number is this one, as it is when it has come over the wire."""
    whole = make(**{"docker.containers": [container(), hardened()]}).raw
    raw = {**whole, "sources": spoiled(whole["sources"], NUMBERS[request.param])}
    return Snapshot.parse(json.dumps(raw).encode(), name="x")


@pytest.fixture
def judged(snapshot: Snapshot) -> Assessment:
    controls = load(BENCHMARK)
    found = assess(snapshot, controls, benchmark=BENCHMARK)
    assert len(found.findings) == len(controls)
    return found


def test_every_report_format_accepts_implausible_numbers_in_a_snapshot(
    judged: Assessment, tmp_path: Path
) -> None:
    reports = {tmp_path / name: form.report(record().info, None) for name, form in FORMATS.items()}
    write_reports([judged], reports)
    for path in reports:
        assert path.stat().st_size, path.name


def test_the_history_accepts_implausible_numbers_in_a_snapshot(judged: Assessment, tmp_path: Path) -> None:
    kept = put(History(tmp_path / "home"), assessments=[judged])
    assert [each.host for each in kept.assessments()] == [judged.host]


def test_the_workload_audit_accepts_implausible_numbers_in_a_snapshot(snapshot: Snapshot) -> None:
    assert {each.name for each in audit(snapshot).containers} <= {"web", "twin"}
    workloads(snapshot)
