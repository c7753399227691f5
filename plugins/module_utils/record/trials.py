"""Trials of a proof: a twin under one confinement after another, in one network, and what is seen of each."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any, Mapping

from ..docker.client import quoted
from ..host.errors import Failed, describe
from . import apparmor, observe, runtime
from . import describe as description
from .engine import Engine
from .forward import Door, Forwarder
from .life import Life
from .recorder import Refusals
from .subject import Subject
from .text import shown
from .world import World

_STARTS = ("start-empty", "start-used", "crash-restart")
_QUICK = 3.0  # seconds of a stop that further starts wait for; else they are preceded by a kill
_ID = re.compile(r"[0-9a-f]{16,64}")


class Request:
    """What is asked for.

    Args:
        arguments: ``container``, ``seconds`` (of all trials), ``run_in`` (a command as a list of words; empty
            for none), ``largest`` (bytes of a volume to be copied), ``apparmor`` (``name`` and ``text`` of a
            profile; empty for none).
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.container = str(arguments["container"])
        self.seconds = int(arguments["seconds"])
        self.run_in: list[str] = [str(word) for word in arguments.get("run_in") or ()]
        self.largest = int(arguments.get("largest", 1 << 30))
        self.apparmor: Mapping[str, Any] = arguments.get("apparmor") or {}


class Trials:
    """Tries confinements of one container, by its twins.

    Args:
        engine: the engine.
        run: what everything is labelled with that is made in the engine.
        kernel: counts refused calls.
        request: what is asked for.
    """

    def __init__(self, engine: Engine, run: str, kernel: Refusals, request: Request) -> None:
        self._run = run
        self._kernel = kernel
        self._request = request
        self._info: dict[str, Any] = engine.get("/info")
        self._versions: dict[str, Any] = engine.get("/version")
        self._original: dict[str, Any] = engine.get(f"/containers/{quoted(request.container)}/json")
        self._unfiltered = description.unfiltered(self._original, self._info, self._versions)
        self._sampler = observe.Sampler(observe.label_file())
        self._world = World(engine, run, [self._original], same=False, largest=request.largest)
        self._subject = Subject(
            engine,
            run,
            self._original,
            world=self._world,
            created=kernel.want,
            removed=kernel.forget,
        )
        self._forwarder: Forwarder | None = None
        self._usual: dict[str, str] = {}  # how the starts of the first trial went, in words
        self._trial: Mapping[str, Any] = {}
        self._life: Life | None = None
        self._earlier: set[int] = set()
        self._note = ""
        self._carried = 0  # connections to twins before the trial
        self._label = ""  # of the AppArmor profile that is loaded under another name

    def begin(self) -> dict[str, Any]:
        """Make the network, and the ports that lead to whatever twin there is; load an AppArmor profile."""
        self._world.make_networks()
        self._forwarder = Forwarder(
            [
                Door(0, port, protocol, (str(port),), self._subject.address)
                for port, protocol in self._subject.ports()
            ]
        )
        missing = list(self._forwarder.refused)
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
        """End the trial that is under way, where ``exercise`` tells how it went; begin the next ``trial``.

        Returns:
            ``observed`` of the one, and ``up``, whether the other is to be exercised.
        """
        answer: dict[str, Any] = {"observed": None, "up": False}
        if message.get("abandon"):
            return None
        if self._life is not None:
            answer["observed"] = self._finish(self._life, message.get("exercise") or {})
            self._life = None
            self._subject.discard()
        if message.get("trial"):
            answer["up"] = self._attempt(message["trial"])
        return answer

    def close(self) -> None:
        """Carry nothing to the twin any more, and look at it no more."""
        self._sampler.leave()
        if self._forwarder is not None:
            self._forwarder.close()

    # --- one trial ------------------------------------------------------------------------------------------

    def _attempt(self, trial: Mapping[str, Any]) -> bool:
        """Start a twin under a confinement; whether it serves."""
        self._trial, self._note = trial, ""
        self._earlier = self._kernel.cgroups()
        self._sampler.clear()
        confinement = self._loaded(trial["confinement"])
        own_filter = confinement is not None and any(
            option.startswith("seccomp=") for option in confinement["host"]["SecurityOpt"]
        )
        self._subject.confine(confinement)
        self._life = life = Life(
            self._subject,
            self._original,
            self._sampler,
            mark=partial(self._kernel.phase, unfiltered=self._unfiltered and not own_filter),
        )
        try:
            life.begin(short=not trial["whole"])
        except Failed as error:
            self._note = describe(error)
            return False
        life.health_check()
        if trial["whole"]:
            life.exec()
        life.serve()
        self._carried = self._connections()
        return not life.phases["serve"]["reason"]

    def _loaded(self, confinement: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """A confinement with the profile that is loaded in the place of the one that it names."""
        wanted = f"apparmor={self._request.apparmor.get('name')}"
        if confinement is None or wanted not in confinement["host"]["SecurityOpt"]:
            return confinement
        options = [option for option in confinement["host"]["SecurityOpt"] if option != wanted]
        if self._label:
            options.append(f"apparmor={apparmor.name(self._run)}")
        return {**confinement, "host": {**confinement["host"], "SecurityOpt": options}}

    def _finish(self, life: Life, exercise: Mapping[str, Any]) -> dict[str, Any]:
        """Do what follows the exercise, and tell what was seen."""
        served = "serve" in life.phases
        if served:
            if self._request.run_in and not exercise.get("problem"):
                life.run_in(self._request.run_in)
            reached = self._connections() > self._carried
            life.served(exercise, "the twin was reached" if reached else "")
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
            "listens": self._sampler.listens(),
            "refusals": [
                {key: value for key, value in each.items() if key != "cgroup"}
                for each in self._kernel.read()
                if each["cgroup"] in mine
            ],
            "missing": [_plain(each) for each in (*self._subject.differences, *life.missing)],
            "note": _plain(self._note),
        }

    def _connections(self) -> int:
        """How many connections to the twins there were until now."""
        return self._forwarder.carried.get(0, 0) if self._forwarder is not None else 0

    def _went_well(self, phase: Mapping[str, Any]) -> bool:
        """Whether a start went as those without the profile did."""
        usual = self._usual.get(phase["name"], self._usual.get(_STARTS[0]))
        if phase["exercised"] and phase["reason"] == usual:
            return True
        self._note = self._note or phase["reason"]
        return False

    def _further(self, life: Life, count: int) -> list[bool]:
        """Stop and start it over and over; how each start went."""
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
                began["reason"] = life.start_again()
            except Failed as error:
                began.update(exercised=False, reason=describe(error))
            found.append(self._went_well(began))
        self._sampler.look()
        return found


def _plain(text: str) -> str:
    """A sentence without the ids of this run, so that two runs say the same."""
    return shown(_ID.sub("ID", " ".join(text.split())), 900)
