"""Read kernel settings from files for the next boot, and determine which file overrides the others."""

from __future__ import annotations

import os

from .errors import Failed
from .read import read_text

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping, Sequence

# Folders of settings; a name in an earlier folder hides the same name in a later one.
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
LAST = "/etc/sysctl.conf"
UFW = "/etc/ufw"
_MAX_FILE = 1024 * 1024
_MAX_FILES = 1024


class Assignment:
    """A setting in a file; ``pattern`` is relative to /proc/sys and may contain asterisks."""

    __slots__ = ("file", "pattern", "value")

    def __init__(self, pattern: str, value: str, file: str) -> None:
        self.pattern = pattern
        self.value = value
        self.file = file


def path_of(key: str) -> str:
    """Return a key's path below /proc/sys: if its first separator is a dot, dots and slashes are swapped."""
    first = next((character for character in key if character in "./"), "/")
    return key.translate(str.maketrans("./", "/.")) if first == "." else key


def dotted(path: str) -> str:
    """Return a key with dots between its parts, from its path below /proc/sys."""
    return path.translate(str.maketrans("./", "/."))


def assignments(own: Mapping[str, str] | None = None) -> list[Assignment]:
    """Return the settings of all files in reading order.

    Args:
        own: files that will have this content by then.
    """
    own = own or {}
    found = []
    for path in _files(own):
        for line in (own[path] if path in own else _content(path)).splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith(("#", ";")):
                found.append(
                    Assignment(path_of(key.strip().lstrip("-").strip()), " ".join(value.split()), path)
                )
    return found


def last_word(path: str, said: Sequence[Assignment]) -> Assignment | None:
    """Return what decides about a path: the last file that names it, else the last matching pattern."""
    from fnmatch import fnmatchcase  # imported on demand: the collector starts faster without it

    last = None
    for each in said:
        if each.pattern == path:
            last = each
    if last is not None:
        return last
    for each in said:
        if path.count("/") == each.pattern.count("/") and fnmatchcase(path, each.pattern):
            last = each
    return last


def _files(own: Mapping[str, str]) -> list[str]:
    names: dict[str, str] = {}
    for folder in reversed(FOLDERS):
        try:
            listed = os.listdir(folder)
        except OSError:
            continue
        names.update((name, f"{folder}/{name}") for name in listed if _is_read(name))
    names.update((os.path.basename(path), path) for path in own)
    files = [names[name] for name in sorted(names)[:_MAX_FILES]] + [LAST]
    if "ENABLED=yes" in _content(f"{UFW}/ufw.conf").splitlines():
        files.append(f"{UFW}/sysctl.conf")
    return files


def _is_read(name: str) -> bool:
    return name.endswith(".conf") and not name.startswith(".")


def _content(path: str) -> str:
    try:
        return read_text(path, _MAX_FILE)
    except (OSError, Failed):
        return ""
