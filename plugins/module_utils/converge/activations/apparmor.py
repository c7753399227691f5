"""Load profiles of AppArmor."""

from __future__ import annotations

import os
from typing import Mapping

from .. import system
from ..errors import Failed, Refused
from ..planning import Plan
from .interface import Activation

_LOADED = "/sys/kernel/security/apparmor/profiles"


class ApparmorLoad(Activation):
    """Load profiles from their files, and never unload one: that would free whoever is under it.

    Settings: ``profiles``, path of the file to the profile's name.
    """

    name = "apparmor-load"
    action = "load AppArmor's profiles"
    known = frozenset({"when", "profiles"})

    def prepare(self, plan: Plan) -> None:
        """Due when a file changes, or when its profile is not enforced."""
        super().prepare(plan)
        odd = [path for path in self._profiles if not path.startswith("/")]
        if odd:
            raise Refused(f"activation {self.name}: {odd[0]!r} is no absolute path")
        self.reasons += self.problems()
        if self.reasons and system.run("apparmor_parser", "--version").code == 127:
            raise Refused("apparmor_parser is missing: the role apparmor installs it")

    @property
    def _profiles(self) -> Mapping[str, str]:
        profiles: Mapping[str, str] = self.settings.get("profiles", {})
        return profiles

    def perform(self) -> None:
        """Load each, in the place of the one of that name."""
        for path in self._profiles:
            system.must("apparmor_parser", "--replace", path, timeout=120)

    def problems(self) -> list[str]:
        """Profiles that the kernel does not enforce."""
        loaded = set(system.read(_LOADED).splitlines())
        return [
            f"the profile {name} is not enforced"
            for name in self._profiles.values()
            if f"{name} (enforce)" not in loaded
        ]

    def undo(self) -> list[str]:
        """Load what the restored files say; a profile whose file is new stays loaded, and confines on."""
        problems = []
        for path in self._profiles:
            if os.path.exists(path):
                try:
                    system.must("apparmor_parser", "--replace", path, timeout=120)
                except Failed as error:
                    problems.append(str(error))
        return problems
