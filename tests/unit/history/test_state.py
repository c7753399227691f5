"""The latest state of an inventory: generated runs, compared with results that are joined by hand."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace

import pytest

from hardener.assess import unreachable
from hardener.history import History
from hardener.model import Assessment, Status
from tests.unit.history.runs import put, record
from tests.unit.reports.assessments import BENCHMARK, CONTROLS, assessment

SLUGS = [each.slug for each in CONTROLS]
ERROR = Status.ERROR


def judged(host: str, status: Status, slugs: Collection[str]) -> Assessment:
    """A host whose controls all have one status, those of the given names."""
    findings = (each for each in assessment(host).findings if each.control.slug in slugs)
    return replace(
        assessment(host),
        findings=tuple(
            replace(each, verdict=replace(each.verdict, status=status), waivers=(), attestations=())
            for each in findings
        ),
    )


def lost(host: str, slugs: Collection[str]) -> Assessment:
    """A host that could not be reached."""
    chosen = [each for each in CONTROLS if each.slug in slugs]
    return unreachable(host, "no route", chosen, benchmark=BENCHMARK)


def statuses(found: Assessment) -> dict[str, Status]:
    return {each.control.slug: each.status for each in found.findings}


@pytest.mark.parametrize("seed", range(40))
def test_each_host_and_control_has_its_newest_result(history: History, seed: int) -> None:
    chance = random.Random(seed)
    hosts = [f"h{number}" for number in range(4)]
    expected: dict[str, dict[str, Status]] = {}
    behind: dict[str, dict[str, str]] = {}
    away: set[str] = set()  # hosts that their newest run did not reach: all of their results are errors
    for number in range(chance.randint(2, 9)):
        whole = number == 0 or chance.random() < 0.25
        limited = sorted(chance.sample(hosts, chance.randint(1, 3))) if not whole else []
        of = limited if chance.random() < 0.7 else []
        only = sorted(chance.sample(SLUGS, chance.randint(1, 3))) if not whole and not of else []
        present = of or chance.sample(hosts, chance.randint(2, 4))
        slugs = only or SLUGS
        if whole:
            expected, behind, away = {}, {}, set()
        found = []
        for host in present:
            known, name = expected.setdefault(host, {}), f"run-{number}"
            if chance.random() < 0.2:
                found.append(lost(host, slugs))
                away.add(host)
                known.update(dict.fromkeys(slugs, ERROR))
            else:
                status = chance.choice((Status.PASS, Status.FAIL, Status.MANUAL))
                found.append(judged(host, status, slugs))
                away.discard(host)
                known.update(dict.fromkeys(slugs, status))
            behind.setdefault(host, {}).update(dict.fromkeys(slugs, name))
        put(history, f"run-{number}", found, limit=",".join(of), only=tuple(only))
    for host in away:
        expected[host] = dict.fromkeys(expected[host], ERROR)
    state = history.run("latest")
    assert {each.host: statuses(each) for each in state.assessments()} == expected
    assert [state.assessment(each.host) for each in state.assessments()] == list(state.assessments())
    assert sorted(state.names()) == sorted(expected)
    assert state.hosts == len(expected)
    assert state.unreachable == sum(bool(each.unreachable) for each in state.assessments())
    assert sum(state.counts().values()) == sum(map(len, expected.values()))
    needed = {run for runs in behind.values() for run in runs.values()}
    assert needed <= {run.id for run in state.parts}


def test_one_run_over_everything_is_its_own_state(history: History) -> None:
    put(history, "limited", limit="web")
    put(history, "whole", only=())
    run = history.run("latest")
    assert (run.id, [each.id for each in run.parts]) == ("whole", ["whole"])
    assert run.record == replace(record("whole"), only=())


def test_the_state_before_the_newest_runs(history: History) -> None:
    put(history, "whole", [judged(each, Status.FAIL, SLUGS) for each in ("a", "b")], only=())
    put(history, "first", [judged("a", Status.PASS, SLUGS)], limit="a", only=())
    put(history, "second", [judged("b", Status.PASS, SLUGS)], limit="b", only=())
    before, after = history.run("latest~1"), history.run("latest")
    assert [each.id for each in before.parts] == ["first", "whole"]
    assert [each.id for each in after.parts] == ["second", "first"]
    assert (found := before.assessment("b"))
    assert statuses(found)[SLUGS[0]] is Status.FAIL
    assert (after.record.limit, after.record.only) == ("", ())


def test_runs_by_another_benchmark_do_not_count(history: History) -> None:
    put(history, "whole", [judged("a", Status.FAIL, SLUGS)], only=())
    other = replace(record("other").info, benchmark="cis-docker-1.6.0")
    put(history, "other", [judged("a", Status.PASS, SLUGS)], info=other, only=())
    put(history, "limited", [judged("b", Status.PASS, SLUGS)], limit="b", only=())
    assert [each.id for each in history.run("latest").parts] == ["limited", "whole"]


def test_controls_that_the_run_over_all_hosts_lacks_are_left_out(history: History) -> None:
    put(history, "whole", [judged(each, Status.FAIL, SLUGS[:3]) for each in ("a", "b")], level=1, only=())
    put(history, "limited", [judged("a", Status.PASS, SLUGS)], limit="a", only=())
    assert [list(statuses(each)) for each in history.run("latest").assessments()] == [SLUGS[:3]] * 2


def test_drift_is_measured_against_runs_that_reached_a_host_and_are_none_of_drift(history: History) -> None:
    put(history, "whole", [judged("a", Status.FAIL, SLUGS)], only=())
    put(history, "drift", [judged("a", Status.PASS, SLUGS)], verb="drift", only=())
    put(history, "lost", [lost("a", SLUGS)], only=())
    put(history, "harden", [judged("a", Status.PASS, SLUGS)], verb="harden", limit="a", only=())
    assert (state := history.state("prod.yml", reference=True))
    assert [each.id for each in state.parts] == ["harden"]
    assert (before := history.state("prod.yml", 1, reference=True))
    assert before.id == "whole"
