"""Run a sweep in namespaces of its own, and tell what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.leftovers import tied
from tests.unit.plugins.loading import COLLECTIONS

_NAMESPACES = (
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
)
_LOGIN = "127.0.0.1 40000 127.0.0.1 22"  # a connection by ssh, which must be let in afterwards


def environment() -> dict[str, str]:
    """That of a process that has the sources of the on-host program."""
    paths = [str(Path.cwd()), str(COLLECTIONS)]
    return {**os.environ, "PYTHONPATH": ":".join(paths), "SSH_CONNECTION": _LOGIN, "LC_ALL": "C.UTF-8"}


def command(*arguments: str) -> list[str]:
    """What runs a sweep in namespaces of its own."""
    return ["unshare", *_NAMESPACES, "--", sys.executable, "-m", "tests.faults.sweep", *arguments]


def swept(*arguments: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What became of every point, and the summary; root.

    Args:
        arguments: see ``sweep.py``.
    """
    done = subprocess.run(
        tied(*command(*arguments)), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *records, summary = map(json.loads, done.stdout.splitlines())
    return records, summary


def complaints(records: list[dict[str, Any]]) -> list[str]:
    """What is wrong, a point a line."""
    return [
        f"{each['point']} ({each['call']}): {'; '.join(each['problems'])[:1000]}"
        for each in records
        if each["problems"]
    ]
