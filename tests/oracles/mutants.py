"""Invert every condition of the judges once, and see whether the oracles find it.

    python -m tests.oracles.mutants record FOLDER [--cases N] [--seed N]
    python -m tests.oracles.mutants run FOLDER [MODULE ...]

What the oracles saw is recorded once, as root; then each mutant judges the same cases again. A mutant is
found where the oracle disagrees with what its judge says, or the judge fails. Conditions that no recorded
case asks are listed apart, and so are those that ``excused`` says no oracle can find.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import functools
import gc
import importlib
import os
import pickle
import random
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from tests.hosts.guests import start
from tests.integration.namespaces import OwnNetwork
from tests.leftovers import scratch
from tests.oracles import (
    accesses,
    configurations,
    filtering,
    ownership,
    publishing,
    syscalls,
    topologies,
)
from tests.oracles.connecting import Network, Probe
from tests.oracles.excused import EXCUSED
from tests.oracles.receiving import ALONE, received, started, unpickled

_LIBRARY = "ansible_collections.hardener.docker.plugins.module_utils"
_SNAPSHOT = f"{_LIBRARY}.snapshot"
_CHECKS = "hardener.checks"
_SECONDS = 30  # of the processor, for one mutant
_FOUND, _SURVIVED, _NOT_ASKED, _EXCUSED = 10, 11, 12, 13
_WORDS = {_SURVIVED: "survives", _NOT_ASKED: "not asked", _EXCUSED: "excused"}


@dataclass(frozen=True)
class Oracle:
    """An oracle: what it saw, and what it says of that; and the judges that decide it."""

    name: str
    modules: tuple[str, ...]
    record: Callable[[int, int], Iterable[Any]]
    wrong: Callable[[Any], list[str]]
    network: Callable[[], AbstractContextManager[object]] = OwnNetwork

    def observations(self, folder: Path) -> Path:
        """The file in which a folder has what it saw."""
        return folder / f"{self.name}.pickle"


def _filters(seed: int, cases: int) -> Iterator[tuple[filtering.Observed, dict[Probe, bool]]]:
    with Network() as network:
        for case in range(cases):
            dice = random.Random(f"{seed} {case}")
            seen = filtering.observe(network, dice)
            # More of them than the oracle tries: there it asks for those that the verdict is about.
            more = {kind: filtering.chosen(dice, *kind, number=100) for kind in filtering.EVERY}
            seen = replace(seen, probes=more)
            real: dict[Probe, bool] = {}

            def reach(probes: Sequence[Probe], expected: Container[Probe]) -> dict[Probe, bool]:
                found = network.reached(probes, expected)
                real.update(found)  # noqa: B023 - it is called in this round alone
                return found

            filtering.disagreements(seen, reach)
            yield seen, real


def _filter_wrong(recorded: tuple[filtering.Observed, dict[Probe, bool]]) -> list[str]:
    seen, real = recorded
    # Of what nobody tried it is taken that it comes in, if the judge says so.
    return filtering.disagreements(seen, lambda probes, _: {each: real.get(each, True) for each in probes})[0]


def _published(seed: int, cases: int) -> Iterator[publishing.Observed]:
    with publishing.Publishing() as host:
        for case in range(cases):
            yield publishing.observe(host, random.Random(f"{seed} {case}"))


def _owners(seed: int, cases: int) -> Iterator[ownership.Observed]:
    with scratch("ownership") as stage:
        for number in range(cases):
            yield ownership.observe(seed, number, stage)


def _trees(seed: int, cases: int) -> Iterator[tuple[int, int]]:
    yield from ((seed, number) for number in range(min(cases, 60)))


def _read_again(tree: tuple[int, int]) -> list[str]:
    """What is wrong with a tree that is built and read once more: the collector is what is judged."""
    with scratch("ownership") as stage:
        return ownership.disagreements(ownership.observe(*tree, stage))


def _settings(seed: int, cases: int) -> Iterator[configurations.Observed]:
    yield from configurations.observed(seed, cases)


def _mounts(seed: int, cases: int) -> Iterator[topologies.Observed]:
    with started(topologies, seed, cases, under=ALONE) as process:
        yield from received(process)


def _accesses(seed: int, cases: int) -> Iterator[accesses.Observed]:
    guest = start("13")
    try:
        accesses.prepare(guest)
        yield from accesses.observe(guest, seed, cases)
    finally:
        guest.stop()


def _calls(seed: int, cases: int) -> Iterator[syscalls.Observed]:
    yield from syscalls.observed(seed, cases)


_PACKET_FILTER = tuple(
    f"{_CHECKS}.lib.packetfilter.{name}"
    for name in ("chains", "iptables", "nftables", "outside", "passage", "sets")
)
ORACLES = (
    Oracle("packet filter", _PACKET_FILTER, _filters, _filter_wrong),
    Oracle(
        "published ports",
        (*_PACKET_FILTER, f"{_CHECKS}.firewall", f"{_CHECKS}.lib.publication"),
        _published,
        publishing.disagreements,
    ),
    Oracle(
        "mounts",
        (f"{_CHECKS}.lib.mounttable", f"{_CHECKS}.lib.hostmounts", f"{_CHECKS}.runtime.mounts"),
        _mounts,
        topologies.disagreements,
    ),
    Oracle("audit rules", (f"{_CHECKS}.lib.auditrules",), _accesses, accesses.disagreements, nullcontext),
    Oracle("files", (f"{_CHECKS}.files", f"{_LIBRARY}.subjects.files"), _owners, ownership.disagreements),
    Oracle("files read again", (f"{_SNAPSHOT}.filestat",), _trees, _read_again),
    Oracle(
        "seccomp profiles",
        (f"{_CHECKS}.lib.filters", f"{_SNAPSHOT}.seccomp"),
        _calls,
        syscalls.disagreements,
    ),
    Oracle(
        "daemon settings",
        (f"{_CHECKS}.lib.settings", f"{_LIBRARY}.subjects.host", f"{_CHECKS}.daemon"),
        _settings,
        configurations.disagreements,
    ),
)


@dataclass(frozen=True)
class Condition:
    """One condition, and the function that asks it."""

    function: str
    expression: ast.expr

    def __str__(self) -> str:
        return f"{self.function}: {ast.unparse(self.expression)}"

    @property
    def place(self) -> tuple[int | None, ...]:
        """Where its text begins and ends."""
        found = self.expression
        return found.lineno, found.col_offset, found.end_lineno, found.end_col_offset


class _Conditions(ast.NodeVisitor):
    """The conditions of a module: what decides a branch, and comparisons that are a function's answer."""

    def __init__(self) -> None:
        self.found: list[Condition] = []
        self._inside = False  # of a function: what a module does when it is imported is not asked again
        self._names: tuple[str, ...] = ()

    def _decompose(self, test: ast.expr) -> None:
        if isinstance(test, ast.BoolOp):
            for value in test.values:
                self._decompose(value)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self._decompose(test.operand)
        elif self._inside and not isinstance(test, ast.Constant):
            self.found.append(Condition(".".join(self._names), test))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A class, whose name belongs to those of its functions."""
        before, self._names = self._names, (*self._names, node.name)
        self.generic_visit(node)
        self._names = before

    def _visit_function(self, node: ast.FunctionDef | ast.Lambda) -> None:
        before = self._inside, self._names
        self._inside = True
        if isinstance(node, ast.FunctionDef):
            self._names = (*self._names, node.name)
            for statement in node.body:
                self.visit(statement)
        else:
            self._answer(node.body)
            self.visit(node.body)
        self._inside, self._names = before

    visit_FunctionDef = visit_Lambda = _visit_function  # noqa: N815 - ast's names

    def _visit_test(self, node: ast.If | ast.While | ast.IfExp) -> None:
        self._decompose(node.test)
        self.generic_visit(node)

    visit_If = visit_While = visit_IfExp = _visit_test  # noqa: N815

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """A comprehension's conditions."""
        for test in node.ifs:
            self._decompose(test)
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        """A case's guard."""
        if node.guard is not None:
            self._decompose(node.guard)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        """A comparison that is the answer."""
        if node.value is not None:
            self._answer(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """What any() and all() ask."""
        if isinstance(node.func, ast.Name) and node.func.id in {"any", "all"}:
            for argument in node.args:
                if isinstance(argument, ast.GeneratorExp):
                    self._answer(argument.elt)
        self.generic_visit(node)

    def _answer(self, value: ast.expr) -> None:
        if isinstance(value, ast.Compare) or (
            isinstance(value, ast.BoolOp)
            and all(isinstance(each, ast.Compare | ast.BoolOp | ast.UnaryOp) for each in value.values)
        ):
            self._decompose(value)


def conditions(source: str) -> list[Condition]:
    """Every condition of a module, once."""
    visitor = _Conditions()
    visitor.visit(ast.parse(source))
    return list({each.place: each for each in sorted(visitor.found, key=lambda each: each.place)}.values())


def stale() -> list[str]:
    """Excuses that are about no condition of a judge."""
    judged = {name for oracle in ORACLES for name in oracle.modules}
    found = [f"{name}: no oracle decides it" for name in EXCUSED.keys() - judged]
    for name in EXCUSED.keys() & judged:
        known = {str(condition) for condition in conditions(_source(name))}
        found += [f"{name}: there is no such condition: {each}" for each in EXCUSED[name].keys() - known]
    return sorted(found)


def _source(name: str) -> str:
    return Path(str(importlib.import_module(name).__file__)).read_text()


class _Inverted(ast.NodeTransformer):
    def __init__(self, wanted: Condition) -> None:
        self._wanted = wanted.place

    def visit(self, node: ast.AST) -> Any:
        """Put the call in the place of the condition."""
        place = tuple(
            getattr(node, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")
        )
        if isinstance(node, ast.expr) and place == self._wanted:
            self._wanted = (-1, -1, -1, -1)
            call = ast.Call(ast.Name("__inverted__", ast.Load()), [node], [])
            return ast.copy_location(call, node)
        return self.generic_visit(node)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


@dataclass(frozen=True)
class _Module:
    """A module of a judge that is loaded: its source, its functions, and what any judge remembers."""

    path: str
    source: str
    functions: Sequence[FunctionType]
    caches: Sequence[functools._lru_cache_wrapper[Any]]

    @classmethod
    def of(cls, name: str) -> _Module:
        path = str(importlib.import_module(name).__file__)
        known = gc.get_objects()
        return cls(
            path,
            _source(name),
            [each for each in known if isinstance(each, FunctionType) and each.__code__.co_filename == path],
            [each for each in known if isinstance(each, functools._lru_cache_wrapper)],
        )

    def put_in_force(self, condition: Condition) -> None:
        """Give every function the code that it has with the condition inverted."""
        tree = ast.fix_missing_locations(_Inverted(condition).visit(ast.parse(self.source)))
        codes = _codes(compile(tree, self.path, "exec"))
        changed = {(code.co_qualname, code.co_firstlineno): code for code in codes}
        for function in self.functions:
            key = (function.__code__.co_qualname, function.__code__.co_firstlineno)
            function.__code__ = changed[key]
        for cached in self.caches:
            cached.cache_clear()


@dataclass(frozen=True)
class _Recorded:
    """What an oracle saw, and what it says of that with the judges as they are."""

    oracle: Oracle
    cases: Sequence[Any]
    accepted: Sequence[list[str]]

    @classmethod
    def of(cls, oracle: Oracle, folder: Path) -> _Recorded:
        with oracle.observations(folder).open("rb") as file:
            cases = list(unpickled(file))
        accepted = [oracle.wrong(seen) for seen in cases]
        print(f"{oracle.name}: {len(cases)} recorded, {sum(map(bool, accepted))} disagree", flush=True)
        return cls(oracle, cases, accepted)


def _judged(recorded: _Recorded) -> int:
    """Whether the oracle finds the mutant that is in force."""
    asked: list[bool] = []

    def inverted(value: object) -> bool:
        if not asked:
            asked.append(True)
        return not value

    builtins.__inverted__ = inverted  # type: ignore[attr-defined]
    for seen, before in zip(recorded.cases, recorded.accepted, strict=True):
        try:
            if recorded.oracle.wrong(seen) != before:
                return _FOUND
        except Exception:  # a judge that fails is an error in the report
            return _FOUND
    return _SURVIVED if asked else _NOT_ASKED


def _try(module: _Module, condition: Condition, recorded: _Recorded) -> int:
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        code = 1
        try:
            module.put_in_force(condition)
            code = _judged(recorded)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}
        return _FOUND
    assert os.WEXITSTATUS(status) in {_FOUND, _SURVIVED, _NOT_ASKED}
    return os.WEXITSTATUS(status)


def _outcome(module: _Module, condition: Condition, cases: Iterable[_Recorded]) -> int:
    """Whether one of the oracles finds a mutant; else whether one asks the condition."""
    outcome = _NOT_ASKED
    for each in cases:
        outcome = min(outcome, _try(module, condition, each))
        if outcome == _FOUND:
            break
    return outcome


def run(folder: Path, only: Sequence[str]) -> int:
    """Try all mutants on what was recorded; print those that are not found, and how many there are.

    Returns:
        1 if an excuse is about no condition, or about one that was found; else 0.
    """
    mistakes = stale()
    totals: Counter[int] = Counter()
    names = dict.fromkeys(name for oracle in ORACLES for name in oracle.modules)
    wanted = [name for name in names if not only or any(map(name.endswith, only))]
    recorded = []
    for oracle in ORACLES:
        if not set(wanted) & set(oracle.modules):
            continue
        if oracle.observations(folder).exists():
            recorded.append(_Recorded.of(oracle, folder))
        else:
            print(f"{oracle.name}: not recorded", flush=True)
    for name in wanted:
        cases = [each for each in recorded if name in each.oracle.modules]
        if not cases:
            continue
        module = _Module.of(name)
        counts: Counter[int] = Counter()
        excuses = EXCUSED.get(name, {})
        for condition in conditions(module.source):
            outcome = _outcome(module, condition, cases)
            excuse = excuses.get(str(condition), "")
            if excuse and outcome == _SURVIVED:
                outcome = _EXCUSED
            elif excuse and outcome == _FOUND:
                mistakes.append(f"{name}: was found all the same: {condition}")
            counts[outcome] += 1
            if outcome != _FOUND:
                place = f"{name.rpartition('.')[2]}.py:{condition.expression.lineno}"
                because = f" ({excuse})" if outcome == _EXCUSED else ""
                print(f"  {_WORDS[outcome]}: {place}: {condition}{because}", flush=True)
        _print_counts(name, counts)
        totals += counts
    _print_counts("all", totals)
    for mistake in mistakes:
        print(f"wrong excuse: {mistake}", flush=True)
    return 1 if mistakes else 0


def _print_counts(name: str, counts: Counter[int]) -> None:
    asked = counts[_FOUND] + counts[_SURVIVED]
    share = 100 * counts[_FOUND] / asked if asked else 100
    found = f"{counts[_FOUND]} of {asked} found ({share:.1f} %)"
    print(f"{name}: {found}, {counts[_EXCUSED]} excused, {counts[_NOT_ASKED]} not asked", flush=True)


def record(folder: Path, seed: int, cases: int, names: Sequence[str]) -> None:
    """Record what each oracle sees."""
    for oracle in ORACLES:
        if names and oracle.name not in names:
            continue
        # Each in a process of its own: a filter of system calls stays in force.
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with oracle.network(), oracle.observations(folder).open("wb") as file:
                    for seen in oracle.record(seed, cases):
                        pickle.dump(seen, file)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0, oracle.name


def main() -> int:
    """Record, or run."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracles.mutants")
    parser.add_argument("what", choices=("record", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "names", nargs="*", help="oracles to record; or ends of the names of modules to invert"
    )
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.what == "run":
        return run(asked.folder, asked.names)
    asked.folder.mkdir(parents=True, exist_ok=True)
    record(asked.folder, asked.seed, asked.cases, asked.names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
