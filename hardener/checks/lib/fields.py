"""Read JSON of the Docker API: null counts as empty, any other unexpected type is an error.

Reading a wrong type as empty would let a check pass without facts.
"""

from __future__ import annotations

from collections.abc import Sequence

from hardener.snapshot import FactUnavailable, JSONObject


def table(parent: JSONObject, key: str, source: str) -> JSONObject:
    """Return the object under ``key``; empty if it is missing or null."""
    value = parent.get(key)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise FactUnavailable(source, f"{key} is not an object")


def required(parent: JSONObject, key: str, source: str) -> JSONObject:
    """Return the object under ``key``, which is mandatory."""
    value = parent.get(key)
    if isinstance(value, dict):
        return value
    raise FactUnavailable(source, f"{key} is not an object")


def rows(parent: JSONObject, key: str, source: str) -> Sequence[JSONObject]:
    """Return the list of objects under ``key``; empty if it is missing or null."""
    value = parent.get(key)
    if value is None:
        return ()
    if isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value):
        return value
    raise FactUnavailable(source, f"{key} is not a list of objects")


def texts(parent: JSONObject, key: str, source: str) -> Sequence[str]:
    """Return the list of strings under ``key``; empty if it is missing or null."""
    value = parent.get(key)
    if value is None:
        return ()
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return value
    raise FactUnavailable(source, f"{key} is not a list of strings")


def number(parent: JSONObject, key: str, source: str) -> int:
    """Return the integer under ``key``; 0 if it is missing or null, as in the engine."""
    value = parent.get(key)
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    raise FactUnavailable(source, f"{key} is not a number")


def text(parent: JSONObject, key: str, source: str) -> str:
    """Return the text under ``key``; empty if it is missing or null."""
    value = parent.get(key)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise FactUnavailable(source, f"{key} is not a string")
