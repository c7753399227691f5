"""Find the CVE ids that an update fixes in the changelog of its package.

apt downloads the smallest package of the source and verifies it against the signed index; its changelog is
read and cached. Changelogs have no severities, and not every fix names an id.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tarfile
import tempfile
import time
import zlib
from io import BytesIO
from typing import Any, Iterable, Mapping

from ..host import atomic, descriptors
from ..host.debian import newer
from ..host.errors import Absent, Failed
from ..host.run import run_bytes
from .index import Fix, Indexes

_HEADING = re.compile(r"^(\S+) \(([^)\s]+)\) [^;\n]*;", re.MULTILINE)
_CVE = re.compile(r"\bCVE-(?:19|20)\d\d-\d{4,7}\b")
_MAX_PACKAGE = 64 * 1024 * 1024
_MAX_KEPT = 16 * 1024 * 1024
_MAX_UNPACKED = 256 * 1024 * 1024  # held twice in memory, and the timer's service has 1 GiB
_MAX_CHANGELOG = 16 * 1024 * 1024
_LIMIT = 60  # seconds per package
_LIMIT_OF_ALL = 900  # seconds in all: a mirror that hangs must not delay the record
_NAMED = 40


class Changelogs:
    """Changelogs of fixed packages.

    Args:
        folder: cache of ids by source and version.
        indexes: whose apt downloads.
        budget: how many packages may be downloaded in this run.
        seconds: how long that may take.
    """

    def __init__(
        self, folder: str, indexes: Indexes, budget: int = 200, seconds: float = _LIMIT_OF_ALL
    ) -> None:
        self._folder = folder
        self._indexes = indexes
        self._budget = budget
        self._until = time.monotonic() + seconds
        self._known: dict[str, list[list[Any]] | None] = {}

    def add(self, found: Iterable[dict[str, Any]], offers: Mapping[str, Mapping[str, Fix]]) -> None:
        """Add to each outdated package the CVE ids that its update fixes; None if they are unknown."""
        for each in found:
            entries = self._entries(each["source"], each["fixed"], offers)
            if entries is None:
                each["cves"] = None
                continue
            ids = {cve for version, cves in entries if newer(version, each["installed"]) for cve in cves}
            each["cves"], each["cves_more"] = sorted(ids)[:_NAMED], max(0, len(ids) - _NAMED)

    def _entries(
        self, source: str, version: str, offers: Mapping[str, Mapping[str, Fix]]
    ) -> list[list[Any]] | None:
        """Return the versions in a changelog with the CVE ids of each; None if unavailable in this run."""
        key = re.sub(r"[^A-Za-z0-9.+~-]", "_", f"{source}_{version}")[:200]
        if key not in self._known:
            path = os.path.join(self._folder, f"{key}.json")
            try:
                self._known[key] = json.loads(descriptors.content(path, _MAX_KEPT))
            except (OSError, ValueError):
                self._known[key] = self._fetched(source, version, offers)
                self._store(path, self._known[key])
        return self._known[key]

    def _fetched(
        self, source: str, version: str, offers: Mapping[str, Mapping[str, Fix]]
    ) -> list[list[Any]] | None:
        try:
            return parse(self._download(source, version, offers))
        except (OSError, Failed, Absent, tarfile.TarError, EOFError, zlib.error):
            return None

    def _store(self, path: str, entries: list[list[Any]] | None) -> None:
        if entries is None:
            return
        try:
            atomic.make_folders(self._folder)
            atomic.write(path, json.dumps(entries).encode(), atomic.Attributes(0o644))
        except OSError:
            pass  # on a full disk it is downloaded again next time

    def _download(self, source: str, version: str, offers: Mapping[str, Mapping[str, Fix]]) -> str:
        builds = [
            (fix.size, name, arch)
            for name, fixes in offers.items()
            for arch, fix in fixes.items()
            if fix.source == source and fix.version == version
        ]
        spent = self._budget <= 0 or time.monotonic() > self._until
        if not builds or min(builds)[0] > _MAX_PACKAGE or spent:
            raise Failed(f"no package of {source} {version} is downloaded")
        self._budget -= 1
        _size, name, arch = min(builds)
        suffix = "" if arch == "all" else f":{arch}"
        here = os.getcwd()
        with tempfile.TemporaryDirectory(prefix="hardener-scan-") as folder:
            os.chmod(folder, 0o755)  # noqa: S103 - apt downloads as its own user
            os.chdir(folder)
            try:
                self._indexes.apt("download", f"{name}{suffix}={version}", limit=_LIMIT)
            finally:
                os.chdir(here)
            names = os.listdir(folder)
            if not names:
                raise Failed(f"apt has downloaded nothing for {name}")
            return changelog(os.path.join(folder, names[0]))


def changelog(package: str) -> str:
    """Return the changelog in a package file.

    Raises:
        Failed: there is none.
    """
    unpacked = run_bytes("dpkg-deb", "--fsys-tarfile", package, timeout=_LIMIT, limit=_MAX_UNPACKED)
    with tarfile.open(fileobj=BytesIO(unpacked), mode="r:") as packed:
        members = {member.name: member for member in packed if member.isreg() and "/doc/" in member.name}
        # The second one is in native Debian packages.
        for ending in ("/changelog.Debian.gz", "/changelog.gz"):
            for name, member in members.items():
                file = packed.extractfile(member) if name.endswith(ending) else None
                if file:
                    with gzip.open(file) as unzipped:
                        return unzipped.read(_MAX_CHANGELOG).decode("utf-8", "replace")
    raise Failed(f"{os.path.basename(package)} has no changelog")


def parse(text: str) -> list[list[Any]]:
    """Parse a changelog: versions, newest first, with the CVE ids that each entry names."""
    marks = list(_HEADING.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        [mark.group(2), sorted(set(_CVE.findall(text, mark.end(), end)))] for mark, end in zip(marks, ends)
    ]
