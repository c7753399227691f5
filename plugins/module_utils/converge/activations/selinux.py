"""Have SELinux enforce from now on."""

from __future__ import annotations

from ...contract import CONNECTIVITY
from .. import system
from ..errors import Failed
from ..planning import Plan
from .interface import Activation

SWITCH = "/sys/fs/selinux/enforce"
_PERMISSIVE, _ENFORCING = "0", "1"


class SelinuxEnforce(Activation):
    """Switch the running kernel from permissive to enforcing; one without SELinux has no switch."""

    name = "selinux-enforce"
    action = "have SELinux enforce"

    def prepare(self, plan: Plan) -> None:  # noqa: ARG002 - only the kernel decides
        """Due when the kernel is permissive; that a file changes is a matter of the next boot."""
        if system.read(SWITCH) == _PERMISSIVE:
            self.reasons = ["SELinux is permissive"]
            self.impact = CONNECTIVITY
            self.costs = "what the policy denies is refused from then on, to sshd and the engine as well"

    def perform(self) -> None:
        """Switch it."""
        self.memory = {"mode": system.read(SWITCH)}
        self.save()
        _switch(_ENFORCING)

    def problems(self) -> list[str]:
        """That it does not enforce."""
        return [] if system.read(SWITCH) == _ENFORCING else ["SELinux does not enforce"]

    def undo(self) -> list[str]:
        """Make it permissive again, where it was."""
        if self.memory.get("mode") == _PERMISSIVE and system.read(SWITCH) == _ENFORCING:
            _switch(_PERMISSIVE)
        return []


def _switch(mode: str) -> None:
    try:
        with open(SWITCH, "r+", encoding="ascii") as file:
            file.write(mode)
    except OSError as error:
        raise Failed(f"SELinux cannot be switched ({SWITCH}): {error.strerror}") from error
