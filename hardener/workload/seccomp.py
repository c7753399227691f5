"""Make a seccomp profile: the engine's default, narrowed to the needed calls.

A plain list of recorded calls would be weaker than the default in places: it permits ``clone`` with every
flag and ``socket`` with every family. So the default's rules are kept with their conditions, and only their
names are narrowed. Nothing is permitted that the default refuses, unless it is requested by name.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.syscalls import ARCHITECTURES, NARROW, NARROW_NEWER, NEWER, capabilities_of

Rule = dict[str, Any]

_PERMITTING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
_REFUSE = "SCMP_ACT_ERRNO"
_REFUSING = frozenset({_REFUSE})
_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "SCMP_CMP_NE": operator.ne,
    "SCMP_CMP_LT": operator.lt,
    "SCMP_CMP_LE": operator.le,
    "SCMP_CMP_EQ": operator.eq,
    "SCMP_CMP_GE": operator.ge,
    "SCMP_CMP_GT": operator.gt,
}
_OPERATORS = {*_COMPARISONS, "SCMP_CMP_MASKED_EQ"}
AF_ALG = 38
_ENOSYS = 38
_FAMILIES = 64  # the kernel has lower numbers only: 46 in Linux 6.18
_INT = 0xFFFFFFFF  # a family is an int: the kernel ignores the other bits of the argument
_WORD = 1 << 64
_MOST_RULES = 64  # of one call


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """An engine's default profile, as it appears in a runtime's bundle.

    Args:
        common: the profile with the capabilities that the engine gives by itself.
        capabilities: these capabilities.
        own: the profile with the capabilities of the recorded container, where these are more.
        chosen: profiles that the recorded container had instead, which stay a limit.
    """

    common: Mapping[str, Any]
    capabilities: frozenset[str]
    own: Mapping[str, Any] | None = None
    chosen: tuple[Mapping[str, Any], ...] = ()

    def resolved(self, capabilities: Collection[str]) -> tuple[Rule, ...]:
        """Return the rules for a container with these capabilities, as far as its own profiles permit.

        Raises:
            HardenerError: a profile is not one that can be narrowed.
        """
        rules = self.unlimited(capabilities)
        for profile in self.chosen:
            rules = tuple(_limited(rules, profile))
        return rules

    def unlimited(self, capabilities: Collection[str]) -> tuple[Rule, ...]:
        """Return the rules of the engine's default for a container with these capabilities.

        Raises:
            HardenerError: the profile is not one that can be narrowed.
        """
        chosen = frozenset(capabilities)
        further = chosen - self.capabilities
        taken: list[Rule] = []
        added: set[str] = set()
        if self.own is not None and further:
            for rule in _rules(self.own):
                if capabilities_of(rule["name"]) & further:
                    taken.append(rule)
                    added.add(rule["name"])
        for rule in _rules(self.common):
            name = rule["name"]
            gates = capabilities_of(name) & self.capabilities
            if name not in added and not (gates and not gates & chosen):
                taken.append(rule)
        return tuple(taken)

    def as_by_default(self, capabilities: Collection[str]) -> frozenset[str]:
        """Return the calls that are permitted with all the arguments that the engine's default permits."""
        rules = list(self.resolved(capabilities))
        limited = {rule["name"] for rule in self.unlimited(capabilities) if rule not in rules}
        return frozenset(rule["name"] for rule in rules if _permits(rule)) - limited

    def permitted(self, capabilities: Collection[str]) -> frozenset[str]:
        """Return the calls that are permitted with these capabilities, with all or some arguments."""
        return frozenset(rule["name"] for rule in self.resolved(capabilities) if _permits(rule))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seccomp:
    """A seccomp profile, and its effect on each call.

    Args:
        document: the profile in Docker's form.
        permitted: the calls it permits, with all arguments or with some.
        refused: calls that were wanted and that the default or the container's own profile refuses.
        extra: calls that it permits beyond the default or the container's own profile, since they were asked
            for by name.
        not_known: calls that it refuses as a kernel does that does not know them.
        families_refused: socket families that the default permits and this profile refuses.
    """

    document: dict[str, Any]
    permitted: tuple[str, ...]
    refused: tuple[str, ...]
    extra: tuple[str, ...]
    not_known: tuple[str, ...]
    families_refused: tuple[int, ...]


def narrowed(
    default: Default,
    *,
    wanted: Collection[str],
    capabilities: Collection[str],
    architectures: Iterable[str],
    extra: Collection[str] = (),
    crypto_sockets: bool = False,
) -> Seccomp:
    """Narrow the default profile to the needed calls.

    Args:
        default: the engine's own profile.
        wanted: names of calls.
        capabilities: those that the container is to have.
        architectures: whose calls were made, the host's own first; names of the kernel.
        extra: calls to permit although the default refuses them; each must be wanted.
        crypto_sockets: whether sockets of AF_ALG were seen: without, they are refused too.

    Raises:
        HardenerError: the default cannot be narrowed, or an extra call is none.
    """
    used = tuple(architectures)
    recent = (*NEWER, *NARROW_NEWER) if NARROW.intersection(used) else NEWER
    rules = default.resolved(capabilities)
    permitted = {rule["name"] for rule in rules if _permits(rule)}
    if not _families(rule for rule in rules if rule["name"] == "socket" and _permits(rule)):
        permitted.discard("socket")
    refused = frozenset(wanted) - permitted
    for name in sorted(frozenset(extra) - refused):
        known = "the engine's default already permits" if name in permitted else "no recording has"
        raise HardenerError(f"--allow-extra {line(name)}: {known} this call")
    # The container's own profile is no limit of an extra call; the default's conditions on it are.
    offered = default.unlimited(capabilities) if extra else ()
    asked = [rule for rule in offered if rule["name"] in extra and _permits(rule)]
    conditional = {rule["name"] for rule in asked if rule["args"]}
    plain: dict[tuple[str, int | None], set[str]] = {}
    limited: list[Rule] = [rule for rule in asked if rule["args"] and rule["name"] != "socket"]
    families: tuple[int, ...] = ()
    sockets = [rule for rule in (*rules, *asked) if rule["name"] == "socket" and _permits(rule)]
    for rule in rules:
        name = rule["name"]
        if name in extra or (_permits(rule) and (name not in wanted or name == "socket")):
            continue
        if rule["args"]:
            limited.append(rule)
        elif name not in recent or _permits(rule):
            plain.setdefault((rule["action"], rule.get("errnoRet")), set()).add(name)
    if sockets and "socket" in wanted:
        before = _families(sockets)
        after = before if crypto_sockets else before - {AF_ALG}
        families = tuple(sorted(before - after))
        limited += _family_rules(after, sockets[0]["action"])
    kept = frozenset(wanted) & permitted
    free = sorted(frozenset(extra) - conditional)
    newer = tuple(name for name in recent if name not in kept and name not in extra)
    document: dict[str, Any] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": [_architecture(name) for name in used],
        "syscalls": [
            *(_written(sorted(names), *how) for how, names in sorted(plain.items(), key=repr)),
            *(
                _written([rule["name"]], rule["action"], rule.get("errnoRet"), rule["args"])
                for rule in sorted(limited, key=repr)
            ),
            *([_written(free, "SCMP_ACT_ALLOW", None)] if free else []),
            *([_written(list(newer), "SCMP_ACT_ERRNO", _ENOSYS)] if newer else []),
        ],
    }
    return Seccomp(
        document=document,
        permitted=tuple(sorted(kept | frozenset(extra))),
        refused=tuple(sorted(refused - frozenset(extra))),
        extra=tuple(sorted(extra)),
        not_known=newer,
        families_refused=families,
    )


def _permits(rule: Rule) -> bool:
    return rule["action"] in _PERMITTING


def _architecture(name: str) -> str:
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise HardenerError(f"no seccomp profile can be made for the architecture {line(name)}") from None


def _written(
    names: list[str], action: str, errno: int | None, args: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    written: dict[str, Any] = {"names": names, "action": action}
    if errno is not None:
        written["errnoRet"] = errno
    if args:
        written["args"] = [
            {key: each[key] for key in ("index", "value", "valueTwo", "op") if key in each} for each in args
        ]
    return written


def _limited(rules: Iterable[Rule], profile: Mapping[str, Any]) -> Iterator[Rule]:
    """Limit rules to what a container's own profile permits too, with the conditions of both.

    A call is refused where no rule can express the conditions of both.
    """
    permitting: dict[str, list[Rule]] = {}
    refusing: dict[str, list[Rule]] = {}
    counts: Counter[str] = Counter()
    for rule in _rules(profile, own=True):
        (permitting if _permits(rule) else refusing).setdefault(rule["name"], []).append(rule)
    for rule in rules:
        name = rule["name"]
        refusals = [each for each in refusing.get(name, ()) if not _exclude(rule["args"], each["args"])]
        if not _permits(rule):
            yield rule
        elif refusals:
            yield from (each for each in refusals if each["action"] in _REFUSING and not each["args"])
        elif profile["defaultAction"] in _PERMITTING:
            yield rule
        else:
            for other in permitting.get(name, ()):
                both = _both(rule["args"], other["args"], families=name == "socket")
                if both is not None:
                    counts[name] += 1
                    if counts[name] > _MOST_RULES:
                        raise _error(f"a system call has more than {_MOST_RULES} rules", own=True)
                    yield {**rule, "args": both}


def _both(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], *, families: bool
) -> list[Mapping[str, Any]] | None:
    """Return conditions that hold where those of both rules hold; None if no rule can express them.

    Args:
        one: the conditions of a rule.
        other: those of another rule.
        families: whether they are about families of sockets: these are evaluated here, and written as new
            conditions.
    """
    found = list(one)
    for each in other:
        same = [known for known in found if known["index"] == each["index"]]
        if each in same:
            continue
        if families:
            if each["index"] != 0:
                return None
            found.append(each)
        elif not same:
            found.append(each)
        else:
            masks = [known for known in (*same, each) if known["op"] == "SCMP_CMP_MASKED_EQ"]
            never = any(mask["valueTwo"] & ~mask["value"] for mask in masks)
            if len(masks) != 2 or never or _exclude(same, [each]):
                return None
            found.remove(same[0])
            found.append(
                {
                    **each,
                    "value": same[0]["value"] | each["value"],
                    "valueTwo": same[0]["valueTwo"] | each["valueTwo"],
                }
            )
    return found


def _exclude(one: Iterable[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the conditions of two rules are known never to hold for the same arguments."""
    return any(
        known["index"] == each["index"]
        and known["op"] == each["op"] == "SCMP_CMP_MASKED_EQ"
        and bool((known["valueTwo"] ^ each["valueTwo"]) & known["value"] & each["value"])
        for known in one
        for each in other
    )


def _rules(profile: Mapping[str, Any], *, own: bool = False) -> Iterator[Rule]:
    """Return the rules of a runtime's profile, one for each call that a rule names.

    Args:
        profile: the profile.
        own: whether it is a container's own profile, which may permit what it does not name, and have any
            action. Of a call with too many rules, the last one here refuses it.

    Raises:
        HardenerError: it permits what it does not name, or has what no engine writes.
    """
    if not own and profile.get("defaultAction") not in _REFUSING:
        raise _error("the default action permits system calls", own=own)
    rules = profile.get("syscalls")
    if not isinstance(rules, list) or (not rules and not own):
        raise _error("the profile has no rules", own=own)
    counts: dict[str, int] = {}
    for rule in rules:
        if not isinstance(rule, dict) or not isinstance(names := rule.get("names"), list):
            raise _error("a rule names no system calls", own=own)
        action, errno = rule.get("action"), rule.get("errnoRet")
        known = own or action in _PERMITTING | _REFUSING
        if not known or not (errno is None or _is_number(errno)):
            raise _error("a rule has an unknown action", own=own)
        args = [_argument(each, own=own) for each in rule.get("args") or ()]
        # Several conditions on one argument are alternatives for a runtime, like two rules.
        together = [args] if len({each["index"] for each in args}) == len(args) else [[each] for each in args]
        for name in names:
            if not isinstance(name, str):
                raise _error("a rule names no system calls", own=own)
            before = counts.get(name, 0)
            counts[name] = before + len(together)
            if counts[name] > _MOST_RULES:
                if not own:
                    raise _error(f"a system call has more than {_MOST_RULES} rules", own=own)
                if before <= _MOST_RULES:
                    yield {"name": name, "action": _REFUSE, "args": []}
                continue
            for conditions in together:
                yield {
                    "name": name,
                    "action": action,
                    "args": conditions,
                    **({"errnoRet": errno} if errno is not None else {}),
                }


def _argument(condition: Any, *, own: bool) -> dict[str, Any]:
    if not isinstance(condition, dict):
        raise _error("a condition on an argument is invalid", own=own)
    index, comparison = condition.get("index"), condition.get("op")
    # An engine omits zero values.
    first, second = condition.get("value", 0), condition.get("valueTwo", 0)
    if not (_is_number(index) and index in range(6) and comparison in _OPERATORS):
        raise _error("a condition on an argument is invalid", own=own)
    if not (_is_number(first) and _is_number(second)):
        raise _error("a condition on an argument is invalid", own=own)
    return {
        "index": index,
        "value": first,
        **({"valueTwo": second} if comparison == "SCMP_CMP_MASKED_EQ" else {}),
        "op": comparison,
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _WORD


def _error(why: str, *, own: bool) -> HardenerError:
    whose = "container's own" if own else "engine's default"
    return HardenerError(
        f"the {whose} seccomp profile cannot be narrowed: {why}",
        hint="record again without it" if own else "record again on an engine with its default profile",
    )


def _families(rules: Iterable[Rule]) -> frozenset[int]:
    """Return the socket families that some of these rules permit."""
    conditions = [rule["args"] for rule in rules]
    return frozenset(
        family
        for family in range(_FAMILIES)
        if any(all(_holds(each, family) for each in together) for together in conditions)
    )


def _holds(condition: Mapping[str, Any], family: int) -> bool:
    """Return whether a condition on the address family of ``socket`` holds; False for other conditions."""
    if condition["index"] != 0:
        return False  # unlike any known profile: an unknown condition permits nothing
    value: int = condition["value"]
    if condition["op"] == "SCMP_CMP_MASKED_EQ":
        return bool(family & value == condition["valueTwo"])
    return _COMPARISONS[condition["op"]](family, value)


def _family_rules(families: Collection[int], action: str) -> Iterator[Rule]:
    """Return rules that permit exactly these families, independent of the bits that the kernel ignores.

    A comparison of the whole argument (``NE 40``) holds for 40 with a bit set above the lower 32, which the
    kernel then reads as 40. Each rule here is a block of families, compared in the lower bits alone.
    """
    begin = 0
    while begin < _FAMILIES:
        size = _FAMILIES
        while size > 1 and (begin % size or not all(f in families for f in range(begin, begin + size))):
            size //= 2
        if begin in families:
            condition = {
                "index": 0,
                "value": _INT & ~(size - 1),
                "valueTwo": begin,
                "op": "SCMP_CMP_MASKED_EQ",
            }
            yield {"name": "socket", "action": action, "args": [condition]}
        begin += size
