"""Each control has a test that compares its verdict with reality, or a reason why it has none."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from hardener.catalogue import every_control
from hardener.checks import all_checks
from tests.oracles import mutants
from tests.oracles.coverage import ORACLES, REASONS, Oracle, oracles, summary
from tests.unit.walls.sources import MODULES, ROOT, imports

SLUGS = sorted(control.slug for control in every_control())


@dataclass
class Module:
    """The definitions of a test module by their names, and what it imports: local name -> full name."""

    defined: dict[str, list[ast.AST]] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)


@cache
def module(path: Path) -> Module:
    found = Module()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.defined.setdefault(name, []).append(node)
            case ast.Assign(targets=targets):
                for target in targets:
                    for each in ast.walk(target):
                        if isinstance(each, ast.Name):
                            found.defined.setdefault(each.id, []).append(node)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.defined.setdefault(name, []).append(node)
            case ast.ImportFrom(module=str(origin), names=names):
                found.imported |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in names}
    return found


def reached(path: Path, name: str, known: set[tuple[Path, str]]) -> Iterator[ast.AST | str]:
    """Yield the syntax that a definition uses, in other modules of tests too, and names from elsewhere."""
    if (path, name) in known:
        return
    known.add((path, name))
    here = module(path)
    for node in (each for top in here.defined.get(name, ()) for each in ast.walk(top)):
        yield node
        match node:
            case ast.Attribute(value=ast.Name(id=base), attr=attribute) if base in here.imported:
                yield from _elsewhere(f"{here.imported[base]}.{attribute}", known)
            case ast.Name(id=used) | ast.arg(arg=used) if used in here.defined:
                yield from reached(path, used, known)
            case ast.Name(id=used) if used in here.imported:
                yield from _elsewhere(here.imported[used], known)


def _elsewhere(full: str, known: set[tuple[Path, str]]) -> Iterator[ast.AST | str]:
    origin, _dot, name = full.rpartition(".")
    path = ROOT / f"{origin.replace('.', '/')}.py"
    if full.startswith("tests.") and path.is_file():
        yield from reached(path, name, known)
    else:
        yield full


def judges(test: str, oracle: Oracle, slug: str) -> bool:
    """Whether a test names a control, or imports the module that judges it."""
    path, _colons, name = test.partition("::")
    used = list(reached(ROOT / path, name, set()))
    if oracle.judge:
        by_test = any(isinstance(each, str) and each.startswith(oracle.judge) for each in used)
        source = all_checks()[slug].__module__
        by_check = any(each.startswith(oracle.judge) for each in imports(MODULES[source], source))
        return by_test and by_check
    return any(re.fullmatch(pattern, slug) for pattern in filter(None, map(_pattern, used)))


def _pattern(node: ast.AST | str) -> str:
    """Return an expression for the text that a node is or makes; empty if it may be any."""
    match node:
        case ast.Constant(value=str(text)):
            return re.escape(text)
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_] as parts) if "-" in start:
            return "".join(_pattern(each) or "[a-z0-9-]+" for each in parts)
    return ""


@pytest.mark.parametrize("slug", SLUGS)
def test_a_control_is_judged_by_an_oracle_or_has_a_reason(slug: str) -> None:
    reasons = [reason for reason, slugs in REASONS.items() if slug in slugs.split()]
    found = oracles(slug)
    assert bool(found) + len(reasons) == 1, "either an oracle or one reason, in tests/oracles/coverage.py"
    for oracle in found:
        assert any(judges(test, oracle, slug) for test in oracle.tests.split()), oracle


def test_each_entry_is_about_a_test_and_a_control_that_exist() -> None:
    for oracle in ORACLES:
        for test in oracle.tests.split():
            path, _colons, name = test.partition("::")
            assert name in module(ROOT / path).defined, test
        for pattern in oracle.controls.split():
            assert any(oracle in oracles(slug) for slug in SLUGS), pattern
    assert {slug for slugs in REASONS.values() for slug in slugs.split()} <= {*SLUGS}


def test_a_test_that_does_not_name_a_control_is_no_oracle_of_it() -> None:
    oracle = next(each for each in ORACLES if "container-no-host-*" in each.controls)
    assert judges(oracle.tests, oracle, "container-no-host-pid")
    assert not judges(oracle.tests, oracle, "container-restart-policy")
    other = next(each for each in ORACLES if each.judge)
    assert not judges(other.tests, other, "container-no-host-pid")


def test_the_summary_in_the_documentation_is_current() -> None:
    text = (ROOT / "docs/testing.md").read_text()
    assert summary() in text, "python -m tests.oracles.coverage prints it"


@pytest.mark.parametrize("oracle", mutants.ORACLES, ids=lambda oracle: oracle.name)
def test_the_judges_of_which_mutants_are_made_exist(oracle: mutants.Oracle) -> None:
    for name in oracle.modules:
        importlib.import_module(name)
