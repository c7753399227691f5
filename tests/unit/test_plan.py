from __future__ import annotations

import dataclasses

import pytest

from hardener import catalogue
from hardener.model import Assessment, Control, Finding, Impact, Remediation, Status, Verdict
from hardener.plan import plan

BENCHMARK = "cis-docker-1.8.0"


def control(slug: str, role: str | None = None, impact: Impact = Impact.NONE) -> Control:
    remediation = Remediation(role, f"{role}_x", impact) if role else None
    return dataclasses.replace(catalogue.load(BENCHMARK)[0], slug=slug, remediation=remediation)


def assessment(*findings: tuple[Control, Status]) -> Assessment:
    return Assessment(
        host="db01",
        benchmark=BENCHMARK,
        collected_at="",
        findings=tuple(Finding(each, Verdict(status, "so", "otherwise")) for each, status in findings),
    )


def test_where_nothing_fails_nothing_is_done() -> None:
    for status in Status:
        if status is not Status.FAIL:
            assert plan(assessment((control("a", "docker_files"), status))).steps == ()


def test_what_no_role_remediates_is_no_step() -> None:
    assert plan(assessment((control("a"), Status.FAIL))).steps == ()


def test_a_role_runs_once_for_all_that_it_remediates() -> None:
    a, b, c = control("a", "docker_files"), control("b", "docker_files"), control("c", "docker_files")
    result = plan(assessment((a, Status.FAIL), (b, Status.PASS), (c, Status.FAIL)))
    assert result.host == "db01"
    assert result.roles == ("docker_files",)
    assert [finding.control.slug for finding in result.steps[0].findings] == ["a", "c"]


def test_the_cheapest_comes_first_and_of_equals_the_first() -> None:
    result = plan(
        assessment(
            (control("a", "docker_daemon", Impact.RELOAD), Status.FAIL),
            (control("b", "audit_rules"), Status.FAIL),
            (control("c", "docker_files"), Status.FAIL),
        )
    )
    assert result.roles == ("audit_rules", "docker_files", "docker_daemon")


def test_a_step_costs_what_its_worst_control_costs() -> None:
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
    assert len(set(result.roles)) == len(result.roles)
