from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from lxml import etree

from hardener.model import Offender, RoleWishes, Status, Verdict
from hardener.reports.interface import write_reports
from hardener.reports.junit import JUnitReport, host_slug
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    BENCHMARK,
    CONTROLS,
    Write,
    assessment,
    decided,
    gone,
)
from tests.unit.reports.readers import read_junit as check


@pytest.fixture
def format_name() -> str:
    return "junit"


def suites(xml: JUnitXml) -> list[TestSuite]:
    return list(xml)


def case(suite: Iterable[TestCase], name: str) -> TestCase:
    (found,) = [each for each in suite if (each.name or "").startswith(f"{name} ")]
    return found


@pytest.mark.parametrize(
    ("control", "kind", "type_", "message"),
    [
        ("1.1.3", Failure, "hardener.fail", "expected a rule for /usr/bin/dockerd, found no rule"),
        (
            "5.5",
            Failure,
            "hardener.fail",
            "expected no privileged container, found privileged containers (4 of 9 containers)",
        ),
        ("2.2", Skipped, "skipped", "WAIVED: icc is true"),
        ("5.29", Skipped, "skipped", "NOT APPLICABLE: no container runs"),
        ("4.1", Skipped, "skipped", "MANUAL: 2 images"),
        ("H.7", Error, "hardener.error", "lsm could not be read: permission denied"),
    ],
)
def test_each_status_has_its_junit_element_and_message(
    write: Write,
    control: str,
    kind: type[Failure | Skipped | Error],
    type_: str,
    message: str,
) -> None:
    (suite,) = suites(check(write(assessment())))
    (result,) = case(suite, control).result
    assert type(result) is kind
    assert (result.type, result.message) == (type_, message)


def test_a_passing_control_is_a_test_case_without_content(write: Write) -> None:
    (suite,) = suites(check(write(assessment())))
    passed = case(suite, "1.1.10")
    assert passed.result == []
    assert passed.system_out is None


def test_the_text_of_a_case_is_complete(write: Write) -> None:
    (suite,) = suites(check(write(assessment())))
    (failure,) = case(suite, "1.1.3").result
    assert failure.text.splitlines() == [
        "expected: a rule for /usr/bin/dockerd",
        "found:    no rule",
        "fix: Set it for audit-dockerd.",
        "role: audit_rules (audit_rules_audit-dockerd), impact: daemon-restart",
    ]
    assert case(suite, "1.1.3").system_out == "auditctl -l: 0 rules"
    (failure,) = case(suite, "5.5").result
    assert "  container web0: runs privileged" in failure.text.splitlines()
    (manual,) = case(suite, "4.1").result
    assert "look at:\n  look at nginx:1\n  look at redis:7" in manual.text


def test_a_fix_is_written_out_only_in_its_first_case_of_a_file(write: Write) -> None:
    first, second = suites(check(write(assessment("a"), assessment("b"))))
    again = case(second, "1.1.3").result[0].text.splitlines()
    assert "fix: Set it for audit-dockerd." in case(first, "1.1.3").result[0].text.splitlines()
    assert again[2] == "fix: `hardener controls audit-dockerd`, or the first such case of this file"
    assert again[3] == "role: audit_rules (audit_rules_audit-dockerd), impact: daemon-restart"


def test_the_number_of_offenders_is_limited(write: Write) -> None:
    many = Verdict(
        Status.FAIL, "none", "many", tuple(Offender("container", f"c{n}", "") for n in range(1000))
    )
    (suite,) = suites(check(write(assessment(verdicts=[many], controls=CONTROLS[:1]))))
    text = case(suite, "1.1.3").result[0].text
    assert "  container c19\n  +980 more\n" in text
    assert "c20" not in text


def test_a_failure_without_text_stays_a_failure(write: Write) -> None:
    empty = [Verdict(status, "", " \n") for status in Status]
    (suite,) = suites(check(write(assessment(verdicts=empty, controls=CONTROLS[: len(empty)]))))
    assert (suite.failures, suite.errors, suite.skipped) == (1, 1, 3)


def test_an_unreachable_host_has_as_many_cases_as_a_reachable_one(write: Write) -> None:
    reached, lost = suites(check(write(assessment("web-1"), gone("web-2"))))
    assert [each.name for each in lost] == [each.name for each in reached]
    assert (reached.tests, next(iter(reached)).result) == (len(CONTROLS) + 1, [])
    assert (lost.tests, lost.errors, lost.skipped) == (len(CONTROLS) + 1, 1, len(CONTROLS))
    first, *rest = lost
    assert first.result[0].message == "host unreachable: ssh: connection refused"
    assert {each.result[0].message for each in rest} == {"NOT EVALUATED: host unreachable"}


def test_a_suite_has_the_properties_of_its_host(write: Write) -> None:
    path = write(assessment())
    (suite,) = suites(check(path))
    assert (suite.name, suite.hostname) == ("db01.example.com", "db01.example.com")
    assert suite.timestamp == "2026-11-25T00:30:00"
    properties = {
        each.get("name"): each.get("value")
        for each in etree.parse(path).findall("testsuite/properties/property")
    }
    assert properties["benchmark"] == BENCHMARK
    assert properties["run_id"] == "20261125T003000Z-7f3a"
    assert properties["host_docker"] == "26.1.5"


@pytest.mark.parametrize(
    ("claimed", "written"),
    [
        ("2026-11-25T02:30:00+02:00", "2026-11-25T00:30:00"),
        ("2026-11-25T00:30:00", "2026-11-25T00:30:00"),
        ("", "2026-11-25T00:29:58"),
        ("yesterday", "2026-11-25T00:29:58"),
        ("0001-01-01T00:00:00+23:00", "2026-11-25T00:29:58"),
    ],
)
def test_the_timestamp_is_utc_whatever_time_the_host_reports(
    write: Write, claimed: str, written: str
) -> None:
    (suite,) = suites(check(write(assessment(collected_at=claimed))))
    assert suite.timestamp == written


def test_a_clock_set_back_gives_no_negative_time(tmp_path: Path, run: RunInfo) -> None:
    path = tmp_path / "junit.xml"
    write_reports([assessment()], {path: JUnitReport(replace(run, ended=run.started, started=run.ended))})
    check(path)
    assert etree.parse(path).getroot().get("time") == "0.000"


def test_two_snapshots_of_a_host_are_two_suites(write: Write) -> None:
    xml = check(write(assessment("db01"), assessment("db01"), assessment("db01")))
    assert sum(suite.tests for suite in xml) == 3 * (len(CONTROLS) + 1)


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        ("db01", "db01"),
        ("db01.example.com", "db01_example_com"),
        ("web_1", "web__1"),
        ("Web-1", "Web-1"),
        ("10.0.0.7", "10_0_0_7"),
    ],
)
def test_the_slug_of_a_host_is_readable(host: str, slug: str) -> None:
    assert host_slug(host) == slug


def test_similar_names_get_different_slugs() -> None:
    names = ["a.b", "a_b", "a__b", "a..b", "a b", "a/b", "a:b", "a.b_c", "a_b.c", "ä", "ö", "", "_", "."]
    assert len({host_slug(name) for name in names}) == len(names)


@given(st.text("ab._-", max_size=6), st.text("ab._-", max_size=6))
def test_different_hosts_have_different_slugs(one: str, other: str) -> None:
    assert (host_slug(one) == host_slug(other)) is (one == other)


def test_a_classname_has_three_parts(write: Write) -> None:
    (suite,) = suites(check(write(assessment())))
    assert {each.classname for each in suite} == {
        "cis_docker_1_8_0.db01_example_com.connectivity",
        "cis_docker_1_8_0.db01_example_com.1_host",
        "cis_docker_1_8_0.db01_example_com.2_daemon",
        "cis_docker_1_8_0.db01_example_com.4_images",
        "cis_docker_1_8_0.db01_example_com.5_runtime",
        "cis_docker_1_8_0.db01_example_com.H_protection",
    }


def test_a_waived_case_has_last_day_owner_and_reason(write: Write) -> None:
    (suite,) = suites(check(write(decided())))
    (skipped,) = case(suite, "1.1.3").result
    assert isinstance(skipped, Skipped)
    assert skipped.message == "WAIVED until 2027-01-31 [W-001 by team-x]: The vendor's agent needs it."
    assert "found:    no rule" in (skipped.text or "")


def test_one_waived_container_does_not_hide_another(write: Write) -> None:
    (suite,) = suites(check(write(decided())))
    (failure,) = case(suite, "5.5").result
    assert isinstance(failure, Failure)
    assert failure.message is not None
    assert "web2 runs privileged" in failure.message
    assert "web0" not in failure.message
    lines = (failure.text or "").splitlines()
    assert [each for each in lines if each.startswith("  ")] == [
        "  container web2: runs privileged",
        "  container web3: runs privileged",
    ]
    waived = "waived until 2026-12-01 [W-004 by team-x] for container web0, container web1"
    assert any(each.startswith(waived) for each in lines)


def test_a_case_with_an_expired_waiver_fails_and_names_it(write: Write) -> None:
    (suite,) = suites(check(write(decided())))
    (failure,) = case(suite, "2.2").result
    assert isinstance(failure, Failure)
    assert (failure.text or "").startswith("waiver W-003 expired 2026-10-01\n")
    assert (failure.message or "").startswith("waiver W-003 expired 2026-10-01; expected")


def test_a_pass_by_attestation_gets_a_remark_and_one_with_an_unused_waiver_of_several_hosts_does_not(
    write: Write,
) -> None:
    (suite,) = suites(check(write(decided())))
    attested, stale = case(suite, "4.1"), case(suite, "1.1.10")
    assert not attested.result
    assert "attested until 2027-02-01 [A-001 by J. Doe on 2026-09-01]: Every Dockerfile." in str(
        attested.system_out
    )
    assert not stale.result
    assert not stale.system_out


@pytest.mark.parametrize(
    ("wishes", "kind", "message"),
    [
        (RoleWishes("firewall"), None, ""),
        (
            RoleWishes("firewall", left=("firewall_allow",), pending=("firewall_icmp",)),
            Failure,
            "drifted from the inventory: firewall_allow",
        ),
        (RoleWishes("firewall", pending=("firewall_allow",)), Skipped, "not applied yet: firewall_allow"),
        (RoleWishes("firewall", unknown="timed out"), Error, "timed out"),
    ],
)
def test_a_role_whose_variables_the_inventory_sets_has_a_case(
    write: Write, wishes: RoleWishes, kind: type | None, message: str
) -> None:
    (suite,) = suites(check(write(replace(assessment(), wishes=(wishes,)))))
    (found,) = [each for each in suite if each.name == "firewall"]
    assert str(found.classname).endswith(".inventory")
    assert [(type(each), each.message) for each in found.result] == ([(kind, message)] if kind else [])
