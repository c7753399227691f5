"""Read the last vulnerability scan's record on this host, and what has changed since."""

from __future__ import annotations

import os

from ..contract import SCAN_FORMAT
from ..host import layout, processes
from ..host.errors import Failed
from ..host.read import read_record

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

_STATUS = "/var/lib/dpkg/status"
_LARGEST = 64 * 1024 * 1024


def read(path: str = layout.SCAN_RECORD, status: str = _STATUS) -> dict[str, Any]:
    """Return the source `hardener.scan`: the record, and whether packages have changed since.

    Processes that were restarted since are left out.

    Raises:
        Absent: no scan has left a record here.
        Failed: the record is invalid.
    """
    record = read_record(path, _LARGEST, absent="no vulnerability scan has left a record on this host")
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
