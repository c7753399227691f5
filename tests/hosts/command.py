"""The command line, as a user runs it on a host under test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Hardener = Callable[..., "subprocess.CompletedProcess[str]"]


def hardener(
    verb: str, inventory: Path, *options: str | Path, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command on the hosts of an inventory."""
    return subprocess.run(
        [sys.executable, "-m", "hardener", *verb.split(), "-i", inventory, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=3600,
    )


def on(inventory: Path, *always: str, cwd: Path) -> Hardener:
    """The command line for the hosts of one inventory, with some options always, in a folder."""

    def run(verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        return hardener(verb, inventory, *always, *options, cwd=cwd)

    return run


def findings(report: Path) -> dict[str, dict[str, Any]]:
    """The findings of a JSON report about one host, by control."""
    (host,) = json.loads(report.read_text())["hosts"]
    return {finding["slug"]: finding for finding in host["findings"]}
