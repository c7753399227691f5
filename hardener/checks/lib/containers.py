"""Facts about containers: of a running container from the kernel, otherwise from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import boolean

from hardener.checks import check
from hardener.checks.lib import fields
from hardener.checks.lib.rule import Judge, judge_all
from hardener.checks.lib.verdicts import needs_engine
from hardener.model import Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

SOURCE = "docker.containers"
DECLARED = "declared"  # the status of a container that exists only in a compose file
NO_CONTAINERS = "there are no containers"

_LONGEST_CHAIN = 64  # limit of a chain of containers that borrow a namespace

# The keys of HostConfig that declare which namespace a container joins.
_MODES = {
    "net": "NetworkMode",
    "pid": "PidMode",
    "ipc": "IpcMode",
    "uts": "UTSMode",
    "cgroup": "CgroupnsMode",
}


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a host, running or not."""

    kind: ClassVar[str] = "container"

    snapshot: Snapshot
    inspect_data: JSONObject  # `inspect` of docs/snapshot.md
    proc: JSONObject | None
    profile: JSONObject | None = None  # `seccomp`: the calls that the profile permits
    words: JSONObject | None = None  # digests of the words of its command
    error: str = ""  # the reason why it could not be read: then only id, name and image are known

    @property
    def id(self) -> str:
        """Return the full id of the container."""
        return fields.text(self.inspect_data, "Id", SOURCE)

    @property
    def name(self) -> str:
        """Return the name without the API's leading slash, or the short id of a container without a name."""
        return fields.text(self.inspect_data, "Name", SOURCE).lstrip("/") or self.id[:12] or "(unnamed)"

    @property
    def image_id(self) -> str:
        """Return the id of the image; empty where the engine does not report it."""
        return fields.text(self.inspect_data, "Image", SOURCE)

    @property
    def basis(self) -> str:
        """Return a remark if only the configuration of an existing container could be judged; else empty."""
        declared = fields.table(self.inspect_data, "State", SOURCE).get("Status") == DECLARED
        return "" if self.error or self.running or declared else "not running: judged by its configuration"

    @property
    def inspect(self) -> JSONObject:
        """Return the engine's inspection of the container.

        Raises:
            FactUnavailable: it could not be read.
        """
        self._see_it_was_read()
        return self.inspect_data

    @property
    def facts(self) -> JSONObject | None:
        """Return the kernel's facts about the container; None if it has no processes.

        Raises:
            FactUnavailable: it could not be read.
        """
        self._see_it_was_read()
        return self.proc

    def _see_it_was_read(self) -> None:
        if self.error:
            raise FactUnavailable(SOURCE, f"{self.name}: {self.error}")

    @property
    def running(self) -> bool:
        """Return whether the container has processes: not while it waits for a restart or just after its end.

        The collector looks at the processes of each, and fails as a whole where it may not.

        Raises:
            FactUnavailable: it could not be read.
        """
        return self.facts is not None

    @property
    def config(self) -> JSONObject:
        """Return the process configuration: the image's, combined with the options of ``docker run``."""
        return fields.required(self.inspect, "Config", SOURCE)

    @property
    def host_config(self) -> JSONObject:
        """Return the host configuration with which the container was created."""
        return fields.required(self.inspect, "HostConfig", SOURCE)

    @property
    def privileged(self) -> bool:
        """Return whether the container was started privileged: all capabilities and devices, no filter."""
        return bool(self.host_config.get("Privileged"))

    def fact(self, key: str) -> Any:
        """Return a fact of the kernel about a running container.

        Raises:
            FactUnavailable: the collector could not read it.
        """
        value = None if self.facts is None else self.facts.get(key)
        if value is None:
            raise FactUnavailable(SOURCE, f"{key} of the processes of {self.name} could not be read")
        return value

    def security_options(self, key: str) -> list[str]:
        """Return the values of one security option, ``key=value`` or ``key:value``, in order."""
        values = []
        for option in fields.texts(self.host_config, "SecurityOpt", SOURCE):
            # The engine splits at "=" first: the value of a label can contain colons.
            name, _, value = option.partition("=" if "=" in option else ":")
            if name == key:
                values.append(value)
        return values

    def shares(self, namespace: str) -> bool:
        """Return whether the container is in the host's namespace: as the kernel says, else as declared."""
        if self.running:
            return namespace in self.fact("host_namespaces")
        return self.declares_host(namespace)[0]

    def declares_host(self, namespace: str) -> tuple[bool, str]:
        """Return whether the container requests the host's namespace, and through which container."""
        owner = self.owner(namespace)
        if owner is None:
            return False, ""
        mode = fields.text(owner.host_config, _MODES[namespace], SOURCE)
        return mode == "host", "" if owner is self else owner.name

    def owner(self, namespace: str) -> Container | None:
        """Return the container whose namespace it uses: its own, unless ``container:NAME`` borrows another's.

        A neighbour may borrow in turn. None if the engine cannot start the container.
        """
        found: Container | None = self
        seen: list[str] = []
        while found and len(seen) < _LONGEST_CHAIN:
            mode = fields.text(found.host_config, _MODES[namespace], SOURCE)
            if not mode.startswith("container:"):
                return found
            found = None if mode in seen else _by_reference(self.snapshot).get(mode.partition(":")[2])
            seen.append(mode)
        if found is None:
            return None
        raise FactUnavailable(
            SOURCE, f"{self.name} shares namespaces through more than {_LONGEST_CHAIN} containers"
        )


@lru_cache(maxsize=1)  # used by about 24 checks
def containers(snapshot: Snapshot) -> tuple[Container, ...]:
    """Return every container of the host, whatever its name, labels or state."""
    found = []
    for entry in snapshot.containers:
        facts = entry.get("proc")
        if facts is not None and not isinstance(facts, Mapping):
            raise FactUnavailable(SOURCE, "proc of a container is not an object")
        profile, words = (fields.table(entry, key, SOURCE) or None for key in ("seccomp", "words"))
        told = fields.required(entry, "inspect", SOURCE)
        error = fields.text(entry, "error", SOURCE)
        found.append(Container(snapshot, told, facts, profile, words, error))
    return tuple(found)


def readable(snapshot: Snapshot) -> tuple[tuple[Container, ...], FactUnavailable | None]:
    """Return the readable containers, and the error if others are unreadable."""
    everyone = containers(snapshot)
    unread = [container for container in everyone if container.error]
    if not unread:
        return everyone, None
    missing = f"{unread[0].name}: {unread[0].error} ({len(unread)} of {len(everyone)} containers)"
    return tuple(each for each in everyone if not each.error), FactUnavailable(SOURCE, missing)


def every_container(
    snapshot: Snapshot,
    judge: Judge[Container],
    *,
    expected: str,
    only: Callable[[Container], bool] | None = None,
    no_subjects: str = NO_CONTAINERS,
    question: str = "",
    evidence: Sequence[str] = (),
) -> Verdict:
    """Apply a rule to every container, or to those that ``only`` selects; see ``judge_all``."""
    everyone = containers(snapshot)
    subjects = [each for each in everyone if only is None or each.error or only(each)]
    return judge_all(
        subjects,
        judge,
        expected=expected,
        no_subjects=no_subjects if everyone else NO_CONTAINERS,
        question=question,
        evidence=evidence,
    )


def container_check(
    slug: str, *, expected: str, question: str = ""
) -> Callable[[Judge[Container]], Judge[Container]]:
    """Register a rule for every container, for a control that applies to any host with Docker."""

    def register(judge: Judge[Container]) -> Judge[Container]:
        @check(slug)
        @needs_engine
        def decided(snapshot: Snapshot) -> Verdict:
            return every_container(snapshot, judge, expected=expected, question=question)

        return judge

    return register


def go_bool(text: str) -> bool:
    """Parse a boolean as the engine does in a security option; invalid text is false."""
    return boolean(text) is True


@lru_cache(maxsize=1)
def _by_reference(snapshot: Snapshot) -> Mapping[str, Container]:
    """Index every container by its name, its id and its short id."""
    everyone = containers(snapshot)
    return {
        reference: container
        for container in everyone
        for reference in (container.id[:12], container.id, container.name)
    }
