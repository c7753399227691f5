"""Read the host's block devices and their underlying devices."""

from __future__ import annotations

import os

from ..host.errors import Failed
from ..host.read import read_or

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

MAX_DEVICES = 8192
_FOLDER = "/sys/dev/block"


def read() -> dict[str, dict[str, Any]]:
    """Return the source `block_devices`: ``major:minor`` to name, disk, lower devices and loop file."""
    try:
        numbers = os.listdir(_FOLDER)
    except FileNotFoundError:
        return {}
    if len(numbers) > MAX_DEVICES:
        raise Failed(f"there are more than {MAX_DEVICES} block devices")
    found = {}
    for number in numbers:
        try:
            found[number] = _device(f"{_FOLDER}/{number}")
        except FileNotFoundError:
            continue  # it was removed meanwhile
    return found


def _device(folder: str) -> dict[str, Any]:
    real = os.path.realpath(folder)
    entries = os.listdir(real)
    device: dict[str, Any] = {"name": os.path.basename(real)}
    if "partition" in entries:
        device["disk"] = read_or(f"{os.path.dirname(real)}/dev", "") or None
    if "slaves" in entries:
        below = sorted(os.listdir(f"{real}/slaves"))
        if below:
            device["stands_on"] = [read_or(f"{real}/slaves/{name}/dev", "") for name in below]
    if "loop" in entries:
        device["file"] = read_or(f"{real}/loop/backing_file", "") or None
    return device
