"""Keep the progress of a run that changes hosts on disk, so that another run can continue it after a crash.

A file in ``changes/`` has a line of JSON for each step. The first line is written before any host is changed,
and a line for each batch before it begins; a line that a crash has cut off is ignored. The process of the run
holds a lock on the file. The file is removed when all hosts are done.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from hardener import bounded
from hardener.errors import HardenerError
from hardener.files import sync_folder
from hardener.history.home import Home
from hardener.text import line, scalar

_FORMAT = "hardener/changes/1"
_NAME = re.compile(r"[0-9a-f-]{1,64}")
_SUFFIX = ".jsonl"
_KEPT = 50
_LARGEST = 256 * 1024 * 1024
_MOST_VALUES = 1_000_000  # of a step
_REASON = 1000  # characters


class Ending(StrEnum):
    """The result of a host in a run."""

    CONFIRMED = "confirmed"  # its change is confirmed, or there was nothing to change
    ROLLED_BACK = "rolled back"
    FAILED = "failed"
    NOT_BEGUN = "not begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An unfinished run.

    Attributes:
        run: its name.
        number: its number on the hosts.
        started: seconds since 1970.
        arguments: the command line, without the program.
        folder: the current folder of the call.
        hosts: the hosts that it should change.
        begun: the hosts whose change was begun.
        ended: the results of hosts, as far as they were written.
        finished: hosts that were confirmed in the earlier run that this one continued.
        at_work: its process still runs, or is stopped (as by SIGSTOP).
    """

    run: str
    number: int
    started: float
    arguments: tuple[str, ...]
    folder: str
    hosts: tuple[str, ...]
    begun: frozenset[str] = frozenset()
    ended: Mapping[str, Ending] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()
    at_work: bool = False

    @property
    def confirmed(self) -> frozenset[str]:
        """Return the hosts that are done."""
        return self.finished | {host for host, each in self.ended.items() if each is Ending.CONFIRMED}

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return the hosts whose change was begun and whose result was not written."""
        return tuple(host for host in self.hosts if host in self.begun and host not in self.ended)

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Return the hosts with a begun, unconfirmed change, which may continue or be rolled back later."""
        settled = (Ending.CONFIRMED, Ending.NOT_BEGUN)
        return tuple(
            host for host in self.hosts if host in self.begun and self.ended.get(host) not in settled
        )

    @property
    def left(self) -> tuple[str, ...]:
        """Return the hosts that are not done."""
        return tuple(host for host in self.hosts if host not in self.confirmed)


class Journal:
    """The journal of a run that is in progress.

    Args:
        home: the folder of the history.
        run: its name.
        number: its number on the hosts.
        arguments: the command line, without the program.
        folder: the current folder of the call.
        hosts: the hosts that it changes.
        finished: hosts that an earlier run has confirmed.

    Raises:
        HardenerError: it cannot be written. Every method can raise this.
    """

    def __init__(
        self,
        home: Home,
        *,
        run: str,
        number: int,
        arguments: Sequence[str],
        folder: str,
        hosts: Sequence[str],
        finished: Sequence[str] = (),
    ) -> None:
        self._home = home
        self._path = home.changes / f"{run}{_SUFFIX}"
        home.prepare()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise home.failure(error) from error
        self._write(
            {
                "format": _FORMAT,
                "run": run,
                "number": number,
                "started": time.time(),
                "arguments": list(arguments),
                "folder": folder,
                "hosts": list(hosts),
                "finished": list(finished),
            }
        )
        _sync(home, self._path.parent)

    def begin(self, hosts: Sequence[str]) -> None:
        """Record that the change of these hosts is about to begin."""
        self._write({"begin": list(hosts)})

    def end(self, hosts: Mapping[str, tuple[Ending, str]]) -> None:
        """Write the results of hosts, with reasons."""
        self._write(
            {"end": {host: [each.value, scalar(why, _REASON)] for host, (each, why) in hosts.items()}}
        )

    def close(self, *, over: bool) -> None:
        """Release the file; remove it if all hosts are done."""
        if over:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _write(self, step: Mapping[str, Any]) -> None:
        try:
            content = json.dumps(step, separators=(",", ":")).encode("ascii") + b"\n"
            while content:
                content = content[os.write(self._descriptor, content) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._home.failure(error) from error


def unfinished_runs(home: Home) -> Iterator[Unfinished]:
    """Yield the unfinished runs, newest first, without damaged files.

    Raises:
        HardenerError: their folder cannot be read.
    """
    try:
        paths = list(home.changes.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise home.failure(error) from error
    found = []
    for path in paths:
        with suppress(HardenerError):
            found.append(_load(home, path))
    yield from sorted(found, key=lambda each: -each.started)


def unfinished_run(home: Home, name: str) -> Unfinished:
    """Return the unfinished run that has this name.

    Args:
        home: the folder of the history.
        name: ``latest``, its id, or the beginning of its id.

    Raises:
        HardenerError: there is none, or more than one.
    """
    runs = list(unfinished_runs(home))
    found = runs[:1] if name == "latest" else [each for each in runs if name and each.run.startswith(name)]
    if len(found) == 1:
        return found[0]
    named = ", ".join(each.run for each in runs[:3]) or "none"
    if name == "latest":
        raise HardenerError("there is no unfinished run")
    what = f"{len(found)} unfinished runs have" if found else "no unfinished run has"
    raise HardenerError(f"{what} an id that begins with {line(repr(name), 100)}", hint=f"unfinished: {named}")


def forget_run(home: Home, run: str) -> None:
    """Remove the journal of a run that another run continues."""
    if _NAME.fullmatch(run):
        (home.changes / f"{run}{_SUFFIX}").unlink(missing_ok=True)


def forget_old_runs(home: Home) -> None:
    """Remove the oldest journals beyond the number to keep, except those of running processes."""
    for each in list(unfinished_runs(home))[_KEPT:]:
        if not each.at_work:
            forget_run(home, each.run)


def _load(home: Home, path: Path) -> Unfinished:
    """Read the file of a run.

    Raises:
        HardenerError: it cannot be read, or is damaged.
    """
    try:
        lines = bounded.read(path, most=_LARGEST).split(b"\n")
        whole = lines[:-1]  # what follows the last newline was cut off
        first, *steps = (bounded.parse(each, most_values=_MOST_VALUES) for each in whole)
        run = first["run"]
        if first["format"] != _FORMAT or not _NAME.fullmatch(run) or path.name != f"{run}{_SUFFIX}":
            raise ValueError("the file is not a journal of this version of hardener")
        begun: set[str] = set()
        ended: dict[str, Ending] = {}
        hosts = dict.fromkeys(_texts(first["hosts"]))
        for step in steps:
            for host in _texts(step.get("begin", [])):
                hosts.setdefault(host)
                begun.add(host)
                ended.pop(host, None)
            ended |= {str(host): Ending(each[0]) for host, each in step.get("end", {}).items()}
        started = float(first["started"])
        datetime.fromtimestamp(started, UTC)  # fails for a time that cannot be shown
        return Unfinished(
            run=run,
            number=int(first["number"]),
            started=started,
            arguments=tuple(_texts(first["arguments"])),
            folder=str(first["folder"]),
            hosts=tuple(hosts),
            begun=frozenset(begun),
            ended=ended,
            finished=frozenset(_texts(first["finished"])),
            at_work=_is_locked(path),
        )
    except OSError as error:
        raise home.failure(error) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise HardenerError(f"{line(str(path), 1000)} is damaged: {line(str(error))}") from error


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError("a value is not a list of strings")
    return value


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _sync(home: Home, folder: Path) -> None:
    try:
        sync_folder(folder)
    except OSError as error:
        raise home.failure(error) from error
