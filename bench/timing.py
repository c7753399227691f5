"""Time a command as a whole process, several times."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds of several runs of one command, their CPU seconds, and the peak memory of a process."""

    seconds: tuple[float, ...]
    peak_mib: float
    cpu_seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Return the median."""
        return statistics.median(self.seconds)

    def __add__(self, other: Timing) -> Timing:
        """Return the sum of two measurements, as if both were one measurement."""
        return Timing(
            self.seconds + other.seconds,
            max(self.peak_mib, other.peak_mib),
            self.cpu_seconds + other.cpu_seconds,
        )

    @property
    def cpu(self) -> float:
        """Return the median of the CPU seconds."""
        return statistics.median(self.cpu_seconds)


def measure(command: Sequence[str], *, runs: int, warm_up: int = 1) -> Timing:
    """Run a command several times, and time each run as a whole process; discard its output."""
    # What is installed is compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    seconds = []
    cpu_seconds = []
    peak = 0
    for number in range(warm_up + runs):
        begun = time.perf_counter()
        pid = os.posix_spawn(
            command[0],
            list(command),
            environment,
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
        )
        _, status, usage = os.wait4(pid, 0)
        took = time.perf_counter() - begun
        # 3 and 4 say that the host does not comply or is incomplete: it was audited all the same.
        if os.waitstatus_to_exitcode(status) not in (0, 3, 4):
            raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
        if number >= warm_up:
            seconds.append(took)
            cpu_seconds.append(usage.ru_utime + usage.ru_stime)
            peak = max(peak, usage.ru_maxrss)
    return Timing(tuple(seconds), peak / 1024, tuple(cpu_seconds))
