"""A host that is kept for a run ends with it: a run of Molecule that is killed leaves none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.hosts import keep
from tests.integration.waiting import until

NAME = f"test-keep-{os.getpid()}"


def test_a_kept_host_ends_with_the_run_that_it_is_for() -> None:
    with subprocess.Popen(["sleep", "600"]) as run:
        started = subprocess.run(
            [sys.executable, "-m", "tests.hosts.keep", "up", NAME, "13", "namespaces"],
            env={**os.environ, "HARDENER_KEPT_FOR": str(run.pid)},
            capture_output=True,
            text=True,
            check=True,
        )
        inventory = Path(started.stdout.strip())
        try:
            assert NAME in inventory.read_text()
            run.kill()
            assert until(lambda: not inventory.parent.exists())
        finally:
            run.kill()
            keep.down(NAME)
            keep._lock(NAME).unlink()
