"""Make the engine apply a changed configuration without losing a container.

Reload if the engine accepts the changed keys while it runs, else restart. If live-restore is off before a
restart, a reload switches it on first, so that containers survive; an undo does the same. If containers
cannot survive, the impact of the restart says so.
"""

from __future__ import annotations

import json
import os
import signal
import time
from functools import cached_property
from typing import Any, Iterable, Mapping, Sequence

from ... import contract
from ...docker.http import NoAnswer
from ...docker.keys import RELOADABLE, changed_since, value_of
from ...docker.losses import PARTS, REGISTRIES
from .. import containers, daemonconfig, effective_values, files, jsonkeys, system
from .. import engine as engine_unit
from ..daemonconfig import TemporaryKeys
from ..engine import Engine, wait_for
from ..errors import Failed, Refused
from ..files import State
from ..planning import Plan, digest
from ..serving import FORMER, UNIT, Finder
from .interface import Activation, AtEngine, Begun, Former, united

_REMAP = "userns-remap"
_RELOADED = {"Debug", "LiveRestoreEnabled"}  # fields of /info that report them
RELOAD, RESTART, START = "reload docker", "restart docker", "start docker"


class Docker(AtEngine):
    """Reload, restart or start the engine; see the module's documentation.

    Settings: ``when``; ``expect`` (effective values: ``info``, ``bridge``, ``security``, ``profiles`` of
    AppArmor, the profile of ``seccomp``, ``chains`` of iptables, TCP addresses ``guarded`` by client
    certificates); ``loaded`` (an engine whose process is older than the file is restarted); ``start`` (an
    engine that does not run is started); ``timeout`` (seconds that a start may take); ``remapped`` (the user
    of ``userns-remap`` whom another document prepares); ``restarted_by`` (the activation that restarts the
    engine where that key changes, and takes what the engine holds along); ``outlives`` (containers that
    live-restore keeps alive outlive the restart by which it is given up).
    """

    name = "docker"
    affects_starts = True
    known = frozenset(
        {
            *FORMER,
            "when",
            "expect",
            "loaded",
            "stale",  # what documents of 0.2.0 said in place of `loaded`: whether the file is younger
            "start",
            "timeout",
            "remapped",
            "restarted_by",
            "outlives",
        }
    )

    def __init__(
        self, settings: Mapping[str, Any], *, check: bool = False, finder: Finder | None = None
    ) -> None:
        super().__init__(settings, check=check, finder=finder)
        self.timeout = float(settings.get("timeout", 120))
        self.longest = max(self.longest, 2 * self.timeout + 60)
        self.action = ""
        self._leaves_restart = False
        self.stopping: list[str] = []  # names of the containers that the restart stops
        self.staying_down: list[str] = []  # those of them that the engine does not start again

    @cached_property
    def config(self) -> str:
        """Return the path of daemon.json."""
        return files.real_path(self.served.config)

    @cached_property
    def engine(self) -> Engine:
        """Return the client of the engine's API."""
        return Engine(self.served.socket)

    @property
    def unit(self) -> str:
        """Return the name of the engine's unit."""
        return self.served.unit

    # --- prepare --------------------------------------------------------------------------------------------

    def prepare(self, plan: Plan) -> None:
        """Decide whether the engine must reload or restart, and refuse changes that keep it from starting."""
        super().prepare(plan)
        self.locate()
        before, after = plan.before(self.config), plan.after(self.config)
        unit = engine_unit.state(self.unit)
        info = None if unit.get("asleep") else self.engine.info()
        if before.content != after.content:
            daemonconfig.refuse_bad(
                self._to_validate(after),
                self._to_validate(before),
                self.served,
                info=info,
                engine=self.engine,
                read=lambda path: plan.after(path).content,
            )
        if info is None:
            if self.settings.get("start"):
                self._see_start(plan, unit)
            elif self.due:
                self.pending = ["the engine does not run: the configuration takes effect when it starts"]
                self.reasons = []
            return
        changed = _changed_keys(before, after, self.config)
        mismatches = self._mismatches(info)
        self.reasons += mismatches.values()
        stale = self._is_stale(plan)
        if stale and not changed:
            self.reasons.append(
                f"{self.config} was changed after the start of the engine, which may have earlier settings"
            )
        if not self.due:
            self._see_bridge(effective_values.alive(info))
            return
        keys = jsonkeys.parse(after.content or b"", self.config)
        elsewhere = set(plan.changed(self.settings.get("when", ()))) - {self.served.config}
        by_reload = changed <= set(RELOADABLE) & set(keys) and set(mismatches) <= _RELOADED
        begins = bool(keys.get(_REMAP)) and "userns" not in effective_values.security_options(info)
        self._leaves_restart = begins and bool(self.settings.get("restarted_by"))
        self.action = RELOAD if by_reload and not elsewhere and not stale else RESTART
        self.memory = {"stage": "", "live": bool(info.get("LiveRestoreEnabled")), "switch_on": False}
        self.memory["engine"] = self.served.note()
        self.memory["keys"] = sorted(changed & set(RELOADABLE))
        running, unread = self.engine.running()
        self.impact = contract.RELOAD if self.action == RELOAD else contract.DAEMON_RESTART
        if self.action == RESTART and not self._leaves_restart:
            self._see_who_stops(running, unread, unit, keys)
            if begins and (info.get("Containers") or info.get("Images")):
                self.impact = contract.DATA_HIDDEN
                self.costs = (
                    f"{_REMAP} is in {self.config}, and not in force: the next start of the engine hides its"
                    f" {info.get('Containers') or 0} containers and {info.get('Images') or 0} images"
                )
        self.touches = (REGISTRIES,) if self.action == RELOAD else PARTS
        plan.bookkeeping.in_force[self.config] = digest(after.content)

    def _to_validate(self, state: State) -> bytes:
        """Return the configuration to validate, without a ``userns-remap`` that another document sets."""
        content = state.content or b""
        keys = jsonkeys.parse(content, self.config)
        if self.settings.get("restarted_by"):
            keys.pop(_REMAP, None)
        elif _REMAP in keys and keys[_REMAP] == self.settings.get("remapped"):
            keys[_REMAP] = "default"
        else:
            return content
        return json.dumps(keys).encode()

    def _see_start(self, plan: Plan, unit: Mapping[str, str]) -> None:
        """Decide how a stopped engine is started, and how it is stopped again if the run fails.

        Raises:
            Refused: no systemd on this host can start it.
        """
        if "ActiveState" not in unit:
            raise Refused(f"the engine cannot be started: {self.unit} needs systemd, which does not run here")
        self.reasons.append(f"{self.unit} does not run")
        self.action = START
        sockets = [] if unit.get("asleep") else unit.get("TriggeredBy", "").split()
        self.memory = {"stage": "", "switch_on": False, "running": [], "sockets": sockets}
        self.memory["engine"] = self.served.note()
        plan.bookkeeping.in_force[self.config] = digest(plan.after(self.config).content)

    def _see_who_stops(
        self,
        running: Sequence[Mapping[str, Any]],
        unread: Mapping[str, str],
        unit: Mapping[str, str],
        keys: Mapping[str, Any],
    ) -> None:
        """Determine which containers the restart stops; those that cannot be inspected count as running.

        Raises:
            Refused: the unit does not run this engine, so it cannot be restarted.
        """
        if unit.get("ActiveState") != "active":
            raise Refused(
                f"the engine at {self.engine.path} has to be restarted, and is not run by {self.unit}"
                f" ({unit.get('ActiveState') or 'no systemd'}): restart it yourself, or name its unit"
            )
        reason = ""
        if unit.get("KillMode") != "process":
            reason = f"{self.unit} ends all its processes (KillMode is {unit.get('KillMode')})"
        elif value_of("live-restore", keys, self.served.flags) is not True:
            if self.settings.get("outlives") and self.memory["live"]:
                self.memory["switch_off"] = True
            else:
                # A starting engine without live-restore stops the containers it finds.
                reason = "live-restore is off by configuration"
        self.memory["switch_on"] = bool(running or unread) and not self.memory["live"] and not reason
        if (running or unread) and reason:
            self.impact = contract.CONTAINERS_STOP
            self.memory["grace"] = max(map(containers.grace, running), default=0)
            self.longest += 2 * self._grace
            self.stopping = sorted([*map(containers.name, running), *unread])
            self.staying_down = sorted(
                containers.name(each) for each in running if containers.stays_down(each)
            )
            self.costs = f"restarting the engine would stop {containers.listed(self.stopping)}: {reason}"
            if self.staying_down:
                down = containers.listed(self.staying_down)
                self.costs += f"; not started again, since they have no restart policy: {down}"
            if unread:
                dark = containers.listed([f"{name}: {why}" for name, why in unread.items()])
                self.costs += f"; not inspected, and so counted as running: {dark}"

    def _is_stale(self, plan: Plan) -> bool:
        """Return whether daemon.json was changed outside hardener after the engine read it."""
        stale = bool(self.settings.get("stale"))
        if self.settings.get("loaded"):
            stale = changed_since(self.served.started, files.modified(self.config) // 1_000_000_000)
        known = plan.bookkeeping.in_force.get(self.config)
        return stale and known != digest(plan.before(self.config).content)

    def _mismatches(self, info: Mapping[str, Any]) -> dict[str, str]:
        """Return effective values that differ from the expected ones."""
        return effective_values.differences(self.settings.get("expect", {}), info, self.engine)

    def _see_bridge(self, running: int) -> None:
        """Announce changes of the default bridge that the engine does not apply while containers run."""
        self.pending += [
            f"{difference}: takes effect when the engine starts with no container running ({running} run now)"
            for difference in effective_values.bridge_differences(
                self.settings.get("expect", {}), self.engine
            ).values()
        ]

    def describe(self) -> dict[str, Any]:
        """Return action, reasons and costs."""
        described = super().describe()
        if self.stopping:
            described["stops"] = self.stopping
            described["stay_down"] = self.staying_down
        if self.memory.get("switch_on"):
            described["first"] = "switch live-restore on by a reload, so that containers survive"
        return described

    # --- perform --------------------------------------------------------------------------------------------

    @property
    def stops_engine(self) -> bool:
        """Return whether the engine is down for a moment, as in a restart; a reload keeps it running."""
        stage = self.memory.get("stage")
        return self.action in (RESTART, START) or stage in ("restart", "start")

    def perform(self) -> None:
        """Reload, restart or start the engine, unless another activation restarts it."""
        if self._leaves_restart:
            return
        if self.memory.get("switch_off"):
            self._stage("restart")
            self._restart_alive()
            return
        if self.action == RELOAD or self.memory["switch_on"]:
            self._stage("reload")
            self._reload()
        if self.memory["switch_on"]:
            self._wait_for_live(True)
        if self.action in (RESTART, START):
            self._stage("restart" if self.action == RESTART else "start")
            self._restart()

    def _restart_alive(self) -> None:
        """Restart with live-restore on, so that containers keep running, and switch it off afterwards."""
        with TemporaryKeys(self.config, self.will_write) as temporary:
            temporary.write({"live-restore": True})
            self._switch_on()  # an undo that was killed after this may have switched it off
            self._restart()
            temporary.write({"live-restore": False})
            self._reload()
            self._wait_for_live(False)

    def _switch_on(self) -> None:
        """Have an engine that runs take live-restore from its file, else a restart would stop containers."""
        info = self.engine.info()
        if info is not None and not info.get("LiveRestoreEnabled"):
            self._reload()
            self._wait_for_live(True)

    def _stage(self, name: str) -> None:
        """Store the name of the next stage before it begins."""
        self.memory["stage"] = name
        self.save()

    def problems(self) -> list[str]:
        """Return how the engine differs from the plan, except its containers, which ``health`` checks."""
        try:
            if self.action == RELOAD:
                self._wait_for_info()
            info = self.engine.info()
            if info is None:
                return [f"the engine does not answer at {self.engine.path}"]
            found = list(self._mismatches(info).values())
            if effective_values.alive(info):
                self._see_bridge(effective_values.alive(info))
            return found
        except (NoAnswer, Failed) as error:
            return [str(error)]

    def _wait_for_info(self) -> None:
        """Wait until the engine reports the new values: a reload has no answer."""

        def settled() -> bool:
            info = self.engine.info()
            return info is not None and not self._mismatches(info)

        try:
            wait_for("", settled, seconds=10)
        except Failed:
            return

    # --- undo ----------------------------------------------------------------------------------------------

    def undo(self) -> list[str]:
        """Restore the engine with its configuration and containers; stop it if it did not run before."""
        memory = self.memory
        if memory.get("stage") == "start":
            system.must("systemctl", "stop", "--", self.unit, *memory["sockets"], timeout=self.timeout)
            system.attempt("systemctl", "reset-failed", "--", self.unit, *memory["sockets"])
            return []
        temporary = TemporaryKeys(self.config, self.will_write)
        if memory.get("stage") == "restart" and memory.get("switch_on"):
            # An engine that starts with live-restore off stops the containers it finds: switch it off
            # afterwards.
            self._restart_alive()
        elif memory.get("stage") == "restart" and memory.get("switch_off"):
            self._switch_on()
            self._restart()
        elif memory.get("stage") == "restart":
            self._restart()
        elif memory.get("stage") == "reload":
            # A reload keeps the value of a key that is gone from the file: write the old value, then remove
            # the key.
            with temporary:
                temporary.write({key: RELOADABLE[key] for key in memory["keys"]})
                self._reload()
                self._wait_for_live(bool(memory["live"]))
        if self.engine.info() is None:
            return [f"the engine does not answer at {self.engine.path}"]
        return []

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return settings that restore the engine's configuration and keep its containers running."""
        known = {key: begun[-1].settings[key] for key in ("timeout", "remapped") if key in begun[-1].settings}
        return Former({**known, "when": united(begun), "outlives": True})

    # --- helpers --------------------------------------------------------------------------------------------

    @property
    def _grace(self) -> float:
        """Return the seconds that an engine takes to stop its containers.

        The next engine takes as many again if systemd has lost its patience with the one that ends.
        """
        return float(self.memory.get("grace", 0))

    def _wait_for_live(self, expected: bool) -> None:
        def applied() -> bool:
            info = self.engine.info()
            return info is not None and bool(info.get("LiveRestoreEnabled")) is expected

        wait_for(f"the engine did not switch live-restore {'on' if expected else 'off'}", applied, seconds=20)

    def _reload(self) -> None:
        try:
            os.kill(int(engine_unit.state(self.unit).get("MainPID", 0)) or self.engine.pid(), signal.SIGHUP)
        except (NoAnswer, OSError) as error:
            raise Failed(f"the engine cannot be told to reload: {error}") from error

    def _restart(self) -> None:
        """Restart the unit, and reset its start limit (three in a minute) first."""
        system.run("systemctl", "reset-failed", "--", self.unit)
        begun, former = time.time(), engine_unit.state(self.unit).get("MainPID", "")
        patience = self.timeout + 2 * self._grace
        outcome = system.run("systemctl", "restart", "--", self.unit, timeout=patience)
        if outcome.code != 0:
            words = engine_unit.last_words(self.served.dockerd, since=begun, former=former)
            raise Failed(f"{self.unit} does not start: {words or outcome.said}")
        wait_for(
            f"{self.unit} started, but did not answer at {self.engine.path}",
            lambda: self.engine.info() is not None,
            seconds=self.timeout,
        )


def _changed_keys(before: State, after: State, path: str) -> set[str]:
    """Return the keys of daemon.json that change."""
    if before.content == after.content:
        return set()
    one, other = (jsonkeys.parse(state.content or b"", path) for state in (before, after))
    return {key for key in {*one, *other} if not jsonkeys.same(one.get(key), other.get(key))}


def engine_of(activations: Iterable[Activation], finder: Finder) -> Engine | None:
    """Return a client of the engine's API; None if systemd would start the engine on a request.

    A request would make systemd start a sleeping engine.

    Args:
        activations: if the activation of the engine is among these, its engine is returned.
        finder: finds the engine otherwise.
    """
    docker = next((each for each in activations if isinstance(each, Docker)), None)
    if engine_unit.state(docker.unit if docker else UNIT).get("asleep"):
        return None
    return docker.engine if docker else Engine(finder.socket)
