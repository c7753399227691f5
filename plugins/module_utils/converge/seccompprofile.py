"""Check the structure of a seccomp profile as the engine parses it.

The engine reads a profile when a container starts, not before: a daemon with a broken one starts, and no
container does.
"""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping

BUILT_IN = ("", "builtin", "default")

_ACTIONS = {
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
}
_OPERATORS = {
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
}
_LISTS = ("architectures", "archMap", "syscalls", "flags")
_FILTERS = {"caps": list, "arches": list, "minKernel": str}


def problem(content: bytes) -> str:
    """Return the first error in a seccomp profile; empty if the engine can use it."""
    try:
        profile = json.loads(content)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        return "is not a seccomp profile: it has no defaultAction"
    return next(_problems(profile), "")


def _problems(profile: Mapping[str, Any]) -> Iterator[str]:
    for key in _LISTS:
        if not isinstance(profile.get(key) or [], list):
            yield f"is not a seccomp profile: {key} is not a list"
            return
    if profile.get("architectures") and profile.get("archMap"):
        yield "has both architectures and archMap, and the engine takes only one of them"
    if profile["defaultAction"] not in _ACTIONS:
        yield f"has the unknown action {profile['defaultAction']!r} (defaultAction)"
    rules = profile.get("syscalls") or []
    for number, rule in enumerate(rules):
        for what in _rule(rule):
            yield f"{what} (syscalls[{number}])"
    others = {rule.get("action") for rule in rules} - {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"}
    if profile["defaultAction"] == "SCMP_ACT_ALLOW" and not others:
        yield "allows everything, so it filters nothing"


def _rule(rule: Any) -> Iterator[str]:
    if not isinstance(rule, dict):
        yield "has a rule that is not an object"
        return
    if rule.get("action") not in _ACTIONS:
        yield f"has the unknown action {rule.get('action')!r}"
    names, name = rule.get("names") or [], rule.get("name") or ""
    if not isinstance(names, list) or not all(
        isinstance(each, str) and each for each in [*names, name or "x"]
    ):
        yield "has a rule whose names are not a list of strings"
    elif bool(names) == bool(name):
        yield "has a rule with both name and names" if name else "has a rule that names no system call"
    for argument in _objects(rule.get("args")):
        if not isinstance(argument, dict) or argument.get("op") not in _OPERATORS:
            yield "has a condition without a known operator (op)"
        elif not (_whole(argument.get("index"), 5) and _whole(argument.get("value", 0), 2**64 - 1)):
            yield "has a condition whose index or value is not a valid number"
    for key in ("includes", "excludes"):
        given = rule.get(key) or {}
        if not isinstance(given, dict) or any(
            not isinstance(given[part], kind)
            for part, kind in _FILTERS.items()
            if given.get(part) is not None
        ):
            yield f"has a rule whose {key} are not an object of caps, arches and minKernel"


def _objects(value: Any) -> Any:
    return value if isinstance(value, list) else [] if value is None else [value]


def _whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
