from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.activity_answers import ANSWER, entry
from tests.unit.cli.fake_fleet import FakeFleet

Hardener = Callable[..., Result]
QUIET = {**ANSWER, "entries": [entry(severity="low")]}


@pytest.fixture
def hosts(fleet: FakeFleet) -> FakeFleet:
    fleet.snapshots = {"web1": "", "web2": ""}
    return fleet


def test_activity_of_each_host_is_observed_for_the_given_duration(
    hardener: Hardener, hosts: FakeFleet
) -> None:
    hosts.activity = lambda _: QUIET
    result = hardener("activity", "-i", "inv,", "--for", "10m")
    assert result.exit_code == 0
    assert "web1: observed for 600 s" in result.stdout
    assert "web2: observed for 600 s" in result.stdout
    assert hosts.runs == [("activity", {"variables": {"activity_seconds": 600}})]


@pytest.mark.parametrize("unusual", [True, None])
def test_unusual_or_unclassified_entries_give_exit_code_3(
    hardener: Hardener, hosts: FakeFleet, unusual: bool | None
) -> None:
    hosts.activity = lambda host: {**ANSWER, "entries": [entry(unusual=unusual)]} if host == "web2" else QUIET
    assert hardener("activity", "-i", "inv,").exit_code == 3


def test_usual_entries_give_exit_code_0(hardener: Hardener, hosts: FakeFleet) -> None:
    hosts.activity = lambda _: {**ANSWER, "entries": [entry(unusual=False)]}
    assert hardener("activity", "-i", "inv,").exit_code == 0


def test_unusual_entries_in_the_record_of_the_collector_give_exit_code_3(
    hardener: Hardener, hosts: FakeFleet
) -> None:
    record = {**ANSWER, "entries": [entry(unusual=True)]}
    hosts.activity = lambda _: {**QUIET, "record": record}
    assert hardener("activity", "-i", "inv,").exit_code == 3


@pytest.mark.parametrize(
    "answer",
    [
        {"failed": True, "msg": "Python 3.8 or newer is needed"},
        {**QUIET, "deaf": ["the kernel's audit records cannot be received"]},
        {**QUIET, "lost": {"overruns": 1}},
        {**QUIET, "record_problem": "the collector has written nothing since yesterday"},
        {**QUIET, "entries": "x"},
    ],
)
def test_a_failed_or_partly_observed_host_makes_the_result_incomplete(
    hardener: Hardener, hosts: FakeFleet, answer: dict[str, object]
) -> None:
    hosts.activity = lambda host: answer if host == "web2" else QUIET
    result = hardener("activity", "-i", "inv,")
    assert result.exit_code == 4
    assert "Traceback" not in result.stdout + result.stderr


def test_a_host_with_an_unreadable_answer_is_named_once(hardener: Hardener, hosts: FakeFleet) -> None:
    hosts.activity = lambda host: {**QUIET, "entries": "x"} if host == "web2" else QUIET
    assert (
        "\nweb2: the answer about denials is malformed: " in f"\n{hardener('activity', '-i', 'inv,').stderr}"
    )


def test_all_observations_are_written_as_json(hardener: Hardener, hosts: FakeFleet, tmp_path: Path) -> None:
    hosts.activity = lambda _: ANSWER
    hardener("activity", "-i", "inv,", "--json", str(tmp_path / "a.json"))
    first, _ = json.loads((tmp_path / "a.json").read_text())["hosts"]
    assert (first["host"], first["now"]["entries"][0]["kind"]) == ("web1", "mount")
    assert first["now"]["began"] == "2026-11-25T14:20:00Z"
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


def test_an_unwritable_file_is_refused_before_any_host_listens(
    hardener: Hardener, hosts: FakeFleet, tmp_path: Path
) -> None:
    result = hardener("activity", "-i", "inv,", "--json", str(tmp_path / "no" / "a.json"))
    assert (result.exit_code, hosts.runs) == (2, [])


@pytest.mark.parametrize("time", ["", "0s", "10", "25h", "-5m", "2d", "ten", "9999999s", "5m\n"])
def test_an_invalid_duration_is_refused(hardener: Hardener, hosts: FakeFleet, time: str) -> None:
    result = hardener("activity", "-i", "inv,", "--for", time)
    assert result.exit_code == 2
    assert "is not a time from 1s to 24h" in result.stderr
    assert hosts.runs == []


@pytest.mark.parametrize(("time", "seconds"), [("30s", 30), ("10m", 600), ("24h", 86400)])
def test_valid_durations_are_accepted(hardener: Hardener, hosts: FakeFleet, time: str, seconds: int) -> None:
    hosts.activity = lambda _: QUIET
    hardener("activity", "-i", "inv,", "--for", time)
    assert hosts.runs[0][1]["variables"] == {"activity_seconds": seconds}
