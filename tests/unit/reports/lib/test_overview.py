from __future__ import annotations

from hardener.model import Severity, Status, Verdict
from hardener.reports.lib.overview import severe_records
from hardener.summary import Summary
from tests.unit.reports.assessments import CONTROLS, assessment, control

FAILS = tuple(Verdict(Status.FAIL, "wanted", f"found {number}") for number in range(len(CONTROLS)))


def summary_of(*hosts: str) -> Summary:
    summary = Summary()
    for host in hosts:
        summary.add(assessment(host, FAILS))
    return summary


def test_critical_and_high_failures_are_listed_with_hosts_and_cost() -> None:
    found = severe_records(summary_of("a", "b"), "#{}".format)
    assert [(each["severity"], each["id"], each["found"]) for each in found["rows"]] == [
        ("critical", "5.5", ["all hosts: found 3"]),
        ("high", "1.1.3", ["all hosts: found 0"]),
        ("high", "H.7", ["all hosts: found 6"]),
    ]
    assert found["counts"] == [("critical", 2), ("high", 4)]
    assert [bool(each["cost"]) for each in found["rows"]] == [False, True, False]
    assert found["rows"][0]["href"] == "#container-not-privileged"


def test_the_finding_of_a_single_host_has_no_host_name() -> None:
    assert severe_records(summary_of("a"), str)["rows"][0]["found"] == ["found 3"]


def test_other_failures_are_counted_where_there_are_many() -> None:
    controls = [
        control(f"c{number}", f"5.{number}", "runtime", severity=Severity.HIGH) for number in range(9)
    ]
    summary = Summary()
    summary.add(assessment("a", FAILS[:1] * 9, controls=controls))
    found = severe_records(summary, str)
    assert (len(found["rows"]), found["more"]) == (6, 3)
