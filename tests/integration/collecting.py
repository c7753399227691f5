"""Collect a real snapshot from a private engine, the way a person does it by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils import snapshot

from hardener.checks import all_checks
from hardener.model import Verdict
from hardener.snapshot import Snapshot
from tests.integration.dockerd import Dockerd
from tests.unit.plugins.loading import COLLECTIONS

# What runs the collector by hand.
COLLECTOR = (
    sys.executable,
    "-c",
    f"import sys; sys.path[:0] = [{str(COLLECTIONS)!r}]; from {snapshot.__name__}.main import main; main()",
)


def on_this_host(*command: str) -> list[str]:
    """The command, for which the host is what this process sees, with a network that may be its own.

    The collector takes PID 1 for the host.
    """
    script = 'mount --bind "$0" /proc/1 && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, f"/proc/{os.getpid()}", *command]


def collect(engine: Dockerd, *, policy: Mapping[str, Any] | None = None) -> Snapshot:
    """The snapshot of this machine, its engine being ``engine``; ``policy`` is the site's."""
    command = on_this_host(*COLLECTOR, f"--socket={engine.socket}")
    printed = subprocess.run(command, check=True, capture_output=True).stdout
    return Snapshot({**json.loads(printed), "policy": dict(policy or {})})


def judge(slug: str, snapshot: Snapshot) -> Verdict:
    """The verdict on one control."""
    return all_checks()[slug](snapshot)


def named(verdict: Verdict, kind: str = "container") -> set[str]:
    """Names of the offenders of one kind."""
    return {offender.name for offender in verdict.offenders if offender.kind == kind}
