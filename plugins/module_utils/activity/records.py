"""Parse audit records into denials; parts of a record's text may be chosen by an attacker.

The kernel writes a name that a process chose in quotes if it is harmless, and in hexadecimal if it contains a
blank, a quote or a control character: no name can look like a field. All values that are not the kernel's own
keywords are treated as text only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .syscalls import syscall_name

AVC, SECCOMP = 1400, 1326

_LONGEST = 16 * 1024
_MAX_TEXT = 256
_STAMP = re.compile(r"audit\((\d{1,12})\.(\d{3}):(\d{1,10})\): ?")
# A field begins after a blank: the kernel writes interface names, which may contain quotes, unescaped.
_FIELD = re.compile(r'(?<!\S)([a-zA-Z_][\w-]{0,31})=("[^"]*"|[^\s"]*)')
_SELINUX = re.compile(r"avc:  (denied|granted)  \{ ([a-z_0-9 ]{1,200}?) \} for ")
_HEXADECIMAL = re.compile(r"(?:[0-9A-F]{2})+")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NAMES = frozenset({"comm", "exe", "name", "path", "srcname", "target", "peer", "profile", "label"})
# ALLOWED: the profile is in complain mode.
_APPARMOR = {"DENIED": "denied", "ALLOWED": "allowed", "KILLED": "killed"}
_ACTIONS = {
    0x80000000: "killed",
    0x00000000: "killed",
    0x00030000: "trapped",
    0x00050000: "denied",
    0x7FC00000: "notified",
    0x7FF00000: "traced",
    0x7FFC0000: "logged",
}


class Denial(NamedTuple):
    """An access that the kernel denied or logged."""

    at: float  # seconds of the epoch
    source: str  # "apparmor", "selinux", "seccomp"
    verdict: str  # "denied", "allowed" (complain mode), "killed", "logged", …
    operation: str  # mount, capable, a system call, permissions
    detail: str  # object of the operation: a capability, an object class, a mask
    target: str  # a path or another profile; untrusted text
    command: str  # the process's name; untrusted text
    pid: int
    confinement: str  # AppArmor's profile, SELinux's context


def serial(text: str) -> int:
    """Return the serial number of a record's event; 0 if it has none."""
    found = _STAMP.match(text)
    return int(found[3]) if found else 0


def parse(kind: int, text: str) -> Denial | None:
    """Parse a record into a denial; return None for records of other kinds or of unknown form."""
    stamp = _STAMP.match(text)
    if kind not in (AVC, SECCOMP) or stamp is None:
        return None
    at = int(stamp[1]) + int(stamp[2]) / 1000
    body = text[stamp.end() : _LONGEST]
    if kind == SECCOMP:
        return _seccomp(at, _fields(body))
    selinux = _SELINUX.match(body)
    if selinux:
        return _selinux(at, selinux[1], selinux[2], _fields(body[selinux.end() :]))
    return _apparmor(at, _fields(body))


def _fields(body: str) -> dict[str, str]:
    """Return the fields by name; the first occurrence of a name counts."""
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(body):
        if name in fields:
            continue
        fields[name] = _text(name, value)[:_MAX_TEXT]
    return fields


def _text(name: str, value: str) -> str:
    if value.startswith('"'):
        return value[1:-1]
    if name in _NAMES and _HEXADECIMAL.fullmatch(value):
        return bytes.fromhex(value).decode("utf-8", "backslashreplace")
    return value


def _number(text: str, base: int = 10) -> int:
    try:
        return int(text, base)
    except ValueError:
        return -1


def _plain_word(text: str) -> str:
    return text if _WORD.fullmatch(text) else ""


def _apparmor(at: float, fields: dict[str, str]) -> Denial | None:
    verdict, operation = _APPARMOR.get(fields.get("apparmor", "")), _plain_word(fields.get("operation", ""))
    if verdict is None or not operation:
        return None
    if operation == "capable":
        words = [_plain_word(fields.get("capname", ""))]
    elif fields.get("family"):
        words = [_plain_word(fields.get(name, "")) for name in ("family", "sock_type")]
    else:
        words = [_plain_word(fields.get("denied_mask", "") or fields.get("requested_mask", ""))]
    return Denial(
        at,
        "apparmor",
        verdict,
        operation,
        " ".join(filter(None, words)),
        fields.get("name") or fields.get("peer", ""),
        fields.get("comm", ""),
        _number(fields.get("pid", "")),
        fields.get("profile", ""),
    )


def _selinux(at: float, verdict: str, permissions: str, fields: dict[str, str]) -> Denial | None:
    if verdict != "denied":
        return None
    return Denial(
        at,
        "selinux",
        "allowed" if fields.get("permissive") == "1" else "denied",
        permissions.strip(),
        _plain_word(fields.get("tclass", "")),
        fields.get("path") or fields.get("name", ""),
        fields.get("comm", ""),
        _number(fields.get("pid", "")),
        fields.get("scontext", ""),
    )


def _seccomp(at: float, fields: dict[str, str]) -> Denial | None:
    number, code = _number(fields.get("syscall", "")), _number(fields.get("code", ""), 16)
    if number < 0 or code < 0:
        return None
    return Denial(
        at,
        "seccomp",
        _ACTIONS.get(code & 0xFFFF0000, "other"),
        syscall_name(number, fields.get("arch", "")),
        "",
        "",
        fields.get("comm", ""),
        _number(fields.get("pid", "")),
        "",
    )
