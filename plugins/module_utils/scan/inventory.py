"""Determine the package database of a root file system, and the installed packages."""

from __future__ import annotations

from typing import Any, Iterator

from ..host.debian import parse_status
from ..host.text import one_line
from . import releases
from .files import Files, TooLarge

_STATUS = "/var/lib/dpkg/status"
# Images without a package manager have one file per package here ("distroless").
_STATUS_FILES = "/var/lib/dpkg/status.d"
_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
# Recognised only to explain why their packages are not compared.
_OTHERS = {
    "apk": ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"),
    "rpm": (
        "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages",
        "/var/lib/rpm/Packages.db",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/Packages.db",
    ),
}
_MAX_PACKAGES = 20000
_MAX_STATUS_FILES = 5000
_MAX_ALL = 64 * 1024 * 1024


def take(files: Files) -> dict[str, Any]:
    """Return release, packages, the kind of package database (None if unknown), and further databases.

    A package is its name, architecture and version.

    Raises:
        TooLarge: it has more than any image should.
        Failed: it is there and cannot be read.
    """
    text = next((found for found in map(files.read, _RELEASE) if found), b"")
    release = releases.parse(text[:65536].decode("utf-8", "replace"))
    packages = _dpkg(files)
    kinds = ["dpkg"] if packages else []
    kinds += [name for name, paths in _OTHERS.items() if _has(files, paths)]
    return {
        "release": list(release),
        "kind": kinds[0] if kinds else None,
        "beside": kinds[1:],
        "packages": packages,
    }


def _has(files: Files, paths: tuple[str, ...]) -> bool:
    for path in paths:
        try:
            if files.read(path) is not None:
                return True
        except TooLarge:  # it exists
            return True
    return False


def _dpkg(files: Files) -> list[list[str]]:
    # A package in both has both versions: which one is present is unknown.
    installed = _installed(files.read(_STATUS) or b"") | _installed(b"\n\n".join(_status_files(files)))
    if len(installed) > _MAX_PACKAGES:
        raise TooLarge(f"there are more than {_MAX_PACKAGES} packages")
    return sorted([one_line(text) for text in package] for package in installed)


def _installed(data: bytes) -> set[tuple[str, str, str]]:
    return {(name, arch, version) for (name, arch), version in parse_status(_bounded(data))[0].items()}


def _bounded(data: bytes) -> bytes:
    """Return the data, or raise an error if they have too many entries to be split in bounded memory."""
    if data.count(b"\n\n") > 2 * _MAX_PACKAGES:
        raise TooLarge(f"there are more than {_MAX_PACKAGES} packages")
    return data


def _status_files(files: Files) -> Iterator[bytes]:
    size = 0
    names = [name for name in files.names(_STATUS_FILES) if not name.endswith(".md5sums")]
    if len(names) > _MAX_STATUS_FILES:
        raise TooLarge(f"{_STATUS_FILES} has more than {_MAX_STATUS_FILES} files")
    for name in names:
        data = files.read(f"{_STATUS_FILES}/{name}") or b""
        size += len(data)
        if size > _MAX_ALL:
            raise TooLarge(f"{_STATUS_FILES} is larger than {_MAX_ALL} bytes")
        for stanza in filter(None, map(bytes.strip, _bounded(data).split(b"\n\n"))):
            # These files have no state: their packages are installed.
            yield stanza + (b"" if b"\nStatus: " in stanza else b"\nStatus: install ok installed")
