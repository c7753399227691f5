"""Time the history of a fleet: record two runs with their snapshots, read them, and compare them.

    python -m bench.history --hosts 100,1000

The hosts of ``bench.sample`` on two days, each step in a process of its own, so that its memory is its own.
What reports cost, ``bench.reports`` says. Prints CPU seconds and the most memory of each step, as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import sample
from hardener import __version__, catalogue
from hardener.assess import assess
from hardener.history import AssessmentStore, History, RunRecord
from hardener.run import RunInfo
from hardener.snapshot import Snapshot
from hardener.workflows.compare_runs import compare_with
from tests.leftovers import scratch

_DAYS = (sample.DAYS - 1, sample.DAYS)


def make(folder: Path, hosts: int) -> None:
    """Write the snapshots of all hosts for the two days that are compared."""
    for day in _DAYS:
        (folder / str(day)).mkdir()
        for number in range(hosts):
            (folder / str(day) / f"{number}.json").write_text(json.dumps(sample.snapshot(number, day).raw))


def record(folder: Path, hosts: int, day: int) -> None:
    """Judge the hosts of a day and record the run as an audit does, but one host after the other."""
    ended = datetime(2026, 11, day, 0, 30, tzinfo=UTC)
    controls = catalogue.load(sample.BENCHMARK)
    info = RunInfo(f"day{day}", __version__, sample.BENCHMARK, catalogue.digest(), "2.19", ended, ended)
    store = AssessmentStore()
    with History(folder / "home").begin() as recording:
        for number in range(hosts):
            path = folder / str(day) / f"{number}.json"
            recording.keep(sample.name(number), path)
            store.add(assess(Snapshot.load(path), controls, benchmark=sample.BENCHMARK))
        recording.finish(RunRecord(info=info, verb="audit", exit_code=3), store)


def judge(folder: Path, hosts: int) -> None:
    """Judge the hosts without recording them, for comparison."""
    controls = catalogue.load(sample.BENCHMARK)
    for number in range(hosts):
        path = folder / str(_DAYS[0]) / f"{number}.json"
        assess(Snapshot.load(path), controls, benchmark=sample.BENCHMARK)


def read(folder: Path) -> None:
    """Read every assessment of a run."""
    for _ in History(folder / "home").run("latest").assessments():
        pass


def diff(folder: Path) -> None:
    """Compare the two runs, with the changed facts."""
    history = History(folder / "home")
    before, after = history.run("latest~1"), history.run("latest")
    compare_with(before, after.assessments(), after.snapshot)


def steps(folder: Path, hosts: int) -> dict[str, Callable[[], None]]:
    """Return the steps to measure, in their order."""
    return {
        "judge": lambda: judge(folder, hosts),
        "judge and record": lambda: record(folder, hosts, _DAYS[0]),
        "the same, the next day": lambda: record(folder, hosts, _DAYS[1]),
        "read a run": lambda: read(folder),
        "diff": lambda: diff(folder),
    }


def measured(step: str, folder: Path, hosts: int) -> tuple[float, float]:
    """Return the CPU seconds of a step, and its peak memory in MiB."""
    command = [sys.executable, "-m", "bench.history", "--step", step, str(folder), str(hosts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        seconds = float(process.stdout.read())
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Parse the command line, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--hosts", type=lambda text: [int(part) for part in text.split(",")], default=[100, 1000]
    )
    parser.add_argument("--step", nargs=3, metavar=("STEP", "DIR", "HOSTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, name, hosts = options.step
        begun = time.process_time()
        steps(Path(name), int(hosts))[step]()
        print(time.process_time() - begun)
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    for hosts in options.hosts:
        with scratch("bench") as folder:
            make(folder, hosts)
            print(f"\n| {hosts} hosts | CPU | peak |\n| --- | ---: | ---: |")
            for step in steps(folder, hosts):
                seconds, peak = measured(step, folder, hosts)
                print(f"| {step} | {seconds:.1f} s | {peak:.0f} MiB |", flush=True)
            for what in ("history.sqlite3", "runs"):
                path = folder / "home" / what
                files = path.rglob("*.gz") if path.is_dir() else [path]
                print(f"| {what}, a run | {sum(file.stat().st_size for file in files) / 2e6:.1f} MB | |")


if __name__ == "__main__":
    main()
