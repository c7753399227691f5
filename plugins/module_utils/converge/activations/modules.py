"""Load kernel modules."""

from __future__ import annotations

import os
import re
from typing import Sequence

from ...host import kernels
from .. import system
from ..errors import Refused
from ..planning import Plan
from .interface import Activation, Begun, Former


class ModulesLoad(Activation):
    """Load kernel modules, and never unload one."""

    name = "modules-load"
    action = "load kernel modules"
    known = frozenset({"when", "modules"})
    _valid = re.compile(r"[A-Za-z0-9_]+")

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a file changes, or if a module is not in the kernel."""
        super().prepare(plan)
        missing = [f"the module {module} is not loaded" for module in self._missing()]
        self.reasons += missing
        if missing and system.read("/proc/sys/kernel/modules_disabled") == "1":
            raise Refused(
                f"{'; '.join(missing)}, and this kernel loads no more modules until it is booted again"
            )

    def _missing(self) -> list[str]:
        modules = self.settings.get("modules", [])
        for module in modules:
            if not self._valid.fullmatch(str(module)):
                raise Refused(f"activation {self.name}: {module!r} is not the name of a module")
        return [module for module in modules if not _in_kernel(module)]

    def perform(self) -> None:
        """Load the missing modules."""
        for module in self._missing():
            system.must("modprobe", "--", module)

    def problems(self) -> list[str]:
        """Return the modules that are still missing."""
        return [f"the module {module} is not loaded" for module in self._missing()]

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return no settings, since loaded modules stay: see `undo`."""
        names = dict.fromkeys(str(name) for each in begun for name in each.settings.get("modules", ()))
        loaded = [name for name in names if os.path.isdir(f"/sys/module/{name}")]
        return Former(
            None, left=[f"the kernel module {name} stays loaded until the next boot" for name in loaded]
        )

    def undo(self) -> list[str]:
        """Leave the modules loaded: other programs may need them by now."""
        return []


def _in_kernel(module: str) -> bool:
    """Return whether a module is loaded or built in."""
    return kernels.in_kernel(module) or module in kernels.listed("modules.builtin")
