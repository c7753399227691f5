"""Parse kernel audit rules and decide which accesses they cover.

Both forms are read, watches (``-w PATH -p wa``) and rules (``-a always,exit -F dir=PATH -F perm=wa``), as
people write them to files and as ``auditctl -l`` prints them. That prints a rule with ``perm`` and ``arch``
with the system calls that the permission stands for, and a key or a path with blanks as it is.

The kernel asks the lists in this order. ``task`` when a process starts: ``never`` there keeps all that it
does from the log. ``exit`` after a system call: of all rules and watches, the first that matches decides,
but a rule for a folder itself comes before one for a file in it when a file is removed or replaced.
``exclude`` before a record is written, by its type; its action means nothing.
"""

from __future__ import annotations

import operator
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ansible_collections.hardener.docker.plugins.module_utils.subjects.audit import too_slow

ALL = frozenset("rwxa")

_WITH_VALUE = "aAdwWpkSFCDebfrsR"
_FIELD = re.compile(r"([a-z0-9_]+)\s*(>=|<=|!=|&=|[=<>&])\s*(.*)", re.DOTALL)
# The system calls that a list must contain to stand for a permission: of those that auditctl lists for it,
# the ones that every machine has.
_SYSTEM_CALLS = {
    "w": frozenset(
        {"linkat", "mkdirat", "mknodat", "openat", "openat2", "renameat2", "symlinkat", "unlinkat"}
        | {"ftruncate", "truncate"}
    ),
    "a": frozenset(
        {"fchmod", "fchmodat", "fchown", "fchownat", "fremovexattr", "fsetxattr", "lremovexattr", "lsetxattr"}
        | {"removexattr", "setxattr"}
    ),
    "x": frozenset({"execve"}),
    "r": frozenset({"openat"}),
}
_OPENING = frozenset({"open", "openat", "openat2"})
# All system calls of a permission in the kernel's classes: silencing one of them leaves a gap.
_EVERY_CALL = {
    "w": _OPENING
    | {"acct", "bind", "creat", "fallocate", "ftruncate", "link", "linkat", "mkdir", "mkdirat", "mknod"}
    | {"mknodat", "quotactl", "rename", "renameat", "renameat2", "rmdir", "swapon", "symlink", "symlinkat"}
    | {"truncate", "unlink", "unlinkat"},
    "a": frozenset(
        {
            "chmod",
            "chown",
            "fchmod",
            "fchmodat",
            "fchmodat2",
            "fchown",
            "fchownat",
            "fremovexattr",
            "fsetxattr",
        }
        | {
            "lchown",
            "link",
            "linkat",
            "lremovexattr",
            "lsetxattr",
            "removexattr",
            "removexattrat",
            "setxattr",
        }
        | {"setxattrat"}
    ),
    "x": frozenset({"execve", "execveat"}),
    "r": _OPENING | {"readlink", "readlinkat", "getxattr", "listxattr", "quotactl"},
}
# The record types that an access needs: who made it, and to which path.
_RECORDS = {"SYSCALL": 1300, "PATH": 1302}
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORD_SIZES = {
    **dict.fromkeys(
        ("b64", "aarch64", "loongarch64", "ppc64", "ppc64le", "riscv64", "s390x", "x86_64"), "b64"
    ),
    **dict.fromkeys(("b32", "arm", "armeb", "armv5tel", "armv6l", "armv7l", "i386", "i486", "i586"), "b32"),
    **dict.fromkeys(("i686", "ppc", "s390"), "b32"),
}
# How auditctl lists values that it reads in another form, too.
_LISTED_VALUES = {
    "unset": "-1",
    "4294967295": "-1",
    "fifo": "4096",
    "character": "8192",
    "dir": "16384",
    "block": "24576",
    "file": "32768",
    "link": "40960",
    "socket": "49152",
}
_HARMLESS_FILESYSTEMS = frozenset({"debugfs", "tracefs"})

# Links on all current systems; a watch follows them.
_LINKS = (
    ("/var/run/", "/run/"),
    ("/bin/", "/usr/bin/"),
    ("/sbin/", "/usr/sbin/"),
    ("/lib/", "/usr/lib/"),
    ("/lib64/", "/usr/lib64/"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the list ``exit``, with the parts that decide which accesses it covers.

    ``permissions`` are those that an ``always`` rule records in full, and those of which a ``never`` rule
    silences something.
    """

    text: str
    always: bool
    path: str = ""  # empty where it is about no particular path
    tree: bool = True  # whether it covers paths below the path
    permissions: frozenset[str] = ALL
    conditions: tuple[str, ...] = ()  # conditions that limit the rule, such as "auid>=1000"
    literal: str = ""  # the path as it is written; the kernel deletes rules by it

    def covers(self, path: str, *, tree: bool) -> bool:
        """Return whether the rule covers ``path``, and everything below it if ``tree`` is set."""
        if not self.path:
            return True
        if self.path == path:
            return self.tree or not tree
        return self.tree and path.startswith(self.path.rstrip("/") + "/")

    def touches(self, path: str, *, tree: bool) -> bool:
        """Return whether the rule covers ``path`` or, if ``tree`` is set, at least one path below it."""
        below = tree and self.path.startswith(path.rstrip("/") + "/")
        return below or self.path == path or self.covers(path, tree=False)

    def hides(self, path: str) -> bool:
        """Return whether the rule is for the folder of ``path`` and suppresses records of its removal."""
        return self.decides_removal(path) and not self.always

    def decides_removal(self, path: str) -> bool:
        """Return whether the rule is for the folder of ``path`` alone, and records or suppresses removals."""
        return not self.tree and self.path == posixpath.dirname(path) and "w" in self.permissions


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules in the order in which the kernel evaluates them; the first match decides.

    ``suppressing`` names rules that keep records from the log whatever the other rules are.
    """

    rules: tuple[Rule, ...]
    enabled: bool = True
    suppressing: tuple[str, ...] = ()

    def uncovered(self, path: str, needed: Iterable[str], *, tree: bool = False) -> frozenset[str]:
        """Return the permissions for which some access to ``path`` is not recorded by any rule."""
        path = canonical(path)
        covered: set[str] = set()
        silenced: set[str] = set()
        inside: dict[tuple[str, bool], set[str]] = defaultdict(set)  # covered at a path, or in a tree
        for rule in self.rules:
            if not rule.always:
                if rule.touches(path, tree=tree):
                    silenced |= rule.permissions - covered - inside[rule.path, rule.tree]
            elif rule.conditions:
                continue
            elif rule.covers(path, tree=tree):
                covered |= rule.permissions - silenced
            elif rule.touches(path, tree=tree):
                for below in {False, rule.tree}:
                    inside[rule.path, below] |= rule.permissions - silenced
        if self._hidden(path):
            covered.discard("w")
        return frozenset(needed) - covered

    def _hidden(self, path: str) -> bool:
        """Return whether a rule for the folder of ``path`` suppresses records of removing or replacing it.

        That changes the folder too. Of the rules for single paths, the kernel asks those for the folder
        before those for the path, whatever their order.
        """
        folder = posixpath.dirname(path)
        for rule in self.rules:
            if rule.hides(path):
                return True
            decides = rule.path == folder or (rule.path != path and rule.covers(path, tree=False))
            if decides and rule.always and not rule.conditions and "w" in rule.permissions:
                return False
        return False

    def silencing(self, path: str, missing: Iterable[str], *, tree: bool = False) -> list[str]:
        """Return the ``never`` rules that suppress records for some of these permissions of ``path``."""
        path, absent = canonical(path), set(missing)
        return [
            rule.text
            for rule in self.rules
            if (not rule.always and rule.permissions & absent and rule.touches(path, tree=tree))
            or ("w" in absent and rule.hides(path))
        ]

    def about(self, path: str) -> tuple[Rule, ...]:
        """Return the rules for a path, its parents and its children."""
        path = canonical(path)
        return tuple(
            rule
            for rule in self.rules
            if rule.path and (rule.touches(path, tree=True) or rule.decides_removal(path))
        )

    def has(self, rule: Rule) -> bool:
        """Return whether the rules contain an equal rule with at least the same permissions."""
        return any(
            other.permissions >= rule.permissions
            and _is_equal(
                other,
                # The kernel's list shows a rule for a file as a watch.
                replace(rule, permissions=other.permissions, tree=rule.tree or (rule.always and other.tree)),
            )
            for other in self.rules
        )


def parse(lines: Iterable[str], *, native: str = "b64") -> Rules:
    """Parse the lines of a rules file, or the output of ``auditctl -l``.

    A rule for the ``native`` system calls of the machine counts as complete, that for others (``b32`` on a
    64-bit one) does not: auditctl's manual and the benchmark write rules like that today.
    """
    rules: list[Rule] = []
    tasks: list[Rule] = []
    losing: dict[tuple[frozenset[str], tuple[tuple[str, str], ...]], str] = {}
    slow: list[str] = []
    enabled = True
    for line in lines:
        options = _options(line)
        match options[:1]:
            case [("D", _)]:
                keys = {value for option, value in options if option == "k"}
                rules = [rule for rule in rules if keys and keys.isdisjoint(keys_of(rule.text))]
                tasks = [rule for rule in tasks if keys and keys.isdisjoint(keys_of(rule.text))]
                losing = {
                    fields: text for fields, text in losing.items() if keys and keys.isdisjoint(keys_of(text))
                }
            case [("e", value)]:
                enabled = value in ("1", "2")
            case [("r", value)]:
                slow = [line] if value.isdigit() and too_slow(int(value)) else []
            case [("w", _)]:
                rules.append(_watch(line, options))
            case [("W", _)]:
                _delete(rules, _watch(line, options))
            case [("a" | "A" | "d" as where, lists)]:
                words = set(lists.split(","))
                if words & {"exclude", "filesystem"}:
                    fields = frozenset(words), tuple(options[1:])
                    losing.pop(fields, None)
                    loses = where != "d" and _keeps_records_out(words, options)
                    losing |= {fields: line} if loses else {}
                elif words & {"exit", "task"}:
                    rule = _rule(line, options, native)
                    kept = tasks if "task" in words else rules
                    if rule is None or ("task" in words and rule.always):
                        continue
                    if where == "d":
                        _delete(kept, rule)
                    else:
                        kept.insert(0 if where == "A" else len(kept), rule)
    return Rules((*tasks, *rules), enabled, (*slow, *losing.values()))


def keys_of(text: str) -> list[str]:
    """Return the keys of a rule."""
    return re.findall(r"\s(?:-k\s*|-F\s*key=)(\S+)", text)


def canonical(path: str) -> str:
    """Normalise a path: no double or trailing slashes, and common links resolved."""
    path = "/" + posixpath.normpath(path).lstrip("/")
    for link, target in _LINKS:
        if f"{path}/".startswith(link):
            return (target + f"{path}/"[len(link) :]).rstrip("/")
    return path


def _options(line: str) -> list[tuple[str, str]]:
    """Split ``-w /a b -p wa`` into ``[("w", "/a b"), ("p", "wa")]``; ``-pwa`` is valid too."""
    found: list[tuple[str, list[str]]] = []
    for word in filter(None, line.split(" ")):  # a carriage return belongs to the word
        if (
            len(word) > 1
            and word[0] == "-"
            and (word[1] in _WITH_VALUE or (len(word) == 2 and word[1].isalpha()))
        ):
            found.append((word[1], [word[2:]] if word[2:] else []))
        elif word.startswith("--"):
            found.append(("", []))
        elif found:
            found[-1][1].append(word)
    return [(option, " ".join(words)) for option, words in found]


def _watch(line: str, options: Sequence[tuple[str, str]]) -> Rule:
    given = dict(options)
    path = given.get("w") or given.get("W") or ""
    permissions = ALL.intersection(*(value.lower() for option, value in options if option == "p" and value))
    return Rule(line, always=True, path=canonical(path), permissions=permissions, literal=path.rstrip("/"))


def _rule(line: str, options: Sequence[tuple[str, str]], native: str) -> Rule | None:
    """Parse a rule of the lists exit or task; None if it suppresses only calls of another architecture."""
    always = "never" not in options[0][1].split(",")
    path, literal, tree = "", "", True
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
                    name, compared, wanted = field.groups()
                    if name in ("path", "dir") and compared == "=":
                        path, literal, tree = canonical(wanted), wanted.rstrip("/"), name == "dir"
                    elif name == "perm" and compared == "=":
                        also = frozenset(wanted.lower()) & ALL
                        if permissions is not None:  # the kernel asks for both
                            also = permissions & also if always else permissions | also
                        permissions = also
                    elif name == "arch" and compared == "=":
                        size = _WORD_SIZES.get(wanted.lower())
                        if size and size != native and not always:
                            return None
                        narrowed += [value] if size != native else []
                    elif name != "key":
                        narrowed.append(f"{name}{compared}{_LISTED_VALUES.get(wanted, wanted)}")
                case _:
                    narrowed.append(value)
    return Rule(
        line,
        always=always,
        path=path,
        tree=tree,
        permissions=_permissions(calls, permissions, always=always),
        conditions=tuple(narrowed),
        literal=literal,
    )


def _permissions(calls: set[str], given: frozenset[str] | None, *, always: bool) -> frozenset[str]:
    """Return the permissions that a rule with these calls and ``-F perm`` records, or suppresses in part."""
    if given is not None and not always:
        return given  # auditctl may add the calls of the permissions to those of the list
    stood_for = ALL
    if calls and not calls & {"all", "any"}:
        stood_for = _recorded_permissions(calls) if always else _affected_permissions(calls)
    return stood_for if given is None else given & stood_for


def _recorded_permissions(calls: set[str]) -> frozenset[str]:
    return frozenset(permission for permission, needed in _SYSTEM_CALLS.items() if needed <= calls)


def _affected_permissions(calls: set[str]) -> frozenset[str]:
    """Return the permissions that at least one of these calls needs; a call given by number may need any."""
    if any(call.isdigit() for call in calls):
        return ALL
    return frozenset(permission for permission, every in _EVERY_CALL.items() if every & calls)


def _keeps_records_out(words: set[str], options: Sequence[tuple[str, str]]) -> bool:
    """Return whether a rule of the lists exclude or filesystem may suppress records of accesses."""
    fields = [_FIELD.fullmatch(value) for option, value in options[1:] if option == "F"]
    named = [field.groups() for field in fields if field is not None]
    if "filesystem" in words:
        kinds = {value for name, compared, value in named if name == "fstype" and compared == "="}
        return "never" in words and not (kinds and kinds <= _HARMLESS_FILESYSTEMS)
    # A rule without any field matches nothing.
    return bool(fields) and any(
        all(_matches(number, compared, value) for name, compared, value in named if name == "msgtype")
        for number in _RECORDS.values()
    )


def _matches(number: int, operator: str, value: str) -> bool:
    wanted = int(value) if value.isdigit() else _RECORDS.get(value.upper())
    if wanted is None:  # another type by its name: it may be less or greater
        return operator != "="
    return operator not in _COMPARE or _COMPARE[operator](number, wanted)


def _delete(rules: list[Rule], rule: Rule) -> None:
    """Delete a rule with the same effect; of several, the first with the same fields, as the kernel does."""
    same = [other for other in rules if _is_equal(other, rule)]
    if rule.always:  # a watch of a file, and a rule for its path
        same += [other for other in rules if _is_equal(other, replace(rule, tree=other.tree))]
    if same:
        rules.remove(
            max(same, key=lambda each: (each.literal == rule.literal, _fields(each) == _fields(rule)))
        )


def _fields(rule: Rule) -> frozenset[str]:
    """Return which fields a rule has, of those by which rules with the same effect can differ."""
    options = _options(rule.text)
    names = {"perm" if option in ("w", "W") else value.partition("=")[0] for option, value in options}
    return frozenset(names & {"perm", "arch"})


def _is_equal(one: Rule, other: Rule) -> bool:
    """Return whether rules differ at most in key and notation, as ``-w`` and ``-F dir=`` for one tree."""
    return replace(one, text="", literal="") == replace(other, text="", literal="")
