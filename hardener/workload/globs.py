"""Paths as patterns, which still fit after an update of a package, and for another process or file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

# AppArmor's own signs; a name that has one means itself. Without an open brace there is no variable either.
_SIGNS = re.compile(r"[*?\[\]{}^]")
_UNQUOTABLE = re.compile(r'[\\"]')  # before the quote that ends a rule's path they could take its meaning
_LIBRARY = re.compile(r"/lib[^/]*\.so(?:\.[0-9.]+)?$|/ld-[^/]*\.so(?:\.[0-9]+)*$")
_TRIPLET = re.compile(r"[a-z0-9_]+-linux-[a-z0-9]+")
# A part of a path that ends in a version: python3.13, nginx-1.26.3, 16.
_VERSIONED = re.compile(r"([A-Za-z_+-]*)\d+(?:\.\d+)+")
_NUMBER = re.compile(r"\d+")
_MANY = 8  # files of one folder: the next one will be another


def plain(path: str) -> str:
    """A path as AppArmor reads it as itself."""
    return "?".join(_SIGNS.sub(r"\\\g<0>", part) for part in _UNQUOTABLE.split(path))


def usable(path: str) -> bool:
    """Whether a path can stand in a rule: absolute, printable, not of a deleted or detached file."""
    return path.startswith("/") and path.isprintable() and not path.endswith(" (deleted)")


def pattern(path: str) -> str:
    """A pattern for one path, wide enough that an update of what lies there fits.

    A library is any of its folder, a versioned folder any version of it, a process any process.
    """
    if path.startswith("/proc/"):
        return "/".join("[0-9]*" if _NUMBER.fullmatch(part) else plain(part) for part in path.split("/"))
    if re.match(r"/dev/pts/\d+$", path):
        return "/dev/pts/[0-9]*"
    folder, _, name = path.rpartition("/")
    parts = [_part(part) for part in folder.split("/")]
    if _LIBRARY.search(path) and re.match(r"/(?:usr/(?:local/)?)?lib", path):
        return "/".join([*parts, f"{'ld-' if name.startswith('ld-') else 'lib'}*.so{{,.*}}"])
    return "/".join([*parts, plain(name)])


def patterns(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Patterns for paths that are read, each with the paths that it stands for.

    Where many files of one folder are read, the folder's files are.
    """
    single: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        single[pattern(path)].add(path)
    folders: dict[str, set[str]] = defaultdict(set)
    for each in single:
        folders[each.rpartition("/")[0]].add(each)
    found: dict[str, tuple[str, ...]] = {}
    for folder, members in sorted(folders.items()):
        if len(members) > _MANY and folder not in ("", "/proc", "/etc", "/dev"):
            found[f"{folder}/*"] = tuple(sorted({path for member in members for path in single[member]}))
        else:
            found.update({member: tuple(sorted(single[member])) for member in sorted(members)})
    return found


def _part(part: str) -> str:
    if _TRIPLET.fullmatch(part):
        return "*-linux-*"
    if version := _VERSIONED.fullmatch(part):
        return f"{plain(version[1])}[0-9]*"
    return plain(part)
