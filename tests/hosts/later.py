"""Run a module as a program whose clock is some days ahead: `python later.py DAYS MODULE ARGUMENT...`.

Only this process has that clock; programs that it starts have the machine's.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from typing import Self

_now = time.time


class Later(datetime.datetime):
    """A date and time whose present is ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        return super().now(tz) + _ahead


if __name__ == "__main__":
    _ahead = datetime.timedelta(days=int(sys.argv[1]))
    sys.argv[:] = sys.argv[2:]
    time.time = lambda: _now() + _ahead.total_seconds()
    datetime.datetime = Later  # type: ignore[misc]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
