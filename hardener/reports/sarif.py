"""The SARIF 2.1.0 report, for code scanning: one result for each failing or waived control of a host.

Code scanning needs a location in a repository: the defaults of the role that remediates the control, or the
control's page. The host and its offenders are logical locations. A waived control is a suppressed result. A
control that could not be evaluated is a notification, so that it is not read as a pass.

Readers keep one alert for each fingerprint, which is made of host and control, never of the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hardener.comparison.previous_runs import PreviousRuns
from hardener.decisions.remarks import due, in_force, remarks, waiver_remark
from hardener.model import Assessment, Control, Finding, Severity, Status
from hardener.reports.interface import Report
from hardener.reports.lib.identity import HostKeys, identifier
from hardener.reports.lib.serial import compact, mappings
from hardener.reports.lib.text import share
from hardener.run import RunInfo
from hardener.summary import Summary
from hardener.text import line, scalar, utc

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_OFFENDERS_SHOWN = 20
_LEVEL = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
_SCORE = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0"}


class SarifReport(Report):
    """SARIF for code scanning."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._summary = Summary()
        self._hosts = HostKeys()
        self._rules: dict[str, Control] = {}
        self._results = 0

    def begin(self) -> str:
        """Return the run and the start of its results; rules and totals are known last."""
        return f'{{"$schema":{compact(_SCHEMA)},"version":"2.1.0","runs":[{{"results":['

    def host(self, assessment: Assessment) -> str:
        """Return the results of one host."""
        self._summary.add(assessment)
        key = self._hosts.key(assessment.host)
        for finding in assessment.findings:
            self._rules.setdefault(finding.control.slug, finding.control)
        places = {slug: index for index, slug in enumerate(self._rules)}
        text = ""
        for finding in assessment.findings:
            if finding.status in (Status.FAIL, Status.WAIVED):
                result = self._result(finding, assessment, key, places[finding.control.slug])
                text += f"{',' if self._results else ''}\n{compact(result)}"
                self._results += 1
        return text

    def end(self) -> Iterator[str]:
        """Return the tool, its rules, and the status of the run."""
        driver = {
            "name": "hardener",
            "version": self.run.tool_version,
            "rules": [_rule(control, self.run.benchmark) for control in self._rules.values()],
        }
        rest = {
            "tool": {"driver": driver},
            "automationDetails": {
                "id": f"hardener/{self.run.benchmark}/{scalar(self.run.run_id)}",
                "guid": identifier("run", self.run.run_id),
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
                "counts": {status.value: self._summary.counts[status] for status in Status},
                "catalogueDigest": self.run.catalogue_digest,
                "ansibleVersion": self.run.ansible_version,
            },
        }
        yield f"\n],{compact(rest)[1:]}]}}\n"

    def _result(
        self, finding: Finding, assessment: Assessment, key: tuple[str, ...], rule: int
    ) -> dict[str, Any]:
        control, verdict = finding.control, finding.verdict
        counted = share(verdict)
        message = f"{line(assessment.host)}: expected {line(verdict.expected)}, found {line(verdict.actual)}"
        message = f"{message} ({counted})" if counted else message
        return {
            "ruleId": control.slug,
            "ruleIndex": rule,
            "kind": "fail",
            "level": _LEVEL[finding.severity],
            "message": {"text": _plain("; ".join([message, *remarks(finding)]))},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(control)},
                        "region": {"startLine": 1},
                    },
                    "logicalLocations": list(_logical(finding, assessment).values()),
                }
            ],
            "guid": identifier("sarif", self.run.run_id, *key, control.slug),
            "partialFingerprints": {"hardener/v1": identifier("finding", *key, control.slug)},
            # SARIF requires it on all results or on none.
            "suppressions": list(_suppressions(finding)),
        }

    def _notifications(self) -> Iterator[dict[str, Any]]:
        for host, reason in self._summary.unreachable:
            yield {
                "level": "error",
                "descriptor": {"id": "host-unreachable"},
                "message": {"text": _plain(f"{host} was not evaluated: {reason}")},
            }
        for cases in self._summary.cases(Status.ERROR):
            host, verdict = cases.examples[0]
            where = f"on {cases.hosts} hosts, {line(host)} first" if cases.hosts > 1 else f"on {line(host)}"
            yield {
                "level": "error",
                "descriptor": {"id": "control-not-evaluated"},
                "associatedRule": {"id": cases.control.slug},
                "message": {"text": _plain(f"{cases.id} not evaluated {where}: {line(verdict.actual)}")},
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
                    "text": _plain(
                        f"{cases.id} passes {where} on a person's word: {'; '.join(cases.remarks)}"
                    )
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
    """Escape SARIF's syntax for links and placeholders in plain text: ``[text](target)`` and ``{0}``."""
    for special in ("\\", "[", "]"):
        text = text.replace(special, f"\\{special}")
    return text.replace("{", "{{").replace("}", "}}")


def _uri(control: Control) -> str:
    role = control.remediation
    return f"roles/{role.role}/defaults/main.yml" if role else f"docs/controls/{control.slug}.md"


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
