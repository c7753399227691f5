"""Compare Debian package versions, exactly as dpkg does (Debian Policy, 5.6.12)."""

from __future__ import annotations

import re

_RUNS = re.compile(r"([^0-9]*)([0-9]*)")


def newer(candidate: str, installed: str) -> bool:
    """Whether the first version is later than the second."""
    return candidate != installed and sort_key(candidate) > sort_key(installed)


def sort_key(version: str) -> tuple[int, list[object], list[object]]:
    """A key that sorts versions in the order of dpkg."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch) if epoch.isdecimal() else 0, _part(upstream), _part(revision)


def _part(text: str) -> list[object]:
    """Alternating runs of non-digits and numbers. An empty rest sorts after a tilde, before anything else."""
    key: list[object] = []
    for letters, digits in _RUNS.findall(text):
        key.append([_weight(character) for character in letters] + [0])
        key.append(int(digits or "0"))
    return key


def _weight(character: str) -> int:
    """Tilde sorts before the end of a part, the end before letters, letters before all else."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
