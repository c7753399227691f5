"""Filter the results of a run by host, status, severity and control.

Pure. A result must match every option, and one of the values of an option. A host without a chosen result is
omitted.
"""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hardener import catalogue
from hardener.errors import HardenerError
from hardener.model import Assessment, Control, Finding, Severity, Status
from hardener.text import first, line

_NAMED = 20
_SIGNS = "!&"

Groups = Mapping[str, Collection[str] | None]  # of each host; None where they are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFilter:
    """The results that are chosen; an empty field chooses everything.

    Args:
        limit: names, globs and groups of hosts, separated by commas; ``!`` leaves hosts out, ``&`` takes only
            hosts that match too, as in a pattern of Ansible.
        statuses: results of controls.
        severities: severities of results.
        only: slugs, ids, beginnings of ids, sections or roles, as ``catalogue.select`` takes them.
    """

    limit: str = ""
    statuses: tuple[Status, ...] = ()
    severities: tuple[Severity, ...] = ()
    only: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limit) or self.of_findings

    def __str__(self) -> str:
        """Return the options of this filter on one line."""
        return line(shlex.join(self._words()), 2000)

    @property
    def of_findings(self) -> bool:
        """Return whether the filter selects results of a host."""
        return bool(self.statuses or self.severities or self.only)

    def names_groups(self, hosts: Collection[str]) -> bool:
        """Return whether a part of the limit names none of these hosts, so that it has to be a group."""
        return any(not fnmatch.filter(hosts, each.lstrip(_SIGNS)) for each in self._terms)

    def takes_host(self, host: str, groups: Collection[str] | None) -> bool:
        """Return whether a host is chosen; a host whose groups are unknown matches no group."""
        names = ("all", host, *(groups or ()))
        matching = {each for each in self._terms if fnmatch.filter(names, each.lstrip(_SIGNS))}
        added = [each for each in self._terms if not each.startswith(tuple(_SIGNS))]
        return (not added or not matching.isdisjoint(added)) and all(
            (each in matching) is each.startswith("&") for each in self._terms if each not in added
        )

    def takes(self, finding: Finding, benchmark: str) -> bool:
        """Return whether a result is chosen, independent of its host."""
        return (
            (not self.statuses or finding.status in self.statuses)
            and (not self.severities or finding.severity in self.severities)
            and self._takes_control(finding.control, benchmark)
        )

    def apply(self, assessment: Assessment) -> Assessment | None:
        """Return a host with its chosen results; None if there are none."""
        findings = tuple(self._chosen(assessment))
        return replace(assessment, findings=findings) if findings else None

    def apply_to_both(self, before: Assessment, after: Assessment) -> tuple[Assessment, Assessment] | None:
        """Return both assessments of a host, reduced to controls with a chosen result in at least one."""
        slugs = {finding.control.slug for side in (before, after) for finding in self._chosen(side)}
        if not slugs:
            return None
        return self._with(before, slugs), self._with(after, slugs)

    def check(self, controls: Sequence[Control], benchmark: str, groups: Groups) -> None:
        """Refuse a value that matches nothing in a run.

        Args:
            controls: those of the run.
            benchmark: the benchmark version of their ids.
            groups: the hosts of the run, with their groups if the filter is by group.

        Raises:
            HardenerError: a value matches nothing.
        """
        names = {"all", *groups, *(name for each in groups.values() for name in each or ())}
        for each in self._terms or ([self.limit] if self.limit else []):
            if not fnmatch.filter(names, each.lstrip(_SIGNS)):
                raise _unknown("host or group", each, names - {"all"})
        for each in self.only:
            if not catalogue.selects_controls(each):
                raise _unknown("control", each, {control.section for control in controls})
        catalogue.select(controls, benchmark=benchmark, only=self.only)

    def _chosen(self, assessment: Assessment) -> Iterator[Finding]:
        return (each for each in assessment.findings if self.takes(each, assessment.benchmark))

    def _takes_control(self, control: Control, benchmark: str) -> bool:
        return not self.only or any(catalogue.matches(control, each, benchmark) for each in self.only)

    @property
    def _terms(self) -> Sequence[str]:
        return [term for each in self.limit.split(",") if (term := each.strip())]

    def _with(self, assessment: Assessment, slugs: Collection[str]) -> Assessment:
        findings = (each for each in assessment.findings if each.control.slug in slugs)
        return replace(assessment, findings=tuple(findings))

    def _words(self) -> Iterator[str]:
        for option, values in (
            ("--limit", (self.limit,) if self.limit else ()),
            ("--status", self.statuses),
            ("--severity", self.severities),
            ("--only", self.only),
        ):
            for value in values:
                yield from (option, str(value))


def _unknown(what: str, value: str, known: Iterable[str]) -> HardenerError:
    names = ", ".join(first([line(each, 60) for each in sorted(known)], _NAMED))
    return HardenerError(
        f"no {what} of the run matches {line(repr(value))}", hint=f"there are {names}" if names else ""
    )
