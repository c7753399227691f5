"""Read and write hardener's own JSON files; a damaged file is an error, and does not count as missing.

A disk or an administrator may have damaged them, and another version of hardener may have written them.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

from ..host import descriptors
from . import files

_LARGEST = 1 << 28
_NUMBER = (int, float)
_JOURNAL: Mapping[str, Any] = {"run": str, "activations": dict, "memory": dict, "written": list}
_JOURNAL_MAY: Mapping[str, Any] = {
    "who": str,
    "phase": str,
    "reason": str,
    "confirm_within": _NUMBER,
    **dict.fromkeys(("picture", "look", "undone", "limit", "parting"), dict),
    "away": list,
}
_LIMIT: Mapping[str, Any] = {"boot": str, "at": _NUMBER}
_UNDONE: Mapping[str, Any] = {"left": list, "names": list}
_LOOK_MAY: Mapping[str, Any] = {"working": list, "came_in": list, "python": str}
_STATE: Mapping[str, Any] = {"kind": str, "mode": str, "uid": int, "gid": int, "acl": str, "sha256": str}
_ENTRY: Mapping[str, Any] = {
    "path": str,
    "before": dict,
    "after": dict,
    "rewritten": bool,
    "stored": str,
    "modified": int,
    "made": list,
}
_LISTS = ("problems", "kept", "missing")
_RECORD_MAY: Mapping[str, Any] = {
    **dict.fromkeys(("outcome", "reason", "who"), str),
    **dict.fromkeys(("started", "ended"), _NUMBER),
    **dict.fromkeys(_LISTS, list),
}


def read(path: str) -> Any:
    """Read a JSON file of hardener.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON.
    """
    return parsed(descriptors.content(path, _LARGEST))


def parsed(content: bytes) -> Any:
    """Parse the content of a record.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def write(path: str, data: object) -> None:
    """Replace a JSON file of hardener."""
    files.replace(path, files.own((json.dumps(data, indent=1) + "\n").encode()), reserved=True)


def journal(raw: Any) -> dict[str, Any]:
    """Validate the fields of a journal that are used without a later check, and return it.

    Raises:
        ValueError: it is damaged.
    """
    found = fields(raw, _JOURNAL, _JOURNAL_MAY)
    for name in ("activations", "memory"):
        each(found[name].values(), dict, name)
    each(found["written"], str, "written")
    for pair in found.get("away") or ():
        each(pair if isinstance(pair, list) and len(pair) == 2 else [None], _NUMBER, "away")
    if found.get("limit"):
        fields(found["limit"], _LIMIT)
    if found.get("undone"):
        for name, value in fields(found["undone"], _UNDONE).items():
            each(value, str, name)
    if found.get("look"):
        look = fields(found["look"], {}, _LOOK_MAY)
        each(look.get("working") or (), str, "working")
    return found


def entry(raw: Any) -> dict[str, Any]:
    """Validate an entry of a manifest, and return it.

    Raises:
        ValueError: it is damaged.
    """
    found = fields(raw, _ENTRY, {"inode": int})
    for name in ("before", "after"):
        fields(found[name], _STATE)
    each(found["made"], str, "made")
    return found


def outcome(raw: Any) -> dict[str, Any]:
    """Validate the record of how a run ended, and return it.

    Raises:
        ValueError: it is damaged.
    """
    found = fields(raw, {}, _RECORD_MAY)
    for name in _LISTS:
        each(found.get(name) or (), str, name)
    return found


def bookkeeping(raw: Any) -> dict[str, Any]:
    """Validate the bookkeeping of the keys that hardener set in files, and return it.

    Raises:
        ValueError: it is damaged.
    """
    found = fields(raw, {}, {"files": dict, "in_force": dict})
    each((found.get("in_force") or {}).values(), str, "in_force")
    for file in (found.get("files") or {}).values():
        for keys in fields(file, {"documents": dict}, {"created": bool})["documents"].values():
            each(keys if isinstance(keys, list) else [None], dict, "documents")
            for key in keys:
                each(fields(key, {"path": list, "value": object})["path"], str, "path")
    return found


def fields(raw: Any, needed: Mapping[str, Any], may: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Validate the types of an object's fields, and return the object.

    Args:
        raw: the parsed JSON.
        needed: type by name, of those that it must have.
        may: the same of those that it may have; null stands for none.

    Raises:
        ValueError: it has not; the message names the field.
    """
    if not isinstance(raw, dict):
        raise ValueError("the record is not an object")
    for name, kind in needed.items():
        if name not in raw:
            raise ValueError(f"{name} is missing")
        if not isinstance(raw[name], kind):
            raise ValueError(f"{name} is damaged")
    for name, kind in (may or {}).items():
        if raw.get(name) is not None and not isinstance(raw[name], kind):
            raise ValueError(f"{name} is damaged")
    return raw


def each(values: Iterable[Any], kind: Any, name: str) -> None:
    """Check the types of several values.

    Raises:
        ValueError: one is of another type.
    """
    if not all(isinstance(value, kind) for value in values):
        raise ValueError(f"{name} is damaged")
