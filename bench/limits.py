"""Measure whether JUnit and SARIF reports of a large fleet stay below the limits of GitLab and GitHub.

    python -m bench.limits --hosts 1000 --containers 24

The hosts of ``bench.sample`` run so many containers each, and are in a group by their role and in one of all.
Both formats are written whole, and split by group. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import sample
from hardener import __version__, catalogue
from hardener.history import AssessmentStore
from hardener.reports.destinations import by_group
from hardener.reports.formats import FORMATS
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from tests.leftovers import scratch

# What a reader counts besides bytes.
_COUNTED: dict[str, tuple[str, Callable[[str], int]]] = {
    "junit": ("XML elements", lambda text: text.count("<") - text.count("</") - 1),
    "sarif": ("results", lambda text: len(json.loads(text)["runs"][0]["results"])),
}


def fleet(hosts: int, containers: int) -> AssessmentStore:
    """Return the assessed hosts, each in two groups."""
    store = AssessmentStore()
    for each in sample.assessments(hosts, day=1, lost=hosts // 100, containers=containers):
        role = re.match(r"[a-z]+", each.host)
        store.add(replace(each, groups=("production", role[0] if role else "other")))
    return store


def main() -> None:
    """Parse the command line, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--containers", type=int, default=24)
    options = parser.parse_args()
    now = datetime(2026, 11, 1, tzinfo=UTC)
    run = RunInfo("limits", __version__, sample.BENCHMARK, catalogue.digest(), "2.19", now, now)
    store = fleet(options.hosts, options.containers)
    print(f"{options.hosts} hosts, {options.containers} containers each\n")
    print("| format | files | largest | most of a file |\n| --- | ---: | ---: | ---: |")
    with scratch("bench") as folder:
        for name, (what, count) in _COUNTED.items():
            make = partial(FORMATS[name].report, run)
            for split, written in (("whole", make()), ("split by group", by_group(make, store))):
                target = folder / f"{name}-{split.partition(' ')[0]}"
                write_reports(store, {target / "report.x": written})
                print(_row(f"{name}, {split}", sorted(target.iterdir()), what, count), flush=True)


def _row(title: str, files: list[Path], what: str, count: Callable[[str], int]) -> str:
    largest = max(path.stat().st_size for path in files) / 1e6
    most = max(count(path.read_text(encoding="utf-8")) for path in files)
    return f"| {title} | {len(files)} | {largest:.1f} MB | {most:,} {what} |"


if __name__ == "__main__":
    main()
