from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.api import Connection
from ansible_collections.hardener.docker.plugins.module_utils.docker.client import Engine, Lines, quoted
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import (
    NoAnswer,
    NotFound,
    TooLarge,
    parse,
)
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed

from tests.hanging import must_end
from tests.unit.plugins.module_utils.snapshot.servers import engine, saying, serving

OK = b"HTTP/1.1 200 OK\r\n"


def connect(path: str, seconds: float = 5) -> Connection:
    return Connection(path, time.monotonic() + seconds)


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    bodies = {f"/{n}": b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n * 37 % 3000)) for n in range(500)}
    with serving(tmp_path / "s", engine(bodies)) as path:
        connection = connect(path)
        answers = list(connection.get_all(f"/{n}" for n in range(500)))
        assert answers == list(bodies.values())
        assert connection.get("/7")["n"] == 7
        connection.close()


def test_the_process_behind_the_socket_is_identified(tmp_path: Path) -> None:
    with serving(tmp_path / "s", engine({})) as path:
        assert connect(path).peer() == (os.getpid(), os.geteuid())


def test_a_refusal_has_the_engines_message_and_keeps_the_connection(tmp_path: Path) -> None:
    with serving(tmp_path / "s", engine({"/there": b"{}"})) as path:
        connection = connect(path)
        missing, there = connection.get_all(["/missing", "/there"])
        assert isinstance(missing, NotFound)
        assert str(missing) == "/missing: no such thing"
        assert there == b"{}"
        with pytest.raises(NotFound):
            connection.get("/missing")


def test_a_socket_without_a_listener_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="No such file"):
        connect(str(tmp_path / "s"))


def test_a_server_that_never_answers_times_out(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "s", lambda connection: time.sleep(3600)) as path,
        must_end(),
        pytest.raises(Failed, match="timed out"),
    ):
        connect(path, 0.2).get("/version")


def test_a_slow_server_times_out(tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    with serving(tmp_path / "s", drip) as path, must_end(), pytest.raises(Failed, match="timed out"):
        connect(path, 0.3).get("/version")


def test_an_endless_body_beyond_the_limit_is_an_error(tmp_path: Path) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    with serving(tmp_path / "s", endless) as path, pytest.raises(Failed, match="larger than 100000 bytes"):
        connect(path).get("/info", limit=100_000)


@pytest.mark.parametrize("size", [100_001, 250_002, 250_000, 3_000_000, 3_000_002])  # in chunks, and at once
def test_a_body_far_beyond_the_limit_is_skipped(tmp_path: Path, size: int) -> None:
    with serving(tmp_path / "s", engine({"/huge": b"x" * size, "/next": b"{}"})) as path:
        huge, following = connect(path, 30).get_all(["/huge", "/next"], limit=100_000)
    assert isinstance(huge, TooLarge)
    assert following == b"{}"


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), "not HTTP"),
        ((b"SSH-2.0-OpenSSH\r\n",), "connection lost"),
        ((b"",), "connection lost"),
        ((OK,), "connection lost"),
        ((OK + b"\r\nbody",), "no Content-Length"),
        ((OK + b"Content-Length: -5\r\n\r\n",), "no Content-Length"),
        ((OK + b"Content-Length: many\r\n\r\n",), "invalid literal"),
        ((OK + b"Content-Length: 99999999999\r\n\r\n",), "larger than"),
        ((OK + b"Content-Length: 10\r\n\r\nshort",), "connection lost"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",), "negative"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), "invalid literal"),
        (
            (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 70_000,),
            "a header in the answer has more than",
        ),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",), "larger than"),
        ((OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",), "no Content-Length"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",), "connection lost"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 20_000,), "connection lost"),
        ((OK + b"Content-Length: " + b"9" * 6000 + b"\r\n\r\n",), "larger than|integer string"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), "not JSON"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}",), "no Content-Length"),
        ((b'HTTP/1.1 500 Oh\r\nContent-Length: 7\r\n\r\n{"x":1}',), "500 Oh"),
        ((b"HTTP/1.1 200000 OK\r\nContent-Length: 3\r\n\r\n{},",), "not JSON"),
        ((b"HTTP/2 200\r\n\r\n",), "not HTTP"),
        ((OK + b"Content-Length: 15\r\n\r\n" + b'{"a":[[1,2],{"b',), "not JSON"),
        ((OK + b"Content-Length: 4\r\n\r\n\xed\xa0\x80\xff",), "not JSON"),
        ((OK + b"X: y\r\n" * 20_000,), "a header in the answer has more than"),
        ((OK + b"X: " + b"y" * 70_000,), "a header in the answer has more than"),
    ],
)
def test_an_invalid_answer_is_an_error(tmp_path: Path, pieces: tuple[bytes, ...], why: str) -> None:
    with serving(tmp_path / "s", saying(*pieces)) as path, pytest.raises(Failed, match=why):
        connect(path).get("/version")


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 200_000, b"\xff"])
def test_an_answer_that_is_not_json_is_an_error(body: bytes) -> None:
    with pytest.raises(Failed, match="not JSON"):
        parse(body)


def talking(*answers: bytes) -> tuple[Callable[[socket.socket], None], list[bytes]]:
    """Give one answer after the other, and keep what was asked; to the end of it where it comes in chunks."""
    asked: list[bytes] = []

    def whole(request: bytes) -> bool:
        return request.endswith(b"\r\n0\r\n\r\n") if b"chunked" in request else b"\r\n\r\n" in request

    def answer(connection: socket.socket) -> None:
        for each in answers:
            request = b""
            while not whole(request):
                request += connection.recv(65536)
            asked.append(request)
            connection.sendall(each)
        connection.shutdown(socket.SHUT_RDWR)

    return answer, asked


def test_a_request_has_a_json_body_with_its_content_type_and_length(tmp_path: Path) -> None:
    answer, asked = talking(b'HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{"Id":"x"}')
    with serving(tmp_path / "s", answer) as path:
        made = Engine(path, "/v1.45").call("POST", "/containers/create?name=a", {"Image": "é"})
    assert made == {"Id": "x"}
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1.45/containers/create?name=a HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"Image": "é"}


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 204 No Content\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"],
)
def test_an_answer_with_an_empty_body_is_none(tmp_path: Path, answer: bytes) -> None:
    with serving(tmp_path / "s", talking(answer)[0]) as path:
        assert Engine(path).call("POST", "/containers/a/start") is None


@pytest.mark.parametrize(("status", "accepted"), [(304, True), (404, False), (409, False)])
def test_an_http_status_that_the_caller_accepts_is_not_an_error(
    tmp_path: Path, status: int, accepted: bool
) -> None:
    said = b'HTTP/1.1 %d No\r\nContent-Length: 17\r\n\r\n{"message": "no"}' % status
    with serving(tmp_path / "s", talking(said)[0]) as path:
        if accepted:
            assert Engine(path).call("POST", "/a", accept=(status,)) == {"message": "no"}
            return
        with pytest.raises(NoAnswer, match=r"^/a: no$") as raised:
            Engine(path).call("POST", "/a", accept=(304,))
        assert isinstance(raised.value, NotFound) is (status == 404)


def test_an_answer_can_end_with_the_connection(tmp_path: Path) -> None:
    for head in (b"HTTP/1.0 200 OK\r\n\r\n", OK + b"Connection: close\r\n\r\n"):
        with serving(tmp_path / f"{len(head)}", talking(head + b"x" * 300_000)[0]) as path:
            assert Engine(path).ask("GET", "/a") == b"x" * 300_000


def test_a_last_answer_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 99999999999\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with (
        serving(tmp_path / "s", endless) as path,
        pytest.raises(TooLarge, match="/a is larger than 1000 bytes"),
    ):
        Engine(path).ask("GET", "/a", limit=1000)


def test_a_body_can_be_sent_in_chunks(tmp_path: Path) -> None:
    answer, asked = talking(OK + b"Content-Length: 2\r\n\r\n{}")
    with serving(tmp_path / "s", answer) as path, connect(path) as connection:
        pieces = iter([b"one", b"", b"x" * 70_000])
        assert connection.request("POST", "/images/load", pieces) == b"{}"
    assert asked[0].partition(b"\r\n\r\n")[2] == b"3\r\none\r\n11170\r\n" + b"x" * 70_000 + b"\r\n0\r\n\r\n"


def test_lines_of_a_stream_are_read(tmp_path: Path) -> None:
    lines = b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (b"on", b"e\n", b"two\nthr", b"ee\nrest")
    )
    stream = OK + b"Transfer-Encoding: chunked\r\n\r\n" + lines + b"0\r\n\r\n"
    with serving(tmp_path / "s", talking(stream)[0]) as path, connect(path) as connection:
        answer = connection.open("GET", "/events")
        assert answer.status == 200
        assert list(iter(Lines(answer).next, b"")) == [b"one\n", b"two\n", b"three\n", b"rest"]


def test_a_line_that_is_too_long_is_split(tmp_path: Path) -> None:
    body = b"x" * 25 + b"\ny\n"
    said = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serving(tmp_path / "s", talking(said)[0]) as path, connect(path) as connection:
        lines = Lines(connection.open("GET", "/events"))
        assert [lines.next(10) for _ in range(4)] == [b"x" * 10, b"x" * 10, b"x" * 5 + b"\n", b"y\n"]


def test_a_stream_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    said = OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\none\n"
    with serving(tmp_path / "s", saying(said)) as path, connect(path) as connection:
        answer = Lines(connection.open("GET", "/events"))
        assert answer.next() == b"one\n"
        with pytest.raises(NoAnswer, match="connection lost"):
            answer.next()


def test_a_silent_stream_times_out(tmp_path: Path) -> None:
    def pause(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
        time.sleep(30)

    with serving(tmp_path / "s", pause) as path, Engine(path).connect(idle=2) as connection:
        answer = Lines(connection.open("GET", "/events"))
        assert answer.next() == b"one\n"
        with pytest.raises(NoAnswer, match="timed out"):
            answer.next()


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/é", "/\x00"])
def test_a_path_with_spaces_or_line_ends_is_not_sent(tmp_path: Path, path: str) -> None:
    answer, asked = talking(OK + b"Content-Length: 2\r\n\r\n{}")
    with serving(tmp_path / "s", answer) as socket_path:
        with pytest.raises(NoAnswer):
            Engine(socket_path).call("GET", path)
        with connect(socket_path) as connection, pytest.raises(NoAnswer):
            connection.get(path)
    assert asked == []


def test_the_error_about_an_unreachable_socket_names_its_path(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none"), "/a\x00b", "/" + "a" * 200):
        with pytest.raises(NoAnswer, match=re.escape(path)):
            Engine(path).get("/info")


def test_an_answer_without_a_required_field_is_an_error(tmp_path: Path) -> None:
    with serving(tmp_path / "s", engine({"/info": b"{}", "/other": b"[]"})) as path:
        with pytest.raises(NoAnswer, match="has no ServerVersion"):
            Engine(path).get("/info")
        assert Engine(path).get("/other") == []


def test_names_in_a_path_are_quoted() -> None:
    assert quoted("a/b c?é\udcff") == "a%2Fb%20c%3F%C3%A9%FF"
    assert quoted("r.example.com/a:1@sha256:x", safe="/:@") == "r.example.com/a:1@sha256:x"
