"""Ask the kernel for the audit rules that ``auditctl -l`` prints incompletely.

It prints a rule of the list ``exit`` as a watch if it has nothing but a path, permissions and a key,
whatever its action is: a rule that suppresses records looks like one that makes them, and a rule for a folder
itself like one for all below it. Where the permissions come before the path, it prints both as one word.
"""

from __future__ import annotations

import os
import struct

from ..host import netlink

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable, Sequence

_LIST_RULES = 1013
_FIELDS = 64
# struct audit_rule_data: list, action, number of fields; system calls, fields, values, operators; length of
# the texts that follow.
_RULE = struct.Struct(f"=3I {_FIELDS}I {_FIELDS}I {_FIELDS}I {_FIELDS}I I")
_NEVER = 0
_WATCH, _PERM, _DIR, _KEY = 105, 106, 107, 210
_NAMES = {_WATCH: "path", _DIR: "dir", _KEY: "key"}
_PERMISSIONS = ((4, "r"), (2, "w"), (1, "x"), (8, "a"))


def ask() -> list[bytes]:
    """Return the kernel's audit rules in the kernel's order, each as ``struct audit_rule_data``.

    Raises:
        OSError: the kernel refuses, or does not answer as it should.
    """
    return netlink.ask(netlink.AUDIT, _LIST_RULES, least=_RULE.size)


def spelled_out(lines: Sequence[str], kernel: Callable[[], Sequence[bytes]] = ask) -> list[str]:
    """Return the output of ``auditctl -l``, with the whole rule for each watch that omits a part of it.

    Raises:
        OSError: the kernel refuses, or does not answer as it should.
        ValueError: it has other rules than these lines, since they change at the moment.
    """
    if not any(line.startswith(("-w", "-p")) for line in lines):
        return list(lines)
    rules = kernel()
    if len(rules) != len(lines):
        raise ValueError(f"auditctl lists {len(lines)} audit rules, and the kernel has {len(rules)}")
    return [
        _spelled(rule) if line.startswith("-p") or (line.startswith("-w") and _is_no_watch(rule)) else line
        for line, rule in zip(lines, rules)
    ]


def _is_no_watch(rule: bytes) -> bool:
    path = dict(_fields(rule)).get("path")
    return _RULE.unpack_from(rule)[1] == _NEVER or (path is not None and os.path.isdir(path))


def _spelled(rule: bytes) -> str:
    """Return a rule for a path in the notation of ``auditctl -a``."""
    action = "never" if _RULE.unpack_from(rule)[1] == _NEVER else "always"
    return " ".join([f"-a {action},exit", *(f"-F {name}={text}" for name, text in _fields(rule))])


def _fields(rule: bytes) -> list[tuple[str, str]]:
    numbers = _RULE.unpack_from(rule)
    count = min(numbers[2], _FIELDS)
    fields = numbers[3 + _FIELDS :][:count]
    values = numbers[3 + 2 * _FIELDS :][:count]
    found = []
    position = _RULE.size
    for field, value in zip(fields, values):
        if field in _NAMES:  # its value is the length of its text
            found.append((_NAMES[field], rule[position : position + value].decode(errors="replace")))
            position += value
        elif field == _PERM:
            found.append(("perm", "".join(letter for bit, letter in _PERMISSIONS if value & bit)))
    return found
