"""Group findings by the requirements of a framework that their controls serve.

If a control fails, its requirement is not met; if all controls pass, the requirement is not necessarily met,
since it covers more. The view names the source of each mapping.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hardener.catalogue.words import FRAMEWORKS
from hardener.model import Assessment, Status


@dataclass(slots=True)
class Requirement:
    """A requirement of a framework: its findings by status, and its controls with their mapping source."""

    framework: str
    id: str
    counts: Counter[Status] = field(default_factory=Counter)
    controls: dict[str, str] = field(default_factory=dict)  # slug -> source of its mapping

    @property
    def open(self) -> bool:
        """Return whether one of the requirement's controls fails on some host."""
        return self.counts[Status.FAIL] > 0

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the sources of the mappings, without duplicates."""
        return tuple(sorted(set(self.controls.values())))


class FrameworkView:
    """The findings, counted by requirement."""

    def __init__(self) -> None:
        self._requirements: dict[tuple[str, str], Requirement] = {}

    def add(self, assessment: Assessment) -> None:
        """Count one host."""
        for finding in assessment.findings:
            for mapping in finding.control.mappings:
                for identifier in mapping.requirements:
                    key = (mapping.framework, identifier)
                    requirement = self._requirements.setdefault(key, Requirement(*key))
                    requirement.counts[finding.status] += 1
                    requirement.controls[finding.control.slug] = mapping.source

    def by_framework(self) -> Iterator[tuple[str, list[Requirement]]]:
        """Return the frameworks in the catalogue's order, their requirements in the order of their ids."""
        for framework in FRAMEWORKS:
            found = [each for each in self._requirements.values() if each.framework == framework]
            if found:
                yield framework, sorted(found, key=lambda each: natural(each.id))


def natural(identifier: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``4.2`` before ``4.10`` and ``AC-6`` before ``AC-6(5)``."""
    parts = re.findall(r"\d+|\D+", identifier)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
