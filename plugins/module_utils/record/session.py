"""A recording from its first phase to its last: what is done to the twin, and what is answered of it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import Any, Iterator, Mapping

from ..docker.client import quoted
from ..host.errors import Failed, describe
from . import describe as description
from . import elf, observe, runtime
from .engine import Engine
from .forward import Forwarder
from .layout import PHASES
from .recorder import Recorder, unified_cgroups
from .subject import Subject
from .text import shown

_NO_PROGRAM = "/hardener-there-is-no-such-program"
_NOT_REACHED = "the recording ended before"
_GONE = "the container did not run any more"


class Request:
    """What is asked for.

    Args:
        arguments: ``container``, ``seconds`` (of the phase serve), ``run_in`` (a command as a list of words;
            empty for none), ``starts`` (of the runtime's base), ``largest`` (bytes of a volume to be copied).
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.container = str(arguments["container"])
        self.seconds = int(arguments["seconds"])
        self.run_in: list[str] = [str(word) for word in arguments.get("run_in") or ()]
        self.starts = int(arguments.get("starts", 3))
        self.largest = int(arguments.get("largest", 1 << 30))


class Session:
    """Records one container by its twin.

    Args:
        engine: the engine.
        run: what everything is labelled with that the session makes in the engine.
        recorder: counts.
        request: what is asked for.
    """

    def __init__(self, engine: Engine, run: str, recorder: Recorder, request: Request) -> None:
        self._engine = engine
        self._run = run
        self._recorder = recorder
        self._request = request
        self._began = int(time.time())
        self._info: dict[str, Any] = engine.get("/info")
        self._versions: dict[str, Any] = engine.get("/version")
        self._original: dict[str, Any] = engine.get(f"/containers/{quoted(request.container)}/json")
        self._runtime = runtime.default_runtime(self._info, self._original)
        self._unfiltered = description.unfiltered(self._original, self._info, self._versions)
        self._tree = unified_cgroups() or ""
        self._sampler = observe.Sampler(observe.label_file())
        self._phases: dict[str, dict[str, Any]] = {}
        self._missing: list[str] = []
        self._programs: dict[str, dict[str, Any]] = {}
        self._base: dict[bool, set[int]] | None = None
        self._granted: dict[str, Any] = {"capabilities": [], "seccomp": None}
        self._forwarder: Forwarder | None = None
        self._accepted = 0
        self._subject = Subject(engine, run, self._original, largest=request.largest, created=recorder.want)

    # --- what the caller does, in this order ----------------------------------------------------------------

    def begin(self) -> dict[str, str]:
        """Do everything up to the phase in which the twin serves; the addresses of its ports."""
        self._measure()
        self._subject.make_network()
        self._start_empty()
        self._health_check()
        self._exec()
        with self._phase("serve"):
            if not self._subject.runs():
                raise Failed(_GONE)
            self._accepted = observe.accepted(self._subject.pid)
        self._phases["serve"]["exercised"] = False  # until something has reached it
        self._forwarder = Forwarder(self._subject.ports(), self._subject.address)
        self._missing += self._forwarder.refused
        return self._forwarder.addresses

    def end(self, exercise: Mapping[str, Any]) -> dict[str, Any]:
        """Do everything after the phase in which the twin served; the answer."""
        self._served(exercise)
        self._reload()
        if self._subject.runs():
            self._subject.collect_changes()
            with self._phase("crash-restart") as phase:
                self._subject.crash()
                phase["reason"] = self._start()
        with self._phase("stop") as phase:
            self._stop(phase)
        self._subject.collect_changes()
        return self._answer()

    def close(self) -> None:
        """Carry nothing to the twin any more, and look at it no more."""
        self._sampler.leave()
        if self._forwarder is not None:
            self._forwarder.close()

    # --- before the first phase -----------------------------------------------------------------------------

    def _measure(self) -> None:
        """Measure what the runtime does by itself, and what the engine grants."""
        if not self._request.starts:
            self._missing.append("the runtime's own calls were not measured: that was not asked for")
            return
        archive = elf.image(os.uname().machine)
        problem = "this architecture is not known" if archive is None else ""
        if archive is not None:
            self._recorder.phase(PHASES[0])
            try:
                idle = runtime.Idle(self._engine, self._run, archive, self._runtime)
                self._granted = runtime.granted(idle, self._original["HostConfig"])
                self._base = runtime.starts(idle, self._recorder.want, self._request.starts)
            except Failed as error:
                problem = describe(error)
        if problem:
            self._missing.append(f"the runtime's own calls were not measured: {problem}")

    # --- phases ---------------------------------------------------------------------------------------------

    @contextmanager
    def _phase(self, name: str) -> Iterator[dict[str, Any]]:
        """Record what is done under the name of a phase; where it fails, the phase was not exercised."""
        found = self._phases.setdefault(
            name, {"name": name, "exercised": False, "reason": "", "seconds": 0.0}
        )
        self._recorder.phase(name, unfiltered=self._unfiltered)
        self._sampler.phase(PHASES.index(name))
        began = time.monotonic()
        try:
            yield found
            found["exercised"] = True
        except Failed as error:
            if found["exercised"]:
                self._missing.append(f"the phase {name} was not repeated: {describe(error)}")
            else:
                found["reason"] = describe(error)
        finally:
            self._sampler.look()
            found["seconds"] = round(found["seconds"] + time.monotonic() - began, 1)

    def _skip(self, name: str, reason: str) -> None:
        self._phases.setdefault(name, {"name": name, "exercised": False, "reason": reason, "seconds": 0.0})

    def _start_empty(self) -> None:
        """The first start, with empty volumes; then one with what there was before."""
        has_volumes = False
        with self._phase("start-empty") as phase:
            has_volumes = self._subject.create(used=False)
            phase["reason"] = self._start()
        if not self._phases["start-empty"]["exercised"]:
            raise Failed(f"the twin does not start: {self._phases['start-empty']['reason']}")
        if self._subject.runs():
            self._subject.collect_changes()  # of what is removed again when it stops, too
            with self._phase("stop") as phase:
                self._stop(phase)
        else:
            self._missing.append("the container ends by itself: what comes after a start cannot be exercised")
        self._subject.collect_changes()
        with self._phase("start-used") as phase:
            if has_volumes:
                try:
                    self._subject.create(used=True)
                except Failed as error:
                    self._missing.append(f"the twin went on with its own volumes: {describe(error)}")
            phase["reason"] = self._start()

    def _start(self) -> str:
        reason = self._subject.start(self._tree)
        if self._subject.cgroup is not None:
            self._sampler.follow(self._subject.pid, self._subject.cgroup)
        self._look_at_programs()
        return reason

    def _stop(self, phase: dict[str, Any]) -> None:
        if not self._subject.runs():
            raise Failed(_GONE)
        self._look_at_programs()
        self._sampler.look()
        self._sampler.leave()
        phase["reason"] = self._subject.stop()

    def _health_check(self) -> None:
        test = (self._original["Config"].get("Healthcheck") or {}).get("Test") or []
        if not test or test[0] == "NONE":
            self._skip("health-check", "the container has no health check")
            return
        shell = self._original["Config"].get("Shell") or ["/bin/sh", "-c"]
        words = [*shell, *test[1:2]] if test[0] == "CMD-SHELL" else list(test[1:])
        with self._phase("health-check") as phase:
            code = self._subject.run(words)
            self._look_at_programs()
            if code != 0:
                raise Failed(f"the health check ended with code {code}")
            phase["reason"] = "it was run once"

    def _exec(self) -> None:
        with self._phase("exec") as phase:
            if not self._subject.runs():
                raise Failed(_GONE)
            try:
                self._subject.run([_NO_PROGRAM])
            except Failed:
                pass  # of course: all but the program's own part has happened
            phase["reason"] = "the runtime's part of it; no program was run"

    def _served(self, exercise: Mapping[str, Any]) -> None:
        """Decide whether the exercise counts: what reached no twin exercised nothing."""
        serve = self._phases["serve"]
        serve["seconds"] = round(float(exercise.get("seconds") or 0), 1)
        problem = serve["reason"] or shown(str(exercise.get("problem") or ""), 500)
        reached = observe.accepted(self._subject.pid) > self._accepted
        if self._request.run_in and not problem:
            with self._phase("serve") as phase:
                code = self._subject.run(self._request.run_in)
                if code != 0:
                    raise Failed(f"the command in the twin ended with code {code}")
                phase["reason"] = "a command in the twin"
        elif problem:
            serve["reason"] = problem
        elif reached:
            serve.update(exercised=True, reason="the twin was reached")
        else:
            serve["reason"] = "nothing reached the twin"
        self._sampler.look()
        self._look_at_programs()

    def _reload(self) -> None:
        if not self._subject.runs():
            self._skip("reload", _GONE)
            return
        try:
            handled = observe.catches(self._subject.program(), signal.SIGHUP)
        except OSError:
            handled = False
        if not handled:
            self._skip("reload", "the program handles no SIGHUP, and no other way is known")
            return
        with self._phase("reload") as phase:
            self._subject.signal("SIGHUP")
            time.sleep(0.3)
            self._subject.settle()
            if not self._subject.runs():
                raise Failed("SIGHUP ended the program: it is no way to reload it")
            phase["reason"] = "by SIGHUP"
        if not self._subject.runs():
            with self._phase("crash-restart") as phase:
                phase["reason"] = self._start()

    # --- what was seen --------------------------------------------------------------------------------------

    def _look_at_programs(self) -> None:
        """Remember owners and file capabilities of executed programs, while there is a root to look in."""
        cgroups = self._cgroups()
        paths = {
            each["path"]
            for each in self._recorder.read_one("execs")
            if each["cgroup"] in cgroups and each["path"].startswith(b"/")
        }
        new = [path for path in sorted(paths) if shown(path) not in self._programs]
        if new and self._subject.has_process():
            self._programs.update(observe.programs(self._subject.pid, new))

    def _cgroups(self) -> set[int]:
        """The cgroups that the twin had; another one with each start."""
        others: set[int] = set().union(*self._base.values()) if self._base else set()
        return self._recorder.cgroups() - others

    def _answer(self) -> dict[str, Any]:
        losses = [f"of the {what} {count} had no room" for what, count in self._recorder.losses().items()]
        if self._sampler.divided:
            losses.append("what runs in control groups below the container's own was not recorded")
        if self._sampler.cut:
            losses.append("there were more identities of programs than are listed")
        if self._sampler.unfiltered and not self._unfiltered:
            losses.append("a program ran without a seccomp filter: its calls were not recorded")
        for name in PHASES:
            self._skip(name, _NOT_REACHED)
        return description.answer(
            description.Seen(
                began=self._began,
                network="own" if self._subject.network else "none",
                missing=[*self._subject.differences, *self._missing, *self._recorder.problems, *losses],
                complete=not losses and not self._recorder.problems and self._base is not None,
                capabilities_by=self._recorder.capabilities_by,
                phases=[self._phases[name] for name in PHASES],
                found=self._recorder.read(),
                cgroups=self._cgroups(),
                base=self._base,
                starts=self._request.starts,
                programs=self._programs,
                identities=self._sampler.identities(),
                listens=self._sampler.listens(),
                files={name: sorted(paths) for name, paths in self._subject.files.items()},
                owners=self._subject.owners,
                granted=self._granted,
                peak={"pids": self._sampler.pids, "memory_bytes": self._sampler.memory},
            ),
            original=self._original,
            info=self._info,
            versions=self._versions,
            runtime_name=self._runtime,
        )
