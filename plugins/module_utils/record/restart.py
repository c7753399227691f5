"""Restart a container under the recorder, in place of a twin.

The engine restarts it by one request, and starts it even if this process is killed meanwhile (not so the
versions 24.0.0 to 24.0.6). Nothing else is done to the container: it is not labelled, and so not removed.
"""

from __future__ import annotations

import os
import time
from typing import Any, Mapping

from ..docker.client import quoted
from ..docker.http import NotFound
from ..host.errors import Failed, describe
from ..host.text import shown
from . import project, runtime, workspace
from .account import Account
from .engine import Engine
from .life import Life
from .parts import Part
from .subject import Subject
from .twin import SWARM, is_shared

_STOP_SECONDS = 10  # of the engine, if the container has no time of its own
_START_SECONDS = 180
_LONGEST_STOP = 900
_SHARED = {"NetworkMode": "network", "PidMode": "processes", "IpcMode": "shared memory"}


def cast(engine: Engine, container: str) -> project.Cast:
    """Return the cast with only this container, which is to be restarted.

    Raises:
        Failed: there is none of this name, or it must not be restarted.
    """
    (member,) = project.alone(engine, container).members
    reason = _obstacle(member.original) or _dependent(engine, member.original)
    if reason:
        raise Failed(f"{_name(member.original)} {reason}")
    return project.Cast([member._replace(restarted=True)], [])


def part(engine: Engine, member: project.Member, account: Account) -> Part:
    """Return the container, its life and its recording."""
    subject = Restarted(engine, member.original, account)
    account.follow(subject)
    life = RestartedLife(
        subject,
        member.original,
        account.sampler,
        mark=account.mark,
        programs=account.look_at_programs,
        changes=subject.collect_changes,
    )
    return Part(member, subject, life, account)


def _obstacle(original: Mapping[str, Any]) -> str:
    """Return why a container must not be restarted; empty if it may be."""
    labels = original["Config"].get("Labels") or {}
    if workspace.is_twin({"Labels": labels, "Name": original["Name"]}):
        return "is the twin of another recording or proof"
    if labels.get(SWARM):
        return "is a task of Swarm, which replaces it when it stops: leave out --restart"
    if original["HostConfig"].get("AutoRemove"):
        return "was started with --rm: the engine removes it if the restart fails; leave out --restart"
    if not 0 <= int(original["Config"].get("StopTimeout") or 0) <= _LONGEST_STOP:
        return f"may take more than {_LONGEST_STOP} s to stop: leave out --restart"
    host = original["HostConfig"]
    paths = [str(each.get("PathOnHost") or "") for each in host.get("Devices") or ()]
    paths += [str(each["Source"]) for each in original.get("Mounts") or () if each["Type"] == "bind"]
    for path in paths:
        if not os.path.exists(path):
            return f"could not start again: {shown(path, 200)} of the host, which it uses, is gone"
    status = str(original["State"].get("Status") or "")
    return "" if status == "running" else f"does not run (its status is {shown(status, 40)}): start it first"


def _dependent(engine: Engine, original: Mapping[str, Any]) -> str:
    """Return which other container would lose something by the restart, or prevent it; empty for none."""
    running = engine.get("/containers/json")
    for key, word in _SHARED.items():
        kind, _separator, other = str(original["HostConfig"].get(key) or "").partition(":")
        if kind == "container" and other not in {each["Id"] for each in running}:
            return f"could not start again: the container whose {word} it uses does not run"
    for listed in running:
        if listed["Id"] == original["Id"]:
            continue
        try:
            other = engine.get(f"/containers/{quoted(listed['Id'])}/json")
        except NotFound:
            continue  # it was removed meanwhile
        for key, word in _SHARED.items():
            if other["HostConfig"].get(key) == f"container:{original['Id']}":
                return f"must not be restarted: {_name(other)} uses its {word}, and would lose it"
    return ""


def _name(inspected: Mapping[str, Any]) -> str:
    return shown(str(inspected["Name"]).lstrip("/"), 100)


class Restarted(Subject):
    """A container that is restarted, and otherwise left as it is.

    Args:
        engine: the engine.
        original: inspect data of the container.
        account: what is recorded of it.
    """

    network = "original"

    def __init__(self, engine: Engine, original: Mapping[str, Any], account: Account) -> None:
        super().__init__(engine, original)
        self._identity = original["Id"]
        self._account = account
        self._start_time = ""

    @property
    def has_own_network(self) -> bool:
        """Return whether all packets that arrive in its network are for this container."""
        return not is_shared(str(self._original["HostConfig"].get("NetworkMode") or "default"))

    def start(self, tree: str) -> str:
        """Restart the container, and wait until it has settled; return how it started, in words."""
        former = self._number()
        if former is None:
            raise Failed(f"{_name(self._original)} has ended: nothing was restarted")
        # Its programs make calls until they end. The cgroup of the new ones has the same name.
        self._account.leave_out(former)
        self._account.want(self._identity)
        self._started = self._made = time.time()
        seconds = max(_STOP_SECONDS, int(self._original["Config"].get("StopTimeout") or 0)) + _START_SECONDS
        try:
            # The engine has the container's own time for its stop.
            self._engine.call("POST", f"/containers/{self._identity}/restart", seconds=seconds)
        except Failed as error:
            name = _name(self._original)
            raise Failed(
                f"the engine could not restart {name}, which may be stopped now: look at `docker ps`, "
                f"and start it by `docker start {name}` ({describe(error)})"
            ) from None
        self._start_time = str(self.state().get("StartedAt"))
        found = self._settled(tree)
        if self._number() == former:
            raise Failed("the engine has used the control group again: calls of both starts would be mixed")
        return found

    def _number(self) -> int | None:
        """Return the kernel's number of the container's cgroup; None if it has ended."""
        try:
            return runtime.cgroup_of(int(self.state().get("Pid") or 0), self._identity)
        except OSError:
            return None

    def started_again(self) -> bool:
        """Return whether it was started once more since, by its restart policy or by a person."""
        return str(self.state().get("StartedAt")) != self._start_time

    def has_process(self) -> bool:
        """Return whether its first process exists, whose number may be another's after its end."""
        return super().has_process() and self.cgroup is not None and self.pid in self.cgroup.members()


class RestartedLife(Life):
    """Runs a container through the phases that do not harm it."""

    noun = "container"
    _subject: Restarted

    def start_empty(self) -> bool:
        """Leave out this phase."""
        self.skip("start-empty", "the container keeps its volumes")
        return True

    def stop_first(self) -> None:
        """Do nothing: the restart stops the container."""

    def start_used(self) -> None:
        """Restart the container.

        Raises:
            Failed: it could not be restarted.
        """
        with self.phase("start-used") as phase:
            phase["reason"] = self.start()
        if not phase["exercised"]:
            raise Failed(phase["reason"])

    def served(self, exercise: Mapping[str, Any], reached: str) -> None:
        """Decide whether the exercise is valid: clients of the container count, too."""
        if not reached and self._subject.has_own_network and self.received():
            reached = "the container received packets from others"
        super().served(exercise, reached)

    def reload(self) -> None:
        """Leave out this phase."""
        self.skip("reload", "the container is recorded itself, and gets no signal")

    def crash_restart(self) -> None:
        """Leave out this phase."""
        self.skip("crash-restart", "the container is recorded itself, and is not killed")

    def stop(self) -> None:
        """Leave out this phase."""
        self.skip("stop", "the container is recorded itself, and goes on running")
        if not self._subject.has_own_network:
            self.missing.append("ports were not recorded: the container does not have a network of its own")
        if self._subject.started_again():
            self.missing.append(
                "the container was started again meanwhile: after that, only its calls were recorded"
            )
        self._changes()
