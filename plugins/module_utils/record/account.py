"""Collect the data of one container that are not counted per phase: cgroups, programs, losses."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..host import processes
from ..host.errors import Failed
from ..host.text import shown
from . import observe, rootfiles, runtime
from .recorder import Recorder
from .subject import Subject


class Account:
    """Collects the data of one container.

    Args:
        source: counts kernel events.
        slot: the container's slot in the source.
        unfiltered: whether it has no seccomp filter.
        own_seccomp: whether it has a seccomp profile of its own.
    """

    def __init__(self, source: Recorder, slot: int, *, unfiltered: bool, own_seccomp: bool) -> None:
        self.seccomp: dict[str, Any] | None = None  # its own profile, if that could be read
        self.sampler = observe.Sampler(processes.label_file())
        self.programs: dict[str, dict[str, Any]] = {}
        self._source = source
        self._slot = slot
        self._unfiltered = unfiltered
        self._own_seccomp = own_seccomp
        self._subject: Subject | None = None
        self._left_out: set[int] = set()

    def follow(self, subject: Subject) -> None:
        """Start to look for executed programs in this container."""
        self._subject = subject

    def want(self, identity: str) -> None:
        """Start to count the events of the container with this id."""
        self._source.want(identity, self._slot)

    def leave_out(self, cgroup: int) -> None:
        """Leave out the events of a cgroup that has the name of the container."""
        self._left_out.add(cgroup)

    def mark(self, phase: str) -> None:
        """Assign all further events to this phase."""
        self._source.phase(phase, unfiltered=self._unfiltered, slot=self._slot)

    def cgroups(self) -> set[int]:
        """Return the cgroups that the container had: one for each start."""
        return self._source.cgroups(self._slot) - self._left_out

    def look_at_programs(self) -> None:
        """Record files, owners and file capabilities of executed programs, while the root is accessible."""
        subject = self._subject
        if subject is None or not subject.has_process():
            return
        if self._own_seccomp and self.seccomp is None:
            with suppress(Failed):  # its program has just ended
                self.seccomp = runtime.seccomp(subject.pid)
        cgroups = self.cgroups()
        paths = {each["path"] for each in self._source.read_one("execs") if each["cgroup"] in cgroups}
        new = [path for path in sorted(paths) if shown(path) not in self.programs]
        if new:
            self.programs.update(rootfiles.programs(subject.pid, new, folder=subject.working_folder))

    def own(self, every: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        """Return those of this container, of the files of all containers; None where they are not known."""
        return None if every is None else [each for each in every if each["slot"] == self._slot]

    def losses(self) -> list[str]:
        """Describe the observations that were lost for the container."""
        found = []
        if self.sampler.divided:
            found.append("processes in nested control groups were not recorded")
        if self.sampler.cut:
            found.append("there were more identities of programs than are listed")
        if self.sampler.unfiltered and not self._unfiltered:
            found.append("a program ran without a seccomp filter: its calls were not recorded")
        return found
