"""A container that is recorded itself is restarted once, and nothing else is done to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import (
    observe,
    project,
    restart,
    runtime,
    subject,
)
from ansible_collections.hardener.docker.plugins.module_utils.record.account import Account
from ansible_collections.hardener.docker.plugins.module_utils.record.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.record.parts import Part
from ansible_collections.hardener.docker.plugins.module_utils.record.recorder import Recorder

from tests.unit.plugins.module_utils.record.inspected import IDENTITY, container

FORMER, OTHER = 7, 8  # cgroups
STATE = {"Status": "running", "Running": True, "Pid": 0, "StartedAt": "before"}


def original(labels: dict[str, str] | None = None, /, **host: Any) -> dict[str, Any]:
    """What the engine shows of the container."""
    found = container(**host)
    found["State"] = dict(STATE)
    found["Config"]["Labels"] = labels or {}
    found["Mounts"] = []
    return found


class FakeEngine:
    """Has containers, of which the first one is restarted, and takes note of what is done to them."""

    def __init__(self, *containers: dict[str, Any], broken: bool = False) -> None:
        self.done: list[str] = []
        self._containers = containers
        self._broken = broken

    def get(self, path: str, *_: Any, **__: Any) -> Any:
        """What it shows."""
        if path == "/containers/json":
            return [{"Id": each["Id"]} for each in self._containers]
        if path.endswith("/changes"):
            return []
        wanted = path.split("/")[2]
        return next(each for each in self._containers if wanted in (each["Id"], each["Name"].lstrip("/")))

    def call(self, method: str, path: str, **_: Any) -> None:
        """Do it."""
        self.done.append(f"{method} {path}")
        if self._broken:
            raise Failed("a port is in use")
        self._containers[0]["State"]["StartedAt"] = "now"


class FakeSource:
    """Has a cgroup of the container before its restart, and one after."""

    def __init__(self, engine: FakeEngine) -> None:
        self._done = engine.done

    def want(self, identity: str, slot: int) -> None:
        """Take note of it."""
        self._done.append(f"want {identity} {slot}")

    def phase(self, name: str, *, unfiltered: bool, slot: int) -> None:
        """Take note of it."""
        self._done.append(name)

    def cgroups(self, _slot: int) -> set[int]:
        """All of them."""
        return {FORMER, OTHER}


@pytest.fixture(autouse=True)
def cgroups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cgroups in which the container's process is found, one after the other."""
    monkeypatch.setattr(subject, "_NOTICED", 0.0)
    found = [OTHER, FORMER]
    monkeypatch.setattr(runtime, "cgroup_of", lambda _pid, _container: found.pop())
    return found


def made(engine: FakeEngine) -> Part:
    source = FakeSource(engine)
    found = engine.get(f"/containers/{IDENTITY}/json")
    member = project.Member("web", found, True, {}, restarted=True)
    return restart.part(
        cast(Engine, engine), member, Account(cast(Recorder, source), 3, unfiltered=False, own_seccomp=False)
    )


def test_a_container_is_restarted_by_one_request_after_its_recording_began() -> None:
    engine = FakeEngine(original())
    part = made(engine)
    assert part.life.start_empty()
    part.life.stop_first()
    part.life.start_used()
    assert engine.done == ["start-used", f"want {IDENTITY} 3", f"POST /containers/{IDENTITY}/restart"]
    assert part.account is not None
    assert part.account.cgroups() == {OTHER}  # not that of the programs that the restart has ended
    part.life.reload()
    part.life.crash_restart()
    part.life.stop()
    assert len(engine.done) == 3
    assert {name: phase["exercised"] for name, phase in part.life.phases.items()} == {
        "start-empty": False,
        "start-used": True,
        "reload": False,
        "crash-restart": False,
        "stop": False,
    }
    assert not part.life.missing


def test_a_failed_restart_says_how_the_container_is_started() -> None:
    engine = FakeEngine(original(), broken=True)
    with pytest.raises(Failed, match=r"may be stopped now: .* start it by `docker start web` \(a port is in"):
        made(engine).life.start_used()


def test_a_container_that_has_ended_is_not_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_pid: int, _container: str) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(runtime, "cgroup_of", gone)
    engine = FakeEngine(original())
    with pytest.raises(Failed, match="web has ended: nothing was restarted"):
        made(engine).life.start_used()
    assert engine.done == ["start-used"]


def test_a_control_group_of_both_starts_is_an_error(cgroups: list[int]) -> None:
    cgroups[:] = [FORMER, FORMER]
    with pytest.raises(Failed, match="calls of both starts would be mixed"):
        made(FakeEngine(original())).life.start_used()


def test_a_further_start_is_reported() -> None:
    found = original()
    part = made(FakeEngine(found))
    part.life.start_used()
    found["State"]["StartedAt"] = "later"
    part.life.stop()
    assert part.life.missing == [
        "the container was started again meanwhile: after that, only its calls were recorded"
    ]


@pytest.mark.parametrize(
    ("mode", "carried", "reason"),
    [
        ("shop_default", "", "the container received packets from others"),
        ("shop_default", "connections reached the container", "connections reached the container"),
        ("host", "connections reached the container", "connections reached the container"),
        ("host", "", ""),
        ("container:abc", "", ""),
    ],
)
def test_packets_are_an_exercise_only_in_a_network_of_its_own(
    monkeypatch: pytest.MonkeyPatch, mode: str, carried: str, reason: str
) -> None:
    packets = iter([5, 6])
    monkeypatch.setattr(observe, "arrived", lambda _pid: next(packets))
    part = made(FakeEngine(original(NetworkMode=mode)))
    part.life.serve()
    part.life.served({"seconds": 1, "problem": ""}, carried)
    serve = part.life.phases["serve"]
    expected = (bool(reason), reason or "no connection reached the container")
    assert (serve["exercised"], serve["reason"]) == expected


def test_a_container_on_the_network_of_the_host_is_reached_by_its_loopback_address() -> None:
    assert made(FakeEngine(original(NetworkMode="host"))).subject.address() == "127.0.0.1"


def refused(*containers: dict[str, Any], name: str = "web") -> str:
    engine = FakeEngine(*containers)
    with pytest.raises(Failed) as error:
        restart.cast(cast(Engine, engine), name)
    assert engine.done == []
    return str(error.value)


def test_a_container_that_can_be_restarted_is_the_only_one_of_the_recording() -> None:
    engine = FakeEngine(original())
    found = restart.cast(cast(Engine, engine), "web")
    assert [(each.recorded, each.restarted) for each in found.members] == [(True, True)]
    assert found.remarks == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [("exited", "does not run"), ("paused", "status is paused"), ("restarting", "status is restarting")],
)
def test_only_a_running_container_is_restarted(status: str, reason: str) -> None:
    found = original()
    found["State"]["Status"] = status
    assert reason in refused(found)


def test_a_container_that_its_stop_may_remove_is_refused() -> None:
    assert "web was started with --rm" in refused(original(AutoRemove=True))


def test_a_task_of_swarm_is_refused() -> None:
    assert "web is a task of Swarm" in refused(original({"com.docker.swarm.task.id": "x"}))


def test_a_twin_is_refused() -> None:
    run = "f" * 16
    twin = {**original({"hardener.twin": run}), "Name": f"/hardener-twin-{run}-0-used"}
    assert "is the twin of another recording" in refused(twin, name=f"hardener-twin-{run}-0-used")


@pytest.mark.parametrize(
    ("key", "word"), [("NetworkMode", "network"), ("PidMode", "processes"), ("IpcMode", "shared memory")]
)
def test_a_container_whose_namespace_another_one_uses_is_refused(key: str, word: str) -> None:
    other = {**original(**{key: f"container:{IDENTITY}"}), "Id": "e" * 64, "Name": "/sidecar"}
    assert f"sidecar uses its {word}, and would lose it" in refused(original(), other)


@pytest.mark.parametrize("key", ["NetworkMode", "PidMode", "IpcMode"])
def test_a_container_that_uses_a_namespace_of_a_stopped_one_is_refused(key: str) -> None:
    assert "could not start again" in refused(original(**{key: f"container:{'e' * 64}"}))
    running = {**original(), "Id": "e" * 64, "Name": "/vpn"}
    engine = FakeEngine(original(**{key: f"container:{'e' * 64}"}), running)
    assert restart.cast(cast(Engine, engine), "web").members


def test_a_container_whose_device_or_mounted_path_is_gone_is_refused(tmp_path: Path) -> None:
    device = {"PathOnHost": str(tmp_path / "video0"), "PathInContainer": "/dev/video0"}
    assert "video0 of the host, which it uses, is gone" in refused(original(Devices=[device]))
    found = original()
    found["Mounts"] = [{"Type": "bind", "Source": str(tmp_path / "data"), "Destination": "/data"}]
    assert "data of the host, which it uses, is gone" in refused(found)
    (tmp_path / "data").mkdir()
    assert restart.cast(cast(Engine, FakeEngine(found)), "web").members


@pytest.mark.parametrize("seconds", [-1, 3600])
def test_a_container_that_may_take_long_to_stop_is_refused(seconds: int) -> None:
    found = original()
    found["Config"]["StopTimeout"] = seconds
    assert "may take more than 900 s to stop" in refused(found)
