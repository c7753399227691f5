from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.notify import Command, Webhook
from hardener.notify.message import NotDelivered
from tests.hanging import must_end
from tests.unit.processes import ended

MESSAGE = b'{"event":"drift"}'


class Receiver:
    """A server on loopback. ``status`` and ``headers`` may be set: what it answers."""

    def __init__(self) -> None:
        self.status = 204
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                receiver.asked.append((self.command, self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = answer  # noqa: N815 - the names are the library's

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    thread = threading.Thread(target=running.server.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


def test_the_webhook_gets_the_message(receiver: Receiver) -> None:
    Webhook(f"http://{receiver.place}/hooks/drift?token=geheim").send(MESSAGE)
    ((method, path, headers, body),) = receiver.asked
    assert (method, path, body) == ("POST", "/hooks/drift?token=geheim", MESSAGE)
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers


def test_user_and_password_are_sent_as_basic_authentication(receiver: Receiver) -> None:
    Webhook(f"http://ops:a%3Ab%0A@{receiver.place}").send(MESSAGE)
    ((_, path, headers, _),) = receiver.asked
    assert path == "/"
    assert headers["Authorization"] == "Basic b3BzOmE6Ygo="
    assert headers["Host"] == receiver.place


def test_loopback_addresses_bypass_the_proxy(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    Webhook(f"http://{receiver.place}/").send(MESSAGE)
    assert len(receiver.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.headers = status, {"Location": f"http://{receiver.place}/elsewhere"}
    with pytest.raises(NotDelivered, match=f"^the server answered with status {status}$"):
        Webhook(f"http://{receiver.place}/").send(MESSAGE)
    assert len(receiver.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_refused_message_is_reported(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(NotDelivered, match=f"^the server answered with status {status}$"):
        Webhook(f"http://{receiver.place}/").send(MESSAGE)


def test_a_closed_port_is_reported() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(NotDelivered, match=r"^Connection refused$"):
        Webhook(f"http://127.0.0.1:{port}/geheim").send(MESSAGE)


def test_an_unknown_host_name_is_reported() -> None:
    with pytest.raises(NotDelivered) as caught:
        Webhook("https://hooks.invalid/geheim").send(MESSAGE)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("said", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 2", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_an_invalid_answer_is_reported(said: bytes) -> None:
    with listening(said) as port, pytest.raises(NotDelivered) as caught:
        Webhook(f"http://127.0.0.1:{port}/geheim", timeout=20).send(MESSAGE)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
    ],
)
def test_an_endless_head_of_an_answer_is_reported(said: bytes) -> None:
    with listening(said) as port, must_end(), pytest.raises(NotDelivered):
        Webhook(f"http://127.0.0.1:{port}/", timeout=20).send(MESSAGE)


@pytest.mark.parametrize("status", [b"200 OK", b"500 x"])
def test_an_endless_body_of_an_answer_is_not_read(status: bytes) -> None:
    said = b"HTTP/1.1 " + status + b"\r\nContent-Length: 99999999999\r\n\r\n" + b"y" * 1000
    delivers = nullcontext() if status.startswith(b"2") else pytest.raises(NotDelivered, match="status 500")
    with listening(said, pause=0.01) as port, must_end(), delivers:
        Webhook(f"http://127.0.0.1:{port}/", timeout=20).send(MESSAGE)


def test_a_slow_server_is_abandoned() -> None:
    with (
        listening(b"HTTP/1.1 200 OK\r\n" + b"x" * 1000, pause=0.2) as port,
        must_end(),
        pytest.raises(NotDelivered, match=r"^the server did not answer within 1 s$"),
    ):
        Webhook(f"http://127.0.0.1:{port}/", timeout=1).send(MESSAGE)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:geheim@hooks.example:8443/geheim?geheim#geheim", "https://hooks.example:8443"),
        ("HTTPS://Hooks.Example", "https://hooks.example"),
        ("http://[::1]:80/geheim", "http://[::1]:80"),
        ("http://localhost/geheim", "http://localhost"),
    ],
)
def test_the_shown_address_of_a_webhook_contains_no_secret(url: str, shown: str) -> None:
    assert Webhook(url).name == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "geheim",
        "ftp://localhost/geheim",
        "file:///etc/geheim",
        "http://hooks.example/geheim",
        "http://127.0.0.1.example/geheim",
        "http://10.0.0.1/geheim",
        "http://localhost@hooks.example/geheim",
        "https://",
        "https:///geheim",
        "https://hooks.example:port/geheim",
        "https://hooks.example:99999/geheim",
        "https://hooks.example:0/geheim",
        "https://[::1/geheim",
        "https://hooks.example/a geheim",
        "https://hooks.example/\r\nX-Geheim: 1",
        "https://hööks.example/geheim",
    ],
)
def test_an_invalid_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(HardenerError, match="notification URL") as caught:
        Webhook(url)
    assert "geheim" not in str(caught.value)


class listening:  # noqa: N801 - used as a function
    """A port on loopback whose server says this and ends; with a pause after each byte where one is given."""

    def __init__(self, said: bytes, *, pause: float = 0) -> None:
        self._said, self._pause = said, pause
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(65536)
            pieces = [bytes([each]) for each in self._said] if self._pause else [self._said]
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    return
                if self._stop.wait(self._pause):
                    return


UNTRUSTED = b'{"host": "$(touch owned); \\u001b[31m"}'


def python(source: str, *arguments: str) -> str:
    return shlex.join([sys.executable, "-c", source, *arguments])


def test_the_command_gets_the_message_and_its_arguments_unchanged(tmp_path: Path) -> None:
    out = tmp_path / "out put"
    words = ["$(id)", "a;b", "*", ""]
    source = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]) + sys.stdin.read())"
    Command(python(source, str(out), *words)).send(UNTRUSTED)
    assert out.read_text() == repr(words) + UNTRUSTED.decode()


def test_output_of_the_command_is_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    Command(python("import sys; print('out'); print('err', file=sys.stderr)")).send(UNTRUSTED)
    assert capfd.readouterr() == ("", "")


def test_a_command_that_does_not_read_the_message_succeeds() -> None:
    Command("true").send(b"x" * 5_000_000)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/nowhere/notify", "No such file or directory"),
        ("/etc/passwd", "Permission denied"),
        (python("import sys; sys.exit('first\\nno\\troute')"), "exit code 1: no route"),
        (python("import sys; sys.stderr.write('x' * 10**7); sys.exit(3)"), "exit code 3: xxx"),
        (python("import os; os.kill(os.getpid(), 9)"), "signal 9 ended the command"),
    ],
)
def test_a_failed_command_is_reported_with_its_reason(command: str, why: str) -> None:
    with pytest.raises(NotDelivered) as caught:
        Command(command).send(UNTRUSTED)
    assert str(caught.value).startswith(why)
    assert len(str(caught.value)) < 400


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '3600']);"
        " open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(3600)"
    )
    command = Command(python(source, str(pid)), timeout=1)
    with must_end(), pytest.raises(NotDelivered, match="the command did not finish within 1 s"):
        command.send(UNTRUSTED)
    if pid.exists():  # a busy machine may not have come that far
        assert ended(int(pid.read_text()))


def test_background_processes_do_not_delay_the_notification(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = (
        "import subprocess, sys; open(sys.argv[1], 'w').write(str(subprocess.Popen(['sleep', '600']).pid))"
    )
    try:
        with must_end():
            Command(python(source, str(pid)), timeout=3600).send(UNTRUSTED)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)  # an error if it had ended


@pytest.mark.parametrize(
    "text",
    [
        "jq . | mail ops",
        "a && b",
        "a; b",
        "notify >log",
        "notify $USER",
        'notify "$USER"',
        "notify `id`",
        "a\nb",
    ],
)
def test_a_command_that_needs_a_shell_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(HardenerError, match="without a shell") as caught:
        Command(text)
    assert caught.value.hint.endswith("sh -c COMMAND")


@pytest.mark.parametrize(
    "text", ["sh -c 'jq . | mail ops'", 'say "a; b"', r"say a\;b", "say 'it costs $5' x?y=1"]
)
def test_a_quoted_command_of_a_shell_is_accepted(text: str) -> None:
    Command(text)


def test_a_command_is_named_by_its_program_alone() -> None:
    assert Command("notify --token geheim").name == "notify"


@pytest.mark.parametrize("text", ["", "  ", "'open", "a\0b"])
def test_an_invalid_command_line_is_refused(text: str) -> None:
    with pytest.raises(HardenerError, match="notification command"):
        Command(text)
