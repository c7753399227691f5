"""What trials say of a profile: it is safe, it is not, or the exercise proves nothing.

*Safe*: the exercise passes under the profile in every start, no program has more privilege than before, and
nothing was refused that was not refused before. *Not safe*: one of these fails. *Not exercised*: the exercise
did not happen, fails without the profile too, or passes under one that is too tight on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from hardener.errors import ExitCode
from hardener.workload.identities import gained
from hardener.workload.recording import Identity
from hardener.workload.trials import Trial

_ENOSYS = 38


class Verdict(Enum):
    """How a proof ends."""

    SAFE = "safe"
    NOT_SAFE = "not safe"
    NOT_EXERCISED = "not exercised"

    @property
    def exit_code(self) -> ExitCode:
        """What the verb ends with."""
        return {
            Verdict.SAFE: ExitCode.COMPLIANT,
            Verdict.NOT_SAFE: ExitCode.NOT_COMPLIANT,
            Verdict.NOT_EXERCISED: ExitCode.INCOMPLETE,
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Denial:
    """A refused call: who made it, and the error that it got."""

    program: str
    call: str
    error: int

    def __str__(self) -> str:
        return f"{self.program} was refused {self.call} (error {self.error})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What happened in a trial.

    Args:
        starts: how many of the starts came up.
        exercised: whether the exercise reached the twin.
        passed: whether it passed.
        identities: as whom long-lived programs ran.
        denials: what was refused.
        note: more, in a sentence.
    """

    starts: int = 0
    exercised: bool = False
    passed: bool = False
    identities: tuple[Identity, ...] = ()
    denials: tuple[Denial, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What taking one thing away has shown; ``needed`` is None where it was not tried."""

    removed: str
    needed: bool | None
    observed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The whole answer.

    Args:
        verdict: in one word.
        reasons: why it is not safe, or not exercised.
        evidence: what each removal has shown.
        denials: every refused call under the profile, those from before included.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    denials: tuple[Denial, ...]

    @property
    def superfluous(self) -> tuple[str, ...]:
        """What the exercise does without: it could go, or the exercise does not need it."""
        return tuple(each.removed for each in self.evidence if each.needed is False)


def judge(
    trials: Sequence[Trial],
    observations: Mapping[str, Observation],
    *,
    user: tuple[int, int] | None = None,
) -> Proof:
    """Judge what was observed.

    Args:
        trials: the plan.
        observations: what happened, by the key of the trial; one that is missing was not run.
        user: the uid and gid that the profile gives the container in place of its own.
    """
    by_kind: dict[str, Trial] = {trial.kind: trial for trial in trials if trial.kind != "without"}
    before = observations.get("before", Observation())
    profile = observations.get("profile", Observation())
    unexercised = _unexercised(by_kind, before, profile, observations)
    wrong: tuple[str, ...] = ()
    whole = by_kind["profile"]
    # That a start fails shows without any exercise.
    fewer_starts = before.starts > 0 and profile.starts < whole.starts
    if "profile" in observations and (before.passed if before.exercised else fewer_starts):
        wrong = _wrong(whole, before, profile, user)
    proven_wrong = wrong and (profile.exercised or fewer_starts)
    verdict = Verdict.NOT_EXERCISED if unexercised else Verdict.SAFE
    if proven_wrong:
        verdict = Verdict.NOT_SAFE
    reasons = wrong if proven_wrong else unexercised
    return Proof(
        verdict=verdict,
        reasons=tuple(reasons),
        evidence=tuple(
            _evidence(trial, observations.get(trial.key), before, user, conclusive=not unexercised)
            for trial in trials
            if trial.kind == "without"
        ),
        denials=tuple(sorted(set(profile.denials))),
    )


def _unexercised(
    kinds: Mapping[str, Trial],
    before: Observation,
    profile: Observation,
    observations: Mapping[str, Observation],
) -> tuple[str, ...]:
    """Why the exercise proves nothing; empty where it does."""
    if "before" not in observations or not before.exercised:
        return (before.note or "the exercise did not reach the twin",)
    if not before.passed:
        return ("the exercise fails without the profile too",)
    if "control" not in kinds:
        return ("nothing was recorded while it served, so that no profile can be made too tight",)
    control = observations.get("control")
    if control is None:
        return ("the profile that is too tight was not tried",)
    if control.starts and control.exercised and control.passed:
        return ("this exercise proves nothing: it passes under a profile that is too tight",)
    if not profile.exercised and profile.starts:
        return (profile.note or "the exercise did not reach the twin under the profile",)
    return () if "profile" in observations else ("the profile was not tried",)


def _wrong(
    trial: Trial, before: Observation, observed: Observation, user: tuple[int, int] | None
) -> tuple[str, ...]:
    """What is worse than before in a trial; empty where nothing is."""
    if observed.starts < trial.starts:
        note = f": {observed.note}" if observed.note else ""
        return (f"{trial.starts - observed.starts} of {trial.starts} starts failed{note}",)
    if observed.exercised and not observed.passed:
        return (f"the exercise fails{f': {observed.note}' if observed.note else ''}",)
    more = gained(before.identities, observed.identities, user=user)
    known = {(each.program, each.call) for each in before.denials}
    # A call that is answered as not known is one that the program has another way for.
    fresh = [
        str(each)
        for each in sorted(set(observed.denials))
        if (each.program, each.call) not in known and each.error != _ENOSYS
    ]
    return (*more, *fresh)


def _evidence(
    trial: Trial,
    observed: Observation | None,
    before: Observation,
    user: tuple[int, int] | None,
    *,
    conclusive: bool,
) -> Evidence:
    if observed is None:
        return Evidence(removed=trial.key, needed=None, observed="not tried")
    wrong = _wrong(trial, before, observed, user)
    if not conclusive or (observed.starts >= trial.starts and not observed.exercised):
        return Evidence(removed=trial.key, needed=None, observed=observed.note or "not exercised")
    if wrong:
        return Evidence(removed=trial.key, needed=True, observed="; ".join(wrong))
    return Evidence(removed=trial.key, needed=False, observed="the exercise passes without it")
