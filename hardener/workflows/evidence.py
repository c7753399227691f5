"""Convert runs of the history to the form of an evidence bundle."""

from __future__ import annotations

from hardener.evidence import RunEvidence, Selection
from hardener.history import StoredRun
from hardener.run import RunInfo


def run_evidence(run: StoredRun) -> RunEvidence:
    """Convert a stored run to the input of an evidence bundle."""
    record = run.record
    return RunEvidence(
        info=run.info,
        verb=record.verb,
        assessments=run.assessments,
        snapshots=run.snapshots,
        inventory=record.inventory_digest,
        declared=_declared(run.info),
        selection=Selection(limit=record.limit, level=record.level, only=record.only),
    )


def _declared(info: RunInfo) -> dict[str, bytes]:
    """Return the files that people wrote exactly as they were at the time of the run."""
    return {what: text.encode() for what, text in (info.decisions.texts if info.decisions else {}).items()}
