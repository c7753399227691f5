"""Run the collector by hand and know what it printed, how long it took and how much memory it had."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs

from hardener import snapshot
from tests.integration.collecting import on_this_host
from tests.unit.plugins.loading import COLLECTIONS

_SCHEMA = json.loads((Path(snapshot.__file__).parent / "snapshot.schema.json").read_text(encoding="utf-8"))

# As by hand, and at the end all processes say how much memory they had at most. What the kernel accounts of
# ended processes would do, did it not count what the test run itself has.
_PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import main
leave = os._exit
def say_peak(code):
    status = open("/proc/self/status").read()
    print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr, flush=True)
    leave(code)
main.os._exit = say_peak
main.main()
"""


@dataclass(frozen=True)
class Run:
    """One run of the collector by hand."""

    printed: bytes
    document: dict[str, Any]
    peak_mb: float

    def data(self, source: str) -> Any:
        """Data of a source that must have been read."""
        entry = self.document["sources"][source]
        assert entry["state"] == "ok", f"{source}: {entry}"
        return entry["data"]

    def failure(self, source: str) -> str:
        """Why a source failed."""
        entry = self.document["sources"][source]
        assert entry["state"] == "failed", f"{source}: {entry['state']}"
        return str(entry["error"])


def collect(engine_socket: object, *, valid: bool = True, within: Sequence[str] = ()) -> Run:
    """Run the collector; what it prints must be valid, but for engines whose answers no engine gives.

    ``within`` is a command that runs another one, such as unshare.
    """
    command = on_this_host(
        *within, sys.executable, "-c", _PROGRAM, str(COLLECTIONS), f"--socket={engine_socket}"
    )
    ended = subprocess.run(command, check=True, capture_output=True, timeout=300)
    printed, peak_kb = ended.stdout, sum(map(int, ended.stderr.split()))
    document = json.loads(printed)
    if valid:
        errors = jsonschema_rs.Draft202012Validator(_SCHEMA).iter_errors(document)
        assert [error.message[:300] for error in errors] == []
    return Run(printed, document, peak_kb / 1024)


def container(run: Run, identity: str) -> dict[str, Any]:
    """What was collected of one container."""
    found = [entry for entry in run.data("docker.containers") if entry["inspect"]["Id"] == identity]
    assert len(found) == 1
    return dict(found[0])


def proc(run: Run, identity: str) -> dict[str, Any]:
    """The truth about a container that runs."""
    found = container(run, identity)["proc"]
    assert found is not None
    return dict(found)
