"""Run commands in parallel; print each line of their output with the command's name and the time.

    together.py NAME=COMMAND NAME=COMMAND ...

Every command is run by the shell. When one fails the others run on to their end; its last lines are then
printed once more, so that the end of the output tells why, and the exit code is 1.
All of them are in this process's group: an interrupt from the terminal reaches them too.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence

# How many of a failed command's last lines are printed again.
REPEATED_LINES = 40


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
        last: deque[str] = deque(maxlen=REPEATED_LINES)
        relay = threading.Thread(target=_relay, args=(process, f"{name:{width}}", begun, last))
        relay.start()
        running[name] = process, relay, last
    try:
        codes = {name: process.wait() for name, (process, *_) in running.items()}
    finally:
        for _, relay, _ in running.values():
            relay.join()
    failed = {name: code for name, code in codes.items() if code}
    for name, code in failed.items():
        sys.stderr.write("".join(f"{line}\n" for line in running[name][2]))
        sys.stderr.write(f"{name} ended with {code}\n")
    return int(bool(failed))


def _relay(process: subprocess.Popen[str], name: str, begun: float, last: deque[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        minutes, seconds = divmod(int(time.monotonic() - begun), 60)
        last.append(f"{minutes:2}:{seconds:02} {name} | {line.rstrip()}")
        print(last[-1], flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
