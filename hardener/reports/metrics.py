"""Write runs as metrics in Prometheus's text format, for the textfile collector of node_exporter.

node_exporter rejects the whole file for one invalid line, so names of hosts are escaped and no series is
repeated. No series has both a control and a host as labels, and the numbers of groups and decisions are
limited, so that a large fleet does not overload the server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

from hardener import __version__
from hardener.decisions.remarks import SOON
from hardener.model import Assessment, Attestation, Control, Decisions, Severity, Status, Waiver
from hardener.reports.lib.groups import GroupTotals
from hardener.run import RunInfo
from hardener.summary import compliance

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_GROUPS = 100  # the largest of an inventory
_DECISIONS = 200  # those that end first
_HELP = {
    "hardener_build_info": "Version of hardener that wrote these metrics.",
    "hardener_run_info": "The last run over all hosts and all controls of an inventory.",
    "hardener_run_exit_code": "Exit code of the run: 0 is success, README.md lists the others.",
    "hardener_run_duration_seconds": "Duration of the run in seconds.",
    "hardener_run_end_timestamp_seconds": "End of the run, in seconds since 1970.",
    "hardener_run_hosts_not_begun": "Hosts left unchanged, because of a limit of failures or a window.",
    "hardener_run_hosts_change_failed": "Hosts whose change failed, was refused or was rolled back.",
    "hardener_compliance_ratio": "Passing controls among those that pass, fail or are errors.",
    "hardener_host_reachable": "Whether the run could read the facts of a host.",
    "hardener_host_last_audit_timestamp_seconds": (
        "Time when the facts of a host were last read, in seconds since 1970; 0 if never in the history."
    ),
    "hardener_host_compliance_ratio": "Passing controls of a host among those that pass, fail or are errors.",
    "hardener_host_failures": "Failing controls of a host, by severity.",
    "hardener_findings": "Controls of a host, by section and status.",
    "hardener_control_hosts": "Hosts by control and status.",
    "hardener_control_failures": "Hosts on which a control fails, by severity.",
    "hardener_groups": "Number of groups of the inventory that have hosts; only the largest 100 groups have"
    " metrics.",
    "hardener_group_hosts": "Hosts of a group, reachable or not.",
    "hardener_group_findings": "Controls of the hosts of a group, by status.",
    "hardener_group_compliance_ratio": "Passing controls of the hosts of a group among those that pass,"
    " fail or are errors.",
    "hardener_decisions": "Waivers and attestations: in force, ending within 30 days, or expired.",
    "hardener_decision_expiry_timestamp_seconds": (
        "End of a waiver or an attestation, in seconds since 1970; of the 200 that end first."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics:
    """The metrics of one inventory.

    ``seen`` returns when the facts of a host were last read; it is called for hosts that this run did not
    reach.
    """

    inventory: str
    verb: str
    exit_code: int
    run: RunInfo
    assessments: Iterable[Assessment]
    seen: Callable[[str], datetime | None]


def metrics(runs: Iterable[RunMetrics]) -> str:
    """Return the metrics of the last run of each inventory, in the given order."""
    families = {name: _Family(name, text) for name, text in _HELP.items()}
    families["hardener_build_info"].note(1, {"version": __version__})
    for each in runs:
        for name, value, labels in _samples(each):
            families[f"hardener_{name}"].note(value, {"inventory": each.inventory, **labels})
    return "".join(line for family in families.values() for line in family.lines())


_Sample = tuple[str, float, dict[str, str]]


def _samples(each: RunMetrics) -> Iterator[_Sample]:
    """Yield name, value and labels of every sample of an inventory."""
    run = each.run
    about = {"run": run.run_id, "verb": each.verb, "benchmark": run.benchmark, "version": run.tool_version}
    yield "run_info", 1, about
    yield "run_exit_code", each.exit_code, {}
    yield "run_duration_seconds", max(0.0, (run.ended - run.started).total_seconds()), {}
    yield "run_end_timestamp_seconds", run.ended.timestamp(), {}
    counts: Counter[Status] = Counter()
    controls, groups = _Controls(run.benchmark), GroupTotals()
    not_begun = change_failed = 0
    for assessment in each.assessments:
        counts.update(assessment.counts())
        controls.add(assessment)
        groups.add(assessment)
        not_begun += bool(assessment.not_begun)
        change_failed += bool(assessment.change_failed)
        yield from _host(assessment, each)
    yield "run_hosts_not_begun", not_begun, {}
    yield "run_hosts_change_failed", change_failed, {}
    yield from _ratio("compliance_ratio", counts, {})
    yield from controls.samples()
    yield from _groups(groups)
    yield from _decisions(run.decisions)


def _host(assessment: Assessment, each: RunMetrics) -> Iterator[_Sample]:
    host = {"host": assessment.host}
    last = each.seen(assessment.host) if assessment.unreachable else each.run.ended
    yield "host_reachable", not assessment.unreachable, host
    yield "host_last_audit_timestamp_seconds", last.timestamp() if last else 0, host
    yield from _ratio("host_compliance_ratio", assessment.counts(), host)
    failing = Counter(finding.severity for finding in assessment.failing())
    for severity in Severity:
        yield "host_failures", failing[severity], {**host, "severity": severity.value}
    for section, counts in _sections(assessment).items():
        for status in Status:
            yield "findings", counts[status], {**host, "section": section, "status": status.value}


class _Controls:
    """Counts the hosts of each control."""

    def __init__(self, benchmark: str) -> None:
        self._benchmark = benchmark
        self._controls: dict[str, Control] = {}
        self._counts: dict[str, Counter[Status]] = {}
        self._failures: Counter[tuple[str, Severity]] = Counter()

    def add(self, assessment: Assessment) -> None:
        for finding in assessment.findings:
            slug = finding.control.slug
            self._controls.setdefault(slug, finding.control)
            self._counts.setdefault(slug, Counter())[finding.status] += 1
            if finding.status is Status.FAIL:
                self._failures[slug, finding.severity] += 1

    def samples(self) -> Iterator[_Sample]:
        for slug, control in self._controls.items():
            labels = {"control": slug, "id": control.id_in(self._benchmark), "section": control.section}
            for status in Status:
                yield "control_hosts", self._counts[slug][status], {**labels, "status": status.value}
            # The severity can depend on what fails, so that a control can have several.
            severities = {each for known, each in self._failures if known == slug} | {control.severity}
            for severity in sorted(severities, key=list(Severity).index):
                failing = self._failures[slug, severity]
                yield "control_failures", failing, {**labels, "severity": severity.value}


def _groups(totals: GroupTotals) -> Iterator[_Sample]:
    groups = totals.all()
    yield "groups", len(groups), {}
    largest = sorted(groups, key=lambda group: -group.hosts)[:_GROUPS]
    for group in sorted(largest, key=lambda group: group.name):
        labels = {"group": group.name}
        yield "group_hosts", group.hosts, labels
        yield from _ratio("group_compliance_ratio", group.counts, labels)
        for status in Status:
            yield "group_findings", group.counts[status], {**labels, "status": status.value}


def _decisions(decisions: Decisions | None) -> Iterator[_Sample]:
    if decisions is None:
        return
    kinds: dict[str, tuple[Waiver | Attestation, ...]] = {
        "waiver": decisions.waivers,
        "attestation": decisions.attestations,
    }
    for kind, made in kinds.items():
        states = Counter(_state((each.expires - decisions.today).days) for each in made)
        for state in ("in_force", "ending", "expired"):
            yield "decisions", states[state], {"kind": kind, "state": state}
    every = ((each.expires, kind, each) for kind, made in kinds.items() for each in made)
    for expires, kind, each in sorted(every, key=lambda row: (row[0], row[1], row[2].id))[:_DECISIONS]:
        ends = datetime.combine(expires, time.max, tzinfo=UTC).replace(microsecond=0)
        labels = {"kind": kind, "id": each.id, "control": each.control}
        yield "decision_expiry_timestamp_seconds", ends.timestamp(), labels


def _state(days: int) -> str:
    """Return the state of a decision this many days before its last day."""
    return "expired" if days < 0 else "ending" if days <= SOON else "in_force"


def _ratio(name: str, counts: Mapping[Status, int], labels: dict[str, str]) -> Iterator[_Sample]:
    """Yield the compliance as a sample; nothing if no control passes, fails or is an error."""
    if (ratio := compliance(counts)) is not None:
        yield name, ratio, labels


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
    return str(int(value)) if value == int(value) else f"{value:.4f}"
