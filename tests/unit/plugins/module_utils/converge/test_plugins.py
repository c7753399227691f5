from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import plugins
from ansible_collections.hardener.docker.plugins.module_utils.converge.engine import Engine

from tests.unit.plugins.module_utils.converge.answering import answering

NOBODY = Engine("/nowhere")
AUTHZ = {"/Plugin.Activate": {"Implements": ["authz"]}, "/AuthZPlugin.AuthZReq": {"Allow": True}}


@contextmanager
def plugin(listener: socket.socket, answers: Mapping[str, Any]) -> Iterator[None]:
    """Serve a plugin's answers; a text is sent as it is."""

    def answer(connection: socket.socket) -> None:
        request = connection.recv(65536).decode()
        found = answers.get(request.split()[1], "HTTP/1.0 404 Not Found\r\n\r\n")
        if not isinstance(found, str):
            found = f"HTTP/1.0 200 OK\r\n\r\n{json.dumps(found)}"
        connection.sendall(found.encode())

    with answering(listener, answer):
        yield


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(plugins, "_SOCKETS", (str(tmp_path),))
    monkeypatch.setattr(plugins, "_SPECS", (str(tmp_path),))
    return tmp_path


def unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def ask(name: str = "opa", kind: str = "authz") -> str:
    return plugins.problem(name, kind, NOBODY, running=False)


def test_a_plugin_that_answers_and_allows_reading_is_accepted(folders: Path) -> None:
    with plugin(unix(folders / "opa.sock"), AUTHZ):
        assert ask() == ""
        assert "is not a logdriver plugin: it reports authz" in ask(kind="logdriver")


def test_a_plugin_can_be_announced_by_a_file(folders: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    with plugin(listener, AUTHZ):
        (folders / "opa.spec").write_text(f"{address}\n")
        (folders / "other.json").write_text(json.dumps({"Name": "other", "Addr": address}))
        assert ask() == ""
        assert ask("other") == ""
    assert f"does not answer at {address}" in ask()


def test_a_stale_socket_is_not_a_plugin(folders: Path) -> None:
    unix(folders / "opa.sock").close()
    assert "does not answer at unix://" in ask()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({}, "404 Not Found"),
        ({"/Plugin.Activate": "nonsense"}, "does not answer"),
        ({"/Plugin.Activate": []}, "the answer to /Plugin.Activate is not a JSON object"),
        (
            {**AUTHZ, "/AuthZPlugin.AuthZReq": {"Allow": False, "Msg": "not you"}},
            "refuses GET /info (not you)",
        ),
    ],
)
def test_an_authorization_plugin_that_refuses_reading_is_refused(
    folders: Path, answers: dict[str, Any], reason: str
) -> None:
    with plugin(unix(folders / "opa.sock"), answers):
        assert reason in ask()


def test_a_plugin_without_a_valid_specification_is_reported_as_missing(folders: Path) -> None:
    (folders / "broken.json").write_text("[]")
    for name in ("opa", "broken"):
        assert ask(name) == f"there is no plugin {name}"
