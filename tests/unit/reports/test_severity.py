"""A verdict with a severity of its own, in every format that tells one of a finding."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from hardener.model import Assessment, Finding, Severity, Status, Verdict
from hardener.summary import Summary
from tests.unit.reports.assessments import BENCHMARK, Written, control

CONTROL = control("daemon-tls", "2.8", "daemon", severity=Severity.CRITICAL)
# Of each format, where a finding's severity stands.
READ: dict[str, Any] = {
    "json": lambda text: json.loads(text)["hosts"][0]["findings"][0]["severity"],
    "csv": lambda text: next(csv.DictReader(io.StringIO(text)))["severity"],
    "ocsf": lambda text: json.loads(text.splitlines()[0])["severity"].lower(),
    "markdown": lambda text: (
        "high" if "**2.8** high" in text else "critical" if "**2.8** critical" in text else ""
    ),
}


def assessment(host: str, severity: Severity | None) -> Assessment:
    verdict = Verdict(Status.FAIL, "TLS", "no TLS", severity=severity)
    return Assessment(host, BENCHMARK, "2026-11-25T00:30:00Z", (Finding(CONTROL, verdict),))


@pytest.mark.parametrize(("own", "shown"), [(None, "critical"), (Severity.HIGH, "high")])
@pytest.mark.parametrize("format_name", READ)
def test_reports_have_the_severity_of_the_verdict_or_the_control(
    format_name: str, own: Severity | None, shown: str, written: Written
) -> None:
    assert READ[format_name](written(assessment("h", own))) == shown


def test_a_control_has_the_severity_of_its_most_severe_host() -> None:
    summary = Summary()
    summary.add(assessment("a", Severity.HIGH))
    (cases,) = summary.cases(Status.FAIL)
    assert cases.severity is Severity.HIGH
    summary.add(assessment("b", None))
    (cases,) = summary.cases(Status.FAIL)
    assert cases.severity is Severity.CRITICAL
    assert {toll.host: toll.by_severity[:2] for toll in summary.worst()} == {"a": (0, 1), "b": (1, 0)}
