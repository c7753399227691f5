"""Share facts between the threads of a run."""

from __future__ import annotations

from _thread import allocate_lock

from .errors import Absent, Failed, describe
from .run import TIMEOUT

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any


class Event:
    """A minimal `threading.Event`, without the import time of `threading`."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def open(self) -> None:
        """Set the event, and release all waiting threads."""
        self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait until the event is set; return whether it is set."""
        if not self._lock.acquire(timeout=max(0, seconds)):
            return False
        self._lock.release()
        return True


class Once:
    """A memoised fact: computed by the first thread that asks; the others wait, and share its error.

    Once it is computed, reading takes no lock: a lock that another thread holds during a fork is never
    released in the child.
    """

    def __init__(self, find_out: Callable[[], Any], limit: float = TIMEOUT) -> None:
        self._find_out = find_out
        self._limit = limit
        self._lock = allocate_lock()
        self._begun = False
        self._known = False
        self._done = Event()
        self._value: Any = None
        self._error: Exception | None = None

    def get(self) -> Any:
        """Return the fact.

        Raises:
            Absent, Failed: raised by the computation, or it took too long.
        """
        if not self._known:
            with self._lock:
                first, self._begun = not self._begun, True
            if first:
                self._find()
            elif not self._done.wait(self._limit):
                raise Failed(f"a fact that several sources need was not read within {self._limit:g} s")
        if self._error is not None:
            raise self._error
        return self._value

    def _find(self) -> None:
        try:
            self._value = self._find_out()
        except Absent as error:
            self._error = error
        except BaseException as error:  # any error: waiting threads must get it instead of a fact
            self._error = Failed(describe(error))
        self._known = True
        self._done.open()

    def get_or(self, default: Any) -> Any:
        """Return the fact, or ``default`` on errors, which its own source reports."""
        try:
            return self.get()
        except (Absent, Failed):
            return default
