"""Write and read the resident collector's record: one JSON file, written atomically, validated when read."""

from __future__ import annotations

import json
import os
import stat
import time
from io import BytesIO
from typing import Any

from ..contract import ACTIVITY_FORMAT
from ..host import atomic
from ..host.layout import ACTIVITY, RECORD

UNIT = "/etc/systemd/system/hardener-activity.service"

_STALE = 300.0  # seconds: it is written every minute
_LARGEST = 16 * 1024 * 1024  # twice what the tally and the baseline can fill


def write(record: dict[str, Any], folder: str = ACTIVITY) -> None:
    """Replace the record.

    Raises:
        OSError: it cannot be written; the one before is still there.
    """
    content = BytesIO()  # encode in parts: a single str with non-ASCII text takes four times the memory
    for part in json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).iterencode(record):
        content.write(part.encode())
    atomic.make_folders(folder, 0o700)
    # A fixed temporary name: only one collector writes, and a file left by a killed one is overwritten.
    atomic.write(os.path.join(folder, RECORD), content.getvalue(), temporary=f".{RECORD}{atomic.SUFFIX}")


def read(folder: str = ACTIVITY) -> tuple[dict[str, Any] | None, str]:
    """Return the record, or the reason why it cannot be read; both are empty if no collector ever ran."""
    path = os.path.join(folder, RECORD)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{path}: {error.strerror}"
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None, f"{path} is not a regular file"
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        return None, f"{path} is larger than {_LARGEST} bytes"
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None, f"{path} is not JSON"
    if not isinstance(record, dict) or record.get("schema") != ACTIVITY_FORMAT:
        return None, f"{path} is not a record that this version reads"
    lists, objects, numbers = (
        ("entries", "deaf", "blind"),
        ("baseline", "lost"),
        ("began", "ended", "learning"),
    )
    shapes = {**dict.fromkeys(lists, list), **dict.fromkeys(objects, dict), **dict.fromkeys(numbers, float)}
    for key, shape in shapes.items():
        value = record.get(key)
        if not isinstance(value, (int, float) if shape is float else shape) or isinstance(value, bool):
            return None, f"{path}: {key} has the wrong type"
    return record, ""


def silence(record: dict[str, Any] | None, unit: str = UNIT) -> str:
    """Return why an installed collector's record is out of date; empty if it is current."""
    try:
        last = os.stat(unit).st_mtime if record is None else float(record["ended"])
    except OSError:
        return ""
    if time.time() - last < _STALE or not os.path.exists(unit):
        return ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(last))
    return f"the collector has written nothing since {since} UTC: systemctl status {os.path.basename(unit)}"
