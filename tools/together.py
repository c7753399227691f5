"""Run commands in parallel; print each line of their output with the command's name and the time.

    together.py NAME=COMMAND NAME=COMMAND ...

Every command is run by the shell. When one fails the others run on to their end; its last lines and its
failed tests are then printed once more, so that the end of the output tells why, and the exit code is 1.
All of them are in this process's group: an interrupt from the terminal reaches them too.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

# How many of a failed command's last lines are printed again.
REPEATED_LINES = 40
# Two threads that print would mix up their lines, as `print` writes the end of a line separately.
_WRITING = threading.Lock()
# What pytest prints of a failed test, also after the name of a command or of a worker.
_FAILED_TEST = re.compile(r"(?:^|[|\]] )(?:FAILED|ERROR) (tests/\S+)(.{,200})")


@dataclass(frozen=True)
class _Output:
    """What is kept of a command's output: its last lines, and its failed tests with their reasons."""

    last: deque[str] = field(default_factory=lambda: deque(maxlen=REPEATED_LINES))
    failed_tests: dict[str, str] = field(default_factory=dict)


def main(words: Sequence[str]) -> int:
    """Run the commands; return 0 if all succeeded."""
    begun = time.monotonic()
    width = max(len(word.partition("=")[0]) for word in words)
    running = {}
    for word in words:
        name, _, command = word.partition("=")
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        output = _Output()
        relay = threading.Thread(target=_relay, args=(process, f"{name:{width}}", begun, output))
        relay.start()
        running[name] = process, relay, output
    try:
        codes = {name: process.wait() for name, (process, *_) in running.items()}
    finally:
        for _, relay, _ in running.values():
            relay.join()
    failed = {name: code for name, code in codes.items() if code}
    for name, code in failed.items():
        output = running[name][2]
        sys.stderr.write("".join(f"{line}\n" for line in output.last))
        sys.stderr.write(f"{name} ended with {code}\n")
        sys.stderr.write("".join(f"FAILED {test}{reason}\n" for test, reason in output.failed_tests.items()))
    return int(bool(failed))


def _relay(process: subprocess.Popen[str], name: str, begun: float, output: _Output) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        minutes, seconds = divmod(int(time.monotonic() - begun), 60)
        output.last.append(f"{minutes:2}:{seconds:02} {name} | {line.rstrip()}")
        if failed := _FAILED_TEST.search(line):
            output.failed_tests[failed[1]] = failed[2].rstrip()
        with _WRITING:
            sys.stdout.write(f"{output.last[-1]}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
