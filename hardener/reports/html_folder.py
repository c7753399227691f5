"""The HTML report as a folder with a page for each host: for large fleets, and viewers that refuse scripts.

No page needs a script. The style sheet is a file beside them, since viewers such as Jenkins refuse the style
of a page but allow files of the same folder. One page explains all controls; the pages of hosts link to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from hardener import catalogue
from hardener.comparison.previous_runs import PreviousRuns
from hardener.model import Assessment, Status
from hardener.reports.destinations import Folder, file_name
from hardener.reports.html import HtmlReport
from hardener.reports.lib.page import (
    control_record,
    environment,
    policy,
    result_record,
    script_of,
    style,
    verdict_record,
)
from hardener.reports.lib.statuses import ORDER, WORDS, plain, section_title
from hardener.run import RunInfo
from hardener.summary import compliance, percentage
from hardener.text import line, utc

_HOSTS_OF_A_CONTROL = 50
_NOT_HELD = (Status.FAIL, Status.ERROR)
_CONTROLS = "controls.html"


class HtmlFolder(Folder):
    """HTML pages in a folder."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        self._run = run
        self._whole = HtmlReport(run, previous)  # counts what the overview shows
        self._names: Counter[str] = Counter()
        self._hosts: list[dict[str, Any]] = []
        self._pages: dict[str, str] = {}
        self._held: dict[str, Counter[Status]] = {}
        self._not_held: dict[str, list[tuple[str, str, Status]]] = {}

    def first(self) -> Iterator[tuple[str, str]]:
        """Yield the files that do not depend on hosts."""
        yield "style.css", style()
        yield "folder.js", script_of("folder.js")

    def pages(self, assessment: Assessment) -> Iterator[tuple[str, str]]:
        """Yield the page of a host."""
        self._whole.host(assessment)
        name = file_name(assessment.host)
        self._names[name] += 1
        number = f"+{self._names[name]}" if self._names[name] > 1 else ""
        path = f"hosts/{name}{number}.html"
        self._pages.setdefault(line(assessment.host), path)
        counts = assessment.counts()
        for finding in assessment.findings:
            slug = finding.control.slug
            self._held.setdefault(slug, Counter())[finding.status] += 1
            if finding.status in _NOT_HELD:
                hosts = self._not_held.setdefault(slug, [])
                if len(hosts) < _HOSTS_OF_A_CONTROL:
                    hosts.append((line(assessment.host), path, finding.status))
        row = {
            "name": line(assessment.host),
            "page": path,
            "groups": [line(group) for group in assessment.groups],
            "unreachable": line(assessment.unreachable),
            "not_begun": line(assessment.not_begun, 1000),
            "change_failed": line(assessment.change_failed, 1000),
            "counts": plain(counts),
            "total": counts.total(),
            "share": percentage(compliance(counts) if self._run.whole_hosts else None),
        }
        self._hosts.append(row)
        facts = [(line(key), line(value)) for key, value in sorted(assessment.facts.items())]
        yield (
            path,
            self._render(
                "folder_host.html",
                top="../",
                title=row["name"],
                host=row,
                facts=[*facts, ("collected", line(assessment.collected_at) or "never")],
                found=list(self._findings(assessment)),
            ),
        )

    def last(self) -> Iterator[tuple[str, str]]:
        """Yield the pages over all hosts."""
        known = self._whole.catalogue()
        controls = sorted(known["controls"], key=lambda each: catalogue.order(each["id"]))
        sections = [
            {
                "title": title,
                "controls": [
                    {**control, **self._state(control["slug"])}
                    for control in controls
                    if control["section"] == number
                ],
            }
            for number, (_, title) in enumerate(known["sections"])
        ]
        overview = self._whole.overview(self._place)
        yield (
            _CONTROLS,
            self._render("folder_controls.html", **overview | {"title": "Controls", "found": sections}),
        )
        title = f"{self._run.benchmark}, {utc(self._run.ended)}"
        yield (
            "index.html",
            self._render("folder_index.html", **overview | {"title": title, "rows": self._hosts}),
        )

    def _findings(self, assessment: Assessment) -> Iterator[dict[str, Any]]:
        """Yield the sections of a host's findings."""
        sections: dict[str, list[dict[str, Any]]] = {}
        for finding in assessment.findings:
            control = control_record(finding.control, 0, assessment.benchmark)
            result = result_record(finding.status, verdict_record(finding), ())
            section = finding.control.section_in(assessment.benchmark)
            sections.setdefault(section, []).append(
                {**control, "title": finding.control.title_if(finding.status), "results": [result]}
            )
        for name, controls in sections.items():
            yield {"title": section_title(name, assessment.benchmark), "controls": controls}

    def _state(self, slug: str) -> dict[str, Any]:
        """Return the number of hosts by status of a control, and the first hosts where it does not pass."""
        counts = self._held.get(slug, Counter())
        shown = self._not_held.get(slug, [])
        return {
            "counts": ", ".join(f"{counts[status]} {WORDS[status]}" for status in ORDER if counts[status]),
            "not_held": [(host, page, status.value) for host, page, status in shown],
            "more": sum(counts[status] for status in _NOT_HELD) - len(shown),
        }

    def _place(self, view: str) -> str:
        """Return the page of the folder that corresponds to a view of the single-page report."""
        values = parse_qs(view.removeprefix("#"))
        if view.startswith(("#section-", "#control-")):
            return f"{_CONTROLS}{view}"
        if values.get("group") == ["host"]:
            return self._pages.get(values.get("text", [""])[0], "#hosts")
        return _CONTROLS

    def _render(self, template: str, **values: Any) -> str:
        shared = {
            "top": "",
            "policy": policy("'self'", "'self'"),
            "run": self._run,
            "run_id": line(self._run.run_id),
            "ended": utc(self._run.ended),
            "statuses": [status.value for status in ORDER],
            "words": {status.value: word for status, word in WORDS.items()},
        }
        return environment().get_template(template).render(shared | values)
