"""Plan a read-only root: the folders that a container writes to, and whether a tmpfs can replace each.

A tmpfs hides the image's content of the folder. So one is proposed only where no file of the image that was
executed or changed lies below it, and never for a system folder or for a folder of programs. Each folder of
the image below it becomes a tmpfs too: programs look for the folders that their package or image has made.
Recorded reads would say too little: they have temporary files of the container too, and lack what is read in
rare cases.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import normpath

from hardener.workload.container import Mount
from hardener.workload.merging import Merged, Seen
from hardener.workload.recording import Owner

# Mounts of the kernel and the engine: a read-only root does not change them.
_OWN = ("/proc", "/sys", "/dev")
_FILES_OF_ENGINE = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/.dockerenv"})
# Top-level folders of an image: hiding one breaks more than it protects.
_SYSTEM = """/ /bin /boot /etc /home /lib /lib32 /lib64 /libx32 /media /mnt /opt /root /sbin /srv /usr
    /usr/bin /usr/lib /usr/local /usr/sbin /usr/share /var /var/lib""".split()  # noqa: SIM905
# Images keep files below these that are read in rare cases: nothing there can be hidden.
_CONTENT = ("/app", "/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/sbin", "/srv", "/usr")
_LIBRARY = re.compile(r"\.so(\.[0-9]+)*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that is written to, and that an empty tmpfs can replace; or a folder of the image below it.

    Args:
        path: the folder.
        paths: what was written or created below it, each with where it was seen; if nothing was, below the
            folder around it.
        executable: whether something below it was executed, or a library was written there.
        owner: whose the folder is, where that is known.
    """

    path: str
    paths: Mapping[str, Seen]
    executable: bool
    owner: Owner | None


class Obstacle(Seen):
    """A path that is written to, with the reason why a tmpfs cannot replace its folder."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSet:
    """The folders that a read-only root needs; with an obstacle the root has to stay writable."""

    folders: tuple[Folder, ...]
    obstacles: tuple[Obstacle, ...]


def write_set(merged: Merged) -> WriteSet:
    """Return the folders that are written to outside of mounts, and the obstacles."""
    mounts = merged.one.container.mounts
    made = _mount_points(mount.target for mount in mounts)
    owners = {path: owner for one in merged.recordings for path, owner in one.files.owners.items()}
    written = {
        path: seen
        for path, seen in paths_to_write(merged)
        if path not in made and nearest_mount(path, mounts) is None
    }
    of_image = {path: owner for one in merged.recordings for path, owner in one.files.folders.items()}
    changed = {path for path in written.keys() & merged.written.keys() if _is_content(path, of_image)}
    known = (frozenset(merged.executed) - written.keys()) | changed
    obstacles = []
    homes: dict[str, dict[str, Seen]] = {}
    for path, seen in sorted(written.items()):
        folder = path.rpartition("/")[0] or "/"
        why = _obstacle(folder, path, known)
        if why:
            obstacles.append(Obstacle(path=path, why=why, **dict(seen)))
        else:
            homes.setdefault(folder, {})[path] = seen
    folders = []
    inherited = sorted(of_image)
    for top in _outermost(homes):
        inner = [path for path in inherited if path != top and below(path, top)]
        kept = [path for path in inner if path not in merged.created and not _obstacle(path, path, known)]
        around: dict[str, Seen] = {}
        for folder in (top, *kept):
            inside = [found for home, found in homes.items() if below(home, folder)]
            paths = {path: seen for found in inside for path, seen in found.items()}
            around = around or paths
            executable = any(below(path, folder) for path in merged.executed) or any(
                map(_LIBRARY.search, paths)
            )
            owner = owners.get(folder) or of_image.get(folder)
            folders.append(Folder(path=folder, paths=paths or around, executable=executable, owner=owner))
    return WriteSet(folders=tuple(folders), obstacles=tuple(obstacles))


def makes_files(merged: Merged) -> bool:
    """Return whether the container makes files, also ones that it removes again."""
    made = _mount_points(mount.target for mount in merged.one.container.mounts)
    return any(
        path not in made and (path in merged.created or path.endswith("/"))
        for path, _ in paths_to_write(merged)
    )


def below(path: str, folder: str) -> bool:
    """Return whether a path equals a folder or lies below it."""
    return folder in (path, "/") or path.startswith(folder + "/")


def paths_to_write(merged: Merged) -> Iterator[tuple[str, Seen]]:
    """Return the paths whose folder must be writable.

    One with a slash at its end is a folder in which something came and is gone: it stands for that.
    """
    every = merged.changed
    passed = {path: seen for path, seen in every.items() if path.endswith("/") and path != "/"}
    for path, seen in passed.items():
        if not any(below(path, own) for own in _OWN):
            yield path, seen
    plain = {
        path: seen
        for path, seen in every.items()
        if path not in passed and (f"{path}/" not in passed or path in merged.created)
    }
    # A folder counts as changed when entries were created or removed: those entries show it.
    around = {folder for path in plain for folder in _around(path)}
    for path, seen in plain.items():
        if path in around and path not in merged.created:
            continue
        if not any(below(path, own) for own in _OWN) and path not in _FILES_OF_ENGINE:
            yield path, seen


def _around(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
    yield "/"


def nearest_mount(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount on which a path lies; None if it lies in the image."""
    around = [mount for mount in mounts if below(path, mount.target.rstrip("/") or "/")]
    return max(around, key=lambda mount: len(mount.target), default=None)


def _mount_points(targets: Iterable[str]) -> frozenset[str]:
    """Return mount points and their parents: the engine makes those that an image lacks."""
    return frozenset(path for target in targets for path in (target.rstrip("/"), *_around(target)))


def _obstacle(folder: str, path: str, known: frozenset[str]) -> str:
    bare = path.rstrip("/") or "/"
    if not path.startswith("/") or normpath(bare) != bare or not path.isprintable():
        return "the path is relative, not normalised, or has unprintable characters"
    if any(sign in folder for sign in ":,"):
        return f"no mount option can name a path with a {'colon' if ':' in folder else 'comma'}"
    if folder in _SYSTEM:
        return f"an empty folder in place of {folder} would hide files of the image"
    if any(below(folder, content) for content in _CONTENT):
        return f"other files of {folder} may be needed"
    if hidden := sorted(each for each in known if below(each, folder)):
        return f"an empty folder in place of {folder} would hide {hidden[0]}, which is used"
    return ""


def _is_content(path: str, folders: Collection[str]) -> bool:
    """Return whether a written path is a file of the image whose content a program may need; no log is."""
    return path[-1] != "/" and path not in folders and not below(path, "/var/log")


def _outermost(folders: Iterable[str]) -> list[str]:
    found: list[str] = []
    for folder in sorted(folders):
        if not any(below(folder, top) for top in found):
            found.append(folder)
    return found
