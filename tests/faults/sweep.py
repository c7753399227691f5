"""Make every call of every operation fail, and look at the host afterwards.

    python -m tests.faults apply:kill --seed 1 --sample 20

Prints a line of JSON for every point, and one for the end.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hardener.docker.plugins.module_utils.converge import files, guard_main, history, main
from ansible_collections.hardener.docker.plugins.module_utils.converge.backup import Store
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic

from tests.faults import transaction, tree
from tests.faults.host import Host, Saved
from tests.faults.operation import (
    INTERRUPT_ALL,
    KILL,
    Fault,
    Seen,
    made,
    numbered,
    operate,
    repeated,
    representative,
)
from tests.faults.tree import JOURNAL, ROOTS, STATE
from tests.unit.plugins.loading import ROOT

Work = Callable[[], "dict[str, Any] | None"]
KINDS = ("kill", "once", "lasting")
_GUARD = Path("/etc/systemd/system/sysinit.target.wants/hardener-guard.service")
_NUMBER = STATE / "number.json"
_GUARD_UNIT = Path("/etc/systemd/system/hardener-guard.service")
_LEFT_BY = {"changed": "planned", "rolled_back": "before"}


class Point(NamedTuple):
    """A fault in an operation, and what comes by afterwards."""

    operation: str
    fault: Fault
    then: str

    def __str__(self) -> str:
        return f"{self.operation} {self.fault} {self.then}"


@dataclass(slots=True)
class Operation:
    """What is interrupted.

    Attributes:
        start: the host before it.
        work: what it does.
        calls: those of a run without a fault.
        booted: whether it belongs to a boot, so that the host has yet to come up.
        then: what may come by after it.
    """

    start: Saved
    work: Work
    calls: list[tuple[str, str]] = field(default_factory=list)
    booted: bool = False
    then: tuple[str, ...] = ("expire", "boot", "next")


class Sweep:
    """All operations on one host."""

    def __init__(self, *, bare: bool = False) -> None:
        self.host = Host(bare=bare)
        self.store = Store(str(STATE))
        self.expected: dict[str, dict[str, Any]] = {}
        self.expected_booted: dict[str, dict[str, Any]] = {}
        self.operations = dict(self._operations())

    def _operations(self) -> Iterator[tuple[str, Operation]]:
        host = self.host
        before = host.save()
        self.expected["before"] = host.observe()
        yield "apply", (apply := Operation(before, self._apply))
        apply.calls = self._clean(apply).calls
        unconfirmed = host.save()
        yield "confirm", (confirm := Operation(unconfirmed, self._confirm))
        confirm.calls = self._clean(confirm).calls
        confirmed = host.save()
        self.expected["planned"] = host.observe()
        yield "rollback", (rollback := Operation(confirmed, self._rollback))
        rollback.calls = self._clean(rollback).calls
        self._is("before", self.expected)
        host.restore(unconfirmed)
        host.clock.ahead += 10 * transaction.SECONDS
        yield "expired", (expired := Operation(host.save(), self._expired))
        expired.calls = self._clean(expired).calls
        self._is("before", self.expected)
        # Killed with everything done, and not said so yet.
        written = [number for number, (_, what) in enumerate(apply.calls, 1) if what.endswith(str(JOURNAL))]
        host.restore(before)
        operate(host.clock, self._apply, Fault(at=written[-1]))
        host.clock.ahead += 10 * transaction.SECONDS
        yield "recovery", (recovery := Operation(host.save(), self._next))
        recovery.calls = self._clean(recovery).calls
        self._is("before", self.expected)
        for name, state in (("before", before), ("planned", confirmed)):
            host.restore(state)
            self._reboot()
            self.expected_booted[name] = host.observe(survived=False)
        host.restore(unconfirmed)
        host.go_down()
        yield "boot", (boot := Operation(host.save(), self._boot, booted=True, then=("boot", "next")))
        boot.calls = self._clean(boot).calls
        host.come_up()
        self._is("before", self.expected_booted)

    def _clean(self, operation: Operation) -> Seen:
        self.host.restore(operation.start, up=not operation.booted)
        seen = operate(self.host.clock, operation.work)
        assert not seen.said, seen.said
        return seen

    # --- what is done ---------------------------------------------------------------------------------------

    def _apply(self) -> dict[str, Any]:
        guard = {"token": transaction.TOKEN, "seconds": transaction.SECONDS, "who": "a test"}
        wanted = {"documents": self.host.documents(), "socket": str(self.host.engine.dockerd.socket)}
        return main.converge({**wanted, "allow": "connectivity", "guard": guard, **numbered(1)})

    def _confirm(self) -> dict[str, Any]:
        return main.confirm({"token": transaction.TOKEN})

    def _rollback(self) -> dict[str, Any]:
        return main.rollback({"who": "a test", **numbered(2)})

    def _next(self) -> dict[str, Any]:
        return main.converge({"documents": [], **numbered(3)})

    def _expired(self) -> None:
        self._watch("expired")

    def _boot(self) -> None:
        self._watch("boot")

    def _booted(self) -> None:
        self._watch("booted")

    def _watch(self, occasion: str) -> None:
        """What guard.pyz runs, whose sources are these."""
        sys.argv = ["guard.pyz", occasion, str(STATE), max(self.store.runs())]
        guard_main.main()

    # --- points ---------------------------------------------------------------------------------------------

    def points(self, name: str, kind: str) -> Iterator[Point]:
        """The points of an operation."""
        operation = self.operations[name]
        if kind == "once":
            yield Point(name, Fault(how=INTERRUPT_ALL), operation.then[0])
        for number in representative(operation.calls):
            # Of several errors each call gets one that lasts and another one that does not.
            how = {"kill": KILL, "once": number, "lasting": number + 1}[kind]
            then = operation.then[(number + KINDS.index(kind)) % len(operation.then)]
            yield Point(name, Fault(number, how, kind == "lasting"), then)

    def run(self, point: Point) -> tuple[Seen, list[str]]:
        """What went wrong at a point."""
        host, operation = self.host, self.operations[point.operation]
        host.restore(operation.start, up=not operation.booted)
        seen = operate(host.clock, operation.work, point.fault)
        outcome = (seen.answer or {}).get("outcome", "")
        problems = self._answered(outcome) if point.operation == "apply" else []
        if operation.booted:
            self._start_up()
        booted = operation.booted
        if point.then == "boot":
            self._reboot()
            booted = True
        elif outcome == "unconfirmed" and point.fault.at % 2:
            operate(host.clock, self._confirm)
        else:
            host.clock.ahead += 10 * transaction.SECONDS
            if point.then == "expire":
                self._wait_for_guard()
        if JOURNAL.exists():
            operate(host.clock, self._next)
        self._wait_for_guard()
        guards = (_GUARD, _GUARD_UNIT, Path(files.temporary_name(str(_GUARD_UNIT))))
        if any(map(os.path.lexists, guards)) or any(map(_is_room, tree.read(ROOTS))):
            operate(host.clock, self._next)  # it could not be removed, and goes with the next run
        problems += self._final(booted)
        if not problems:
            first = host.observe(survived=not booted)
            for again in (self._next, self._expired):
                if self.store.runs():
                    said = operate(host.clock, again).said
                    problems += [f"a second recovery: {said}"] if said else []
            if host.observe(survived=not booted) != first:
                problems += self._differences(first, "a second recovery changed something")
        return seen, problems

    def _wait_for_guard(self) -> None:
        """Have systemd start what it was told to start by now."""
        for unit, timer in list(self.host.services.timers.items()):
            assert timer.command[-3:-1] == ["expired", str(STATE)], timer.command
            operate(self.host.clock, self._expired)
            self.host.services.timers.pop(unit, None)
            self.host.services.active.discard(unit)

    def _reboot(self) -> None:
        self.host.go_down()
        if _GUARD.is_symlink():
            operate(self.host.clock, self._boot)
        self._start_up()

    def _start_up(self) -> None:
        """Start all that starts after the guard's unit, which ends with a look at what is still to do."""
        if any((STATE / "backups").glob("*/guard.pyz")):
            operate(self.host.clock, self._booted)
        self.host.come_up()
        self._wait_for_guard()

    # --- what is looked at ----------------------------------------------------------------------------------

    def _answered(self, outcome: str) -> list[str]:
        """What is wrong when a transaction has told its outcome."""
        problems = []
        if outcome in ("refused", "rolled_back"):
            problems += self._differences(self.expected["before"], f"it said {outcome}")
        if outcome in ("unconfirmed", "rolled_back") and not _NUMBER.exists():
            problems.append(f"it said {outcome}, and an older run would be let in")
        return problems

    def _final(self, booted: bool) -> list[str]:
        """What is wrong when all is over."""
        expected = self.expected_booted if booted else self.expected
        found = self.host.observe(survived=not booted)
        names = [name for name, state in expected.items() if found == state]
        if not names:
            closest = min(expected, key=lambda name: len(_different(expected[name], found)))
            return self._differences(
                expected[closest], f"neither before nor planned, but for {closest}", booted
            )
        problems = [f"it is over, and {JOURNAL} is there"] if JOURNAL.exists() else []
        said = self._said()
        if said not in ("", names[0]):
            problems.append(f"the host is as {names[0]}, and the journal says {said}")
        if said == "" and names[0] != "before":
            problems.append("the host is as planned, and the journal says nothing")
        problems += [f"{unit} waits" for unit in self.host.services.timers]
        return problems

    def _said(self) -> str:
        """Which of the two states the record of the last run tells of; empty where none began."""
        for run in reversed(self.store.runs()):
            listed = history.listed(self.store)
            outcome = next(each["outcome"] for each in listed if each["run"] == run)
            journal = Journal.of(self.store, run)
            if outcome in ("unknown", "damaged") and journal is None:  # it never began
                continue
            return _LEFT_BY.get(outcome, str(outcome))
        return ""

    def _is(self, name: str, expected: dict[str, dict[str, Any]]) -> None:
        booted = expected is self.expected_booted
        problems = self._differences(expected[name], "without a fault", booted)
        assert not problems, problems

    def _differences(self, expected: dict[str, Any], when: str, booted: bool = False) -> list[str]:
        found = self.host.observe(survived=not booted)
        return [
            f"{when}: {key} is {_short(found.get(key))}, not {_short(expected.get(key))}"
            for key in _different(expected, found)
        ]


def _is_room(path: str) -> bool:
    return path.endswith(f".reserve{atomic.SUFFIX}")


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _short(value: Any) -> str:
    return f"{value!s:.120}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", help="operation:kind")
    parser.add_argument("--bare", action="store_true", help="a host that has only what the engine makes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=0, help="so many points, drawn by the seed; 0 for all")
    parser.add_argument("--seconds", type=float, default=0, help="end after that")
    parser.add_argument("--only", default="", help="points whose name begins so")
    return parser.parse_args()


def run() -> None:
    """Sweep what the arguments say."""
    arguments = _arguments()
    began = time.monotonic()
    # An operation that wrote compiled files would do so in its first run only.
    compileall.compile_dir(ROOT / "plugins/module_utils", quiet=2)
    sys.dont_write_bytecode = True
    sweep = Sweep(bare=arguments.bare)
    try:
        parts = arguments.parts or [f"{name}:{kind}" for name in sweep.operations for kind in KINDS]
        points = [point for part in parts for point in sweep.points(*part.split(":"))]
        points = [point for point in points if str(point).startswith(arguments.only)]
        if arguments.sample:
            points = random.Random(arguments.seed).sample(points, min(arguments.sample, len(points)))
        missed = 0
        for number, point in enumerate(points):
            if arguments.seconds and time.monotonic() - began > arguments.seconds:
                points = points[:number]
                break
            start = time.monotonic()
            try:
                seen, problems = sweep.run(point)
            except Exception:
                seen, problems = Seen(), [traceback.format_exc()]
            missed += not seen.fired and not repeated(sweep.operations[point.operation].calls, point.fault.at)
            record = {
                "point": str(point),
                "call": seen.fired,
                "answer": {
                    key: (seen.answer or {}).get(key) for key in ("outcome", "reason", "problems", "notes")
                },
                "said": seen.said[-400:],
                "problems": problems,
                "seconds": round(time.monotonic() - start, 2),
            }
            print(json.dumps(record), flush=True)
        calls = {name: len(made(operation.calls)) for name, operation in sweep.operations.items()}
        names = {
            name: sorted({what.partition(" ")[0] for _, what in made(operation.calls)})
            for name, operation in sweep.operations.items()
        }
        print(json.dumps({"points": len(points), "missed": missed, "calls": calls, "names": names}))
    finally:
        sweep.host.close()


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    run()
