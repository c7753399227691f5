from __future__ import annotations

import dataclasses
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.history import History
from tests.small_disk import no_file_past
from tests.unit.history.runs import put, record, stored
from tests.unit.processes import child
from tests.unit.reports.assessments import assessment, gone

SIZE = 100_000
HOSTS = [assessment("a"), assessment("b"), gone("c")]


@pytest.fixture
def facts(snapshot: Callable[[str], Path]) -> dict[str, Path]:
    """Snapshots that do not compress: random digits."""
    path = snapshot("".join(random.Random(1).choices("0123456789abcdef", k=SIZE)))
    return dict.fromkeys(("a", "b"), path)


def assert_whole(history: History, *ids: str) -> None:
    """These runs are there with everything in them, and nothing else is."""
    assert [run.id for run in history.runs()] == list(ids)
    for run in history.runs():
        assert list(run.assessments()) == HOSTS
        assert [host for host, facts in run.snapshots() if len(facts) == SIZE] == ["a", "b"]
    assert sorted(path.name for path in (history.path / "runs").iterdir()) == sorted(ids)
    assert not list((history.path / "staging").iterdir())


def kill_at_line(number: int) -> Callable[[FrameType, str, Any], Any]:
    """Traces this process, and kills it at this line of the history's code."""
    left = number

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if "hardener/history" not in frame.f_code.co_filename:
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def test_an_unfinished_recording_is_not_stored_in_the_history(
    history: History, facts: dict[str, Path]
) -> None:
    put(history, "one", HOSTS, snapshots=facts)
    with history.begin() as recording:
        recording.keep("a", facts["a"])
    assert_whole(history, "one")


@pytest.mark.parametrize("share", [number / 16 for number in range(17)])
def test_a_process_killed_at_any_line_leaves_a_valid_history(
    history: History, facts: dict[str, Path], share: float
) -> None:
    put(history, "one", HOSTS, snapshots=facts)
    lines = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if "hardener/history" in frame.f_code.co_filename:
            lines += event == "line"
            return count
        return None

    before = sys.gettrace()
    sys.settrace(count)
    put(history, "two", HOSTS, snapshots=facts)
    sys.settrace(before)

    def killed() -> None:
        sys.settrace(kill_at_line(int(share * lines)))
        put(history, "three", HOSTS, snapshots=facts)

    _, status = os.waitpid(child(killed), 0)
    assert os.WIFSIGNALED(status) or share == 1
    ids = [run.id for run in history.runs()]
    assert ids in (["two", "one"], ["three", "two", "one"])
    put(history, "four", HOSTS, snapshots=facts)
    assert_whole(history, "four", *ids)


def test_a_process_killed_at_any_moment_leaves_a_valid_history(
    history: History, facts: dict[str, Path]
) -> None:
    put(history, "one", HOSTS, snapshots=facts)

    def record_on() -> None:
        for number in range(1000):
            put(history, f"{os.getpid()}-{number}", HOSTS, snapshots=facts)

    kills = 0
    while kills < 20 or history.run("latest").id == "one":
        pid = child(record_on)
        time.sleep(random.uniform(0.0, 0.03 + kills / 100))  # longer and longer: some get to their end
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for run in history.runs():
            assert list(run.assessments()) == HOSTS
        kills += 1
    put(history, "last", HOSTS, snapshots=facts)
    assert_whole(history, *(run.id for run in history.runs()))


def test_concurrent_recordings_are_all_stored(history: History, facts: dict[str, Path]) -> None:
    def three() -> None:
        for number in range(3):
            put(history, f"{os.getpid()}-{number}", HOSTS, snapshots=facts)

    pids = [child(three) for _ in range(6)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 6
    ids = [run.id for run in history.runs()]
    assert sorted(ids) == sorted(f"{pid}-{number}" for pid in pids for number in range(3))
    assert_whole(history, *ids)


def test_a_recording_in_progress_is_not_removed(history: History, facts: dict[str, Path]) -> None:
    with history.begin() as slow:
        slow.keep("a", facts["a"])
        put(history, "quick", HOSTS, snapshots=facts)
        slow.keep("b", facts["b"])
        slow.finish(record("slow"), stored(HOSTS))
    assert_whole(history, "slow", "quick")


@pytest.mark.parametrize("size", [0, 1000, 12_000, 20_000, 40_000, 60_000, 110_000, 150_000])
def test_a_full_disk_loses_only_the_run_that_is_being_recorded(
    history: History, facts: dict[str, Path], size: int
) -> None:
    put(history, "one", HOSTS, snapshots=facts)
    ids = ["one"]
    with no_file_past(size):
        try:
            put(history, "two", HOSTS, snapshots=facts)
            ids.insert(0, "two")
        except HardenerError as error:
            assert str(history.path) in str(error)  # noqa: PT017 - some sizes are enough
    assert not ids[1:] or size > 50_000
    put(history, "three", HOSTS, snapshots=facts)
    assert_whole(history, "three", *ids)


def test_a_run_cannot_be_recorded_twice(history: History, facts: dict[str, Path]) -> None:
    put(history, "one", HOSTS, snapshots=facts)
    with pytest.raises(HardenerError, match=r"UNIQUE constraint failed: run\.id"):
        put(history, "one", HOSTS)
    assert_whole(history, "one")


def test_a_missing_snapshot_is_an_error(history: History, tmp_path: Path) -> None:
    with history.begin() as recording, pytest.raises(HardenerError, match="No such file"):
        recording.keep("a", tmp_path / "gone.json")


def test_controls_with_the_same_slug_keep_their_own_texts(history: History) -> None:
    one = assessment("a")
    finding = one.findings[0]
    reworded = dataclasses.replace(
        finding, control=dataclasses.replace(finding.control, title="A newer title")
    )
    other = dataclasses.replace(one, host="b", findings=(reworded, *one.findings[1:]))
    hosts = [one, other, dataclasses.replace(one, host="c")]
    assert list(put(history, "one", hosts).assessments()) == hosts
    assert len(history.run("one").controls) == len(one.findings) + 1
