"""Collect permanently: the program of the systemd unit, and its record."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from typing import Any, Mapping

from .. import host
from ..contract import ACTIVITY_FORMAT
from ..docker.api import USUAL_SOCKET
from ..host.layout import ACTIVITY
from . import VERSION, record
from .tally import Baseline, Tally
from .watch import READY, STEP, Watch, summary

_WRITE = 60.0
_KEEP = 7 * 24 * 3600.0
_SILENT = 300.0  # seconds without a collector that are reported; restarts and boots take less
_RENEWED = 75  # exit code that makes systemd start the new version
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def main() -> None:
    """Collect denials and events until terminated, and write the record every minute."""
    parser = argparse.ArgumentParser(prog="hardener-activity", description=main.__doc__)
    parser.add_argument("--socket", default=USUAL_SOCKET)
    parser.add_argument("--learn-hours", type=float, default=24.0)
    parser.add_argument("--folder", default=ACTIVITY)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    past, problem = record.read(options.folder)
    if problem:
        print(f"starting a new record: {problem}", file=sys.stderr)
    tally = Tally()
    learning = options.learn_hours * 3600
    baseline = Baseline(learning, past["baseline"] if past else None)
    if past:
        _restore(tally, past)
    watch = Watch(options.socket, tally, baseline, learning=True)
    if watch.audit_problem:
        print(f"the kernel's audit records cannot be received: {watch.audit_problem}", file=sys.stderr)
    watch.engine.ready.wait(READY)
    collector = _Collector(watch, tally, baseline, past=past or {}, folder=options.folder)
    try:
        collector.run()
    finally:
        watch.finish()
        collector.write()
    os._exit(collector.code)  # exit without waiting for the engine's thread


class _Collector:
    """Collects, writes the record, and exits when its files are removed or replaced."""

    def __init__(
        self, watch: Watch, tally: Tally, baseline: Baseline, *, past: dict[str, Any], folder: str
    ) -> None:
        self.code = 0
        self._watch = watch
        self._tally = tally
        self._baseline = baseline
        self._began = float(past.get("began", time.time()))
        self._losses = DropCounters(past.get("lost_on"))
        self._silent = _silence(float(past["ended"]), time.time()) if past else 0
        self._folder = folder
        self._mine = _installed()

    def run(self) -> None:
        """Run until its files are removed or replaced."""
        seen = self._mine
        due = time.monotonic()
        while True:
            self._watch.step(STEP)
            if time.monotonic() < due:
                continue
            due = time.monotonic() + _WRITE
            self.write()
            now = _installed()
            if self._mine and not now:
                return
            # Two equal readings a minute apart: systemd has the change too.
            if self._mine and now != self._mine and now == seen:
                self.code = _RENEWED
                return
            seen = now

    def write(self) -> None:
        """Write the record; on errors, continue and note the problem."""
        now = time.time()
        oldest = now - _KEEP
        told = summary(self._watch, max(self._began, oldest))
        counts = {**told["lost"], "silent": self._silent, "elsewhere": told["elsewhere"]}
        self._losses.note(counts, now)
        self._losses.forget(oldest)
        self._tally.forget(oldest)
        lost = self._losses.total()
        told["elsewhere"] = lost.pop("elsewhere")
        try:
            record.write(
                {
                    "schema": ACTIVITY_FORMAT,
                    "version": VERSION,
                    **told,
                    "lost": lost,
                    "lost_on": self._losses.data(),
                    "learning": self._baseline.learning,
                    "entries": self._tally.data(self._baseline),
                    "baseline": self._baseline.data(),
                },
                self._folder,
            )
        except OSError as error:
            print(f"the record cannot be written: {error.strerror}", file=sys.stderr)


def _restore(tally: Tally, record: dict[str, Any]) -> None:
    """Restore the counts of a record; its content is untrusted and is validated."""
    try:
        tally.restore(record["entries"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        print(f"entries of the record cannot be read: {error}", file=sys.stderr)


def _silence(ended: float, now: float) -> int:
    """Return the seconds of this boot without a running collector; 0 if they are normal for a restart."""
    booted = now - time.clock_gettime(time.CLOCK_BOOTTIME)
    seconds = int(now - max(ended, booted))
    return seconds if seconds > _SILENT else 0


def _installed() -> tuple[tuple[str, int, int], ...]:
    """Return names, times and sizes of the installed files, to detect an update; empty if not installed."""
    if not os.path.exists(record.UNIT):
        return ()
    folders = [os.path.dirname(os.path.abspath(file)) for file in (__file__, host.__file__)]
    found = []
    sources = [
        os.path.join(folder, name)
        for folder in folders
        for name in sorted(os.listdir(folder))
        if name.endswith(".py")
    ]
    for path in [record.UNIT, *sources]:
        try:
            status = os.stat(path)
        except OSError:
            continue
        found.append((path, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _end(*_: object) -> None:
    raise SystemExit(0)


class DropCounters:
    """The losses of each UTC day, computed from counters that increase.

    Args:
        data: an earlier result of ``data``; malformed parts are dropped.
    """

    def __init__(self, data: object = None) -> None:
        self._last: dict[str, int] = {}
        self._days: dict[str, dict[str, int]] = {}
        for day, counts in data.items() if isinstance(data, dict) else ():
            if _DAY.fullmatch(str(day)) and isinstance(counts, dict):
                self._days[day] = {
                    str(key): number
                    for key, number in counts.items()
                    if isinstance(number, int) and not isinstance(number, bool)
                }

    def note(self, counts: Mapping[str, int], now: float) -> None:
        """Store the values of counters at ``now``; counters never decrease while this process lives."""
        today = self._days.setdefault(_day(now), {})
        for name, number in counts.items():
            today[name] = today.get(name, 0) + number - self._last.get(name, 0)
            self._last[name] = number

    def forget(self, before: float) -> None:
        """Remove the days that ended before a time."""
        first = _day(before)
        self._days = {day: counts for day, counts in self._days.items() if day >= first}

    def total(self) -> dict[str, int]:
        """Return the losses by counter, summed over the stored days."""
        names = dict.fromkeys(name for counts in self._days.values() for name in counts)
        return {name: sum(counts.get(name, 0) for counts in self._days.values()) for name in names}

    def data(self) -> dict[str, Any]:
        """Return the losses as JSON data."""
        return self._days


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
