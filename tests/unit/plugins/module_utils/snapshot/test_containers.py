"""Containers of an engine that is none, so that it can do what no engine does."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import engine, flags
from ansible_collections.hardener.docker.plugins.module_utils.host import processes, units
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import docker, mounts
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.containers import Containers

from tests.unit.plugins.module_utils.snapshot import engines, servers
from tests.unit.plugins.module_utils.snapshot.servers import serving

LIST = "/v1.51/containers/json?all=1"


def inspected(identity: str, *, pid: int = 0, **changes: Any) -> bytes:
    known = engines.container(Id=identity, Mounts=[])
    state = {**known["State"], "Pid": pid}
    return json.dumps({**known, "State": state, **changes}).encode()


def no_systemd() -> None:
    raise Absent("systemd does not run on this host")


def containers(path: str) -> Containers:
    found = engine.find(Once(processes.scan), Once(no_systemd), path)
    assert found.error is None
    return Containers(Once(lambda: found), Once(mounts.read), Redactor())


def entry(path: str) -> dict[str, Any]:
    return json.loads(containers(path).entry())  # type: ignore[no-any-return]


def test_container_that_was_removed_meanwhile_is_left_out(tmp_path: Path) -> None:
    listed = json.dumps([{"Id": "a"}, {"Id": "gone"}, {"Id": "b"}]).encode()
    answers = {"/_ping": b"OK", LIST: listed, "/v1.51/containers/a/json": inspected("a")}
    answers["/v1.51/containers/b/json"] = inspected("b", pid=1073741824)
    with serving(tmp_path / "s", servers.engine(answers)) as path:
        found = entry(path)["data"]
    assert [(one["inspect"]["Id"], one["proc"]) for one in found] == [("a", None), ("b", None)]


def test_engine_that_stops_talking_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "LIMIT", 0.3)
    polite = servers.engine({"/_ping": b"OK", LIST: b'[{"Id":"a"}]'})

    def answer(connection: socket.socket) -> None:
        if len(talks) > 1:
            connection.recv(65536)
            time.sleep(30)
        talks.append(connection)
        polite(connection)

    talks: list[socket.socket] = []
    with serving(tmp_path / "s", answer) as path:
        collected = containers(path)
        talks.append(talks[0])
        begun = time.monotonic()
        found = json.loads(collected.entry())
    assert time.monotonic() - begun < 20
    assert (found["state"], found["error"]) == ("failed", "the engine's answer: timed out")


def test_mount_of_a_file_server_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bind = [
        {"Type": "bind", "Source": str(tmp_path)},
        {"Type": "bind", "Source": "/dead"},
        {"Type": "volume"},
    ]
    inspect = inspected("a", Mounts=bind)
    answers = {"/_ping": b"OK", LIST: b'[{"Id":"a"}]', "/v1.51/containers/a/json": inspect}
    with serving(tmp_path / "s", servers.engine(answers)) as path:
        collected = containers(path)
        collected.entry()
    add = collected._files.add
    monkeypatch.setattr(
        "ansible_collections.hardener.docker.plugins.module_utils.snapshot.containers._MOUNTS_LIMIT", 0.3
    )
    monkeypatch.setattr(
        collected._files, "add", lambda path: time.sleep(30) if path == "/dead" else add(path)
    )
    monkeypatch.setattr(collected, "_bind_sources", sorted(collected._bind_sources, reverse=True))
    records = collected.mounted_files()
    assert records["/dead"] == {"error": "it did not answer in time"}
    assert records[str(tmp_path)]["type"] == "dir"


def test_more_than_can_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "MAX_TEXT", 20)
    answers = {"/_ping": b"OK", LIST: b'[{"Id":"a"}]', "/v1.51/containers/a/json": inspected("a")}
    with serving(tmp_path / "s", servers.engine(answers)) as path:
        assert "larger than 20 bytes" in entry(path)["error"]


def test_connecting_must_not_start_a_daemon_that_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_FIRST_ANSWER", 0.2)
    talked: list[socket.socket] = []
    with serving(tmp_path / "s", talked.append) as path:
        shown = f"Id=docker.socket\nLoadState=loaded\nActiveState=active\nListen={path} (Stream)\n"
        found = engine.find(Once(lambda: {1: "systemd"}), Once(lambda: units.parse(shown)))
        assert (found.error, found.socket, found.socket_from) == ("the daemon does not run", path, "unit")
        assert talked == []
        stopped = shown.replace("ActiveState=active", "ActiveState=inactive")
        found = engine.find(Once(lambda: {1: "systemd"}), Once(lambda: units.parse(stopped)))
        assert talked


@pytest.mark.parametrize(
    ("argv", "parsed", "sockets"),
    [
        (["dockerd"], None, [("/var/run/docker.sock", "default")]),
        (["dockerd", "-H", "unix:///a", "-H", "tcp://0.0.0.0:2375"], None, [("/a", "flags")]),
        (["dockerd", "--host=unix://"], None, [("/var/run/docker.sock", "flags")]),
        (["dockerd"], {"hosts": ["tcp://x", "unix:///b"]}, [("/b", "config")]),
        (["dockerd", "-H", "fd://"], None, [("/run/docker.sock", "unit")]),
        (["dockerd", "-H", "tcp://0.0.0.0:2375"], None, []),
    ],
)
def test_where_the_daemon_listens(argv: list[str], parsed: Any, sockets: list[tuple[str, str]]) -> None:
    shown = (
        "Id=docker.socket\nLoadState=loaded\nListen=/run/docker.sock (Stream)\nListen=[::]:2375 (Stream)\n"
    )
    found = engine.Engine()
    found.pid, found.config = 1, {"parsed": parsed}
    found.flags, _ = flags.parse(argv[1:])
    assert engine._sockets(found, Once(lambda: units.parse(shown))) == sockets


def test_rootless_daemon_listens_in_its_users_folder() -> None:
    found = engine.Engine()
    found.pid, found.euid, found.rootless = 1, 1000, True
    assert engine._sockets(found, Once(no_systemd)) == [("/run/user/1000/docker.sock", "default")]
    found.environment = {"XDG_RUNTIME_DIR": "/x"}
    assert engine._sockets(found, Once(no_systemd)) == [("/x/docker.sock", "default")]
