"""What only the site can know (`hardener_policy`); a slip in it is an error and never a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from hardener.snapshot import FactUnavailable, Snapshot

POLICY = "hardener_policy"


def texts(snapshot: Snapshot, key: str) -> tuple[str, ...] | None:
    """A list of texts; ``None`` where the site says nothing.

    Raises:
        FactUnavailable: it is anything but a list of texts.
    """
    value = _value(snapshot, key)
    return None if value is None else _texts(value, key)


def for_container(snapshot: Snapshot, key: str, name: str) -> tuple[str, ...] | None:
    """What the globs that match a container's name grant it together; ``None`` where none matches.

    Raises:
        FactUnavailable: it is anything but an object of lists of texts.
    """
    value = _value(snapshot, key)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise unusable(key, "must map container names to lists", value)
    granted = [_texts(items, f"{key}[{glob!r}]") for glob, items in value.items()]
    matching = [items for glob, items in zip(value, granted, strict=True) if fnmatchcase(name, str(glob))]
    return tuple(item for items in matching for item in items) if matching else None


def limit(snapshot: Snapshot, key: str) -> int | None:
    """A number that is not negative; ``None`` where the site says nothing.

    Raises:
        FactUnavailable: it is anything but such a number.
    """
    value = _value(snapshot, key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise unusable(key, "must be a number from 0 up", value)


def flag(snapshot: Snapshot, key: str) -> bool | None:
    """True or false; ``None`` where the site says nothing.

    Raises:
        FactUnavailable: it is anything but a boolean.
    """
    value = _value(snapshot, key)
    if value is None or isinstance(value, bool):
        return value
    raise unusable(key, "must be true or false", value)


def unusable(key: str, must: str, found: object) -> FactUnavailable:
    """The error for a policy that says something else than it can."""
    return FactUnavailable(POLICY, f"{key} {must}, not {str(found)[:60]!r}")


def _value(snapshot: Snapshot, key: str) -> object:
    policy: object = snapshot.policy
    if not isinstance(policy, Mapping):
        raise FactUnavailable(POLICY, f"must be an object, not {str(policy)[:60]!r}")
    return policy.get(key)


def _texts(value: object, key: str) -> tuple[str, ...]:
    # A lone text would be taken letter by letter: the commonest slip in YAML.
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise unusable(key, "must be a list of texts", value)
