"""Determine the calls that seccomp profiles allow: effective ones, declared ones, the daemon's own."""

from __future__ import annotations

import os
from json import JSONDecoder, loads

from ..docker.seccomp import REPORTED
from ..host.errors import Failed
from ..host.read import read_text
from ..host.redact import sha256
from .scheduler import encode

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

    from ..docker.engine import Engine

# Calls that the default profile allows with certain arguments only, and a first argument with which it
# refuses them.
_TELLING = {"clone": 0x10000000, "clone3": 0, "personality": 0x40000, "socket": 40}
LIMITED = frozenset(_TELLING)
_PASSING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
_TASKS = "io.containerd.runtime.v2.task"


class Bundles:
    """The configurations with which the runtime started containers, as containerd stores them."""

    def __init__(self, engine: Engine) -> None:
        self._folders = [
            f"{state}/{_TASKS}/{name}"
            for state in dict.fromkeys(_states(engine))
            for name in _listed(f"{state}/{_TASKS}")
            if name.startswith("moby")
        ]
        self._known: dict[str, dict[str, Any] | None] = {}

    def effective(self, container: str) -> dict[str, Any] | None:
        """Return the calls that the profile in use allows; None if there is none, or it cannot be read."""
        for folder in self._folders:
            try:
                text = read_text(f"{folder}/{container}/config.json")
            except (OSError, Failed):
                continue
            # Most containers have the same profile: equal texts are parsed once.
            begin = text.find('"seccomp":')
            rest = text[begin:] if begin >= 0 else ""
            if rest not in self._known:
                self._known[rest] = _first_object(rest[len('"seccomp":') :], meaning)
            return self._known[rest]
        return None


def declared(option: str) -> dict[str, Any] | None:
    """Return the calls that the profile in a container's seccomp option (JSON) allows; see `condensed`."""
    return _first_object(option, lambda _given: {})


def of_file(path: str) -> dict[str, Any] | None:
    """Return the calls that a profile file of the daemon allows; see `condensed`."""
    try:
        return condensed(loads(read_text(path)))
    except (OSError, Failed, ValueError, RecursionError, TypeError, AttributeError):
        return None


def condensed(profile: Any) -> dict[str, Any]:
    """Return ``{default, open}`` of a profile: its default action, and the calls of REPORTED that it allows.

    A call that is allowed with some arguments counts: the default profile refuses it with any. Rules for
    certain capabilities, architectures or kernels are not evaluated, and count as not allowed.

    Raises:
        TypeError, AttributeError: it is not a profile.
    """
    default = _action(profile, "default")
    rules = _Rules(default)
    for rule in profile.get("syscalls") or ():
        if isinstance(rule, dict):
            rules.add(rule)
    return {"default": default[0], "open": sorted(name for name in REPORTED if rules.passes(name))}


def meaning(profile: dict[str, Any]) -> dict[str, Any]:
    """Return ``{calls, unlimited, digest}`` of a profile that the engine resolved for a container.

    ``calls`` is the number of allowed calls, with any or some arguments, None if the default allows them;
    ``unlimited`` the ones of LIMITED that are allowed with arguments that the default profile refuses.
    Profiles of equal ``digest`` treat every call alike, whatever the form and order of their rules.
    """
    default = _action(profile, "default")
    rules = _Rules(default)
    for rule in profile.get("syscalls") or ():
        rules.add(rule)
    architectures = sorted(map(str, profile.get("architectures") or ()))
    text = encode([_spelled(default), architectures, rules.spelled()])
    return {
        "calls": None if default[0] in _PASSING else rules.permitted(),
        "unlimited": sorted(name for name, first in _TELLING.items() if rules.passes(name, first)),
        "digest": sha256(text.encode()).hexdigest()[:32],
    }


class _Rules:
    """The rules of a profile as the runtime applies them.

    Of several rules for a call without conditions it takes the first, and ignores those with conditions then;
    it drops rules with the default action.
    """

    def __init__(self, default: tuple[str, int | None]) -> None:
        self._default = default
        self._decided: dict[str, tuple[str, int | None]] = {}
        self._limited: dict[str, dict[str, tuple[str, int | None, list[Any]]]] = {}
        self._doubtful: set[str] = set()

    def add(self, rule: dict[str, Any]) -> None:
        """Add the next rule."""
        action = _action(rule)
        if action == self._default:
            return
        for name in map(str, rule.get("names") or [rule.get("name")]):
            if any(rule.get(key) for key in ("includes", "excludes")):
                if name not in self._decided and action[0] not in _PASSING:
                    self._doubtful.add(name)
            elif rule.get("args"):
                arguments = sorted((dict(sorted(each.items())) for each in rule["args"]), key=encode)
                limited = (*action, arguments)
                self._limited.setdefault(name, {}).setdefault(encode(limited), limited)
            else:
                self._decided.setdefault(name, action)

    def spelled(self) -> list[tuple[str, list[str]]]:
        """Return each call with its rules as JSON: action, error and conditions on the arguments."""
        texts = {action: [_spelled(action)] for action in {*self._decided.values()}}
        calls = {name: sorted(rules) for name, rules in self._limited.items()}
        calls.update((name, texts[action]) for name, action in self._decided.items())
        return sorted(calls.items())

    def permitted(self) -> int:
        """Return the number of calls that a rule allows, with any or some arguments."""
        decided = sum(action in _PASSING for action, _errno in self._decided.values())
        limited = (rules for name, rules in self._limited.items() if name not in self._decided)
        return decided + sum(
            any(action in _PASSING for action, _errno, _args in rules.values()) for rules in limited
        )

    def passes(self, name: str, first: int | None = None) -> bool:
        """Return whether a call is allowed with some arguments, or with a given first argument."""
        if name in self._doubtful:
            return False
        if name in self._decided:
            return self._decided[name][0] in _PASSING
        limited = self._limited.get(name, {}).values()
        if self._default[0] not in _PASSING:
            return any(action in _PASSING and _may_hold(args, first) for action, _errno, args in limited)
        return first is None or not any(_holds(args, first) for _action, _errno, args in limited)


def _action(rule: dict[str, Any], default: str = "") -> tuple[str, int | None]:
    """Return action and errno of a rule; with ``default``, those of a profile for calls without a rule."""
    action = str(rule.get("defaultAction" if default else "action"))
    error = rule.get("defaultErrnoRet" if default else "errnoRet")
    return action, (1 if error is None else error) if action == "SCMP_ACT_ERRNO" else None


def _spelled(action: tuple[str, int | None]) -> str:
    """Return a rule without conditions as JSON."""
    return encode([*action, []])


def _may_hold(arguments: list[Any], first: int | None) -> bool:
    """Return whether all conditions can hold if the first argument has this value."""
    return first is None or all(each.get("index") or _compares(each, first) for each in arguments)


def _holds(arguments: list[Any], first: int) -> bool:
    """Return whether all conditions are on the first argument, and hold for this value."""
    return all(not each.get("index") and _compares(each, first) for each in arguments)


def _compares(condition: dict[str, Any], argument: int) -> bool:
    value, other = condition.get("value") or 0, condition.get("valueTwo") or 0
    return {
        "SCMP_CMP_EQ": argument == value,
        "SCMP_CMP_NE": argument != value,
        "SCMP_CMP_LT": argument < value,
        "SCMP_CMP_LE": argument <= value,
        "SCMP_CMP_GT": argument > value,
        "SCMP_CMP_GE": argument >= value,
        "SCMP_CMP_MASKED_EQ": argument & value == other,
    }.get(str(condition.get("op")), True)


def _first_object(text: str, more: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
    """Parse the profile at the beginning of a text, and return it condensed; None if there is none."""
    try:
        profile = JSONDecoder().raw_decode(text.lstrip())[0]
        return {**condensed(profile), **more(profile)}
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None


def _states(engine: Engine) -> list[str]:
    socket = str(engine.declared("containerd") or "")
    runtime = engine.environment.get("XDG_RUNTIME_DIR") or f"/run/user/{engine.euid}"
    own = str(engine.declared("exec-root") or (f"{runtime}/docker" if engine.rootless else "/run/docker"))
    folders = [os.path.dirname(socket)] if socket.startswith("/") else []
    folders += [f"{own}/containerd", "/run/containerd"]
    return [state for folder in folders for state in (folder, f"{folder}/daemon")]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
