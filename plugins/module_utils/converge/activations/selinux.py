"""Have SELinux enforce from now on."""

from __future__ import annotations

from typing import Sequence

from ...contract import CONNECTIVITY
from .. import system
from ..errors import Failed
from ..planning import Plan
from .interface import Activation, Begun, Former, united

SWITCH = "/sys/fs/selinux/enforce"
_PERMISSIVE, _ENFORCING = "0", "1"


class SelinuxEnforce(Activation):
    """Switch the running kernel from permissive to enforcing; one without SELinux has no switch.

    Settings: ``permissive``, to switch it the other way, where it was so before.
    """

    name = "selinux-enforce"
    action = "have SELinux enforce"
    known = frozenset({"when", "permissive"})

    def prepare(self, plan: Plan) -> None:  # noqa: ARG002 - only the kernel decides
        """Due when the kernel is permissive; that a file changes is a matter of the next boot."""
        if self.settings.get("permissive"):
            self.action = "have SELinux permit again"
            self.reasons = ["SELinux was permissive"] if system.read(SWITCH) == _ENFORCING else []
        elif system.read(SWITCH) == _PERMISSIVE:
            self.reasons = ["SELinux is permissive"]
            self.impact = CONNECTIVITY
            self.costs = "what the policy denies is refused from then on, to sshd and the engine as well"

    def perform(self) -> None:
        """Switch it."""
        self.memory = {"mode": system.read(SWITCH)}
        self.save()
        _switch(self._wanted)

    @property
    def _wanted(self) -> str:
        return _PERMISSIVE if self.settings.get("permissive") else _ENFORCING

    def problems(self) -> list[str]:
        """That it is not as wanted."""
        how = "permit" if self.settings.get("permissive") else "enforce"
        return [] if system.read(SWITCH) == self._wanted else [f"SELinux does not {how}"]

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Permissive, where it was."""
        modes = [each.memory["mode"] for each in begun if "mode" in each.memory]
        was = modes[:1] == [_PERMISSIVE] and system.read(SWITCH) == _ENFORCING
        return Former({"when": united(begun), "permissive": True} if was else None)

    def undo(self) -> list[str]:
        """Switch it back."""
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
