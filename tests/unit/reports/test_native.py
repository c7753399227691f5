from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings

import hardener
from hardener.model import Impact, Severity, Status
from hardener.reports.interface import RunInfo, write_reports
from hardener.reports.native import LinesReport, NativeReport
from tests.unit.reports.conftest import (
    CONTROLS,
    assessment,
    decided,
    gone,
    hostile_assessment,
    hostile_text,
)

SCHEMA = json.loads((Path(hardener.__file__).parent / "assessment.schema.json").read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


@pytest.fixture
def write(tmp_path: Path, run: RunInfo) -> Callable[..., Path]:
    def report(*assessments: Any) -> Path:
        path = tmp_path / "report.json"
        write_reports(assessments, {path: NativeReport(run)})
        return path

    return report


def read(path: Path) -> Any:
    document = json.loads(path.read_bytes())
    assert [str(error) for error in VALIDATOR.iter_errors(document)] == []
    return document


def test_golden(write: Callable[..., Path], golden: Callable[[str, str], None]) -> None:
    path = write(assessment(), gone(), decided())
    read(path)
    golden("report.json", path.read_text(encoding="ascii"))


def test_no_host_is_a_valid_report(write: Callable[..., Path]) -> None:
    assert read(write())["summary"]["hosts"] == 0


def test_same_input_same_bytes(write: Callable[..., Path]) -> None:
    assert write(assessment(), gone()).read_bytes() == write(assessment(), gone()).read_bytes()


def test_counts_agree_with_the_findings(write: Callable[..., Path]) -> None:
    document = read(write(assessment("a"), gone("b"), assessment("c")))
    found = [finding["status"] for host in document["hosts"] for finding in host["findings"]]
    assert document["summary"]["hosts"] == 3
    assert document["summary"]["unreachable"] == 1
    assert document["summary"]["findings"] == len(found) == 3 * len(CONTROLS)
    assert document["summary"]["counts"] == {status.value: found.count(status.value) for status in Status}
    for host in document["hosts"]:
        assert sum(host["counts"].values()) == len(host["findings"]) == len(CONTROLS)


def test_a_finding_says_everything(write: Callable[..., Path]) -> None:
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


def test_one_finding_a_line(write: Callable[..., Path]) -> None:
    lines = write(assessment(), gone()).read_text().splitlines()
    assert sum(line.startswith('{"slug": ') for line in lines) == 2 * len(CONTROLS)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_text)
def test_hostile_text_arrives_unchanged_and_inert(write: Callable[..., Path], text: str) -> None:
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
def test_the_schema_refuses_what_is_no_report(write: Callable[..., Path], broken: dict[str, object]) -> None:
    document = read(write(assessment()))
    document["hosts"][0]["findings"][0] |= broken
    assert not VALIDATOR.is_valid(document)


def test_the_schema_knows_every_word_of_the_model() -> None:
    finding = SCHEMA["$defs"]["finding"]["properties"]
    assert finding["status"]["enum"] == [status.value for status in Status]
    assert finding["severity"]["enum"] == [severity.value for severity in Severity]
    assert finding["remediation"]["properties"]["impact"]["enum"] == [*(each.value for each in Impact), None]
    assert list(SCHEMA["$defs"]["counts"]["properties"]) == [status.value for status in Status]


def test_json_lines_say_the_same(write: Callable[..., Path], run: RunInfo) -> None:
    hosts = [assessment(), gone()]
    path = write(*hosts).with_name("report.ndjson")
    write_reports(hosts, {path: LinesReport(run)})
    first, *middle, last = map(json.loads, path.read_text(encoding="ascii").splitlines())
    whole = first | {"hosts": [each["host"] for each in middle]} | last
    assert list(VALIDATOR.iter_errors(whole)) == []
    assert whole == read(write(*hosts))


def test_decisions_stand_beside_the_findings_and_the_run(write: Callable[..., Path]) -> None:
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


def test_without_files_of_decisions_the_run_says_none(tmp_path: Path, run: RunInfo) -> None:
    path = tmp_path / "report.json"
    write_reports([assessment()], {path: NativeReport(replace(run, decisions=None))})
    assert read(path)["run"]["decisions"] is None
