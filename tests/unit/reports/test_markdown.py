from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from hardener.model import Assessment, FrameworkMapping, Status, Verdict
from hardener.reports.markdown import FrameworkView, natural
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    ATTACKS,
    CONTROLS,
    Written,
    assessment,
    control,
    decided,
    earlier,
    gone,
    hostile_assessment,
    hostile_text,
    statuses,
)
from tests.unit.reports.readers import markdown_tokens


@pytest.fixture
def format_name() -> str:
    return "markdown"


def test_the_report_of_one_host_matches_the_golden_file(
    written: Written, golden: Callable[[str, str], None]
) -> None:
    golden("summary-one-host.md", written(assessment()))


@pytest.mark.parametrize(
    ("status", "headline"),
    [
        (Status.FAIL, "Not compliant: 7 findings on 1 host (1 critical, 2 high, 3 medium, 1 low)"),
        (Status.ERROR, "Incomplete: 7 controls not evaluated on 1 host"),
        (Status.WAIVED, "Compliant: 1 host"),
    ],
)
def test_the_headline_says_the_result_of_the_run(written: Written, status: Status, headline: str) -> None:
    text = written(assessment(verdicts=statuses(*[status] * len(CONTROLS))))
    assert text.startswith(f"## {headline}\n")


def test_requirements_with_a_failing_control_are_named_with_their_source(written: Written) -> None:
    assert "| CIS Controls v8 | 4.1, 4.8 | 2 | the benchmark |" in written(assessment())


def test_the_report_of_a_large_fleet_fits_into_a_pull_request_comment(written: Written) -> None:
    controls = [control(f"c{n}", f"5.{n}", "runtime", title="A long title " * 6) for n in range(200)]
    fail, error = Verdict(Status.FAIL, "x", "`y" * 400), Verdict(Status.ERROR, "x", "z" * 400)
    hosts = [assessment(f"{n}" * 60, [fail, error] * 100, controls=controls) for n in range(8)]
    text = written(*hosts, *(gone("n" * 250, reason="r" * 300) for _ in range(300)))
    assert len(text) < 60_000
    assert text.count("more: see the other reports") == 3
    assert "</details>" in text


def test_changes_since_the_last_run_are_shown(written: Written, run: RunInfo) -> None:
    before = assessment(verdicts=statuses(Status.PASS, *[Status.FAIL] * 6))
    after = assessment(verdicts=statuses(Status.FAIL, Status.PASS, *[Status.FAIL] * 5))
    text = written(after, assessment("new"), previous=earlier(run, before))
    assert "<summary>Since the last run: 1 newly failing, 1 fixed</summary>" in text
    assert f": {CONTROLS[0].title}: pass → fail on 1 host  \n  `{after.host}`: `it is fail`\n" in text
    text = written(after, previous=earlier(run, after))
    assert "\nSince the last run: 0 newly failing, 0 fixed\n" in text


def test_the_most_severe_failures_come_first(written: Written) -> None:
    text = written(assessment())
    assert text.index("**5.5** critical") < text.index("**1.1.3** high")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_text)
@pytest.mark.parametrize("attack", ATTACKS["markdown"])
def test_hostile_text_is_written_as_code(written: Written, attack: str, text: str) -> None:
    def lost(host: str) -> Assessment:
        return replace(gone(host, reason=host), groups=())  # groups are sorted by name

    clean, hostile = written(hostile_assessment("calm"), lost("calm")), f"{text}{attack}{text}"
    dirty = written(hostile_assessment(hostile), lost(hostile))
    assert dirty.replace("\n", "").isprintable()

    def structure(document: str) -> list[tuple[str, str]]:
        return [
            (each.type, "" if each.type in ("code_inline", "inline") else each.content)
            for each in markdown_tokens(document)
        ]

    assert structure(dirty) == structure(clean)


def test_a_report_without_hosts_has_a_headline(written: Written) -> None:
    assert written().startswith("## No host was assessed\n")


def test_waivers_and_attestations_are_listed(written: Written) -> None:
    text = written(decided())
    assert "Waived: 2 controls" in text
    assert "Passing by attestation: 1 control" in text
    assert "`waiver W-004 (container-not-privileged, team-x) expires 2026-12-01, in 6 days`" in text
    assert "`waiver W-002 (audit-etc-docker, team-x) is stale: no host of this run needs it`" in text


def test_groups_are_listed_if_there_are_several(written: Written) -> None:
    text = written(assessment("db1"), gone("web1"))
    assert "By group: 3 groups" in text
    assert "- `database`: 1 host, 1 pass, 2 fail, 1 manual, 1 n/a, 1 waived, 1 error, compliance 20%" in text
    assert "- `production`: 2 hosts, 1 not reached, 1 pass, 2 fail" in text
    assert "By group" not in written(replace(assessment("db1"), groups=("database",)))


def test_findings_are_counted_by_requirement() -> None:
    nist = FrameworkMapping("nist-800-53r5", ("CM-6", "AC-6(10)", "AC-6(5)", "AC-6"), "judgement")
    first, *rest = CONTROLS
    controls = (dataclasses.replace(first, mappings=(*first.mappings, nist)), *rest)
    verdicts = statuses(Status.FAIL, *[Status.PASS] * len(rest))
    view = FrameworkView()
    for host in ("a", "b"):
        view.add(assessment(host, verdicts, controls=controls))
    found = dict(view.by_framework())
    assert list(found) == ["cis-controls-v8", "nist-800-53r5"]
    assert [each.id for each in found["nist-800-53r5"]] == ["AC-6", "AC-6(5)", "AC-6(10)", "CM-6"]
    cis = found["cis-controls-v8"][0]
    assert (cis.id, cis.open, cis.sources) == ("4.1", True, ("benchmark",))
    assert cis.counts == {Status.FAIL: 2, Status.PASS: 2 * len(rest)}
    assert list(cis.controls) == [each.slug for each in controls]
    assert found["nist-800-53r5"][0].sources == ("judgement",)


def test_identifiers_are_sorted_as_numbers() -> None:
    ids = ["10.2.1", "2.2.1", "AC-6(5)", "AC-6", "4.10", "4.2", "10.2.1.2"]
    assert sorted(ids, key=natural) == ["2.2.1", "4.2", "4.10", "10.2.1", "10.2.1.2", "AC-6", "AC-6(5)"]
