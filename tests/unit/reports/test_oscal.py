from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from tests.unit.reports.assessments import (
    CONTROLS,
    Write,
    assessment,
    decided,
    gone,
    statuses,
)
from tests.unit.reports.readers import read_oscal as read


@pytest.fixture
def format_name() -> str:
    return "oscal"


def states(result: Any) -> dict[str, tuple[str, str]]:
    targets = [finding["target"] for finding in result["findings"]]
    return {each["target-id"]: (each["status"]["state"], each["status"]["reason"]) for each in targets}


def test_every_host_is_an_inventory_item_even_an_unreachable_one(write: Write) -> None:
    result = read(write(assessment("a"), gone("b"), assessment("a")))
    items = result["local-definitions"]["inventory-items"]
    assert [each["description"] for each in items] == ["`a`", "`b`", "`a`"]
    assert len(result["observations"]) == 3 * len(CONTROLS)


def test_a_control_is_satisfied_where_every_host_passes(write: Write) -> None:
    assert states(read(write(assessment()))) == {
        "audit-dockerd": ("not-satisfied", "fail"),
        "audit-etc-docker": ("satisfied", "pass"),
        "daemon-icc": ("not-satisfied", "fail"),
        "container-not-privileged": ("not-satisfied", "fail"),
        "container-pids": ("satisfied", "pass"),
        "image-user": ("not-satisfied", "other"),
        "host-lsm": ("not-satisfied", "other"),
    }
    some = statuses(*[Status.PASS] * len(CONTROLS))
    assert set(states(read(write(assessment("a", some), assessment("b", some)))).values()) == {
        ("satisfied", "pass")
    }
    assert set(states(read(write(assessment("a", some), gone("b")))).values()) == {("not-satisfied", "other")}


def test_a_waiver_is_an_approved_deviation(write: Write) -> None:
    result = read(write(assessment("a"), assessment("b")))
    (risk,) = result["risks"]
    assert risk["status"] == "deviation-approved"
    assert len(risk["related-observations"]) == 2
    finding = next(each for each in result["findings"] if each["target"]["target-id"] == "daemon-icc")
    assert finding["related-risks"] == [{"risk-uuid": risk["uuid"]}]


def test_frameworks_have_the_source_of_their_mapping(write: Write) -> None:
    finding = read(write(assessment()))["findings"][0]
    mapped = [(each["name"], each["value"], each.get("class")) for each in finding["props"]]
    assert ("cis-controls-v8", "4.8", "benchmark") in mapped


def test_invalid_times_of_a_host_are_replaced(write: Write) -> None:
    for claimed, told in (
        ("2026-11-25T01:30:00+01:00", "2026-11-25T00:30:00Z"),
        ("0001-01-01T00:00:00+14:00", "2026-11-25T00:30:01Z"),
        ("yesterday", "2026-11-25T00:30:01Z"),
    ):
        found = read(write(assessment(collected_at=claimed)))["observations"]
        assert {each["collected"] for each in found} == {told}


def test_a_waiver_is_an_approved_deviation_with_a_deadline(write: Write) -> None:
    result = read(write(decided("db01"), decided("db02")))
    risks = {each["title"]: each for each in result["risks"]}
    risk = risks["The title of audit-dockerd"]
    assert (risk["status"], risk["deadline"]) == ("deviation-approved", "2027-01-31T23:59:59Z")
    (entry,) = risk["risk-log"]["entries"]
    assert (entry["title"], entry["start"]) == ("Waiver W-001", "2026-09-01T00:00:00Z")
    said = {each["name"]: each["value"] for each in entry["props"]}
    assert said["approved-by"] == "J. Doe"
    assert said["compensating-control"] == "The SIEM."
    assert len(risk["related-observations"]) == 2


def test_an_attestation_is_an_examination(write: Write) -> None:
    observations = read(write(decided()))["observations"]
    (attested,) = [each for each in observations if "A-001" in each.get("remarks", "")]
    assert attested["methods"] == ["EXAMINE"]
    assert {"attestation-in-force": "A-001", "status": "pass"}.items() <= {
        each["name"]: each["value"] for each in attested["props"]
    }.items()
