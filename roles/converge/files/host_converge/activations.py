"""What has to happen before a changed file has an effect. Each once, in the order of ``ORDER``.

An activation is due when one of the paths it waits for changes, and also when what it brings about is not so
on the running host, whatever the files say: effective beats declared.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Mapping

from host_converge import system
from host_converge.errors import Failed, Refused
from host_converge.planning import Plan

ORDER = ("systemd-reload", "modules-load", "audit-rules-load", "docker")


class Activation:
    """One of them. Prepared before the first change, performed after the last, undone after a restore.

    Args:
        settings: what the documents say about it.
        check: nothing will be done.

    ``memory`` is JSON data that whoever undoes it has to know, maybe the next run; ``save`` keeps it on disk.
    """

    name = ""
    action = ""  # in words
    known = frozenset({"when"})  # keys of the settings

    def __init__(self, settings: Mapping[str, Any], *, check: bool = False) -> None:
        unknown = sorted(set(settings) - self.known)
        if unknown:
            raise Refused(f"activation {self.name}: unknown {', '.join(unknown)}")
        self.settings = settings
        self.check = check
        self.memory: dict[str, Any] = {}
        self.save: Callable[[], None] = _nothing
        self.will_write: Callable[[bytes], None] = _nothing
        self.reasons: list[str] = []
        self.pending: list[str] = []

    @property
    def due(self) -> bool:
        """Whether it has to happen."""
        return bool(self.reasons)

    def describe(self) -> dict[str, Any]:
        """What will happen and why, as JSON data."""
        return {"name": self.name, "action": self.action, "why": self.reasons}

    def prepare(self, plan: Plan) -> None:
        """Find out whether it is due, and why. Changes nothing.

        Raises:
            Refused: it cannot be done on this host.
        """
        self.reasons = [f"{path} changes" for path in plan.changed(self.settings.get("when", ()))]

    def perform(self) -> None:
        """Do it.

        Raises:
            Failed: it did not work.
        """

    def problems(self) -> list[str]:
        """What is not as it should be, after it was performed."""
        return []

    def undo(self) -> list[str]:
        """Do what makes the restored files effective again, and return what is still wrong.

        Raises:
            Failed: it did not work.
        """
        self.perform()
        return []


class SystemdReload(Activation):
    """Have systemd read changed units."""

    name = "systemd-reload"
    action = "reload systemd"

    def prepare(self, plan: Plan) -> None:
        """Due when a unit changes; without systemd there is nothing to tell."""
        super().prepare(plan)
        if not system.has_systemd():
            self.reasons = []

    def perform(self) -> None:
        """Reload the manager's configuration; no unit is restarted."""
        system.must("systemctl", "daemon-reload", timeout=90)


class ModulesLoad(Activation):
    """Load kernel modules, and never unload one."""

    name = "modules-load"
    action = "load kernel modules"
    known = frozenset({"when", "modules"})
    _valid = re.compile(r"[A-Za-z0-9_]+")

    def prepare(self, plan: Plan) -> None:
        """Due when a module is not in the kernel."""
        super().prepare(plan)
        missing = [f"the module {module} is not loaded" for module in self._missing()]
        self.reasons += missing
        if missing and _read("/proc/sys/kernel/modules_disabled") == "1":
            raise Refused(
                f"{'; '.join(missing)}, and this kernel loads no more modules until it is booted again"
            )

    def _missing(self) -> list[str]:
        modules = self.settings.get("modules", [])
        for module in modules:
            if not self._valid.fullmatch(str(module)):
                raise Refused(f"activation {self.name}: {module!r} is no name of a module")
        return [module for module in modules if not _in_kernel(module)]

    def perform(self) -> None:
        """Load what is missing."""
        for module in self._missing():
            system.must("modprobe", "--", module)

    def problems(self) -> list[str]:
        """Modules that still are not there."""
        return [f"the module {module} is not loaded" for module in self._missing()]

    def undo(self) -> list[str]:
        """Leave them: somebody else may need them by now."""
        return []


class AuditRulesLoad(Activation):
    """Load the audit rules of /etc/audit/rules.d into the kernel."""

    name = "audit-rules-load"
    action = "load audit rules"
    known = frozenset({"when", "rules"})

    def prepare(self, plan: Plan) -> None:
        """Due when a rules file changes, and when a rule is missing in the kernel."""
        super().prepare(plan)
        if not system.installed("auditctl"):
            if not self.check:
                raise Refused("auditctl is not installed: install the audit daemon (auditd, audit) first")
            self.reasons = self.reasons or ["the rules are not loaded"]
            return
        status = self._status()
        missing = self._missing()
        if missing and not self.due:
            self.reasons = [f"not loaded: {missing[0]}" + _and_more(len(missing) - 1)]
        if status.get("enabled") == "2":
            if self.due:
                self.pending = ["the audit rules are locked until the next boot, and take effect then"]
            self.reasons = []
        elif status.get("failure") == "2":
            self.pending = [
                "another rules file sets the failure mode to 2: a full audit backlog would panic this host"
            ]

    def _status(self) -> dict[str, str]:
        outcome = system.run("auditctl", "-s")
        if outcome.code != 0:
            raise Refused(
                "the kernel's audit system cannot be used here"
                f" (a container, or a kernel without it): {outcome.said}"
            )
        return dict(line.split(None, 1) for line in outcome.output.splitlines() if len(line.split()) >= 2)

    def _missing(self) -> list[str]:
        outcome = system.run("auditctl", "-l")
        if outcome.code != 0:
            raise Failed(f"auditctl -l: {outcome.said}")
        loaded = {audit_rule(line) for line in outcome.output.splitlines()}
        return [rule for rule in self.settings.get("rules", []) if audit_rule(rule) not in loaded]

    def perform(self) -> None:
        """Join the rules files and load the result."""
        system.must("augenrules", "--load", timeout=60)

    def problems(self) -> list[str]:
        """Rules that the kernel does not have, or that it does not apply."""
        found = [f"the kernel does not have the audit rule {rule}" for rule in self._missing()]
        if self._status().get("enabled") not in ("1", "2"):
            found.append("auditing is switched off in the kernel: is the audit daemon running?")
        return found

    def undo(self) -> list[str]:
        """Load the restored files; what they lack, they lacked before."""
        outcome = system.run("augenrules", "--load", timeout=60)
        return [] if outcome.code == 0 else [f"augenrules --load: {outcome.said}"]


def audit_rule(line: str) -> tuple[str, ...]:
    """What identifies a rule about a path: action, path and key.

    ``auditctl -l`` prints a rule otherwise than it was given, differently in every version: as a watch, with
    the system calls that a permission stands for, with key=docker or -k docker.
    """
    action, path, key = "always", "", ""
    words = line.split()
    for option, value in zip(words, words[1:]):
        if option in ("-a", "-A"):
            action = "never" if "never" in value.split(",") else "always"
        elif option == "-w":
            path = value
        elif option == "-k":
            key = value
        elif option == "-F":
            name, _, text = value.partition("=")
            if name in ("path", "dir"):
                path = text
            elif name == "key":
                key = text
    return action, path.rstrip("/"), key


def _in_kernel(module: str) -> bool:
    """Whether a module is loaded or built in; not everything that is built in shows in /sys/module."""
    if os.path.isdir(f"/sys/module/{module}"):
        return True
    return f"/{module}.ko" in _read(f"/lib/modules/{os.uname().release}/modules.builtin")


def _nothing(*_: object) -> None:
    """Nobody has to know."""


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
