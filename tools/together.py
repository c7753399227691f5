"""Run commands in parallel; print each line of their output with the command's name and the time.

    together.py NAME=COMMAND NAME=COMMAND ...

Every command is run by the shell. When one fails the others run on to their end; the exit code is then 1.
All of them are in this process's group: an interrupt from the terminal reaches them too.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence


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
        relay = threading.Thread(target=_relay, args=(process, f"{name:{width}}", begun))
        relay.start()
        running[name] = process, relay
    try:
        codes = {name: process.wait() for name, (process, _) in running.items()}
    finally:
        for _, relay in running.values():
            relay.join()
    failed = [f"{name} ended with {code}" for name, code in codes.items() if code]
    if failed:
        sys.stderr.write(f"{'; '.join(failed)}\n")
    return int(bool(failed))


def _relay(process: subprocess.Popen[str], name: str, begun: float) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        minutes, seconds = divmod(int(time.monotonic() - begun), 60)
        print(f"{minutes:2}:{seconds:02} {name} | {line.rstrip()}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
