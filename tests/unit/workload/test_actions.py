from __future__ import annotations

from typing import Any

import pytest

from hardener.workload.actions import taken_away
from tests.unit.workload.engines import DEFAULTS
from tests.unit.workload.made import calls, profile, recorded

TERMINAL = "giving files to another user, as a login does with its terminal"
CHOWN = {"name": "CAP_CHOWN", "call": "chown", "program": "web", "phases": ["serve"]}


def taken(*made: str, **changes: Any) -> dict[str, str]:
    """The actions that a profile takes away, each with what it lacks."""
    data = recorded(**{"calls": calls(*made), "files__created": [], **changes})
    found = {}
    for sentence in taken_away(profile(data).document):
        action, _, lacks = sentence.partition(" (")
        found[action] = lacks.rstrip(")")
    return found


def test_what_no_recording_did_is_named_with_what_it_lacks() -> None:
    found = taken("read", "openat")
    assert found["removing files"] == "unlink, unlinkat"
    assert found["connecting to other programs"] == "connect"
    assert found["making devices"] == "MKNOD"
    assert "executing other programs" not in found  # a shell of `docker exec` does


@pytest.mark.parametrize(
    ("call", "uses", "lacks"),
    [
        ("chown", [CHOWN], None),
        ("read", [CHOWN], "chown, fchown, fchownat, lchown"),
        ("chown", [], "CHOWN"),
    ],
)
def test_an_action_needs_a_call_and_a_capability(call: str, uses: list[object], lacks: str | None) -> None:
    assert taken(call, capabilities=uses).get(TERMINAL) == lacks


def test_an_action_that_was_not_possible_is_not_taken_away() -> None:
    assert TERMINAL not in taken("read", container__user="www-data", capabilities=[])
    default = DEFAULTS["default"]
    rules = [
        {**rule, "names": [name for name in rule["names"] if not name.startswith("unlink")]}
        for rule in default["syscalls"]
    ]
    assert "removing files" not in taken("read", granted__seccomp={**default, "syscalls": rules})
