"""List the runs that a host can roll back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from hardener.text import line, utc

_PATHS_SHOWN = 5


def run_lines(host: str, runs: Any) -> Iterator[str]:
    """Describe the runs of a host, newest first: a line for each run, and lines for its reason and paths."""
    if not runs:
        yield f"{line(host)}: no runs"
    for each in runs:
        name, outcome = line(str(each["run"])), line(str(each["outcome"]))
        yield f"{line(host)}  {name}  {_start_time(each)}  {outcome}{_caller(each)}"
        if each.get("reason"):
            yield f"    {line(str(each['reason']))}"
        paths = [line(str(path)) for path in each.get("paths") or ()]
        more = f", and {len(paths) - _PATHS_SHOWN} more" if len(paths) > _PATHS_SHOWN else ""
        if paths:
            yield f"    {', '.join(paths[:_PATHS_SHOWN])}{more}"


def _start_time(run: Mapping[str, Any]) -> str:
    when = run.get("started") or run.get("ended")
    if not isinstance(when, (int, float)):
        return "-"
    return utc(datetime.fromtimestamp(when, UTC))


def _caller(run: Mapping[str, Any]) -> str:
    return f"  by {line(str(run['who']))}" if run.get("who") else ""
