"""Switch SELinux to enforcing."""

from __future__ import annotations

from typing import Any, Collection, Mapping, Sequence

from ...contract import CONNECTIVITY
from .. import system
from ..errors import Failed
from ..planning import Plan
from .interface import Activation, Begun, Former, united

SWITCH = "/sys/fs/selinux/enforce"
_PERMISSIVE, _ENFORCING = "0", "1"


class SelinuxEnforce(Activation):
    """Switch the running kernel from permissive to enforcing; without SELinux there is nothing to switch.

    Settings: ``permissive``: switch to permissive instead, to restore the former state.
    """

    name = "selinux-enforce"
    affects_starts = True
    action = "set SELinux to enforcing"
    known = frozenset({"when", "permissive"})

    def prepare(self, plan: Plan) -> None:  # noqa: ARG002 - only the kernel decides
        """Mark the activation as due if the kernel's mode is not the wanted one, whatever the files say."""
        if self.settings.get("permissive"):
            self.action = "set SELinux to permissive again"
            self.reasons = ["SELinux was permissive"] if system.read(SWITCH) == _ENFORCING else []
        elif system.read(SWITCH) == _PERMISSIVE:
            self.reasons = ["SELinux is permissive"]
            self.impact = CONNECTIVITY
            self.costs = "the kernel will refuse what the policy denies, also to sshd and the engine"

    def perform(self) -> None:
        """Switch the mode."""
        self.memory = {"mode": system.read(SWITCH)}
        self.save()
        _switch(self._wanted)

    def found(self, known: Collection[str]) -> Mapping[str, Any]:
        """Return the present mode."""
        return {"mode": system.read(SWITCH)} if "mode" not in known else {}

    @property
    def _wanted(self) -> str:
        return _PERMISSIVE if self.settings.get("permissive") else _ENFORCING

    def problems(self) -> list[str]:
        """Return a problem if the mode is still wrong."""
        mode = "permissive" if self.settings.get("permissive") else "enforcing"
        return [] if system.read(SWITCH) == self._wanted else [f"SELinux is not in mode {mode}"]

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the settings that switch back to permissive, if SELinux was permissive."""
        modes = [each.memory["mode"] for each in begun if "mode" in each.memory]
        was = modes[:1] == [_PERMISSIVE] and system.read(SWITCH) == _ENFORCING
        return Former({"when": united(begun), "permissive": True} if was else None)

    def undo(self) -> list[str]:
        """Switch the mode back."""
        mode = self.memory.get("mode")
        if mode in (_PERMISSIVE, _ENFORCING) and system.read(SWITCH) not in ("", mode):
            _switch(mode)
        return []


def _switch(mode: str) -> None:
    try:
        with open(SWITCH, "r+", encoding="ascii") as file:
            file.write(mode)
    except OSError as error:
        raise Failed(f"SELinux cannot be switched ({SWITCH}): {error.strerror}") from error
