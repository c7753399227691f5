"""What a host tells of a trial is read as it was meant, or refused: the host may be taken over."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.workload.exercise import Exercise
from hardener.workload.observation import Observation, Refusal, observation
from tests.unit.workload.observations import IDENTITY, REFUSED, answer


def seen(
    problem: str | None = "", *, control: bool = False, machine: str = "x86_64", **changes: Any
) -> Observation:
    exercise = None if problem is None else Exercise(0.1, problem)
    return observation("host", answer(**changes), machine=machine, exercise=exercise, control=control)


def test_an_observation_is_read() -> None:
    found = seen()
    assert (found.starts, found.failed, found.exercised, found.passed, found.note) == (20, 0, True, True, "")
    assert [each.name for each in found.phases] == ["start-empty", "serve"]
    assert found.identities[0].effective == ("CAP_CHOWN",)
    assert found.identities[0].phases == ("start-empty", "serve")
    assert found.refusals == (Refusal(program="nginx", call="chown", error=1, by="kernel", times=3),)
    assert str(found.refusals[0]) == "nginx was refused chown (EPERM)"
    (other,) = seen(machine="aarch64", refusals=[{**REFUSED, "number": 54}]).refusals
    assert other.call == "fchownat"


def test_calls_of_the_runtime_and_unnamed_calls_are_read() -> None:
    entry = {**REFUSED, "number": 999, "runtime": True, "by_filter": True, "error": 38}
    (found,) = seen(refusals=[entry]).refusals
    assert str(found) == "the runtime was refused #999 by the filter (ENOSYS)"


@pytest.mark.parametrize(
    ("error", "filtering", "by"),
    [
        (errno.EPERM, {errno.EPERM, errno.ENOSYS}, ["filter"]),
        (errno.ENOSYS, {errno.EPERM, errno.ENOSYS}, ["filter"]),
        (errno.ESPIPE, {errno.EPERM, errno.ENOSYS}, []),
        (errno.EACCES, {errno.EPERM, errno.ENOSYS}, ["kernel"]),
        (errno.EPERM, {errno.EACCES}, ["kernel"]),
        (errno.ESPIPE, None, ["filter"]),
    ],
)
def test_a_refusal_is_attributed_to_the_filter_only_if_the_filter_returns_its_error(
    error: int, filtering: set[int] | None, by: list[str]
) -> None:
    told = answer(refusals=[{**REFUSED, "by_filter": True, "error": error}])
    found = observation("host", told, machine="x86_64", exercise=None, filtering=filtering)
    assert [each.by for each in found.refusals] == by


def _serve(reason: str) -> list[dict[str, Any]]:
    return [{"name": "serve", "exercised": False, "reason": reason, "seconds": 0.1}]


def test_the_result_of_an_exercise_is_read() -> None:
    def went(problem: str | None, *, control: bool = False, **changes: Any) -> tuple[bool, bool, str]:
        found = seen(problem, control=control, **changes)
        return found.exercised, found.passed, found.note

    failed = "the command ended with code 7"
    assert went(failed, phases=_serve(failed), reached=False) == (True, False, failed)
    nothing = "no connection reached the twin"
    assert went("", phases=_serve(nothing), reached=False) == (False, False, nothing)
    gone = "the container had ended"
    assert went(None, phases=_serve(gone), reached=False, note="code 1") == (False, False, "code 1")
    # Under a profile that is too strict it counts what the exercise says, whatever it has reached.
    assert went("", control=True, phases=[], reached=False)[:2] == (True, True)
    assert went(failed, control=True, phases=[], reached=False) == (True, False, failed)
    assert went(None, control=True, phases=_serve(gone), reached=False)[:2] == (False, False)


HOSTILE: list[dict[str, Any]] = [
    {"starts": 21},
    {"starts": -1},
    {"starts": "many"},
    {"phases": [{"name": "party", "exercised": True, "reason": ""}]},
    {"phases": [{"name": "serve", "exercised": True, "reason": "\x1b[2J"}]},
    {"phases": "serve"},
    {"phases": None},
    {"identities": [{**IDENTITY, "phases": [99]}]},
    {"identities": [{**IDENTITY, "effective": "all"}]},
    {"identities": [{**IDENTITY, "more": 1}]},
    {"refusals": [{**REFUSED, "error": 0}]},
    {"refusals": [{**REFUSED, "program": "a\nb"}]},
    {"refusals": [REFUSED] * 10_001},
    {"missing": ["x"] * 1001},
    {"note": "x" * 1001},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: str(changes)[:40])
def test_an_answer_of_the_wrong_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(HardenerError, match="host: its observations cannot be read"):
        seen(**changes)
    with pytest.raises(HardenerError, match="cannot be read"):
        observation("host", {}, machine="x86_64", exercise=None)
