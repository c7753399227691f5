"""Proofs of the profile of profiles.py without an engine: the observations are made up, and judged."""

from __future__ import annotations

import json
from pathlib import Path

from hardener.workload import proof as proofs
from hardener.workload.exercise import Exercise
from hardener.workload.observation import Observation, observation
from hardener.workload.profile_document import load
from hardener.workload.proven import read_folder
from hardener.workload.trials import Trial, plan
from hardener.workload.verdict import judge
from tests.unit.workload.observations import answer
from tests.unit.workload.profiles import write


def proven_files(folder: Path, *, ended: str = "2026-11-27T10:05:00Z") -> dict[str, bytes]:
    """The files of a profile that was proven safe; they are written into a folder, too."""
    write(folder)
    return proven(folder, ended=ended)


def proven(folder: Path, *, ended: str = "2026-11-27T10:05:00Z") -> dict[str, bytes]:
    """The files of the profile of a folder, with a proof that it is safe."""
    document = load(folder)
    trials = plan(document, seccomp=json.loads((folder / "seccomp.json").read_text()))
    observations = {trial.key: observed(trial) for trial in trials}
    found = proofs.proof_document(
        judge(trials, observations),
        folder=folder,
        name=document.name,
        began="2026-11-27T10:00:00Z",
        ended=ended,
        host=document.host,
        container=document.container,
        run_in=False,
        trials=trials,
        observations=observations,
        missing=(),
    )
    assert found.verdict == "safe"
    (folder / proofs.NAME).write_text(proofs.text(found))
    return read_folder(folder)


def observed(trial: Trial) -> Observation:
    """What a host tells of a trial: those that are too tight, or lack a capability, fail."""
    fails = trial.kind == "control" or trial.key.startswith("capability")
    serve = {
        "name": "serve",
        "exercised": not fails,
        "reason": "the command ended with code 7",
        "seconds": 0.1,
    }
    changes = {"phases": [serve]} if fails else {}
    return observation(
        "host",
        answer(starts=trial.starts, attempts=trial.starts, **changes),
        machine="x86_64",
        exercise=Exercise(0.1, "the command ended with code 7" if fails else ""),
        control=trial.kind == "control",
    )
