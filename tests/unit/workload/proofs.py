"""Proofs of the profile of profiles.py without an engine: the observations are made up, and judged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardener import __version__
from hardener.workload import proof as proofs
from hardener.workload.exercise import Exercise
from hardener.workload.observation import Observation, observation
from hardener.workload.profile_document import NAME, Document, digest, load
from hardener.workload.proof import ProofDocument, trial_parts
from hardener.workload.proven import read_folder
from hardener.workload.trials import Trial, plan
from hardener.workload.verdict import judge
from tests.unit.workload.observations import answer
from tests.unit.workload.profiles import write


def proven_files(folder: Path, *, ended: str = "2026-11-27T10:05:00Z") -> dict[str, bytes]:
    """The files of a profile that was proven safe; they are written into a folder, too."""
    write(folder)
    return proven(folder, ended=ended)


def proven(
    folder: Path,
    *,
    ended: str = "2026-11-27T10:05:00Z",
    fails: frozenset[str] = frozenset(),
    passes: frozenset[str] = frozenset(),
) -> dict[str, bytes]:
    """The files of the profile of a folder, with a proof.

    It is safe unless a trial fails, or one passes that has to fail; a trial without a capability may pass.
    """
    document = load(folder)
    trials = plan(document, seccomp=json.loads((folder / "seccomp.json").read_text()))
    observations = {trial.key: observed(trial, fails=fails, passes=passes) for trial in trials}
    found = proof_of(trials, observations, document, folder=folder, ended=ended)
    wrong = fails or {key for key in passes if not key.startswith("capability ")}
    assert (found.verdict == "safe") is not bool(wrong)
    (folder / proofs.NAME).write_text(proofs.text(found))
    return read_folder(folder)


def proof_of(
    trials: Sequence[Trial],
    observations: Mapping[str, Observation],
    document: Document,
    *,
    folder: Path,
    ended: str,
    **tried: Any,
) -> ProofDocument:
    """The document of a proof of the profile in a folder."""
    judged = judge(trials, observations)
    fields: dict[str, Any] = {"host": document.host, "container": document.container, "missing": ()}
    return ProofDocument(
        hardener=__version__,
        profile=digest((folder / NAME).read_bytes()),
        name=document.name,
        began="2026-11-27T10:00:00Z",
        ended=ended,
        exercise="command",
        verdict=judged.verdict.value,
        reasons=judged.reasons,
        evidence=judged.evidence,
        refusals=judged.refusals,
        trials=trial_parts(trials, observations),
        **(fields | tried),
    )


def observed(
    trial: Trial, *, fails: frozenset[str] = frozenset(), passes: frozenset[str] = frozenset()
) -> Observation:
    """What a host tells of a trial: those that are too tight, or lack a capability, fail."""
    failing = trial.kind == "control" or trial.key.startswith("capability") or trial.key in fails
    failing &= trial.key not in passes
    serve = {
        "name": "serve",
        "exercised": not failing,
        "reason": "the command ended with code 7",
        "seconds": 0.1,
    }
    changes = {"phases": [serve]} if failing else {}
    return observation(
        "host",
        answer(starts=trial.starts, attempts=trial.starts, **changes),
        machine="x86_64",
        exercise=Exercise(0.1, "the command ended with code 7" if failing else ""),
        control=trial.kind == "control",
    )
