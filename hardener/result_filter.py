"""Filter the results of a run by host, group, status, severity, section and control.

Pure. A result must match every option, and one of the values of an option. A host without a chosen result is
omitted.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from hardener import catalogue
from hardener.errors import HardenerError
from hardener.model import Assessment, Control, Finding, Severity, Status
from hardener.text import first, line

_NAMED = 20

Groups = Mapping[str, Collection[str] | None]  # of each host; None where they are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFilter:
    """The results that are chosen; an empty field chooses everything.

    Args:
        hosts: globs of the names of hosts.
        groups: groups of the inventory.
        statuses: results of controls.
        severities: severities of results.
        sections: sections of the benchmark.
        controls: slugs, ids, or beginnings of ids.
    """

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()
    severities: tuple[Severity, ...] = ()
    sections: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.of_hosts or self.of_findings

    def __str__(self) -> str:
        """Return the options of this filter on one line."""
        return line(shlex.join(self._words()), 2000)

    @property
    def of_hosts(self) -> bool:
        """Return whether the filter selects hosts."""
        return bool(self.hosts or self.groups)

    @property
    def of_findings(self) -> bool:
        """Return whether the filter selects results of a host."""
        return bool(self.statuses or self.severities or self.sections or self.controls)

    def takes_host(self, host: str, groups: Collection[str] | None) -> bool:
        """Return whether a host is chosen; a host whose groups are unknown matches no group."""
        named = not self.hosts or any(fnmatchcase(host, glob) for glob in self.hosts)
        return named and (not self.groups or bool({*self.groups} & {*(groups or ())}))

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
        for glob in self.hosts:
            if not any(fnmatchcase(host, glob) for host in groups):
                raise _unknown("host", glob, "matches", groups)
        known = {name for each in groups.values() for name in each or ()}
        for group in self.groups:
            if group not in known:
                raise _unknown("host", group, "is known to be in the group", known)
        sections = {control.section for control in controls}
        for section in self.sections:
            if section not in sections:
                raise _unknown("control", section, "is in the section", sections)
        catalogue.select(controls, benchmark=benchmark, only=self.controls)

    def _chosen(self, assessment: Assessment) -> Iterator[Finding]:
        return (each for each in assessment.findings if self.takes(each, assessment.benchmark))

    def _takes_control(self, control: Control, benchmark: str) -> bool:
        if self.sections and control.section not in self.sections:
            return False
        return not self.controls or any(
            catalogue.matches(control, selector, benchmark) for selector in self.controls
        )

    def _with(self, assessment: Assessment, slugs: Collection[str]) -> Assessment:
        findings = (each for each in assessment.findings if each.control.slug in slugs)
        return replace(assessment, findings=tuple(findings))

    def _words(self) -> Iterator[str]:
        for option, values in (
            ("--host", self.hosts),
            ("--group", self.groups),
            ("--status", self.statuses),
            ("--severity", self.severities),
            ("--section", self.sections),
            ("--control", self.controls),
        ):
            for value in values:
                yield from (option, str(value))


def _unknown(what: str, value: str, relation: str, known: Iterable[str]) -> HardenerError:
    names = ", ".join(first([line(each, 60) for each in sorted(known)], _NAMED))
    return HardenerError(
        f"no {what} of the run {relation} {line(repr(value))}", hint=f"there are {names}" if names else ""
    )
