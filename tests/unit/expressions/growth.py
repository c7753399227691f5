"""Measure how the time of matching grows with the text, in a process that can be ended."""

from __future__ import annotations

import gc
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.unit.processes import child

LENGTHS = (1600, 12800)
TOO_MUCH = 24  # eight times the text may take eight times the time, and caches that are cold double that
_NOTHING = 0.004  # seconds of processor time: the square of the greater length takes many times this


class Text(NamedTuple):
    """A text of any length: a beginning, what is repeated, an end."""

    prefix: str
    pump: str
    suffix: str

    def of(self, length: int) -> str:
        """The text, about so long."""
        return self.prefix + self.pump * (length // len(self.pump) + 1) + self.suffix


class Case(NamedTuple):
    """An expression and a text."""

    pattern: str
    flags: int
    bytes: bool
    method: str
    text: Text


def measured(cases: Sequence[Case], *, seconds: float) -> list[float | None]:
    """How the time of each grew; 0 where there was nothing to measure.

    Args:
        cases: what to measure.
        seconds: of processor time, for all; None stands for the first that did not end by then, and the rest.
    """
    read, write = os.pipe()
    pid = child(lambda: _measure(cases, seconds, write))
    os.close(write)
    with os.fdopen(read, encoding="ascii") as lines:
        found: list[float | None] = [float(line) for line in lines]
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, -signal.SIGPROF):
        raise AssertionError(f"the process that measures ended with {code} at {cases[len(found) :][:1]}")
    return found + [None] * (len(cases) - len(found))


def _measure(cases: Sequence[Case], seconds: float, write: int) -> None:
    """In a process of its own, which the kernel ends: matching lets no other thread of Python run."""
    gc.disable()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    for case in cases:
        expression: re.Pattern[Any] = re.compile(
            case.pattern.encode("latin-1") if case.bytes else case.pattern, case.flags
        )
        growth = _growth(_applied(expression, case.method, case.bytes), case.text)
        os.write(write, f"{growth}\n".encode("ascii"))


def _applied(expression: re.Pattern[Any], method: str, is_bytes: bool) -> Callable[[str], object]:
    call = getattr(expression, method)

    def apply(text: str) -> None:
        subject = text.encode("latin-1", "replace") if is_bytes else text
        found = call(subject[:0], subject) if method in {"sub", "subn"} else call(subject)
        if method == "finditer":
            for _ in found:
                pass

    return apply


def _growth(apply: Callable[[str], object], text: Text) -> float:
    short, long = map(text.of, LENGTHS)
    took = _time(apply, long)
    before = 0.0
    for _ in range(8):  # what disturbs a measurement makes it longer, never shorter
        if took <= max(_NOTHING, TOO_MUCH * before):
            break
        before = max(before, min(_time(apply, short) for _ in range(3)))
        if took > TOO_MUCH * before:
            took = min(took, _time(apply, long))
    return took / before if before else 0.0


def _time(apply: Callable[[str], object], text: str) -> float:
    begun = time.thread_time()  # which other processes have no part in
    apply(text)
    return max(time.thread_time() - begun, 1e-6)
