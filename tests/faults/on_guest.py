"""Make some calls fail on a guest: with its systemd, its audit system, its kernel's settings and its engine.

    python3 -m tests.faults.on_guest SEED POINTS < documents.json

Reads the documents of the transaction; needs nothing but the standard library, this package's modules that it
imports, and the collection. Prints a line of JSON for every point, and one for the end. Interrupted are
``apply``, ``confirm`` and ``rollback``; then comes the next run, or the guard's own timer.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hardener.docker.plugins.module_utils.converge import history, main
from ansible_collections.hardener.docker.plugins.module_utils.converge.backup import Store

from tests.faults import tree
from tests.faults.operation import KILL, Fault, Seen, made, numbered, operate, representative
from tests.faults.tree import JOURNAL, ROOTS, STATE

SETTINGS = ("kernel/kptr_restrict", "net/ipv4/conf/all/log_martians")
# A guard that has just been started finds nothing to do, and ends a little later: see ``_settle``.
_OTHERS = "grep --invert-match hardener-guard-"
COMMANDS = {
    "audit": "auditctl -l",
    "units": f"systemctl list-units --all --plain --no-legend 'hardener*' | {_OTHERS}",
    "unit files": f"systemctl list-unit-files --no-legend 'hardener*' | {_OTHERS}",
    "failed": f"systemctl list-units --failed --plain --no-legend | {_OTHERS}",
    "engine": "docker info --format '{{.SecurityOptions}} {{.LiveRestoreEnabled}}'",
    "container": "docker inspect --format '{{.State.Running}} {{.State.StartedAt}} {{.State.Pid}}' web",
    "packet filter": "iptables-save | grep -e HARDENER -e DOCKER-USER",
    "packet filter of IPv6": "ip6tables-save | grep -e HARDENER -e DOCKER-USER",
}
SECONDS = 20  # the guard's, the shortest that there may be
_SETTLED = 300  # seconds until everything has to be over
_GUARDS = "systemctl list-units --all --plain --no-legend 'hardener-guard*'"
_LEFT_BY = {"changed": "planned", "rolled_back": "before"}


class Clock:
    """The machine's own; but what lasts is over in a fraction of the time."""

    @property
    def ahead(self) -> float:
        """Seconds since it started, five of them for one."""
        return 5 * time.monotonic()

    def install(self) -> None:
        """Leave it as it is."""


class Point(NamedTuple):
    """A fault in an operation."""

    operation: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.operation} {self.fault}"


def observe() -> dict[str, Any]:
    """What a run changes wholly or not at all."""
    found: dict[str, Any] = {}
    for path, item in tree.read(ROOTS).items():
        inside = path == str(STATE) or path.startswith(f"{STATE}/")
        if path == "/etc/audit/audit.rules.prev" or (inside and path != f"{STATE}/ownership.json"):
            continue
        found[path] = (item.mode, item.uid, item.gid, hashlib.sha256(item.content).hexdigest())
    found |= {name: Path("/proc/sys", name).read_text().strip() for name in SETTINGS}
    return found | {name: sorted(_output(command)) for name, command in COMMANDS.items()}


def _output(command: str) -> list[str]:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


class Sweep:
    """Points on this host.

    Args:
        documents: those of the transaction.
    """

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self._documents = documents
        self._clock = Clock()
        self.store = Store(str(STATE))
        self.works: dict[str, Callable[[], dict[str, Any]]] = {
            "apply": self._apply,
            "confirm": lambda: main.confirm({"token": "feedface"}),
            "rollback": lambda: main.rollback({"who": "a test", **numbered(2 * self._turn + 2)}),
        }
        self._turn = 0  # every run has a number above those before
        self.calls: dict[str, list[tuple[str, str]]] = {}
        self.expected = {"before": observe()}
        for name, work in self.works.items():
            seen = operate(self._clock, work)
            outcome = (seen.answer or {}).get("outcome")
            assert outcome in ("unconfirmed", "changed"), (name, seen.answer, seen.said)
            self.calls[name] = seen.calls
            if name == "confirm":
                self.expected["planned"] = observe()
        assert not self._differences("before"), self._differences("before")

    def _apply(self) -> dict[str, Any]:
        guard = {"token": "feedface", "seconds": SECONDS, "who": "a test"}
        wanted = {"documents": self._documents, "allow": "connectivity", "socket": "/run/docker.sock"}
        return main.converge({**wanted, "guard": guard, **numbered(2 * self._turn + 1)})

    def points(self) -> list[Point]:
        """All that there are."""
        return [
            Point(name, Fault(number, how, lasts))
            for name, calls in self.calls.items()
            for number in representative(calls)
            for how, lasts in ((KILL, False), (number, False), (number + 1, True))
        ]

    def run(self, point: Point) -> tuple[Seen, list[str]]:
        """What went wrong at a point; the host is as before it then, if nothing did."""
        self._turn += 1
        for name in list(self.works)[: list(self.works).index(point.operation)]:
            self.works[name]()
        seen = operate(self._clock, self.works[point.operation], point.fault)
        outcome = (seen.answer or {}).get("outcome", "")
        problems = []
        if point.operation == "apply" and outcome in ("refused", "rolled_back"):
            problems += self._differences("before", f"it said {outcome}")
        if outcome == "unconfirmed" and point.fault.at % 2:
            self.works["confirm"]()
        problems += self._settle()
        found = observe()
        names = [name for name, state in self.expected.items() if found == state]
        if not names:
            return seen, [*problems, *min(map(self._differences, self.expected), key=len)]
        said = self._said()
        if said not in ("", names[0]) or (said == "" and names[0] != "before"):
            problems.append(f"the host is as {names[0]}, and the journal says {said or 'nothing'}")
        if names[0] == "planned":
            outcome = self.works["rollback"]()["outcome"]
            problems += self._settle()  # an engine that is slow to come back is tried again by the guard
            problems += self._differences("before", f"after a rollback that said {outcome}")
        return seen, problems

    def _settle(self) -> list[str]:
        """Let come what comes: the guard, if a run waits, and the next run."""
        deadline = time.monotonic() + _SETTLED
        while time.monotonic() < deadline:
            main.converge({"documents": []})  # what could not be removed goes with it, too
            if not JOURNAL.exists() and not _output(_GUARDS):
                return []
            time.sleep(2)
        return [f"it is not over within {_SETTLED} s: {_output(_GUARDS)}"]

    def _said(self) -> str:
        """Which of the two states the record of the last run tells of; empty where none began."""
        for run in history.listed(self.store):  # the newest first
            if run["outcome"] not in ("unknown", "damaged"):
                return _LEFT_BY.get(run["outcome"], str(run["outcome"]))
        return ""

    def _differences(self, name: str, when: str = "in the end") -> list[str]:
        found, expected = observe(), self.expected[name]
        return [
            f"{when}, beside {name}: {key} is {found.get(key)!s:.300}, not {expected.get(key)!s:.300}"
            for key in sorted({*found, *expected})
            if found.get(key) != expected.get(key)
        ]


def run() -> None:
    """Draw points, and try them until one leaves the host in a third state."""
    seed, count = map(int, sys.argv[1:3])
    sweep = Sweep(json.load(sys.stdin))
    known = sweep.points()
    drawn = random.Random(seed).sample(known, min(count, len(known)))
    tried = 0
    for point in drawn:
        began = time.monotonic()
        seen, problems = sweep.run(point)
        tried += 1
        record = {
            "point": str(point),
            "call": seen.fired,
            "outcome": (seen.answer or {}).get("outcome"),
            "said": seen.said[-400:],
            "problems": problems,
            "seconds": round(time.monotonic() - began, 1),
        }
        print(json.dumps(record), flush=True)
        if problems:
            break
    calls = {name: len(made(calls)) for name, calls in sweep.calls.items()}
    print(json.dumps({"seed": seed, "points": tried, "of": len(known), "calls": calls}))


if __name__ == "__main__":
    run()
