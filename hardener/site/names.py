"""Make the file names of pages from the names of hosts, groups and inventories, which can be any text.

A name of small letters, digits, dots and hyphens is its own file name. Any other name becomes a readable part
and a digest, so that no file name leaves its folder, differs from another only by case, or is too long for a
file system.
"""

from __future__ import annotations

import hashlib
import re

from hardener.text import scalar

_PLAIN = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_OTHERS = re.compile(r"[^a-z0-9]+")
_LONGEST = 80
_READABLE = 40
_DIGITS = 20  # of the digest: 80 bits


def file_name(name: str) -> str:
    """Return a file name without its ending; different names in the history have different file names."""
    name = scalar(name)
    if len(name) <= _LONGEST and _PLAIN.fullmatch(name):
        return name
    readable = _OTHERS.sub("-", name[:_LONGEST].lower()).strip("-")[:_READABLE].strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    return f"{readable}~{digest}"


def numbered(name: str, page: int) -> str:
    """Return the file name of a page of a list; page 1 has the name of the list."""
    return name if page == 1 else f"{name}~{page}"
