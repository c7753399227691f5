from __future__ import annotations

import pytest

from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    CONTROLS,
    Write,
    assessment,
    decided,
    gone,
)
from tests.unit.reports.readers import published_ocsf
from tests.unit.reports.readers import read_ocsf as read


@pytest.fixture
def format_name() -> str:
    return "ocsf"


def test_the_published_schema_refuses_other_documents(write: Write) -> None:
    event = read(write(assessment()))[0]
    for wrong in ({**event, "time": "today"}, {**event, "surprise": 1}, {**event, "class_uid": 1}):
        with pytest.raises(AssertionError):
            published_ocsf()(wrong)


def test_every_control_of_every_host_is_an_event(write: Write) -> None:
    events = read(write(assessment("a"), gone("b"), assessment("a")))
    assert len(events) == 3 * len(CONTROLS)
    assert len({event["finding_info"]["uid"] for event in events}) == len(events)
    assert len({event["metadata"]["uid"] for event in events}) == len(events)


def test_events_have_a_status_and_only_failures_are_severe(write: Write) -> None:
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


def test_events_have_the_end_of_the_run_in_milliseconds(write: Write, run: RunInfo) -> None:
    for event in read(write(assessment())):
        assert event["time"] == int(run.ended.timestamp() * 1000) == 1795566601123
        assert event["metadata"]["original_time"] == "2026-11-25T00:30:00Z"


def test_frameworks_have_the_source_of_their_mapping(write: Write) -> None:
    event = read(write(assessment()))[0]
    assert event["compliance"]["requirements"] == ["CIS Controls v8 4.1", "CIS Controls v8 4.8"]
    assert event["unmapped"]["mappings"][0]["source"] == "benchmark"


def test_offenders_are_a_limited_number_of_resources(write: Write) -> None:
    events = {event["metadata"]["event_code"]: event for event in read(write(assessment()))}
    assert [each["name"] for each in events["container-not-privileged"]["resources"]] == [
        "db01.example.com",
        *(f"web{n}" for n in range(4)),
    ]


def test_decisions_are_summarised_as_a_comment_and_stored_in_full(write: Write) -> None:
    events = {each["metadata"]["event_code"]: each for each in read(write(decided()))}
    waived = events["audit-dockerd"]
    assert waived["status"] == "Suppressed"
    assert waived["comment"].startswith("waived until 2027-01-31 [W-001 by team-x]")
    assert waived["unmapped"]["waivers"][0]["ticket"] == "SEC-1"
    attested = events["image-user"]
    assert attested["compliance"]["status"] == "Pass"
    assert attested["comment"].startswith("attested until 2027-02-01")
    assert "comment" not in events["container-pids"]
