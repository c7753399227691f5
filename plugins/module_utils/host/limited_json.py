"""Parse JSON from untrusted sources within limits of depth and number of values.

Parsed JSON can take about thirty times the memory of its text, so the values are counted before it is parsed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

MOST_VALUES = 100_000
MOST_LEVELS = 100  # of nesting: functions that walk through values are recursive, and Python limits recursion

_NESTS = (dict, list, tuple)


class TooLargeError(ValueError):
    """A text exceeds a limit."""


def values(data: bytes) -> int:
    """Estimate the number of values in a JSON text by its punctuation; punctuation in strings counts too."""
    return sum(map(data.count, (b"{", b"[", b",", b":")))


def parse(
    data: bytes,
    *,
    most_values: int = MOST_VALUES,
    most_levels: int = MOST_LEVELS,
    strict: bool = True,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Parse JSON.

    Args:
        data: the text.
        most_values: that it may have.
        most_levels: of nesting.
        strict: refuse extensions that Python accepts (``NaN``), and overflows (``1e999``).
        pairs: makes an object of its pairs, as the one of ``json.loads``.

    Raises:
        TooLargeError: it is nested too deeply, or has more values than ``most_values``.
        ValueError: it is not JSON.
    """
    if values(data) > most_values:
        raise TooLargeError(f"the JSON has more than {most_values} values")
    too_deep = TooLargeError(f"values are nested more than {most_levels} levels deep")
    try:
        found = json.loads(
            data,
            parse_constant=_finite if strict else None,
            parse_float=_finite if strict else None,
            object_pairs_hook=pairs,
        )
    except RecursionError:
        raise too_deep from None
    if not is_flat(found, most_levels):
        raise too_deep
    return found


def is_flat(value: Any, most_levels: int = MOST_LEVELS) -> bool:
    """Return whether data are nested no deeper than this; tuples count as lists."""
    level = [value] if isinstance(value, _NESTS) else []
    for _ in range(most_levels):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, _NESTS)
        ]
        if not level:
            return True
    return False


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:100]} is not a number in JSON")
    return number
