"""Run a container through its phases, which recordings and proofs share."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping

from ..contract import NO_HEALTH_CHECK
from ..host import steps
from ..host.errors import Failed, describe
from ..host.text import shown
from . import observe
from .arrivals import Arrivals
from .astray import health_words
from .layout import PHASES
from .recorder import unified_cgroups
from .subject import Subject

_NO_PROGRAM = "/hardener-there-is-no-such-program"
_ABSENT = re.compile(r"no such file|not found", re.IGNORECASE)  # runc, crun
GONE = "the container had ended"
_PATIENCE = 60  # seconds for conditions of dependent services


def _nothing() -> None:
    """Do nothing."""


def _unmarked(_name: str) -> None:
    """Do nothing: phases are not marked."""


class Life(ABC):
    """Runs a container through its phases, and keeps the result of each.

    Args:
        subject: the container.
        original: inspect data of the container, or of the one whose twin it is.
        sampler: looks at its processes.
        mark: called with the name of each phase when it begins.
        programs: called while executed programs can be examined.
        changes: called while changed files can be examined.
    """

    noun: str  # for the container, in sentences

    def __init__(
        self,
        subject: Subject,
        original: Mapping[str, Any],
        sampler: observe.Unobserved,
        *,
        mark: Callable[[str], None] = _unmarked,
        programs: Callable[[], None] = _nothing,
        changes: Callable[[], None] = _nothing,
    ) -> None:
        self.phases: dict[str, dict[str, Any]] = {}
        self.missing: list[str] = []
        self.reached = False  # whether the exercise has reached the container
        self._subject = subject
        self._original = original
        self._sampler = sampler
        self._mark = mark
        self._programs = programs
        self._changes = changes
        self._tree = unified_cgroups() or ""
        self._arrived = 0
        self._arrivals: Arrivals | None = None
        self._serving = "serve"
        self.goes_on = True  # whether its second start is one of the same container

    @contextmanager
    def phase(self, name: str) -> Iterator[dict[str, Any]]:
        """Run the body as a phase; if it fails, the phase was not exercised."""
        found = self.phases.setdefault(name, {"name": name, "exercised": False, "reason": "", "seconds": 0.0})
        steps.begin(f"phase {name}")
        self._mark(name)
        self._sampler.phase(PHASES.index(name))
        began = time.monotonic()
        try:
            yield found
            found["exercised"] = True
        except Failed as error:
            if found["exercised"]:
                self.missing.append(f"the phase {name} was not repeated: {describe(error)}")
            else:
                found["reason"] = describe(error)
        finally:
            self._sampler.look()
            found["seconds"] = round(found["seconds"] + time.monotonic() - began, 1)

    def skip(self, name: str, reason: str) -> None:
        """Store why a phase was not exercised."""
        self.phases.setdefault(name, {"name": name, "exercised": False, "reason": reason, "seconds": 0.0})

    # --- called in this order -------------------------------------------------------------------------------

    @abstractmethod
    def start_empty(self) -> bool:
        """Start the container with empty volumes; return whether it can go on."""

    @abstractmethod
    def stop_first(self) -> None:
        """Stop the container after its first start."""

    @abstractmethod
    def start_used(self) -> None:
        """Start the container with the volumes that were in use."""

    def wait(self, condition: str) -> str:
        """Wait for a condition that dependent services need; return why it failed, or nothing.

        Args:
            condition: of docker compose: ``service_healthy``, ``service_completed_successfully``; any other
                word means that it has started.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            if condition == "service_completed_successfully":
                state = self._subject.state()
                if not state.get("Running"):
                    code = state.get("ExitCode")
                    return "" if code == 0 else f"it ended with code {code}"
            elif condition == "service_healthy" and health_words(self._original):
                try:
                    if self._subject.run(health_words(self._original)) == 0:
                        return ""
                except Failed as error:
                    return describe(error)
            else:
                return ""
            if time.monotonic() > deadline:
                return f"it is not {condition.partition('_')[2].replace('_', ' ')} after {_PATIENCE} s"
            time.sleep(0.2)

    def health_check(self) -> None:
        """Run the container's health check once."""
        words = health_words(self._original)
        if not words:
            self.skip("health-check", NO_HEALTH_CHECK)
            return
        with self.phase("health-check") as phase:
            code = self._subject.run(words)
            self._programs()
            if code != 0:
                raise Failed(f"the health check ended with code {code}")
            phase["reason"] = "it was run once"

    def exec(self) -> None:
        """Run a program in the container, to record the system calls that the runtime makes for it."""
        with self.phase("exec") as phase:
            if not self._subject.runs():
                raise Failed(GONE)
            try:
                self._subject.run([_NO_PROGRAM])
            except Failed as error:
                # If there is no such program, the runtime has done everything but to execute it.
                if not _ABSENT.search(describe(error)):
                    raise
            phase["reason"] = "only the runtime's part; no program was run"
            self._subject.look_for_shell()

    def serve(self, name: str = "serve") -> None:
        """Begin a phase of the exercise, which is valid once the exercise has reached the container.

        Args:
            name: of the phase: ``serve``, or ``serve-empty`` while its volumes began empty.
        """
        if self._arrivals is not None:
            self._arrivals.asked()
        self._serving, self.reached = name, False
        with self.phase(name):
            if not self._subject.runs():
                raise Failed(GONE)
            self._arrived = observe.arrived(self._subject.pid)
            served = [(port, protocol) for port, protocol, _published in self._subject.every_port()]
            self._arrivals = Arrivals(self._subject.pid, served)
        self.phases[name]["exercised"] = False

    def received(self) -> bool:
        """Return whether packets from others have arrived since the container began to serve."""
        return observe.arrived(self._subject.pid) > self._arrived

    def ports(self) -> list[dict[str, Any]]:
        """Return the ports of which is known whether they were asked since it began to serve, and whether."""
        if self._arrivals is None:
            return []
        asked, watched = self._arrivals.asked(), self._arrivals.watched
        return [
            {"port": port, "protocol": protocol, "published": published, "reached": (port, protocol) in asked}
            for port, protocol, published in self._subject.every_port()
            if (port, protocol) in watched
        ]

    def run_in(self, words: list[str], *, seconds: float) -> str:
        """Run a command in the container as an exercise; return why it failed, or nothing.

        Args:
            words: the command.
            seconds: after which it is ended.
        """
        with self.phase(self._serving) as phase:
            code = self._subject.run(words, seconds=seconds)
            self.reached = True
            if code != 0:
                raise Failed(f"the command in the {self.noun} ended with code {code}")
            phase["reason"] = f"a command in the {self.noun}"
        return "" if phase["exercised"] else str(phase["reason"])

    def served(self, exercise: Mapping[str, Any], reached: str) -> None:
        """Decide whether the exercise is valid: it must have reached the container.

        Args:
            exercise: ``seconds``, and ``problem``, empty where it went well.
            reached: how it has reached the container, in words; empty where it has not.
        """
        serve = self.phases[self._serving]
        self.reached = self.reached or bool(reached)
        if not serve["exercised"]:
            serve["seconds"] = round(float(exercise.get("seconds") or 0), 1)
            problem = serve["reason"] or shown(str(exercise.get("problem") or ""), 500)
            if problem and self._serving == "serve-empty":
                problem = f"the exercise fails with empty volumes: {problem}"
            serve["exercised"] = bool(reached) and not problem
            serve["reason"] = problem or reached or f"no connection reached the {self.noun}"
        self._sampler.look()
        self._programs()

    def require_running(self) -> None:
        """Do not count an exercise during which the container has ended."""
        serve = self.phases[self._serving]
        if serve["exercised"] and not self._subject.runs():
            code = self._subject.state().get("ExitCode")
            serve["exercised"] = False
            serve["reason"] = f"the {self.noun} ended during the exercise with code {code}"
            if self._serving == "serve":
                self.skip("crash-restart", GONE)

    @abstractmethod
    def reload(self) -> None:
        """Let the container read its configuration again."""

    @abstractmethod
    def crash_restart(self) -> None:
        """Kill the container, and start it again."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the container."""

    def start(self) -> str:
        """Start the container in the present phase; return how it started, in words."""
        reason = self._subject.start(self._tree)
        if self._subject.cgroup is not None:
            self._sampler.follow(self._subject.pid, self._subject.cgroup)
        self._programs()
        return reason
