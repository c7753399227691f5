"""Limit the answer of a host to the size of a recording, and say what was left out.

The container controls the number of written files and the names of threads. Too many of them cost a part of
the recording, and never the whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardener.workload.shapes import MAX_NAMES

_FILES = {
    "written": "written paths",
    "created": "created paths",
    "deleted": "deleted paths",
    "executed": "executed paths",
}
_UNKNOWN = {
    "read": "Reads of files were not seen, or were too many: an AppArmor profile cannot deny unread secrets.",
    "used_by": "Programs that use a file were not seen, or were too many: the page does not name them.",
}
_LISTS = {
    "capabilities": "granted capability checks",
    "file_capabilities": "programs with file capabilities",
    "capset": "calls of capset",
    "setuid": "programs that run as another user",
    "identities": "identities of programs",
}


def fitted(document: Mapping[str, Any], most: int) -> dict[str, Any]:
    """Return the document with all lists cut to their limits; do not correct other errors.

    Args:
        document: of a recording, as made of an answer.
        most: entries of a list.
    """
    said: dict[str, None] = {}
    of_page: dict[str, None] = {}  # what is missing on a page alone
    container, recorder, files, network = (
        dict(document[key]) for key in ("container", "recorder", "files", "network")
    )
    found = dict(document)
    for key, what in _LISTS.items():
        found[key] = _shortened(found[key], most, what, said)
    for key, what in _FILES.items():
        files[key] = _shortened(sorted(set(files[key])), most, what, said)
    if files["read"] is not None and len(files["read"]) > most:
        files["read"] = None  # a part of them would be worse: a profile denies what it does not have
    listed = {path for key in _FILES for path in files[key]}
    files["owners"] = _owners(files["owners"], listed, most)
    files["folders"] = dict(sorted(files["folders"].items())[:most])
    names = min(most, MAX_NAMES)
    found["calls"] = {
        architecture: {name: _use(call, most, "system calls", said) for name, call in calls.items()}
        for architecture, calls in found["calls"].items()
    }
    container["environment"] = _shortened(
        sorted(set(container["environment"])), MAX_NAMES, "names of environment variables", said
    )
    if files["used_by"] is not None:
        files["used_by"] = _uses(
            {path: use for path, use in files["used_by"].items() if path in listed},
            most,
            "used files",
            of_page,
        )
    network["families"] = _uses(network["families"], names, "families of sockets", said)
    unknown = [sentence for key, sentence in _UNKNOWN.items() if files[key] is None]
    recorder["missing"] = [*said, *of_page, *recorder["missing"], *unknown][:MAX_NAMES]
    recorder["complete"] = recorder["complete"] and not said
    return {**found, "files": files, "network": network, "container": container, "recorder": recorder}


def _shortened(entries: Iterable[Any], most: int, what: str, said: dict[str, None]) -> list[Any]:
    every = list(entries)
    if len(every) > most:
        said[f"There are too many {what}: only {most} are listed."] = None
    return every[:most]


def _uses(uses: Mapping[str, Any], most: int, what: str, said: dict[str, None]) -> dict[str, Any]:
    return {key: _use(use, most, what, said) for key, use in _shortened(uses.items(), most, what, said)}


def _use(use: Mapping[str, Any], most: int, what: str, said: dict[str, None]) -> dict[str, Any]:
    programs = _shortened(sorted(use["programs"]), min(most, MAX_NAMES), f"programs of {what}", said)
    return {**use, "programs": programs}


def _owners(owners: Mapping[str, Any], listed: set[str], most: int) -> dict[str, Any]:
    """Return the owners of the listed paths and their parent folders, up to a limit; parents come first."""
    around = {path.rpartition("/")[0] or "/" for path in listed}
    paths = [path for path in (*sorted(around), *sorted(listed - around)) if path in owners]
    return {path: owners[path] for path in paths[:most]}
