"""Read the package lists of an index, if they match the signed Release file."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Iterable, Mapping, NamedTuple

from ..host.debian import field, newer
from ..host.errors import Absent, Failed
from ..host.read import read_bytes
from ..host.run import run_bytes

_LARGEST = 128 * 1024 * 1024
_SUM = re.compile(rb"^ ([0-9a-f]{64}) +(\d+) (\S+/binary-[a-z0-9-]+/Packages)$", re.MULTILINE)
_LIST = re.compile(r"(.+)_binary-([a-z0-9-]+)_Packages(?:\.[a-z0-9]+)?")


class Fix(NamedTuple):
    """The index's data of a package: its newest version, and its source package."""

    version: str
    source: str
    size: int


class Lists(NamedTuple):
    """The newest version of each package by architecture, and the architectures with complete lists."""

    packages: dict[str, dict[str, Fix]]
    architectures: set[str]


def read(folder: str, names: Iterable[str], prefix: str, release: bytes, components: str) -> Lists:
    """Read the lists of one index.

    A list that differs from the signed hash is ignored: apt fetches some architectures at a time, and leaves
    the lists of others as old as they are.

    Args:
        folder: of the lists.
        names: of the files in it.
        prefix: of this index's file names.
        release: the signed file.
        components: the requested ones.
    """
    signed = {path.decode(): (digest.decode(), int(size)) for digest, size, path in _SUM.findall(release)}
    packages: dict[str, dict[str, Fix]] = {}
    found: dict[str, set[str]] = {}  # the components of each architecture
    for name in names:
        match = _LIST.fullmatch(name, len(prefix)) if name.startswith(prefix) else None
        if match:
            component, arch = match.groups()
            content = _content(os.path.join(folder, name))
            expected, _size = signed.get(f"{component.replace('_', '/')}/binary-{arch}/Packages", ("", 0))
            if content is not None and expected in ("", hashlib.sha256(content).hexdigest()):
                found.setdefault(arch, set()).add(component)
                _add(content, packages)
    return Lists(packages, {arch for arch, has in found.items() if _needed(components, arch, signed) <= has})


def _needed(components: str, arch: str, signed: Mapping[str, tuple[str, int]]) -> set[str]:
    """Return the components with packages for an architecture; apt keeps no empty lists."""
    paths = {component: f"{component}/binary-{arch}/Packages" for component in components.split()}
    return {component for component, path in paths.items() if signed.get(path, ("", 0))[1]}


def _content(path: str) -> bytes | None:
    """Return the content of a list, which may be compressed. None if it cannot be read."""
    try:
        if path.endswith("_Packages"):
            return read_bytes(path, _LARGEST)
        return run_bytes("/usr/lib/apt/apt-helper", "cat-file", path, limit=_LARGEST)
    except (OSError, Failed, Absent):
        return None


def _add(content: bytes, packages: dict[str, dict[str, Fix]]) -> None:
    """Add a list of packages; of several versions the newest counts, as in apt."""
    for stanza in content.split(b"\n\n"):
        name, arch, version = (field(stanza, key) for key in (b"Package", b"Architecture", b"Version"))
        if not (name and arch and version):
            continue
        architectures = packages.setdefault(name, {})
        known = architectures.get(arch)
        if known is None or newer(version, known.version):
            source = field(stanza, b"Source").partition(" ")[0] or name
            size = field(stanza, b"Size")
            architectures[arch] = Fix(version, source, int(size) if size.isdigit() else 0)
