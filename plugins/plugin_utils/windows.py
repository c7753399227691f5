"""Maintenance windows: the times of the week at which hosts may be changed, such as ``Sat 22:00-04:00 UTC``.

They are compared with the clock on the wall in their time zone, by the clock of the control node. An hour
that the clock repeats in autumn belongs to a window twice; an hour that it skips in spring never comes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(\S{1,100}) ([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2}) ([A-Za-z0-9_+/-]{1,100})", re.ASCII
)
_MIDNIGHT = 24 * 60
_MOST = 100


class Window(NamedTuple):
    """One window of the week; it ends on the next day if its end time is not after its start time."""

    days: frozenset[int]  # on which it begins, Monday is 0
    begin: int  # minutes since midnight
    end: int
    zone: ZoneInfo

    def has(self, now: datetime) -> bool:
        """Return whether a moment is in the window; the start time belongs to it, the end time does not."""
        local = now.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        if minute >= self.begin:
            return today in self.days
        return minute < self.end and (today - 1) % 7 in self.days


def parse(text: str) -> Window:
    """Parse a window: the days on which it begins, start and end time, and a time zone.

    Args:
        text: such as ``Sat,Sun 08:00-18:00 Europe/Berlin``, ``Mon-Fri 22:00-04:00 UTC`` or
            ``daily 00:00-24:00 UTC``.

    Raises:
        ValueError: the text is not a window.
    """
    found = _WINDOW.fullmatch(" ".join(text.split()))
    if not found:
        raise ValueError(f"{text[:100]!r} is not a window: write it as 'Sat,Sun 22:00-04:00 Europe/Berlin'")
    begin, end = int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])
    if not (begin < _MIDNIGHT and end <= _MIDNIGHT and int(found[3]) < 60 and int(found[5]) < 60):
        raise ValueError(f"{text[:100]!r} has an invalid time of day")
    try:
        zone = ZoneInfo(found[6])
    except (ValueError, OSError, LookupError):
        raise ValueError(
            f"{text[:100]!r} names a time zone that this machine does not know: {found[6]!r}"
        ) from None
    return Window(frozenset(_days(found[1].lower(), text)), begin, end, zone)


def refusal(windows: Sequence[str], now: datetime) -> str:
    """Return why a host may not be changed now; empty if it may, or has no windows.

    Args:
        windows: all windows of the host; one that is open is enough.
        now: the time, with a time zone.

    Raises:
        ValueError: one of them is no window.
    """
    if len(windows) > _MOST:
        raise ValueError(f"{len(windows)} windows: at most {_MOST} are possible")
    known = [parse(each) for each in windows]
    if not known or any(window.has(now) for window in known):
        return ""
    clocks = dict.fromkeys(f"{now.astimezone(each.zone):%a %H:%M} in {each.zone.key}" for each in known)
    return f"outside its maintenance windows ({'; '.join(windows)}): it is {', '.join(clocks)}"


def _days(text: str, window: str) -> set[int]:
    if text == "daily":
        return set(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(
                f"{window[:100]!r}: {part[:20]!r} is not a day; days are Mon to Sun, Mon-Fri or daily"
            )
        at = _DAYS.index(first)
        length = (_DAYS.index(last) - at) % 7 if dash else 0
        days |= {(at + number) % 7 for number in range(length + 1)}
    return days
