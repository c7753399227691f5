"""Show the differences that tasks report as unified diffs on standard output."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from hardener.text import block, line

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def render(host: str, diff: Any) -> Iterator[str]:
    """Return the ``diff`` of a task line by line, with host and path above each difference.

    A task gives one or a list of them: a text that is ready, or the content before and after.
    """
    for each in diff if isinstance(diff, list) else [diff]:
        if not isinstance(each, Mapping):
            continue
        text = block(str(each["prepared"]) if "prepared" in each else _unified(each)).rstrip("\n")
        if not text.strip():
            continue
        where = each.get("path") or each.get("after_header") or each.get("before_header")
        yield _styled(line(f"{host}: {where}" if where else host), bold=True)
        for shown in text.split("\n"):
            yield _styled(shown, fg=COLOURS.get(shown[:1]))


def _unified(each: Mapping[str, Any]) -> str:
    before, after = (_lines(each.get(side)) for side in ("before", "after"))
    return "\n".join(difflib.unified_diff(before, after, "before", "after", lineterm=""))


def _lines(content: Any) -> list[str]:
    """Split content into lines; attributes, which modules report as objects, become one line each."""
    if isinstance(content, Mapping):
        return [f"{key}: {value}" for key, value in sorted(content.items())]
    return str(content or "").splitlines()


def _styled(text: str, **style: Any) -> str:
    return click.style(text, **style) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
