from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardener import assess as module
from hardener import catalogue
from hardener.assess import assess, unreachable
from hardener.checks import Check
from hardener.model import Control, Status, Verdict
from hardener.snapshot import Snapshot
from tests.unit.snapshots import absent, container, failed, make, no_engine, silent_engine

BENCHMARK = "cis-docker-1.8.0"
PASS = Verdict(Status.PASS, "so", "so")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def controls() -> tuple[Control, ...]:
    return catalogue.load(BENCHMARK)


@pytest.fixture
def judged_by(monkeypatch: pytest.MonkeyPatch, controls: tuple[Control, ...]) -> Iterator[dict[str, Check]]:
    """The checks, each passing until a test says otherwise."""
    checks: dict[str, Check] = {control.slug: lambda snapshot: PASS for control in controls}
    monkeypatch.setattr(module, "all_checks", lambda: checks)
    return iter([checks])


@pytest.mark.parametrize(
    "snapshot",
    [make(), no_engine(), silent_engine(), Snapshot({"schema": "hardener/snapshot/2"})],
    ids=["docker", "no engine", "silent engine", "nothing collected"],
)
def test_every_host_gets_one_finding_for_each_control(
    snapshot: Snapshot, controls: tuple[Control, ...]
) -> None:
    assessment = assess(snapshot, controls, benchmark=BENCHMARK)
    assert tuple(finding.control for finding in assessment.findings) == controls
    assert assessment.counts().total() == len(controls)


@pytest.mark.parametrize(
    "snapshot",
    [
        make(engine=failed("x" * 1_000_000)),
        make(**{"daemon.config": {"error": "x" * 1_000_000}}),
        make(**{"audit.loaded": {"status": {"enabled": "\1" * 1_000_000}}}),
        make(**{"docker.containers": [container(Name="/" + "x" * 1_000_000)]}),
        make(system={"os": {"PRETTY_NAME": "x" * 1_000_000}}),
    ],
    ids=["source", "error", "value", "name", "summary"],
)
def test_a_long_text_of_a_host_is_short_in_each_finding(
    snapshot: Snapshot, controls: tuple[Control, ...]
) -> None:
    assert len(repr(assess(snapshot, controls, benchmark=BENCHMARK))) < 2_000_000


def test_the_reason_of_an_unreachable_host_is_short(controls: tuple[Control, ...]) -> None:
    assessment = unreachable("h", "x" * 1_000_000, controls, benchmark=BENCHMARK)
    assert len(assessment.unreachable) < 6_000
    assert len({id(finding.verdict) for finding in assessment.findings}) == 1
    assert len(assessment.findings[0].verdict.actual) < 6_000


def test_without_facts_no_control_passes_or_fails(controls: tuple[Control, ...]) -> None:
    assessment = assess(Snapshot({"schema": "hardener/snapshot/2"}), controls, benchmark=BENCHMARK)
    assert assessment.counts()[Status.PASS] == 0
    assert assessment.counts()[Status.FAIL] == 0


def test_no_check_raises_an_exception(controls: tuple[Control, ...]) -> None:
    for snapshot in (make(), no_engine(), silent_engine()):
        assessment = assess(snapshot, controls, benchmark=BENCHMARK)
        broken = [each for each in assessment.findings if "the check itself failed" in each.verdict.actual]
        assert not broken


@settings(max_examples=15)
@given(data=st.lists(ANYTHING, min_size=40, max_size=40))
def test_a_hostile_document_gets_all_findings(data: list[Any], controls: tuple[Control, ...]) -> None:
    names = make().raw["sources"]
    sources = {name: {"state": "ok", "data": each} for name, each in zip(names, data, strict=False)}
    snapshot = Snapshot({"schema": "hardener/snapshot/2", "policy": data[-1], "sources": sources})
    assert len(assess(snapshot, controls, benchmark=BENCHMARK).findings) == len(controls)


def test_unreadable_facts_and_a_failing_check_are_errors(
    judged_by: Iterator[dict[str, Check]], controls: tuple[Control, ...]
) -> None:
    checks = next(judged_by)
    first, second, third = controls[:3]
    checks[first.slug] = lambda snapshot: Verdict(Status.PASS, "so", str(snapshot.fact("audit.loaded")))
    checks[second.slug] = lambda snapshot: Verdict(Status.PASS, "so", str(1 // 0))
    snapshot = make(**{"audit.loaded": failed("not permitted")})
    findings = assess(snapshot, (first, second, third), benchmark=BENCHMARK).findings
    assert [finding.status for finding in findings] == [Status.ERROR, Status.ERROR, Status.PASS]
    assert findings[0].verdict.actual == "audit.loaded could not be read: not permitted"
    assert findings[1].verdict.actual.startswith("the check itself failed: ZeroDivisionError")


def test_an_assessment_has_the_host_and_the_time(controls: tuple[Control, ...]) -> None:
    snapshot = make(host="db01")
    assessment = assess(snapshot, controls[:1], benchmark=BENCHMARK)
    assert (assessment.host, assessment.benchmark) == ("db01", BENCHMARK)
    assert assessment.collected_at == snapshot.collected_at != ""
    assert not assessment.unreachable


@pytest.mark.parametrize(
    ("snapshot", "docker"),
    [
        (make(), "26.1.5+dfsg1"),
        (no_engine(), "none"),
        (silent_engine(), "not answering"),
        (make(engine=failed(), **{"docker.version": failed()}), "unknown"),
        (make(**{"docker.version": absent()}, engine={"installed": False}), "none"),
    ],
)
def test_an_assessment_has_the_version_of_the_engine(
    snapshot: Snapshot, docker: str, controls: tuple[Control, ...]
) -> None:
    assert assess(snapshot, controls[:1], benchmark=BENCHMARK).facts["docker"] == docker


def test_a_host_without_facts_gets_all_findings(controls: tuple[Control, ...]) -> None:
    assessment = unreachable("db02", "connection refused", controls, benchmark=BENCHMARK)
    assert (assessment.host, assessment.unreachable, assessment.collected_at) == (
        "db02",
        "connection refused",
        "",
    )
    assert assessment.counts() == {Status.ERROR: len(controls)}
    assert unreachable("db02", "", controls, benchmark=BENCHMARK).unreachable == "unreachable"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("changed", None),
        ("rolled_back", "rolled back: not confirmed within 180 s"),
        ("unconfirmed", "unconfirmed: not confirmed within 180 s"),
        ("partly_rolled_back", "partly rolled back: not confirmed within 180 s"),
        ("abandoned", "abandoned: not confirmed within 180 s"),
    ],
)
def test_a_last_run_that_was_rolled_back_or_failed_is_reported(
    controls: tuple[Control, ...], outcome: str, said: str | None
) -> None:
    run = {"run": "r", "outcome": outcome, "reason": "not confirmed within 180 s", "who": "", "armed": False}
    earlier = {**run, "outcome": "rolled_back"}
    snapshot = make(**{"hardener.runs": {"runs": [run, earlier], "unfinished": None}})
    assert assess(snapshot, controls, benchmark=BENCHMARK).facts.get("last_run") == said


FULL = "/etc/x: No space left on device"


@pytest.mark.parametrize("armed", [True, False])
@pytest.mark.parametrize("recorded", [True, False])
def test_parts_that_were_not_rolled_back_are_reported(
    controls: tuple[Control, ...], *, armed: bool, recorded: bool
) -> None:
    run: dict[str, object] = {"run": "r", "reason": "", "who": "", "armed": armed, "outcome": "unknown"}
    if recorded:
        run |= {"outcome": "rollback_failed", "reason": "no ssh", "kept": ["/etc/y"], "problems": [FULL]}
    unfinished = {"run": "r", "phase": "rolling back", "who": ""}
    snapshot = make(**{"hardener.runs": {"runs": [run], "unfinished": unfinished}})
    said = assess(snapshot, controls[:1], benchmark=BENCHMARK).facts["last_run"]
    what = f"no ssh; changed on the host after the run, and therefore kept (/etc/y); not rolled back ({FULL})"
    who = "the host itself retries the rollback" if armed else "the next run retries the rollback"
    assert said == f"rollback failed: {what if recorded else 'r'}; {who}"


@pytest.mark.parametrize(
    ("names", "what"), [(["a", "b"], "(a, b)"), (list("abcdefg"), "(a, b, c, d, e, and 2 more)")]
)
def test_a_rolled_back_run_is_reported(controls: tuple[Control, ...], names: list[str], what: str) -> None:
    run = {"run": "r", "outcome": "rolled_back", "reason": "no ssh", "who": "", "documents": names}
    snapshot = make(**{"hardener.runs": {"runs": [{**run, "armed": False}], "unfinished": None}})
    facts = assess(snapshot, controls[:1], benchmark=BENCHMARK).facts
    assert facts["last_run"] == f"rolled back: no ssh {what}"


def test_losses_that_remain_after_a_rollback_are_reported(controls: tuple[Control, ...]) -> None:
    run = {"run": "r", "outcome": "rolled_back", "reason": "no ssh", "who": "", "missing": ["web is gone"]}
    snapshot = make(**{"hardener.runs": {"runs": [{**run, "armed": False}], "unfinished": None}})
    said = assess(snapshot, controls[:1], benchmark=BENCHMARK).facts["last_run"]
    assert said == "rolled back: no ssh; restored, but not everything works as before (web is gone)"
