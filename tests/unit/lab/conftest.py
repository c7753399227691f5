"""A lab with a cache folder of its own, and guests that need no virtual machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's cache folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hardener" / "lab"


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes that sleep under any command line, and that are gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str) -> subprocess.Popen[bytes]:
        # Python with a made-up argv[0]: what /proc shows is what a QEMU of that command line would show.
        sleeper = subprocess.Popen(
            [argv[0], "-c", "import time; time.sleep(60)", *argv[1:]], executable=sys.executable
        )
        started.append(sleeper)
        for _ in range(200):  # until exec, /proc shows the parent's command line
            if Path(f"/proc/{sleeper.pid}/cmdline").read_bytes().startswith(argv[0].encode()):
                break
            time.sleep(0.01)
        return sleeper

    yield start
    for sleeper in started:
        sleeper.kill()
        sleeper.wait()
