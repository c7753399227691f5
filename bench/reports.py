"""Time the reports of a fleet: CPU time and memory of each format, and how fast a browser shows the page.

    python -m bench.reports --hosts 100,1000

The hosts of ``bench.sample`` are judged, written in every format and kept in a history, in one pass, on two
days: the second is measured, and looks back at the first. The page is then opened by Chromium from the disk.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench import sample
from hardener import __version__, catalogue
from hardener.history import AssessmentStore, History, RunRecord
from hardener.history.previous import previous_runs
from hardener.model import Assessment
from hardener.reports.formats import FORMATS
from hardener.reports.interface import Report, write_reports
from hardener.run import RunInfo
from tests.leftovers import scratch

_LOADS = 5
# What a reader asks for; answered when it is on the screen.
_ACTS = {
    "by host": "document.querySelector('.by [value=host]').click()",
    "by NIST SP 800-53": "document.querySelector('.by [value=\"nist-800-53r5\"]').click()",
    "search": (
        "const field = document.querySelector('[type=search]'); field.value = 'gitlab';"
        "field.dispatchEvent(new Event('input')); await new Promise((done) => setTimeout(done, 125))"
    ),
}
_SHOWN = "await new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


class Timed(Report):
    """Wraps a report and measures its cost: CPU seconds and characters."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.run, report.previous)
        self._report = report
        self.seconds = 0.0
        self.size = 0

    def begin(self) -> str:
        """Measure ``begin`` of the wrapped report."""
        return self._cost(self._report.begin)

    def host(self, assessment: Assessment) -> str:
        """Measure ``host`` of the wrapped report."""
        return self._cost(lambda: self._report.host(assessment))

    def end(self) -> Iterator[str]:
        """Measure ``end`` of the wrapped report."""
        yield self._cost(lambda: "".join(self._report.end()))

    def _cost(self, write: Callable[[], str]) -> str:
        begun = time.process_time()
        text = write()
        self.seconds += time.process_time() - begun
        self.size += len(text)
        return text


def write(hosts: int, day: int, folder: Path) -> dict[str, Any]:
    """Write all reports of a fleet with this number of hosts for a day, and record the run."""
    ended = datetime(2026, 11, day, 0, 30, tzinfo=UTC)
    run = RunInfo(f"day{day}", __version__, sample.BENCHMARK, catalogue.digest(), "2.19", ended, ended)
    record = RunRecord(info=run, verb="audit", exit_code=3)
    history = History(folder / "home")
    recording, store = history.begin(), AssessmentStore()
    reports = {
        folder / f"report.{name}": Timed(
            each.report(run, previous_runs(history, record) if each.looks_back else None)
        )
        for name, each in FORMATS.items()
    }
    spent: Counter[str] = Counter()
    write_reports(kept(judged(hosts, day, spent), store, spent), reports)
    begun = time.process_time()
    recording.finish(record, store)
    spent["history"] += time.process_time() - begun  # type: ignore[assignment]
    costs = {path.suffix[1:]: (each.seconds, each.size) for path, each in reports.items()}
    size = sum(file.stat().st_size for file in (folder / "home").glob("history.sqlite3*")) / 2
    return {"costs": {**costs, "history": (spent["history"], size)}, "judging": spent["judging"]}


def judged(hosts: int, day: int, spent: Counter[str]) -> Iterator[Assessment]:
    """Yield the judged hosts, and measure the time to make and judge them."""
    every = sample.assessments(hosts, day=day, lost=hosts // 100)
    while True:
        begun = time.process_time()
        assessment = next(every, None)
        spent["judging"] += time.process_time() - begun  # type: ignore[assignment]
        if assessment is None:
            return
        yield assessment


def kept(
    assessments: Iterable[Assessment], store: AssessmentStore, spent: Counter[str]
) -> Iterator[Assessment]:
    """Yield the assessments unchanged; store each, and measure the time to store it."""
    for assessment in assessments:
        begun = time.process_time()
        store.add(assessment)
        spent["history"] += time.process_time() - begun  # type: ignore[assignment]
        yield assessment


def measured(hosts: int, day: int, folder: Path) -> dict[str, Any]:
    """Run ``write`` in a process of its own; return its result with the peak memory of the process in MiB."""
    command = [sys.executable, "-m", "bench.reports", "--write", str(hosts), str(day), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        result: dict[str, Any] = json.loads(process.stdout.read())
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return {**result, "peak": usage.ru_maxrss / 1024}


def browsed(page: Path) -> dict[str, float]:
    """Return the milliseconds until a browser shows the page, and until it has done each user action."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        tab = browser.new_page()
        took = {"open": statistics.median(_load(tab, page) for _ in range(_LOADS))}
        for name, act in _ACTS.items():
            timed = f"const begun = performance.now(); {act}; {_SHOWN}; return performance.now() - begun"
            took[name] = float(tab.evaluate(f"async () => {{ {timed} }}"))
        browser.close()
    return took


def _load(tab: Page, page: Path) -> float:
    tab.goto("about:blank")
    tab.goto(page.as_uri())
    return float(tab.evaluate(f"async () => {{ {_SHOWN}; return performance.now() }}"))


def main() -> None:
    """Parse the command line, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--hosts", type=lambda text: [int(part) for part in text.split(",")], default=[100, 1000]
    )
    parser.add_argument("--write", nargs=3, metavar=("HOSTS", "DAY", "DIR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        print(json.dumps(write(int(options.write[0]), int(options.write[1]), Path(options.write[2]))))
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    for hosts in options.hosts:
        with scratch("bench") as folder:
            measured(hosts, sample.DAYS - 1, folder)
            result = measured(hosts, sample.DAYS, folder)
            print(f"{hosts} hosts, peak {result['peak']:.0f} MiB, judging {result['judging']:.0f} s\n")
            print("| format | size | CPU |\n| --- | ---: | ---: |")
            for called, (seconds, size) in result["costs"].items():
                print(f"| {called} | {size / 1e6:.1f} MB | {seconds:.1f} s |")
            took = browsed(folder / "report.html")
            print(f"\n| {' | '.join(took)} |\n|{' --- |' * len(took)}")
            print(f"| {' | '.join(f'{each / 1000:.2f} s' for each in took.values())} |\n", flush=True)


if __name__ == "__main__":
    main()
