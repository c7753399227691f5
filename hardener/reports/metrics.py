"""Runs as metrics in Prometheus's text format, for the textfile collector of node_exporter.

node_exporter rejects the whole file for one invalid line: names of hosts are escaped, and no series is
repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hardener import __version__
from hardener.model import Assessment, Status
from hardener.run import RunInfo

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics:
    """The metrics of one inventory.

    ``seen`` gives when the facts of a host were read last; it is asked where this run did not get them.
    """

    inventory: str
    verb: str
    exit_code: int
    run: RunInfo
    assessments: Iterable[Assessment]
    seen: Callable[[str], datetime | None]


def metrics(runs: Iterable[RunMetrics]) -> str:
    """Return the metrics of the last run of each inventory, in the given order."""
    families = {
        family.name: family
        for family in (
            _Family("hardener_build_info", "The hardener that wrote these metrics."),
            _Family("hardener_run_info", "The last run over all hosts and all controls of an inventory."),
            _Family("hardener_run_exit_code", "How it ended: 0 is well, README.md has the others."),
            _Family("hardener_run_duration_seconds", "How long it took."),
            _Family("hardener_run_end_timestamp_seconds", "When it ended, in seconds since 1970."),
            _Family("hardener_host_reachable", "Whether it could read the facts of a host."),
            _Family(
                "hardener_host_last_audit_timestamp_seconds",
                "When the facts of a host were read last, in seconds since 1970; 0 where no kept run did.",
            ),
            _Family("hardener_findings", "Controls of a host, by section and by how they stand."),
        )
    }

    def note(name: str, value: float, **labels: str) -> None:
        families[name].note(value, labels)

    note("hardener_build_info", 1, version=__version__)
    for each in runs:
        where, run = {"inventory": each.inventory}, each.run
        note(
            "hardener_run_info",
            1,
            **where,
            run=run.run_id,
            verb=each.verb,
            benchmark=run.benchmark,
            version=run.tool_version,
        )
        note("hardener_run_exit_code", each.exit_code, **where)
        note("hardener_run_duration_seconds", max(0.0, (run.ended - run.started).total_seconds()), **where)
        note("hardener_run_end_timestamp_seconds", run.ended.timestamp(), **where)
        for assessment in each.assessments:
            host = {**where, "host": assessment.host}
            last = each.seen(assessment.host) if assessment.unreachable else run.ended
            note("hardener_host_reachable", not assessment.unreachable, **host)
            note("hardener_host_last_audit_timestamp_seconds", last.timestamp() if last else 0, **host)
            for section, counts in _sections(assessment).items():
                for status in Status:
                    labels = {**host, "section": section, "status": status.value}
                    note("hardener_findings", counts[status], **labels)
    return "".join(line for family in families.values() for line in family.lines())


@dataclass(slots=True)
class _Family:
    """All samples of one metric, which must be contiguous."""

    name: str
    help: str
    samples: dict[str, float] = field(default_factory=dict)

    def note(self, value: float, labels: Mapping[str, str]) -> None:
        text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        self.samples[text] = value

    def lines(self) -> Iterator[str]:
        if self.samples:
            yield f"# HELP {self.name} {self.help}\n# TYPE {self.name} gauge\n"
        for labels, value in self.samples.items():
            yield f"{self.name}{{{labels}}} {_number(value)}\n"


def _sections(assessment: Assessment) -> dict[str, Counter[Status]]:
    """Return the findings of a host by section, in the order of the report."""
    sections: dict[str, Counter[Status]] = {}
    for finding in assessment.findings:
        sections.setdefault(finding.control.section, Counter())[finding.status] += 1
    return sections


def _escaped(value: str) -> str:
    """Escape the value of a label; invalid UTF-8 becomes visible."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8").translate(_ESCAPES)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"
