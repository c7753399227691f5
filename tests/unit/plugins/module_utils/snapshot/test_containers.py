"""Containers of an engine that is none, so that it can do what no engine does."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import config, engine
from ansible_collections.hardener.docker.plugins.module_utils.host import processes, units
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import containers as module
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import docker, mounts
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.containers import Containers, words_of

from tests.hanging import must_end
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


def test_a_container_removed_meanwhile_is_omitted(tmp_path: Path) -> None:
    listed = json.dumps([{"Id": "a"}, {"Id": "gone"}, {"Id": "b"}]).encode()
    answers = {"/_ping": b"OK", LIST: listed, "/v1.51/containers/a/json": inspected("a")}
    answers["/v1.51/containers/b/json"] = inspected("b", pid=1073741824)
    with serving(tmp_path / "s", servers.engine(answers)) as path:
        found = entry(path)["data"]
    assert [(one["inspect"]["Id"], one["proc"]) for one in found] == [("a", None), ("b", None)]


def test_an_engine_that_stops_answering_fails_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "LIMIT", 0.3)
    polite = servers.engine({"/_ping": b"OK", LIST: b'[{"Id":"a"}]'})

    def answer(connection: socket.socket) -> None:
        if len(talks) > 1:
            connection.recv(65536)
            time.sleep(3600)
        talks.append(connection)
        polite(connection)

    talks: list[socket.socket] = []
    with serving(tmp_path / "s", answer) as path:
        collected = containers(path)
        talks.append(talks[0])
        with must_end():
            found = json.loads(collected.entry())
    assert (found["state"], found["error"]) == ("failed", "the engine gave no valid answer: timed out")


def test_a_hanging_mount_fails_only_its_own_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        "ansible_collections.hardener.docker.plugins.module_utils.snapshot.containers.MOUNTS_LIMIT", 2
    )
    monkeypatch.setattr(
        collected._files, "add", lambda path: time.sleep(30) if path == "/dead" else add(path)
    )
    monkeypatch.setattr(collected, "_bind_sources", sorted(collected._bind_sources, reverse=True))
    records = collected.mounted_files()
    assert records["/dead"] == {"error": "it did not answer in time"}
    assert records[str(tmp_path)]["type"] == "dir"


CONFIG = {"Image": "", "User": "", "Labels": None}
_LABELS = {f"{number}": "x" * 1000 for number in range(600)}
LARGE = inspected("bad", Config={**CONFIG, "Env": None, "Labels": _LABELS})
SPOILED = {
    "an error of the engine": (
        servers.http(b'{"message":"layer does not exist"}', "500 Error"),
        "layer does not",
    ),
    "no answer at all": (b"", "timed out"),
    "the connection is closed": (servers.CUT, "connection lost"),
    "no JSON": (servers.http(b"{"), "not JSON"),
    "nested too deeply": (servers.http(b"[" * 100_000 + b"]" * 100_000), "not JSON"),
    "larger than an entry": (servers.http(LARGE), "bytes and"),
    "larger than what is read": (b"", "larger than 33554432 bytes"),  # made below
    "more values than an entry has": (servers.http(inspected("bad", Args=[""] * 120_000)), "values"),
    "mounts that are none": (servers.http(inspected("bad", Mounts=[7])), "AttributeError"),
    "an environment that is none": (servers.http(inspected("bad", Config={**CONFIG, "Env": [{}]})), ""),
}


@pytest.mark.parametrize(("answer", "why"), SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("place", range(3))
def test_an_unreadable_container_does_not_affect_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str, place: int
) -> None:
    monkeypatch.setattr(docker, "_LEAST", 0.2)
    monkeypatch.setattr(docker, "_SHARE", 1000)
    hangs = servers.only_hangs_count(monkeypatch)
    if "larger than 33554432" in why:
        answer = servers.http(b"x" * (33 << 20))
    monkeypatch.setattr(docker, "_MAX_ENTRY", 500_000)
    monkeypatch.setattr(docker, "_MAX_ENTRY_MARKS", 100_000)
    order = ["a", "b"]
    order.insert(place, "bad")
    listed = [{"Id": each, "Names": [f"/name-{each}"], "ImageID": f"sha256:{each}"} for each in order]
    bodies = {"/_ping": b"OK", LIST: json.dumps(listed).encode()}
    bodies |= {f"/v1.51/containers/{each}/json": inspected(each) for each in ("a", "b")}
    deal = servers.spoiled(bodies, ["/v1.51/containers/bad/json"], answer, hangs)
    with serving(tmp_path / "s", deal) as path:
        found = entry(path)
    assert found["state"] == "ok", found
    assert [each["inspect"]["Id"] for each in found["data"]] == order
    for each in found["data"]:
        if each["inspect"]["Id"] != "bad":
            assert "error" not in each
        elif why:
            assert why in each["error"]
            assert each["inspect"] == {"Id": "bad", "Name": "/name-bad", "Image": "sha256:bad"}
            assert each["proc"] is None


@pytest.mark.parametrize(
    "hanging",
    [range(2), range(6), [0, 1, 11], [3, 4, 8], range(6, 12), range(1, 12)],
    ids=lambda hanging: ",".join(map(str, hanging)),
)
def test_containers_that_hang_leave_time_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hanging: Collection[int]
) -> None:
    monkeypatch.setattr(docker, "_LEAST", 0.05)
    monkeypatch.setattr(docker, "_SHARE", 500)
    hangs = servers.only_hangs_count(monkeypatch)
    names = [f"c{number}" for number in range(12)]
    listed = [{"Id": name, "Names": [f"/{name}"]} for name in names]
    answers = {"/_ping": b"OK", LIST: json.dumps(listed).encode()}
    answers |= {f"/v1.51/containers/{name}/json": inspected(name) for name in names}
    hang = [f"/v1.51/containers/c{number}/json" for number in hanging]
    with serving(tmp_path / "s", servers.spoiled(answers, hang, b"", hangs)) as path:
        found = entry(path)
    assert found["state"] == "ok", found
    assert [each["inspect"]["Id"] for each in found["data"]] == names
    unread = {number for number, each in enumerate(found["data"]) if "error" in each}
    assert unread == set(hanging)


def test_if_no_request_is_answered_the_source_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "LIMIT", 2)
    monkeypatch.setattr(docker, "_LEAST", 0.05)
    names = [f"c{number}" for number in range(40)]
    answers = {"/_ping": b"OK", LIST: json.dumps([{"Id": name} for name in names]).encode()}
    hang = [f"/v1.51/containers/{name}/json" for name in names]
    with serving(tmp_path / "s", servers.spoiled(answers, hang, b"")) as path:
        found = entry(path)
    assert (found["state"], found["error"]) == ("failed", "the engine gave no valid answer: timed out")


def test_the_total_size_of_all_containers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TEXT", 20_000)
    listed = [{"Id": f"c{number}"} for number in range(9)]
    bodies = {"/_ping": b"OK", LIST: json.dumps(listed).encode()}
    bodies |= {
        f"/v1.51/containers/c{number}/json": inspected(f"c{number}", Args=["x" * 100 * number**2])
        for number in range(9)
    }
    with serving(tmp_path / "s", servers.engine(bodies)) as path:
        found = entry(path)["data"]
    assert len(json.dumps(found)) < 25_000
    unread = [each for each in found if "error" in each]
    assert 0 < len(unread) < 9
    assert all("does not fit" in each["error"] for each in unread)


def test_reading_the_socket_does_not_start_a_stopped_daemon(
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
def test_the_daemons_socket_is_found(argv: list[str], parsed: Any, sockets: list[tuple[str, str]]) -> None:
    shown = (
        "Id=docker.socket\nLoadState=loaded\nListen=/run/docker.sock (Stream)\nListen=[::]:2375 (Stream)\n"
    )
    found = engine.Engine()
    found.pid, found.config = 1, {"parsed": parsed}
    found.flags, _ = config.parse_flags(argv[1:])
    assert engine._sockets(found, Once(lambda: units.parse(shown))) == sockets


@pytest.mark.parametrize(
    ("word", "rootless"), [("--rootless", True), ("--rootless=1", True), ("--rootless=0", False), ("", False)]
)
def test_the_command_line_says_whether_a_daemon_that_is_down_is_rootless(word: str, rootless: bool) -> None:
    started = f"{{ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd {word} ; ignore_errors=no }}"
    shown = f"Id=docker.service\nLoadState=loaded\nExecStart={started}\n"
    found = engine.find(Once(dict), Once(lambda: units.parse(shown)), "/nowhere/docker.sock")
    assert found.rootless is rootless


def test_the_socket_of_a_rootless_daemon_is_expected_in_the_folder_of_its_user() -> None:
    found = engine.Engine()
    found.pid, found.euid, found.rootless = 1, 1000, True
    assert engine._sockets(found, Once(no_systemd)) == [("/run/user/1000/docker.sock", "default")]
    found.environment = {"XDG_RUNTIME_DIR": "/x"}
    assert engine._sockets(found, Once(no_systemd)) == [("/x/docker.sock", "default")]


def test_command_arguments_are_digests_where_the_host_has_a_key() -> None:
    redactor = Redactor()
    config = {"Entrypoint": ["/run.sh", "planted"], "Cmd": "planted"}
    redactor.key_source = "random"
    assert words_of(config, redactor) == {}
    redactor.key_source = "host"
    digest = redactor.digest("planted")
    assert words_of(config, redactor) == {"entrypoint": [digest], "command": [digest]}
    assert words_of({"Entrypoint": None}, redactor) == {"entrypoint": [], "command": []}
