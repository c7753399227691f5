"""Move a baseline along with what hardener itself has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from hardener.history.runs import StoredRun
from hardener.model import Assessment

_CHANGING = ("harden", "provision")


class MovedBaseline(StoredRun):
    """A baseline, with the results that later runs of harden and provision have changed on its hosts.

    Args:
        run: the baseline.
        later: the later runs over its inventory, oldest first.
    """

    def __init__(self, run: StoredRun, later: Sequence[StoredRun]) -> None:
        self.__dict__.update(run.__dict__)
        self.moved_by = list(_changes(later))

    def assessment(self, host: str) -> Assessment | None:
        """Return the assessment of one host; None where the host was not part of the run."""
        found = super().assessment(host)
        return found and self.moved(found)

    def assessments(self) -> Iterator[Assessment]:
        """Yield the assessments host by host in the order of the reports."""
        yield from map(self.moved, super().assessments())

    def moved(self, assessment: Assessment) -> Assessment:
        """Return an assessment with the results that hardener has changed since."""
        found = {each.control.slug: each for each in assessment.findings}
        for pair in self.moved_by:
            earlier, later = (run.assessment(assessment.host) for run in pair)
            if earlier and later and not (earlier.unreachable or later.unreachable):
                known = {each.control.slug: each.verdict for each in earlier.findings}
                changed = (each for each in later.findings if known.get(each.control.slug) != each.verdict)
                found |= {each.control.slug: each for each in changed if each.control.slug in found}
        return replace(assessment, findings=tuple(found.values()))


def _changes(runs: Sequence[StoredRun]) -> Iterator[tuple[StoredRun, StoredRun]]:
    """Yield the audits before and after each change, oldest first; an interrupted change has only one."""
    for before, after in pairwise(runs):
        if after.record.verb in _CHANGING and before.record.verb == f"before {after.record.verb}":
            yield before, after
