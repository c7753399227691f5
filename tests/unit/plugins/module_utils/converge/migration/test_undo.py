"""The undo of a migration by what it has stored; tests/integration/test_userns_migration.py has an engine."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration import restart, staging, undo
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.undo import Undo
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NotFound


class Engine:
    """An engine that lists one container, and whose root is this.

    Attributes:
        down_at: by container, the second at which a stop that was requested earlier ends it; else it runs.
        timeout: seconds that it gives a container to stop; None for the engine's own.
        refuses: it starts no container.
    """

    path = "/run/docker.sock"

    def __init__(self, root: str) -> None:
        self.root = root
        self.asked: list[str] = []
        self.down_at: dict[str, float] = {}
        self.timeout: int | None = None
        self.refuses = False
        self.up = True
        self.clock = 0.0

    def info(self) -> dict[str, Any] | None:
        return {"DockerRootDir": self.root} if self.up else None

    def data_root(self) -> str:
        return self.root

    def get(self, _path: str) -> list[dict[str, str]]:
        return [{"Id": "new"}]

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def call(self, method: str, path: str, **_: Any) -> None:
        self.asked.append(f"{method} {path}")
        if self.refuses and path.endswith("/start"):
            raise Failed("the port is already allocated")
        if path.endswith("/unpause"):
            raise Failed("it is not paused")

    def inspect(self, identity: str) -> dict[str, Any]:
        if identity == "gone":
            raise NotFound("no such container")
        return {
            "Id": identity,
            "Name": f"/{identity}",
            "HostConfig": {},
            "Config": {"StopTimeout": self.timeout},
            "State": {"Running": self.clock < self.down_at.get(identity, float("inf"))},
        }


class Host:
    """What a migration has left on a host."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = str(folder), str(folder / "100000.100000")
        Path(self.new).mkdir()
        self.engine = Engine(self.new)
        self.memory: dict[str, Any] = {
            "stage": undo.MAKING,
            "old_root": self.old,
            "new_root": self.new,
            "is_new": True,
            "running": ["one", "gone"],
            "paused": ["one"],
            "stays_down": ["one"],
        }

    @property
    def undo(self) -> Undo:
        return Undo(self.engine, self.memory, unit="docker.service", timeout=1)  # type: ignore[arg-type]

    def roots(self) -> list[str]:
        return sorted(path.name.partition(".undone-")[1] for path in Path(self.old).iterdir())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose restarts put the engine on its old root."""
    found = Host(tmp_path)

    def restart_engine(engine: Engine, unit: str, *, timeout: float) -> None:
        engine.asked.append(f"restart {unit} within {timeout} s")
        engine.root = found.old

    clock = SimpleNamespace(
        monotonic=lambda: found.engine.clock,
        sleep=found.engine.sleep,
        strftime=time.strftime,
        gmtime=time.gmtime,
    )
    monkeypatch.setattr(undo, "time", clock)
    monkeypatch.setattr(restart, "restart_engine", restart_engine)
    monkeypatch.setattr(staging, "end_leftover", lambda: None)
    monkeypatch.setattr(staging, "remove", lambda: None)
    return found


def test_an_undo_stops_containers_of_the_new_root_and_starts_the_former_ones(host: Host) -> None:
    assert host.undo.run() == []
    assert host.engine.asked == [
        "POST /containers/new/unpause",
        "POST /containers/new/stop",
        "restart docker.service within 1 s",
        "POST /containers/one/start",
        "POST /containers/one/pause",
    ]
    assert host.roots() == []


def test_an_engine_that_still_uses_its_old_data_root_is_not_restarted(host: Host) -> None:
    host.memory["stage"], host.engine.root = undo.STOPPED, host.old
    host.undo.run()
    assert host.engine.asked == ["POST /containers/one/start", "POST /containers/one/pause"]


@pytest.mark.parametrize(
    ("timeout", "down_at", "waited"),
    [
        (None, 9, 9),  # the engine's own
        (0, 1, 1),
        (300, 299, 299),
        (300, 2, 2),
        (None, None, 20),  # no stop was in progress
        (-1, None, 610),  # that engine would wait for ever
        (99999, None, 610),
    ],
)
def test_containers_are_started_once_the_stops_of_a_killed_worker_have_ended(
    host: Host, timeout: int | None, down_at: float | None, waited: float
) -> None:
    host.memory["stage"], host.engine.root = undo.STOPPED, host.old
    host.engine.timeout = timeout
    if down_at is not None:
        host.engine.down_at["one"] = down_at
    assert host.undo.run() == []
    assert host.engine.asked == ["POST /containers/one/start", "POST /containers/one/pause"]
    assert host.engine.clock == waited


@pytest.mark.parametrize("stage", [undo.STAGING, *undo.IN_NEW_ROOT])
def test_no_stop_is_waited_for_where_none_can_be_in_progress(host: Host, stage: str) -> None:
    host.memory["stage"] = stage
    host.undo.run()
    assert host.engine.clock == 0


def test_an_engine_that_may_be_about_to_restart_is_restarted(host: Host) -> None:
    host.memory["stage"], host.engine.root = undo.SWITCHING, host.old
    host.undo.run()
    assert host.engine.asked[0] == "restart docker.service within 1 s"


def test_an_undo_is_complete_although_a_container_does_not_start(host: Host) -> None:
    host.engine.refuses = True
    assert host.undo.run() == []
    assert host.roots() == []


def test_an_engine_that_does_not_answer_is_an_error(host: Host) -> None:
    host.engine.up = False
    assert host.undo.run() == ["the engine does not answer at /run/docker.sock"]


def test_an_engine_that_stays_on_the_new_data_root_is_an_error(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restart, "restart_engine", lambda *_, **__: None)
    with pytest.raises(Failed, match=r"instead of .*: is userns-remap still set"):
        host.undo.run()


def test_files_that_containers_may_have_changed_are_kept(host: Host) -> None:
    host.memory["stage"] = undo.DONE
    host.undo.run()
    assert host.roots() == [".undone-"]


def test_a_new_data_root_with_a_remaining_mount_is_not_removed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmounted: list[tuple[str, ...]] = []
    monkeypatch.setattr(system, "run", lambda *command: unmounted.append(command))
    monkeypatch.setattr(undo, "mounted_below", lambda root: [f"{root}/x"])
    host.undo.run()
    assert unmounted == [("umount", "--lazy", "--", f"{host.new}/x")]
    assert [path.name for path in Path(host.old).iterdir()] == ["100000.100000"]


def test_an_undo_during_boot_removes_copies_and_starts_no_container(host: Host) -> None:
    assert host.undo.at_boot() == ["not started yet: one; start them, or let the next run start them"]
    assert (host.engine.asked, host.roots()) == ([], [])


def test_a_migration_that_never_began_needs_no_undo(host: Host) -> None:
    host.memory.clear()
    assert (host.undo.run(), host.undo.at_boot(), host.engine.asked) == ([], [], [])
