"""Determine the calls that a seccomp profile allows, from its rules, as the runtime applies them."""

from __future__ import annotations

from json import JSONDecoder, JSONEncoder

from .seccomp import REPORTED

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

PASSING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
encode = JSONEncoder(separators=(",", ":")).encode


def declared(option: str) -> dict[str, Any] | None:
    """Return the calls that the profile in a container's seccomp option (JSON) allows; see `condensed`."""
    return first_object(option, lambda _given: {})


def condensed(profile: Any) -> dict[str, Any]:
    """Return ``{default, open}`` of a profile: its default action, and the calls of REPORTED that it allows.

    A call that is allowed with some arguments counts: the default profile refuses it with any. Rules for
    certain capabilities, architectures or kernels are not evaluated, and count as not allowed.

    Raises:
        TypeError, AttributeError: it is not a profile.
    """
    default = action_of(profile, "default")
    rules = Rules(default)
    for rule in profile.get("syscalls") or ():
        if isinstance(rule, dict):
            rules.add(rule)
    return {"default": default[0], "open": sorted(name for name in REPORTED if rules.passes(name))}


def first_object(text: str, more: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
    """Parse the profile at the beginning of a text, and return it condensed; None if there is none."""
    try:
        profile = JSONDecoder().raw_decode(text.lstrip())[0]
        return {**condensed(profile), **more(profile)}
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None


class Rules:
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
        action = action_of(rule)
        if action == self._default:
            return
        for name in map(str, rule.get("names") or [rule.get("name")]):
            if any(rule.get(key) for key in ("includes", "excludes")):
                if name not in self._decided and action[0] not in PASSING:
                    self._doubtful.add(name)
            elif rule.get("args"):
                arguments = sorted((dict(sorted(each.items())) for each in rule["args"]), key=encode)
                limited = (*action, arguments)
                self._limited.setdefault(name, {}).setdefault(encode(limited), limited)
            else:
                self._decided.setdefault(name, action)

    def spelled(self) -> list[tuple[str, list[str]]]:
        """Return each call with its rules as JSON: action, error and conditions on the arguments."""
        texts = {action: [spelled(action)] for action in {*self._decided.values()}}
        calls = {name: sorted(rules) for name, rules in self._limited.items()}
        calls.update((name, texts[action]) for name, action in self._decided.items())
        return sorted(calls.items())

    def permitted(self) -> int:
        """Return the number of calls that a rule allows, with any or some arguments."""
        decided = sum(action in PASSING for action, _errno in self._decided.values())
        limited = (rules for name, rules in self._limited.items() if name not in self._decided)
        return decided + sum(
            any(action in PASSING for action, _errno, _args in rules.values()) for rules in limited
        )

    def passes(self, name: str, first: int | None = None) -> bool:
        """Return whether a call is allowed with some arguments, or with a given first argument."""
        if name in self._doubtful:
            return False
        if name in self._decided:
            return self._decided[name][0] in PASSING
        limited = self._limited.get(name, {}).values()
        if self._default[0] not in PASSING:
            return any(action in PASSING and _may_hold(args, first) for action, _errno, args in limited)
        return first is None or not any(_holds(args, first) for _action, _errno, args in limited)


def action_of(rule: dict[str, Any], default: str = "") -> tuple[str, int | None]:
    """Return action and errno of a rule; with ``default``, those of a profile for calls without a rule."""
    action = str(rule.get("defaultAction" if default else "action"))
    error = rule.get("defaultErrnoRet" if default else "errnoRet")
    return action, (1 if error is None else error) if action == "SCMP_ACT_ERRNO" else None


def spelled(action: tuple[str, int | None]) -> str:
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
