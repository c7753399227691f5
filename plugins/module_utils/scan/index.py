"""Fetch the security index of a release with apt, which verifies its signature, and read its signed date."""

from __future__ import annotations

import calendar
import os
import re
import subprocess
import time
from typing import Any, Iterable, Mapping

from ..host import atomic
from ..host.debian import parse_release, timestamp
from ..host.errors import Absent, Failed, describe
from ..host.read import read_bytes
from ..host.run import PATH, run
from ..host.text import one_line
from . import lists
from .lists import Fix
from .releases import Release
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
            read = lists.read(folder, names, prefix, signed, release.components)
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
