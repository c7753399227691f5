"""The JUnit report, for CI systems: a suite for each host, a case for each control.

Every host has one case `connectivity` and a case for each control, reachable or not; a host that was not
changed as asked has a case `change` too, an error, and a host that was compared with the variables of its
inventory a case for each of their roles. The text of a fix is only in the first case of a file that
needs it, since a fleet would repeat it a thousand times.

There is no JUnit standard. This module follows ``junit-10.xsd`` (Jenkins xUnit), the strictest schema in use,
and the code of Jenkins, GitLab, Azure and the GitHub actions: message and text are each complete, all counts
are on the suite, and classname and name are unique and stable. A case is never a container: containers are
short-lived, and the history of their cases would be too.

This is the only module that uses junit-xml; ``_element`` corrects its output where it is invalid.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from junit_xml import TestCase, TestSuite

from hardener.comparison.previous_runs import PreviousRuns
from hardener.decisions.remarks import attestation_remark, due, in_force, remarks, waiver_remark
from hardener.model import Assessment, Finding, RoleWishes, Standing, Status, Verdict
from hardener.reports.interface import Report
from hardener.reports.lib.text import offender, share
from hardener.run import RunInfo
from hardener.text import block, first, line, utc

if TYPE_CHECKING:
    from hardener.workload.verdict import Proof

_OFFENDERS_SHOWN = 20
_EVIDENCE_SHOWN = 100
_NOT_EVALUATED = "NOT EVALUATED: host unreachable"
# GitLab refuses larger files. A part of a run is full before that: a host needs far less than what is left.
_MOST_BYTES, _MOST_ELEMENTS = 30_000_000, 250_000
_BYTES, _ELEMENTS = 20_000_000, 150_000


class JUnitReport(Report):
    """JUnit XML for CI."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._seen: Counter[str] = Counter()
        self._explained: set[str] = set()  # slugs of the controls whose fix is in the file
        self._bytes = 0
        self._elements = 0

    def begin(self) -> str:
        """Return the root element without totals, which are known last; readers take them from the suites."""
        seconds = max(0.0, (self.run.ended - self.run.started).total_seconds())
        name = quoteattr(line(f"hardener {self.run.benchmark} {self.part}".strip()))
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={name} time="{seconds:.3f}">\n'

    def host(self, assessment: Assessment) -> str:
        """Return the suite of one host."""
        slug = host_slug(assessment.host)
        self._seen[slug] += 1
        if self._seen[slug] > 1:  # a second snapshot of the same host: readers would drop its cases
            slug = f"{slug}___{self._seen[slug]}"
        suite = _suite(assessment, slug, self.run, self._explained)
        ElementTree.indent(suite, level=1)
        text = f"  {ElementTree.tostring(suite, encoding='unicode')}\n"
        self._bytes += len(text.encode())
        self._elements += sum(1 for _ in suite.iter())
        return text

    def end(self) -> Iterator[str]:
        """Return the end of the root element."""
        yield "</testsuites>\n"

    @property
    def is_full(self) -> bool:
        """Return whether the file is nearly as large as GitLab accepts."""
        return self._bytes >= _BYTES or self._elements >= _ELEMENTS

    @property
    def excess(self) -> str:
        """Return why GitLab refuses the file; empty if it does not."""
        if self._bytes > _MOST_BYTES:
            return f"{self._bytes / 1e6:.1f} MB, more than the {_MOST_BYTES / 1e6:.0f} MB that GitLab reads"
        if self._elements > _MOST_ELEMENTS:
            return f"{self._elements:,} XML elements, more than the {_MOST_ELEMENTS:,} that GitLab reads"
        return ""


def host_slug(host: str) -> str:
    """Return a host's part of a classname: without dots, stable, and unique.

    ``db01.example.com`` gives ``db01_example_com`` and ``web_1`` gives ``web__1``. Any other name gets a
    digest, because two names could become equal by the replacement.
    """
    if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", host):
        return host.replace(".", "_")
    if re.fullmatch(r"[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*", host):
        return host.replace("_", "__")
    digest = hashlib.sha256(host.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_slug(host)[:80]}___{digest}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def _suite(assessment: Assessment, slug: str, run: RunInfo, explained: set[str]) -> ElementTree.Element:
    name = line(assessment.host) or "(no name)"
    suite = TestSuite(
        name,
        list(_cases(assessment, slug, explained)),
        hostname=name,
        id=slug,
        timestamp=_timestamp(assessment, run),
        properties={
            "run_id": line(run.run_id),
            "run_started": utc(run.started),
            "run_ended": utc(run.ended),
            "benchmark": line(assessment.benchmark),
            "catalogue_digest": run.catalogue_digest,
            "hardener_version": run.tool_version,
            "ansible_version": run.ansible_version,
            **run.scope,
            **_decisions(run),
            **({"groups": line(" ".join(assessment.groups), 1000)} if assessment.groups else {}),
            **({"not_begun": line(assessment.not_begun, 1000)} if assessment.not_begun else {}),
            **({"change_failed": line(assessment.change_failed, 1000)} if assessment.change_failed else {}),
            **{f"host_{line(key)}": line(value, 1000) for key, value in sorted(assessment.facts.items())},
        },
    )
    return _element(suite)


def _element(suite: TestSuite) -> ElementTree.Element:
    element: ElementTree.Element = suite.build_xml_doc()
    del element.attrib["disabled"]  # no such attribute in the schema
    element.set("time", f"{float(element.get('time', '0')):.3f}")  # three decimals at most
    return element


def _decisions(run: RunInfo) -> dict[str, str]:
    if not run.decisions:
        return {}
    digests = {f"{what}_sha256": digest for what, digest in run.decisions.digests.items()}
    return digests | {f"due_{each.kind}_{each.decision.id}": str(each) for each in due(run.decisions)}


def _timestamp(assessment: Assessment, run: RunInfo) -> str:
    """Return UTC without an offset, the only form that all readers accept."""
    try:
        claimed = datetime.fromisoformat(assessment.collected_at)
        moment = claimed.astimezone(UTC) if claimed.tzinfo else claimed
    except (ValueError, OverflowError):  # the text of an untrusted host
        moment = run.started.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _cases(assessment: Assessment, slug: str, explained: set[str]) -> Iterator[TestCase]:
    package = f"{_slug(assessment.benchmark)}.{slug}"
    case = TestCase("connectivity", classname=f"{package}.connectivity")
    if assessment.unreachable:
        reason = f"host unreachable: {assessment.unreachable}"
        case.add_error_info(line(reason), block(reason), "hardener.unreachable")
    yield case
    if assessment.not_begun or assessment.change_failed:
        case = TestCase("change", classname=f"{package}.change")
        what, kind = ("not begun", "not_begun") if assessment.not_begun else ("failed", "change_failed")
        reason = f"change {what}: {assessment.not_begun or assessment.change_failed}"
        case.add_error_info(line(reason), block(reason), f"hardener.{kind}")
        yield case
    for wishes in assessment.wishes:
        yield _inventory_case(wishes, f"{package}.inventory")
    for finding in assessment.findings:
        control = finding.control
        name = line(f"{control.id_in(assessment.benchmark)} {control.title}")
        case = TestCase(name, classname=f"{package}.{_slug(control.section_in(assessment.benchmark))}")
        if assessment.unreachable:
            case.add_skipped_info(_NOT_EVALUATED, _NOT_EVALUATED)
        else:
            _add_result(case, finding, _fix(finding, explained))
        yield case


def _inventory_case(wishes: RoleWishes, classname: str) -> TestCase:
    case = TestCase(line(wishes.role), classname=classname)
    if wishes.unknown:
        case.add_error_info(line(wishes.unknown), block(wishes.unknown), "hardener.inventory_unknown")
    elif wishes.left:
        message = f"drifted from the inventory: {', '.join(wishes.left)}"
        case.add_failure_info(line(message), block(message), "hardener.inventory_drifted")
    elif wishes.pending:
        message = f"not applied yet: {', '.join(wishes.pending)}"
        case.add_skipped_info(line(message), block(message))
    return case


def _add_result(case: TestCase, finding: Finding, fix: Sequence[str]) -> None:
    verdict = finding.verdict
    said = remarks(finding)
    if verdict.status is Status.PASS:
        if said:
            case.stdout = _inert([f"found: {line(verdict.actual)}", *said, *_evidence(verdict)])
        return
    found = line(verdict.actual) or "no detail"  # junit-xml writes a failure without text as a pass
    text = _text(finding, fix)
    match verdict.status:
        case Status.FAIL:
            counted = share(verdict)
            message = f"expected {line(verdict.expected) or 'otherwise'}, found {found}"
            message = "; ".join([*_expired(finding), message])
            case.add_failure_info(
                line(f"{message} ({counted})" if counted else message, 600), text, "hardener.fail"
            )
        case Status.ERROR:
            case.add_error_info(found, text, "hardener.error")
        case Status.WAIVED:
            case.add_skipped_info(_waived(finding) or f"WAIVED: {found}", text)
        case Status.MANUAL:
            case.add_skipped_info(
                "; ".join([f"MANUAL: {found}", *map(attestation_remark, finding.attestations)]), text
            )
        case Status.NOT_APPLICABLE:
            case.add_skipped_info(f"NOT APPLICABLE: {found}", text)
    case.stdout = _inert(_evidence(verdict))


def _inert(lines: Sequence[str]) -> str:
    """Escape GitLab's syntax for attachments, ``[[ATTACHMENT|path]]``, in standard output."""
    return "\n".join(lines).replace("[[", "[ [")


def _waived(finding: Finding) -> str:
    """Return ``WAIVED until 2027-01-31 [W-012 by team-x]: reason``."""
    words = chain(["WAIVED"], repeat("waived"))
    said = zip(in_force(finding.waivers), words, strict=False)
    return "; ".join(waiver_remark(each, waived=word) for each, word in said)


def _expired(finding: Finding) -> Iterator[str]:
    """Return remarks on the expired waivers that would apply if they had not expired."""
    return (waiver_remark(each) for each in finding.waivers if each.standing is Standing.EXPIRED)


def _fix(finding: Finding, explained: set[str]) -> list[str]:
    """Return the fix of a finding: the full text in the first case of a file, else a reference to it."""
    control = finding.control
    if finding.status not in (Status.FAIL, Status.WAIVED, Status.MANUAL):
        return []
    if control.slug in explained:
        lines = [f"fix: `hardener controls {control.slug}`, or the first such case of this file"]
    else:
        lines = [f"fix: {block(control.fix, 2000)}"]
        explained.add(control.slug)
    if role := control.remediation:
        lines.append(f"role: {role.role} ({role.variable}), impact: {role.impact}")
    return lines


def _text(finding: Finding, fix: Sequence[str]) -> str:
    """Return the text of a case with all details: GitLab shows no message, Jenkins no property."""
    verdict = finding.verdict
    said = remarks(finding)
    # The text of a failure begins with its expired waivers; waivers of other objects come below.
    first_said = list(_expired(finding)) if verdict.status is Status.FAIL else said
    lines = [
        *first_said,
        f"expected: {line(verdict.expected, 2000)}",
        f"found:    {line(verdict.actual, 2000)}",
    ]
    if verdict.offenders:
        lines.append(f"offenders ({share(verdict) or len(verdict.offenders)}):")
        lines += (
            f"  {each}" for each in first([offender(each) for each in verdict.offenders], _OFFENDERS_SHOWN)
        )
    lines += (each for each in said if each not in first_said)
    if verdict.status is Status.MANUAL and verdict.evidence:
        lines += ("look at:", *(f"  {each}" for each in _evidence(verdict)))
    return "\n".join([*lines, *fix])


def _evidence(verdict: Verdict) -> list[str]:
    lines = [shown for each in verdict.evidence if (shown := line(each, 1000))]
    return list(first(lines, _EVIDENCE_SHOWN))


def proof_junit(proof: Proof, *, name: str, properties: dict[str, str]) -> str:
    """Return a proof as a JUnit document: cases for the profile, the exercise, and each removed part.

    A removal that broke nothing is a skipped case with a reason: it must not fail a pipeline, but it is not a
    pass either.

    Args:
        proof: the proof.
        name: of the container.
        properties: further properties, such as digests.
    """
    suite = TestSuite(
        line(name),
        list(_cases_of_proof(proof, f"workload.{host_slug(name)}")),
        id=host_slug(name),
        properties={line(key): line(value, 1000) for key, value in sorted(properties.items())},
    )
    root = ElementTree.Element("testsuites", {"name": line(f"hardener workload {name}")})
    root.append(_element(suite))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _cases_of_proof(proof: Proof, package: str) -> Iterator[TestCase]:
    exercise = TestCase("the exercise detects a profile that is too strict", classname=f"{package}.exercise")
    profile = TestCase("the container works under the profile", classname=f"{package}.profile")
    reasons = "\n".join(proof.reasons)
    unexercised = proof.verdict.value == "not exercised"
    missing = unexercised and any(each.needed is not None for each in proof.evidence)  # only some removals
    if unexercised and not missing:
        exercise.add_error_info(line(reasons), block(reasons), "hardener.not_exercised")
        profile.add_skipped_info(line(f"not exercised: {reasons}"))
    elif proof.verdict.value == "not safe":
        profile.add_failure_info(line(reasons), block(reasons), "hardener.not_safe")
    yield exercise
    yield profile
    for each in proof.evidence:
        case = TestCase(line(f"{each.removed} is needed"), classname=f"{package}.removal")
        if each.needed is None and missing:
            case.add_error_info(line(f"not tried: {each.observed}"), block(reasons), "hardener.not_tried")
        elif each.needed is None:
            case.add_skipped_info(line(f"not tried: {each.observed}"))
        elif not each.needed:
            case.add_skipped_info(line(f"not needed: {each.observed}"))
        else:
            case.stdout = block(each.observed)
        yield case
