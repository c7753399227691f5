from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.bounds import Failed
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.httpunix import (
    Connection,
    NotFound,
    TooLarge,
    parse,
)

from tests.unit.plugins.module_utils.snapshot.servers import engine, saying, serving

OK = b"HTTP/1.1 200 OK\r\n"


def connect(path: str, seconds: float = 5) -> Connection:
    return Connection(path, time.monotonic() + seconds)


def test_many_requests_come_back_in_order(tmp_path: Path) -> None:
    bodies = {f"/{n}": b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n * 37 % 3000)) for n in range(500)}
    with serving(tmp_path / "s", engine(bodies)) as path:
        connection = connect(path)
        answers = list(connection.get_all(f"/{n}" for n in range(500)))
        assert answers == list(bodies.values())
        assert connection.get("/7")["n"] == 7
        connection.close()


def test_who_listens_there(tmp_path: Path) -> None:
    with serving(tmp_path / "s", engine({})) as path:
        assert connect(path).peer() == (os.getpid(), os.geteuid())


def test_refusal_says_what_the_engine_says_and_the_connection_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path / "s", engine({"/there": b"{}"})) as path:
        connection = connect(path)
        missing, there = connection.get_all(["/missing", "/there"])
        assert isinstance(missing, NotFound)
        assert str(missing) == "/missing: no such thing"
        assert there == b"{}"
        with pytest.raises(NotFound):
            connection.get("/missing")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        connect(str(tmp_path / "s"))


def test_server_that_never_answers(tmp_path: Path) -> None:
    with serving(tmp_path / "s", lambda connection: time.sleep(30)) as path:
        begun = time.monotonic()
        with pytest.raises(Failed, match="timed out"):
            connect(path, 0.2).get("/version")
        assert time.monotonic() - begun < 20


def test_server_that_drips(tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    with serving(tmp_path / "s", drip) as path:
        begun = time.monotonic()
        with pytest.raises(Failed):
            connect(path, 0.3).get("/version")
        assert time.monotonic() - begun < 20


def test_endless_body_stops_at_the_limit(tmp_path: Path) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    with serving(tmp_path / "s", endless) as path, pytest.raises(Failed, match="larger than 100000 bytes"):
        connect(path).get("/info", limit=100_000)


@pytest.mark.parametrize("size", [100_001, 250_002, 250_000, 3_000_000, 3_000_002])  # in chunks, and at once
def test_what_is_far_too_large_is_left_and_the_next_answer_is_read(tmp_path: Path, size: int) -> None:
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
        ((OK + b"\r\nbody",), "no length"),
        ((OK + b"Content-Length: -5\r\n\r\n",), "no length"),
        ((OK + b"Content-Length: many\r\n\r\n",), "invalid literal"),
        ((OK + b"Content-Length: 99999999999\r\n\r\n",), "larger than"),
        ((OK + b"Content-Length: 10\r\n\r\nshort",), "connection lost"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",), "negative"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), "invalid literal"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 70_000,), "without end"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",), "larger than"),
        ((OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",), "no length"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",), "connection lost"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 20_000,), "connection lost"),
        ((OK + b"Content-Length: " + b"9" * 6000 + b"\r\n\r\n",), "larger than|integer string"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), "no length"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}",), "no length"),
        ((b'HTTP/1.1 500 Oh\r\nContent-Length: 7\r\n\r\n{"x":1}',), "500 Oh"),
        ((b"HTTP/1.1 200000 OK\r\nContent-Length: 3\r\n\r\n{},",), "not JSON"),
        ((b"HTTP/2 200\r\n\r\n",), "not HTTP"),
        ((OK + b"Content-Length: 15\r\n\r\n" + b'{"a":[[1,2],{"b',), "not JSON"),
        ((OK + b"Content-Length: 4\r\n\r\n\xed\xa0\x80\xff",), "not JSON"),
        ((OK + b"X: y\r\n" * 20_000,), "without end"),
        ((OK + b"X: " + b"y" * 70_000,), "without end"),
    ],
)
def test_what_is_not_an_answer(tmp_path: Path, pieces: tuple[bytes, ...], why: str) -> None:
    with serving(tmp_path / "s", saying(*pieces)) as path, pytest.raises(Failed, match=why):
        connect(path).get("/version")


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 200_000, b"\xff"])
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(Failed, match="not JSON"):
        parse(body)
