"""Remove hardener's own files after a release, and list unrecorded files that look like hardener's.

Backups and bookkeeping stay until the release is confirmed, since it can be rolled back until then. After
that they are removed, together with empty folders that runs created and files that our programs wrote. Every
step can be repeated: the next release removes what a killed worker left.
"""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from typing import Any, Iterable, Mapping, Sequence

from ..host import atomic, descriptors, layout
from . import files
from .backup import Store
from .errors import Refused
from .files import FILE

# Folders that hold only files written by hardener.
OWN_FOLDERS = (layout.SETTINGS, layout.PROGRAMS)
# Other folders in which hardener writes files with its name.
PLACES = (
    "/etc/apparmor.d/*hardener*",
    "/etc/apt/apt.conf.d/*hardener*",
    "/etc/apt/keyrings/*hardener*",
    "/etc/apt/preferences.d/*hardener*",
    "/etc/apt/sources.list.d/*hardener*",
    "/etc/audit/rules.d/*hardener*",
    "/etc/default/grub.d/*hardener*",
    "/etc/dnf/*hardener*",
    "/etc/modprobe.d/*hardener*",
    "/etc/modules-load.d/*hardener*",
    "/etc/pki/rpm-gpg/*hardener*",
    "/etc/profile.d/*hardener*",
    "/etc/sysctl.d/*hardener*",
    "/etc/systemd/*.conf.d/*hardener*",
    "/etc/systemd/system/hardener-*",
    "/etc/systemd/system/*.d/*hardener*",
    "/etc/tmpfiles.d/*hardener*",
    "/etc/yum.repos.d/*hardener*",
    "/usr/local/sbin/hardener-*",
)
_MARK = b"Written by hardener"
_HEAD = 400  # bytes at the start of a file that hold the mark
_MOST = 10_000
_CACHE = "__pycache__"


def strays(known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return files that look like hardener's and are in no backup.

    Args:
        known: paths that are dealt with already.

    Returns:
        Those that say that hardener wrote them and are root's, and the others.
    """
    ours: list[str] = []
    others: list[str] = []
    for path in sorted({*_named_files(), *_files_in_folders()} - set(known)):
        (ours if _has_mark(path) else others).append(path)
    return ours, others


def _named_files() -> Iterable[str]:
    return (path for place in PLACES for path in glob.glob(place) if not os.path.isdir(path))


def _files_in_folders() -> list[str]:
    found: list[str] = []
    for top in OWN_FOLDERS:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name != _CACHE]
            found += (os.path.join(folder, name) for name in names)
            if len(found) > _MOST:
                return found
    return found


def _has_mark(path: str) -> bool:
    """Return whether a file has hardener's mark, belongs to root, and only root can change it."""
    try:
        if os.path.islink(path) or not files.guarded(path):
            return False
        state = files.read(path)
    except (OSError, Refused):
        return False
    return state.kind == FILE and state.uid == os.geteuid() and is_marked(state.content)


def is_marked(content: bytes | None) -> bool:
    """Return whether a content has hardener's mark."""
    return content is not None and _MARK in content[:_HEAD]


def is_own(path: str) -> bool:
    """Return whether a path is one that only hardener uses."""
    return any(path.startswith(f"{folder}/") for folder in OWN_FOLDERS)


def parting(
    store: Store,
    *,
    folders: Iterable[str],
    paths: Iterable[str],
    programs: Sequence[str] | None,
    outside: Sequence[str],
) -> dict[str, Any]:
    """Return what to remove once a release is confirmed, as JSON data for the journal.

    Args:
        store: hardener's folder on this host.
        folders: those that runs have made; they stay while only a role goes, whose files may come back.
        paths: files that go.
        programs: subfolders of the store that programs of a role write to; None for the whole store.
        outside: paths elsewhere that the programs have written.
    """
    if programs is not None:
        state = [os.path.join(store.folder, name) for name in programs]
        present = [*filter(os.path.isdir, state), *outside]
        return {"state": present} if present else {}
    above = {folder for path in paths if is_own(path) for folder in _above(path)}
    found = sorted(filter(os.path.isdir, {*folders, *above}), key=lambda path: (-path.count("/"), path))
    return {"folders": found, "state": list(outside), "whole": True}


def _above(path: str) -> Iterable[str]:
    """Return hardener's folders that contain a path."""
    folder = os.path.dirname(path)
    while is_own(folder) or folder in OWN_FOLDERS:
        yield folder
        folder = os.path.dirname(folder)


def part(store: Store, what: Mapping[str, Any]) -> list[str]:
    """Remove hardener's files after a release, and return the paths that cannot be removed.

    Args:
        store: hardener's folder on this host.
        what: result of `parting`; empty if there is nothing to remove.
    """
    problems = []
    for folder in what.get("folders", ()):
        with suppress(OSError):
            if is_own(folder) or folder in OWN_FOLDERS:
                atomic.remove_tree(os.path.join(folder, _CACHE))
        with suppress(OSError):  # it is gone, or in use
            atomic.remove_folder(folder)
    for path in what.get("state", ()):
        problems += _removed(path)
    if what.get("whole"):
        problems += _remove_own_folder(store)
    return problems


def _remove_own_folder(store: Store) -> list[str]:
    """Remove hardener's folder, its lock last: a process that gets the lock finds everything else gone."""
    for name in (layout.BACKUPS, layout.ORIGINS):
        with suppress(OSError):  # a backup that is removed in part is not listed as a run
            atomic.rename(os.path.join(store.folder, name), os.path.join(store.folder, f"released {name}"))
    problems = []
    try:
        names = descriptors.names(store.folder)
    except FileNotFoundError:
        return []
    lock = os.path.basename(store.lock)
    for name in sorted(set(names) - {lock}):
        problems += _removed(os.path.join(store.folder, name))
    if not problems:
        problems += _removed(store.lock)
        with suppress(OSError):  # the next run has begun
            atomic.remove_folder(store.folder)
    return problems


def _removed(path: str) -> list[str]:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            atomic.remove_tree(path)
        else:
            atomic.remove(path)
    except OSError as error:
        return [f"{path} cannot be removed: {error.strerror}"]
    return []
