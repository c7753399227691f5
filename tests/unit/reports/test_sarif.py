from __future__ import annotations

import re
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from hardener.model import Status
from hardener.reports import sarif
from hardener.reports.interface import write_reports
from hardener.reports.sarif import SarifReport
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    CONTROLS,
    Write,
    assessment,
    decided,
    gone,
    hostile_assessment,
    statuses,
)
from tests.unit.reports.readers import read_sarif as read


@pytest.fixture
def format_name() -> str:
    return "sarif"


ALL_FAIL = statuses(*[Status.FAIL] * len(CONTROLS))


def test_failing_and_waived_controls_are_results(write: Write) -> None:
    results = read(write(assessment("a"), assessment("b")))["results"]
    found = [(each["ruleId"], bool(each["suppressions"])) for each in results]
    assert (
        found
        == [
            ("audit-dockerd", False),
            ("daemon-icc", True),
            ("container-not-privileged", False),
            ("host-lsm", False),
        ]
        * 2
    )
    hosts = [each["locations"][0]["logicalLocations"][0] for each in results]
    assert [(each["kind"], each["name"]) for each in hosts] == [("host", "a")] * 4 + [("host", "b")] * 4


def test_controls_that_were_not_evaluated_stay_open(write: Write) -> None:
    failed, lost = (read(write(host))["results"] for host in (assessment(verdicts=ALL_FAIL), gone("b")))
    assert [each["ruleId"] for each in lost] == [each["ruleId"] for each in failed]
    assert {(each["kind"], each["level"]) for each in lost} == {("open", "none")}
    assert {each["kind"] for each in failed} == {"fail"}
    assert "b: expected the host can be reached, found not evaluated: ssh: connection" in str(lost[0])


def test_every_host_has_its_counts_in_the_properties_of_the_run(write: Write) -> None:
    population = read(write(assessment("a"), gone("b")))["properties"]["population"]
    assert [(each["host"], each["reachable"], each["groups"]) for each in population] == [
        ("a", True, ["database", "production"]),
        ("b", False, ["production", "web"]),
    ]
    assert [sum(each["counts"].values()) for each in population] == [len(CONTROLS)] * 2


def test_there_is_one_run_and_every_control_is_a_rule(write: Write) -> None:
    only = read(write(*(assessment(f"h{n}") for n in range(30))))
    assert [rule["id"] for rule in only["tool"]["driver"]["rules"]] == [each.slug for each in CONTROLS]
    assert only["properties"]["hosts"] == 30
    assert only["properties"]["counts"][Status.FAIL] == 60


def test_the_address_of_the_documentation_comes_from_the_package(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = read(write(assessment("a")))["tool"]["driver"]
    assert "informationUri" not in driver  # this tree was not packaged for any site
    packaged = Message()
    packaged["Project-URL"] = "Documentation, https://docs.example.org/hardener"
    packaged["Project-URL"] = "Changelog, https://docs.example.org/hardener/CHANGELOG.html"
    monkeypatch.setattr(sarif, "metadata", lambda _name: packaged)
    driver = read(write(assessment("a")))["tool"]["driver"]
    assert driver["informationUri"] == "https://docs.example.org/hardener"


def test_fingerprints_are_equal_in_the_next_run(tmp_path: Path, write: Write, run: RunInfo) -> None:
    first = read(write(assessment()))["results"]
    later = tmp_path / "later"
    write_reports([assessment()], {later: SarifReport(RunInfo("another", "9.9", *_rest(run)))})
    second = read(later)["results"]
    assert [each["partialFingerprints"] for each in first] == [each["partialFingerprints"] for each in second]
    assert not {each["guid"] for each in first} & {each["guid"] for each in second}


def _rest(run: RunInfo) -> tuple[Any, ...]:
    return run.benchmark, run.catalogue_digest, run.ansible_version, run.started, run.ended


def test_names_of_fingerprints_have_the_form_that_defectdojo_reads(write: Write) -> None:
    """A method, or a method and its version; it refuses the file otherwise."""
    names = {name for each in read(write(assessment()))["results"] for name in each["partialFingerprints"]}
    assert all(re.fullmatch(r"[a-zA-Z]+(/v\d+)?", name) for name in names)


def test_two_snapshots_of_a_host_have_different_fingerprints(write: Write) -> None:
    results = read(write(assessment("a"), assessment("a")))["results"]
    assert len({each["partialFingerprints"]["hardener/v1"] for each in results}) == len(results)


@pytest.mark.parametrize(
    ("inventory", "place"),
    [
        ("inventories/prod.yml", "inventories/prod.yml"),
        ("./prod/", "prod"),
        ("/etc/ansible/hosts", "etc/ansible/hosts"),
        ("../../a b/\ud800", "a%20b/%EF%BF%BD"),
        ("..", "inventory"),
        ("db01,", "docs/controls/audit-dockerd.md"),
        ("", "docs/controls/audit-dockerd.md"),
    ],
)
def test_the_location_is_the_inventory_or_the_page_of_the_control(
    tmp_path: Path, run: RunInfo, inventory: str, place: str
) -> None:
    path = tmp_path / "report"
    write_reports([assessment()], {path: SarifReport(replace(run, inventory=inventory))})
    first = read(path)["results"][0]["locations"][0]
    assert first["physicalLocation"]["artifactLocation"]["uri"] == place


def test_a_part_of_the_run_has_its_own_automation_id(tmp_path: Path, run: RunInfo) -> None:
    path, report = tmp_path / "report", SarifReport(run)
    report.part = "web"
    write_reports([assessment()], {path: report})
    assert read(path)["automationDetails"]["id"] == f"hardener/cis-docker-1.8.0/web/{run.run_id}"


def test_a_notification_names_a_host_that_was_not_evaluated(write: Write) -> None:
    (invocation,) = read(write(assessment("db1"), gone("web_1")))["invocations"]
    assert invocation["executionSuccessful"] is False
    said = [
        (each["descriptor"]["id"], each["message"]["text"])
        for each in invocation["toolExecutionNotifications"]
        if each["level"] == "error"
    ]
    assert said == [("host-unreachable", "web_1 was not evaluated: ssh: connection refused")]


def test_a_waiver_is_a_suppression_with_its_reason(write: Write) -> None:
    results = {each["ruleId"]: each for each in read(write(decided()))["results"]}
    (suppression,) = results["audit-dockerd"]["suppressions"]
    assert suppression["justification"].startswith("waived until 2027-01-31 [W-001 by team-x]: The vendor's")
    assert results["container-not-privileged"]["suppressions"] == []
    text = results["container-not-privileged"]["message"]["text"]
    assert "[W-004 by team-x\\] for container web0, container web1: The vendor's agent" in text
    assert results["daemon-icc"]["message"]["text"].endswith("waiver W-003 expired 2026-10-01")


def test_attested_passes_and_expiring_decisions_are_notifications(write: Write) -> None:
    (invocation,) = read(write(decided()))["invocations"]
    found = [each["descriptor"]["id"] for each in invocation["toolExecutionNotifications"]]
    assert found == ["waiver-due", "attestation-due", "waiver-due", "waiver-due", "control-attested"]


def test_text_cannot_become_a_link_or_a_placeholder(write: Write) -> None:
    (first, *_) = read(write(hostile_assessment("[click](http://evil.example) {0}")))["results"]
    text = first["message"]["text"]
    assert "\\[click\\](http://evil.example)" in text
    assert not re.search(r"(?<!\\)\[[^\]]*(?<!\\)\]\(", text)
    assert "{{0}}" in text
