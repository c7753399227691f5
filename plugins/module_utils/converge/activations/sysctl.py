"""Set kernel settings one by one, and store their former values."""

from __future__ import annotations

import glob
import os
from typing import Any, Collection, Iterator, Mapping, NamedTuple, Sequence

from ...host.errors import Failed as Unread
from ...host.errors import describe
from ...host.sysctlfiles import assignments, dotted, last_word, path_of
from .. import system
from ..errors import Failed
from ..planning import Plan
from .interface import Activation, Begun, Former, united

ROOT = "/proc/sys"
# Settings that only a reboot can reset.
_FOR_GOOD = (
    "kernel/kexec_load_disabled",
    "kernel/modules_disabled",
    "kernel/unprivileged_bpf_disabled",
    "kernel/yama/ptrace_scope",
)


class Setting(NamedTuple):
    """One setting of the running kernel; ``path`` is relative to /proc/sys."""

    path: str
    found: str
    wanted: str


class Sysctl(Activation):
    """Set kernel settings that differ from the wanted values.

    Settings: ``values``, key to value, which are in files that ``when`` names; an asterisk in a key stands
    for every network interface. ``needed``: the same for values that are in no file of hardener and must be
    set now. A key that this kernel does not have is ignored.
    """

    name = "sysctl"
    affects_starts = True
    action = "set kernel settings"
    cuts_off = True  # network settings can
    known = frozenset({"when", "values", "needed"})

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a file changes, or if a kernel value differs from the wanted one."""
        super().prepare(plan)
        self.reasons += [
            f"{dotted(setting.path)} is {setting.found}, should be {setting.wanted}"
            for setting in self._differing()
        ]
        self.pending = list(dict.fromkeys(self._contradictions(plan)))

    @property
    def _wanted(self) -> dict[str, str]:
        """Return path patterns and values: ``needed`` first (they reset others), irreversible ones last."""
        wanted = {**self.settings.get("needed", {}), **self.settings.get("values", {})}
        patterns = {path_of(key): str(value) for key, value in wanted.items()}
        return dict(sorted(patterns.items(), key=lambda item: item[0] in _FOR_GOOD))

    def _differing(self) -> list[Setting]:
        found = []
        for pattern, value in self._wanted.items():
            for path in _existing(pattern):
                now = _read(path)
                if now is not None and now != value:
                    found.append(Setting(path, now, value))
        return found

    def _contradictions(self, plan: Plan) -> Iterator[str]:
        """Yield the settings that another file overrides at the next boot."""
        own = {path: (plan.after(path).content or b"").decode() for path in self.settings.get("when", ())}
        try:
            said = assignments(own)
        except (OSError, Unread) as error:
            yield f"other files may override the kernel settings at the next boot: {describe(error)}"
            return
        for pattern, value in self._wanted.items():
            for path in [*_existing(pattern), *([pattern] if "*" in pattern else [])]:
                last = last_word(path, said)
                if last is not None and last.value != value and last.file not in own:
                    yield (
                        f"{last.file} sets {dotted(last.pattern)} to {last.value}, not to {value}, at the"
                        " next boot: change it there"
                    )

    def perform(self) -> None:
        """Set the values that differ."""
        differing = self._differing()
        self.memory = {"before": [list(setting) for setting in differing], "boot": system.boot()}
        self.save()
        for setting in differing:
            try:
                _write(setting.path, setting.wanted)
            except FileNotFoundError:
                continue  # the interface has been removed
            except OSError as error:
                raise Failed(
                    f"{dotted(setting.path)} cannot be set to {setting.wanted}: {error.strerror}"
                ) from error

    def problems(self) -> list[str]:
        """Return the settings whose value was not applied."""
        return [
            f"{dotted(setting.path)} is {setting.found} after it was set to {setting.wanted}"
            for setting in self._differing()
        ]

    def undo(self) -> list[str]:
        """Restore the former values, except those of settings that others have changed since the run."""
        settings = [Setting(*entry) for entry in self.memory.get("before", ())]
        ours = [setting for setting in settings if _read(setting.path) in (setting.found, setting.wanted)]
        problems = []
        for setting in ours:
            if _read(setting.path) == setting.found:
                continue
            try:
                _write(setting.path, setting.found)
            except FileNotFoundError:
                continue
            except OSError as error:
                said = f"{dotted(setting.path)} cannot be set back to {setting.found}: {error.strerror}"
                if setting.path in _FOR_GOOD:
                    self.pending.append(f"{said}; a reboot resets it")
                else:
                    problems.append(said)
        return problems

    def found(self, known: Collection[str]) -> Mapping[str, Any]:
        """Return the present values, except of patterns: interfaces come and go."""
        paths = [path for path in self._wanted if path not in known and "*" not in path]
        return {path: now for path in paths if (now := _read(path)) is not None}

    @classmethod
    def as_found(cls, memory: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return stored data of a run with the values that the first run found in place of later ones."""
        settings = [Setting(*entry) for entry in memory.get("before", ())]
        return {
            **memory,
            "before": [each._replace(found=found.get(each.path, each.found)) for each in settings],
        }

    @classmethod
    def subjects(cls, memory: Mapping[str, Any]) -> frozenset[str]:
        """Return the settings that a run has changed."""
        return frozenset(str(entry[0]) for entry in memory.get("before", ()))

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the values before the first run, except those of settings that others have changed since."""
        first: dict[str, str] = {}
        ours: dict[str, set[str]] = {}
        for each in begun:
            for entry in each.memory.get("before", ()):
                setting = Setting(*entry)
                first.setdefault(setting.path, setting.found)
                ours.setdefault(setting.path, set()).update((setting.found, setting.wanted))
        needed: dict[str, str] = {}
        kept, left = [], []
        for path, value in first.items():
            now = _read(path)
            if now is None or now == value:
                continue
            if now not in ours[path]:
                kept.append(f"{dotted(path)} was set to {now} by others meanwhile, and stays so")
            elif path in _FOR_GOOD:
                left.append(f"{dotted(path)} stays {now} until the next boot")
            else:
                needed[path] = value
        return Former({"when": united(begun), "needed": needed}, kept, left)

    def undo_at_boot(self) -> list[str]:
        """Do the same as `undo` after a soft reboot, in which the kernel keeps its values."""
        return self.undo() if self.memory.get("boot") == system.boot() else []


# --- running kernel -----------------------------------------------------------------------------------------


def _existing(pattern: str) -> list[str]:
    """Return the settings below /proc/sys that match a pattern, without ``all`` and ``default``."""
    if ".." in pattern.split("/"):
        return []
    if "*" not in pattern:
        return [pattern] if os.path.exists(os.path.join(ROOT, pattern)) else []
    found = glob.glob(os.path.join(ROOT, pattern))
    paths = [os.path.relpath(path, ROOT) for path in sorted(found)]
    return [path for path in paths if path.split("/")[-2] not in ("all", "default")]


def _read(path: str) -> str | None:
    try:
        with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def _write(path: str, value: str) -> None:
    with open(os.path.join(ROOT, path), "r+", encoding="utf-8") as file:
        file.write(value)
