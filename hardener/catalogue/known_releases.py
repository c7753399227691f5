"""Read what is known of releases: branches that get fixes, first fixed releases, support of distributions.

The knowledge is in ``releases.yaml``, or in a newer file that a snapshot is judged by (``--releases``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

from hardener.snapshot import Snapshot, version_tuple

PATH = Path(__file__).with_name("releases.yaml")
VALID_FOR = timedelta(days=90)

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of a component that gets fixes until a day; ``by`` names vendors, "" is upstream."""

    component: str
    version: Version
    until: date | None
    by: str
    newest: Version


@dataclass(frozen=True, slots=True)
class Fix:
    """The first fixed release in each branch that has one."""

    component: str
    fixed: Sequence[Version]
    fixes: str


@dataclass(frozen=True, slots=True)
class Support:
    """The last days of a release's security updates, by its own team (None: unknown) and an extended one."""

    regular: date | None
    extended: date


@dataclass(frozen=True, slots=True)
class Releases:
    """What is known of releases on a day."""

    as_of: date
    branches: Sequence[Branch]
    fixes: Sequence[Fix]
    distributions: Mapping[tuple[str, str], Support]

    def branch(self, component: str, version: Version) -> Branch | None:
        """Return the branch of a version; None if it is not listed."""
        of_component = (each for each in self.branches if each.component == component)
        return next((each for each in of_component if version[: len(each.version)] == each.version), None)

    def is_older_than_all(self, component: str, version: Version) -> bool:
        """Return whether a version is of a lower branch than all listed ones of the component."""
        known = [each.version for each in self.branches if each.component == component]
        return bool(known) and version < min(known)

    def missing(self, branch: Branch, version: Version) -> tuple[list[tuple[Version, str]], list[str]]:
        """Return the fixes that a version of a branch lacks, and fixes that it may lack."""
        lacks: list[tuple[Version, str]] = []
        unknown: list[str] = []
        for row in self.fixes:
            if row.component != branch.component:
                continue
            own = [fixed for fixed in row.fixed if fixed[: len(branch.version)] == branch.version]
            if own:
                unknown = []  # the release of this row has the fixes of earlier rows
                lacks += [(own[0], row.fixes)] if version < own[0] else []
            elif max(row.fixed) > version:
                unknown.append(row.fixes)
        return lacks, unknown


def known(snapshot: Snapshot) -> Releases:
    """Return what is known of releases by the file that the snapshot is judged by, else by hardener's own."""
    return parse(snapshot.releases) if snapshot.releases else packaged()


@lru_cache(maxsize=1)
def packaged() -> Releases:
    """Return what hardener itself knows of releases."""
    return parse(PATH.read_text(encoding="utf-8"))


@lru_cache(maxsize=4)
def parse(text: str) -> Releases:
    """Parse a file of releases, which is valid."""
    import yaml  # noqa: PLC0415 - only commands that judge need YAML

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # all values are texts
    content = yaml.load(text, loader)  # noqa: S506
    day, version = date.fromisoformat, version_tuple
    return Releases(
        day(content["as_of"]),
        tuple(
            Branch(
                row["component"],
                version(row["branch"]),
                day(row["until"]) if "until" in row else None,
                row.get("by", ""),
                version(row.get("newest", "")),
            )
            for row in content["branches"]
        ),
        tuple(
            Fix(row["component"], tuple(map(version, row["fixed"])), row["fixes"]) for row in content["fixes"]
        ),
        {
            (row["id"], row["version"]): Support(
                day(row["regular"]) if "regular" in row else None, day(row["extended"])
            )
            for row in content["distributions"]
        },
    )


def end_of_support(found: Releases, distribution: str, release: str, *, today: date) -> date | None:
    """Return the end of a release's support; None if it is supported or unknown."""
    support = found.distributions.get((distribution, release))
    return support.extended if support and support.extended < today else None
