"""Names of 0.1.0 that people and scripts rely on stay, from the command line to paths on hosts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.public_names import names

ROOT = Path(__file__).parents[2]
# Commands with another name since 0.3.0, by which they are looked up.
RENAMED = {
    "explain": "controls",
    "images": "scan",
    "metrics": "report metrics",
    "report(?= --)": "report write",
    "scan": "scan images",
    "trend": "runs trend",
}


def present_name(recorded: str) -> str:
    for old, new in RENAMED.items():
        if found := re.match(rf"(\w+ hardener ){old}\b", recorded):
            return f"{found[1]}{new}{recorded[found.end() :]}"
    return recorded


RECORDED = frozenset(map(present_name, (ROOT / "tests/fixtures/names-0.1.0.txt").read_text().splitlines()))
# Names that have changed, and what reads the old ones or replaces them.
CHANGED = {
    f"field snapshot .sources.daemon.config.data.{name}": "snapshots of schema 1 (hardener/snapshot.py)"
    for name in ("flags", "parsed")
} | {
    "verb hardener baseline": "hardener runs baseline",
    "option hardener baseline --home": "hardener runs baseline --home",
    "option hardener runs --home": "hardener runs list --home",
    **{
        name: "hardener report write --report FORMAT=PATH"
        for name in RECORDED
        if name.startswith("choice hardener report write --format ")
    },
    "option hardener report write --format": "hardener report write --report FORMAT=PATH",
    "option hardener report write --out": "hardener report write --report FORMAT=PATH",
    "option hardener scan images --images": "hardener scan images",
}
KINDS = {name.partition(" ")[0] for name in RECORDED}


def lost(present: set[str]) -> set[str]:
    """Recorded names that are not among the present ones."""
    return {name for name in RECORDED if not name.startswith("path ")} - present


@pytest.fixture(scope="module")
def present() -> set[str]:
    return names(ROOT)


def test_all_public_names_of_0_1_0_exist(present: set[str]) -> None:
    assert lost(present) == CHANGED.keys()


@pytest.mark.parametrize("kind", sorted(KINDS - {"path"}))
def test_a_removed_name_is_detected(present: set[str], kind: str) -> None:
    gone = next(name for name in sorted(RECORDED) if name.startswith(f"{kind} "))
    assert lost(present - {gone}) == {gone, *CHANGED}


def test_paths_on_hosts_are_unchanged_since_0_1_0() -> None:
    """The name of each is in the sources of what writes it."""
    sources = "".join(
        path.read_text(errors="replace")
        for folder in ("plugins", "roles")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix in (".py", ".yml", ".service", ".timer")
    )
    paths = [name.removeprefix("path ") for name in RECORDED if name.startswith("path ")]
    assert [path for path in paths if Path(path).name not in sources] == []
