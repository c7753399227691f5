"""Values that differ from a dataclass in exactly one place, found by reflection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any


def variants(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name of each place, however deep, with a value that differs there and nowhere else."""
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            for place, changed in variants(getattr(value, each.name), f"{name}.{each.name}"):
                yield place, replace(value, **{each.name: changed})
    elif isinstance(value, tuple):
        if value:  # the others are like the first
            yield f"{name}[:-1]", value[:-1]
            for place, changed in variants(value[0], f"{name}[0]"):
                yield place, (changed, *value[1:])
    elif isinstance(value, Enum):
        others = [each for each in type(value) if each is not value]
        yield name, others[0]
    elif isinstance(value, bool):
        yield name, not value
    elif isinstance(value, int):
        yield name, value + 1
    elif isinstance(value, str):
        yield name, f"{value} else"
