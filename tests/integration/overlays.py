"""This machine with its configuration overlaid: whatever a program changes there is gone afterwards.

with Overlaid() as machine:
    machine.run("touch", "/etc/made-in-there")
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.leftovers import tied

_FOLDERS = ("etc", "usr/local", "var/lib", "run", "root")
_ENTER = """
set -e
room=$(mktemp -d)
mount -t tmpfs tmpfs "$room"
for folder in "$@"; do
    ours="$room/$folder"
    mkdir -p "$ours/upper" "$ours/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$ours/upper,workdir=$ours/work" "/$folder"
done
umount --lazy "$room"
rmdir "$room"
echo ready
exec sleep infinity
"""


class Overlaid:
    """A mount namespace of its own; root."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            tied("unshare", "--mount", "--propagation=private", "sh", "-c", _ENTER, "sh", *_FOLDERS),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """A process in there."""
        return self._process.pid

    def run(
        self, *command: str, data: str | None = None, timeout: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in there; ``data`` is its standard input."""
        inherited: Mapping[str, str] = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "DOCKER_"))
        }
        return subprocess.run(
            ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt", f"--wd={Path.cwd()}", *command],
            input=data,
            stdin=None if data is not None else subprocess.DEVNULL,
            env={**inherited, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
