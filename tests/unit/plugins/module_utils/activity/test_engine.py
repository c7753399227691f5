"""The engine's socket: cut off, silent, talking nonsense, and well."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import engine as module
from ansible_collections.hardener.docker.plugins.module_utils.activity.containers import Container, Directory
from ansible_collections.hardener.docker.plugins.module_utils.activity.engine import (
    Engine,
    container,
    reported_events,
    risks,
)

A = "a" * 64
INSPECTED = {
    "Name": "/web",
    "Config": {"Image": "nginx"},
    "HostConfig": {"Privileged": True},
    "State": {"Running": True, "Pid": 4711},
}
LISTED = json.dumps([{"Id": A}]).encode()


class Server:
    """An engine that answers what it is told to; ``events`` are the pieces of each stream of events."""

    def __init__(
        self, path: Path, *streams: list[bytes], inspected: bytes | None = None, listed: bytes = LISTED
    ) -> None:
        self.asked: list[str] = []
        self._streams = list(streams)
        self._inspected = json.dumps(INSPECTED).encode() if inspected is None else inspected
        self._listed = listed
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # who asked may be gone
            request = connection.recv(65536)
            if not request:
                return
            path = request.split(b" ")[1].decode()
            self.asked.append(path)
            if path.startswith("/events"):
                stream = self._streams.pop(0) if self._streams else [b"wait"]
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in stream:
                    if piece == b"wait":
                        threading.Event().wait(60)  # a later test may have a `time.sleep` of its own
                    connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                connection.sendall(b"0\r\n\r\n")
                return
            body = self._listed if path == "/containers/json" else self._inspected
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "_PAUSES", (0.05,))
    return tmp_path / "docker.sock"


def event(action: str, **more: Any) -> bytes:
    actor = {"ID": A, "Attributes": {"name": "web", "image": "nginx", **more}}
    return json.dumps({"Action": action, "Actor": actor, "timeNano": 5 * 10**18}).encode() + b"\n"


def started(path: Path) -> Engine:
    engine = Engine(str(path), Directory())
    engine.start()
    assert engine.ready.wait(60)
    return engine


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_running_containers_are_known_before_the_first_event(path: Path) -> None:
    Server(path, [event("oom"), event("start"), b"wait"])
    engine = started(path)
    container = engine._directory.get(A)
    assert (container.name, container.image, container.risks) == ("web", "nginx", ("privileged",))
    assert container.pid == 4711
    until(lambda: engine.happenings.qsize() == 2)
    assert [engine.happenings.get().kind for _ in range(2)] == ["out of memory", "started privileged"]
    assert (engine.problem, engine.cuts, engine.lost) == ("", 0, 0)


def test_an_event_in_several_chunks_is_joined(path: Path) -> None:
    text = event("oom")
    Server(path, [text[:10], text[10:], b"wait"])
    engine = started(path)
    until(lambda: engine.happenings.qsize() == 1)


def test_a_lost_connection_is_resumed_at_the_last_event(path: Path) -> None:
    server = Server(path, [event("oom")], [event("oom"), b"wait"])
    engine = started(path)
    until(lambda: engine.happenings.qsize() == 2)
    assert engine.cuts == 1
    assert [asked for asked in server.asked if "since=5000000000.0" in asked]


def test_each_lost_connection_is_counted_and_does_not_lengthen_the_pause(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSES", (0.05, 30))
    Server(path, [event("oom")], [event("oom")], [event("oom")], [b"wait"])
    engine = started(path)
    until(lambda: engine.cuts == 3)
    assert engine.happenings.qsize() == 3


def test_events_before_a_lost_connection_are_not_requested_again(path: Path) -> None:
    server = Server(path, [event("oom")], [b"wait"])
    started(path)
    until(lambda: any("since=5000000000.000000001" in asked for asked in server.asked))


def test_an_event_that_is_too_long_is_skipped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE", 2000)
    Server(path, [event("oom", label="x" * 50_000), event("oom"), b"wait"])
    engine = started(path)
    until(lambda: engine.happenings.qsize() == 1 and engine.lost == 1)


@pytest.mark.parametrize(
    "odd", [b"5\n", b"[]\n", b'{"Actor": 5}\n', b'{"Actor": {"ID": []}, "Action": {}}\n']
)
def test_malformed_events_are_ignored(path: Path, odd: bytes) -> None:
    Server(path, [odd, event("oom"), b"wait"])
    engine = started(path)
    until(lambda: engine.happenings.qsize() == 1)
    assert engine.cuts == 0


HUGE = b'{"Action": "oom", "Actor": {"ID": "a"}, "timeNano": 1%s}\n' % (b"0" * 400)


@pytest.mark.parametrize("nonsense", [b"no json\n", b"[" * 200_000 + b"\n", HUGE])
def test_invalid_data_of_the_engine_counts_as_a_lost_connection(path: Path, nonsense: bytes) -> None:
    Server(path, [nonsense], [event("oom"), b"wait"])
    engine = started(path)
    until(lambda: engine.happenings.qsize() == 1)
    assert engine.cuts == 1


def test_a_container_that_cannot_be_inspected_is_named_by_its_events(path: Path) -> None:
    Server(path, [event("oom"), b"wait"], inspected=b"[]")
    engine = started(path)
    until(lambda: engine.happenings.qsize() == 1)
    assert engine.happenings.get().container.name == "web"
    assert not engine._directory.get(A).inspected
    assert engine.lost == 1


def test_a_container_with_a_million_labels_uses_bounded_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CONTAINER", 1000)
    labels = {f"{number}": "" for number in range(1000)}
    Server(path, [event("oom"), b"wait"], inspected=json.dumps({**INSPECTED, "Labels": labels}).encode())
    engine = started(path)
    until(lambda: engine.happenings.qsize() == 1)
    assert engine.lost == 1


def test_a_label_in_a_list_is_not_taken_for_a_container(path: Path) -> None:
    label = {"Labels": {"x": json.dumps({"Id": "b" * 64})}}
    server = Server(path, [b"wait"], listed=json.dumps([{"Id": A, **label}], separators=(",", ":")).encode())
    started(path)
    assert [asked for asked in server.asked if asked.endswith(f"{'b' * 64}/json")] == []
    assert f"/containers/{A}/json" in server.asked


def test_a_truncated_list_of_containers_is_an_error(path: Path) -> None:
    Server(path, [b"wait"], listed=LISTED[:-1])
    assert "which is not a list" in started(path).problem


def test_events_beyond_the_queue_limit_are_counted_as_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAITING", 3)
    Server(path, [event("oom")] * 1 + [event("oom")] * 9 + [b"wait"])
    engine = started(path)
    until(lambda: engine.lost == 7)
    assert engine.happenings.qsize() == 3


def test_an_unreachable_engine_is_reported_and_retried(path: Path) -> None:
    engine = started(path)
    assert "No such file or directory" in engine.problem
    assert engine.cuts == 0
    Server(path, [event("oom"), b"wait"])
    until(lambda: engine.happenings.qsize() == 1)
    assert engine.problem == ""


WEB = Container("a" * 64, "web", "nginx")


def parsed_event(action: str, **attributes: str) -> dict[str, Any]:
    return {"Action": action, "Actor": {"ID": WEB.identity, "Attributes": attributes}, "timeNano": 5 * 10**9}


def kinds(given: dict[str, Any], of: Container = WEB) -> list[tuple[str, str, str]]:
    return [(each.kind, each.severity, each.target) for each in reported_events(given, of)]


@pytest.mark.parametrize(
    ("code", "severity"), [("137", "low"), ("139", "medium"), ("159", "high"), ("0", ""), ("1", "")]
)
def test_abnormal_ends_of_containers_are_reported(code: str, severity: str) -> None:
    assert [each[1] for each in kinds(parsed_event("die", exitCode=code))] == ([severity] if severity else [])


def test_a_command_is_recorded_without_its_arguments() -> None:
    (found,) = kinds(parsed_event("exec_create: /usr/bin/mysql -psecret -h db"))
    assert found == ("command run inside", "low", "mysql")
    assert kinds(parsed_event("exec_create: ")) == [("command run inside", "low", "")]


def test_out_of_memory_is_reported_and_routine_events_are_not() -> None:
    assert kinds(parsed_event("oom")) == [("out of memory", "medium", "")]
    assert (
        kinds(parsed_event("exec_die"))
        == kinds(parsed_event("start"))
        == kinds({})
        == kinds({"Action": 7})
        == []
    )


def test_each_host_privilege_at_a_start_is_reported() -> None:
    settings = {
        "Privileged": True,
        "PidMode": "host",
        "NetworkMode": "host",
        "CapAdd": ["CAP_SYS_ADMIN", "net_raw"],
        "SecurityOpt": ["seccomp:unconfined", "label=disable"],
    }
    strong = WEB._replace(risks=tuple(risks(settings)))
    assert [each[0] for each in kinds(parsed_event("start"), strong)] == [
        "started privileged",
        "started in the host's process namespace",
        "started in the host's network namespace",
        "started with SYS_ADMIN",
        "started with seccomp=unconfined",
    ]


@pytest.mark.parametrize(
    "odd", [{}, {"CapAdd": "ALL", "SecurityOpt": 5, "Privileged": "yes"}, {"CapAdd": None}]
)
def test_malformed_container_settings_are_not_reported_as_risks(odd: dict[str, Any]) -> None:
    assert risks(odd) == []


def test_fields_of_an_inspected_container_are_read() -> None:
    inspected = {
        "Name": "/web",
        "Image": "sha256:1",
        "AppArmorProfile": "docker-default",
        "Config": {"Image": "nginx:1"},
        "HostConfig": {},
        "State": {"Running": True},
    }
    found = container("a" * 64, inspected)
    assert (found.name, found.image, found.profile, found.silent, found.ended) == (
        "web",
        "nginx:1",
        "docker-default",
        "docker-default",
        0.0,
    )
    assert container("a", {**inspected, "HostConfig": {"Privileged": True}}).silent == "unconfined"
    assert container("a", {"Name": "x" * 9999, "Config": [], "State": None}).ended > 0
