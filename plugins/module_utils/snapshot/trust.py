"""Read the last image verification's record on this host, without unknown fields."""

from __future__ import annotations

import os
import time

from ..contract import TRUST_FORMAT
from ..host import layout
from ..host.errors import Failed
from ..host.read import read_record
from ..host.text import one_line

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

_LARGEST = 8 * 1024 * 1024


def read(path: str = layout.TRUST_RECORD, policy: str = layout.POLICY) -> dict[str, Any]:
    """Return the source `hardener.trust`.

    Raises:
        Absent: images were never verified here.
        Failed: the record cannot be read, or is none.
    """
    record = read_record(path, _LARGEST, absent="no verification of images has left a record on this host")
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
