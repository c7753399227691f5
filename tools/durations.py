"""Take the durations of tests from pytest's JUnit files into ``tests/durations.json``.

    durations.py FILE...

Only tests on hosts count: they are shared out among workers by how long they take. Tests that the files do not
have keep theirs; those that no longer exist go when ``durations.json`` is removed first.
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
        for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 - our own pytest wrote it
            path = case.attrib["classname"].replace(".", "/")
            name = case.attrib["name"].partition("@")[0]
            known[f"{path}.py::{name}"] = round(float(case.attrib["time"]), 1)
    DURATIONS.write_text(json.dumps(known, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
