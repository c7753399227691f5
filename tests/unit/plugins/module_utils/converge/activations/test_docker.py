from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    daemonconfig,
    effective_values,
    files,
    system,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge import engine as asking
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import docker
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.docker import Docker
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.documents import (
    FORMER,
    Document,
    Resource,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.files import NOTHING
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import Plan
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NotFound

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.located import Located

ICC = "com.docker.network.bridge.enable_icc"


class Engine:
    """An engine that a test can look into: it takes its configuration as dockerd does."""

    def __init__(self, config: Path) -> None:
        self.path = "/run/docker.sock"
        self.config = config
        self.up = True
        self.live = False
        self.options = {ICC: "true"}
        self.containers: dict[str, dict[str, Any]] = {}
        self.events: list[str] = []
        self.starts = True
        self.unread: dict[str, str] = {}

    def info(self) -> dict[str, Any] | None:
        if not self.up:
            return None
        running = sum(container["State"]["Running"] for container in self.containers.values())
        return {
            "LiveRestoreEnabled": self.live,
            "Containers": len(self.containers),
            "ContainersRunning": running,
            "SecurityOptions": ["name=seccomp,profile=builtin"],
            "Swarm": {"LocalNodeState": "inactive"},
        }

    def bridge(self) -> dict[str, str]:
        return self.options

    def running(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        found = [container for container in self.containers.values() if container["State"]["Running"]]
        return found, self.unread

    def inspect(self, container: str) -> dict[str, Any]:
        try:
            return self.containers[container]
        except KeyError:
            raise NotFound(container) from None

    def pid(self) -> int:
        return 4711

    def run_container(self, name: str, policy: str = "no") -> None:
        self.containers[name] = {
            "Id": name,
            "Name": f"/{name}",
            "State": {"Running": True},
            "HostConfig": {"RestartPolicy": {"Name": policy}},
        }

    def file(self) -> dict[str, Any]:
        return dict(json.loads(self.config.read_text())) if self.config.exists() else {}

    def reload(self) -> None:
        self.events.append("reload")
        self.live = self.file().get("live-restore", self.live)

    def restart(self) -> None:
        self.events.append("restart")
        if not self.live:
            self._stop()
        if not self.starts:
            self.up = False
            self.starts = True  # the next one does
            raise Failed("docker.service does not start")
        self.up = True
        self.live = self.file().get("live-restore", False)
        if not self.live:
            self._stop()
        if not self.running()[0]:
            self.options = {ICC: json.dumps(self.file().get("icc", True))}

    def _stop(self) -> None:
        for container in self.containers.values():
            policy = container["HostConfig"]["RestartPolicy"]["Name"]
            container["State"] = {"Running": policy == "always", "ExitCode": 137}


Make = Callable[..., Docker]
RESTART = Docker._restart  # which the fixture replaces


@pytest.fixture
def engine(host: Host) -> Engine:
    return Engine(host.folder / "daemon.json")


@pytest.fixture
def make(host: Host, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the activation on the fake engine."""
    unit = {"ActiveState": "active", "KillMode": "process", "MainPID": "4711"}
    monkeypatch.setattr(asking, "state", lambda _: unit if engine.up else {**unit, "ActiveState": "failed"})
    monkeypatch.setattr(docker, "Engine", lambda _: engine)
    monkeypatch.setattr(Docker, "_reload", lambda _: engine.reload())
    monkeypatch.setattr(Docker, "_restart", lambda _: engine.restart())
    monkeypatch.setattr(daemonconfig, "refuse_bad", lambda *_, **__: None)
    clock = iter(range(10_000))
    patient = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(clock))
    monkeypatch.setattr(asking, "time", patient)

    def build(
        *, flags: dict[str, list[str]] | None = None, started: float | None = None, **settings: Any
    ) -> Docker:
        finder = Located(host.path("daemon.json"), flags=flags or {}, started=started)
        return Docker({"when": [host.path("daemon.json")], **settings}, finder=finder)

    return build


def prepare(host: Host, activation: Docker, keys: dict[str, Any]) -> Docker:
    plan = host.plan(host.json("daemon.json", keys))
    activation.prepare(plan)
    host.apply(plan)
    return activation


def test_a_reloadable_key_needs_a_reload(host: Host, make: Make, engine: Engine) -> None:
    activation = prepare(host, make(expect={"info": {"LiveRestoreEnabled": True}}), {"live-restore": True})
    assert activation.action == docker.RELOAD
    activation.perform()
    assert activation.problems() == []
    assert engine.events == ["reload"]


def test_a_key_that_a_reload_does_not_apply_needs_a_restart(host: Host, make: Make, engine: Engine) -> None:
    activation = prepare(host, make(), {"live-restore": True, "icc": False})
    assert activation.action == docker.RESTART
    activation.perform()
    assert engine.events == ["restart"]


def test_live_restore_is_enabled_by_a_reload_before_a_restart(host: Host, make: Make, engine: Engine) -> None:
    engine.run_container("web")
    activation = prepare(host, make(), {"live-restore": True, "icc": False})
    assert "switch live-restore on" in activation.describe()["first"]
    activation.perform()
    assert engine.events == ["reload", "restart"]
    assert activation.problems() == []
    assert engine.containers["web"]["State"]["Running"]


def test_an_engine_whose_apparmor_profile_was_unloaded_is_restarted(
    host: Host, make: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = host.folder / "profiles"
    loaded.write_text("/usr/bin/man (enforce)\ndocker-default (enforce)\n")
    monkeypatch.setattr(effective_values, "_PROFILES", str(loaded))
    wish = {"expect": {"profiles": ["docker-default"]}}
    assert not prepare(host, make(**wish), {}).due
    loaded.write_text("/usr/bin/man (enforce)\n")
    activation = prepare(host, make(**wish), {})
    assert activation.reasons == ["the AppArmor profile docker-default is not loaded"]
    assert activation.action == docker.RESTART
    activation.perform()
    assert engine.events == ["restart"]
    assert activation.problems() == activation.reasons


def test_a_restart_that_stops_containers_has_the_impact_containers_stop(
    host: Host, make: Make, engine: Engine
) -> None:
    engine.run_container("web", policy="always")
    engine.run_container("job")
    activation = prepare(host, make(), {"icc": False})
    assert activation.impact == "containers-stop"
    assert activation.costs == (
        "restarting the engine would stop 2 containers (job, web): live-restore is off by configuration;"
        " not started again, since they have no restart policy: 1 containers (job)"
    )


def test_a_restart_may_stop_a_container_that_cannot_be_inspected(
    host: Host, make: Make, engine: Engine
) -> None:
    engine.unread = {"dark": "timed out"}
    activation = prepare(host, make(), {"icc": False})
    assert activation.impact == "containers-stop"
    assert activation.stopping == ["dark"]
    assert activation.costs == (
        "restarting the engine would stop 1 containers (dark): live-restore is off by configuration;"
        " not inspected, and so counted as running: 1 containers (dark: timed out)"
    )


def test_a_reload_stops_no_container(host: Host, make: Make, engine: Engine) -> None:
    engine.run_container("web")
    assert prepare(host, make(), {"live-restore": True}).impact == "reload"


def test_disabling_live_restore_has_the_cost_of_stopping_running_containers(
    host: Host, make: Make, engine: Engine
) -> None:
    host.write("daemon.json", '{"live-restore": true}')
    engine.live = True
    engine.run_container("web")
    activation = prepare(host, make(), {"live-restore": False, "icc": False})
    assert "live-restore is off by configuration" in activation.costs


@pytest.mark.parametrize(
    ("words", "on"),
    [
        *((word, True) for word in ("1", "t", "T", "TRUE", "true", "True")),
        *((word, False) for word in ("0", "f", "F", "FALSE", "false", "False", "yes", "")),
        ("true false", False),  # the last word counts
        ("0 1", True),
    ],
)
def test_the_live_restore_flag_is_parsed_like_dockerd_does(
    host: Host, make: Make, engine: Engine, words: str, on: bool
) -> None:
    host.write("daemon.json", "{}")
    engine.live = on
    engine.run_container("web")
    given = words.split(" ")
    activation = prepare(host, make(flags={"live-restore": given}), {"icc": False})
    assert activation.action == docker.RESTART
    assert activation.impact == ("daemon-restart" if on else "containers-stop")


def test_a_unit_that_kills_all_processes_disables_live_restore(
    host: Host, make: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run_container("web")
    engine.live = True
    unit = {"ActiveState": "active", "KillMode": "control-group"}
    monkeypatch.setattr(asking, "state", lambda _: unit)
    activation = prepare(host, make(), {"icc": False, "live-restore": True})
    assert activation.impact == "containers-stop"
    assert "KillMode is control-group" in activation.costs


def test_a_restart_names_the_containers_that_it_stops_and_those_that_stay_down(
    host: Host, make: Make, engine: Engine
) -> None:
    engine.run_container("job")
    engine.run_container("web", policy="always")
    activation = prepare(host, make(), {"icc": False})
    described = activation.describe()
    assert (described["stops"], described["stay_down"]) == (["job", "web"], ["job"])
    activation.perform()
    assert activation.problems() == []  # web is back by its policy, job is known to stay down


@pytest.mark.parametrize("timeout", [None, 300, -1])
def test_a_restart_waits_as_long_as_the_engine_waits_for_its_containers(
    host: Host, make: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch, timeout: int | None
) -> None:
    monkeypatch.setattr(Docker, "_restart", RESTART)
    waited: list[float] = []

    def run(*command: str, timeout: float = 0) -> system.Outcome:
        waited.append(timeout)
        return system.Outcome(0, "", "")

    monkeypatch.setattr(system, "run", run)
    engine.run_container("job")
    engine.containers["job"]["Config"] = {"StopTimeout": timeout}
    activation = prepare(host, make(), {"icc": False})
    patience = activation.timeout + 2 * {None: 10, 300: 300, -1: 600}[timeout]
    assert activation.longest > patience
    activation.perform()
    undo(host, activation, None)
    assert waited[1::2] == [patience, patience]


def test_a_wrong_effective_option_of_the_default_bridge_causes_one_restart(
    host: Host, make: Make, engine: Engine
) -> None:
    host.write("daemon.json", '{"icc": false}')
    activation = prepare(host, make(expect={"bridge": {ICC: "false"}}), {"icc": False})
    assert activation.action == docker.RESTART
    assert activation.reasons == [f'{ICC} is "true" on the default bridge, should be "false"']
    activation.perform()
    assert activation.problems() == []
    again = make(expect={"bridge": {ICC: "false"}})
    again.prepare(host.plan(host.json("daemon.json", {"icc": False})))
    assert not again.due


def test_a_setting_of_a_bridge_in_use_is_pending_and_causes_no_second_restart(
    host: Host, make: Make, engine: Engine
) -> None:
    engine.run_container("web")
    keys = {"icc": False, "live-restore": True}
    settings = {"expect": {"bridge": {ICC: "false"}}}
    activation = prepare(host, make(**settings), keys)
    activation.perform()
    assert activation.problems() == []
    assert "with no container running (1 run now)" in activation.pending[0]
    again = make(**settings)
    again.prepare(host.plan(host.json("daemon.json", keys)))
    assert (again.due, len(again.pending)) == (False, 1)


def test_a_file_that_is_newer_than_the_engine_causes_one_restart(
    host: Host, make: Make, engine: Engine
) -> None:
    host.write("daemon.json", '{"log-level": "info"}')
    written = Path(host.path("daemon.json")).stat().st_mtime
    activation = prepare(host, make(loaded=True, started=written - 60), {"log-level": "info"})
    assert (activation.due, activation.action) == (True, docker.RESTART)
    again = make(loaded=True, started=written - 60)
    again.prepare(host.plan(host.json("daemon.json", {"log-level": "info"})))
    assert not again.due


@pytest.mark.parametrize("settings", [{"started": 60}, {"loaded": True}, {"stale": False}])
def test_a_file_that_the_engine_has_loaded_or_need_not_load_is_not_activated(
    host: Host, make: Make, settings: dict[str, Any]
) -> None:
    host.write("daemon.json", '{"log-level": "info"}')
    assert not prepare(host, make(**settings), {"log-level": "info"}).due


def test_a_document_of_an_earlier_version_that_reports_a_newer_file_causes_a_restart(
    host: Host, make: Make
) -> None:
    host.write("daemon.json", '{"log-level": "info"}')
    assert prepare(host, make(stale=True), {"log-level": "info"}).action == docker.RESTART


def test_a_stopped_engine_is_not_started(host: Host, make: Make, engine: Engine) -> None:
    engine.up = False
    activation = prepare(host, make(), {"icc": False})
    assert (activation.due, activation.pending) == (
        False,
        ["the engine does not run: the configuration takes effect when it starts"],
    )


def test_a_socket_activated_engine_is_not_started(
    host: Host, make: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "state", lambda _: {"ActiveState": "inactive", "asleep": "yes"})
    monkeypatch.setattr(engine, "info", lambda: pytest.fail("asking would start it"))
    assert not prepare(host, make(), {"icc": False}).due


def test_an_engine_outside_of_the_unit_is_not_restarted(
    host: Host, make: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "state", lambda _: {})
    with pytest.raises(Refused, match=r"is not run by docker\.service \(no systemd\)"):
        prepare(host, make(), {"icc": False})


def undo(host: Host, activation: Docker, before: str | None) -> tuple[list[str], list[bytes]]:
    """What the transaction does when it rolls back: the file first, then the activation."""
    if before is None:
        (host.folder / "daemon.json").unlink(missing_ok=True)
    else:
        host.write("daemon.json", before)
    written: list[bytes] = []
    another = Docker(activation.settings)
    another.memory = json.loads(json.dumps(activation.memory))
    another.will_write = written.append
    return another.undo(), written


@pytest.mark.parametrize("before", [None, '{"debug": false}'])
def test_containers_survive_the_rollback_of_a_file_that_the_engine_does_not_start_with(
    host: Host, make: Make, engine: Engine, before: str | None
) -> None:
    if before is not None:
        host.write("daemon.json", before)
    engine.run_container("web")
    activation = prepare(host, make(), {"live-restore": True, "log-driver": "nonsense"})
    engine.starts = False
    with pytest.raises(Failed):
        activation.perform()
    for _ in range(2):  # as where it is killed before it is noted as undone
        problems, written = undo(host, activation, before)
        assert problems == []
        assert engine.containers["web"]["State"]["Running"]
        assert engine.live is False  # as it was
        path = host.folder / "daemon.json"
        assert (path.read_text() if path.exists() else None) == before
        assert [json.loads(content)["live-restore"] for content in written] == [True, False]


def test_a_reload_is_undone_by_reloading_the_former_values(host: Host, make: Make, engine: Engine) -> None:
    engine.run_container("web")
    activation = prepare(host, make(), {"live-restore": True})
    activation.perform()
    assert engine.live
    problems, _ = undo(host, activation, None)
    assert (problems, engine.live, engine.events) == ([], False, ["reload", "reload"])


def test_an_activation_that_had_not_begun_needs_no_undo(host: Host, make: Make, engine: Engine) -> None:
    activation = prepare(host, make(), {"icc": False})
    assert undo(host, activation, None) == ([], [])
    assert engine.events == []


Systemctl = list[tuple[str, ...]]


@pytest.fixture
def systemctl(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """What systemd is told about an engine that has never run."""
    engine.up = False
    told: Systemctl = []
    unit = {"ActiveState": "inactive", "KillMode": "process", "TriggeredBy": "docker.socket"}

    def run(*command: str, timeout: float = 30) -> system.Outcome:
        told.append(command)
        return system.Outcome(0, "", "")

    monkeypatch.setattr(asking, "state", lambda _: unit)
    monkeypatch.setattr(system, "run", run)
    return told


def test_a_stopped_engine_is_started_with_the_new_file_on_request(
    host: Host, make: Make, engine: Engine, systemctl: Systemctl
) -> None:
    activation = prepare(
        host, make(start=True, expect={"info": {"LiveRestoreEnabled": True}}), {"live-restore": True}
    )
    assert (activation.due, activation.action, activation.impact) == (True, docker.START, "none")
    assert activation.reasons == [f"{host.path('daemon.json')} changes", "docker.service does not run"]
    activation.perform()
    assert (engine.up, engine.live) == (True, True)
    assert activation.problems() == []

    again = make(start=True, expect={"info": {"LiveRestoreEnabled": True}}, loaded=True, started=60)
    again.prepare(host.plan(host.json("daemon.json", {"live-restore": True})))
    assert not again.due


def test_undoing_stops_the_started_engine_and_its_socket(
    host: Host, make: Make, engine: Engine, systemctl: Systemctl
) -> None:
    activation = prepare(host, make(start=True, expect={"info": {"Driver": "other"}}), {"icc": False})
    activation.perform()
    assert activation.problems() == ['Driver is null in the engine, should be "other"']

    problems, _ = undo(host, activation, None)
    assert problems == []
    assert systemctl == [
        ("systemctl", "stop", "--", "docker.service", "docker.socket"),
        ("systemctl", "reset-failed", "--", "docker.service", "docker.socket"),
    ]


def test_a_socket_unit_that_was_active_before_stays_active(
    host: Host, make: Make, engine: Engine, systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = {"ActiveState": "inactive", "TriggeredBy": "docker.socket", "asleep": "yes"}
    monkeypatch.setattr(asking, "state", lambda _: asleep)
    activation = prepare(host, make(start=True), {"icc": False})
    activation.perform()
    undo(host, activation, None)
    assert systemctl[0] == ("systemctl", "stop", "--", "docker.service")


def test_a_running_engine_is_not_started_again(host: Host, make: Make, engine: Engine) -> None:
    assert prepare(host, make(start=True), {"live-restore": True}).action == docker.RELOAD


def test_without_systemd_the_engine_cannot_be_started(
    host: Host, make: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.up = False
    monkeypatch.setattr(asking, "state", lambda _: {})
    with pytest.raises(Refused, match="needs systemd, which does not run here"):
        prepare(host, make(start=True), {"icc": False})


def test_the_engine_is_not_restarted_if_the_migration_restarts_it(
    host: Host, make: Make, engine: Engine
) -> None:
    engine.run_container("web")
    activation = prepare(host, make(restarted_by="userns-migrate"), {"userns-remap": "default"})
    assert activation.due
    assert activation.impact == "daemon-restart"
    activation.perform()
    assert activation.undo() == []
    assert engine.events == []


def test_a_restart_that_switches_user_namespaces_on_has_the_impact_data_hidden(
    host: Host, make: Make, engine: Engine
) -> None:
    host.write("daemon.json", '{"userns-remap": "default"}')
    engine.run_container("web")
    activation = prepare(host, make(), {"icc": False})
    assert activation.impact == "data-hidden"
    assert "the next start of the engine hides its 1 containers and 0 images" in activation.costs


def test_validation_of_daemon_json_does_not_require_a_user_that_another_document_adds(
    host: Host, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[list[Any]] = []
    monkeypatch.setattr(
        daemonconfig,
        "refuse_bad",
        lambda after, before, *_, **__: judged.append([json.loads(each or "{}") for each in (before, after)]),
    )
    prepare(host, make(remapped="ns"), {"userns-remap": "ns"})
    prepare(host, make(restarted_by="userns-migrate"), {"userns-remap": "other"})
    assert judged == [[{}, {"userns-remap": "default"}], [{}, {}]]


def hardened(host: Host, engine: Engine, content: str) -> Begun:
    """An engine that a run has hardened, with a container that it has kept alive."""
    host.write("daemon.json", content)
    engine.run_container("web")
    engine.live = True
    settings = {"when": [host.path("daemon.json")], "expect": {"info": {"x": 1}}, "start": True}
    return Begun(settings, {"engine": Located(host.path("daemon.json")).served.note()})


def give_back(host: Host, begun: Begun, content: bytes | None) -> Docker:
    """The activation that gives an engine back, prepared, with its file restored."""
    settings, kept, left = Docker.former([begun])
    assert (kept, left, Docker.socket_of([begun])) == ((), (), "/run/docker.sock")
    assert settings == {"when": begun.settings["when"], "outlives": True}
    path = host.path("daemon.json")
    state = NOTHING if content is None else files.read(path)._replace(content=content)
    document = Document(
        "release", "reload", "", (Resource("release", FORMER, path, {"state": state}),), (), (), ""
    )
    plan = Plan((document,), bookkeeping_file=str(host.bookkeeping), read=files.read)
    activation = Docker(settings, finder=Located(path))
    activation.prepare(plan)
    host.apply(plan)
    return activation


ON = '{"live-restore": true, "icc": false}'


@pytest.mark.parametrize("content", [None, b'{"live-restore": false}', b'{\n\t"debug": true}'])
def test_containers_survive_the_restart_that_disables_live_restore_and_its_rollback(
    host: Host, make: Make, engine: Engine, content: bytes | None
) -> None:
    begun = hardened(host, engine, ON)
    activation = give_back(host, begun, content)
    assert (activation.impact, activation.action) == ("daemon-restart", docker.RESTART)
    written: list[bytes] = []
    activation.will_write = written.append
    activation.perform()
    assert (engine.events, engine.live) == (["restart", "reload"], False)
    assert engine.containers["web"]["State"]["Running"]
    path = host.folder / "daemon.json"
    assert (path.read_bytes() if path.exists() else None) == content
    assert [json.loads(each)["live-restore"] for each in written] == [True, False]

    assert undo(host, activation, ON) == ([], [])
    assert (engine.events, engine.live) == (["restart", "reload", "reload", "restart"], True)
    assert engine.containers["web"]["State"]["Running"]
    assert path.read_text() == ON


def test_containers_survive_a_rollback_after_which_the_engine_does_not_start(
    host: Host, make: Make, engine: Engine
) -> None:
    activation = give_back(host, hardened(host, engine, ON), b'{"log-driver": "nonsense"}')
    engine.starts = False
    with pytest.raises(Failed):
        activation.perform()
    assert host.read("daemon.json") == '{"log-driver": "nonsense"}'
    assert undo(host, activation, ON) == ([], [])
    assert (engine.events, engine.live) == (["restart", "restart"], True)
    assert engine.containers["web"]["State"]["Running"]


def test_a_release_that_only_disables_live_restore_reloads(host: Host, make: Make, engine: Engine) -> None:
    activation = give_back(host, hardened(host, engine, '{"live-restore": true}'), None)
    activation.perform()
    assert engine.containers["web"]["State"]["Running"]
    assert (engine.events[-1], engine.live) == ("reload", False)
