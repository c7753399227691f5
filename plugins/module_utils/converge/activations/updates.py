"""Verify that security updates are installed automatically, and announce pending ones."""

from __future__ import annotations

import time
from typing import Mapping, Sequence

from .. import system
from ..errors import Failed, Refused
from ..planning import Plan
from .interface import Activation, Begun, Former

_PROGRAMS = {"apt": "unattended-upgrade", "dnf": "dnf-automatic"}
_PACKAGES = {"apt": "unattended-upgrades", "dnf": "dnf-automatic"}
_BUSY = ("Lock could not be acquired", "Lock file is already taken")
_PATIENCE = 60
_NOISE = (
    "Starting unattended",
    "Allowed origins are",
    "Initial blacklist",
    "Initial whitelist",
    "Checking if",
)


class AutomaticUpdates(Activation):
    """Verify the effective settings against the files, and do a dry run of the installer.

    Settings: ``manager`` (``apt`` or ``dnf``), ``expect``: name of a setting to its values in apt's effective
    configuration, ``configuration``: the file of dnf-automatic.
    """

    name = "automatic-updates"
    touches = ()
    longest = 1200.0
    action = "check by a dry run that security updates are installed automatically"
    known = frozenset({"when", "manager", "expect", "configuration"})

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a file changes, or if another file overrides its settings."""
        super().prepare(plan)
        if self._manager not in _PROGRAMS:
            raise Refused(
                f"activation {self.name}: there is no package manager {self._manager!r};"
                f" known: {', '.join(_PROGRAMS)}"
            )
        if not system.installed(_PROGRAMS[self._manager]):
            if not self.check:
                raise Refused(f"{_PACKAGES[self._manager]} is not installed: install it first")
        elif not self.due:
            self.reasons = self._differences()
        if self.due and self._manager == "apt" and not _has_security_source():
            raise Refused("no package source of this host has security updates: see /etc/apt/sources.list.d")

    @property
    def _manager(self) -> str:
        return str(self.settings.get("manager"))

    def _differences(self) -> list[str]:
        """Return apt settings that differ from the wanted ones; a later file may override ours."""
        wanted: Mapping[str, Sequence[str]] = self.settings.get("expect", {})
        if not wanted:
            return []
        found = _apt_configuration()
        return [
            f"{name} is {_listed(found.get(name, []))}, not {_listed(values)}"
            for name, values in wanted.items()
            if set(found.get(name, [])) != set(values)
        ]

    def problems(self) -> list[str]:
        """Return why security updates would not be installed."""
        differences = self._differences()
        if differences:
            return [f"another file in /etc/apt/apt.conf.d prevails: {'; '.join(differences)}"]
        return self._dry_run()

    def _dry_run(self) -> list[str]:
        """Return why the installer would fail; empty if it would succeed."""
        command = ["unattended-upgrade", "--dry-run", "--verbose"]
        if self._manager == "dnf":
            configuration = str(self.settings.get("configuration"))
            command = ["dnf-automatic", configuration, "--no-downloadupdates", "--no-installupdates"]
        ends = time.monotonic() + _PATIENCE
        while True:
            outcome = system.run(*command, timeout=600)
            if outcome.code == 0:
                return []
            if not any(words in outcome.output + outcome.error for words in _BUSY):
                return [f"the dry run of {command[0]} fails: {_reason(outcome)}"]
            if time.monotonic() > ends:
                return [
                    f"the dry run of {command[0]} had to wait for another package manager: try again later"
                ]
            time.sleep(5)

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:  # noqa: ARG003 - whatever it was
        """Return no settings, since the installer reads the restored files at its next run."""
        return Former(None)

    def undo(self) -> list[str]:
        """Do nothing: the installer reads the restored files at its next run."""
        return []


class PendingUpdates(Activation):
    """Announce the updates that the role installs after the transaction; packages cannot be rolled back.

    Settings: ``updates``, the pending updates, and ``unknown``, why they are unknown.
    """

    name = "pending-updates"
    touches = ()
    action = "install security updates, after everything else"
    known = frozenset({"when", "updates", "unknown"})

    @property
    def stops_engine(self) -> bool:
        """Return True: an update may restart the engine."""
        return True

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if updates are pending, or if that is unknown."""
        super().prepare(plan)
        unknown = self.settings.get("unknown")
        self.reasons += [f"{update} waits" for update in self.settings.get("updates", ())]
        self.reasons += [str(unknown)] if unknown else []

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:  # noqa: ARG003 - whatever it was
        """Return no settings, since packages cannot be rolled back."""
        return Former(None)

    def undo(self) -> list[str]:
        """Do nothing: nothing has been installed yet."""
        return []


def _has_security_source() -> bool:
    """Return whether apt has a source of security updates, reachable or not."""
    outcome = system.run("apt-get", "--print-uris", "update")
    return outcome.code != 0 or "security" in outcome.output


def _apt_configuration() -> dict[str, list[str]]:
    """Return apt's effective settings: name to values; the name of a list ends in ``::``."""
    outcome = system.run("apt-config", "dump", "--no-empty", "--format", "%f %v%n")
    if outcome.code != 0:
        raise Failed(f"apt cannot read its configuration: {outcome.said}")
    found: dict[str, list[str]] = {}
    for line in outcome.output.splitlines():
        name, _separator, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "not set"


def _reason(outcome: system.Outcome) -> str:
    """Return the last lines of a command's output, without lines that are always printed."""
    lines = [line.strip() for line in (outcome.output + "\n" + outcome.error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    return "; ".join(telling[-4:])[-400:] or f"it ended with code {outcome.code}"
