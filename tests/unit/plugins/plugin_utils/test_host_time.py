"""What all tasks of a run may take on a host: added up over the workers, whatever the files hold."""

from __future__ import annotations

import json
import math
import signal
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.hardener.docker.plugins.plugin_utils import guarded, host_time, limits
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.action.answering import Clock, Host


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(host_time.FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(host_time, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


@pytest.mark.usefixtures("folder")
def test_the_time_of_tasks_is_added_up_per_host(clock: Clock) -> None:
    for _ in range(3):
        with host_time.counted("a", ordinary=True):
            clock.sleep(1000)
    with host_time.counted("a", ordinary=True):
        assert host_time.left() == host_time.ORDINARY - 3000
    with host_time.counted("a", ordinary=False):
        assert host_time.left() == host_time.RUN - 3000
        clock.sleep(host_time.RUN - 3000)
        assert host_time.left() == 0
    with (
        pytest.raises(AnsibleConnectionFailure, match="no more tasks are run"),
        host_time.counted("a", ordinary=False),
    ):
        pytest.fail("it has taken everything")
    with host_time.counted("b", ordinary=True):
        assert host_time.left() == host_time.ORDINARY


@pytest.mark.usefixtures("folder")
def test_the_time_of_failed_tasks_is_added_and_that_of_nested_blocks_only_once(clock: Clock) -> None:
    def fail() -> None:
        clock.sleep(5)
        with host_time.counted("a", ordinary=True):
            clock.sleep(5)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), host_time.counted("a", ordinary=True):
        fail()
    with host_time.counted("a", ordinary=True):
        assert host_time.left() == host_time.ORDINARY - 10


def test_without_a_folder_for_times_the_time_of_a_host_is_unlimited(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.delenv(host_time.FOLDER, raising=False)
    with host_time.counted("a", ordinary=True):
        clock.sleep(10**6)
        assert host_time.left() == math.inf
    with host_time.counted("a", ordinary=True):
        assert host_time.left() == math.inf


@given(name=st.text(), text=st.binary(max_size=30))
def test_host_names_cannot_leave_the_folder_of_times_and_damaged_files_give_numbers(
    name: str, text: bytes
) -> None:
    path = Path("/nowhere")
    assert host_time._read(path) == (0.0, 0.0)
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    assert "/" not in digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *_, **__: text.decode("latin-1"))
        whole, short = host_time._read(path)
    assert isinstance(whole, float)
    assert isinstance(short, float)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_deadline_is_limited_by_the_remaining_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, keeps: bool
) -> None:
    taken = host_time.RUN - 0.5
    path = folder / sha256(b"h").hexdigest()
    path.write_text(json.dumps([taken, 0]))
    waits: list[float] = []

    class Action:
        KEEPS_LIMITS = keeps
        _connection = SimpleNamespace()
        _task = SimpleNamespace(timeout=300)

        def run(self, task_vars: Any = None) -> dict[str, Any]:
            if keeps:
                with limits.bounded(self._connection, seconds=300):
                    signal.pause()
            signal.pause()
            return {}

        def cleanup(self) -> None:
            waits.append(1)

    action: Any = Action()
    monkeypatch.setattr(limits, "_silent", "")
    limits.hold(action)
    with pytest.raises(AnsibleConnectionFailure, match=r"within 1 s; .* no more tasks are run"):
        action.run(task_vars={"inventory_hostname": "h"})
    with pytest.raises(AnsibleConnectionFailure):
        action.run(task_vars={"inventory_hostname": "h"})
    assert json.loads(path.read_text())[0] > taken


@pytest.mark.usefixtures("folder")
def test_a_busy_host_is_polled_no_longer_than_its_time_limit(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        guarded,
        "time",
        SimpleNamespace(
            monotonic=lambda: clock.now,
            time=lambda: clock.now,
            sleep=clock.sleep,
            strftime=lambda *_: "later",
            localtime=lambda _: None,
        ),
    )
    with host_time.counted("h", ordinary=False):
        clock.sleep(host_time.RUN - 1000)
        began = clock.now
        found = Host(clock, AnsibleConnectionFailure("lost"), {"outcome": "working"}).converge()
    assert found["outcome"] == "unconfirmed"
    assert clock.now - began < 1100
