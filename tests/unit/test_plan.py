from __future__ import annotations

import dataclasses

import pytest

from hardener import catalogue
from hardener.model import (
    AppliedWaiver,
    Assessment,
    Control,
    Finding,
    Impact,
    Remediation,
    Standing,
    Status,
    Verdict,
)
from hardener.plan import DocumentResult, Fate, TransactionResult, outlook, plan
from tests.unit.reports.assessments import waiver

BENCHMARK = "cis-docker-1.8.0"


def control(
    slug: str, role: str | None = None, impact: Impact = Impact.NONE, *, variable: str = "x"
) -> Control:
    remediation = Remediation(role, f"{role}_{variable}", impact) if role else None
    return dataclasses.replace(catalogue.load(BENCHMARK)[0], slug=slug, remediation=remediation)


def assessment(*findings: tuple[Control, Status]) -> Assessment:
    return Assessment(
        host="db01",
        benchmark=BENCHMARK,
        collected_at="",
        findings=tuple(Finding(each, Verdict(status, "so", "otherwise")) for each, status in findings),
    )


def test_without_failures_the_plan_is_empty() -> None:
    for status in Status:
        if status is not Status.FAIL:
            assert plan(assessment((control("a", "docker_files"), status))).steps == ()


def test_a_control_without_a_role_has_no_step() -> None:
    result = plan(assessment((control("a"), Status.FAIL)))
    assert result.steps == ()
    assert [finding.control.slug for finding in result.beyond] == ["a"]


def test_controls_of_one_variable_share_a_step() -> None:
    a, b, c = control("a", "docker_files"), control("b", "docker_files"), control("c", "docker_files")
    result = plan(assessment((a, Status.FAIL), (b, Status.PASS), (c, Status.FAIL)))
    assert result.host == "db01"
    assert result.variables == {"docker_files": ["docker_files_x"]}
    assert [finding.control.slug for finding in result.steps[0].findings] == ["a", "c"]


def waived(finding: Finding, standing: Standing = Standing.IN_FORCE) -> Finding:
    left = waiver("W-1", finding.control.slug, "2027-01-01")
    return dataclasses.replace(finding, waivers=(AppliedWaiver(left, standing),))


def with_waiver(of: Assessment, *slugs: str, standing: Standing = Standing.IN_FORCE) -> Assessment:
    findings = (waived(each, standing) if each.control.slug in slugs else each for each in of.findings)
    return dataclasses.replace(of, findings=tuple(findings))


def test_a_variable_that_would_change_a_waived_control_is_withheld() -> None:
    a, b, c = (control("a", "files"), control("b", "files"), control("c", "files", variable="y"))
    result = plan(with_waiver(assessment((a, Status.WAIVED), (b, Status.FAIL), (c, Status.FAIL)), "a"))
    assert result.variables == {"files": ["files_y"]}
    (withheld,) = result.withheld
    assert [finding.control.slug for finding in withheld.step.findings] == ["b"]
    assert withheld.reason == "it would also remediate a waived control: a (W-1)"
    assert result.beyond == ()
    assert result.waived == {("files", "files_x")}


def test_a_partly_waived_control_is_not_remediated() -> None:
    result = plan(with_waiver(assessment((control("a", "files"), Status.FAIL)), "a"))
    assert result.steps == ()
    assert [each.step.variable for each in result.withheld] == ["files_x"]


@pytest.mark.parametrize("standing", [Standing.EXPIRED, Standing.STALE])
def test_an_expired_or_stale_waiver_does_not_remove_a_variable_from_the_plan(standing: Standing) -> None:
    result = plan(with_waiver(assessment((control("a", "files"), Status.FAIL)), "a", standing=standing))
    assert result.variables == {"files": ["files_x"]}
    assert result.withheld == ()


def test_steps_are_sorted_by_impact_and_then_by_control() -> None:
    result = plan(
        assessment(
            (control("a", "docker_daemon", Impact.RELOAD), Status.FAIL),
            (control("b", "audit_rules"), Status.FAIL),
            (control("c", "docker_files"), Status.FAIL),
        )
    )
    assert list(result.variables) == ["audit_rules", "docker_files", "docker_daemon"]


def test_a_step_has_the_greatest_impact_of_its_controls() -> None:
    result = plan(
        assessment(
            (control("a", "docker_daemon", Impact.DATA_HIDDEN), Status.FAIL),
            (control("b", "docker_daemon", Impact.RELOAD), Status.FAIL),
            (control("c", "docker_daemon", Impact.REBOOT), Status.PASS),
        )
    )
    assert result.steps[0].impact is Impact.DATA_HIDDEN


@pytest.mark.parametrize("benchmark", catalogue.benchmarks())
def test_every_control_that_names_a_role_can_be_planned(benchmark: str) -> None:
    controls = catalogue.load(benchmark)
    result = plan(assessment(*((each, Status.FAIL) for each in controls)))
    planned = {finding.control.slug for step in result.steps for finding in step.findings}
    assert planned == {each.slug for each in controls if each.remediation}
    decided = [variable for variables in result.variables.values() for variable in variables]
    assert len(set(decided)) == len(decided)


def answer(name: str, state: str, impact: Impact = Impact.NONE, reason: str = "") -> DocumentResult:
    return DocumentResult(name=name, state=state, impact=impact, reason=reason, paths=("/etc/x",))


def test_the_answer_of_a_host_gives_the_outcome_and_impact_of_each_step() -> None:
    icc = control("icc", "docker_daemon", Impact.DAEMON_RESTART, variable="icc")
    live = control("live", "docker_daemon", Impact.RELOAD, variable="live_restore")
    audit = control("audit", "audit_rules")
    planned = plan(assessment(*((each, Status.FAIL) for each in (icc, live, audit))))
    result = outlook(
        planned,
        TransactionResult(
            documents=(
                answer("docker_daemon_icc", "held", Impact.CONTAINERS_STOP, "web would stop"),
                answer("docker_daemon_live_restore", "change", Impact.RELOAD),
                answer("audit_rules", "refused", reason="no audit here"),
                answer("docker_daemon_site", "held", Impact.CONNECTIVITY, "it may cut off"),
                answer("docker_daemon_serving", "unchanged"),
            ),
            digest="abc",
        ),
    )
    found = {
        each.step.variable: (each.fate, each.impact, each.reason, each.paths) for each in result.decisions
    }
    assert found == {
        "docker_daemon_icc": (Fate.HELD, Impact.CONTAINERS_STOP, "web would stop", ("/etc/x",)),
        "docker_daemon_live_restore": (Fate.CHANGE, Impact.RELOAD, "", ("/etc/x",)),
        "audit_rules_x": (Fate.BLOCKED, Impact.NONE, "no audit here", ("/etc/x",)),
    }
    assert result.left == ("held (connectivity): docker_daemon_site: it may cut off",)
    assert (result.result.digest, result.failure) == ("abc", "")


def test_without_an_answer_of_the_host_the_outcome_of_every_step_is_unknown() -> None:
    planned = plan(assessment((control("a", "docker_files"), Status.FAIL)))
    result = outlook(planned, None, failure="timed out")
    assert [each.fate for each in result.decisions] == [Fate.UNKNOWN]
    assert result.failure == "timed out"
