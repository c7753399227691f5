"""Scopes of systemd's, as control groups of this machine's kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path


class Scopes:
    """Transient scopes: a process that is moved into one sees that in its own ``/proc/self/cgroup``.

    Args:
        mount: where the kernel's control groups (version 2) are to be mounted; those of other sweeps
            show there too, so that this one's have a folder of their own.
    """

    def __init__(self, mount: Path) -> None:
        mount.mkdir()
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", mount], check=True)
        self._mount = mount
        self._folder = mount / f"faults-{uuid.uuid4().hex[:12]}"
        self._folder.mkdir()

    def start(self, name: str, pid: int) -> None:
        """Move a process into one."""
        (self._folder / name).mkdir(exist_ok=True)
        (self._folder / name / "cgroup.procs").write_text(f"{pid}")

    def alive(self, name: str) -> bool:
        """Whether it has processes: systemd forgets one that has none any more."""
        with suppress(FileNotFoundError):
            return bool((self._folder / name / "cgroup.procs").read_text())
        return False

    def kill(self, name: str) -> None:
        """End all that is in it."""
        with suppress(FileNotFoundError):
            for pid in (self._folder / name / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    def clear(self) -> None:
        """Remove those that have no processes."""
        for scope in self._folder.iterdir():
            if scope.is_dir():
                scope.rmdir()

    def close(self) -> None:
        """Remove all."""
        self.clear()
        self._folder.rmdir()
        subprocess.run(["umount", self._mount], check=True)
