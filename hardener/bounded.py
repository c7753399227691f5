"""Read files and JSON from untrusted sources within limits of size and of number of values.

Parsed JSON can take about thirty times the memory of its text, so the values are counted before it is parsed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MOST_LEVELS = 100  # of nesting: functions that walk through values are recursive, and Python limits recursion


def read(path: Path, *, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``most`` bytes.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"the file has more than {most} bytes")
    return data


def values(data: bytes) -> int:
    """Estimate the number of values in a JSON text by its punctuation; punctuation in strings counts too."""
    return sum(map(data.count, (b"{", b"[", b",", b":")))


def parse(data: bytes, *, most_values: int) -> Any:
    """Parse strict JSON: refuse extensions that Python accepts (``NaN``), and overflows (``1e999``).

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has more values than ``most_values``.
    """
    if values(data) > most_values:
        raise ValueError(f"the JSON has more than {most_values} values")
    try:
        found = json.loads(data, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(f"values are nested more than {MOST_LEVELS} levels deep") from error
    level = [found] if isinstance(found, (dict, list)) else []
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return found
    raise ValueError(f"values are nested more than {MOST_LEVELS} levels deep")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number in JSON")
    return number
