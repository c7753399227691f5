"""Read kernel audit rules and decide what they cover.

Both forms are read, watches (``-w PATH -p wa``) and rules (``-a always,exit -F dir=PATH -F perm=wa``), as
people write them to files and as ``auditctl -l`` prints them. That prints a rule with ``perm`` and ``arch``
with the system calls that the permission stands for, and a key or a path with blanks as it is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ALL = frozenset("rwxa")

_OPTION = re.compile(r"(?:^|\s)-([A-Za-z])(?=\s|$)")
_FIELD = re.compile(r"([a-z0-9_]+)\s*(>=|<=|!=|&=|[=<>&])\s*(.*)", re.DOTALL)
# What a list of system calls must at least hold to stand for a permission.
_SYSTEM_CALLS = {
    "w": frozenset({"openat", "unlinkat"}),
    "a": frozenset({"fchmodat", "fchownat", "setxattr"}),
    "x": frozenset({"execve"}),
    "r": frozenset({"openat"}),
}

# Links that every system of the last decade has; a watch goes through them.
_LINKS = (
    ("/var/run/", "/run/"),
    ("/bin/", "/usr/bin/"),
    ("/sbin/", "/usr/sbin/"),
    ("/lib/", "/usr/lib/"),
    ("/lib64/", "/usr/lib64/"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as far as coverage needs it."""

    text: str
    always: bool
    path: str = ""  # "" where it is about no path in particular
    tree: bool = True  # whether it covers what lies below the path
    permissions: frozenset[str] = ALL
    narrowed: tuple[str, ...] = ()  # conditions under which alone it applies, such as "auid>=1000"

    def covers(self, path: str, *, tree: bool) -> bool:
        """Whether the rule is about ``path``, and all below it if ``tree`` is asked for."""
        if not self.path:
            return True
        if self.path == path:
            return self.tree or not tree
        return self.tree and path.startswith(self.path.rstrip("/") + "/")


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules in the order in which the kernel asks them; the first that matches decides."""

    rules: tuple[Rule, ...]
    enabled: bool = True

    def uncovered(self, path: str, needed: Iterable[str], *, tree: bool = False) -> frozenset[str]:
        """The permissions for which no rule records what happens to ``path``."""
        path = canonical(path)
        covered: set[str] = set()
        silenced: set[str] = set()
        for rule in self.rules:
            if rule.narrowed or not rule.covers(path, tree=tree and rule.always):
                continue
            if rule.always:
                covered |= rule.permissions - silenced
            else:
                silenced |= rule.permissions
        return frozenset(needed) - covered

    def about(self, path: str) -> tuple[Rule, ...]:
        """The rules that name the path, something above or something below it."""
        path = canonical(path)
        return tuple(
            rule
            for rule in self.rules
            if rule.path and (rule.covers(path, tree=False) or rule.path.startswith(f"{path}/"))
        )


def parse(lines: Iterable[str], *, native: str = "b64") -> Rules:
    """Read the lines of a rules file, or what ``auditctl -l`` printed.

    A rule for the ``native`` system calls of the machine counts as complete, that for others (``b32`` on a
    64-bit one) does not: auditctl's manual and the benchmark write rules like that today.
    """
    rules: list[Rule] = []
    enabled = True
    for line in lines:
        options = _options(line)
        match options[:1]:
            case [("D", _)]:
                rules.clear()
            case [("e", value)]:
                enabled = value in ("1", "2")
            case [("w", _)]:
                rules.append(_watch(line, options))
            case [("a" | "A" as where, _)]:
                rule = _rule(line, options, native)
                if rule is not None:
                    rules.insert(0 if where == "A" else len(rules), rule)
    return Rules(tuple(rules), enabled)


def canonical(path: str) -> str:
    """A path without double slashes, a trailing one and the links that every system has."""
    path = "/" + posixpath.normpath(path).lstrip("/")
    for link, target in _LINKS:
        if f"{path}/".startswith(link):
            return (target + f"{path}/"[len(link) :]).rstrip("/")
    return path


def _options(line: str) -> list[tuple[str, str]]:
    """``-w /a b -p wa`` as ``[("w", "/a b"), ("p", "wa")]``."""
    parts = _OPTION.split(line.strip())
    return list(zip(parts[1::2], (value.strip() for value in parts[2::2]), strict=True))


def _watch(line: str, options: Sequence[tuple[str, str]]) -> Rule:
    given = dict(options)
    return Rule(
        line, always=True, path=canonical(given["w"]), permissions=frozenset(given.get("p") or ALL) & ALL
    )


def _rule(line: str, options: Sequence[tuple[str, str]], native: str) -> Rule | None:
    words = set(options[0][1].split(","))
    if not words & {"exit", "task"}:
        return None  # the other lists decide about other things than file access
    path, tree = "", True
    permissions: frozenset[str] | None = None
    calls: set[str] = set()
    narrowed: list[str] = []
    for option, value in options[1:]:
        if option == "S":
            calls |= {call.strip() for call in value.split(",")}
        elif option == "C":
            narrowed.append(value)
        elif option == "F":
            match _FIELD.fullmatch(value):
                case re.Match() as field:
                    name, operator, wanted = field.groups()
                    if name in ("path", "dir") and operator == "=":
                        path, tree = canonical(wanted), name == "dir"
                    elif name == "perm":
                        permissions = frozenset(wanted) & ALL
                    elif not (name == "key" or (name == "arch" and wanted == native)):
                        narrowed.append(value)
                case _:
                    narrowed.append(value)
    stood_for = ALL if not calls or calls & {"all", "any"} else _stand_for(calls)
    return Rule(
        line,
        always="never" not in words,
        path=path,
        tree=tree,
        permissions=stood_for if permissions is None else permissions & stood_for,
        narrowed=tuple(narrowed),
    )


def _stand_for(calls: set[str]) -> frozenset[str]:
    return frozenset(permission for permission, needed in _SYSTEM_CALLS.items() if needed <= calls)
