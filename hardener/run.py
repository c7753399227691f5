"""Metadata of one run, for reports, the history and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hardener.model import Decisions


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Identify a run: version, benchmark, start and end, applied waivers and attestations."""

    run_id: str
    tool_version: str
    benchmark: str
    catalogue_digest: str
    ansible_version: str  # empty where Ansible was not used (stored snapshots)
    started: datetime  # both with a time zone
    ended: datetime
    decisions: Decisions | None = None  # the waivers and attestations that were applied; None without any
    inventory: str = ""  # as the user gave it; empty for stored snapshots, and in evidence
    filtered: str = ""  # the options by which results were chosen; empty where a report has the whole run
    runs: str = ""  # those that found the results, with their ages; empty where it was one
    # Line and column of objects in the inventory, by name: of containers in a compose file.
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole_hosts: bool = True  # every result of each host is in it, so that a percentage means compliance

    @property
    def scope(self) -> dict[str, str]:
        """Return the properties that a report of anything else than one whole run has."""
        return {name: text for name, text in (("filter", self.filtered), ("runs", self.runs)) if text}
