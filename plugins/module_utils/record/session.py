"""Record containers from the first phase to the last: control them or their twins, and build the answers."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, Mapping

from ..docker import waiting
from ..host import steps
from ..host.errors import Failed, describe
from . import describe as description
from . import observe, project, restart, runtime
from .account import Account
from .astray import Watch
from .engine import Engine
from .forward import Forwarder
from .layout import PHASES, SLOTS
from .parts import Part, doors, not_recorded, reached, wait_for_others
from .recorder import Recorder
from .twins import Twin, TwinLife
from .world import World

_IDLE = SLOTS - 1  # the slot of the containers that measure the runtime
_NOT_REPEATED = "the exercise was not run with empty volumes: it is no command (--run, --run-in)"


class Request:
    """The request of a recording.

    Args:
        arguments: ``container``, or ``compose`` (as ``project.whole`` takes it); ``seconds`` (of the phase
            serve); ``run_in`` (a command as a list of words; empty for none), ``run_in_service`` (in whose
            twin; empty for that of the container); ``network`` (``own`` or ``same``); ``starts`` (of the
            runtime's base), ``largest`` (bytes of a volume to be copied); ``restart`` (whether the container
            itself is restarted and recorded); ``repeats`` (whether the exercise can be run twice);
            ``owner``, whose ``pid`` is the process of this host that exercises the twins.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.container = str(arguments.get("container") or "")
        self.compose: dict[str, Any] = dict(arguments.get("compose") or {})
        self.seconds = int(arguments["seconds"])
        self.run_in: list[str] = [str(word) for word in arguments.get("run_in") or ()]
        self.run_in_service = str(arguments.get("run_in_service") or "")
        self.same_network = arguments.get("network") == "same"
        self.starts = int(arguments.get("starts", 3))
        self.largest = int(arguments.get("largest", 1 << 30))
        self.restart = bool(arguments.get("restart"))
        self.repeats = bool(arguments.get("repeats"))
        self.owner = int((arguments.get("owner") or {}).get("pid") or 0)


class Session:
    """Records containers with their twins, or a container that is restarted.

    Args:
        engine: the engine.
        run: the label of everything that the session creates in the engine.
        source: counts kernel events.
        request: the options.
    """

    def __init__(self, engine: Engine, run: str, source: Recorder, request: Request) -> None:
        self._engine = engine
        self._run = run
        self._source = source
        self._request = request
        self._began = int(time.time())
        self._info: dict[str, Any] = engine.get("/info")
        self._versions: dict[str, Any] = engine.get("/version")
        self._missing: list[str] = []
        self._idles: dict[str, runtime.Idle] = {}
        self._bases: dict[str, runtime.Base] = {}
        self._granted: dict[str, dict[str, Any]] = {}
        self._losses: list[str] = []
        self._reads: list[dict[str, Any]] | None = None
        self._uses: list[dict[str, Any]] | None = None
        self._forwarder: Forwarder | None = None
        self._watch: Watch | None = None
        cast = self._cast()
        self._remarks = cast.remarks
        for member in cast.members:
            runtime.require_processes_here(self._info, member.original)
        self._world = World(
            engine,
            run,
            [member.original for member in cast.members if not member.restarted],
            same=request.same_network,
            largest=request.largest,
        )
        self._parts = [self._part(number, member) for number, member in enumerate(cast.members)]
        self._exercised = self._recorded[0]
        if request.run_in_service:
            self._exercised = self._parts[project.position(cast.members, request.run_in_service)]

    def _cast(self) -> project.Cast:
        if self._request.restart:
            return restart.cast(self._engine, self._request.container)
        if self._request.compose:
            return project.whole(self._engine, self._request.compose)
        if self._request.same_network:
            return project.alone(self._engine, self._request.container)
        return project.around(self._engine, self._request.container)

    def _part(self, number: int, member: project.Member) -> Part:
        original = member.original
        if not member.recorded:
            subject = Twin(
                self._engine, self._run, original, world=self._world, number=number, created=not_recorded
            )
            return Part(member, subject, TwinLife(subject, original, observe.Unobserved()), None)
        unfiltered = description.unfiltered(original, self._info)
        account = Account(
            self._source,
            number,
            unfiltered=unfiltered,
            own_seccomp=runtime.names_seccomp_profile(original["HostConfig"]),
        )
        if member.restarted:
            return restart.part(self._engine, member, account)
        subject = Twin(
            self._engine,
            self._run,
            original,
            world=self._world,
            number=number,
            created=account.want,
        )
        account.follow(subject)
        life = TwinLife(
            subject,
            original,
            account.sampler,
            mark=account.mark,
            programs=account.look_at_programs,
            changes=subject.collect_changes,
        )
        return Part(member, subject, life, account)

    @property
    def _recorded(self) -> list[Part]:
        return [part for part in self._parts if part.account is not None]

    # --- called in this order -------------------------------------------------------------------------------

    def begin(self) -> dict[str, Any]:
        """Run the phases until the twins can be exercised.

        Returns:
            ``addresses`` of their ports; ``empty``, whether the exercise is run with empty volumes first, and
            ``fill`` has to be called after it.
        """
        self._measure()
        self._world.make_networks()
        for part in self._parts:
            wait_for_others(part, self._parts)
            part.starts = part.life.start_empty()
        if not any(part.starts for part in self._recorded):
            first = self._recorded[0]
            raise Failed(f"the twin does not start: {first.life.phases['start-empty']['reason']}")
        own = [number for number, part in enumerate(self._parts) if part.account is not None]
        ports = [] if self._request.run_in else doors(self._parts, own, others=len(own) > 1)
        self._forwarder = Forwarder(ports)
        self._missing += self._forwarder.refused
        if not (self._request.restart or self._request.run_in):
            originals = [part.member.original for part in self._parts]
            self._watch = Watch(self._engine, self._run, originals, owner=self._request.owner)
        empty = any(part.subject.begins_empty and part.subject.runs() for part in self._recorded)
        if empty and self._request.repeats:
            self._serve("serve-empty")
        else:
            self._missing += [_NOT_REPEATED] if empty else []
            self._use()
        return {"addresses": self._forwarder.addresses, "empty": empty and self._request.repeats}

    def fill(self, exercise: Mapping[str, Any]) -> None:
        """End the exercise with empty volumes, and run the phases until the twins can be exercised again."""
        self._served(exercise)
        self._use()

    def _use(self) -> None:
        """Run the phases from the end of the first start to the exercise with copies of the volumes."""
        for part in reversed(self._parts):
            if part.starts:
                part.life.stop_first()
        for part in self._parts:
            if part.starts:
                wait_for_others(part, self._parts)
                part.life.start_used()
            elif part.account is None:
                reason = part.life.phases["start-empty"]["reason"]
                self._remarks.append(f"the copy of {part.member.name} does not start: {reason}")
        for part in self._recorded:
            part.life.health_check()
            part.life.exec()
        self._serve("serve")
        if not any(part.subject.runs() for part in self._parts):
            self._missing.append("no container of the recording runs: nothing can be exercised")

    def _serve(self, phase: str) -> None:
        if self._forwarder is not None:
            self._forwarder.forget()
        for part in self._parts:
            part.life.serve(phase)

    def _served(self, exercise: Mapping[str, Any]) -> None:
        """Decide of each twin whether the exercise is valid."""
        if self._request.run_in and not exercise.get("problem"):
            problem = self._exercised.life.run_in(self._request.run_in, seconds=self._request.seconds)
            exercise = {**exercise, "problem": problem}
        elif self._watch is not None:
            exercise = self._watch.checked(exercise)
        ways = [self._reached(number) for number in range(len(self._parts))]
        for part, how in zip(self._parts, ways):
            part.life.served(exercise, how)
            part.life.require_running()

    def end(self, exercise: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run the phases after the exercise; return an answer for each recorded twin."""
        self._served(exercise)
        ports = [part.life.ports() for part in self._parts]
        for part in self._recorded:
            part.life.reload()
        for part in self._recorded:
            part.life.crash_restart()
        for part in reversed(self._recorded):
            part.life.stop()
        found = self._source.read()
        self._reads = self._source.reads()
        with suppress(Failed):  # reasons on a page are no reason to fail
            self._uses = self._source.uses()
        self._losses = self._source.losses()
        return [
            self._answer(part, part.account, found, served)
            for part, served in zip(self._parts, ports)
            if part.account is not None
        ]

    def close(self) -> None:
        """Stop forwarding to the twins and sampling them."""
        for part in self._recorded:
            if part.account is not None:
                part.account.sampler.leave()
        if self._forwarder is not None:
            self._forwarder.close()
        if self._watch is not None:
            self._watch.close()

    # --- before the first phase -----------------------------------------------------------------------------

    def _measure(self) -> None:
        """Measure the runtimes' own system calls, and the engine's default privileges."""
        if not self._request.starts:
            self._missing.append("the runtime's own calls were not measured: not requested")
            return
        archive = waiting.image(os.uname().machine)
        problem = "this architecture is not supported" if archive is None else ""
        if archive is not None:
            steps.begin("measure the runtime")
            self._source.phase(PHASES[0], slot=_IDLE)
            try:
                for part in self._recorded:
                    self._measure_for(part.member.original, archive)
            except Failed as error:
                problem = describe(error)
        if problem:
            self._missing.append(f"the runtime's own calls were not measured: {problem}")

    def _measure_for(self, original: Mapping[str, Any], archive: bytes) -> None:
        name = runtime.default_runtime(self._info, original)
        if name not in self._idles:
            idle = runtime.Idle(self._engine, self._run, archive, name, series=len(self._idles))
            self._idles[name] = idle
        self._granted[original["Id"]] = runtime.granted(self._idles[name], original["HostConfig"])
        if name not in self._bases:
            self._bases[name] = runtime.starts(
                self._idles[name],
                lambda identity: self._source.want(identity, _IDLE),
                self._request.starts,
            )

    # --- several twins --------------------------------------------------------------------------------------

    def _reached(self, number: int) -> str:
        carried = self._forwarder.carried if self._forwarder is not None else {}
        return reached(number, self._parts, carried, elsewhere=bool(self._request.run_in))

    # --- results --------------------------------------------------------------------------------------------

    def _answer(
        self,
        part: Part,
        account: Account,
        found: Mapping[str, list[dict[str, Any]]],
        ports: list[dict[str, Any]],
    ) -> dict[str, Any]:
        original, life = part.member.original, part.life
        name = runtime.default_runtime(self._info, original)
        base = self._bases.get(name)
        losses = [*self._losses, *account.losses()]
        own = "calls that the container's own seccomp profile refuses are not recorded"
        for phase in PHASES:
            if phase != "serve-empty":  # of containers with empty volumes only
                life.skip(phase, "the recording ended before this phase")
        problems = self._source.problems
        return description.answer(
            description.Seen(
                began=self._began,
                network=part.subject.network,
                companions=[each.member.name for each in self._parts if each is not part],
                missing=[
                    *part.subject.differences,
                    *self._world.remarks,
                    *self._remarks,
                    *self._missing,
                    *life.missing,
                    *([own] if account.seccomp else []),
                    *problems,
                    *losses,
                ],
                complete=not losses and not problems and base is not None,
                capabilities_by=self._source.capabilities_by,
                phases=[life.phases[phase] for phase in PHASES if phase in life.phases],
                found=found,
                cgroups=account.cgroups(),
                base=base,
                starts=self._request.starts,
                programs=account.programs,
                identities=account.sampler.identities(),
                ports=ports,
                listens=account.sampler.listens() if part.subject.has_own_network else [],
                reads=account.own(self._reads),
                uses=account.own(self._uses),
                files={kind: sorted(paths) for kind, paths in part.subject.files.items()},
                owners=part.subject.owners,
                folders=part.subject.folders,
                shell=part.subject.shell,
                granted={
                    **(self._granted.get(original["Id"]) or {"capabilities": [], "seccomp": None}),
                    "chosen": account.seccomp,
                },
                peak={"pids": account.sampler.pids, "memory_bytes": account.sampler.memory},
            ),
            original=original,
            info=self._info,
            versions=self._versions,
            runtime_name=name,
        )
