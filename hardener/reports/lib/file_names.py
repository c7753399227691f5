"""Make file names from the names of hosts and groups, which can be any text."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 100


def file_name(name: str) -> str:
    """Return a file name of letters, digits, ``-``, ``_`` and ``.``, which is different for each name.

    ``web`` and ``db01.example.com`` stay as they are. Any other name gets a digest, because two names could
    become equal by the replacement.
    """
    if re.fullmatch(r"[A-Za-z0-9-]+([._][A-Za-z0-9-]+)*", name) and len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    shown = re.sub(r"[^A-Za-z0-9-]+", "_", name[:_LONGEST]).strip("_")
    return f"{shown}__{digest}"
