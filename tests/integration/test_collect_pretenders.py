"""The collector on sockets that only pretend to be an engine: it ends soon, small, and with valid output."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.collector import collect
from tests.integration.dockerd import Dockerd
from tests.unit.plugins.module_utils.snapshot.servers import engine, serving


def hang(connection: socket.socket) -> None:
    """Accept, and never say a word."""
    connection.recv(65536)
    time.sleep(120)


def pour(connection: socket.socket) -> None:
    """A body without end."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (hang, "timed out"),
        (pour, "larger than"),
        (engine({}), "no such thing"),
        (engine({"/_ping": b"OK"}, api="rolling"), "not a Docker engine"),
        (engine({"/_ping": b"OK"}, api="9.9"), "no such thing"),
        (engine({"/_ping": b"OK", "/version": b"not JSON"}, api="9.9"), "not JSON"),
        (engine({"/_ping": b"OK", "/version": b"[]"}, api="9.9"), "not a Docker engine"),
    ],
)
def test_a_program_that_is_not_an_engine_is_reported(tmp_path: Path, server: Any, why: str) -> None:
    with serving(tmp_path / "s", server) as path:
        run = collect(path)
        assert run.data("engine")["reachable"] is False
        assert why in run.data("engine")["error"]
        assert why in run.failure("docker.containers")
        assert run.peak_mb < 80
        assert run.data("system")


def test_an_engine_outside_of_the_visible_processes_is_refused(dockerd: Dockerd) -> None:
    """A container with the engine's socket has neither the processes nor the files of the engine's host."""
    run = collect(dockerd.socket, within=("unshare", "--pid", "--fork", "--mount-proc"))
    for source in ("engine", "docker.info", "docker.containers"):
        assert "runs outside of this container or virtual machine" in run.failure(source), source
    assert run.data("system")


def test_an_empty_list_of_containers_is_an_error_if_the_engine_gives_no_info(tmp_path: Path) -> None:
    answers = {
        "/_ping": b"OK",
        "/version": b'{"Version":"99","ApiVersion":"1.99","MinAPIVersion":"1.60"}',
        "/v1.60/containers/json?all=1": b"[]",
    }
    with serving(tmp_path / "s", engine(answers, api="1.99")) as path:
        run = collect(path)
    # An empty list counts where the engine's own number of containers agrees.
    assert "/v1.60/info: no such thing" in run.failure("docker.containers")
    assert run.data("engine")["api_version"] == "1.60"


def test_an_engine_with_malformed_later_answers_is_reported(tmp_path: Path) -> None:
    identity = "a" * 64
    answers = {
        "/_ping": b"OK",
        "/version": b'{"Version":"99","ApiVersion":"1.99","MinAPIVersion":"1.40"}',
        "/v1.51/info": b'{"ID":1}',
        "/v1.51/containers/json?all=1": json.dumps([{"Id": identity}, {"Id": "gone"}]).encode(),
        f"/v1.51/containers/{identity}/json": b'"a text"',
        "/v1.51/images/json": b"[" * 100_000,
        "/v1.51/networks": b'{"a":1}',
        "/v1.51/volumes": b'{"Volumes":null}',
    }
    with serving(tmp_path / "s", engine(answers, api="1.99")) as path:
        sources = collect(path, valid=False).document["sources"]
    assert sources["docker.version"]["data"]["Version"] == "99"
    assert "not an object" in sources["docker.containers"]["error"]
    assert "not JSON" in sources["docker.images"]["error"]
    assert sources["docker.networks"]["state"] == "failed"
    assert sources["docker.volumes"]["data"] == []
    assert "no such thing" in sources["docker.plugins"]["error"]
    assert sources["engine"]["data"]["reachable"] is True
