"""Run a twin of a container under one confinement after another, and exercise it each time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from hardener.errors import HardenerError
from hardener.fleet import Fleet
from hardener.fleet.answers import Watcher
from hardener.fleet.interrupts import interruptible
from hardener.text import line
from hardener.workflows import twins
from hardener.workload.container import Container, Host
from hardener.workload.exercise import Exercise, Exerciser
from hardener.workload.identity import moved_rights, recorded
from hardener.workload.observation import Observation, observation
from hardener.workload.profile_document import Document
from hardener.workload.trials import Trial
from hardener.workload.verdict import Expected, settled

# The time limit of later exercises, relative to the first one: a server that hangs would use it up.
_TIMES = 4
_LEAST = {"profile": 60.0, "control": 5.0, "without": 5.0}  # seconds
_EMPTY = 3  # the part of the time that is left which the exercise with empty volumes may take
_MOST_PORTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """A request for the trials of a profile.

    Args:
        seconds: the time limit of all trials.
        run_in: a command in a twin that exercises each trial; empty for none.
        run_in_service: the service or container in whose twin it runs; empty for the profile's container.
        apparmor: the text of the AppArmor profile; empty where there is none.
        install: whether the host may fetch the recorder's tool for this run.
        socket: the engine's socket; empty where the host finds it.
        local: whether the host is this machine, so that the trials end with this process.
    """

    seconds: int
    apparmor: str = ""
    run_in: tuple[str, ...] = ()
    run_in_service: str = ""
    install: bool = False
    socket: str = ""
    local: bool = False

    @property
    def forward(self) -> bool:
        """Return whether the exercise reaches the twins by ports of this machine."""
        return not self.run_in


@dataclass(slots=True, kw_only=True)
class Tried:
    """The results of the trials.

    Args:
        host: the host of the trials.
        container: the tried container.
        observations: by the keys of the trials; missing trials were not needed, or there was no time.
        over: whether the time limit was reached before the last trial.
        ports: the ports that the exercise cannot reach, as text.
    """

    host: Host
    container: Container
    observations: dict[str, Observation] = field(default_factory=dict)
    over: bool = False
    ports: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Describe the parts of the proof that are missing, one sentence each."""
        found = list(self.ports)
        # What a twin lacks under a weaker or stricter profile is evidence, and no gap of the proof.
        for key in ("before", "profile"):
            observed = self.observations.get(key, Observation())
            found += [each for each in observed.missing if each not in found]
        return (*found, *(["the time limit was reached before the last trial"] if self.over else []))


class Listener(Watcher, Protocol):
    """Receives the progress of the trials."""

    def trying(self, number: int, of: int, trial: Trial) -> None:
        """Report that the next trial begins."""

    def warn(self, problems: Sequence[str]) -> None:
        """Report problems that do not affect the result, such as twins that could not be removed."""

    def given_up(self, *, removed: bool) -> None:
        """Report that the trials were interrupted, and whether all twins are known to be removed."""


def try_confinements(
    fleet: Fleet,
    request: TrialRequest,
    *,
    document: Document,
    trials: Sequence[Trial],
    exercise: Callable[[float], Exerciser],
    listener: Listener,
    clock: Callable[[], float] = time.monotonic,
) -> Tried:
    """Try confinements of a container on the one host of a fleet; stop when the verdict is certain.

    Args:
        fleet: the host.
        request: the settings of the trials.
        document: the profile.
        trials: the plan.
        exercise: makes an exercise with a time limit in seconds.
        listener: receives the progress.
        clock: returns the time in seconds.

    Raises:
        HardenerError: the fleet is not exactly one host, or nothing can be tried there.
    """
    deadline = clock() + request.seconds
    try:
        host, begun = twins.stage(
            fleet,
            "prove",
            {
                "stage": "begin",
                "container": document.container.name,
                "seconds": request.seconds,
                "run_in": list(request.run_in),
                "run_in_service": request.run_in_service,
                "install": request.install,
                "forward": request.forward,
                "owner": twins.this_process() if request.local else {},
                "apparmor": {"name": document.apparmor.name, "text": request.apparmor}
                if document.apparmor and document.apparmor.used
                else {},
            },
            listener,
            socket=request.socket,
        )
    except KeyboardInterrupt:  # the host may have begun all the same
        listener.given_up(removed=False)
        raise
    listener.warn(twins.problems(begun))
    run = _Run(fleet, host, str(begun.get("run")), request.seconds, listener)
    try:
        with interruptible(), twins.tunnel(host, begun, forward=request.forward) as tunnel:
            missing = list(begun.get("missing") or ())[:_MOST_PORTS]
            tried = Tried(
                host=_part(host, begun, "host", Host),
                container=_part(host, begun, "container", Container),
                ports=tuple(line(str(each), 200) for each in [*missing, *tunnel.missing]),
            )
            _require_same(document, tried)

            def exercised(most: float) -> Exercise:
                done = tunnel.exercised(exercise(max(most, tunnel.least)))
                if not tunnel.reliable:
                    raise twins.UnreachableError(f"{line(host)}: {done.problem}")
                return done

            _try_each(
                run,
                trials,
                tried,
                exercise=exercised if request.forward else None,
                expected=Expected.of(document),
                left=lambda: deadline - clock(),
            )
            return tried
    except KeyboardInterrupt:
        listener.given_up(removed=run.close())
        raise
    finally:
        run.close()


def _try_each(
    run: _Run,
    trials: Sequence[Trial],
    tried: Tried,
    *,
    exercise: Callable[[float], Exercise] | None,
    expected: Expected,
    left: Callable[[], float],
) -> None:
    """Run the trials until the verdict is certain or no time is left; add their observations to ``tried``.

    Args:
        run: the process on the host.
        trials: the plan.
        tried: receives the observations.
        exercise: exercises the current twin for at most so many seconds; None if a command in it does that.
        expected: the differences that the profile itself makes.
        left: returns the seconds that are left.
    """
    asked = [trial for trial in trials if trial.kind != "never"]
    pending: Trial | None = None
    done: Exercise | None = None
    usual, has_failed, number, controls = 0.0, False, 0, 0
    of = len(asked) - max(0, sum(trial.kind == "control" for trial in asked) - 1)
    for trial in asked:
        if left() <= 0:
            tried.over = True
            break
        if trial.kind == "control" and has_failed:
            continue  # one such profile is enough
        number += 1
        if trial.kind == "control":
            of += min(controls, 1)
            controls += 1
        run.listener.trying(number, of, trial)
        answer = run.attempt(done, trial, left=left(), empty=_runs_with_empty_volumes(trial, tried))
        if pending is not None:
            tried.observations[pending.key] = run.seen(answer, pending, done, tried.host)
            if settled(trials, tried.observations, expected=expected):
                return
        pending, done = trial, None
        if answer.get("empty"):
            most = _time_limit(trial, usual, max(1.0, left() / _EMPTY))
            answer = run.fill(exercise(most) if exercise is not None and answer.get("up") else None)
        if exercise is not None and (answer.get("up") or trial.kind == "control"):
            done = exercise(_time_limit(trial, usual, max(1.0, left())))
            usual = usual or done.seconds
            has_failed = has_failed or (trial.kind == "control" and bool(done.problem))
    if pending is not None:
        tried.observations[pending.key] = run.seen(run.attempt(done, None), pending, done, tried.host)


class _Run:
    """The process on the host that runs the twins."""

    def __init__(self, fleet: Fleet, host: str, run: str, seconds: int, listener: Listener) -> None:
        self._fleet = fleet
        self._host = host
        self._run = run
        self._seconds = seconds
        self.listener = listener
        self._removed: bool | None = None  # not yet

    def attempt(
        self, done: Exercise | None, trial: Trial | None, *, left: float = 0.0, empty: bool = False
    ) -> Mapping[str, Any]:
        """End the current trial, and begin the next one; after the last trial, end the process.

        Args:
            done: the exercise of the current trial; None for none.
            trial: the next one; None after the last.
            left: seconds for the further starts of the next one.
            empty: whether that is exercised with empty volumes too.
        """
        parameters = {**_trial_parameters(trial, left), "empty": empty} if trial else {}
        exercise = done.result() if done else {}
        _, answer = self._stage({"stage": "attempt", "exercise": exercise, "trial": parameters})
        problems = twins.problems(answer)
        if trial is None:
            self._removed = not problems
        self.listener.warn(problems)
        return answer

    def fill(self, done: Exercise | None) -> Mapping[str, Any]:
        """End the exercise with empty volumes of the current trial; None for none by this machine."""
        _, answer = self._stage({"stage": "fill", "exercise": done.result() if done else {}})
        return answer

    def seen(
        self, answer: Mapping[str, Any], trial: Trial, done: Exercise | None, where: Host
    ) -> Observation:
        """Return the observations of the trial that has ended."""
        found = answer.get("observed")
        if not isinstance(found, Mapping):
            raise HardenerError(f"{line(self._host)}: the host returned no observations of a trial")
        return observation(
            self._host,
            found,
            machine=where.architecture,
            exercise=done,
            control=trial.kind == "control",
            filtering=trial.confinement.errors if trial.confinement else None,
        )

    def close(self) -> bool:
        """Remove the twin if the process still runs; return whether it is known to be removed."""
        if self._removed is None:
            try:
                self._stage({"stage": "abandon"})
                self._removed = True
            except HardenerError as error:
                self.listener.warn([str(error)])
                self._removed = False
        return self._removed

    def _stage(self, variables: Mapping[str, object]) -> tuple[str, Mapping[str, Any]]:
        values = {**variables, "run": self._run, "seconds": self._seconds}
        return twins.stage(self._fleet, "prove", values, self.listener)


def _time_limit(trial: Trial, usual: float, left: float) -> float:
    """Return the time limit of the exercise of a trial, in seconds."""
    return left if trial.kind == "before" else min(left, max(_LEAST[trial.kind], _TIMES * usual))


def _runs_with_empty_volumes(trial: Trial, tried: Tried) -> bool:
    """Return whether the exercise of a trial is run with empty volumes too: not if it fails there anyway."""
    before = tried.observations.get("before")
    if before is None:
        return trial.kind == "before"
    phase = before.phase("serve-empty")
    return trial.kind != "control" and phase is not None and phase.exercised


def _trial_parameters(trial: Trial, left: float) -> dict[str, Any]:
    """Return a trial in the form that the on-host program takes, with the seconds for its further starts."""
    return {
        "kind": trial.kind,
        "confinement": trial.confinement.request() if trial.confinement else None,
        "starts": trial.starts,
        "whole": trial.kind in ("before", "profile"),
        "seconds": left,
    }


_Model = TypeVar("_Model", Host, Container)


def _part(host: str, begun: Mapping[str, Any], key: str, kind: type[_Model]) -> _Model:
    try:
        return kind.model_validate_json(json.dumps(begun.get(key)))
    except ValidationError as error:
        raise HardenerError(
            f"{line(host)}: the description of the {key} cannot be read: {line(str(error), 200)}"
        ) from error


def _require_same(document: Document, tried: Tried) -> None:
    """Refuse a container with another program or other rights than the recorded one had.

    The trials are compared with one under the container's own rights: it must not run under the profile.
    """
    before, after = recorded(document.container, document.host), recorded(tried.container, tried.host)
    if moved := moved_rights(before, after):
        raise HardenerError(
            f"{line(document.container.name)} is not as it was during the recording: {moved[0]}",
            hint="take out the settings of an applied profile, or record the container again",
        )
