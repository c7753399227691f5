"""What every report, the history and the evidence say about one run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hardener.model import Decisions


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Identify a run: which version judged by which benchmark, when, with which decisions."""

    run_id: str
    tool_version: str
    benchmark: str
    catalogue_digest: str
    ansible_version: str  # "" where Ansible had no part in it (stored snapshots)
    started: datetime  # both moments with their time zone
    ended: datetime
    decisions: Decisions | None = None  # that were applied; None where nobody gave any
