"""Parse files of dpkg and apt: installed packages, and Release files of archives."""

from __future__ import annotations

import re

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
# In all other states files are present, also after an interrupted installation: apt treats them the same way.
_NOT_INSTALLED = (b"not-installed", b"config-files")
_RUNS = re.compile(r"([^0-9]*)([0-9]*)")


def parse_status(data: bytes) -> tuple[dict[tuple[str, str], str], set[str]]:
    """Return installed packages, ``(name, architecture) -> version``, and the names of those on hold."""
    installed: dict[tuple[str, str], str] = {}
    holds = set()
    for stanza in data.split(b"\n\n"):
        at = stanza.find(b"\nStatus: ")
        words = stanza[at + 9 :].partition(b"\n")[0].split()  # "install ok installed"
        if at >= 0 and len(words) == 3 and words[2] not in _NOT_INSTALLED:
            name = field(stanza, b"Package")
            installed[name, field(stanza, b"Architecture")] = field(stanza, b"Version")
            if words[0] == b"hold":
                holds.add(name)
    return installed, holds


def field(stanza: bytes, name: bytes) -> str:
    """Return the value of a one-line field."""
    mark = name + b": "
    begin = 0 if stanza.startswith(mark) else stanza.find(b"\n" + mark) + 1
    if begin == 0 and not stanza.startswith(mark):
        return ""
    end = stanza.find(b"\n", begin)
    value = stanza[begin + len(mark) : end if end >= 0 else len(stanza)]
    return value.decode("utf-8", "backslashreplace").strip()


def parse_release(data: bytes) -> dict[str, str]:
    """Return the one-line fields of a Release file."""
    fields = {}
    for line in data.decode("utf-8", "backslashreplace").splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith(" ") and name not in fields:
            fields[name] = value.strip()
    return fields


def timestamp(text: str) -> str | None:
    """Convert a date of a Release file to RFC 3339; None if it is invalid."""
    months = _MONTHS.split()
    fields = text.split()
    if len(fields) != 6 or fields[2] not in months:
        return None
    return f"{fields[3]}-{months.index(fields[2]) + 1:02d}-{fields[1]:0>2}T{fields[4]}Z"


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
