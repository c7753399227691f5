"""Generalise paths to patterns that still match after a package update, or for another process or file."""

from __future__ import annotations

import re

# AppArmor's special characters; in a name they are escaped. Without an open brace there is no variable.
_SIGNS = re.compile(r"[*?\[\]{}^]")
_FEW = 2
_UNQUOTABLE = re.compile(r'[\\"]')  # before the quote at the end of a path they could escape it
_LIBRARY = re.compile(r"/lib[^/]*\.so(?:\.[0-9.]+)?$|/ld-[^/]*\.so(?:\.[0-9]+)*$")
_TRIPLET = re.compile(r"[a-z0-9_]+-linux-[a-z0-9]+")
# A path component that ends in a version: python3.13, nginx-1.26.3, 16.
_VERSIONED = re.compile(r"([A-Za-z_+-]*)\d+(?:\.\d+)+")
_NUMBER = re.compile(r"\d+")


def plain(path: str) -> str:
    """Escape a path so that AppArmor takes it literally."""
    return "?".join(_SIGNS.sub(r"\\\g<0>", part) for part in _UNQUOTABLE.split(path))


def usable(path: str) -> bool:
    """Return whether an AppArmor rule can contain a path: absolute, printable, and not of a deleted file.

    Signs that stand for any character are few: many of them would make AppArmor's automaton explode.
    """
    return (
        path.startswith("/")
        and path.isprintable()
        and not path.endswith(" (deleted)")
        and len(_UNQUOTABLE.findall(path)) <= _FEW
    )


def pattern(path: str) -> str:
    """Return a pattern for one path that also matches it after a package update.

    It matches every library of the folder, every version of a folder, and every process below /proc.
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


def _part(part: str) -> str:
    if _TRIPLET.fullmatch(part):
        return "*-linux-*"
    if version := _VERSIONED.fullmatch(part):
        return f"{plain(version[1])}[0-9]*"
    return plain(part)
