"""A Receptor mesh of real nodes on loopback, with TLS between nodes and signed work.

    with Mesh("w1", "w2") as mesh:
        mesh.kill("w1")

The controller's node is ``ctl``; workers connect to it, each through a relay of its own that can be cut.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.integration.sshd import free_port
from tests.leftovers import clear, folder, tied

BIN = Path(sys.executable).parent
CONTROLLER = "ctl"
WORK = "ansible-runner"
_READY_S = 75


class Mesh:
    """Nodes of a mesh; ``secure`` has TLS and signatures, as a mesh across machines must."""

    def __init__(self, *workers: str, secure: bool = True) -> None:
        self.workers = workers
        self.secure = secure
        self.root = folder("mesh")
        self.port = free_port()
        self.links = {name: Link(self.port) for name in workers}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        if self.secure:
            self._make_keys()
        for name in (CONTROLLER, *self.workers):
            self._configure(name)
            self.start(name)
            if name != CONTROLLER:
                # Nodes that connect at once miss each other's first announcement; the next is after 60 s.
                self.until_ready([name])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._processes):
            self.kill(name)
        for link in self.links.values():
            link.close()
        clear(self.root)

    @property
    def socket(self) -> Path:
        """The control socket of the controller's node."""
        return self.root / CONTROLLER / "sock"

    def options(self, **changed: Any) -> Path:
        """Write the file for ``--mesh``."""
        path = self.root / "mesh.yml"
        path.write_text(
            json.dumps(
                {"socket": str(self.socket), **({"tls_client": "client"} if self.secure else {}), **changed}
            )
        )
        return path

    def start(self, name: str) -> None:
        """Start a node; what it logs is kept in its folder."""
        home = self.root / name
        path = os.pathsep.join((str(BIN), os.environ["PATH"]))
        with (home / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                tied("/usr/bin/receptor", "--config", str(home / "receptor.yml")),
                cwd=home,
                env={"PATH": path, "HOME": str(Path.home()), "TMPDIR": str(home / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill a node and all that runs on it, as a power failure does."""
        process = self._processes.pop(name)
        process.kill()
        process.wait(timeout=10)
        marker = str(self.root / name)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                except OSError:
                    continue
                if marker.encode() in words:
                    try:
                        os.kill(int(entry.name), signal.SIGKILL)
                    except ProcessLookupError:
                        continue

    def runs(self, name: str) -> bool:
        return name in self._processes

    def job_folders(self) -> list[Path]:
        """What workers have left on the nodes."""
        return [path for name in self.workers for path in (self.root / name / "tmp").iterdir()]

    def until_playing(self, name: str) -> None:
        """Wait until Ansible runs on a node."""
        marker = str(self.root / name / "tmp").encode()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for entry in Path("/proc").iterdir():
                try:
                    if (
                        b"execution_node.py" in (entry / "cmdline").read_bytes()
                        and marker in (entry / "environ").read_bytes()
                    ):
                        return
                except OSError:
                    continue
            time.sleep(0.05)
        raise TimeoutError(f"no Ansible runs on {name}")

    def until_ready(self, workers: Sequence[str]) -> None:
        """Wait until the controller's node knows the work of these nodes."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            known = {
                each["NodeID"] for each in self.status().get("Advertisements") or () if each["WorkCommands"]
            }
            if known >= set(workers):
                return
            time.sleep(0.1)
        raise TimeoutError(f"the mesh is not ready: {(self.root / CONTROLLER / 'log').read_text()[-2000:]}")

    def status(self) -> dict[str, Any]:
        return self.command("status")

    def command(self, text: str, *, timeout: float = 5) -> dict[str, Any]:
        """Give the controller's node a command; empty while it does not answer."""
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(timeout)
                control.connect(str(self.socket))
                with control.makefile("rwb") as stream:
                    stream.readline()
                    stream.write(text.encode() + b"\n")
                    stream.flush()
                    found: dict[str, Any] = json.loads(stream.readline())
                    return found
        except (OSError, ValueError):
            return {}

    def _configure(self, name: str) -> None:
        home = self.root / name
        (home / "tmp").mkdir(parents=True)
        tls = {"tls": "server"} if self.secure else {}
        entries: list[dict[str, Any]] = [
            {"node": {"id": name, "datadir": str(home / "data")}},
            {"log-level": "info"},
        ]
        if self.secure:
            pair = {"cert": str(self.root / f"{name}.crt"), "key": str(self.root / f"{name}.key")}
            ca = str(self.root / "ca.crt")
            entries += [
                {"tls-server": {"name": "server", **pair, "clientcas": ca, "requireclientcert": True}},
                {"tls-client": {"name": "client", **pair, "rootcas": ca}},
            ]
        entries.append({"control-service": {"service": "control", "filename": str(home / "sock"), **tls}})
        if name == CONTROLLER:
            entries.append({"tcp-listener": {"port": self.port, "bindaddr": "127.0.0.1", **tls}})
            if self.secure:
                entries.append(
                    {"work-signing": {"privatekey": str(self.root / "sign.pem"), "tokenexpiration": "1h"}}
                )
        else:
            peer = {"address": f"127.0.0.1:{self.links[name].port}", "redial": True}
            entries.append({"tcp-peer": {**peer, **({"tls": "client"} if self.secure else {})}})
            work = {"worktype": WORK, "command": str(BIN / "ansible-runner"), "params": "worker"}
            verify = {"verifysignature": True} if self.secure else {}
            if self.secure:
                entries.append({"work-verification": {"publickey": str(self.root / "verify.pem")}})
            entries.append({"work-command": {**work, "allowruntimeparams": True, **verify}})
        (home / "receptor.yml").write_text(yaml.safe_dump(entries))

    def _make_keys(self) -> None:
        ca = (f"outcert={self.root}/ca.crt", f"outkey={self.root}/ca.key")
        receptor("--cert-init", "commonname=test", "bits=2048", *ca)
        for name in (CONTROLLER, *self.workers):
            request = (f"commonname={name}", f"nodeid={name}", "ipaddress=127.0.0.1", "bits=2048")
            files = (f"outreq={self.root}/{name}.req", f"outkey={self.root}/{name}.key")
            receptor("--cert-makereq", *request, *files)
            signed = (
                f"cacert={self.root}/ca.crt",
                f"cakey={self.root}/ca.key",
                f"outcert={self.root}/{name}.crt",
            )
            receptor("--cert-signreq", f"req={self.root}/{name}.req", *signed, "verify=true")
        quietly("openssl", "genrsa", "-out", f"{self.root}/sign.pem", "2048")
        quietly(
            "openssl", "rsa", "-in", f"{self.root}/sign.pem", "-pubout", "-out", f"{self.root}/verify.pem"
        )


class Link:
    """A relay to a port on loopback that can be cut: what flows through it stops, in both directions."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open = threading.Event()
        self._open.set()
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._over.set()
        self._server.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._relay, args=(near, far), daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, selectors.DefaultSelector() as waiting:
            waiting.register(near, selectors.EVENT_READ, far)
            waiting.register(far, selectors.EVENT_READ, near)
            while not self._over.is_set():
                if not self._open.is_set():
                    time.sleep(0.05)  # the connection stays, and nothing passes
                    continue
                for key, _ in waiting.select(timeout=0.1):
                    try:
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)
                    except OSError:
                        return


def receptor(*arguments: str) -> None:
    quietly("/usr/bin/receptor", *arguments)


def quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
