"""Write, remove and create files and folders below folder descriptors that `descriptors` opened.

New content is written to a temporary file in the same folder, which gets its final owner, mode, access
control list and label before it is renamed: a reader of the path sees the old file or the new one, also after
a crash or on a full disk. Everything uses calls of ``os`` on descriptors; nothing is buffered.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import NamedTuple

from . import descriptors
from .descriptors import Place

ACL = "system.posix_acl_access"
SUFFIX = ".hardener~"
_KEPT = ("security.selinux",)  # copied to the new file; an access control list is set from the attributes
_TEMPORARY = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DEEPEST = 64  # folders that are open at once while a tree is removed


class Attributes(NamedTuple):
    """Owner, mode and access control list of a file; the default owner is that of the process."""

    mode: int = 0o600
    uid: int = -1
    gid: int = -1
    acl: bytes = b""


class Meddled(OSError):  # noqa: N818 - a state of the world
    """Another process changed a path while this process changed it."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ESTALE, "another process changed it meanwhile", path)


PRIVATE = Attributes()


def write(path: str, content: bytes, attributes: Attributes = PRIVATE, *, temporary: str = "") -> None:
    """Replace or create a file; if the path is a symbolic link that root owns, the file that it points to.

    Raises:
        Untrusted, OSError: see `replace` and `descriptors.at`.
    """
    with descriptors.at(path, follow=True) as place:
        replace(place, content, attributes, temporary=temporary)


def replace(place: Place, content: bytes, attributes: Attributes, *, temporary: str = "") -> None:
    """Replace or create a regular file.

    Args:
        place: where; a link with the name is replaced too.
        content: the new content.
        attributes: owner, mode and access control list.
        temporary: the name of the file while it is written; a unique one without that, so that two writers
            do not collide.

    Raises:
        OSError: it cannot be written; what was there is still there, whole.
    """
    place.needed()
    own = f".{place.name}.{os.urandom(4).hex()}{SUFFIX}"
    name = temporary or own
    try:
        os.unlink(name, dir_fd=place.folder)
    except FileNotFoundError:
        pass
    except IsADirectoryError:  # others may write there, and must not prevent the write
        name = own
    handle = os.open(name, _TEMPORARY, stat.S_IRUSR, dir_fd=place.folder)
    try:
        try:
            fill(handle, content)
            dress(handle, attributes, place)
            os.fsync(handle)
            os.rename(name, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=place.folder)
            raise
        sync(place.folder)
        now = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        # Compared while the file is open: a free inode number is given to the next file.
        if not os.path.samestat(now, os.fstat(handle)):
            raise Meddled(place.path)  # another user's folder: the other file is theirs
    finally:
        os.close(handle)


def overwrite(place: Place, content: bytes) -> None:
    """Overwrite a regular file in place: the last resort on a full disk, not atomic.

    Raises:
        OSError: it would have to grow, it is not a regular file, or the file system does not allow it.
    """
    handle = place.open(os.O_WRONLY)
    try:
        if len(content) > os.fstat(handle).st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place.path)
        fill(handle, content)
        os.ftruncate(handle, len(content))
        os.fsync(handle)
    finally:
        os.close(handle)


def set_attributes(place: Place, attributes: Attributes) -> None:
    """Set owner, mode and access control list of the open file, even if another file has its name now.

    Raises:
        OSError: the file system does not allow it, or it is a link or a device, which have none to set.
    """
    status = place.status
    if stat.S_ISLNK(status.st_mode) or stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise OSError(errno.EINVAL, "attributes of links and devices are not set", place.path)
    uid = status.st_uid if attributes.uid < 0 else attributes.uid
    gid = status.st_gid if attributes.gid < 0 else attributes.gid
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.chown(place.link, uid, gid)  # before the mode, since it clears setuid bits
    if attributes.acl:
        os.setxattr(place.link, ACL, attributes.acl)
    # With an ACL, chmod sets its mask. To remove an ACL, set the mode first: its bits remain, and for a
    # moment they would be the mask's.
    os.chmod(place.link, attributes.mode)
    if not attributes.acl and read_acl(place.link):
        os.removexattr(place.link, ACL)


def set_modified(path: str, when: int) -> None:
    """Set the modification time of a file in nanoseconds."""
    with descriptors.at(path) as place:
        if place.exists and stat.S_ISREG(place.status.st_mode):
            os.utime(place.link, ns=(when, when))  # of the open file, whatever has its name by now


def remove(path: str) -> None:
    """Remove a file or a link, if it exists."""
    with descriptors.at(path) as place:
        if place.exists:
            unlink(place)


def unlink(place: Place) -> None:
    """Remove a directory entry, if it exists."""
    if place.missing:  # ``folder`` is one above: what has the name there is another file
        return
    with suppress(FileNotFoundError):
        os.unlink(place.name, dir_fd=place.folder)
    sync(place.folder)


def remove_folder(path: str) -> None:
    """Remove an empty folder.

    Raises:
        OSError: the path is not a folder, or the folder is not empty.
    """
    with descriptors.at(path) as place:
        place.needed()
        os.rmdir(place.name, dir_fd=place.folder)


def remove_tree(path: str) -> None:
    """Remove a folder with its content, if it exists; no link in it is followed.

    Raises:
        OSError: some of it cannot be removed, or something is mounted in it.
    """
    with descriptors.at(path) as place:
        if place.exists:
            handle = os.open(place.name, _FOLDER, dir_fd=place.folder)
            try:
                empty(handle)
            finally:
                os.close(handle)
            os.rmdir(place.name, dir_fd=place.folder)


def empty(folder: int) -> None:
    """Remove everything in an open folder; no link is followed, and no mount is entered.

    Raises:
        OSError: some of it cannot be removed, or something is mounted in it.
    """
    while _emptied(folder, folder, _mount(folder), depth=0):
        pass  # folders that were nested too deep are now at the top


def _emptied(folder: int, top: int, mount: str, *, depth: int) -> bool:
    """Empty an open folder; move folders that are nested too deep to ``top``, and return whether any were."""
    moved = False
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
        elif depth == _DEEPEST:
            os.rename(name, f"{os.urandom(8).hex()}{SUFFIX}", src_dir_fd=folder, dst_dir_fd=top)
            moved = True
        else:
            handle = os.open(name, _FOLDER, dir_fd=folder)
            try:
                if _mount(handle) != mount:
                    raise OSError(errno.EBUSY, "a file system is mounted in the folder", name)
                moved = _emptied(handle, top, mount, depth=depth + 1) or moved
            finally:
                os.close(handle)
            os.rmdir(name, dir_fd=folder)
    return moved


def _mount(handle: int) -> str:
    """Return the mount id of an open folder; the device number does not tell a bind mount from its source."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as lines:
        return next((line for line in lines if line.startswith("mnt_id:")), "")


def make_folder(path: str, mode: int = 0o755) -> None:
    """Create a folder in an existing one.

    Raises:
        OSError: something has the name already, or it cannot be made.
    """
    with descriptors.at(path) as place:
        place.needed()
        os.mkdir(place.name, mode, dir_fd=place.folder)


def make_folders(path: str, mode: int = 0o755) -> None:
    """Create a folder and its missing parents; existing ones stay unchanged.

    Raises:
        OSError: something else has the name, or one cannot be made.
    """
    for _turn in range(len(path)):  # each pass creates at least one, or another process did
        with descriptors.at(path, follow=True) as place:
            if place.exists:
                if not stat.S_ISDIR(place.status.st_mode):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
                return
            with suppress(FileExistsError):
                os.mkdir((*place.missing, place.name)[0], mode, dir_fd=place.folder)


def make_link(target: str, path: str) -> None:
    """Create a symbolic link; replace a file or link of that name.

    Raises:
        OSError: a folder has it, or it cannot be made.
    """
    with descriptors.at(path) as place:
        place.needed()
        with suppress(FileNotFoundError):
            os.unlink(place.name, dir_fd=place.folder)
        os.symlink(target, place.name, dir_fd=place.folder)
        sync(place.folder)


def rename(path: str, other: str) -> None:
    """Rename within a folder or into another.

    Raises:
        OSError: it cannot be done.
    """
    with descriptors.at(path) as old, descriptors.at(other) as new:
        old.needed()
        new.needed()
        os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)
        sync(new.folder)
        sync(old.folder)


def sync(folder: int) -> None:
    """Write an open folder's created and removed entries to disk."""
    handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_acl(link: str | int) -> bytes:
    """Return the access control list of a file in the kernel's format; empty if there is none."""
    try:
        return os.getxattr(link, ACL)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EPERM):
            return b""
        raise


def fill(handle: int, content: bytes) -> None:
    """Write a content to an open file at its position."""
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def dress(handle: int, attributes: Attributes, place: Place) -> None:
    """Set the attributes of an open file, and copy the security label of the file that it replaces."""
    status = os.fstat(handle)
    # The filter of a unit whose service never changes an owner kills it at this call.
    if attributes.uid not in (-1, status.st_uid) or attributes.gid not in (-1, status.st_gid):
        os.fchown(handle, attributes.uid, attributes.gid)
    os.fchmod(handle, attributes.mode)
    for name in _KEPT if place.exists else ():
        with suppress(OSError):  # a file system mounted with one label for all files refuses it
            os.setxattr(handle, name, os.getxattr(place.link, name))
    if attributes.acl:
        os.setxattr(handle, ACL, attributes.acl)
    elif read_acl(handle):  # inherited from the folder's default ACL
        os.removexattr(handle, ACL)
        os.fchmod(handle, attributes.mode)
