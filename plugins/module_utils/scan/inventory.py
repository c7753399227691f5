"""Determine the release of a root file system, its package database, and the installed packages."""

from __future__ import annotations

import re
from typing import Any, Iterator, NamedTuple

from ..host.debian import parse_status
from ..host.text import one_line
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
    release = release_of(text[:65536].decode("utf-8", "replace"))
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


# It becomes part of apt's list of sources, and an image can claim anything.
_CODENAME = re.compile(r"[a-z]{2,20}")
_LINE = re.compile(r"""^[ \t]*([A-Z_]+)=(?:"([^"\n]*)"|'([^'\n]*)'|([^\s"']*))[ \t\r]*$""", re.MULTILINE)
_IN_VERSION = re.compile(r"\(([a-zA-Z]+)\)")
_FIRMWARE_IN_NON_FREE = ("jessie", "stretch", "buster", "bullseye")
_BEFORE_SECURITY_SUITES = ("jessie", "stretch", "buster")
_COMPONENTS = {
    "debian": "main contrib non-free non-free-firmware",
    "ubuntu": "main restricted universe multiverse",
}
_LONGEST = 60


class Release(NamedTuple):
    """A distribution's release from its ``os-release``; missing fields are empty."""

    distribution: str  # "debian"
    version: str  # "13"
    codename: str  # "trixie"
    title: str  # "Debian GNU/Linux 13 (trixie)"

    @property
    def compared(self) -> bool:
        """Return whether the release's security updates can be determined, which needs a codename.

        Testing and unstable have no version number. They get fixes together with all other updates: their
        security index, often empty, is not meaningful.
        """
        return self.distribution in _COMPONENTS and bool(self.codename and self.version)

    @property
    def archive(self) -> tuple[str, str]:
        """Return distribution and suite, the key under which indexes are stored."""
        return self.distribution, self.suite

    @property
    def suite(self) -> str:
        """Return the name of the suite with the release's security updates."""
        if self.distribution == "debian" and self.codename in _BEFORE_SECURITY_SUITES:
            return f"{self.codename}/updates"
        return f"{self.codename}-security"

    @property
    def components(self) -> str:
        """Return the components of the suite, as in a list of sources."""
        components = _COMPONENTS[self.distribution]
        if self.codename in _FIRMWARE_IN_NON_FREE:
            return components.replace(" non-free-firmware", "")
        return components


def release_of(text: str) -> Release:
    """Parse an ``os-release`` file."""
    fields = {name: one or two or three for name, one, two, three in _LINE.findall(text)}
    said = fields.get("VERSION_CODENAME") or fields.get("UBUNTU_CODENAME") or ""
    if not said:  # Debian before 11
        found = _IN_VERSION.search(fields.get("VERSION", ""))
        said = found.group(1) if found else ""
    codename = said.lower()
    return Release(
        fields.get("ID", "")[:_LONGEST],
        fields.get("VERSION_ID", "")[:_LONGEST],
        codename if _CODENAME.fullmatch(codename) else "",
        fields.get("PRETTY_NAME", "")[:_LONGEST],
    )
