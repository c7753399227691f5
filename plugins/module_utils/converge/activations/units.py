"""Have units of systemd start, now and at every boot."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Mapping

from ...host import atomic
from .. import system
from ..errors import Failed, Refused
from ..planning import Plan
from .interface import Activation

_LINKS = "/etc/systemd/system"
_ON = ("enabled", "static", "alias", "indirect", "generated", "transient")
_RUNNING = ("active", "activating", "reloading")
_PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")


class Units(Activation):
    """Enable and start units, and remember what they were before.

    Settings: ``units``, name to ``{"enabled": true, "active": true}``; a key that is missing is left alone. A
    masked unit is unmasked. Without systemd there is nothing to do, and a note says so.
    """

    name = "units"
    longest = 1800.0
    action = "enable and start units"
    known = frozenset({"when", "units"})
    _valid = re.compile(r"[A-Za-z0-9:_.@][A-Za-z0-9:_.@\\-]*\.(?:service|socket|timer|path|target)")

    def prepare(self, plan: Plan) -> None:
        """Due when a unit is not as wanted, or when a file changes that it waits for."""
        super().prepare(plan)
        for unit, wish in self._wanted.items():
            if not self._valid.fullmatch(unit):
                raise Refused(f"activation {self.name}: {unit!r} is no name of a unit")
            if set(wish) - {"enabled", "active"} or not all(value is True for value in wish.values()):
                raise Refused(f"activation {self.name}: {unit} can only be wanted enabled and active")
        if not system.has_systemd():
            if self._wanted:
                self.pending = [f"no systemd runs here: have {', '.join(sorted(self._wanted))} run otherwise"]
            return
        self.reasons += self._differences()

    @property
    def _wanted(self) -> Mapping[str, Mapping[str, Any]]:
        wanted: Mapping[str, Mapping[str, Any]] = self.settings.get("units", {})
        return wanted

    def describe(self) -> dict[str, Any]:
        """Which ones, and why."""
        units = [
            unit for unit in self._wanted if any(reason.startswith(f"{unit} ") for reason in self.reasons)
        ]
        return {**super().describe(), "action": f"enable and start {', '.join(units)}"}

    def _differences(self) -> list[str]:
        found = []
        for unit, wish in self._wanted.items():
            state = _state(unit)
            if state["LoadState"] == "masked":
                found.append(f"{unit} is masked")
            elif state["LoadState"] == "not-found":
                found.append(f"{unit} is not there yet" if self.check else f"{unit} is not there")
            elif wish.get("enabled") and state["UnitFileState"] not in _ON:
                found.append(f"{unit} is {state['UnitFileState'] or 'not enabled'}")
            elif wish.get("active") and state["ActiveState"] not in _RUNNING:
                found.append(f"{unit} is {state['ActiveState']}")
        return found

    def perform(self) -> None:
        """Unmask, enable and start what is not."""
        self.memory = {unit: {**_state(unit), "links": _links(unit)} for unit in self._wanted}
        self.save()
        for unit, wish in self._wanted.items():
            before = self.memory[unit]
            if before["LoadState"] == "masked":
                runtime = ("--runtime",) if before["UnitFileState"] == "masked-runtime" else ()
                system.must("systemctl", "unmask", *runtime, "--", unit, timeout=60)
            if wish.get("enabled") and _state(unit)["UnitFileState"] not in _ON:
                system.must("systemctl", "enable", "--", unit, timeout=60)
            if wish.get("active") and _state(unit)["ActiveState"] not in _RUNNING:
                system.must("systemctl", "start", "--", unit, timeout=180)

    def problems(self) -> list[str]:
        """Units that are not as wanted after all."""
        return self._differences()

    def undo(self) -> list[str]:
        """What was not running is stopped, what was not enabled is disabled, what was masked is masked."""
        problems = []
        for unit, before in self.memory.items():
            try:
                _undo(unit, before)
            except (Failed, OSError) as error:
                problems.append(str(error))
        return problems

    def undo_at_boot(self) -> list[str]:
        """Links alone: systemd has not started what they lead to."""
        problems = []
        for unit, before in self.memory.items():
            try:
                for link in set(_links(unit)) - set(before["links"]):
                    atomic.remove(link)
                if before["UnitFileState"] == "masked" and not os.path.lexists(f"{_LINKS}/{unit}"):
                    atomic.make_link(os.devnull, f"{_LINKS}/{unit}")
            except OSError as error:
                problems.append(f"{unit}: {error.strerror}")
        return problems


def _undo(unit: str, before: Mapping[str, Any]) -> None:
    """Have a unit be what it was; its file may be gone by now, and ``systemctl disable`` knows none then."""
    if before["ActiveState"] not in _RUNNING and _state(unit)["ActiveState"] in (*_RUNNING, "failed"):
        system.must("systemctl", "stop", "--", unit, timeout=180)
        system.run("systemctl", "reset-failed", "--", unit)
    if before["UnitFileState"] not in _ON and _state(unit)["UnitFileState"] in _ON:
        system.must("systemctl", "disable", "--", unit, timeout=60)
    new = set(_links(unit)) - set(before["links"])
    for link in new:
        atomic.remove(link)
    if before["LoadState"] == "masked" and _state(unit)["LoadState"] != "masked":
        runtime = ("--runtime",) if before["UnitFileState"] == "masked-runtime" else ()
        system.must("systemctl", "mask", *runtime, "--", unit, timeout=60)
    elif new:
        system.must("systemctl", "daemon-reload", timeout=90)


def _state(unit: str) -> dict[str, str]:
    properties = ",".join(_PROPERTIES)
    output = system.must("systemctl", "show", f"--property={properties}", "--", unit)
    found = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in _PROPERTIES}


def _links(unit: str) -> list[str]:
    """Links that lead to a unit: what enabling makes, aliases too."""
    return [
        path
        for path in sorted(glob.glob(f"{_LINKS}/*") + glob.glob(f"{_LINKS}/*/*"))
        if os.path.islink(path) and os.path.basename(os.readlink(path)) == unit
    ]
