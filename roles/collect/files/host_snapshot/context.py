"""What the sources of one run share: arguments, the redactor, and facts that are found out once."""

from __future__ import annotations

from threading import Event, Lock

from host_snapshot.bounds import Absent, Failed, describe

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


class Once:
    """A fact found out by whichever thread asks first; the others wait for it, and share its error."""

    def __init__(self, find_out: Callable[[], Any], limit: float = 10) -> None:
        self._find_out = find_out
        self._limit = limit
        self._lock = Lock()
        self._begun = False
        self._done = Event()
        self._value: Any = None
        self._error: Exception | None = None

    def get(self) -> Any:
        """The fact.

        Raises:
            Absent, Failed: what finding it out raised, or it took too long.
        """
        with self._lock:
            first, self._begun = not self._begun, True
        if first:
            try:
                self._value = self._find_out()
            except Absent as error:
                self._error = error
            except BaseException as error:  # whatever it is, those who wait must not take it for a fact
                self._error = Failed(describe(error))
            finally:
                self._done.set()
        elif not self._done.wait(self._limit):
            raise Failed("it did not end in time")
        if self._error is not None:
            raise self._error
        return self._value
