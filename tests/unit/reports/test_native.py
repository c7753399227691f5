from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from hardener.model import Impact, Severity, Status
from hardener.reports.interface import write_reports
from hardener.reports.native import LinesReport, NativeReport
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    CONTROLS,
    Write,
    assessment,
    decided,
    gone,
    hostile_assessment,
    hostile_text,
)
from tests.unit.reports.readers import NATIVE, NATIVE_SCHEMA, read_lines
from tests.unit.reports.readers import read_native as read


@pytest.fixture
def format_name() -> str:
    return "json"


def test_counts_agree_with_the_findings(write: Write) -> None:
    document = read(write(assessment("a"), gone("b"), assessment("c")))
    found = [finding["status"] for host in document["hosts"] for finding in host["findings"]]
    assert document["summary"]["hosts"] == 3
    assert document["summary"]["unreachable"] == 1
    assert document["summary"]["findings"] == len(found) == 3 * len(CONTROLS)
    assert document["summary"]["counts"] == {status.value: found.count(status.value) for status in Status}
    for host in document["hosts"]:
        assert sum(host["counts"].values()) == len(host["findings"]) == len(CONTROLS)


def test_a_finding_has_all_fields_of_the_schema(write: Write) -> None:
    findings = {each["slug"]: each for each in read(write(assessment()))["hosts"][0]["findings"]}
    assert findings["container-not-privileged"] == {
        "slug": "container-not-privileged",
        "id": "5.5",
        "level": 1,
        "section": "runtime",
        "title": "The title of container-not-privileged",
        "severity": "critical",
        "status": "fail",
        "expected": "no privileged container",
        "actual": "privileged containers",
        "offenders": [
            {"kind": "container", "name": f"web{n}", "detail": "runs privileged"} for n in range(4)
        ],
        "evidence": ["web0: true"],
        "checked": 9,
        "waivers": [],
        "attestations": [],
        "remediation": {
            "by_hand": "Set it for container-not-privileged.",
            "role": None,
            "variable": None,
            "impact": None,
        },
        "mappings": [{"framework": "cis-controls-v8", "requirements": ["4.1", "4.8"], "source": "benchmark"}],
    }
    assert findings["daemon-icc"]["remediation"]["role"] == "docker_daemon"
    assert findings["daemon-icc"]["remediation"]["impact"] == "daemon-restart"


def test_each_finding_has_one_line(write: Write) -> None:
    lines = write(assessment(), gone()).read_text().splitlines()
    assert sum(line.startswith('{"slug": ') for line in lines) == 2 * len(CONTROLS)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_text)
def test_hostile_text_is_escaped_and_decoded_unchanged(write: Write, text: str) -> None:
    path = write(hostile_assessment(text), gone(text, reason=text))
    assert path.read_text(encoding="ascii").replace("\n", "").isprintable()
    finding = read(path)["hosts"][0]["findings"][0]
    if len(text) <= 10_000 and text.isprintable():
        assert finding["actual"] == text
    assert len(finding["actual"]) < 10_050


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "passed"},
        {"level": 3},
        {"checked": -1},
        {"surprise": 1},
        {"slug": ""},
        {"remediation": None},
    ],
)
def test_the_schema_refuses_invalid_reports(write: Write, broken: dict[str, object]) -> None:
    document = read(write(assessment()))
    document["hosts"][0]["findings"][0] |= broken
    assert not NATIVE.is_valid(document)


def test_the_schema_has_every_value_of_the_model() -> None:
    finding = NATIVE_SCHEMA["$defs"]["finding"]["properties"]
    assert finding["status"]["enum"] == [status.value for status in Status]
    assert finding["severity"]["enum"] == [severity.value for severity in Severity]
    assert finding["remediation"]["properties"]["impact"]["enum"] == [*(each.value for each in Impact), None]
    assert list(NATIVE_SCHEMA["$defs"]["counts"]["properties"]) == [status.value for status in Status]


def test_json_lines_have_the_same_data(write: Write, tmp_path: Path, run: RunInfo) -> None:
    hosts = [assessment(), gone(), decided()]
    path = tmp_path / "report.ndjson"
    write_reports(hosts, {path: LinesReport(run)})
    assert read_lines(path) == read(write(*hosts))


def test_decisions_are_listed_for_findings_and_for_the_run(write: Write) -> None:
    report = read(write(decided()))
    assert report["run"]["decisions"]["waivers_digest"] == sha256("waivers: …\n".encode()).hexdigest()
    assert [each["id"] for each in report["run"]["decisions"]["due"]] == ["W-003", "A-002", "W-005", "W-004"]
    findings = {each["slug"]: each for each in report["hosts"][0]["findings"]}
    part = findings["container-not-privileged"]
    assert part["status"] == "fail"
    assert [each["name"] for each in part["offenders"]] == ["web2", "web3"]
    (waiver,) = part["waivers"]
    assert (waiver["id"], waiver["standing"], waiver["approved_by"]) == ("W-004", "in_force", "J. Doe")
    assert [each["name"] for each in waiver["offenders"]] == ["web0", "web1"]
    (attestation,) = findings["image-user"]["attestations"]
    assert (findings["image-user"]["status"], attestation["sha256"]) == ("pass", "9f" * 32)
    assert findings["audit-etc-docker"]["waivers"][0]["standing"] == "stale"
    assert findings["daemon-icc"]["waivers"][0]["standing"] == "expired"


def test_without_decision_files_the_run_has_no_decisions(tmp_path: Path, run: RunInfo) -> None:
    path = tmp_path / "report.json"
    write_reports([assessment()], {path: NativeReport(replace(run, decisions=None))})
    assert read(path)["run"]["decisions"] is None
