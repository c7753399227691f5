"""A command line whose fleet answers from memory: hosts, and how each of them behaves."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from click.testing import CliRunner

from hardener.fleet import Event, Hosts, Outcome, State, TaskResult
from hardener.snapshot import Snapshot


@dataclass(slots=True)
class FakeFleet:
    """Stands for the hosts. ``snapshots``: host to what it gives, a reason where it gives nothing."""

    snapshots: dict[str, Snapshot | str] = field(default_factory=dict)
    converge: Callable[[str], dict[str, Any]] = lambda host: {"outcome": "unchanged", "msg": "nothing to do"}
    install: Callable[[str], dict[str, Any]] = lambda host: {"msg": "start docker"}
    rollback: Callable[[str], dict[str, Any]] = lambda host: {"outcome": "changed", "msg": "back"}
    release: Callable[[str], dict[str, Any]] = lambda host: {
        "outcome": "changed",
        "msg": "the host is restored",
    }
    activity: Callable[[str], dict[str, Any]] = lambda host: {"failed": True, "msg": "nobody listens"}
    verify_images: Callable[[str], dict[str, Any] | str] = lambda host: "no registry"
    scan: Callable[[str], dict[str, Any]] = lambda host: {"failed": True, "msg": f"no scan of {host}"}
    error: BaseException | None = None
    options: dict[str, Any] = field(default_factory=dict)
    runs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reached: list[list[str]] = field(default_factory=list)  # the hosts of each run
    said: list[str] = field(default_factory=list)
    numbers: list[tuple[int, str]] = field(default_factory=list)
    within: tuple[str, ...] | None = None
    wishes: dict[str, list[str]] = field(default_factory=dict)  # host to roles
    inventory_name: str = "/srv/hosts.yml"

    def __call__(self, **options: Any) -> Self:
        """Takes the place of the class."""
        self.options = options
        return self

    @property
    def is_whole(self) -> bool:
        """Whether it has all hosts of the inventory."""
        return not self.options.get("limit") and self.within is None

    def only(self, hosts: Sequence[str]) -> FakeFleet:
        """The same hosts and notes, of which a run reaches some."""
        return replace(self, within=tuple(hosts))

    def numbered(self, number: int, run: str) -> FakeFleet:
        """The same hosts, for a run with a number."""
        self.numbers.append((number, run))
        return self

    @property
    def asked(self) -> list[str]:
        """The hosts that a run reaches, in inventory order."""
        return [host for host in self.snapshots if self.within is None or host in self.within]

    def run(self, playbook: str, **options: Any) -> FakeRun:
        """A run of a playbook."""
        self.runs.append((playbook, options))
        self.reached.append(self.asked)
        return FakeRun(self, playbook, options)


class FakeRun:
    def __init__(self, fleet: FakeFleet, playbook: str, options: Mapping[str, Any]) -> None:
        self.fleet = fleet
        self.variables = options["variables"]
        results: dict[str, Callable[[], Iterator[TaskResult]]] = {
            "audit": self.audit,
            "provision": self.provision,
            "rollback": lambda: self.simple("rollback", fleet.rollback),
            "release": lambda: self.simple("release", fleet.release),
            "activity": lambda: self.simple("activity", fleet.activity),
            "verify_images": self.verify_images,
            "scan": self.scan,
        }
        self.results = results.get(playbook, self.harden)
        self.outcomes: dict[str, Outcome] = {}
        self.groups: dict[str, tuple[str, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Event]:
        yield Hosts(tuple(self.fleet.asked))
        if self.fleet.error:
            raise self.fleet.error
        for result in self.results():
            self.outcomes[result.host] = Outcome(result.state, result.reason)
            yield result

    def audit(self) -> Iterator[TaskResult]:
        for host in self.fleet.asked:
            snapshot = self.fleet.snapshots[host]
            if isinstance(snapshot, str):
                yield TaskResult(host, "collect", State.UNREACHABLE, snapshot)
            else:
                path = Path(self.variables["collect_dest"]) / f"{abs(hash(host))}.json"
                path.write_text(json.dumps({**snapshot.raw, "host": host}))
                wishes = self.fleet.wishes.get(host, []) if self.variables.get("collect_wishes") else []
                yield TaskResult(host, "collect", State.OK, data={"snapshot": str(path), "wishes": wishes})

    def provision(self) -> Iterator[TaskResult]:
        for host in self.fleet.asked:
            if host not in self.variables["provision_hosts"]:
                yield TaskResult(host, "include_role", State.SKIPPED)
                continue
            data = self.fleet.install(host)
            if data.get("failed"):
                action = "converge" if "outcome" in data else "command"
                action = "window" if data.get("outcome") == "not_begun" else action
                yield TaskResult(host, action, State.FAILED, data["msg"], data)
            else:
                yield TaskResult(host, "converge", State.CHANGED, data={"outcome": "changed", **data})
                yield TaskResult(host, "set_fact", State.OK)

    def harden(self) -> Iterator[TaskResult]:
        for host in self.fleet.asked:
            if host in self.variables["harden_plan"]:
                data = self.fleet.converge(host)
                state = State.FAILED if data.get("failed") else State.OK
                action = "window" if data["outcome"] == "not_begun" else "converge"
                yield TaskResult(host, action, state, data["msg"] if data.get("failed") else "", data)
            else:
                yield TaskResult(host, "converge", State.SKIPPED)

    def simple(self, action: str, answer: Callable[[str], dict[str, Any]]) -> Iterator[TaskResult]:
        for host in self.fleet.asked:
            data = answer(host)
            state = State.FAILED if data.get("failed") else State.OK
            yield TaskResult(host, action, state, data["msg"] if data.get("failed") else "", data)

    def verify_images(self) -> Iterator[TaskResult]:
        for host in self.fleet.asked:
            found = self.fleet.verify_images(host)
            if isinstance(found, str):
                yield TaskResult(host, "verify_images", State.FAILED, found)
            else:
                yield TaskResult(host, "verify_images", State.OK, data=found)

    def scan(self) -> Iterator[TaskResult]:
        for host in self.fleet.asked:
            data = self.fleet.scan(host)
            state = State.FAILED if data.get("failed") else State.OK
            reason = data["msg"] if data.get("failed") else ""
            yield TaskResult(host, "vulnerability_scan", state, reason, {"scan": data})


def runner() -> CliRunner:
    """What runs a command line in this process, with standard error apart as every release of click can."""
    options: dict[str, Any] = {}
    if "mix_stderr" in inspect.signature(CliRunner).parameters:  # until click 8.1
        options["mix_stderr"] = False
    return CliRunner(**options)
