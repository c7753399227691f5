"""A recording from its first phase to its last: what is done to the twin, and what is answered of it."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any, Mapping

from ..docker.client import quoted
from ..host.errors import Failed, describe
from . import describe as description
from . import elf, observe, runtime
from .engine import Engine
from .forward import Forwarder
from .layout import PHASES
from .life import Life
from .recorder import Recorder
from .subject import Subject
from .text import shown

_NOT_REACHED = "the recording ended before"


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
        self._sampler = observe.Sampler(observe.label_file())
        self._missing: list[str] = []
        self._programs: dict[str, dict[str, Any]] = {}
        self._base: dict[bool, set[int]] | None = None
        self._granted: dict[str, Any] = {"capabilities": [], "seccomp": None}
        self._forwarder: Forwarder | None = None
        self._subject = Subject(engine, run, self._original, largest=request.largest, created=recorder.want)
        self._life = Life(
            self._subject,
            self._original,
            self._sampler,
            mark=partial(recorder.phase, unfiltered=self._unfiltered),
            programs=self._look_at_programs,
            changes=self._subject.collect_changes,
        )

    # --- what the caller does, in this order ----------------------------------------------------------------

    def begin(self) -> dict[str, str]:
        """Do everything up to the phase in which the twin serves; the addresses of its ports."""
        self._measure()
        self._subject.make_network()
        self._life.begin()
        self._life.health_check()
        self._life.exec()
        self._life.serve()
        self._forwarder = Forwarder(self._subject.ports(), self._subject.address)
        self._missing += self._forwarder.refused
        return self._forwarder.addresses

    def end(self, exercise: Mapping[str, Any]) -> dict[str, Any]:
        """Do everything after the phase in which the twin served; the answer."""
        self._life.served(exercise, self._request.run_in)
        self._life.reload()
        self._life.crash_restart()
        self._life.stop()
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
            self._life.skip(name, _NOT_REACHED)
        return description.answer(
            description.Seen(
                began=self._began,
                network="own" if self._subject.network else "none",
                missing=[
                    *self._subject.differences,
                    *self._missing,
                    *self._life.missing,
                    *self._recorder.problems,
                    *losses,
                ],
                complete=not losses and not self._recorder.problems and self._base is not None,
                capabilities_by=self._recorder.capabilities_by,
                phases=[self._life.phases[name] for name in PHASES],
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
