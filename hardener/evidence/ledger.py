"""The ledger: one line for each exported bundle, bound to the line before by its hash.

An entry is one line of canonical JSON. ``prev_sha256`` is the hash of the line before it, without its line
end, and sixty-four zeros in the first. So no entry can be changed, removed or inserted without changing every
later entry, and the manifest of each bundle names the entry that it follows.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from hardener.bounded import parse
from hardener.errors import HardenerError
from hardener.evidence.manifest import START, Link
from hardener.evidence.refusal import Refused
from hardener.files import sync_folder
from hardener.text import line, utc

_MAX_LINE = 1 << 20  # bytes
_BEGINNING = b'{"bundle_sha256":"'
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An exported bundle."""

    seq: int  # from 1, without gaps
    time: str  # RFC 3339, UTC
    runs: tuple[str, ...]  # identifiers of its runs
    bundle_sha256: str
    manifest_sha256: str
    prev_sha256: str

    def render(self) -> bytes:
        """Return the line of the entry, without the line end."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode("ascii")

    def link(self) -> Link:
        """Return the reference by which the next entry and the next manifest name this entry."""
        return Link(self.seq, hashlib.sha256(self.render()).hexdigest())


class Ledger:
    """A locked ledger, for adding an entry.

    Args:
        path: its file, for errors.
        descriptor: the open file.
        head: the last entry, None in an empty one.
    """

    def __init__(self, path: Path, descriptor: int, head: LedgerEntry | None) -> None:
        self._path = path
        self._descriptor = descriptor
        self._head = head

    @property
    def head(self) -> Link:
        """Return the reference to the last entry; for an empty ledger, the fixed first reference."""
        return self._head.link() if self._head else START

    def append(self, *, runs: tuple[str, ...], bundle_sha256: str, manifest_sha256: str) -> LedgerEntry:
        """Add an entry, and flush it to the disk.

        Raises:
            HardenerError: it cannot be written, its line would be longer than a reader accepts, or the clock
                is behind the last entry.
        """
        now = utc(datetime.now(UTC))
        if self._head and now < self._head.time:
            raise HardenerError(
                f"the clock ({now}) is behind the last entry of {line(str(self._path))} ({self._head.time})",
                hint="set the clock",
            )
        entry = LedgerEntry(self.head.seq + 1, now, runs, bundle_sha256, manifest_sha256, self.head.sha256)
        text = entry.render() + b"\n"
        if len(text) > _MAX_LINE:
            raise HardenerError(
                f"too many runs for one bundle: its ledger entry has {len(text)} bytes, at most {_MAX_LINE}",
                hint="export fewer runs into one bundle",
            )
        end = os.fstat(self._descriptor).st_size
        try:
            if os.pwrite(self._descriptor, text, end) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            raise HardenerError(f"cannot write {line(str(self._path))}: {error.strerror}") from error
        self._head = entry
        return entry


@contextmanager
def locked(path: Path) -> Iterator[Ledger]:
    """Lock the ledger for one writer; a missing ledger is created.

    The whole chain is checked: nothing is added to a broken ledger or to another kind of file. The incomplete
    last entry of a killed export is removed, since its bundle was never published.

    Raises:
        HardenerError: it cannot be opened.
        Refused: its chain is broken.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HardenerError(f"cannot open the ledger {line(str(path))}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, _MAX_LINE, max(0, size - _MAX_LINE)).rpartition(b"\n")[2]
        head = None
        for entry in _entries(file, path.name, end=size - len(tail)):
            head = entry
        if tail:
            head = _complete(descriptor, tail, head, path.name)
        sync_folder(path.parent)
        yield Ledger(path, descriptor, head)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a bundle in a ledger."""

    entry: LedgerEntry
    head: Link  # the last entry: a reader who notes it can later detect removed entries


def find(
    path: Path, *, bundle_sha256: str, manifest_sha256: str, runs: tuple[str, ...], previous: Link
) -> Place:
    """Read a whole ledger, and find the entry of a bundle.

    Args:
        path: the ledger.
        bundle_sha256: the digest of the bundle's file.
        manifest_sha256: the digest of the manifest in it.
        runs: identifiers of the runs in it.
        previous: the entry that the bundle says it follows.

    Raises:
        Refused: the chain is broken, the bundle is not in it, or follows an entry that is not in it.
        HardenerError: the ledger cannot be read.
    """
    name = path.name
    links = {START.seq: START}
    found = None
    head = START
    try:
        with path.open("rb") as file:
            for entry in _entries(file, name):
                head = entry.link()
                if entry.seq in (previous.seq, previous.seq + 1):
                    links[entry.seq] = head
                    found = entry if entry.seq == previous.seq + 1 else found
    except OSError as error:
        raise HardenerError(f"cannot read the ledger {line(str(path))}: {error.strerror}") from error
    if previous.seq not in links:
        raise Refused(
            name, f"ends at entry {head.seq}, but the bundle follows entry {previous.seq}: entries are gone"
        )
    if links[previous.seq] != previous:
        raise Refused(
            name, f"entry {previous.seq} differs from the one in the bundle: the ledger was rewritten"
        )
    if found is None:
        raise Refused(name, f"ends at entry {head.seq}, but the bundle has a later entry, which is missing")
    if (found.bundle_sha256, found.manifest_sha256) != (bundle_sha256, manifest_sha256):
        raise Refused(
            name, f"entry {found.seq} belongs to another bundle: the ledger or the bundle was replaced"
        )
    if found.runs != runs:
        raise Refused(name, f"entry {found.seq} names other runs than the bundle holds")
    return Place(found, head)


def _entries(file: IO[bytes], name: str, *, end: int | None = None) -> Iterator[LedgerEntry]:
    """Yield the entries, each checked against the one before it, up to ``end`` if it is set."""
    link, time = START, ""
    while (end is None or file.tell() < end) and (text := file.readline(_MAX_LINE)):
        place = f"line {link.seq + 1}"
        entry = _parse(text, name, place)
        if entry.seq != link.seq + 1:
            raise Refused(name, f"{place} is entry {entry.seq}: entries are missing or duplicated")
        if entry.prev_sha256 != link.sha256:
            raise Refused(name, f"{place} does not follow the line before it: one of them was changed")
        if entry.time < time:
            raise Refused(name, f"{place} is older than the line before it")
        link, time = entry.link(), entry.time
        yield entry


def _parse(text: bytes, name: str, place: str) -> LedgerEntry:
    try:
        if not text.endswith(b"\n"):
            raise ValueError("the line is cut off")
        read = parse(text)
        entry = LedgerEntry(**{**read, "runs": tuple(read["runs"])})
        digests = (entry.bundle_sha256, entry.manifest_sha256, entry.prev_sha256)
        if entry.render() + b"\n" != text:
            raise ValueError("the line does not have the form that hardener writes")
        if type(entry.seq) is not int or not all(isinstance(each, str) for each in entry.runs):
            raise ValueError("seq is not an integer, or a run is not a string")
        if not all(_DIGEST.fullmatch(each) for each in digests):
            raise ValueError("a digest is not a SHA-256")
        if not _TIME.fullmatch(entry.time):
            raise ValueError("the time does not have the form that hardener writes")
        datetime.fromisoformat(entry.time)
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(name, f"{place} is not an entry: {error}") from None
    return entry


def _complete(descriptor: int, tail: bytes, head: LedgerEntry | None, name: str) -> LedgerEntry | None:
    """Complete the last line, or remove it if it is only the beginning of an entry; return the last entry.

    Raises:
        Refused: it is something else, which is not removed.
    """
    link = head.link() if head else START
    size = os.fstat(descriptor).st_size
    try:
        entry = _parse(tail + b"\n", name, f"line {link.seq + 1}")
    except Refused:
        begun = tail.startswith(_BEGINNING) or _BEGINNING.startswith(tail)
        if not begun or tail.endswith(b"}"):
            raise
        os.ftruncate(descriptor, size - len(tail))
        return head
    if (entry.seq, entry.prev_sha256) != (link.seq + 1, link.sha256):
        raise Refused(name, f"line {link.seq + 1} does not follow the line before it")
    os.pwrite(descriptor, b"\n", size)
    return entry
