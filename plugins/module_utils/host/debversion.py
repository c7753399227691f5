"""Compare Debian package versions as dpkg does (Debian Policy, 5.6.12)."""

from __future__ import annotations

import re

_RUNS = re.compile(r"([^0-9]*)([0-9]*)")


def newer(candidate: str, installed: str) -> bool:
    """Return whether the first version is later than the second."""
    return candidate != installed and sort_key(candidate) > sort_key(installed)


def sort_key(version: str) -> tuple[int, list[object], list[object]]:
    """Return a key that sorts versions in dpkg's order."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch) if epoch.isdecimal() else 0, _part(upstream), _part(revision)


def _part(text: str) -> list[object]:
    """Split a version into alternating texts and numbers for sorting; only a tilde sorts before the end."""
    key: list[object] = []
    for letters, digits in _RUNS.findall(text):
        key.append([_weight(character) for character in letters] + [0])
        key.append(int(digits or "0"))
    return key


def _weight(character: str) -> int:
    """Return the sort weight: tilde before the end of a part, then the end, letters, all others."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
