"""Measure how the time of matching grows with the text; run as a program, so that it can be ended.

Standard input has a JSON list of cases: an expression, its flags, the method, and prefix, pump and
suffix of a text. Standard output has a line for each: how the time grew where the text grew eightfold; 0
where there was nothing to measure.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.unit.expressions.hostile import Text

LENGTHS = (800, 6400)
TOO_MUCH = 24  # eight times the text may take eight times the time, and an unquiet machine doubles that
_NOTHING = 0.001  # seconds: the square of the greater length takes many times this, on any machine


class Case(NamedTuple):
    """An expression and a text."""

    pattern: str
    flags: int
    bytes: bool
    method: str
    text: Text


def measured(cases: Sequence[Case], *, seconds: int) -> list[float | None]:
    """How the time of each grew.

    Args:
        cases: what to measure.
        seconds: of processor time, for all; None stands for the first that did not end by then, and the rest.
    """
    ran = subprocess.run(
        [sys.executable, "-m", "tests.unit.expressions.growth", str(seconds)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    if ran.returncode and "Traceback" in ran.stderr:
        raise AssertionError(ran.stderr)
    found: list[float | None] = [float(line) for line in ran.stdout.split()]
    return found + [None] * (len(cases) - len(found))


def _main() -> None:
    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    for pattern, flags, is_bytes, method, text in json.load(sys.stdin):
        expression = re.compile(pattern.encode("latin-1") if is_bytes else pattern, flags)
        print(_growth(_applied(expression, method, is_bytes), Text(*text)), flush=True)


def _applied(expression: re.Pattern[str], method: str, is_bytes: bool) -> Callable[[str], object]:
    call = getattr(expression, method)

    def apply(text: str) -> None:
        subject = text.encode("latin-1", "replace") if is_bytes else text
        found = call("", subject) if method in {"sub", "subn"} else call(subject)
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
    begun = time.perf_counter()
    apply(text)
    return max(time.perf_counter() - begun, 1e-6)


if __name__ == "__main__":
    _main()
