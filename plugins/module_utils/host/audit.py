"""Receive the kernel's audit records from its multicast group, with or without an audit daemon.

The kernel writes a name that a process chose in quotes if it is harmless, and in hexadecimal if it contains a
blank, a quote or a control character: no name can look like a field.
"""

from __future__ import annotations

import re
import struct
from typing import Iterator, NamedTuple

from . import netlink

_READ_LOG = 1  # the bit of AUDIT_NLGRP_READLOG
_GET = 1000
_STATUS = struct.Struct("=8I")  # mask, enabled, failure, pid, rate limit, backlog limit, lost, backlog
_LONGEST = 16 * 1024
_MAX_TEXT = 256
_STAMP = re.compile(r"audit\((\d{1,12})\.(\d{3}):(\d{1,10})\): ?")
# A field begins after a blank: the kernel writes interface names, which may contain quotes, unescaped.
_FIELD = re.compile(r'(?<!\S)([a-zA-Z_][\w-]{0,31})=("[^"]*"|[^\s"]*)')
_HEXADECIMAL = re.compile(r"(?:[0-9A-F]{2})+")
_NAMES = frozenset({"comm", "exe", "name", "path", "srcname", "target", "peer", "profile", "label"})

AVC, SECCOMP = 1400, 1326  # kinds of records


class Record(NamedTuple):
    """An audit record as the kernel wrote it."""

    kind: int  # AVC, SECCOMP and others
    text: str


class Event(NamedTuple):
    """The event that a record belongs to, and the rest of the record."""

    at: float  # seconds of the epoch
    serial: int
    body: str


def event(text: str) -> Event | None:
    """Return the event of a record; None if it has an unknown form."""
    found = _STAMP.match(text)
    if found is None:
        return None
    return Event(int(found[1]) + int(found[2]) / 1000, int(found[3]), text[found.end() : _LONGEST])


def serial(text: str) -> int:
    """Return the serial number of a record's event; 0 if it has none."""
    found = event(text)
    return found.serial if found else 0


def fields(body: str, longest: int = _MAX_TEXT) -> dict[str, str]:
    """Return the fields of a record, each cut to ``longest``; the first occurrence of a name counts."""
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(body):
        if name not in found:
            found[name] = _text(name, value)[:longest]
    return found


def number(text: str, base: int = 10) -> int:
    """Return the number in a field; -1 if it has none."""
    try:
        return int(text, base)
    except ValueError:
        return -1


def _text(name: str, value: str) -> str:
    if value.startswith('"'):
        return value[1:-1]
    if name in _NAMES and _HEXADECIMAL.fullmatch(value):
        return bytes.fromhex(value).decode("utf-8", "backslashreplace")
    return value


class AuditSocket(netlink.Subscription):
    """A subscription to the audit multicast group.

    Raises:
        OSError: this kernel has no audit, or CAP_AUDIT_READ is missing.
    """

    def __init__(self) -> None:
        super().__init__(netlink.AUDIT, _READ_LOG)

    def receive(self) -> Iterator[Record]:
        """Yield the records that are available now, at most some hundred."""
        for kind, content in self.messages():
            yield Record(kind, content.rstrip(b"\0\n").decode("utf-8", "backslashreplace"))


def kernel_status() -> dict[str, int]:
    """Return the kernel's audit status: ``enabled``, ``lost``, ``backlog_limit``, ``daemon`` (its pid).

    Raises:
        OSError: it does not answer; without CAP_AUDIT_CONTROL it may not be asked.
    """
    (status,) = netlink.ask(netlink.AUDIT, _GET, least=_STATUS.size)
    _mask, enabled, _failure, daemon, _rate, limit, lost, _backlog = _STATUS.unpack_from(status)
    return {"enabled": enabled, "daemon": daemon, "backlog_limit": limit, "lost": lost}


class Gaps:
    """Missing numbers in the sequence of audit events: events that were made and not received.

    Events may arrive slightly out of order: a number counts as lost after ``grace`` seconds. ``lost`` is
    their count.
    """

    _longest = 10000

    def __init__(self, grace: float = 5.0) -> None:
        self.lost = 0
        self._grace = grace
        self._last = 0
        self._missing: dict[int, float] = {}

    def note(self, serial: int, now: float) -> None:
        """Note the number of an event; ``now`` is monotonic time."""
        if self._last == 0 or serial <= self._last:
            self._missing.pop(serial, None)
            self._last = self._last or serial
            return
        gap = serial - self._last - 1
        if gap + len(self._missing) > self._longest:
            self.lost += gap
        else:
            self._missing.update((number, now) for number in range(self._last + 1, serial))
        self._last = serial
        self.expire(now)

    def expire(self, now: float) -> None:
        """Count numbers as lost that have been missing for too long, the oldest first."""
        while self._missing:
            number, since = next(iter(self._missing.items()))
            if now - since <= self._grace:
                return
            del self._missing[number]
            self.lost += 1
