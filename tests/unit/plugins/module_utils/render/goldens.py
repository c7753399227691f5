"""The documents of a role on many hosts as one text: the first in full, others as they differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

import yaml

from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.rendering import documents_of

Cases = Mapping[str, tuple[Snapshot, Mapping[str, Any]]]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and what stands twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def documents_text(role: str, cases: Cases) -> str:
    """What the role's filter says in each case: a host and the variables."""
    decide = documents_of(role)
    texts = {
        case: yaml.dump(
            decide(snapshot.raw, **variables), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000
        )
        for case, (snapshot, variables) in cases.items()
    }
    first, *others = texts
    said = [f"=== {first}\n{texts[first]}"]
    said += [f"=== {case}\n{_shorter(texts[first], texts[case])}" for case in others]
    return "\n".join(said)


def _shorter(first: str, text: str) -> str:
    """A text, or where that is shorter its changes to the first, each with the lines around it."""
    changes = list(unified_diff(first.splitlines(True), text.splitlines(True), n=1))[2:]
    lines = ["...\n" if line.startswith("@@") else line for line in changes]
    return min("".join(lines) or "the same\n", text, key=len)
