"""Run the trials of a proof: a twin with one profile after another, and the observations of each."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any, Iterable, Mapping

from ..docker.client import quoted
from ..host import processes
from ..host.errors import Failed, describe
from ..host.text import shown
from . import apparmor, observe, project, remap, runtime, twin
from . import describe as description
from .astray import Watch
from .engine import Engine
from .forward import Forwarder
from .life import Life
from .parts import Part, doors, not_recorded, reached, wait_for_others
from .recorder import Refusals
from .subject import SILENT, STARTED
from .twins import Twin, TwinLife
from .world import World

_STARTS = ("start-empty", "start-used", "crash-restart")
_QUICK = 3.0  # seconds of a stop up to which further starts follow a stop; else they follow a kill
_LEAST = 30.0  # least seconds that the command in the twin may take in any trial
_TIMES = 4  # times the duration in the first trial
_ID = re.compile(r"[0-9a-f]{16,64}")


class Request:
    """The request of a proof.

    Args:
        arguments: ``container``, ``seconds`` (of all trials), ``run_in`` (a command as a list of words; empty
            for none), ``run_in_service`` (in whose twin; empty for that of the container), ``largest`` (bytes
            of a volume to be copied), ``apparmor`` (``name`` and ``text`` of a profile; empty for none),
            ``owner``, whose ``pid`` is the process of this host that exercises the twin.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.container = str(arguments["container"])
        self.seconds = int(arguments["seconds"])
        self.run_in: list[str] = [str(word) for word in arguments.get("run_in") or ()]
        self.run_in_service = str(arguments.get("run_in_service") or "")
        self.largest = int(arguments.get("largest", 1 << 30))
        self.owner = int((arguments.get("owner") or {}).get("pid") or 0)
        self.apparmor: Mapping[str, Any] = arguments.get("apparmor") or {}


class Trials:
    """Tries profiles of one container on its twins.

    Args:
        engine: the engine.
        run: the label of everything created in the engine.
        kernel: counts refused calls.
        request: the options.
    """

    def __init__(self, engine: Engine, run: str, kernel: Refusals, request: Request) -> None:
        self._engine = engine
        self._run = run
        self._kernel = kernel
        self._request = request
        self._info: dict[str, Any] = engine.get("/info")
        self._versions: dict[str, Any] = engine.get("/version")
        self._original: dict[str, Any] = engine.get(f"/containers/{quoted(request.container)}/json")
        self._unfiltered = description.unfiltered(self._original, self._info)
        self._sampler = observe.Sampler(processes.label_file())
        cast = project.around(engine, request.container)
        for member in cast.members:
            runtime.require_processes_here(self._info, member.original)
        self._remarks = cast.remarks
        originals = [member.original for member in cast.members]
        self._world = World(engine, run, originals, same=False, largest=request.largest)
        self._members = cast.members
        self._number = next(number for number, member in enumerate(cast.members) if member.recorded)
        self._exercised = self._number
        if request.run_in_service:
            self._exercised = project.position(cast.members, request.run_in_service)
        self._subjects = [
            Twin(
                engine,
                run,
                member.original,
                world=self._world,
                number=number,
                created=kernel.want if member.recorded else not_recorded,
                removed=kernel.forget if member.recorded else None,
            )
            for number, member in enumerate(cast.members)
        ]
        self._subject = self._subjects[self._number]
        self._parts: list[Part] = []  # of the present trial
        self._forwarder: Forwarder | None = None
        self._took = 0.0  # seconds that the command in the twin took in the first trial
        self._usual: dict[str, str] = {}  # how the starts of the first trial went, in words
        self._trial: Mapping[str, Any] = {}
        self._life: Life | None = None
        self._earlier: set[int] = set()
        self._note = ""
        self._watch: Watch | None = None
        self._label = ""  # of the AppArmor profile that is loaded under another name

    def begin(self) -> dict[str, Any]:
        """Create the network and the ports that lead to the present twin; load an AppArmor profile."""
        self._world.make_networks()
        self._parts = [self._part(number, observe.Unobserved()) for number in range(len(self._members))]
        ports = [] if self._request.run_in else doors(self._parts, [self._number], others=True)
        self._forwarder = Forwarder(ports)
        missing = [*self._remarks, *self._forwarder.refused]
        if self._request.apparmor:
            reason = apparmor.problem()
            if reason:
                missing.append(f"the AppArmor profile was not part of the proof: {reason}")
            else:
                apparmor.load(self._run, self._request.apparmor)
                self._label = str(self._request.apparmor["name"])
        name = runtime.default_runtime(self._info, self._original)
        return {
            "addresses": self._forwarder.addresses,
            "missing": missing,
            "container": description.container(self._original),
            "host": description.host(self._info, self._versions, name),
        }

    def told(self, message: Mapping[str, Any]) -> Any:
        """End the present trial with the result of ``exercise``; begin the next ``trial``.

        Returns:
            ``observed`` of the former; ``up``, whether the next one is to be exercised; ``empty``, whether
            that is with empty volumes. The result of this goes into ``fill``, alone; ``up`` is the answer.
        """
        if "fill" in message:
            return {"up": self._life is not None and self._fill(self._life, message["fill"])}
        answer: dict[str, Any] = {"observed": None, "up": False, "empty": False}
        if self._life is not None:
            answer["observed"] = self._finish(self._life, message.get("exercise") or {})
            self._life = None
            for subject in self._subjects:
                subject.leave()
            for subject in self._subjects:
                subject.drop_volumes()
        if message.get("trial"):
            answer.update(self._attempt(message["trial"]))
        return answer

    def close(self) -> None:
        """Stop forwarding to the twin and sampling it."""
        self._sampler.leave()
        if self._forwarder is not None:
            self._forwarder.close()
        if self._watch is not None:
            self._watch.close()

    # --- one trial ------------------------------------------------------------------------------------------

    def _attempt(self, trial: Mapping[str, Any]) -> dict[str, bool]:
        """Start a twin with a profile; return whether it serves, and whether its volumes began empty."""
        self._trial, self._note = trial, ""
        self._earlier = self._kernel.cgroups()
        self._sampler.clear()
        confinement = self._loaded(trial["confinement"])
        own_filter = confinement is not None and any(
            option.startswith("seccomp=") for option in confinement["host"]["SecurityOpt"]
        )
        self._subject.confine(confinement)
        user = remap.User.of(confinement["user"]) if confinement is not None else None
        self._world.users = dict.fromkeys(twin.writable_sources(self._original), user) if user else {}
        mark = partial(self._kernel.phase, unfiltered=self._unfiltered and not own_filter)
        self._parts = [
            self._part(number, self._sampler, mark=mark)
            if number == self._number
            else self._part(number, observe.Unobserved())
            for number in range(len(self._members))
        ]
        self._life = life = self._parts[self._number].life
        try:
            self._begin(life)
        except Failed as error:
            self._note = describe(error)
            return {"up": False}
        if trial["kind"] == "before" and not self._request.run_in:
            originals = [member.original for member in self._members]
            self._watch = Watch(self._engine, self._run, originals, owner=self._request.owner)
        if trial["empty"] and self._subject.begins_empty and self._subject.runs():
            return {"up": self._serve(life, "serve-empty"), "empty": True}
        return {"up": self._use(life)}

    def _fill(self, life: Life, exercise: Mapping[str, Any]) -> bool:
        """End the exercise with empty volumes, and go on; return whether the twin serves."""
        self._served(life, exercise)
        life.require_running()
        return self._use(life)

    def _serve(self, life: Life, phase: str) -> bool:
        """Begin a phase of the exercise; return whether the twin serves."""
        if self._forwarder is not None:
            self._forwarder.forget()
        for part in self._parts:
            part.life.serve(phase)
        return not life.phases[phase]["reason"]

    def _served(self, life: Life, exercise: Mapping[str, Any]) -> None:
        """Decide whether the exercise is valid."""
        if self._request.run_in and not exercise.get("problem"):
            exercised = self._parts[self._exercised].life
            problem = exercised.run_in(self._request.run_in, seconds=self._patience())
            exercise = {**exercise, "problem": problem}
        elif self._trial["kind"] == "before" and self._watch is not None:
            exercise = self._watch.checked(exercise)
        life.served(exercise, self._reached())

    def _part(self, number: int, sampler: observe.Unobserved, **more: Any) -> Part:
        member, subject = self._members[number], self._subjects[number]
        return Part(member, subject, TwinLife(subject, member.original, sampler, **more))

    def _begin(self, life: Life) -> None:
        """Start the twin and the copies of other services with empty volumes.

        Raises:
            Failed: the twin cannot be started the first time.
        """
        for part in self._parts:
            wait_for_others(part, self._parts)
            part.starts = part.life.start_empty()
            if part.life is life and not part.starts:
                raise Failed(f"the twin does not start: {life.phases['start-empty']['reason']}")

    def _use(self, life: Life) -> bool:
        """Start them with used volumes, up to the exercise; return whether the twin serves.

        One start is enough in a short trial if none of them has volumes.
        """
        whole = self._trial["whole"]
        if whole or not all(part.life.goes_on for part in self._parts):
            for part in reversed(self._parts):
                if part.starts:
                    part.life.stop_first()
            for part in self._parts:
                if part.starts:
                    wait_for_others(part, self._parts)
                    part.life.start_used()
        life.health_check()
        if whole:
            life.exec()
        return self._serve(life, "serve")

    def _loaded(self, confinement: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return the rights of a profile, with its AppArmor profile by the name that it has in this run."""
        wanted = f"apparmor={self._request.apparmor.get('name')}"
        if confinement is None or wanted not in confinement["host"]["SecurityOpt"]:
            return confinement
        options = [option for option in confinement["host"]["SecurityOpt"] if option != wanted]
        if self._label:
            options.append(f"apparmor={apparmor.name(self._run)}")
        return {**confinement, "host": {**confinement["host"], "SecurityOpt": options}}

    def _finish(self, life: Life, exercise: Mapping[str, Any]) -> dict[str, Any]:
        """Run the phases after the exercise, and return the observations."""
        served = "serve" in life.phases
        ports: list[dict[str, Any]] = []
        if served:
            self._served(life, exercise)
            if self._request.run_in:
                self._took = self._took or self._parts[self._exercised].life.phases["serve"]["seconds"]
            ports = life.ports()
            if self._trial["kind"] != "control":
                life.reload()
                if self._trial["whole"]:
                    life.crash_restart()
                life.stop()
        if not self._usual:
            self._usual = {name: life.phases[name]["reason"] for name in _STARTS if name in life.phases}
        began = [self._went_well(life.phases[name]) for name in _STARTS if name in life.phases]
        if self._trial["starts"] > 1 and served:
            began += self._further(life, self._trial["starts"] - len(began))
        mine = self._kernel.cgroups() - self._earlier
        return {
            "attempts": len(began),
            "starts": sum(began),
            "reached": life.reached,
            "phases": [{**each, "reason": _plain(each["reason"])} for each in life.phases.values()],
            "identities": [
                {**each, "lsm": each["lsm"].replace(apparmor.name(self._run), self._label)}
                for each in self._sampler.identities()
            ],
            "ports": ports,
            "listens": self._sampler.listens(),
            "refusals": most_of_one_start(each for each in self._kernel.read() if each["cgroup"] in mine),
            "missing": [
                _plain(each)
                for each in (
                    *self._subject.differences,
                    *self._world.remarks,
                    *self._failed_copies(),
                    *life.missing,
                )
            ],
            "note": _plain(self._note),
        }

    def _patience(self) -> float:
        """Return the time limit of the exercise: first the longest, then a multiple of its first duration."""
        usual = max(_LEAST, _TIMES * self._took) if self._took else self._request.seconds
        return min(usual, self._request.seconds)

    def _failed_copies(self) -> list[str]:
        """Return the copies of other services that do not start."""
        return [
            f"the copy of {part.member.name} does not start: {part.life.phases['start-empty']['reason']}"
            for part in self._parts
            if not part.starts and part.life is not self._life
        ]

    def _reached(self) -> str:
        """Return how this trial's exercise has reached the twin, in words; empty if it has not."""
        carried = self._forwarder.carried if self._forwarder is not None else {}
        return reached(self._number, self._parts, carried, elsewhere=bool(self._request.run_in))

    def _went_well(self, phase: Mapping[str, Any]) -> bool:
        """Return whether a start had the same result as the starts without the profile."""
        usual = self._usual.get(phase["name"], self._usual.get(_STARTS[0], ""))
        if phase["exercised"] and as_usual(phase["reason"], usual):
            return True
        self._note = self._note or phase["reason"]
        return False

    def _further(self, life: Life, count: int) -> list[bool]:
        """Stop and start the twin repeatedly; return the result of each start."""
        quick = life.phases.get("stop", {}).get("seconds", 0.0) < _QUICK
        deadline = time.monotonic() + self._trial["seconds"]
        found: list[bool] = []
        while len(found) < count and time.monotonic() < deadline:
            name = _STARTS[1]
            began = {"name": name, "exercised": True, "reason": ""}
            try:
                if self._subject.runs():
                    if quick:
                        self._subject.stop()
                    else:
                        self._subject.crash()
                began["reason"] = life.start()
            except Failed as error:
                began.update(exercised=False, reason=describe(error))
            found.append(self._went_well(began))
        self._sampler.look()
        return found


def as_usual(reason: str, usual: str) -> bool:
    """Return whether a start had the usual result, or listened on a port that usually came too late."""
    return reason == usual or (reason == STARTED and usual.startswith(SILENT))


def most_of_one_start(refusals: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each refused call of a trial once, with its highest count in a single start.

    Each start has a control group of its own. How many starts a trial has so says nothing.
    """
    most: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in refusals:
        told = {name: value for name, value in each.items() if name != "cgroup"}
        key = tuple(value for name, value in told.items() if name != "times")
        if key not in most or most[key]["times"] < told["times"]:
            most[key] = told
    return list(most.values())


def _plain(text: str) -> str:
    """Remove the ids of this run from a sentence, so that it is the same in all runs."""
    return shown(_ID.sub("ID", " ".join(text.split())), 900)
