"""Take a screenshot of the HTML report of a realistic sample fleet, for the README.

    python tools/report_picture.py docs/images/report.png

The fleet is the one that the benchmarks use; Chromium draws it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import sample
from hardener import __version__, catalogue
from hardener.comparison.previous_runs import Point, PreviousRuns
from hardener.model import Assessment, Status
from hardener.reports.html import HtmlReport
from hardener.reports.interface import write_reports
from hardener.run import RunInfo

HOSTS, LOST = 24, 2
DAYS = (1, 4, 8, 12, 16, 20, 24, 27, 29)
SIZE = {"width": 1200, "height": 970}


def moment(day: int) -> datetime:
    """Return the time of the audit on a day."""
    return datetime(2026, 11, day, 0, 30, tzinfo=UTC)


def earlier_runs() -> PreviousRuns:
    """Return earlier runs, as a history returns them."""
    points: list[Point] = []
    found: dict[str, Assessment] = {}
    for day in DAYS:
        found = {each.host: each for each in sample.assessments(HOSTS, day=day, lost=LOST)}
        counts = sum((each.counts() for each in found.values()), Counter[Status]())
        points.append(Point(f"day{day}", moment(day), HOSTS, LOST, counts))
    return PreviousRuns(tuple(points), frozenset(found), found.get)


def main() -> None:
    """Write the report, open it, and take the screenshot."""
    ended = moment(sample.DAYS)
    run = RunInfo("day30", __version__, sample.BENCHMARK, catalogue.digest(), "2.19", ended, ended)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "report.html"
        write_reports(sample.assessments(HOSTS, lost=LOST), {page: HtmlReport(run, earlier_runs())})
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        tab = browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
        tab.goto(page.as_uri())
        tab.screenshot(path=sys.argv[1])
        browser.close()


if __name__ == "__main__":
    main()
