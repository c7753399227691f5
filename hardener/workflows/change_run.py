"""Number a run that changes hosts, so that hosts refuse a run that is older than one they know."""

from __future__ import annotations

import time
from collections.abc import Callable

from hardener.errors import HardenerError
from hardener.fleet import Fleet
from hardener.history.home import Home
from hardener.history.numbers import next_number, take_number
from hardener.text import line
from hardener.workflows.options import Target


class ChangeRun:
    """A run that changes hosts; it gets its number when the first change is about to begin.

    Args:
        target: the hosts, and where their history lies.
        fleet: reaches the hosts.
        warn: is told what could not be remembered.
    """

    def __init__(self, target: Target, fleet: Fleet, *, warn: Callable[[str], None]) -> None:
        self._home = Home(target.home)
        self._warn = warn
        self._fleet = fleet
        self._has_begun = False

    @property
    def fleet(self) -> Fleet:
        """Return the hosts; once the run has begun, with its number."""
        return self._fleet

    def begin(self, run: str, *, seen: int) -> None:
        """Take the number of the run; a second call does nothing.

        Args:
            run: its name.
            seen: the highest number that a host of the run knows; 0 without one.
        """
        if self._has_begun:
            return
        self._has_begun = True
        try:
            number = take_number(self._home, seen)
        except HardenerError as error:
            self._warn(f"the number of this run is not remembered: {line(str(error), 2000)}")
            number = next_number(0, seen, now=time.time())
        self._fleet = self._fleet.numbered(number, run)
