from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system, worker
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.converge.system import Outcome
from ansible_collections.hardener.docker.plugins.module_utils.host import steps

SCOPE = "hardener-r.scope"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a systemd was told by whichever process, which moves nothing by itself."""
    log = tmp_path / "told"

    def run(*command: str, **_: Any) -> Outcome:
        with log.open("a") as file:
            file.write(json.dumps([os.getpid(), *command]) + "\n")
        return Outcome(0, "", "")

    monkeypatch.setattr(system, "run", run)
    monkeypatch.setattr(system, "has_systemd", lambda: True)
    return log


def test_a_worker_runs_in_a_scope_that_ends_with_it(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = tmp_path / "cgroup"
    begun = time.monotonic()

    def read(path: str) -> str:
        assert path == "/proc/self/cgroup"
        return f"0::/system.slice/{SCOPE}" if time.monotonic() - begun > 0.3 else "0::/user.slice"

    monkeypatch.setattr(system, "read", read)

    def work() -> dict[str, Any]:
        cgroup.write_text(system.read("/proc/self/cgroup"))
        return {"pid": os.getpid()}

    done = worker.run(work, name="r")
    assert cgroup.read_text() == f"0::/system.slice/{SCOPE}"
    (pid, asked, *_), (parent, *stopped) = map(json.loads, told.read_text().splitlines())
    assert (pid, asked, parent) == (done["pid"], "busctl", os.getpid())
    assert stopped == ["systemctl", "stop", "--", SCOPE]


def test_the_scope_of_a_killed_worker_is_removed(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "read", lambda _: SCOPE)
    with pytest.raises(Failed, match="worker was killed"):
        worker.run(lambda: os.kill(os.getpid(), 9), name="r")  # type: ignore[arg-type,return-value]
    assert json.loads(told.read_text().splitlines()[-1])[1:] == ["systemctl", "stop", "--", SCOPE]


def test_the_wait_for_the_scope_is_bounded(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "read", lambda _: "0::/user.slice")
    monkeypatch.setattr(worker, "_MOVED", 0.1)
    assert worker.run(lambda: {"a": 1}, name="r") == {"a": 1}


def test_the_steps_of_a_worker_are_passed_on_before_its_answer(
    told: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system, "read", lambda _: SCOPE)

    def work() -> dict[str, Any]:
        steps.begin("write files")
        steps.begin("Restart \x1b[31mdocker\n" + "x" * 100)
        return {"answer": "y" * 100_000}

    assert worker.run(work, name="r") == {"answer": "y" * 100_000}
    first, second = capfd.readouterr().err.splitlines()
    assert first == "hardener-step write files"
    assert second == "hardener-step restart 31mdocker " + "x" * 22


def test_a_worker_that_is_killed_after_a_step_has_no_answer(
    told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "read", lambda _: SCOPE)

    def work() -> dict[str, Any]:
        steps.begin("write files")
        os.kill(os.getpid(), 9)
        return {}

    with pytest.raises(Failed, match="worker was killed"):
        worker.run(work, name="r")


def test_a_worker_continues_if_its_output_is_closed(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "read", lambda _: SCOPE)
    monkeypatch.setattr(steps, "_PASSED_ON", 10_000)  # no such descriptor

    def work() -> dict[str, Any]:
        steps.begin("write files")
        return {"done": True}

    assert worker.run(work, name="r") == {"done": True}
    steps.begin("nothing waits for it")
