from __future__ import annotations

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
from tests.unit.reports.readers import read_defectdojo as read


@pytest.fixture
def format_name() -> str:
    return "defectdojo"


def test_failures_are_active_and_waived_controls_are_accepted_risks(write: Write) -> None:
    found = [
        (
            each["vuln_id_from_tool"],
            each["severity"],
            each["active"],
            each["risk_accepted"],
            each["under_review"],
        )
        for each in read(write(assessment()))
    ]
    assert found == [
        ("audit-dockerd", "High", True, False, False),
        ("daemon-icc", "Medium", False, True, False),
        ("container-not-privileged", "Critical", True, False, False),
        ("host-lsm", "High", True, False, True),
    ]


def test_findings_of_different_hosts_have_different_titles(write: Write) -> None:
    findings = read(write(assessment("a"), assessment("b"), assessment("b"), gone("c"), gone("c")))
    assert len({each["title"] for each in findings}) == len(findings) == 3 * 4 + 2 * len(CONTROLS)
    assert len({each["unique_id_from_tool"] for each in findings}) == len(findings)


def test_findings_of_an_unreachable_host_stay_open(write: Write) -> None:
    before = read(write(assessment("web_1", statuses(*[Status.FAIL] * len(CONTROLS)))))
    lost = read(write(gone("web_1")))
    for key in ("title", "severity", "unique_id_from_tool", "active"):
        assert [each[key] for each in lost] == [each[key] for each in before]
    assert "Not evaluated" in lost[0]["description"]
    assert "`not evaluated: ssh: connection refused`" in lost[0]["description"]
    assert lost[0]["tags"][-2:] == ["group:production", "group:web"]


def test_the_endpoint_is_the_host_if_its_name_is_valid(write: Write) -> None:
    assert read(write(gone("db01.example.com")))[0]["endpoints"] == [{"host": "db01.example.com"}]
    for host in ("a" * 254, "web_1", "", "a b", "http://evil.example", "-x"):
        assert "endpoints" not in read(write(gone(host)))[0]


def test_a_finding_has_the_fix_and_its_mappings(write: Write) -> None:
    finding = read(write(assessment()))[0]
    assert "`audit_rules_audit-dockerd`" in finding["mitigation"]
    assert finding["references"] == "- CIS Controls v8: 4.1, 4.8 (mapped by the benchmark)"


def test_the_reason_of_a_waiver_is_in_the_accepted_risk(write: Write) -> None:
    findings = {each["vuln_id_from_tool"]: each for each in read(write(decided()))}
    waived = findings["audit-dockerd"]
    assert (waived["active"], waived["risk_accepted"]) == (False, True)
    assert "waived until 2027-01-31 [W-001 by team-x]" in waived["description"]
    part = findings["container-not-privileged"]
    assert (part["active"], part["risk_accepted"], part["nb_occurences"]) == (True, False, 2)
    assert (
        "waived until 2026-12-01 [W-004 by team-x] for container web0, container web1" in part["description"]
    )
