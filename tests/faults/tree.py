"""Everything below some folders: read into memory, and made so again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

STATE = Path("/var/lib/hardener")
JOURNAL = STATE / "journal.json"
# All folders in which the representative transaction changes something.
ROOTS = tuple(
    map(
        Path,
        (
            "/etc/docker",
            "/etc/hardener",
            "/etc/audit",
            "/etc/sysctl.d",
            "/etc/tmpfiles.d",
            "/etc/systemd/system",
            "/usr/local/sbin",
            "/srv",
            "/var/lib/hardener",
        ),
    )
)


class Item(NamedTuple):
    """What is at a path; the content of a link is where it leads."""

    mode: int
    uid: int
    gid: int
    content: bytes = b""
    modified: int = 0  # of a file


def read(roots: Sequence[Path]) -> dict[str, Item]:
    """What is there, folders before what is in them."""
    return dict(item for root in roots for item in _walk(root))


def _walk(path: Path) -> Iterator[tuple[str, Item]]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    item = Item(status.st_mode, status.st_uid, status.st_gid)
    if stat.S_ISREG(status.st_mode):
        item = item._replace(content=path.read_bytes(), modified=status.st_mtime_ns)
    elif stat.S_ISLNK(status.st_mode):
        item = item._replace(content=os.fsencode(path.readlink()))
    yield str(path), item
    if stat.S_ISDIR(status.st_mode):
        for child in sorted(path.iterdir()):
            yield from _walk(child)


def write(roots: Sequence[Path], wanted: dict[str, Item]) -> None:
    """Make it what was read."""
    present = read(roots)
    for name in sorted(present, reverse=True):
        if name not in wanted or stat.S_IFMT(wanted[name].mode) != stat.S_IFMT(present[name].mode):
            if stat.S_ISDIR(present.pop(name).mode):
                Path(name).rmdir()
            else:
                Path(name).unlink()
    for name, item in wanted.items():
        if present.get(name) != item:
            _make(Path(name), item)


def _make(path: Path, item: Item) -> None:
    if stat.S_ISLNK(item.mode):
        path.unlink(missing_ok=True)
        path.symlink_to(os.fsdecode(item.content))
        return
    if stat.S_ISDIR(item.mode):
        path.mkdir(exist_ok=True)
    else:
        path.write_bytes(item.content)
        os.utime(path, ns=(item.modified, item.modified))
    os.chown(path, item.uid, item.gid)
    path.chmod(stat.S_IMODE(item.mode))
