"""Runs to put into a history."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hardener.history import AssessmentStore, History, RunRecord, StoredRun
from hardener.model import Assessment
from hardener.run import RunInfo
from tests.unit.reports.assessments import BENCHMARK, assessment

NOW = datetime.now(UTC)
_NUMBERS = itertools.count()


def record(run_id: str = "", *, ended: datetime = NOW, verb: str = "audit") -> RunRecord:
    info = RunInfo(
        run_id=run_id or f"run-{next(_NUMBERS):04}",
        tool_version="0.1.0",
        benchmark=BENCHMARK,
        catalogue_digest="c0ffee" * 10 + "c0ff",
        ansible_version="2.19.14",
        started=ended - timedelta(seconds=2.25),
        ended=ended,
    )
    return RunRecord(
        info=info, verb=verb, exit_code=3, inventory="prod.yml", inventory_digest="ab" * 32, only=("daemon",)
    )


def stored(assessments: Iterable[Assessment]) -> AssessmentStore:
    """A store of these assessments."""
    store = AssessmentStore()
    for each in assessments:
        store.add(each)
    return store


def put(
    history: History,
    run_id: str = "",
    assessments: Iterable[Assessment] = (assessment(),),
    *,
    ended: datetime = NOW,
    snapshots: dict[str, Path] | None = None,
    **changes: Any,
) -> StoredRun:
    """Record a run, with changes of its record, and read it back."""
    kept = replace(record(run_id, ended=ended), **changes)
    with history.begin() as recording:
        for host, path in (snapshots or {}).items():
            recording.keep(host, path)
        recording.finish(kept, stored(assessments))
    return history.run(kept.info.run_id)
