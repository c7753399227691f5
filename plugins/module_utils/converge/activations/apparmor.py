"""Load AppArmor profiles."""

from __future__ import annotations

import glob
import os
from typing import AbstractSet, Mapping, Sequence

from ...docker.http import NoAnswer
from .. import containers, system
from ..engine import Engine
from ..errors import Failed, Refused
from ..planning import Plan
from ..serving import Finder
from .interface import Activation, Begun, Former, united

_LOADED = "/sys/kernel/security/apparmor/profiles"
_UNLOAD = "/sys/kernel/security/apparmor/.remove"


class ApparmorLoad(Activation):
    """Load profiles from their files; never unload a profile while it confines processes.

    Settings: ``profiles``, path of the file to the profile's name; ``released``, the same for profiles that
    are released: a file that remains is loaded, a profile without a file is unloaded.
    """

    name = "apparmor-load"
    affects_starts = True
    action = "load AppArmor's profiles"
    known = frozenset({"when", "profiles", "released"})

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a file changes, or if its profile is not enforced."""
        super().prepare(plan)
        gone = {name for path, name in self._released.items() if not plan.after(path).exists}
        self.pending += require_unneeded(gone, self.finder)
        for path, name in self._released.items():
            if not plan.after(path).exists and _loaded(name):
                if _confines(name):
                    self.pending.append(f"{name} confines a process, and stays loaded until the next boot")
                else:
                    self.reasons.append(f"the profile {name} is still loaded")
        odd = [path for path in self._profiles if not path.startswith("/")]
        if odd:
            raise Refused(f"activation {self.name}: {odd[0]!r} is not an absolute path")
        self.reasons += self.problems()
        if self.reasons and system.run("apparmor_parser", "--version").code == 127:
            raise Refused("apparmor_parser is missing: the role apparmor installs it")

    @property
    def _profiles(self) -> Mapping[str, str]:
        profiles: Mapping[str, str] = self.settings.get("profiles", {})
        return profiles

    @property
    def _released(self) -> Mapping[str, str]:
        profiles: Mapping[str, str] = self.settings.get("released", {})
        return profiles

    def perform(self) -> None:
        """Load or replace each profile; unload profiles without a file that confine no process."""
        for path, name in self._released.items():
            if os.path.exists(path):
                system.must("apparmor_parser", "--replace", path, timeout=120)
            elif _loaded(name) and not _confines(name):
                _unload(name)
        for path in self._profiles:
            system.must("apparmor_parser", "--replace", path, timeout=120)

    def problems(self) -> list[str]:
        """Return the profiles that the kernel does not enforce."""
        loaded = set(system.read(_LOADED).splitlines())
        return [
            f"the profile {name} is not enforced"
            for name in self._profiles.values()
            if f"{name} (enforce)" not in loaded
        ]

    def undo(self) -> list[str]:
        """Load the restored files; a profile whose file was new stays loaded, and still confines."""
        problems = []
        for path in {**self._profiles, **self._released}:
            if os.path.exists(path):
                try:
                    system.must("apparmor_parser", "--replace", path, timeout=120)
                except Failed as error:
                    problems.append(str(error))
        return problems

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the settings that load the restored files and unload profiles without a file."""
        profiles = {path: name for each in begun for path, name in each.settings.get("profiles", {}).items()}
        if system.run("apparmor_parser", "--version").code == 127 or not profiles:
            return Former(None)
        return Former({"when": united(begun), "released": profiles})


def require_unneeded(profiles: AbstractSet[str], finder: Finder) -> list[str]:
    """Refuse to remove profiles without which containers, stopped ones too, would not start.

    Returns:
        A note if it is unknown which containers there are.

    Raises:
        Refused: some were created with one of the profiles.
    """
    if not profiles:
        return []
    try:
        known, unread = Engine(finder.socket).containers()
    except NoAnswer as error:
        return [f"containers created with {', '.join(sorted(profiles))} would not start: {error}"]
    asked = {f"apparmor{sign}{name}" for name in profiles for sign in "=:"}
    needing = sorted(
        containers.name(each)
        for each in known
        if asked.intersection((each.get("HostConfig") or {}).get("SecurityOpt") or ())
        or each.get("AppArmorProfile") in profiles
    )
    if needing:
        raise Refused(
            f"{containers.listed(needing)} would not start after the next boot without the AppArmor profile"
            f" {', '.join(sorted(profiles))}: create these containers again without it first"
        )
    return [f"it is unknown whether {name} needs an AppArmor profile: {why}" for name, why in unread.items()]


def _loaded(name: str) -> bool:
    return any(line.rpartition(" (")[0] == name for line in system.read(_LOADED).splitlines())


def _confines(name: str) -> bool:
    """Return whether a process is confined by a profile; processes that cannot be read have ended."""
    for path in glob.glob("/proc/[0-9]*/attr/current"):
        if system.read(path).strip("\0\n").rpartition(" (")[0] == name:
            return True
    return False


def _unload(name: str) -> None:
    try:
        with open(_UNLOAD, "w", encoding="utf-8") as file:
            file.write(name)
    except OSError as error:
        raise Failed(f"the AppArmor profile {name} cannot be unloaded: {error.strerror}") from error
