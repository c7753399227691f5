"""Export the latest state of every inventory as metrics for Prometheus."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hardener.errors import HardenerError
from hardener.history import History
from hardener.reports.metrics import RunMetrics, metrics


def metrics_of_history(home: Path) -> str:
    """Return the metrics of a history.

    Args:
        home: its folder.

    Raises:
        HardenerError: no run over all hosts and all controls is kept there.
    """
    history = History(home)
    names = sorted(each.name for each in history.inventories())
    runs = [run for name in names if (run := history.state(name)) and run.is_whole]
    if not runs:
        raise HardenerError(
            f"no run over all hosts and all controls is kept in {history.path}",
            hint="`hardener audit -i INVENTORY` makes one",
        )
    return metrics(
        RunMetrics(
            inventory=run.record.inventory,
            verb=run.record.verb,
            exit_code=run.record.exit_code,
            run=run.info,
            assessments=run.assessments(),
            seen=partial(history.last_seen, run.record.inventory),
        )
        for run in runs
    )
