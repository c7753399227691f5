"""The OSCAL report (assessment results 1.2.1), for governance tools: one result, every control on every host.

An observation is a control on a host, a finding is a control over all hosts, and an inventory item is a host
of the population, reachable or not. A control is satisfied if every host passes or it does not apply; a
waived host does not satisfy it, and a risk records the approved deviation. Observations are written as hosts
arrive; for the findings one byte is kept for each control and host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from hardener import catalogue
from hardener.comparison.previous_runs import PreviousRuns
from hardener.decisions.remarks import in_force, remarks
from hardener.model import Assessment, Control, Finding, Status, Waiver
from hardener.reports.interface import Report
from hardener.reports.lib.identity import HostKeys, identifier
from hardener.reports.lib.serial import compact
from hardener.reports.lib.text import code, offender
from hardener.run import RunInfo
from hardener.text import first, line, utc

_VERSION = "1.2.1"
_NAMESPACE = "urn:hardener:oscal"
_OFFENDERS_SHOWN = 20
_EVIDENCE_SHOWN = 5
_STATUSES = tuple(Status)
_SATISFIED = (Status.PASS, Status.NOT_APPLICABLE)
_METHOD = {Status.MANUAL: "EXAMINE", Status.ERROR: "UNKNOWN"}  # any other: TEST


class OscalReport(Report):
    """OSCAL assessment results for governance tools."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._keys = HostKeys()
        self._hosts: list[tuple[str, ...]] = []
        self._items: list[dict[str, Any]] = []
        self._controls: dict[str, Control] = {}
        self._statuses: dict[str, bytearray] = {}  # one byte for each host, in the order of the hosts
        self._waivers: dict[str, dict[str, Waiver]] = {}  # waivers in force, by control and id
        self._started = False

    def begin(self) -> str:
        """Return the tool, the scope and the plan, and the start of the result."""
        head = {
            "uuid": self._id("document"),
            "metadata": {
                "title": f"Assessment by {self.run.benchmark}",
                "last-modified": utc(self.run.ended),
                "version": line(self.run.run_id) or "1",
                "oscal-version": _VERSION,
                "props": list(
                    _properties(
                        {
                            "tool-version": self.run.tool_version,
                            "ansible-version": self.run.ansible_version,
                            "catalogue-digest": self.run.catalogue_digest,
                            "benchmark": self.run.benchmark,
                            **self.run.scope,
                        }
                    )
                ),
            },
            "import-ap": {"href": f"#{self._id('plan')}"},
        }
        hosts = "chosen hosts" if self.run.filtered else "every host"
        result = {
            "uuid": self._id("result"),
            "title": f"{self.run.benchmark} on {hosts} of the run",
            "description": "Facts collected on each host by hardener, and every control decided from them.",
            "start": utc(self.run.started),
            "end": utc(self.run.ended),
        }
        return f'{{"assessment-results":{compact(head)[:-1]},"results":[{compact(result)[:-1]}'

    def host(self, assessment: Assessment) -> str:
        """Return the observations on one host."""
        key = self._keys.key(assessment.host)
        self._items.append(self._item(assessment, key))
        for finding in assessment.findings:
            slug = finding.control.slug
            self._controls.setdefault(slug, finding.control)
            # An observation needs a fact: without one the host was not judged by this control.
            known = self._statuses.setdefault(slug, bytearray(len(self._hosts)))
            known.append(1 + _STATUSES.index(finding.status))
            if finding.status is Status.WAIVED:
                for each in in_force(finding.waivers):
                    self._waivers.setdefault(slug, {})[each.waiver.id] = each.waiver
        self._hosts.append(key)
        for known in self._statuses.values():
            known.extend(bytes(len(self._hosts) - len(known)))
        text = ""
        for finding in assessment.findings:
            text += "," if self._started else ',"observations":['
            text += f"\n{compact(self._observation(finding, assessment, key))}"
            self._started = True
        return text

    def end(self) -> Iterator[str]:
        """Return risks and findings by control, the population, and the assessment plan."""
        benchmark = self.run.benchmark  # of a part of a run, the first host does not have all controls
        by_id = sorted(self._controls.items(), key=lambda each: catalogue.order(each[1].id_in(benchmark)))
        self._controls = dict(by_id)
        if self._started:
            yield "\n]"
        yield from self._array("risks", self._risks())
        yield from self._array("findings", (self._finding(each) for each in self._controls.values()))
        if self._items:
            yield f',"local-definitions":{{"inventory-items":{compact(self._items)}}}'
        controls = [{"control-id": slug} for slug in self._controls]
        selection: dict[str, Any] = {"include-controls": controls} if controls else {"include-all": {}}
        yield f',"reviewed-controls":{compact({"control-selections": [selection]})}}}]'
        plan = {
            "uuid": self._id("plan"),
            "title": f"Every control of {self.run.benchmark}, as the catalogue of hardener describes it",
            "description": f"Catalogue with the SHA-256 digest {self.run.catalogue_digest}.",
        }
        yield f',"back-matter":{compact({"resources": [plan]})}}}}}\n'

    def _array(self, name: str, items: Iterable[dict[str, Any]]) -> Iterator[str]:
        """Yield an array, one item per line; yield nothing without items, since OSCAL has no empty arrays."""
        opened = False
        for item in items:
            yield f"{',' if opened else f',{compact(name)}:['}\n{compact(item)}"
            opened = True
        if opened:
            yield "\n]"

    def _id(self, kind: str, *names: str) -> str:
        return identifier(f"oscal-{kind}", self.run.run_id, *names)

    def _item(self, assessment: Assessment, key: tuple[str, ...]) -> dict[str, Any]:
        facts = {
            "host-name": assessment.host,
            "collected-at": assessment.collected_at,
            "unreachable": assessment.unreachable,
            "not-begun": assessment.not_begun,
            "change-failed": assessment.change_failed,
            **{f"fact-{name}": assessment.facts.get(name, "") for name in ("os", "kernel", "docker")},
        }
        return {
            "uuid": identifier("host", *key),
            "description": code(assessment.host),
            "props": [
                *_properties({"asset-type": "operating-system"}, namespace=""),
                *_properties(facts),
                *(each for group in assessment.groups for each in _properties({"group": group})),
            ],
        }

    def _observation(self, finding: Finding, assessment: Assessment, key: tuple[str, ...]) -> dict[str, Any]:
        control, verdict = finding.control, finding.verdict
        evidence = [
            *first([f"offends: {code(offender(each))}" for each in verdict.offenders], _OFFENDERS_SHOWN),
            *first([code(each, 1000) for each in verdict.evidence], _EVIDENCE_SHOWN),
        ]
        observation: dict[str, Any] = {
            "uuid": self._id("observation", *key, control.slug),
            "description": f"Expected {code(verdict.expected)}, found {code(verdict.actual, 1000)}.",
            "props": list(_decided(finding)),
            "methods": ["EXAMINE" if finding.attested else _METHOD.get(finding.status, "TEST")],
            "types": ["finding"],
            "subjects": [{"subject-uuid": identifier("host", *key), "type": "inventory-item"}],
            "collected": _moment(assessment.collected_at, self.run.ended),
        }
        if evidence:
            observation["relevant-evidence"] = [{"description": each} for each in evidence]
        if said := remarks(finding):
            observation["remarks"] = "\n\n".join(code(each, 1000) for each in said)
        return observation

    def _observations(self, slug: str, statuses: Iterable[Status]) -> list[dict[str, str]]:
        wanted = {1 + _STATUSES.index(status) for status in statuses}
        return [
            {"observation-uuid": self._id("observation", *key, slug)}
            for key, known in zip(self._hosts, self._statuses[slug], strict=True)
            if known in wanted
        ]

    def _risks(self) -> Iterator[dict[str, Any]]:
        for control in self._controls.values():
            if waived := self._observations(control.slug, [Status.WAIVED]):
                waivers = self._waivers.get(control.slug, {}).values()
                ends = [each.expires for each in waivers]
                yield {
                    "uuid": self._id("risk", control.slug),
                    "title": control.title,
                    "description": f"The control fails and is waived on {len(waived)} hosts.",
                    "statement": control.rationale,
                    "status": "deviation-approved",
                    **({"deadline": _last_second(min(ends))} if ends else {}),
                    **({"risk-log": {"entries": [self._entry(each) for each in waivers]}} if ends else {}),
                    "related-observations": waived,
                }

    def _entry(self, waiver: Waiver) -> dict[str, Any]:
        """Return the log entry of a deviation: who approved it, when and why."""
        said = {
            "reason": waiver.reason,
            "compensating-control": waiver.compensating_control,
            "owner": waiver.owner,
            "approved-by": waiver.approved_by,
            "ticket": waiver.ticket,
        }
        return {
            "uuid": self._id("waiver", waiver.control, waiver.id),
            "title": f"Waiver {waiver.id}",
            "description": code(waiver.reason, 2000),
            "start": f"{waiver.created}T00:00:00Z",
            "end": _last_second(waiver.expires),
            "props": list(_properties({"waiver": waiver.id, **said})),
            "status-change": "deviation-approved",
        }

    def _finding(self, control: Control) -> dict[str, Any]:
        found = {_STATUSES[each - 1] for each in self._statuses[control.slug] if each}
        open_ = found.difference(_SATISFIED)
        reason = "fail" if {Status.FAIL, Status.WAIVED} & open_ else "other" if open_ else "pass"
        finding: dict[str, Any] = {
            "uuid": self._id("finding", control.slug),
            "title": f"{control.id_in(self.run.benchmark)} {control.title}",
            "description": control.rationale,
            "props": [
                *_properties({"severity": control.severity.value}),
                *(
                    {
                        "name": mapping.framework,
                        "ns": _NAMESPACE,
                        "value": requirement,
                        "class": mapping.source,
                    }
                    for mapping in control.mappings
                    for requirement in mapping.requirements
                ),
            ],
            "target": {
                "type": "objective-id",
                "target-id": control.slug,
                "status": {"state": "not-satisfied" if open_ else "satisfied", "reason": reason},
            },
            "related-observations": self._observations(control.slug, _STATUSES),
        }
        if Status.WAIVED in found:
            finding["related-risks"] = [{"risk-uuid": self._id("risk", control.slug)}]
        return finding


def _decided(finding: Finding) -> Iterator[dict[str, str]]:
    """Return control, status and decisions of an observation, as properties."""
    yield from _properties({"control": finding.control.slug, "status": finding.status.value})
    for waiver in finding.waivers:
        yield from _properties({f"waiver-{waiver.standing.replace('_', '-')}": waiver.waiver.id})
    for said in finding.attestations:
        yield from _properties({f"attestation-{said.standing.replace('_', '-')}": said.attestation.id})


def _last_second(day: date) -> str:
    return f"{day}T23:59:59Z"


def _properties(values: Mapping[str, str], *, namespace: str = _NAMESPACE) -> Iterator[dict[str, str]]:
    """Return properties, without those that have no value, since OSCAL has no empty strings."""
    for name, value in values.items():
        if shown := line(value, 1000):
            yield {"name": name, **({"ns": namespace} if namespace else {}), "value": shown}


def _moment(claimed: str, otherwise: datetime) -> str:
    """Return the host's time of collection; without a valid time the end of the run."""
    try:
        moment = datetime.fromisoformat(claimed)
        return utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return utc(otherwise)
