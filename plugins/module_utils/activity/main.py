"""Collect for a limited time: the entry point of the action."""

from __future__ import annotations

import os
import time
from typing import Any, Callable

from ..host import limits
from ..host.audit import kernel_status
from ..host.layout import ACTIVITY
from . import VERSION, record
from .tally import Baseline, Tally
from .watch import READY, STEP, Watch, summary

_BEAT = 5.0
_MAX_TOLD = 500  # entries; each is 3 KB at most


def listen(arguments: dict[str, Any], clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Collect for ``seconds``, and return the result together with the resident collector's record.

    Writes nothing. Ends at once when the connection to the controller is gone. ``arguments``: ``seconds``,
    ``socket`` (of the engine), ``folder`` (of the record), ``limit`` (seconds after which this process ends,
    which also bounds its memory). ``clock`` tells the time that has passed, in seconds.
    """
    if arguments.get("limit"):
        limits.hold(int(arguments["limit"]))
    past, problem = record.read(arguments.get("folder") or ACTIVITY)
    problem = problem or record.silence(past)
    baseline = Baseline(past["learning"], past["baseline"]) if past else None
    began, lost_before = time.time(), _kernel_lost()
    tally = Tally()
    watch = Watch(str(arguments["socket"]), tally, baseline)
    watch.engine.ready.wait(READY)
    end, beat = clock() + float(arguments["seconds"]), 0.0
    while True:
        now = clock()
        if now >= end:
            break
        if now >= beat:
            _end_without_reader()
            beat = now + _BEAT
        watch.step(min(STEP, end - now))
    watch.finish()
    lost_after = _kernel_lost()
    told = summary(watch, began)
    known = lost_before is not None and lost_after is not None
    told["lost"]["kernel"] = (lost_after or 0) - (lost_before or 0) if known else None
    if past:
        past = _bounded({key: value for key, value in past.items() if key != "baseline"})
    told = _bounded({**told, "entries": tally.data(baseline)})
    return {"version": VERSION, **told, "record": past, "record_problem": problem}


def _bounded(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with its most severe entries only, and the number of omitted entries."""
    entries, lost = answer["entries"], answer["lost"]
    if len(entries) <= _MAX_TOLD:
        return answer
    return {**answer, "entries": entries[:_MAX_TOLD], "lost": {**lost, "not_told": len(entries) - _MAX_TOLD}}


def _end_without_reader() -> None:
    """Write an empty line before the answer, so that this process ends if its output is closed."""
    try:
        os.write(1, b"\n")
    except OSError:
        os._exit(1)


def _kernel_lost() -> int | None:
    try:
        return kernel_status()["lost"]
    except OSError:
        return None
