"""Read the site's policy (`hardener_policy`); an invalid value is an error and never a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from hardener.snapshot import FactUnavailable, Snapshot

POLICY = "hardener_policy"


def texts(snapshot: Snapshot, key: str) -> tuple[str, ...] | None:
    """Return the list of strings under a key of the policy; ``None`` if the key is not set.

    Raises:
        FactUnavailable: the value is anything but a list of strings.
    """
    value = _value(snapshot, key)
    return None if value is None else _texts(value, key)


def for_container(snapshot: Snapshot, key: str, name: str) -> tuple[str, ...] | None:
    """Return the merged lists of all globs that match a container's name; ``None`` without a match.

    Raises:
        FactUnavailable: the value is anything but an object of lists of strings.
    """
    value = _value(snapshot, key)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise unusable(f"{key} must map container names to lists", value)
    granted = [_texts(items, f"{key}[{glob!r}]") for glob, items in value.items()]
    matching = [items for glob, items in zip(value, granted, strict=True) if fnmatchcase(name, str(glob))]
    return tuple(item for items in matching for item in items) if matching else None


def limit(snapshot: Snapshot, key: str) -> int | None:
    """Return the number, 0 or greater, under a key of the policy; ``None`` if the key is not set.

    Raises:
        FactUnavailable: the value is anything but such a number.
    """
    value = _value(snapshot, key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise unusable(f"{key} must be a number from 0 up", value)


def flag(snapshot: Snapshot, key: str) -> bool | None:
    """Return the boolean under a key of the policy; ``None`` if the key is not set.

    Raises:
        FactUnavailable: the value is anything but a boolean.
    """
    value = _value(snapshot, key)
    if value is None or isinstance(value, bool):
        return value
    raise unusable(f"{key} must be true or false", value)


def unusable(requirement: str, value: object) -> FactUnavailable:
    """Return the error for an invalid value in the policy."""
    return FactUnavailable(POLICY, f"{requirement}, not {str(value)[:60]!r}")


def _value(snapshot: Snapshot, key: str) -> object:
    policy: object = snapshot.policy
    if not isinstance(policy, Mapping):
        raise unusable("the policy must be an object", policy)
    return policy.get(key)


def _texts(value: object, key: str) -> tuple[str, ...]:
    # A single text would be split into letters: a common mistake in YAML.
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise unusable(f"{key} must be a list of strings", value)
