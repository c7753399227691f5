"""Ask the kernel for the audit rules that ``auditctl -l`` does not print as they are.

It prints a rule of the list ``exit`` as a watch if it has nothing but a path, permissions and a key,
whatever its action is: a rule that suppresses records looks like one that makes them. Where the permissions
come before the path, it prints both as one word.
"""

from __future__ import annotations

import os
import struct
from _socket import AF_NETLINK, SOCK_RAW
from _socket import socket as Socket  # noqa: N812 - it is a class
from contextlib import closing

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable, Sequence

_NETLINK_AUDIT = 9
_REQUEST, _ACK = 1, 4
_ERROR, _DONE, _LIST_RULES = 2, 3, 1013
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_FIELDS = 64
# struct audit_rule_data: list, action, number of fields; system calls, fields, values, operators; length of
# the texts that follow.
_RULE = struct.Struct(f"=3I {_FIELDS}I {_FIELDS}I {_FIELDS}I {_FIELDS}I I")
_NEVER = 0
_WATCH, _PERM, _DIR, _KEY = 105, 106, 107, 210
_NAMES = {_WATCH: "path", _DIR: "dir", _KEY: "key"}
_PERMISSIONS = ((4, "r"), (2, "w"), (1, "x"), (8, "a"))
_SECONDS = 10
_MOST = 65536  # bytes of an answer
_RULES = 100_000


def ask() -> list[bytes]:
    """Return the kernel's rules in its order, each as ``struct audit_rule_data``.

    Raises:
        OSError: the kernel does not answer, or refuses.
        ValueError: there are too many.
    """
    rules: list[bytes] = []
    with closing(Socket(AF_NETLINK, SOCK_RAW, _NETLINK_AUDIT)) as kernel:
        kernel.settimeout(_SECONDS)
        kernel.bind((0, 0))
        kernel.sendto(_HEADER.pack(_HEADER.size, _LIST_RULES, _REQUEST | _ACK, 1, 0), (0, 0))
        while len(rules) < _RULES:
            answer, (port, _groups) = kernel.recvfrom(_MOST)
            if port != 0:
                continue  # not from the kernel
            length, kind, _flags, _number, _port = _HEADER.unpack_from(answer)
            content = answer[_HEADER.size : length]
            if kind == _DONE:
                return rules
            if kind == _LIST_RULES:
                rules.append(content)
            elif kind == _ERROR:
                (code,) = struct.unpack_from("=i", content)
                if code:
                    raise OSError(-code, os.strerror(-code))
    raise ValueError(f"the kernel has more than {_RULES} audit rules")


def spelled_out(lines: Sequence[str], kernel: Callable[[], Sequence[bytes]] = ask) -> list[str]:
    """Return the output of ``auditctl -l``, with a rule in place of a watch that says too little.

    Raises:
        OSError: the kernel does not answer.
        ValueError: it has other rules than these lines, since they change at the moment.
    """
    if not any(line.startswith(("-w", "-p")) for line in lines):
        return list(lines)
    rules = kernel()
    if len(rules) != len(lines):
        raise ValueError(f"auditctl lists {len(lines)} audit rules, and the kernel has {len(rules)}")
    return [
        _spelled(rule)
        if line.startswith("-p") or (line.startswith("-w") and _RULE.unpack_from(rule)[1] == _NEVER)
        else line
        for line, rule in zip(lines, rules)
    ]


def _spelled(rule: bytes) -> str:
    """Return a rule of a path, permissions and a key in the words of the option ``-a``."""
    numbers = _RULE.unpack_from(rule)
    count = min(numbers[2], _FIELDS)
    fields = numbers[3 + _FIELDS :][:count]
    values = numbers[3 + 2 * _FIELDS :][:count]
    words = [f"-a {'never' if numbers[1] == _NEVER else 'always'},exit"]
    position = _RULE.size
    for field, value in zip(fields, values):
        if field in _NAMES:  # its value is the length of its text
            words.append(f"-F {_NAMES[field]}={rule[position : position + value].decode(errors='replace')}")
            position += value
        elif field == _PERM:
            words.append(f"-F perm={''.join(letter for bit, letter in _PERMISSIONS if value & bit)}")
    return " ".join(words)
