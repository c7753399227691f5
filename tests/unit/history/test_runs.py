from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hardener.history import History, SelectedResults
from hardener.model import Status
from hardener.result_filter import ResultFilter
from tests.unit.history.runs import put
from tests.unit.reports.assessments import assessment, gone
from tests.unit.snapshots import make


def test_without_a_filter_all_results_are_selected(history: History) -> None:
    found = [assessment("a"), gone("b")]
    results = SelectedResults(put(history, "one", found), ResultFilter())
    assert list(results.assessments()) == found
    assert results.info.filtered == ""
    assert (results.chosen_hosts, results.chosen_results) == (results.hosts, results.results) == (2, 14)


def test_without_a_filter_hosts_without_findings_are_kept(history: History) -> None:
    empty = replace(assessment("a"), findings=())
    assert list(SelectedResults(put(history, "one", [empty]), ResultFilter()).assessments()) == [empty]


def test_groups_are_read_from_the_assessment_or_the_snapshot(
    history: History, snapshot: Callable[[str], Path], tmp_path: Path
) -> None:
    old = tmp_path / "old.json"
    old.write_text(json.dumps({**make().raw, "inventory_groups": ["web"]}))
    run = put(
        history,
        "one",
        [
            replace(assessment("new"), groups=("web", "prod")),
            *(replace(each, groups=()) for each in (assessment("old"), assessment("bad"), gone("c"))),
        ],
        snapshots={"old": old, "bad": snapshot("not JSON")},
    )
    results = SelectedResults(run, ResultFilter(limit="web"))
    assert [each.host for each in results.assessments()] == ["new", "old"]
    assert results.without_groups == 2  # of bad and c


@pytest.mark.parametrize("host", ["\ud800", "a\x00b", "*"])
def test_a_host_with_an_unstorable_name_is_filtered(history: History, host: str) -> None:
    run = put(
        history, "one", [replace(assessment(host), groups=("g",)), replace(assessment("other"), groups=())]
    )
    results = SelectedResults(run, ResultFilter(limit="g", statuses=(Status.FAIL,)))
    assert [each.host for each in results.assessments()] == [host]
