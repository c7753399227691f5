"""Fetch the security index of a release with apt, which verifies its signature; read its date and lists."""

from __future__ import annotations

import calendar
import hashlib
import os
import re
import subprocess
import time
from typing import Any, Iterable, Mapping, NamedTuple

from ..host import atomic
from ..host.debian import field, newer, parse_release, timestamp
from ..host.errors import Absent, Failed, describe
from ..host.read import read_bytes
from ..host.run import PATH, run, run_bytes
from ..host.text import one_line
from .inventory import Release
from .sources import Mirror, without_password

_FETCH_LIMIT = 120  # seconds for all releases together
_DAY = 86400
_MAX_RELEASE_FILE = 1024 * 1024
_MAX_RELEASES = 24
_MAX_SAID = 65536
# The host's settings for reaching archives are used, its hooks are not: they are for its own index.
_KEPT = re.compile(
    r"^(Acquire::(?:https?|ftp|socks5h|tor)\S*|Acquire::ForceIPv[46]|Dir::Etc::(?:netrc|trusted)\S*) .*;$"
)
# An image can claim any release; for unknown ones there are no security updates.
_ARCHITECTURES = frozenset(
    {"amd64", "arm64", "armel", "armhf", "i386", "mips64el", "mipsel", "ppc64el", "riscv64", "s390x"}
)


class Index:
    """The security updates of one release.

    ``state`` is ``fresh``, ``stale`` or ``missing``, and ``reason`` says why it is not fresh. ``packages``
    has each name's newest version by architecture.
    """

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.date: str | None = None
        self.valid_until: str | None = None
        self.state = "missing"
        self.reason = ""
        self.packages: dict[str, dict[str, Fix]] = {}
        self.architectures: set[str] = set()  # of its packages

    def record(self) -> dict[str, Any]:
        """Return the metadata of the index for the scan record."""
        return {
            "suite": self.suite,
            "date": self.date,
            "valid_until": self.valid_until,
            "state": self.state,
            "reason": self.reason,
        }


class Indexes:
    """The indexes of several releases, in one folder that apt maintains.

    Args:
        folder: for apt's lists; readable by all, since apt downloads as an unprivileged user.
        mirrors: of each distribution's updates.
        oldest: maximum age of an index in days.
    """

    def __init__(self, folder: str, mirrors: Mapping[str, Mirror], oldest: int) -> None:
        self._folder = folder
        self._mirrors = mirrors
        self._oldest = oldest
        self._loaded: dict[tuple[str, str], Index] = {}
        self.errors: list[str] = []

    def fetch(self, wanted: Mapping[Release, Iterable[str]]) -> None:
        """Refresh the indexes of these releases and architectures with apt; ``errors`` has the failures.

        An index that cannot be fetched stays as it was, and its age decides.
        """
        asked: dict[tuple[str, str], tuple[Release, set[str]]] = {}
        for release, architectures in wanted.items():
            if release.compared and release.distribution in self._mirrors:
                asked.setdefault(release.archive, (release, set()))[1].update(architectures)
        sources = [self._source(*each) for each in list(asked.values())[:_MAX_RELEASES]]
        if not sources:
            return
        try:
            for folder in ("lists/partial", "archives/partial", "sources"):
                atomic.make_folders(os.path.join(self._folder, folder))
            _write(os.path.join(self._folder, "sources", "security.sources"), "\n".join(sources))
            self.apt("update", limit=_FETCH_LIMIT)
        except (Failed, OSError) as error:
            self.errors = (str(error) if isinstance(error, Failed) else describe(error)).splitlines()

    def _source(self, release: Release, architectures: Iterable[str]) -> str:
        """Return a release's entry for apt's list of sources."""
        mirror = self._mirrors[release.distribution]
        fields = {
            "Types": "deb",
            "URIs": mirror.uri,
            "Suites": release.suite,
            "Components": release.components,
            "Architectures": " ".join(sorted(_ARCHITECTURES & set(architectures))),
            "Signed-By": mirror.signed_by,
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)

    def apt(self, *command: str, limit: float) -> None:
        """Run apt-get with our own lists, sources and cache.

        Raises:
            Failed: it did not work; in apt's own words.
        """
        configuration = os.path.join(self._folder, "apt.conf")
        _write(configuration, self._configuration())
        command_line = ["apt-get", "--quiet", *command]
        environment = {"PATH": PATH, "LC_ALL": "C.UTF-8", "APT_CONFIG": configuration}
        try:
            done = subprocess.run(
                command_line,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"apt-get {command[0]} did not end within {limit:.0f} s") from None
        except OSError as error:
            raise Failed(f"apt-get: {error.strerror}") from None
        if done.returncode != 0:
            said = without_password(done.stderr[:_MAX_SAID].decode("utf-8", "replace")).splitlines()
            errors = [line for line in said if line.startswith("E: ")] or said[-1:]
            raise Failed("\n".join(errors) or f"apt-get {command[0]} ended with code {done.returncode}")

    def _configuration(self) -> str:
        """Return the content of apt's configuration file, which apt reads before the host's files."""
        try:
            kept = [line for line in run("apt-config", "dump").splitlines() if _KEPT.match(line)]
        except Absent as error:
            raise Failed(str(error)) from None
        settings = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": os.path.join(self._folder, "sources"),
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": os.path.join(self._folder, "lists"),
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self._folder,
            "APT::Update::Error-Mode": "any",
            "APT::Get::List-Cleanup": "0",
            "APT::Sandbox::User": _sandbox(),
            "Acquire::http::Timeout": "15",
            "Acquire::https::Timeout": "15",
            "Acquire::Languages": "none",
            "Acquire::Retries": "1",
        }
        return "\n".join([*kept, *(f'{name} "{value}";' for name, value in settings.items()), ""])

    def of(self, release: Release, now: float) -> Index:
        """Return the index of a release as it is on the disk, read once."""
        if release.archive not in self._loaded:
            self._loaded[release.archive] = self._load(release, now)
        return self._loaded[release.archive]

    def _load(self, release: Release, now: float) -> Index:
        index = Index(release.suite)
        index.reason = self._why_missing(release)
        folder = os.path.join(self._folder, "lists")
        mark = f"_dists_{release.suite.replace('/', '_')}_InRelease"
        try:
            names = os.listdir(folder)
            found = [
                (read_bytes(os.path.join(folder, name), _MAX_RELEASE_FILE), name)
                for name in names
                if name.endswith(mark) and not index.reason
            ]
        except (OSError, Failed):
            found = []
        dated = [(timestamp(parse_release(each).get("Date", "")) or "", each, name) for each, name in found]
        if not dated:
            index.reason = index.reason or self._error(release) or "there is no index of this release"
            return index
        index.date, signed, name = max(dated, key=lambda each: each[0])
        index.valid_until = timestamp(parse_release(signed).get("Valid-Until", ""))
        index.state, index.reason = self._age(index, now, self._error(release))
        if index.state == "fresh":
            prefix = name[: -len("InRelease")]
            read = read_lists(folder, names, prefix, signed, release.components)
            index.packages, index.architectures = read
            if not index.architectures:
                index.state, index.reason = "missing", "the index has no complete list of packages"
        return index

    def _why_missing(self, release: Release) -> str:
        if release.distribution in self._mirrors:
            return ""
        return (
            f"this host has no source of the security updates of {one_line(release.distribution)}:"
            " vulnerability_scan_mirrors can name one"
        )

    def _error(self, release: Release) -> str:
        """Return why an index could not be refreshed; empty if no failure is known."""
        # An error without a release's name concerns all; one with another name does not concern this release.
        about = [line for line in self.errors if release.suite in line]
        general = [line for line in self.errors if "/dists/" not in line and " Release'" not in line]
        return one_line(next(iter((*about, *general)), ""))

    def _age(self, index: Index, now: float, error: str) -> tuple[str, str]:
        date, until = _seconds(index.date), _seconds(index.valid_until)
        because = f" ({error})" if error else ""
        if date is None:
            return "stale", "the index has no valid date"
        if date > now + _DAY:
            return "stale", f"the index is of {index.date}, which is later than this host's clock"
        if until is not None and until < now:
            return "stale", f"the index was valid until {index.valid_until}{because}"
        if now - date > self._oldest * _DAY:
            return (
                "stale",
                f"the index is {int(now - date) // _DAY} days old, more than {self._oldest}{because}",
            )
        return "fresh", ""


def _sandbox() -> str:
    """Return the user as which apt downloads: apt's own user, or root if it does not exist."""
    try:
        import pwd

        return pwd.getpwnam("_apt").pw_name
    except KeyError:
        return "root"


def _seconds(date: str | None) -> float | None:
    try:
        return calendar.timegm(time.strptime(date or "", "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return None


def _write(path: str, text: str) -> None:
    """Write a file for root alone: a URL may contain a password."""
    atomic.write(path, text.encode())


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


def read_lists(folder: str, names: Iterable[str], prefix: str, release: bytes, components: str) -> Lists:
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
