"""Count lost events per UTC day, so that old losses expire."""

from __future__ import annotations

import re
import time
from typing import Any, Mapping

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


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
