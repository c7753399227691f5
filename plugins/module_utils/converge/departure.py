"""What goes from a host once it has been given back, and what looks like ours without being recorded.

Backups and bookkeeping stay until the release itself is confirmed: until then it can be taken back. Then they
go, the folders that our runs have made and that nobody else uses, and what our programs have written. All of
it can be done again: what a killed worker has left of it goes with the next release.
"""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from typing import Any, Iterable, Mapping, Sequence

from ..host import atomic, descriptors
from . import files
from .backup import Store
from .errors import Refused
from .files import FILE

# Below these lies nothing but what hardener wrote.
OWN_FOLDERS = ("/etc/hardener", "/usr/local/lib/hardener")
# Where else it writes files of that name.
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
_HEAD = 400  # bytes in which it stands
_MOST = 10_000
_CACHE = "__pycache__"


def strays(known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Files that look like ours and that no backup names.

    Args:
        known: paths that are dealt with already.

    Returns:
        Those that say that hardener wrote them and are root's, and the others.
    """
    ours: list[str] = []
    others: list[str] = []
    for path in sorted({*_named(), *_below()} - set(known)):
        (ours if _says_so(path) else others).append(path)
    return ours, others


def _named() -> Iterable[str]:
    return (path for place in PLACES for path in glob.glob(place) if not os.path.isdir(path))


def _below() -> list[str]:
    found: list[str] = []
    for top in OWN_FOLDERS:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name != _CACHE]
            found += (os.path.join(folder, name) for name in names)
            if len(found) > _MOST:
                return found
    return found


def _says_so(path: str) -> bool:
    """Whether a file is root's, where root alone decides what is there, and hardener wrote it."""
    try:
        if os.path.islink(path) or not files.guarded(path):
            return False
        state = files.read(path)
    except (OSError, Refused):
        return False
    return state.kind == FILE and state.uid == os.geteuid() and is_marked(state.content)


def is_marked(content: bytes | None) -> bool:
    """Whether a content says that hardener wrote it."""
    return content is not None and _MARK in content[:_HEAD]


def is_own(path: str) -> bool:
    """Whether nothing but what hardener wrote has such a path."""
    return any(path.startswith(f"{folder}/") for folder in OWN_FOLDERS)


def parting(
    store: Store, *, folders: Iterable[str], paths: Iterable[str], programs: Sequence[str] | None
) -> dict[str, Any]:
    """What goes once a release stays, as JSON data for its journal; empty where nothing would.

    Args:
        store: hardener's folder on this host.
        folders: those that runs have made; they stay while only a role goes, whose files may come back.
        paths: files that go.
        programs: subfolders of the store that programs of a role write to; None for the whole store.
    """
    if programs is not None:
        state = [os.path.join(store.folder, name) for name in programs]
        present = list(filter(os.path.isdir, state))
        return {"state": present} if present else {}
    above = {folder for path in paths if is_own(path) for folder in _above(path)}
    found = sorted(filter(os.path.isdir, {*folders, *above}), key=lambda path: (-path.count("/"), path))
    return {"folders": found, "whole": True}


def _above(path: str) -> Iterable[str]:
    """The folders of ours that hold a path."""
    folder = os.path.dirname(path)
    while is_own(folder) or folder in OWN_FOLDERS:
        yield folder
        folder = os.path.dirname(folder)


def part(store: Store, what: Mapping[str, Any]) -> list[str]:
    """Remove it, and say what cannot be removed.

    Args:
        store: hardener's folder on this host.
        what: of `parting`; empty where nothing goes.
    """
    problems = []
    for folder in what.get("folders", ()):
        with suppress(OSError):
            if is_own(folder) or folder in OWN_FOLDERS:
                atomic.remove_tree(os.path.join(folder, _CACHE))
        with suppress(OSError):  # it is gone, or somebody else uses it
            atomic.remove_folder(folder)
    for folder in what.get("state", ()):
        problems += _removed(folder)
    if what.get("whole"):
        problems += _leave(store)
    return problems


def _leave(store: Store) -> list[str]:
    """Remove hardener's folder, its lock last: who finds that has found all of it gone."""
    for name in ("backups", "origins"):
        with suppress(OSError):  # a backup that is removed in part is none of a run
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
