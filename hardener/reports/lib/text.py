"""Phrases that several reports share, and untrusted text in Markdown."""

from __future__ import annotations

import re

from hardener.model import Offender, Verdict
from hardener.text import line


def offender(each: Offender, limit: int = 300) -> str:
    """Return ``container web: runs as root`` on one line."""
    what = f"{each.kind} {each.name}".strip()
    return line(f"{what}: {each.detail}" if each.detail else what, limit)


def share(verdict: Verdict) -> str:
    """Return ``2 of 7 containers``; empty if nothing was counted or the verdict already has the numbers."""
    broken = len(verdict.offenders)
    if not 0 < broken <= verdict.checked or f"{broken} of {verdict.checked}" in verdict.actual:
        return ""
    kinds = {each.kind for each in verdict.offenders}
    kind = line(kinds.pop()) if len(kinds) == 1 else "object"
    return f"{broken} of {verdict.checked} {kind if verdict.checked == 1 else _plural(kind)}"


def _plural(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def code(text: str, limit: int = 300) -> str:
    """Return a text on one line as a code span of Markdown; invisible characters become visible.

    No syntax has a meaning in it: no link, mention, image, merge request command or HTML. Not for tables:
    parsers disagree about a ``|`` after a backslash.
    """
    shown = line(text, limit)
    if not shown:
        return "*(empty)*"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
