"""What is recorded of one twin, beside its phases: the recorder's part of it, and its programs."""

from __future__ import annotations

from typing import Any

from . import observe
from .recorder import Recorder
from .subject import Subject
from .text import shown


class Account:
    """Collects what one twin does.

    Args:
        recorder: counts.
        slot: the twin's in the recorder.
        unfiltered: whether it has no seccomp filter.
    """

    def __init__(self, recorder: Recorder, slot: int, *, unfiltered: bool) -> None:
        self.sampler = observe.Sampler(observe.label_file())
        self.programs: dict[str, dict[str, Any]] = {}
        self._recorder = recorder
        self._slot = slot
        self._unfiltered = unfiltered
        self._subject: Subject | None = None

    def follow(self, subject: Subject) -> None:
        """Look for programs in this twin."""
        self._subject = subject

    def want(self, identity: str) -> None:
        """Count what a container of the twin does from now on."""
        self._recorder.want(identity, self._slot)

    def mark(self, phase: str) -> None:
        """Count for this phase from now on."""
        self._recorder.phase(phase, unfiltered=self._unfiltered, slot=self._slot)

    def cgroups(self) -> set[int]:
        """The cgroups that the twin had; another one with each start."""
        return self._recorder.cgroups(self._slot)

    def look_at_programs(self) -> None:
        """Remember owners and file capabilities of executed programs, while there is a root to look in."""
        subject = self._subject
        if subject is None or not subject.has_process():
            return
        cgroups = self.cgroups()
        paths = {
            each["path"]
            for each in self._recorder.read_one("execs")
            if each["cgroup"] in cgroups and each["path"].startswith(b"/")
        }
        new = [path for path in sorted(paths) if shown(path) not in self.programs]
        if new:
            self.programs.update(observe.programs(subject.pid, new))

    def losses(self) -> list[str]:
        """What was not seen of the twin, in words."""
        found = []
        if self.sampler.divided:
            found.append("what runs in control groups below the container's own was not recorded")
        if self.sampler.cut:
            found.append("there were more identities of programs than are listed")
        if self.sampler.unfiltered and not self._unfiltered:
            found.append("a program ran without a seccomp filter: its calls were not recorded")
        return found
