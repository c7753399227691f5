"""Take the durations of tests from pytest's JUnit files into ``tests/durations.json``.

    durations.py FILE...

Tests on hosts are shared out among workers by these. A test that the files do not have keeps its own; remove
``durations.json`` first to drop those of tests that no longer exist.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

DURATIONS = Path(__file__).parents[1] / "tests" / "durations.json"


def main(files: list[str]) -> None:
    """Read the files and rewrite the durations."""
    known: dict[str, float] = json.loads(DURATIONS.read_text()) if DURATIONS.exists() else {}
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):
            known[_node(case.attrib["classname"], case.attrib["name"])] = round(float(case.attrib["time"]), 1)
    DURATIONS.write_text(json.dumps(known, indent=0, sort_keys=True) + "\n")


def _node(place: str, name: str) -> str:
    """Return pytest's id of a test: its file, the class that it may be in, and its name."""
    module, _dot, group = place.rpartition(".")
    if group[:1].isupper():
        return f"{_node(module, group)}::{name.partition('@')[0]}"
    return f"{place.replace('.', '/')}.py::{name.partition('@')[0]}"


if __name__ == "__main__":
    main(sys.argv[1:])
