"""Read kernel settings from files for the next boot, and determine which file overrides the others."""

from __future__ import annotations

import os

from .read import drop_ins, texts

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping, Sequence

# Folders of settings.
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
LAST = "/etc/sysctl.conf"
UFW = "/etc/ufw"
_SPECIAL = frozenset("*?[")  # in a pattern


class Assignment:
    """A setting in a file; ``pattern`` is relative to /proc/sys and may contain asterisks."""

    __slots__ = ("file", "pattern", "value")

    def __init__(self, pattern: str, value: str, file: str) -> None:
        self.pattern = pattern
        self.value = value
        self.file = file


def path_of(key: str) -> str:
    """Return a key's path below /proc/sys; if its first separator is a dot, swap dots and slashes."""
    first = next((character for character in key if character in "./"), "/")
    return key.translate(str.maketrans("./", "/.")) if first == "." else key


def dotted(path: str) -> str:
    """Return a key with dots between its parts, from its path below /proc/sys."""
    return path.translate(str.maketrans("./", "/."))


def assignments(own: Mapping[str, str] | None = None) -> list[Assignment]:
    """Return the settings of all files in reading order.

    Args:
        own: files that will have this content by then.

    Raises:
        OSError, Failed: one cannot be read, or they are too many or too large: it may be the last word.
    """
    own = own or {}
    found = []
    for path, content in texts(_files(own), instead=own):
        for line in content.splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith(("#", ";")):
                found.append(
                    Assignment(path_of(key.strip().lstrip("-").strip()), " ".join(value.split()), path)
                )
    return found


def last_word(path: str, assignments: Sequence[Assignment]) -> Assignment | None:
    """Return the effective assignment of a path: the last exact one, else the last matching pattern."""
    last = None
    for each in assignments:
        if each.pattern == path:
            last = each
    if last is not None:
        return last
    patterns = [each for each in assignments if not _SPECIAL.isdisjoint(each.pattern)]
    if patterns:
        from fnmatch import fnmatchcase  # imported on demand: the collector starts faster without it

        for each in patterns:
            if path.count("/") == each.pattern.count("/") and fnmatchcase(path, each.pattern):
                last = each
    return last


def _files(own: Mapping[str, str]) -> list[str]:
    names = drop_ins(FOLDERS)
    names.update((os.path.basename(path), path) for path in own)
    files = [names[name] for name in sorted(names)] + [LAST]
    if any("ENABLED=yes" in text.splitlines() for _path, text in texts([f"{UFW}/ufw.conf"])):
        files.append(f"{UFW}/sysctl.conf")
    return files
