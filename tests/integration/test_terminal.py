"""The command line on a real terminal of 80 columns and 24 lines, and without a reader of its messages."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
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
def test_the_verdict_fits_the_last_screen_of_80_by_24(hosts: str) -> None:
    shown, code = screen("assess", str(SNAPSHOTS / hosts))
    assert code == 3
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    assert re.search(r"^ (lab|4 hosts)  \d+% compliant  █", text, re.MULTILINE)
    assert re.search(r"\d+ pass, \d+ fail \(\d+ high", text)
    assert "2 controls" in text  # a cause
    assert re.search(r"next: hardener controls [\dH.]+", text)


@pytest.fixture(params=["closed", "no reader", "full disk"])
def broken(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """A standard error that takes nothing; None for a closed one."""
    if request.param == "closed":
        yield None
        return
    if request.param == "full disk":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, descriptor = os.pipe()
        os.close(reader)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (("harden", "-i", "gone.yml"), 2, ""),
        (("assess", str(SNAPSHOTS / "debian-13.json"), str(SNAPSHOTS / "debian-12.json")), 3, "compliant"),
        (("harden", "-i", "host,"), 9, "Not audited"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_exit_code_does_not_depend_on_standard_error(
    broken: int | None, arguments: tuple[str, ...], code: int, shown: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [
            "sh",
            "-c",
            f'exec "$0" -m hardener "$@" {"2>&-" if broken is None else ""}',
            sys.executable,
            *arguments,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=broken,
        # The host cannot be reached, at once.
        env={**os.environ, "HARDENER_HOME": str(tmp_path), "ANSIBLE_SSH_ARGS": "-o ProxyCommand=false"},
        cwd=tmp_path,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == code
    assert shown in ended.stdout
