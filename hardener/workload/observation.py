"""Observations of a trial: starts, phases, identities, and each refused call with program and reason.

They come in numbers from the host, which may be compromised: everything is limited and validated.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload import kernel
from hardener.workload.exercise import Exercise
from hardener.workload.kernel import capabilities
from hardener.workload.recording import Identity, Listen, ServedPort
from hardener.workload.shapes import PHASES, CallName, Count, Name, Part, Phase, Text, Words, in_sequence

# Errors by which the kernel refuses a call because a right is missing.
_REFUSED_BY_KERNEL = frozenset({errno.EPERM, errno.EACCES, errno.EROFS})
_SETS = ("effective", "permitted", "inheritable", "bounding", "ambient")
_MOST = 10_000


class Refusal(Part):
    """A refused call: the program, the error code, and what refused it."""

    program: Name
    call: CallName
    error: Annotated[int, Field(ge=1, le=4095)]
    by: Literal["filter", "kernel"] = Field(
        description="what refused: the seccomp filter, or the kernel for lack of privileges"
    )
    times: Count = Field(default=0, description="greatest number of such refusals in one start; 0 if unknown")

    @property
    def kind(self) -> tuple[str, str, int, str]:
        """Return the fields that identify the refusal, without the count."""
        return self.program, self.call, self.error, self.by

    def __str__(self) -> str:
        name = errno.errorcode.get(self.error, str(self.error))
        filtered = " by the filter" if self.by == "filter" else ""
        return f"{self.program} was refused {self.call}{filtered} ({name})"


class PhaseResult(Part):
    """A phase in a trial: whether it was exercised, and how, or why it was not."""

    name: Phase
    exercised: bool
    reason: Text


class Observation(Part):
    """The observations of a trial."""

    starts: Count = Field(
        default=0, description="number of starts with the same result as without the profile"
    )
    failed: Count = Field(default=0, description="number of starts with another result")
    exercised: bool = Field(default=False, description="whether the exercise was run")
    passed: bool = False
    phases: Annotated[tuple[PhaseResult, ...], Field(max_length=len(PHASES))] = ()
    identities: Annotated[tuple[Identity, ...], Field(max_length=_MOST), AfterValidator(in_sequence)] = ()
    listens: Annotated[tuple[Listen, ...], Field(max_length=_MOST), AfterValidator(in_sequence)] = ()
    ports: Annotated[tuple[ServedPort, ...], Field(max_length=_MOST), AfterValidator(in_sequence)] = ()
    refusals: Annotated[tuple[Refusal, ...], Field(max_length=_MOST), AfterValidator(in_sequence)] = ()
    missing: Words = Field(default=(), description="differences of the twin from the original")
    note: Text = ""

    def phase(self, name: str) -> PhaseResult | None:
        """Return a phase of the trial by name; None where it was not tried."""
        return next((each for each in self.phases if each.name == name), None)


def observation(
    host: str,
    answer: Mapping[str, Any],
    *,
    machine: str,
    exercise: Exercise | None,
    control: bool = False,
    filtering: Collection[int] | None = None,
) -> Observation:
    """Convert the answer of a host to an observation.

    Args:
        host: its name.
        answer: what it told.
        machine: its architecture.
        exercise: how the exercise ended here; None where it was not tried here.
        control: whether a failing exercise is what is looked for, so that it counts whatever it has reached.
        filtering: the errors with which the seccomp filter refuses calls; None where they are not known. The
            host sees no beginning of a call that a filter refuses, and may miss that of another call too.

    Raises:
        HardenerError: the answer is not an observation.
    """
    try:
        document = _document(answer, machine, exercise, control, filtering)
        return Observation.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = str(error) or type(error).__name__
    raise HardenerError(f"{line(host)}: its observations cannot be read: {line(reason, 200)}")


def _document(
    answer: Mapping[str, Any],
    machine: str,
    exercise: Exercise | None,
    control: bool,
    filtering: Collection[int] | None,
) -> dict[str, Any]:
    phases = {each["name"]: each for each in answer["phases"]}
    serve = phases.get("serve", {"exercised": False, "reason": ""})
    happened, passed = bool(serve["exercised"] or answer["reached"]), serve["exercised"]
    problem = exercise.problem if exercise else ""
    if exercise and control:
        happened, passed = True, not problem
    return {
        "starts": answer["starts"],
        "failed": answer["attempts"] - answer["starts"],
        "exercised": bool(happened or problem),
        "passed": passed,
        "phases": [
            {"name": each["name"], "exercised": each["exercised"], "reason": each["reason"]}
            for each in sorted(phases.values(), key=lambda each: PHASES.index(each["name"]))
        ],
        "identities": [
            {
                **each,
                **{name: capabilities(each[name]) for name in _SETS},
                "phases": [PHASES[number] for number in each["phases"]],
            }
            for each in answer["identities"]
        ],
        "listens": answer["listens"],
        "ports": answer["ports"],
        "refusals": [
            {
                "program": "the runtime" if each["runtime"] else each["program"],
                "call": kernel.name(kernel.architecture(machine, each["kind"]), each["number"]),
                "error": each["error"],
                "by": by,
                "times": each["times"],
            }
            for each in answer["refusals"]
            if (by := _refused_by(each, filtering))
        ],
        "missing": answer["missing"],
        "note": answer["note"] or problem or ("" if serve["exercised"] else serve["reason"]),
    }


def _refused_by(refusal: Mapping[str, Any], filtering: Collection[int] | None) -> str:
    """Return what refused a call; empty for an ordinary error of a call whose beginning was missed."""
    if not refusal["by_filter"]:
        return "kernel"
    if filtering is None or refusal["error"] in filtering:
        return "filter"
    return "kernel" if refusal["error"] in _REFUSED_BY_KERNEL else ""
