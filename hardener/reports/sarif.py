"""The SARIF 2.1.0 report, for code scanning: one result for each open control of a host.

These are the failing and waived controls, and those that could not be evaluated: code scanning closes the
alert of a missing result, and a control of an unreachable host is not fixed. An unreachable host has as many
results as it has controls. Passing controls are not results, although SARIF has a kind for them: GitHub makes
an alert of every result, whatever its kind. The properties of the run count them for each host, so that
readers can detect missing results. A waived control is a suppressed result.

Code scanning needs a location in a repository: this is the inventory file, or the control's page without one.
The host and its offenders are logical locations.

Readers keep one alert for each fingerprint, which is made of host and control, never of the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from hardener.comparison.previous_runs import PreviousRuns
from hardener.decisions.remarks import due, in_force, remarks, waiver_remark
from hardener.model import NOT_HELD, Assessment, Control, Finding, Severity, Status
from hardener.reports.interface import Report
from hardener.reports.lib.identity import HostKeys, identifier
from hardener.reports.lib.serial import compact, mappings
from hardener.reports.lib.text import share
from hardener.run import RunInfo
from hardener.summary import Summary, by_name
from hardener.text import line, scalar, utc

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_OFFENDERS_SHOWN = 20
_LEVEL = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
# GitHub refuses a run with more. A part is full before: a host has no more than a benchmark has controls.
_MOST_RESULTS = 25_000
_RESULTS = 20_000
_SCORE = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0"}


class SarifReport(Report):
    """SARIF for code scanning."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._summary = Summary()
        self._hosts = HostKeys()
        self._rules: dict[str, Control] = {}
        self._results = 0
        self._population: list[dict[str, Any]] = []

    def begin(self) -> str:
        """Return the run and the start of its results; rules and totals are known last."""
        return f'{{"$schema":{compact(_SCHEMA)},"version":"2.1.0","runs":[{{"results":['

    def host(self, assessment: Assessment) -> str:
        """Return the results of one host."""
        self._summary.add(assessment)
        self._population.append(_host(assessment))
        key = self._hosts.key(assessment.host)
        for finding in assessment.findings:
            self._rules.setdefault(finding.control.slug, finding.control)
        places = {slug: index for index, slug in enumerate(self._rules)}
        text = ""
        for finding in assessment.findings:
            if finding.status in NOT_HELD:
                result = self._result(finding, assessment, key, places[finding.control.slug])
                text += f"{',' if self._results else ''}\n{compact(result)}"
                self._results += 1
        return text

    def end(self) -> Iterator[str]:
        """Return the tool, its rules, and the status of the run."""
        # GitHub keeps alerts apart by all but the last name of the id.
        part = [self.part] if self.part else []
        driver = {
            "name": "hardener",
            "version": self.run.tool_version,
            **_information(),
            "rules": [_rule(control, self.run.benchmark) for control in self._rules.values()],
        }
        rest = {
            "tool": {"driver": driver},
            "automationDetails": {
                "id": "/".join(["hardener", self.run.benchmark, *part, scalar(self.run.run_id)]),
                "guid": identifier("run", self.run.run_id, *part),
            },
            "invocations": [
                {
                    "executionSuccessful": not self._summary.counts[Status.ERROR],
                    "startTimeUtc": utc(self.run.started),
                    "endTimeUtc": utc(self.run.ended),
                    "toolExecutionNotifications": list(self._notifications()),
                }
            ],
            "columnKind": "utf16CodeUnits",
            "properties": {
                "hosts": self._summary.hosts,
                "counts": by_name(self._summary.counts),
                "population": self._population,
                "catalogueDigest": self.run.catalogue_digest,
                "ansibleVersion": self.run.ansible_version,
                **self.run.scope,
            },
        }
        yield f"\n],{compact(rest)[1:]}]}}\n"

    @property
    def is_full(self) -> bool:
        """Return whether the file is nearly as large as GitHub accepts."""
        return self._results >= _RESULTS

    @property
    def excess(self) -> str:
        """Return why GitHub refuses the file; empty if it does not."""
        if self._results <= _MOST_RESULTS:
            return ""
        return f"{self._results:,} results, more than the {_MOST_RESULTS:,} that GitHub accepts"

    def _result(
        self, finding: Finding, assessment: Assessment, key: tuple[str, ...], rule: int
    ) -> dict[str, Any]:
        control, verdict = finding.control, finding.verdict
        undecided, level = finding.status is Status.ERROR, _LEVEL[finding.severity]
        fingerprint = identifier("finding", *key, control.slug)
        counted = share(verdict)
        message = f"{line(assessment.host)}: expected {line(verdict.expected)}, found {line(verdict.actual)}"
        message = f"{message} ({counted})" if counted else message
        return {
            "ruleId": control.slug,
            "ruleIndex": rule,
            # Only failures have a level.
            **({"kind": "open", "level": "none"} if undecided else {"kind": "fail", "level": level}),
            "message": {"text": _plain("; ".join([message, *remarks(finding)]))},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(control, self.run.inventory)},
                        "region": self._region(finding),
                    },
                    "logicalLocations": list(_logical(finding, assessment).values()),
                }
            ],
            "guid": identifier("sarif", self.run.run_id, *key, control.slug),
            # GitHub knows the second name only. Without it, all hosts of a control would be one alert.
            "partialFingerprints": {"hardener/v1": fingerprint, "primaryLocationLineHash": fingerprint},
            # SARIF requires it on all results or on none.
            "suppressions": list(_suppressions(finding)),
        }

    def _region(self, finding: Finding) -> dict[str, int]:
        """Return the place of the first offender in the inventory, where it is known."""
        names = (each.name for each in finding.verdict.offenders)
        place = next((found for name in names if (found := self.run.places.get(name))), None)
        return {"startLine": place[0], "startColumn": place[1]} if place else {"startLine": 1}

    def _notifications(self) -> Iterator[dict[str, Any]]:
        for host, reason in self._summary.unreachable:
            yield {
                "level": "error",
                "descriptor": {"id": "host-unreachable"},
                "message": {"text": _plain(f"{host} was not evaluated: {reason}")},
            }
        not_changed = self._summary.not_changed
        for hosts, name, what in (
            (not_changed.not_begun, "host-not-begun", "was not begun"),
            (not_changed.failed, "host-change-failed", "failed"),
        ):
            for host, reason in hosts:
                yield {
                    "level": "error",
                    "descriptor": {"id": name},
                    "message": {"text": _plain(f"the change of {host} {what}: {reason}")},
                }
        yield from self._decided()

    def _decided(self) -> Iterator[dict[str, Any]]:
        """Return notifications about decisions: expired or soon to expire, and passes by attestation."""
        for each in due(self.run.decisions):
            slug = each.decision.control
            yield {
                "level": "warning",
                "descriptor": {"id": f"{each.kind}-due"},
                **({"associatedRule": {"id": slug}} if slug in self._rules else {}),
                "message": {"text": _plain(str(each))},
            }
        for cases in self._summary.cases(Status.PASS):
            where = f"on {cases.hosts} hosts" if cases.hosts > 1 else f"on {line(cases.examples[0][0])}"
            yield {
                "level": "note",
                "descriptor": {"id": "control-attested"},
                "associatedRule": {"id": cases.control.slug},
                "message": {
                    "text": _plain(f"{cases.id} passes {where}  by attestation: {'; '.join(cases.remarks)}")
                },
            }


def _suppressions(finding: Finding) -> Iterator[dict[str, str]]:
    if finding.status is Status.WAIVED:
        said = [waiver_remark(each) for each in in_force(finding.waivers)]
        for justification in said:
            yield {"kind": "external", "status": "accepted", "justification": justification}
        if not said:
            yield {"kind": "external", "status": "accepted"}


def _plain(text: str) -> str:
    """Escape SARIF's syntax for links and placeholders, ``[text](target)`` and ``{0}``, in plain text."""
    for special in ("\\", "[", "]"):
        text = text.replace(special, f"\\{special}")
    return text.replace("{", "{{").replace("}", "}}")


def _uri(control: Control, inventory: str) -> str:
    """Return the path of the inventory, or of the control's page if hosts were given as a list."""
    if not inventory or "," in inventory:
        return f"docs/controls/{control.slug}.md"
    # Readers refuse a path that leaves the repository.
    parts = [part for part in PurePosixPath(scalar(inventory)).parts if part not in ("/", "..")]
    return quote("/".join(parts) or "inventory")


def _host(assessment: Assessment) -> dict[str, Any]:
    """Return the number of selected controls by status on one host."""
    return {
        "host": line(assessment.host),
        "reachable": not assessment.unreachable,
        **({"not_begun": line(assessment.not_begun, 1000)} if assessment.not_begun else {}),
        **({"change_failed": line(assessment.change_failed, 1000)} if assessment.change_failed else {}),
        "groups": [line(group) for group in assessment.groups],
        "counts": by_name(assessment.counts()),
    }


def _logical(finding: Finding, assessment: Assessment) -> dict[str, dict[str, str]]:
    """Return the host and its first offenders by their full names, without duplicates."""
    host = line(assessment.host) or "(no name)"
    locations = {host: {"name": host, "fullyQualifiedName": host, "kind": "host"}}
    for each in finding.verdict.offenders[:_OFFENDERS_SHOWN]:
        kind = line(each.kind) or "object"
        name = line(each.name) or kind
        full = f"{host}/{kind}/{name}"
        locations[full] = {"name": name, "fullyQualifiedName": full, "kind": kind}
    return locations


def _information() -> dict[str, str]:
    """Return the address of the documentation if the packager has set it (``make package``); else nothing."""
    try:
        urls = metadata("hardener").get_all("Project-URL") or ()
    except PackageNotFoundError:
        return {}
    named = dict(str(url).split(", ", 1) for url in urls)
    return {"informationUri": named["Documentation"]} if "Documentation" in named else {}


def _rule(control: Control, benchmark: str) -> dict[str, Any]:
    role = control.remediation
    by_role = f"\n\nThe role `{role.role}` does it: `{role.variable}`." if role else ""
    return {
        "id": control.slug,
        "name": control.id_in(benchmark),
        "shortDescription": {"text": _plain(control.title)},
        "fullDescription": {"text": _plain(control.rationale)},
        "help": {"text": _plain(control.fix), "markdown": f"{control.rationale}\n\n{control.fix}{by_role}"},
        "defaultConfiguration": {"level": _LEVEL[control.severity]},
        "properties": {
            "tags": ["security", benchmark, control.section],
            "precision": "very-high",
            "problem.severity": _LEVEL[control.severity].replace("note", "recommendation"),
            "security-severity": _SCORE[control.severity],
            "frameworks": mappings(control),
        },
    }
