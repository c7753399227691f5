"""Facts that several threads of one run stand on."""

from __future__ import annotations

from _thread import allocate_lock

from .errors import Absent, Failed, describe

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any


class Done:
    """A door that opens once. `threading` has the same at the price of its import."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let everybody pass from now on."""
        self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait for it to open; whether it did."""
        if not self._lock.acquire(timeout=max(0, seconds)):
            return False
        self._lock.release()
        return True


class Once:
    """A fact found out by whichever thread asks first; the others wait for it, and share its error.

    Once it is known, asking takes no lock: one that a thread held when the process forked is held for ever.
    """

    def __init__(self, find_out: Callable[[], Any], limit: float = 10) -> None:
        self._find_out = find_out
        self._limit = limit
        self._lock = allocate_lock()
        self._begun = False
        self._known = False
        self._done = Done()
        self._value: Any = None
        self._error: Exception | None = None

    def get(self) -> Any:
        """The fact.

        Raises:
            Absent, Failed: what finding it out raised, or it took too long.
        """
        if not self._known:
            with self._lock:
                first, self._begun = not self._begun, True
            if first:
                self._find()
            elif not self._done.wait(self._limit):
                raise Failed("it did not end in time")
        if self._error is not None:
            raise self._error
        return self._value

    def _find(self) -> None:
        try:
            self._value = self._find_out()
        except Absent as error:
            self._error = error
        except BaseException as error:  # whatever it is, those who wait must not take it for a fact
            self._error = Failed(describe(error))
        self._known = True
        self._done.open()

    def get_or(self, default: Any) -> Any:
        """The fact, or ``default`` where it cannot be had: its own source says why."""
        try:
            return self.get()
        except (Absent, Failed):
            return default
