"""Generalise paths to patterns that still match after a package update, or for another process or file."""

from __future__ import annotations

import re

# AppArmor's special characters. Without an open brace there is no variable. A quote ends a path, a backslash
# could hide that quote, and it may also begin the recorder's escape of an invisible character.
_SPECIAL = re.compile(r'\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])?|["*?\[\]{}^]')
_UNQUOTABLE = ("\\", '"')
_CHARACTER = "{?,??,???,????}"  # of one to four bytes
_FEW = 2
_LIBRARY = re.compile(r"/lib[^/]*\.so(?:\.[0-9.]+)?$|/ld-[^/]*\.so(?:\.[0-9]+)*$")
_TRIPLET = re.compile(r"[a-z0-9_]+-linux-[a-z0-9]+")
# A path component that ends in a version: python3.13, nginx-1.26.3, 16.
_VERSIONED = re.compile(r"([A-Za-z_+-]*)\d+(?:\.\d+)+")
_NUMBER = re.compile(r"\d+")


def plain(path: str) -> str:
    """Escape a path so that AppArmor takes it literally."""
    return _SPECIAL.sub(_literally, path)


def _literally(special: re.Match[str]) -> str:
    if special[1]:
        return _CHARACTER
    return "?" if special[0] in _UNQUOTABLE else f"\\{special[0]}"


def usable(path: str) -> bool:
    """Return whether an AppArmor rule can contain a path: absolute, printable, and not of a deleted file.

    Signs that stand for any character are few: many of them would make AppArmor's automaton explode.
    """
    return (
        path.startswith("/")
        and path.isprintable()
        and not path.endswith(" (deleted)")
        and sum(map(path.count, _UNQUOTABLE)) <= _FEW
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
