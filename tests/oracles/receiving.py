"""What an oracle sees in a process of its own, printed there and read here as it comes.

python -m tests.oracles.receiving MODULE SEED CASES
"""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO, cast


def received(process: subprocess.Popen[bytes]) -> Iterator[Any]:
    """What a program of ours pickled to its standard output, one after the other."""
    return unpickled(cast(BinaryIO, process.stdout))


def unpickled(stream: BinaryIO) -> Iterator[Any]:
    """All that a stream holds."""
    with suppress(EOFError):
        while True:
            yield pickle.load(stream)


if __name__ == "__main__":
    for seen in importlib.import_module(sys.argv[1]).observed(int(sys.argv[2]), int(sys.argv[3])):
        pickle.dump(seen, sys.stdout.buffer)
        sys.stdout.buffer.flush()
