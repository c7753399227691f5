"""Time the generation of a fleet's history site: the first time, after one more run, and without a new run.

    python -m bench.site --hosts 1000 --runs 52

Hosts of ``bench.sample`` are judged and recorded once a week, without their snapshots. Each step is a
process of its own, so that its memory is its own. Prints CPU seconds, memory, files and sizes, as Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from bench import sample
from hardener import __version__, catalogue
from hardener.history import AssessmentStore, History, RunRecord
from hardener.run import RunInfo
from tests.leftovers import scratch

_JUDGED = 100  # hosts of a day; the others are like them under other names
_NOW = datetime.now(UTC)  # the history forgets what is older than its retention


def record(home: Path, hosts: int, weeks: range, runs: int) -> None:
    """Record one run for each week; the fleet is hardened step by step over ``runs`` weeks."""
    for day, some in groupby(weeks, lambda week: 1 + week * (sample.DAYS - 1) // runs):
        store = AssessmentStore()
        judged = list(sample.assessments(min(hosts, _JUDGED), day=day, lost=day % 3))
        for number in range(hosts):
            store.add(replace(judged[number % len(judged)], host=sample.name(number)))
        for week in some:
            started = _NOW - timedelta(weeks=runs - week)
            info = RunInfo(
                run_id=f"week{week:03}",
                tool_version=__version__,
                benchmark=sample.BENCHMARK,
                catalogue_digest=catalogue.digest(),
                ansible_version="2.19",
                started=started,
                ended=started + timedelta(seconds=hosts * 0.2),
            )
            with History(home).begin() as recording:
                recording.finish(
                    RunRecord(info=info, verb="audit", exit_code=3, inventory="/srv/fleet.yml"), store
                )


def write(home: Path, out: Path) -> tuple[float, float]:
    """Write the site in its own process; return its CPU seconds, and its peak memory in MiB."""
    command = [sys.executable, "-m", "hardener", "report", "site", "--home", str(home), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"hardener site ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def show(step: str, home: Path, out: Path) -> None:
    """Write the site, and print the time and memory that it took."""
    begun = time.time()
    seconds, peak = write(home, out)
    pages = [path.stat() for path in out.rglob("*.html")]
    written = sum(1 for page in pages if page.st_mtime >= begun)
    size, largest = sum(page.st_size for page in pages) / 1e6, max(page.st_size for page in pages) / 1e3
    print(
        f"| {step} | {seconds:.1f} s | {time.time() - begun:.1f} s | {peak:.0f} MiB"
        f" | {written:,} of {len(pages):,} | {size:.0f} MB | {largest:.0f} kB |",
        flush=True,
    )


def main() -> None:
    """Parse the command line, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=52)
    options = parser.parse_args()
    hosts, runs = options.hosts, options.runs
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with scratch("bench") as folder:
        home, out = folder / "home", folder / "site"
        record(home, hosts, range(runs), runs)
        print(f"\n| {hosts} hosts, {runs} runs | CPU | wall | peak | pages written | size | largest |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        show("the first time", home, out)
        show("nothing is new", home, out)
        record(home, hosts, range(runs, runs + 1), runs)
        show("one more run", home, out)


if __name__ == "__main__":
    main()
