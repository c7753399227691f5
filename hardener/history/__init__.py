"""Store every run with its findings and the facts behind them.

    history = History(default_home())
    with history.begin() as recording:
        recording.keep("db01", path)          # the host's snapshot, compressed
        store.add(assessment)                 # an AssessmentStore, in the order of the reports
        recording.finish(record, store)       # only now does the run exist
    history.run("latest").assessments()       # the newest results, one host at a time

An unfinished run leaves nothing: a killed process or a full disk costs only that run.
"""

from hardener.history.assessment_store import AssessmentStore
from hardener.history.home import default_home
from hardener.history.recording import Recording
from hardener.history.runs import DRIFT_VERBS, MovedBaseline, RunRecord, SelectedResults, StoredRun
from hardener.history.state import LatestState
from hardener.history.store import History, is_relative

__all__ = [
    "DRIFT_VERBS",
    "AssessmentStore",
    "History",
    "LatestState",
    "MovedBaseline",
    "Recording",
    "RunRecord",
    "SelectedResults",
    "StoredRun",
    "default_home",
    "is_relative",
]
