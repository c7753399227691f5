"""Read hardener's own records on this host: its runs, the last scan and the last verification."""

from __future__ import annotations

import os
import time
from json import loads

from ..contract import OVER, SCAN_FORMAT, TRUST_FORMAT
from ..host import layout, processes
from ..host.errors import Absent, Failed
from ..host.read import read_bytes, read_record
from ..host.text import one_line

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

_LAST = 10
_STANDING = 200  # runs whose documents may be in force
_DOCUMENTS = 200
_PROBLEMS = 50
_RECORD = 4 * 1024 * 1024
_HIGHEST = 1 << 53  # what every reader of JSON knows exactly
_TIMES = ("started", "ended", "confirmed")


def read_runs(folder: str = layout.STATE) -> dict[str, Any]:
    """Return the source `hardener.runs`.

    Raises:
        Absent: hardener has changed nothing here yet.
        OSError: its folder cannot be read.
    """
    number = _number(os.path.join(folder, layout.NUMBER))
    try:
        names = os.listdir(os.path.join(folder, layout.BACKUPS))
    except FileNotFoundError:
        if number is None and not os.path.exists(os.path.join(folder, layout.WISHES)):
            raise Absent("hardener has not changed this host, or was released from it") from None
        names = []
    names = sorted(filter(layout.RUN.fullmatch, names), reverse=True)
    runs = [_run(name, os.path.join(folder, layout.BACKUPS, name)) for name in names[:_STANDING]]
    over = {run["run"] for run in runs if run["outcome"] in OVER}
    return {
        "runs": runs[:_LAST],
        "in_force": _in_force([*runs, *_origins(os.path.join(folder, layout.ORIGINS))]),
        "wishes": _wishes(os.path.join(folder, layout.WISHES), over),
        "unfinished": _unfinished(os.path.join(folder, layout.JOURNAL)),
        **({} if number is None else {"number": number}),
    }


def _run(name: str, folder: str) -> dict[str, Any]:
    record = _json(os.path.join(folder, layout.OUTCOME))
    return {
        "run": name,
        "outcome": _text(record.get("outcome")) or "unknown",
        "reason": _text(record.get("reason")),
        "who": _text(record.get("who")),
        "documents": _documents(record.get("changes")),
        "released": _texts(record.get("released")),
        "kept": _texts(record.get("kept")),
        "problems": _texts(record.get("problems")),
        "missing": _texts(record.get("missing")),
        **{key: record[key] for key in _TIMES if isinstance(record.get(key), (int, float))},
        **({"number": record["number"]} if _is_number(record.get("number")) else {}),
        "armed": os.path.exists(os.path.join(folder, layout.GUARD)),
    }


def _origins(folder: str) -> list[dict[str, Any]]:
    """Return the removed runs whose original states are still needed."""
    try:
        names = sorted(filter(layout.RUN.fullmatch, os.listdir(folder)), reverse=True)
    except OSError:
        return []
    return [_run(name, os.path.join(folder, name)) for name in names[:_STANDING]]


def _in_force(runs: list[dict[str, Any]]) -> list[str]:
    """Return the documents of runs that were neither rolled back nor released; runs are newest first."""
    found: set[str] = set()
    for run in reversed(runs):
        if run["outcome"] not in OVER:
            found.update(run["documents"])
            found.difference_update(run["released"])
    return sorted(found)


def _wishes(path: str, over: set[str]) -> dict[str, Any]:
    """Return, by document, the last wish that a run has applied which was not rolled back."""
    found: dict[str, Any] = {}
    stored = _json(path).get("documents")
    for name, kept in stored.items() if isinstance(stored, dict) else ():
        for wish in kept if isinstance(kept, list) else ():
            if isinstance(wish, dict) and wish.get("run") not in over:
                variables = wish.get("variables")
                named = sorted(map(_text, variables)) if isinstance(variables, dict) else []
                told = {key: _text(wish.get(key)) for key in ("inventory", "role")}
                found[_text(name)] = {**told, "variables": named}
    return {name: wish for name, wish in found.items() if wish["variables"]}


def _number(path: str) -> dict[str, Any] | None:
    """Return the highest run number that this host has seen; None if there is none."""
    kept = _json(path)
    if not _is_number(kept.get("number")):
        return None
    return {"number": kept["number"], "run": _text(kept.get("run")), "who": _text(kept.get("who"))}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _HIGHEST


def _documents(changes: Any) -> list[str]:
    """Return the names of the documents that the changes of a run belong to."""
    found: set[str] = set()
    for change in changes if isinstance(changes, list) else ():
        names = change.get("documents") if isinstance(change, dict) else ()
        found.update(map(_text, names if isinstance(names, list) else ()))
    return sorted(found - {""})[:_DOCUMENTS]


def _unfinished(path: str) -> dict[str, Any] | None:
    """Return the run that waits for its confirmation, or was killed and not rolled back yet."""
    journal = _json(path)
    if not journal:
        return None
    return {key: _text(journal.get(key)) for key in ("run", "phase", "who")}


def _json(path: str) -> dict[str, Any]:
    try:
        found = loads(read_bytes(path, _RECORD))
    except (OSError, Failed, ValueError):
        return {}  # there is none, or a full disk has truncated it
    return found if isinstance(found, dict) else {}


def _texts(value: Any) -> list[str]:
    return list(map(_text, value[:_PROBLEMS])) if isinstance(value, list) else []


def _text(value: Any) -> str:
    return one_line(value) if isinstance(value, str) else ""


_STATUS = "/var/lib/dpkg/status"
_LARGEST_SCAN = 64 * 1024 * 1024


def read_scan(path: str = layout.SCAN_RECORD, status: str = _STATUS) -> dict[str, Any]:
    """Return the source `hardener.scan`: the record, and whether packages have changed since.

    Processes that were restarted since are left out.

    Raises:
        Absent: no scan has left a record here.
        Failed: the record is invalid.
    """
    record = read_record(path, _LARGEST_SCAN, absent="no vulnerability scan has left a record on this host")
    if not isinstance(record, dict) or record.get("format") != SCAN_FORMAT:
        raise Failed(f"{path} is not a scan record that this collector reads")
    host = record.get("host")
    if not isinstance(host, dict) or not isinstance(host.get("restarts"), list):
        raise Failed(f"{path} has no result for the host")
    host["restarts"] = [entry for entry in host["restarts"] if isinstance(entry, dict) and _still_runs(entry)]
    return {"record": record, "packages_changed": _changed(status) != host.get("packages_changed")}


def _still_runs(entry: dict[str, Any]) -> bool:
    """Return whether the recorded process still runs: pids are reused, so its start time is compared."""
    pid = entry.get("pid")
    if not isinstance(pid, int) or entry.get("began") is None:
        return False
    return bool(processes.started(pid) == entry["began"])


def _changed(path: str) -> int | None:
    try:
        return int(os.stat(path).st_mtime)
    except OSError:
        return None


_LARGEST_VERIFICATION = 8 * 1024 * 1024


def read_verification(path: str = layout.TRUST_RECORD, policy: str = layout.POLICY) -> dict[str, Any]:
    """Return the source `hardener.trust`.

    Raises:
        Absent: images were never verified here.
        Failed: the record cannot be read, or is none.
    """
    record = read_record(
        path, _LARGEST_VERIFICATION, absent="no verification of images has left a record on this host"
    )
    if not isinstance(record, dict) or record.get("schema") != TRUST_FORMAT:
        raise Failed(f"{path} is not a verification record that this collector reads")
    try:
        return {
            "verified_at": one_line(str(record["verified_at"])),
            "policy": one_line(str(record["policy"])),
            "policy_written": _written(policy),
            "images": [_image(image) for image in record["images"]],
        }
    except (KeyError, TypeError, AttributeError):
        raise Failed(f"{path} has no results of a verification") from None


def _written(path: str) -> str:
    """Return the modification time of a file, in UTC; empty if it does not exist."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(os.stat(path).st_mtime))
    except OSError:
        return ""


def _image(image: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: one_line(str(image[key])) for key in ("id", "status", "detail", "rule")},
        "until": one_line(str(image.get("until", ""))),  # missing in records of earlier versions
        "containers": [
            {
                "name": one_line(str(container["name"])),
                "running": container["running"] is True,
                "by_digest": container["by_digest"] is True,
            }
            for container in image["containers"]
        ],
    }
