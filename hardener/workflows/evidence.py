"""Convert runs of the history to the form of an evidence bundle."""

from __future__ import annotations

from hardener.evidence import RunEvidence, Selection
from hardener.history import StoredRun


def run_evidence(run: StoredRun) -> RunEvidence:
    """Convert a stored run to the input of an evidence bundle."""
    record, decisions = run.record, run.info.decisions
    return RunEvidence(
        info=run.info,
        verb=record.verb,
        assessments=run.assessments,
        snapshots=run.snapshots,
        inventory=record.inventory_digest,
        # As they were at the time of the run.
        declared={what: text.encode() for what, text in decisions.texts.items()} if decisions else {},
        selection=Selection(limit=record.limit, level=record.level, only=record.only),
    )
