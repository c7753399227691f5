from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.contract import NO_HEALTH_CHECK
from rich.console import Console

from hardener.terminal.proof import screen
from hardener.workload.observation import observation
from hardener.workload.profile_document import load
from hardener.workload.proof import NAME, ProofDocument
from tests.unit.workload.observations import REFUSED, answer
from tests.unit.workload.proofs import proven_files

LISTS = ("Worked under the profile", "Not exercised", "Taken away")


def shown(
    folder: Path, *, identities: object = None, phases: object = None, ports: object = None, **refused: object
) -> str:
    """The screen of a proof under whose profile one more call was refused."""
    proof = ProofDocument.model_validate_json(proven_files(folder)[NAME])
    told = answer(refusals=[REFUSED, {**REFUSED, **refused}])
    told["identities"] = identities or told["identities"]
    told["phases"], told["ports"] = phases or told["phases"], ports or told["ports"]
    seen = observation("host", told, machine="x86_64", exercise=None)
    trials = tuple(
        trial.model_copy(update={"observation": seen}) if trial.kind == "profile" else trial
        for trial in proof.trials
    )
    return printed(proof.model_copy(update={"trials": trials}), folder)


def printed(proof: ProofDocument, folder: Path) -> str:
    """The screen of a proof of the profile in a folder."""
    output = io.StringIO()
    for part in screen(proof, load(folder), folder / NAME):
        Console(file=output, width=300).print(part)
    return output.getvalue()


@pytest.mark.parametrize(
    ("refused", "advised"),
    [
        ({"number": 52, "by_filter": True}, True),
        ({"number": 52, "by_filter": True, "error": 38}, False),  # programs then use another call
        ({"number": 52, "by_filter": False}, False),
        ({}, False),
    ],
)
def test_another_recording_is_advised_after_a_refused_call_that_no_recording_has(
    tmp_path: Path, refused: dict[str, object], advised: bool
) -> None:
    assert ("record the container again" in shown(tmp_path, **refused)) is advised


@pytest.mark.parametrize(("needed", "advised"), [(False, True), (True, False), (None, False)])
def test_the_option_from_proof_is_advised_for_a_capability_that_is_not_needed(
    tmp_path: Path, needed: bool | None, advised: bool
) -> None:
    proof = ProofDocument.model_validate_json(proven_files(tmp_path)[NAME])
    (first, *_) = (each for each in proof.evidence if each.removed.startswith("capability "))
    changed = proof.model_copy(update={"evidence": (first.model_copy(update={"needed": needed}),)})
    assert ("--from-proof" in printed(changed, tmp_path)) is advised


@pytest.mark.parametrize(
    ("label", "named"), [("hardener-web (enforce)", True), ("docker-default (enforce)", False)]
)
def test_the_apparmor_profile_of_the_trial_is_named(tmp_path: Path, label: str, named: bool) -> None:
    identities = [{**each, "lsm": label} for each in answer()["identities"]]
    found = shown(tmp_path, identities=identities)
    assert ("under the profile, confined by the AppArmor profile hardener-web " in found) is named


def test_jobs_of_a_scheduler_are_named_as_not_exercised(tmp_path: Path) -> None:
    (identity, *_) = answer()["identities"]
    found = shown(tmp_path, identities=[{**identity, "program": "cron"}])
    assert "web: safe (not exercised: jobs of cron)" in found
    assert "jobs of cron: an exercise that waits" in found
    assert "jobs of" not in shown(tmp_path)


def test_what_worked_what_was_not_exercised_and_what_was_taken_away_are_listed(tmp_path: Path) -> None:
    port = {"protocol": "tcp", "port": 443, "published": False, "reached": False}
    reload = {"name": "reload", "exercised": False, "reason": "no handler of SIGHUP", "seconds": 0.0}
    check = {"name": "health-check", "exercised": False, "reason": NO_HEALTH_CHECK, "seconds": 0.0}
    phases = [*answer()["phases"], check, reload]
    found = [line.strip() for line in shown(tmp_path, phases=phases, ports=[port]).splitlines()]
    assert found[0] == "web: safe (not exercised: reload, port 443/tcp)"
    lists = {title: found.index(title) for title in LISTS}
    assert list(lists.values()) == sorted(lists.values())
    text = "\n".join(found)
    assert "the exercise passed" in text
    assert "reload: no handler of SIGHUP\nno exercise connected to the exposed port 443/tcp" in text
    assert re.search(
        "\\n12 of 14 capabilities: AUDIT_WRITE .*SETGID .*\\n[0-9]+ of the 360 system calls", text
    )
    assert "\nwriting to its root file system, except in /run\ngaining privileges by a program" in text
    assert "\nconnecting to other programs (connect)\n" in text
    assert "\nchanging its groups, as logins and scheduled jobs do (SETGID)\n" in text
