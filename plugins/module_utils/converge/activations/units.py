"""Reload systemd; enable and start its units."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Collection, Mapping, Sequence

from ...host import atomic
from .. import system
from ..errors import Failed, Refused
from ..planning import Plan
from .interface import Activation, Begun, Former

_LINKS = "/etc/systemd/system"
_ON = ("enabled", "static", "alias", "indirect", "generated", "transient")
_RUNNING = ("active", "activating", "reloading")
_PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")


class Units(Activation):
    """Enable and start units, and store their former state.

    Settings: ``units``, name to ``{"enabled": true, "active": true}``; a missing key leaves that state alone.
    A masked unit is unmasked. Without systemd there is nothing to do, and a note says so. ``former``, name to
    the unit's former state (as in the memory): that state is restored.
    """

    name = "units"
    longest = 1800.0
    action = "enable and start units"
    known = frozenset({"when", "units", "former"})
    _valid = re.compile(r"[A-Za-z0-9:_.@][A-Za-z0-9:_.@\\-]*\.(?:service|socket|timer|path|target)")

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a unit is not as wanted, or if a file in ``when`` changes."""
        super().prepare(plan)
        for unit in (*self._wanted, *self._former):
            if not self._valid.fullmatch(unit):
                raise Refused(f"activation {self.name}: {unit!r} is not the name of a unit")
        for unit, wish in self._wanted.items():
            if set(wish) - {"enabled", "active"} or not all(value is True for value in wish.values()):
                raise Refused(f"activation {self.name}: {unit} can only have enabled: true and active: true")
        if not system.has_systemd():
            if self._wanted:
                self.pending = [
                    f"no systemd runs here: start {', '.join(sorted(self._wanted))} by other means"
                ]
            return
        self.reasons += self._differences()

    @property
    def _wanted(self) -> Mapping[str, Mapping[str, Any]]:
        wanted: Mapping[str, Mapping[str, Any]] = self.settings.get("units", {})
        return wanted

    @property
    def _former(self) -> Mapping[str, Mapping[str, Any]]:
        former: Mapping[str, Mapping[str, Any]] = self.settings.get("former", {})
        return former

    def describe(self) -> dict[str, Any]:
        """Return the units that change and the reasons, as JSON data."""
        units = [
            unit
            for unit in (*self._wanted, *self._former)
            if any(reason.startswith(f"{unit} ") for reason in self.reasons)
        ]
        what = "restore" if self._former else "enable and start"
        return {**super().describe(), "action": f"{what} {', '.join(units)}"}

    def _differences(self) -> list[str]:
        found = []
        for unit, wish in self._wanted.items():
            state = _state(unit)
            if state["LoadState"] == "masked":
                found.append(f"{unit} is masked")
            elif state["LoadState"] == "not-found":
                found.append(f"{unit} does not exist yet" if self.check else f"{unit} does not exist")
            elif wish.get("enabled") and state["UnitFileState"] not in _ON:
                found.append(f"{unit} is {state['UnitFileState'] or 'not enabled'}")
            elif wish.get("active") and state["ActiveState"] not in _RUNNING:
                found.append(f"{unit} is {state['ActiveState']}")
        return found + [
            f"{unit} {what}" for unit, before in self._former.items() for what in _excess(unit, before)
        ]

    def perform(self) -> None:
        """Unmask, enable and start units as needed."""
        self.memory = _states([*self._wanted, *self._former])
        for unit in self._former:
            self.memory[unit]["targets"] = {link: os.readlink(link) for link in self.memory[unit]["links"]}
        self.save()
        for unit, before in self._former.items():
            _undo(unit, before)
        for unit, wish in self._wanted.items():
            before = self.memory[unit]
            if before["LoadState"] == "masked":
                runtime = ("--runtime",) if before["UnitFileState"] == "masked-runtime" else ()
                system.must("systemctl", "unmask", *runtime, "--", unit)
            if wish.get("enabled") and _state(unit)["UnitFileState"] not in _ON:
                system.must("systemctl", "enable", "--", unit)
            if wish.get("active") and _state(unit)["ActiveState"] not in _RUNNING:
                system.must("systemctl", "start", "--", unit, timeout=180)

    def problems(self) -> list[str]:
        """Return the units that are still not as wanted."""
        return self._differences()

    def undo(self) -> list[str]:
        """Stop, disable and mask units as they were before."""
        problems = []
        for unit, before in self.memory.items():
            try:
                _undo(unit, before)
                _redo(unit, before)
            except (Failed, OSError) as error:
                problems.append(str(error))
        return problems

    def found(self, known: Collection[str]) -> Mapping[str, Any]:
        """Return the present states of the units that are wanted."""
        units = [unit for unit in self._wanted if unit not in known] if system.has_systemd() else []
        return _states(units)

    @classmethod
    def subjects(cls, memory: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of the units in the activation's stored data."""
        return frozenset(memory)

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the state of the units before the first run that started them."""
        first: dict[str, Any] = {}
        for each in begun:
            for unit, before in each.memory.items():
                if cls._valid.fullmatch(unit):
                    first.setdefault(unit, before)
        return Former({"when": [], "former": first} if first and system.has_systemd() else None)

    def undo_at_boot(self) -> list[str]:
        """Restore links only: systemd has not started the units yet."""
        problems = []
        for unit, before in self.memory.items():
            try:
                for link in set(_links(unit)) - set(before["links"]):
                    atomic.remove(link)
                if before["UnitFileState"] == "masked" and not os.path.lexists(f"{_LINKS}/{unit}"):
                    atomic.make_link(os.devnull, f"{_LINKS}/{unit}")
                if "targets" in before:
                    _link_again(before["targets"])
                    if before["ActiveState"] in _RUNNING:  # once this boot has come so far
                        system.run("systemctl", "start", "--no-block", "--", unit)
            except OSError as error:
                problems.append(f"{unit}: {error.strerror}")
        return problems


def _undo(unit: str, before: Mapping[str, Any]) -> None:
    """Restore a unit's former state; remove its links directly, since its file may be missing."""
    if before["ActiveState"] not in _RUNNING and _state(unit)["ActiveState"] in (*_RUNNING, "failed"):
        system.must("systemctl", "stop", "--", unit, timeout=180)
        reset = system.attempt("systemctl", "reset-failed", "--", unit)
        if (
            reset.code != 0 and _state(unit)["ActiveState"] == "failed"
        ):  # the unit may be unknown to systemd by now
            raise Failed(f"systemctl reset-failed {unit}: {reset.said or f'ended with code {reset.code}'}")
    if before["UnitFileState"] not in _ON and _state(unit)["UnitFileState"] in _ON:
        system.must("systemctl", "disable", "--", unit)
    new = set(_links(unit)) - set(before["links"])
    for link in new:
        atomic.remove(link)
    if before["LoadState"] == "masked" and _state(unit)["LoadState"] != "masked":
        runtime = ("--runtime",) if before["UnitFileState"] == "masked-runtime" else ()
        system.must("systemctl", "mask", *runtime, "--", unit)
    elif new:
        system.must("systemctl", "daemon-reload")


def _redo(unit: str, before: Mapping[str, Any]) -> None:
    """Undo the release of a unit, whose files are restored: unmask, enable and start it as before."""
    if "targets" not in before:
        return
    if before["LoadState"] != "masked" and _state(unit)["LoadState"] == "masked":
        system.must("systemctl", "unmask", "--", unit)
    if _link_again(before["targets"]):
        system.must("systemctl", "daemon-reload")
    if before["ActiveState"] in _RUNNING and _state(unit)["ActiveState"] not in _RUNNING:
        system.must("systemctl", "start", "--", unit, timeout=180)


def _link_again(targets: Mapping[str, str]) -> bool:
    """Create the links that enable a unit, and return whether any was missing."""
    missing = {link: target for link, target in targets.items() if not os.path.lexists(link)}
    for link, target in missing.items():
        atomic.make_folders(os.path.dirname(link))
        atomic.make_link(target, link)
    return bool(missing)


def _excess(unit: str, before: Mapping[str, Any]) -> list[str]:
    """Return how a unit exceeds its former state: enabled, started, not masked."""
    state, found = _state(unit), []
    if before["ActiveState"] not in _RUNNING and state["ActiveState"] in _RUNNING:
        found.append(f"is {state['ActiveState']}, but was not before the run")
    if set(_links(unit)) - set(before["links"]):
        found.append("is enabled, but was not before the run")
    if before["LoadState"] == "masked" and state["LoadState"] != "masked":
        found.append("was masked")
    return found


def _states(units: Sequence[str]) -> dict[str, Any]:
    return {unit: {**_state(unit), "links": _links(unit)} for unit in units}


def _state(unit: str) -> dict[str, str]:
    properties = ",".join(_PROPERTIES)
    output = system.must("systemctl", "show", f"--property={properties}", "--", unit)
    found = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in _PROPERTIES}


def _links(unit: str) -> list[str]:
    """Return the links that enable a unit, aliases included."""
    return [
        path
        for path in sorted(glob.glob(f"{_LINKS}/*") + glob.glob(f"{_LINKS}/*/*"))
        if os.path.islink(path) and os.path.basename(os.readlink(path)) == unit
    ]


_UNITS = (".service", ".socket", ".timer")


class SystemdReload(Activation):
    """Reload systemd after units have changed."""

    name = "systemd-reload"
    touches = ()
    action = "reload systemd"

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a unit changes; without systemd do nothing."""
        super().prepare(plan)
        if not system.has_systemd():
            self.reasons = []

    def perform(self) -> None:
        """Reload the manager's configuration; no unit is restarted."""
        system.must("systemctl", "daemon-reload")
        paths = [path for path in self.settings.get("when", ()) if path.endswith(_UNITS)]
        gone = [os.path.basename(path) for path in paths if not os.path.lexists(path)]
        if gone:  # a failed unit stays listed without its file; other units without a file are not loaded
            system.run("systemctl", "reset-failed", "--", *gone)
