"""What a person sees: the command line on a real terminal of 80 columns and 24 lines."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parents[1] / "fixtures/snapshots"


def screen(*arguments: str, rows: int = 24, columns: int = 80) -> tuple[list[str], int]:
    """Run the command line on a terminal of this size; return what stays in view, and the exit code."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "hardener", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**inherited, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    printed = b""
    try:
        while read := os.read(ours, 65536):
            printed += read
    except OSError:  # EIO: the other side is closed
        pass
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.decode())
    return text.replace("\r\n", "\n").split("\n")[-rows:], process.wait(30)


@pytest.mark.parametrize("hosts", ["debian-13.json", ""])
def test_the_last_screen_of_80_by_24_is_the_answer(hosts: str) -> None:
    shown, code = screen("assess", str(SNAPSHOTS / hosts))
    assert code == 3
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    assert re.search(r"^ (lab|5 hosts)  \d+% compliant  █", text, re.MULTILINE)
    assert re.search(r"\d+ pass, \d+ fail \(\d+ high", text)
    assert "2 controls" in text  # a cause
    assert re.search(r"next: hardener explain [\dH.]+", text)
