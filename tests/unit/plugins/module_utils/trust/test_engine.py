from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.trust.engine import Engine, texts


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """Answers by method and path."""

    daemon_threads = True
    answers: dict[str, tuple[int, bytes]]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = self.server.answers.get(  # type: ignore[attr-defined]
                f"{self.command} {self.path}", (404, b'{"message": "No such image"}')
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - its name is the method of the request

        def address_string(self) -> str:
            return ""

        def log_message(self, *_: Any) -> None:
            pass


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    server = FakeEngine(str(tmp_path / "docker.sock"), FakeEngine.Handler)
    server.answers = {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def engine(fake: FakeEngine) -> Engine:
    return Engine(str(fake.server_address))


@pytest.mark.parametrize(
    ("status", "containerd"),
    [
        ([["driver-type", "io.containerd.snapshotter.v1"]], True),
        ([["Backing Filesystem", "extfs"]], False),
        (None, False),
        ([7], False),
    ],
)
def test_the_image_store_of_the_engine_is_detected(
    fake: FakeEngine, engine: Engine, status: Any, containerd: bool
) -> None:
    fake.answers["GET /info"] = (200, json.dumps({"DriverStatus": status}).encode())
    assert engine.has_containerd_store() is containerd


def test_a_missing_object_is_distinguished_from_a_failure(fake: FakeEngine, engine: Engine) -> None:
    with pytest.raises(KeyError, match="No such image"):
        engine.image("sha256:1")
    fake.answers["GET /images/json"] = (500, b'{"message": "no\\nway"}')
    with pytest.raises(Failed, match=r"the engine at .*: no way"):
        engine.images()


@pytest.mark.parametrize(
    "body", [b"nonsense", b"[" * 200_000, b'[{"Id":', b"\xff", b"\xed\xa0\x80", b"[{}],", b"\x00"]
)
def test_an_answer_that_is_not_json_is_an_error(fake: FakeEngine, engine: Engine, body: bytes) -> None:
    for path in ("/info", "/images/json"):
        fake.answers[f"GET {path}"] = (200, body)
    for ask in (engine.images, engine.has_containerd_store):
        with pytest.raises(Failed, match="the engine at"):
            ask()


@pytest.mark.parametrize("body", [b"{}", b"[7]", b'"x"', b"7"])
def test_an_answer_that_is_not_a_list_is_an_error(fake: FakeEngine, engine: Engine, body: bytes) -> None:
    for path in ("GET /images/json", "GET /containers/json?all=1"):
        fake.answers[path] = (200, body)
    for ask in (engine.images, engine.containers):
        with pytest.raises(Failed, match="without a list of objects"):
            ask()
    fake.answers["GET /images/json"] = (200, b"null")
    assert engine.images() == []


@pytest.mark.parametrize("answer", [(200, b"[]"), (200, b"null"), (404, b"{}")])
def test_an_engine_without_a_valid_answer_about_itself_is_an_error(
    fake: FakeEngine, engine: Engine, answer: tuple[int, bytes]
) -> None:
    fake.answers["GET /info"] = answer
    with pytest.raises(Failed, match="the engine"):
        engine.has_containerd_store()
    with pytest.raises(Failed, match="No such image"):
        engine.tag("sha256:1", "r.example.com/a", "1")


def test_a_pull_that_fails_midway_is_an_error(fake: FakeEngine, engine: Engine) -> None:
    path = "POST /images/create?fromImage=r.example.com%2Fa&tag=sha256%3A1"
    fake.answers[path] = (200, b'{"status": "Pulling"}\r\n{"error": "manifest unknown"}\r\n')
    with pytest.raises(Failed, match="cannot pull the image: manifest unknown"):
        engine.pull("r.example.com/a", "sha256:1", "")
    fake.answers[path] = (403, b'{"message": "denied"}')
    with pytest.raises(Failed, match=r"cannot pull the image: .*: denied"):
        engine.pull("r.example.com/a", "sha256:1", "")
    fake.answers[path] = (200, b'{"status": "Pulling"}\r\n7\r\n{"status": "Downloaded"}\r\n')
    engine.pull("r.example.com/a", "sha256:1", "")


def test_an_unreachable_engine_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="No such file"):
        Engine(str(tmp_path / "none")).images()


def test_values_that_are_not_text_are_removed_from_a_list_of_texts() -> None:
    assert texts({"a": ["x", 7, None]}, "a") == ["x"]
    assert texts({"a": None}, "a") == texts({"a": "x"}, "a") == texts({}, "a") == []
