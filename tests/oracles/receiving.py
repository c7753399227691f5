"""Run an oracle in a process of its own, and read here what it observes there, as it comes.

python -m tests.oracles.receiving MODULE SEED CASES
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, BinaryIO, cast

# Its mounts are its own, and what it starts ends with it.
ALONE = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc")


def started(
    oracle: ModuleType, seed: int, cases: int, *, under: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start an oracle in a process of its own.

    Args:
        oracle: has a function ``observed``.
        seed: of its cases.
        cases: how many there are.
        under: a command that is to run the process, such as ``ALONE``.
    """
    program = [*under, sys.executable, "-m", __name__, oracle.__name__, str(seed), str(cases)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(program, stdout=subprocess.PIPE, env=environment)


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
