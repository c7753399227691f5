"""Remove the oldest backups of a host beyond the limits of their number and size.

A run prunes once its own backup is stored, before it changes anything: so the limits hold even on a host
where no run comes to its end. Its own backup always stays (the journal and an armed guard need it), and so
does that of the last confirmed run, whatever their size. Original states that only a removed backup has are
kept: see ``origin``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Mapping, NamedTuple

from ..contract import CHANGED
from ..host import descriptors
from . import origin
from .backup import Store
from .errors import Refused
from .journal import Journal

_MIB = 1 << 20
_BLOCK = 4096  # bytes that the smallest file and folder take
_BOUNDS = {"runs": (1, 1000), "size": (1, 1_000_000)}


class Limits(NamedTuple):
    """The number of backups that a host keeps, and their size in MiB."""

    runs: int = 10
    size: int = 100

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Limits:
        """Return the limits of a request.

        Raises:
            Refused: one is no number, or out of bounds.
        """
        return cls(**{name: _number(name, raw[name]) for name in _BOUNDS if name in raw})


DEFAULTS = Limits()


def _number(name: str, value: object) -> int:
    least, most = _BOUNDS[name]
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise Refused(f"converge_keep_{name} is {text[:40]!r}; it must be a whole number, {least} to {most}")
    return int(text)


def prune(store: Store, current: str, limits: Limits) -> list[str]:
    """Remove the oldest backups beyond the limits.

    Args:
        store: hardener's folder on this host.
        current: the run that has just stored its backup.
        limits: how many backups stay, and how large they may be.

    Returns:
        Notes: which were removed and why, or that those that have to stay are larger than allowed.

    Raises:
        OSError: a removed backup's original states cannot be kept; it stays.
        Refused: the journal cannot be read; all backups stay.
    """
    sizes = {run: _size(store.backup_folder(run)) for run in store.runs()}
    needed = _needed(store, current)
    removed = []
    for run in list(sizes):
        if len(sizes) <= limits.runs and sum(sizes.values()) <= limits.size * _MIB:
            break
        if run in needed:
            continue
        with suppress(Refused):  # an unreadable backup tells nothing
            origin.keep(store, run)
        store.forget(run)
        if not os.path.exists(store.backup_folder(run)):
            del sizes[run]
            removed.append(run)
    notes = []
    if removed:
        which = removed[0] if len(removed) == 1 else f"{removed[0]} to {removed[-1]} ({len(removed)})"
        notes.append(
            f"removed the oldest backups, {which}: at most {limits.runs} backups and {limits.size} MiB are"
            " kept (converge_keep_runs, converge_keep_size), and no rollback reaches further back"
        )
    if sum(sizes.values()) > limits.size * _MIB:
        notes.append(
            f"the backups that have to stay take {-(-sum(sizes.values()) // _MIB)} MiB, more than"
            f" converge_keep_size allows ({limits.size})"
        )
    return notes


def _needed(store: Store, current: str) -> frozenset[str]:
    """Return the runs whose backups are kept regardless of their size."""
    needed = {current}
    unfinished = Journal.find(store)
    if unfinished is not None:
        needed.add(unfinished.run)
    for run in reversed(store.runs()):
        if store.record(run).get("outcome") == CHANGED:
            needed.add(run)
            break
    return frozenset(needed)


def _size(folder: str) -> int:
    """Return how many bytes a folder takes on the disk, in whole blocks."""
    taken = _BLOCK
    with suppress(OSError), descriptors.folder(folder) as handle:
        for _path, folders, names, inner in os.fwalk(".", dir_fd=handle):
            for name in (*folders, *names):
                with suppress(OSError):  # a file that is removed meanwhile
                    size = os.stat(name, dir_fd=inner, follow_symlinks=False).st_size
                    taken += max(1, -(-size // _BLOCK)) * _BLOCK
    return taken
