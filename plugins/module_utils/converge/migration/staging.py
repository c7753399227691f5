"""Run a second engine on the new data root, to import images and volumes while the first one works.

It has its own network and mount namespaces, so that it cannot touch bridges, rules and mounts of the host; it
starts no container. It ends with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any, Mapping

from ...host import atomic
from .. import files
from ..engine import wait_for
from ..errors import Failed
from ..planning import redacted
from .survey import Client

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

FOLDER = "/run/hardener-userns"
_DIE_WITH_PARENT = 1  # prctl
_TAKEN_OVER = ("storage-driver", "storage-opts")  # settings that decide how images are stored


class Staging:
    """The second engine; ``pid`` is 0 while it does not run.

    Args:
        dockerd: the program.
        config: daemon.json after the migration.
        data_root: the engine's, without the part that names the range.
        containerd: socket of the containerd that the engine uses.
        folder: for its socket and configuration.
    """

    def __init__(
        self,
        *,
        dockerd: str,
        config: Mapping[str, Any],
        data_root: str,
        containerd: str,
        folder: str = FOLDER,
    ) -> None:
        self.folder = folder
        self.client = Client(os.path.join(folder, "docker.sock"))
        self._dockerd = dockerd
        self._config = {
            **{key: config[key] for key in _TAKEN_OVER if key in config},
            "userns-remap": config["userns-remap"],
            "data-root": data_root,
            "containerd": containerd,
            "exec-root": os.path.join(folder, "exec"),
            "pidfile": os.path.join(folder, "docker.pid"),
            "hosts": [f"unix://{self.client.path}"],
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the second engine."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the second engine, and wait until it answers.

        Raises:
            Failed: it does not.
        """
        remove(self.folder)
        atomic.make_folder(self.folder, 0o700)
        config = os.path.join(self.folder, "daemon.json")
        files.replace(config, files.own(json.dumps(self._config).encode()))
        command = ["unshare", "--net", "--mount", "--propagation", "private", "--"]
        with open(os.path.join(self.folder, "log"), "wb") as log:
            try:
                self._process = subprocess.Popen(
                    [*command, self._dockerd, f"--config-file={config}"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
                    cwd="/",
                    preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads yet
                )
            except OSError as error:
                raise Failed(f"{self._dockerd} cannot be started: {error.strerror}") from error
        wait_for("the engine of the new root does not answer", self._answers, seconds=90)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Failed(f"the engine of the new root does not start: {self._last_words()}")
        return self.client.info() is not None

    def _last_words(self) -> str:
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            lines = [line for line in log.read().splitlines() if "level=info" not in line]
        return redacted(" ".join(lines[-1].split())[:400]) if lines else "it printed nothing"

    def stop(self) -> None:
        """Stop the second engine, and remove its files in /run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        remove(self.folder)


def end_leftover(folder: str = FOLDER) -> None:
    """Stop an engine whose parent was killed, if it still exists."""
    with suppress(OSError, ValueError):
        with open(os.path.join(folder, "docker.pid"), encoding="utf-8") as file:
            pid = int(file.read())
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 30
            while _is_ours(pid, folder) and time.monotonic() < deadline:
                os.kill(pid, number)
                time.sleep(0.2)
    remove(folder)


def remove(folder: str = FOLDER) -> None:
    """Remove a second engine's files in /run; files that cannot be removed vanish with the next boot."""
    with suppress(OSError):
        atomic.remove_tree(folder)


def _is_ours(pid: int, folder: str) -> bool:
    """Return whether a process is the second engine of this folder, since a pid may have been reused."""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return f"--config-file={folder}/daemon.json".encode() in file.read().split(b"\0")
    return False


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
