"""One host or one control over a series of runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history import History
from hardener.history.database import opened
from hardener.history.timeline import StatusStep, Timeline, steps_statement
from hardener.model import Status
from tests.unit.history.runs import put
from tests.unit.reports.assessments import CONTROLS, assessment, gone, statuses

SLUG = CONTROLS[0].slug
FAILS = statuses(Status.FAIL, *[Status.PASS] * 6)
PASSES = statuses(*[Status.PASS] * 7)


@pytest.fixture
def timeline(tmp_path: Path) -> Timeline:
    history = History(tmp_path)
    for name, hosts in {
        "one": [assessment("a", FAILS), assessment("b", PASSES)],
        "two": [assessment("a", PASSES)],
        "three": [assessment("a", PASSES), gone("b")],
    }.items():
        put(history, name, hosts)
    return Timeline(tmp_path, [history.run(name) for name in ("one", "two", "three")])


def test_the_last_run_of_each_host_is_returned(timeline: Timeline) -> None:
    assert {name: run.id for name, run in timeline.hosts().items()} == {"a": "three", "b": "three"}


def test_hosts_of_a_control_are_counted_by_status_and_run(timeline: Timeline) -> None:
    assert timeline.controls()[SLUG] == [
        Counter({Status.FAIL: 1, Status.PASS: 1}),
        Counter({Status.PASS: 1}),
        Counter({Status.PASS: 1, Status.ERROR: 1}),
    ]


def test_status_changes_of_a_host_omit_runs_without_this_host(timeline: Timeline) -> None:
    def of(host: str) -> list[StatusStep]:
        return [step for step in timeline.steps(host) if step.slug == SLUG]

    assert of("a") == [StatusStep(SLUG, 0, Status.FAIL), StatusStep(SLUG, 1, Status.PASS)]
    assert of("b") == [StatusStep(SLUG, 0, Status.PASS), StatusStep(SLUG, 2, Status.ERROR)]
    assert timeline.steps("never there") == []


def test_status_changes_of_a_host_are_queried_by_an_index_of_host_names(
    tmp_path: Path, timeline: Timeline
) -> None:
    with opened(tmp_path / "history.sqlite3") as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {steps_statement('1,2,3')}", ("a",)).fetchall()
    searched = [row[3] for row in plan if row[3].startswith("SEARCH")]
    assert searched[:2] == [
        "SEARCH host USING INDEX host_by_name (run=? AND name=?)",
        "SEARCH finding USING PRIMARY KEY (run=? AND place=?)",
    ]


def test_a_damaged_history_is_reported(tmp_path: Path, timeline: Timeline) -> None:
    for path in tmp_path.glob("history.sqlite3*"):
        path.write_bytes(b"no database" * 100)
    with pytest.raises(HardenerError, match="the history in"):
        timeline.steps("a")
