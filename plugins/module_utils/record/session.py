"""A recording from its first phase to its last: what is done to the twin, and what is answered of it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set

from ..snapshot.bounds import Failed, describe, read_or
from . import describe as description
from . import observe, runtime, twin, volumes, workspace
from .bpf import Recorder, unified_cgroups
from .engineapi import Engine, quoted
from .forward import Forwarder
from .layout import PHASES
from .text import shown

_SETTLED = 0.4  # seconds in which no process of the container wants the processor
_SETTLE = 20.0
_LISTEN = 10.0
_EXEC_SECONDS = 60
_STOP_SECONDS = 30
_NO_PROGRAM = "/hardener-there-is-no-such-program"
_NOT_RUN = "an earlier phase ended the recording"
_MAX_CHANGES = 10_000
_NAMED_PID_ONE = frozenset({"docker-init", "tini", "dumb-init"})


class Request:
    """What is asked for.

    Args:
        arguments: ``container``, ``seconds`` (of the phase serve), ``network`` (``own`` or ``same``), ``run_in``
            (a command as a list of words, or null), ``starts`` (of the runtime's base), ``largest`` (bytes of a
            volume that may be copied).
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.container = str(arguments["container"])
        self.seconds = int(arguments["seconds"])
        self.run_in: Optional[List[str]] = arguments.get("run_in")
        self.starts = int(arguments.get("starts", 5))
        self.largest = int(arguments.get("largest", 1 << 30))


class Session:
    """Records one container by its twin.

    Args:
        engine: the engine.
        space: the run's own folder.
        recorder: counts.
        request: what is asked for.
    """

    def __init__(
        self, engine: Engine, space: workspace.Workspace, recorder: Recorder, request: Request
    ) -> None:
        self._engine = engine
        self._space = space
        self._recorder = recorder
        self._request = request
        self._began = int(time.time())
        self._info: Dict[str, Any] = engine.get("/info")
        self._versions: Dict[str, Any] = engine.get("/version")
        self._original: Dict[str, Any] = engine.get(f"/containers/{quoted(request.container)}/json")
        self._image: Dict[str, Any] = engine.get(f"/images/{quoted(self._original['Image'])}/json")
        self._runtime = runtime.default_runtime(self._info, self._original)
        self._tree = unified_cgroups() or ""
        self._sampler = observe.Sampler(observe.label_file())
        self._phases: Dict[str, Dict[str, Any]] = {}
        self._missing: List[str] = []
        self._cgroups: Set[int] = set()
        self._programs: Dict[str, Dict[str, Any]] = {}
        self._files: Dict[str, Set[str]] = {"written": set(), "created": set(), "deleted": set()}
        self._base: Optional[Dict[bool, Set[int]]] = None
        self._granted: Dict[str, Any] = {"capabilities": [], "seccomp": None}
        self._network: Optional[str] = None
        self._plan: Optional[twin.Twin] = None
        self._identity = ""
        self._pid = 0
        self._started = 0.0
        self._forwarder: Optional[Forwarder] = None
        self._accepted = 0
        self._unfiltered = description.unfiltered(self._original, self._info, self._versions)

    # --- what the caller does, in this order ----------------------------------------------------------------

    def begin(self) -> Dict[str, str]:
        """Do everything up to the phase in which the twin serves; the addresses of its ports."""
        self._measure()
        self._make_network()
        has_volumes = False
        with self._phase("start-empty") as phase:
            plan = self._create(used=False)
            has_volumes = bool(plan.volumes)
            self._start(phase)
        if not self._runs():
            self._end_of_program("start-empty")
        if has_volumes:
            with self._phase("stop"):
                self._stop()
            self._collect_changes()
            self._remove()
        with self._phase("start-used") as phase:
            if has_volumes:
                self._create(used=True)
            else:
                self._engine.call("POST", f"/containers/{self._identity}/stop", timeout=_STOP_SECONDS + 30)
            self._start(phase)
        self._health_check()
        self._exec()
        self._serve()
        assert self._plan is not None
        self._forwarder = Forwarder(self._plan.ports if self._network else [], self._address)
        return self._forwarder.addresses

    def end(self, exercise: Mapping[str, Any]) -> Dict[str, Any]:
        """Do everything after the phase in which the twin served; the answer."""
        self._served(exercise)
        self._reload()
        with self._phase("crash-restart") as phase:
            self._engine.call("POST", f"/containers/{self._identity}/kill", query={"signal": "SIGKILL"})
            self._wait(lambda: not self._runs(), 10, "the twin cannot be killed")
            self._start(phase)
        with self._phase("stop") as phase:
            self._stop()
            phase["reason"] = f"it ended with code {self._state().get('ExitCode')}"
        self._collect_changes()
        return self._answer()

    # --- before the first phase -----------------------------------------------------------------------------

    def _measure(self) -> None:
        from . import elf

        archive = elf.image(os.uname().machine)
        if archive is None:
            self._missing.append("The runtime's own calls were not measured: this architecture is not known.")
            return
        self._recorder.phase("start-empty")
        try:
            idle = runtime.Idle(self._engine, self._space.run, archive, self._runtime)
            self._granted = runtime.granted(idle)
            self._base = runtime.starts(idle, self._recorder.want, self._request.starts)
        except Failed as error:
            self._missing.append(f"The runtime's own calls were not measured: {describe(error)}.")

    def _make_network(self) -> None:
        mode = str(self._original["HostConfig"].get("NetworkMode") or "default")
        if mode == "none":
            return
        name = workspace.prefix(self._space.run)
        body = {"Name": name, "Internal": True, "Labels": {twin.LABEL: self._space.run}, "Driver": "bridge"}
        self._engine.call("POST", "/networks/create", body)
        self._network = name

    # --- phases ---------------------------------------------------------------------------------------------

    @contextmanager
    def _phase(self, name: str) -> Iterator[Dict[str, Any]]:
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
            if not found["exercised"]:
                found["reason"] = describe(error)
            else:
                self._missing.append(f"The phase {name} was not repeated: {describe(error)}.")
        finally:
            found["seconds"] = round(found["seconds"] + time.monotonic() - began, 1)

    def _skip(self, name: str, reason: str) -> None:
        self._phases.setdefault(name, {"name": name, "exercised": False, "reason": reason, "seconds": 0.0})

    def _health_check(self) -> None:
        test = (self._original["Config"].get("Healthcheck") or {}).get("Test") or []
        if not test or test[0] == "NONE":
            self._skip("health-check", "the container has no health check")
            return
        shell = self._original["Config"].get("Shell") or ["/bin/sh", "-c"]
        words = [*shell, *test[1:2]] if test[0] == "CMD-SHELL" else list(test[1:])
        with self._phase("health-check") as phase:
            code = self._run(words)
            if code != 0:
                raise Failed(f"the health check ended with code {code}")
            phase["reason"] = "it was run once"

    def _exec(self) -> None:
        with self._phase("exec") as phase:
            self._run([_NO_PROGRAM])
            phase["reason"] = "the runtime's part of it; no program was run"

    def _serve(self) -> None:
        with self._phase("serve"):
            if not self._runs():
                raise Failed("the container does not run any more")
            self._accepted = observe.accepted(self._pid)
        self._phases["serve"]["exercised"] = False  # until something has reached it

    def _served(self, exercise: Mapping[str, Any]) -> None:
        """Decide whether the exercise counts: what reached no twin exercised nothing."""
        serve = self._phases["serve"]
        if serve["reason"]:
            return
        reached = observe.accepted(self._pid) - self._accepted if self._pid else 0
        serve["seconds"] = round(float(exercise.get("seconds", 0)), 1)
        if self._request.run_in:
            with self._phase("serve") as phase:
                code = self._run(self._request.run_in)
                if code != 0:
                    raise Failed(f"the command in the container ended with code {code}")
                phase["reason"] = "the command ended with code 0 in the container"
            return
        problem = shown(str(exercise.get("problem") or ""), 500)
        if problem:
            serve["reason"] = problem
        elif not reached:
            serve["reason"] = "no connection reached the twin"
        else:
            serve["exercised"] = True
            serve["reason"] = f"the twin accepted connections"
        self._look_at_programs()

    def _reload(self) -> None:
        if not self._runs():
            self._skip("reload", "the container did not run any more")
            return
        target = self._first_program()
        if not observe.catches(target, signal.SIGHUP):
            self._skip("reload", "the program handles no SIGHUP, and the image declares no other way")
            return
        with self._phase("reload") as phase:
            self._engine.call("POST", f"/containers/{self._identity}/kill", query={"signal": "SIGHUP"})
            time.sleep(0.3)
            if self._runs():
                self._settle()
            if not self._runs():
                raise Failed("SIGHUP ended the program: it is no way to reload it")
            phase["reason"] = "by SIGHUP"
        if not self._runs():
            with self._phase("crash-restart") as phase:
                self._start(phase)

    def _first_program(self) -> int:
        """The program of the container; an init of the engine's only passes signals on."""
        if read_or(f"/proc/{self._pid}/comm", "") in _NAMED_PID_ONE:
            children = read_or(f"/proc/{self._pid}/task/{self._pid}/children", "").split()
            if children:
                return int(children[0])
        return self._pid

    # --- the twin -------------------------------------------------------------------------------------------

    def _create(self, *, used: bool) -> twin.Twin:
        kinds = {
            mount["Source"]: volumes.kind(mount["Source"])
            for mount in self._original.get("Mounts") or ()
            if mount["Type"] == "bind"
        }
        plan = twin.plan(
            self._original,
            run=self._space.run,
            network=self._network,
            used=used,
            kinds=kinds,
            low_ports=read_or("/proc/sys/net/ipv4/ip_unprivileged_port_start", "") or None,
        )
        name = f"{workspace.prefix(self._space.run)}-{'used' if used else 'empty'}"
        self._check_size(plan)
        self._identity = str(
            self._engine.call("POST", "/containers/create", plan.body, query={"name": name})["Id"]
        )
        for volume in plan.volumes:
            if volume.copied:
                folder = os.path.dirname(volume.target.rstrip("/")) or "/"
                self._engine.copy(
                    self._original["Id"], volume.target, self._identity, folder, most=self._request.largest
                )
        self._plan = plan
        for difference in plan.differences:
            sentence = f"{difference[0].upper()}{difference[1:]}."
            if sentence not in self._missing:
                self._missing.append(sentence)
        self._recorder.want(self._identity)
        return plan

    def _check_size(self, plan: twin.Twin) -> None:
        sources = {mount["Destination"]: mount.get("Source") for mount in self._original.get("Mounts") or ()}
        for volume in plan.volumes:
            source = sources.get(volume.target)
            if volume.copied and source:
                size = volumes.size(source, self._request.largest)
                if size > self._request.largest:
                    raise Failed(
                        f"{volume.target} holds more than {self._request.largest} bytes: it is not copied"
                    )

    def _start(self, phase: Dict[str, Any]) -> None:
        """Start the twin and wait until it has settled and listens."""
        self._started = time.time()
        self._engine.call("POST", f"/containers/{self._identity}/start", timeout=120)
        self._pid = int(self._state().get("Pid") or 0)
        if self._pid:
            try:
                cgroup = observe.Cgroup(self._pid, self._tree)
            except (OSError, KeyError):
                cgroup = None
            if cgroup is not None:
                self._cgroups.add(cgroup.identity)
                self._sampler.follow(self._pid, cgroup)
                self._cgroup = cgroup
        self._settle()
        self._look_at_programs()
        if not self._runs():
            phase["reason"] = f"it ended by itself with code {self._state().get('ExitCode')}"
            return
        assert self._plan is not None
        waited = {port for port, protocol in self._plan.ports if protocol == "tcp"}
        silent = sorted(waited - {port for _, port in observe.listening(self._pid)})
        phase["reason"] = f"nothing listens on port {silent[0]}" if silent else "it started"

    def _settle(self) -> None:
        """Wait until no process wants the processor, and the published ports are listened on."""
        assert self._plan is not None
        wanted = {port for port, protocol in self._plan.ports if protocol == "tcp"}
        began = quiet = time.monotonic()
        last = (-1, 0)
        while time.monotonic() - began < _SETTLE and self._runs_now():
            ticks, wanting = observe.busy(self._cgroup)
            if wanting or ticks - last[0] > 1:
                quiet = time.monotonic()
            last = (ticks, wanting)
            listens = wanted <= {port for _, port in observe.listening(self._pid)}
            if time.monotonic() - quiet >= _SETTLED and (listens or time.monotonic() - began > _LISTEN):
                break
            time.sleep(0.05)
        self._sampler.look()

    def _stop(self) -> None:
        self._look_at_programs()
        self._sampler.leave()
        seconds = min(int(self._original["Config"].get("StopTimeout") or 10), _STOP_SECONDS)
        self._engine.call(
            "POST", f"/containers/{self._identity}/stop", query={"t": str(seconds)}, timeout=seconds + 30
        )

    def _remove(self) -> None:
        self._engine.call("DELETE", f"/containers/{self._identity}", query={"force": "1", "v": "1"})

    def _run(self, words: List[str]) -> Optional[int]:
        """Run a program in the twin, as the engine does for `docker exec`; its exit code."""
        if not self._runs():
            raise Failed("the container does not run any more")
        body = {"Cmd": words, "AttachStdout": True, "AttachStderr": True}
        made = self._engine.call("POST", f"/containers/{self._identity}/exec", body)["Id"]
        # Attached, the answer ends with the program; one that the runtime does not find is no error here.
        try:
            self._engine.call("POST", f"/exec/{made}/start", {"Detach": False}, timeout=_EXEC_SECONDS)
        except Failed:
            if words != [_NO_PROGRAM]:
                raise
        code = self._engine.get(f"/exec/{made}/json").get("ExitCode")
        self._look_at_programs()
        return code if isinstance(code, int) else None

    def _state(self) -> Dict[str, Any]:
        state: Dict[str, Any] = self._engine.get(f"/containers/{self._identity}/json")["State"]
        return state

    def _runs(self) -> bool:
        return bool(self._identity) and bool(self._state().get("Running"))

    def _runs_now(self) -> bool:
        """Whether its first process is there: cheaper than asking the engine."""
        return self._pid > 0 and os.path.exists(f"/proc/{self._pid}/ns")

    def _address(self) -> str:
        found = self._engine.get(f"/containers/{self._identity}/json")["NetworkSettings"]["Networks"]
        return str(found[self._network]["IPAddress"])

    def _wait(self, ready: Callable[[], bool], seconds: float, problem: str) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise Failed(problem)
            time.sleep(0.05)

    def _end_of_program(self, phase: str) -> None:
        if self._phases[phase]["exercised"]:
            self._missing.append("The container ends by itself: nothing after its start could be exercised.")

    # --- what was seen --------------------------------------------------------------------------------------

    def _look_at_programs(self) -> None:
        """Remember owners and file capabilities of executed programs, while there is a root to look in."""
        paths = {
            each["path"]
            for each in self._recorder.read_one("execs")
            if each["cgroup"] in self._cgroups and each["path"].startswith(b"/")
        }
        new = [path for path in paths if shown(path) not in self._programs]
        if new and self._runs_now():
            self._programs.update(observe.executables(self._pid, new))

    def _collect_changes(self) -> None:
        """Paths that the twin has changed: in its writable layer, and in its volumes."""
        words = {0: "written", 1: "created", 2: "deleted"}
        changes = self._engine.get(f"/containers/{self._identity}/changes") or []
        for change in changes[:_MAX_CHANGES]:
            self._files[words.get(change.get("Kind"), "written")].add(shown(str(change.get("Path"))))
        if len(changes) > _MAX_CHANGES:
            self._missing.append(f"Of {len(changes)} changed paths {_MAX_CHANGES} are listed.")
        mounts = self._engine.get(f"/containers/{self._identity}/json").get("Mounts") or ()
        for mount in mounts:
            if mount.get("Type") == "volume":
                for path, made in volumes.changed(mount["Source"], mount["Destination"], self._started):
                    self._files["created" if made else "written"].add(shown(path))

    def _answer(self) -> Dict[str, Any]:
        self._sampler.look()
        found = self._recorder.read()
        lost = [f"Of the {what} {count} had no room." for what, count in self._recorder.losses().items()]
        if self._sampler.divided:
            lost.append("What runs in control groups below the container's own is not recorded.")
        if self._sampler.cut:
            lost.append("There were more identities of programs than are listed.")
        for name in PHASES:
            self._skip(name, _NOT_RUN)
        return description.answer(
            began=self._began,
            original=self._original,
            image=self._image,
            info=self._info,
            versions=self._versions,
            runtime_name=self._runtime,
            network="own" if self._network else "none",
            missing=[*self._missing, *self._recorder.problems, *lost],
            complete=not lost and not self._recorder.problems,
            capabilities_by=self._recorder.capabilities_by,
            phases=[self._phases[name] for name in PHASES],
            found=found,
            cgroups=self._cgroups,
            base=self._base,
            starts=self._request.starts,
            programs=self._programs,
            identities=self._sampler.identities(),
            listens=self._sampler.listens(),
            files={name: sorted(paths) for name, paths in self._files.items()},
            granted=self._granted,
            peak={"pids": self._sampler.pids, "memory_bytes": self._sampler.memory},
        )

    def close(self) -> None:
        """Remove everything that the run made in the engine."""
        self._sampler.leave()
        if self._forwarder is not None:
            self._forwarder.close()
