from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import engine, health, system
from ansible_collections.hardener.docker.plugins.module_utils.converge import engine as engine_module
from ansible_collections.hardener.docker.plugins.module_utils.converge.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration import survey
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.survey import Client
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NoAnswer, NotFound

from tests.hanging import must_end
from tests.unit.plugins.module_utils.snapshot import engines
from tests.unit.plugins.module_utils.snapshot.servers import serving


def answering(bodies: dict[str, bytes]) -> Callable[[socket.socket], None]:
    """Answer one request in HTTP/1.0 and hang up."""

    def answer(connection: socket.socket) -> None:
        path = connection.recv(65536).split()[1].decode().partition("?")[0]
        body = bodies.get(path)
        status = b"200 OK" if body is not None else b"404 Not Found"
        connection.sendall(b"HTTP/1.0 %s\r\n\r\n%s" % (status, body or b""))
        connection.shutdown(socket.SHUT_RDWR)

    return answer


SAYINGS = [b"{}", b"[]", b"null", b'"x"', b"7", b'{"Id":', b"[{}]", b"[[]]", b"", b"[" * 100_000]


def bodies(**changes: bytes) -> dict[str, bytes]:
    documents = engines.documents()
    documents["/networks/bridge"] = documents[
        next(path for path in documents if path.startswith("/networks/"))
    ]
    found = engines.bodies(documents, "0")
    return {path.replace("/v0", "", 1).partition("?")[0]: body for path, body in found.items()} | changes


def test_data_of_an_engine_is_read(tmp_path: Path) -> None:
    with serving(tmp_path / "s", answering(bodies())) as path:
        engine = Engine(path)
        info = engine.info()
        assert info is not None
        assert info["DockerRootDir"] == "/var/lib/docker"
        assert "com.docker.network.bridge.name" in engine.bridge() or engine.bridge() == {}
        assert engine.running()[1] == {}
        with pytest.raises(NotFound):
            engine.inspect("unknown")


@pytest.mark.parametrize("saying", SAYINGS, ids=range(len(SAYINGS)))
def test_a_server_with_the_same_answer_to_everything_is_refused(saying: bytes, tmp_path: Path) -> None:
    same = dict.fromkeys(bodies(), saying)
    same["/containers/web/json"] = saying
    with serving(tmp_path / "s", answering(same)) as path:
        engine = Engine(path)
        assert engine.info() is None
        for ask in (engine.bridge, lambda: engine.inspect("web"), lambda: engine.get("/volumes")):
            with pytest.raises(NoAnswer):
                ask()
        with pytest.raises(Failed):
            survey.look(Client(path))


@pytest.mark.parametrize("field", ["State", "HostConfig", "NetworkSettings", "RestartCount", "Id"])
def test_a_container_without_required_fields_is_refused(field: str, tmp_path: Path) -> None:
    container = engines.container()
    del container[field]
    answers = engines.bodies({"/containers/web/json": container}, "0")
    with (
        serving(
            tmp_path / "s", answering({path.replace("/v0", "", 1): body for path, body in answers.items()})
        ) as path,
        pytest.raises(NoAnswer, match=field),
    ):
        Engine(path).inspect("web")


def test_a_container_that_cannot_be_inspected_does_not_affect_others(tmp_path: Path) -> None:
    found = bodies()
    listed = json.loads(found["/containers/json"])
    listed[0]["Names"] = ["/first\x1b[2J"]
    found["/containers/json"] = json.dumps(listed).encode()
    found[f"/containers/{listed[0]['Id']}/json"] = b'{"Id": 7}'
    with serving(tmp_path / "s", answering(found)) as path:
        running, unread = Engine(path).running()
        picture = health.take_baseline(Engine(path), login_port=0)
        excepted = health.take_baseline(Engine(path), login_port=0, exceptions=[*unread])
    assert "unread" not in excepted
    assert [each["Id"] for each in running] == [each["Id"] for each in listed[1:]]
    assert len(unread) == 1
    ((name, why),) = unread.items()
    assert name.startswith("first")
    assert "\x1b" not in name
    assert "Id" in why
    assert picture["unread"] == [f"{name} ({why})"]
    assert set(picture["containers"]) == {each["Id"] for each in running}


def test_hanging_containers_take_a_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_PATIENCE", 0.6)
    monkeypatch.setattr(engine_module, "_SLOWEST", 0.4)
    usual = answering({"/containers/json": json.dumps([{"Id": f"c{n}"} for n in range(50)]).encode()})
    over, asked = threading.Event(), []

    def hang(connection: socket.socket) -> None:
        if not connection.recv(65536, socket.MSG_PEEK).startswith(b"GET /containers/json"):
            asked.append(connection)
            over.wait()
        usual(connection)

    with serving(tmp_path / "s", hang) as path:
        try:
            with must_end():
                found, unread = Engine(path).running()
        finally:
            over.set()
    assert (found, len(unread)) == ([], 50)
    assert len(asked) < 10  # the patience is for all together


@pytest.mark.parametrize(
    ("state", "socket", "asleep"),
    [("active", "active", False), ("inactive", "active", True), ("inactive", "inactive", False)],
)
def test_a_stopped_unit_that_its_active_socket_would_start_is_recognised(
    monkeypatch: pytest.MonkeyPatch, state: str, socket: str, *, asleep: bool
) -> None:
    def run(*command: str, **_: Any) -> system.Outcome:
        if command[1] == "is-active":
            return system.Outcome(0, f"{socket}\n", "")
        return system.Outcome(0, f"ActiveState={state}\nTriggeredBy=docker.socket\nMainPID=7\n", "")

    monkeypatch.setattr(system, "has_systemd", lambda: True)
    monkeypatch.setattr(system, "run", run)
    found = engine.state("docker.service")
    assert ("asleep" in found, found["MainPID"]) == (asleep, "7")


def test_without_systemd_a_unit_has_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    assert engine.state("docker.service") == {}


def test_only_errors_logged_by_this_start_of_the_engine_are_quoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [
        ("1", 'level=error msg="Force shutdown daemon"'),
        ("2", 'level=info msg="Starting up"'),
        ("2", 'level=error msg="token=hunter2 is \\"bad\\""'),
        ("1", "killed"),
    ]
    lines = "\n".join(json.dumps({"_PID": pid, "MESSAGE": message}) for pid, message in said)
    ran: list[tuple[str, ...]] = []

    def run(*command: str, **_: Any) -> system.Outcome:
        ran.append(command)
        return system.Outcome(0, lines if len(ran) == 1 else "", "")

    monkeypatch.setattr(system, "run", run)
    assert engine.last_words("/usr/sbin/dockerd", since=1.5, former="1").endswith('is \\"bad\\"')
    assert {"--identifier=dockerd", "--since=@1.500000"} <= set(ran[0])
    assert engine.last_words("", since=1.5, former="1") == ""
