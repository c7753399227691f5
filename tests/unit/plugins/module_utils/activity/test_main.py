"""Listening for a while; with real sources it is tested in ``tests/integration/test_activity.py``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import main, record
from ansible_collections.hardener.docker.plugins.module_utils.activity.containers import Container
from ansible_collections.hardener.docker.plugins.module_utils.activity.tally import Baseline, Sighting, Tally
from ansible_collections.hardener.docker.plugins.module_utils.contract import ACTIVITY_FORMAT

from tests.hanging import must_end


class Watch:
    """Stands for the loop: it sees the same thing with every step."""

    kinds = 1

    def __init__(self, _socket: str, tally: Tally, baseline: Baseline | None) -> None:
        self.tally = tally
        self.engine = SimpleNamespace(ready=SimpleNamespace(wait=lambda _: True), problem="", cuts=0, lost=0)
        self.directory = SimpleNamespace(running=list[Container])
        self.audit_problem, self.elsewhere = "", 0

    def step(self, seconds: float) -> None:
        for number in range(self.kinds):
            self.tally.add(
                Sighting(
                    1.0, "docker", f"oom {number}", "seen", "engine", "low", "", "", "", "", "nginx", "engine"
                )
            )
        time.sleep(seconds)

    def finish(self) -> None:
        pass

    def lost(self) -> dict[str, int]:
        return {"overruns": 0}


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel, no engine, and a standard output that can be broken."""
    monkeypatch.setattr(main, "Watch", Watch)
    monkeypatch.setattr(Watch, "kinds", 1)
    answers = iter([5, 8])
    monkeypatch.setattr(main, "kernel_status", lambda: {"lost": next(answers)})


def listen(folder: Path, seconds: float = 0.1) -> dict[str, Any]:
    return main.listen({"seconds": seconds, "socket": "/x", "folder": str(folder)})


def test_listening_ends_after_its_duration_and_reports_kernel_losses(tmp_path: Path) -> None:
    with must_end():
        heard = listen(tmp_path)
    assert heard["lost"] == {"overruns": 0, "kernel": 3}
    assert (heard["record"], heard["record_problem"], heard["deaf"]) == (None, "", [])
    assert [each["unusual"] for each in heard["entries"]] == [None]
    assert list(tmp_path.iterdir()) == []  # it has written nothing


def test_usual_events_are_read_from_the_record_without_modifying_it(tmp_path: Path) -> None:
    known = {"nginx": {"since": -20.0, "kinds": {"docker engine: oom 0": -19.0}}}
    written: dict[str, Any] = {"schema": ACTIVITY_FORMAT, "entries": [], "deaf": [], "blind": [], "lost": {}}
    written |= {"began": 1.0, "ended": 2.0, "learning": 9.0}
    record.write({**written, "baseline": known}, str(tmp_path))
    Watch.kinds = 2
    heard = listen(tmp_path)
    assert {each["kind"]: each["unusual"] for each in heard["entries"]} == {"oom 0": False, "oom 1": True}
    assert "baseline" not in heard["record"]


def test_a_collector_that_stopped_writing_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "silence", lambda past: f"silent, with {past} before")
    assert listen(tmp_path)["record_problem"] == "silent, with None before"


def test_with_an_invalid_record_no_entry_is_classified_as_usual(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{")
    heard = listen(tmp_path)
    assert "is not JSON" in heard["record_problem"]
    assert heard["entries"][0]["unusual"] is None


def test_entries_beyond_the_limit_of_an_answer_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "_MAX_TOLD", 10)
    Watch.kinds = 25
    heard = listen(tmp_path)
    assert (len(heard["entries"]), heard["lost"]["not_told"]) == (10, 15)


def test_listening_ends_when_its_output_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        pass

    def end(code: int) -> None:
        raise Ended(code)

    def broken(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(Ended):
        listen(tmp_path, seconds=60)
