from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from hardener.model import Assessment
from hardener.reports.interface import RunInfo, write_reports
from hardener.reports.ocsf import OcsfReport
from tests.unit.reports.conftest import (
    CONTROLS,
    assessment,
    decided,
    gone,
    hostile_assessment,
    hostile_text,
)
from tests.unit.reports.schemas import validator, validators

Write = Callable[..., Path]
PUBLISHED = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.5.0")).get_class_schema("compliance_finding")
VALIDATORS = {**validators("ocsf.json"), "published": validator(PUBLISHED)}


@pytest.fixture
def write(tmp_path: Path, run: RunInfo) -> Write:
    def report(*assessments: Assessment) -> Path:
        path = tmp_path / "events.ndjson"
        write_reports(assessments, {path: OcsfReport(run)})
        return path

    return report


def read(path: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    for event in events:
        for validate in VALIDATORS.values():
            validate(event)
    return events


def test_golden(write: Write, golden: Callable[[str, str], None]) -> None:
    golden("ocsf.ndjson", write(assessment(), gone(), decided()).read_text())


def test_the_published_schema_refuses_what_is_not_ocsf(write: Write) -> None:
    event = read(write(assessment()))[0]
    for wrong in ({**event, "time": "today"}, {**event, "surprise": 1}, {**event, "class_uid": 1}):
        with pytest.raises(AssertionError):
            VALIDATORS["published"](wrong)


def test_every_control_of_every_host_is_an_event(write: Write) -> None:
    events = read(write(assessment("a"), gone("b"), assessment("a")))
    assert len(events) == 3 * len(CONTROLS)
    assert len({event["finding_info"]["uid"] for event in events}) == len(events)
    assert len({event["metadata"]["uid"] for event in events}) == len(events)


def test_the_status_is_told_and_only_what_fails_is_severe(write: Write) -> None:
    found = {
        event["compliance"]["status_code"]: (
            event["compliance"]["status"],
            event["compliance"]["status_id"],
            event["severity"],
            event["status"],
        )
        for event in read(write(assessment()))
    }
    assert found == {
        "fail": ("Fail", 3, "Critical", "New"),
        "pass": ("Pass", 1, "Informational", "New"),
        "waived": ("Waived", 99, "Medium", "Suppressed"),
        "not_applicable": ("Not Applicable", 99, "Informational", "New"),
        "manual": ("Manual", 99, "Informational", "New"),
        "error": ("Unknown", 0, "Informational", "New"),
    }


def test_times_are_milliseconds_of_the_run(write: Write, run: RunInfo) -> None:
    for event in read(write(assessment())):
        assert event["time"] == int(run.ended.timestamp() * 1000) == 1795566601123
        assert event["metadata"]["original_time"] == "2026-11-25T00:30:00Z"


def test_frameworks_and_who_maps_them(write: Write) -> None:
    event = read(write(assessment()))[0]
    assert event["compliance"]["requirements"] == ["CIS Controls v8 4.1", "CIS Controls v8 4.8"]
    assert event["unmapped"]["mappings"][0]["source"] == "benchmark"


def test_offenders_are_resources_up_to_a_limit(write: Write) -> None:
    events = {event["metadata"]["event_code"]: event for event in read(write(assessment()))}
    assert [each["name"] for each in events["container-not-privileged"]["resources"]] == [
        "db01.example.com",
        *(f"web{n}" for n in range(4)),
    ]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_text)
def test_hostile_text_leaves_valid_events(write: Write, text: str) -> None:
    path = write(hostile_assessment(text), gone(text, reason=text))
    assert path.read_text(encoding="ascii").replace("\n", "").isprintable()
    assert len(read(path)) == 6 + len(CONTROLS)


def test_decisions_are_a_comment_and_whole_beside_it(write: Write) -> None:
    events = {each["metadata"]["event_code"]: each for each in read(write(decided()))}
    waived = events["audit-dockerd"]
    assert waived["status"] == "Suppressed"
    assert waived["comment"].startswith("waived until 2027-01-31 [W-001 by team-x]")
    assert waived["unmapped"]["waivers"][0]["ticket"] == "SEC-1"
    attested = events["image-user"]
    assert attested["compliance"]["status"] == "Pass"
    assert attested["comment"].startswith("attested until 2027-02-01")
    assert "comment" not in events["container-pids"]
