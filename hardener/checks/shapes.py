"""Read the Docker API's JSON: null where a list is empty is its habit, anything else unexpected is an error.

Taking a wrong shape for an empty one would let a check pass on facts that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from hardener.snapshot import FactUnavailable, JSONObject


def table(parent: JSONObject, key: str, source: str) -> JSONObject:
    """The object under ``key``; empty where it is missing or null."""
    value = parent.get(key)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise _wrong(source, key, "an object")


def required(parent: JSONObject, key: str, source: str) -> JSONObject:
    """The object under ``key``, which every answer of the engine has."""
    value = parent.get(key)
    if isinstance(value, dict):
        return value
    raise _wrong(source, key, "an object")


def rows(parent: JSONObject, key: str, source: str) -> Sequence[JSONObject]:
    """The list of objects under ``key``; empty where it is missing or null."""
    value = parent.get(key)
    if value is None:
        return ()
    if isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value):
        return value
    raise _wrong(source, key, "a list of objects")


def texts(parent: JSONObject, key: str, source: str) -> Sequence[str]:
    """The list of texts under ``key``; empty where it is missing or null."""
    value = parent.get(key)
    if value is None:
        return ()
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return value
    raise _wrong(source, key, "a list of texts")


def number(parent: JSONObject, key: str, source: str) -> int:
    """The whole number under ``key``; 0 where it is missing or null, as the engine means it."""
    value = parent.get(key)
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    raise _wrong(source, key, "a number")


def text(parent: JSONObject, key: str, source: str) -> str:
    """The text under ``key``; empty where it is missing or null."""
    value = parent.get(key)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise _wrong(source, key, "a text")


def _wrong(source: str, key: str, kind: str) -> FactUnavailable:
    return FactUnavailable(source, f"{key} is not {kind}")
