"""A private Docker engine for tests and benchmarks: its own folders, socket, containerd and configuration.

    with Dockerd(config={"icc": False}) as engine:
        engine.run("web", command=["sleep", "1000"], labels={"a": "b"}, host_config={"Privileged": True})

Nothing is pulled: the image ``busybox:test`` is made from the static busybox of the machine. The engine is
ended by its pid, and with it its containers, mounts and folder.
"""

from __future__ import annotations

import http.client
import io
import json
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from tests.integration.namespaces import OwnNetwork
from tests.leftovers import clear, folder, tied

IMAGE = "busybox:test"
BUSYBOX = Path("/usr/bin/busybox")
APPLETS = ("sh", "sleep", "cat", "true", "id", "httpd", "nc", "ls", "ps", "touch", "mkdir")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class EngineError(Exception):
    """The engine did not start, or refused a request."""


class Engine:
    """The API of an engine.

    Args:
        socket: leads to it.
        patience: seconds that an answer may take.
    """

    inventory: Path | None = None  # of its host, where that is not this machine

    def __init__(self, socket: Path, *, patience: float = 120) -> None:
        self.socket = socket
        self.patience = patience

    @property
    def host(self) -> str:
        """The engine's address, as DOCKER_HOST wants it."""
        return f"unix://{self.socket}"

    def on_host(self, *argv: str) -> list[str]:
        """The command that runs a command on the engine's host."""
        return list(argv)

    def api(self, method: str, path: str, body: object = None) -> Any:
        """One API request; a dictionary or list is sent as JSON, bytes as a tar archive.

        Raises:
            EngineError: the engine refused it.
        """
        connection = _UnixConnection(self.socket, self.patience)
        headers = {}
        data = None
        if isinstance(body, bytes):
            data, headers = body, {"Content-Type": "application/x-tar"}
        elif body is not None:
            data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise EngineError(f"{method} {path}: {response.status} {answer.decode(errors='replace').strip()}")
        if response.getheader("Content-Type", "").startswith("application/json"):
            # build and import answer with a stream of objects; the error, if any, is in the last one
            # Not splitlines(): a name may hold a character at which that breaks lines.
            lines = [json.loads(line) for line in answer.decode().split("\n") if line.strip()]
            if lines and isinstance(lines[-1], dict) and "errorDetail" in lines[-1]:
                raise EngineError(f"{method} {path}: {lines[-1]['error']}")
            return lines[0] if len(lines) == 1 else lines
        return answer.decode(errors="replace")

    def docker(self, *args: str) -> str:
        """Run the docker client against this engine and return what it prints."""
        return subprocess.run(
            ["docker", "--host", self.host, *args], check=True, capture_output=True, text=True
        ).stdout

    # --- images and containers ------------------------------------------------------------------------------

    def ensure_image(self) -> str:
        """Make ``busybox:test`` if it is not there yet."""
        try:
            self.api("GET", f"/images/{IMAGE}/json")
        except EngineError:
            if not BUSYBOX.is_file():
                raise EngineError(f"{BUSYBOX} is missing: apt-get install busybox-static") from None
            files: dict[str, bytes | str] = {"bin/busybox": BUSYBOX.read_bytes()}
            files |= {f"bin/{name}": "busybox" for name in APPLETS}
            files |= {"etc/passwd": b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"}
            repo, tag = IMAGE.split(":")
            query = urlencode({"fromSrc": "-", "repo": repo, "tag": tag, "changes": 'CMD ["/bin/sh"]'})
            self.api("POST", f"/images/create?{query}", _tar(files))
        return IMAGE

    def build(
        self,
        tag: str,
        dockerfile: str,
        files: Mapping[str, bytes | str] | None = None,
        args: Mapping[str, str] | None = None,
    ) -> str:
        """Build an image with the classic builder, which needs no network; ``FROM busybox:test`` works."""
        self.ensure_image()
        context = _tar({"Dockerfile": dockerfile.encode(), **(files or {})})
        query = urlencode({"t": tag, "version": "1", "buildargs": json.dumps(dict(args or {}))})
        self.api("POST", f"/build?{query}", context)
        return tag

    def create(
        self,
        name: str | None = None,
        *,
        image: str = IMAGE,
        command: Sequence[str] = ("sleep", "1000000"),
        env: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        host_config: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> str:
        """Create a container and return its id; ``config`` are further keys of the create request."""
        if image == IMAGE:
            self.ensure_image()
        query = f"?name={quote(name)}" if name else ""
        body = {
            "Image": image,
            "Cmd": list(command),
            "Env": list(env),
            "Labels": dict(labels or {}),
            "StopSignal": "SIGKILL",  # the first process of a container ignores SIGTERM
            "HostConfig": dict(host_config or {}),
            **config,
        }
        return str(self.api("POST", f"/containers/create{query}", body)["Id"])

    def run(self, name: str | None = None, **options: Any) -> str:
        """Create and start a container; see ``create``."""
        container = self.create(name, **options)
        self.api("POST", f"/containers/{container}/start")
        return container

    def remove_containers(self) -> None:
        """Remove every container, several at a time."""
        listed = [container["Id"] for container in self.api("GET", "/containers/json?all=1")]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda identity: self.api("DELETE", f"/containers/{identity}?force=1&v=1"), listed))


class Dockerd(Engine):
    """A dockerd of one's own.

    Args:
        config: content of its daemon.json.
        flags: more command line flags; ``{root}`` in them is replaced by the engine's folder.
        starts_containerd: whether dockerd starts a containerd itself, as it does where it is given none. That
            costs a second at the start, and another one at the end. Debian's is given one that runs already.
        timeout: seconds to wait until it answers.
    """

    def __init__(
        self,
        *,
        config: Mapping[str, Any] | None = None,
        flags: Sequence[str] = (),
        starts_containerd: bool = False,
        timeout: float = 60,
    ) -> None:
        self.root = folder("dockerd")
        super().__init__(self.root / "docker.sock")
        self.config_file = self.root / "daemon.json"
        self.data_root = self.root / "data"
        self.log = self.root / "dockerd.log"
        self.pidfile = self.root / "docker.pid"
        self.containerd_socket = self.root / "exec/containerd/containerd.sock"  # where dockerd would have it
        self.flags = tuple(flag.replace("{root}", str(self.root)) for flag in flags)
        self.starts_containerd = starts_containerd
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        self.configure(config or {})

    # --- the engine -----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the running daemon."""
        assert self._process is not None, "the engine is not running"
        return self._process.pid

    @property
    def command(self) -> list[str]:
        """The command that starts it."""
        return [
            shutil.which("dockerd") or "dockerd",
            "--config-file",
            str(self.config_file),
            "--data-root",
            str(self.data_root),
            "--exec-root",
            str(self.root / "exec"),
            "--pidfile",
            str(self.pidfile),
            f"--host={self.host}",
            *([] if self.starts_containerd else [f"--containerd={self.containerd_socket}"]),
            *self.flags,
        ]

    @property
    def containerd_command(self) -> list[str]:
        """The command that starts its containerd."""
        return [shutil.which("containerd") or "containerd", "--config", str(self.root / "containerd.toml")]

    def configure(self, config: Mapping[str, Any] | str) -> None:
        """Write daemon.json; a string is written as it is. It counts from the next start on."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        self.config_file.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        if not self.starts_containerd and self._containerd is None:
            self._start_containerd()
        self._process = self._launch(self.command)

        def answers() -> bool:
            with suppress(OSError, http.client.HTTPException):
                self.api("GET", "/_ping")
                return True
            return False

        self._wait(self._process, answers)

    def _start_containerd(self) -> None:
        self.containerd_socket.parent.mkdir(parents=True, exist_ok=True)
        settings = (
            "version = 2",
            f'root = "{self.data_root}/containerd/daemon"',
            f'state = "{self.containerd_socket.parent}/daemon"',
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
            f'grpc.address = "{self.containerd_socket}"',
        )
        (self.root / "containerd.toml").write_text("\n".join(settings))
        self._containerd = self._launch(self.containerd_command)
        self._wait(self._containerd, self.containerd_socket.exists)

    def _launch(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            # A session of its own: an interrupt of the test run must not reach it before `close` does.
            return subprocess.Popen(
                tied(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, process: subprocess.Popen[bytes], answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.timeout
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise EngineError(f"dockerd did not start: {self._last_log_lines()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the daemon; with live-restore its containers go on."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """End the daemon and all that it left: containers, networks, mounts, the folder."""
        if self._process is not None and self._process.poll() is None:
            with suppress(OSError, http.client.HTTPException, EngineError):
                self.remove_containers()
                self.api("POST", "/networks/prune")  # their bridges would stay
        self.kill()
        for flag in self.flags:
            if flag.startswith("--host=unix://"):
                Path(flag.removeprefix("--host=unix://")).unlink(missing_ok=True)
        clear(self.root)

    def kill(self) -> None:
        """End the daemons at once: they have nothing to say any more, and would take their time."""
        for process in (self._process, self._containerd):
            if process is not None:
                process.kill()
                process.wait()
        self._process = self._containerd = None

    def _last_log_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def engine_inside(network: OwnNetwork, **options: Any) -> Iterator[Dockerd]:
    """An engine in a network, wherever the thread is: the docker0 of the machine may be somebody else's."""
    with ExitStack() as stack:
        with network.inside():
            engine = stack.enter_context(Dockerd(**options))
        yield engine


def _tar(files: Mapping[str, bytes | str]) -> bytes:
    """A tar archive of executable files; a string is the target of a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
