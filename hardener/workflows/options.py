"""Option types that several workflows share, independent of the command line."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hardener import catalogue
from hardener.errors import HardenerError
from hardener.files import STANDARD_OUTPUT, require_folder, require_writable
from hardener.model import Impact
from hardener.reports.destinations import by_group, by_host
from hardener.reports.formats import FORMATS, FolderFormat, Format
from hardener.text import line

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns
    from hardener.fleet import Fleet
    from hardener.fleet.requests import Limits
    from hardener.history.journal import Unfinished
    from hardener.model import Assessment, Control, Decisions
    from hardener.reports.destinations import Folder, Parts
    from hardener.reports.interface import Report
    from hardener.run import RunInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The command line of a run and its current folder, so that another run can continue the run.

    Args:
        arguments: the command line, without the program.
        folder: the current folder of the call.
        resumed: the run that this one continues; None without one.
    """

    arguments: tuple[str, ...]
    folder: str
    resumed: Unfinished | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The hosts of a run, the way to reach them, and the history that records the run.

    Args:
        reach: returns the fleet; asks for passwords, so it is called after all other checks.
        inventory: as the user gave it.
        limit: Ansible's pattern of some hosts; empty for all hosts.
        home: folder of the history.
        call: the command line; without it, no other run can continue this one.
    """

    reach: Callable[[], Fleet]
    inventory: str
    limit: str
    home: Path
    call: Call | None = None

    @property
    def option(self) -> str:
        """Return the options that name these hosts in a command."""
        return hosts_option(self.inventory, self.limit)


def hosts_option(inventory: str, limit: str) -> str:
    """Return the options that name the hosts of a run in a command, quoted for a shell."""
    words = ["-i", line(inventory, 1000), *(["--limit", line(limit, 1000)] if limit else [])]
    return shlex.join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Selects the controls to judge, and the wishes to apply."""

    benchmark: str
    level: int
    only: tuple[str, ...]

    def controls(self) -> tuple[Control, ...]:
        """Return the selected controls, in the order of the report.

        Raises:
            HardenerError: there is no such benchmark, or a selector matches no control.
        """
        return catalogue.select(
            catalogue.load(self.benchmark), benchmark=self.benchmark, level=self.level, only=self.only
        )

    def require_controls(self) -> None:
        """Refuse selectors of wishes, for a command that judges and does not compare wishes.

        Raises:
            HardenerError: a selector selects no control.
        """
        if others := [each for each in self.only if not catalogue.selects_controls(each)]:
            chosen = line(others[0])
            raise HardenerError(
                f"--only {chosen}: it selects no control",
                hint=f"`hardener plan --only {chosen}` compares hosts with what their inventory sets",
            )

    @property
    def repairs(self) -> bool:
        """Return whether failing controls are remediated, and not only wishes applied."""
        return not self.only or any(map(catalogue.selects_controls, self.only))

    def wishes(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Return the roles among the given ones whose wishes are applied."""
        only = {each.strip().casefold() for each in self.only}
        if not only or catalogue.WISHES in only:
            return tuple(roles)
        return tuple(role for role in roles if role in only)

    @property
    def has_wishes(self) -> bool:
        """Return whether the wishes of any role are applied."""
        return bool(self.wishes(catalogue.roles()))


def accepted_controls(benchmark: str, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the slugs of controls that a user names by id, slug or section.

    Raises:
        HardenerError: there is no such control.
    """
    if not named:
        return ()
    if wrong := [each for each in named if not catalogue.selects_controls(each)]:
        raise HardenerError(f"--accept-weaker {line(wrong[0])}: no control has this name")
    chosen = catalogue.select(catalogue.load(benchmark), benchmark=benchmark, only=named)
    return tuple(control.slug for control in chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """The reports to write, and their paths; ``junit`` and ``json`` are short forms for two formats.

    With ``split``, which is ``host`` or ``group``, formats whose readers have size limits get a file for
    each.
    """

    junit: Path | None = None
    json: Path | None = None
    report: tuple[tuple[Format, Path], ...] = ()
    split: str = ""

    def __post_init__(self) -> None:
        """Refuse paths that cannot be written, before any work is done.

        Raises:
            HardenerError: two reports would go to the same file or have the same format, or one would go to a
                folder that cannot take it.
        """
        for title, count in Counter(each.title for each, _ in self._chosen()).items():
            if count > 1:
                raise HardenerError(f"two {title} reports are requested", hint="give each format one path")
        if self.split and not any(each.splits for each, _ in self._chosen()):
            names = ", ".join(each.name for each in FORMATS.values() if each.splits)
            raise HardenerError(
                f"no requested report can be split; these can be: {names}", hint="add one of them"
            )
        for each, path in self._chosen():
            if isinstance(each, FolderFormat):
                require_folder(path)
            if self.split and each.splits and path == STANDARD_OUTPUT:
                raise HardenerError(
                    "--split writes several files, and standard output takes only one",
                    hint="give the report a path",
                )
            if not isinstance(each, FolderFormat):
                require_writable(path)
        files = [*self.named().values(), *([self._json_before] if self._json_before else [])]
        if len({os.path.realpath(path) for path in files}) < len(files):
            raise HardenerError("two reports would go to the same file", hint="give each a path of its own")

    def keep(self, *read: Path | str | None) -> None:
        """Refuse to overwrite an input file.

        Raises:
            HardenerError: a report would overwrite it.
        """
        written = {os.path.realpath(path): path for path in self.named().values()}
        for path in read:
            if path and (over := written.get(os.path.realpath(path))):
                raise HardenerError(
                    f"{line(str(over))} is an input file, and a report would overwrite it",
                    hint="give it another path",
                )

    @property
    def look_back(self) -> bool:
        """Return whether one of the report formats shows changes since earlier runs."""
        return any(each.looks_back for each, _ in self._chosen())

    def load(self) -> None:
        """Import the modules of the formats."""
        for each, _ in self._chosen():
            each.load()

    def reports(
        self, run: RunInfo, assessments: Iterable[Assessment], previous: PreviousRuns | None = None
    ) -> dict[Path, Report | Parts | Folder]:
        """Return the reports of a run by their paths.

        Args:
            run: the run.
            assessments: its hosts, which are read where the groups have to be counted.
            previous: the runs before it.
        """
        return {path: self._report(each, run, assessments, previous) for each, path in self._chosen()}

    def before(self) -> ReportFiles:
        """Return the paths of the reports on the earlier state, such as ``report.before.json``.

        Only JSON has one: CI systems read every JUnit file, and would count failures that are repaired.
        """
        return ReportFiles(json=self._json_before)

    def named(self) -> dict[str, Path]:
        """Return the paths of the reports by title; a split report has a pattern such as ``report-*.xml``."""
        return {
            each.title: path.with_name(f"{path.stem}-*{path.suffix}") if self.split and each.splits else path
            for each, path in self._chosen()
        }

    def _report(
        self, each: Format, run: RunInfo, assessments: Iterable[Assessment], previous: PreviousRuns | None
    ) -> Report | Parts | Folder:
        if isinstance(each, FolderFormat):
            return each.folder(run, previous)
        if self.split and each.splits:
            make = partial(each.report, run)
            return by_host(make) if self.split == "host" else by_group(make, assessments)
        return each.report(run, previous)

    @property
    def _json_before(self) -> Path | None:
        json = self.named().get(FORMATS["json"].title)
        if json == STANDARD_OUTPUT:
            return None
        return json and json.with_suffix(f".before{json.suffix}")

    def _chosen(self) -> tuple[tuple[Format, Path], ...]:
        short = ((FORMATS["junit"], self.junit), (FORMATS["json"], self.json))
        return (*((each, path) for each, path in short if path), *self.report)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFiles:
    """The files of waivers and attestations, without a name those next to the inventory, and of releases."""

    waivers: Path | None = None
    attestations: Path | None = None
    releases: Path | None = None

    @property
    def named(self) -> tuple[Path | None, ...]:
        """Return the files that were given by name."""
        return self.waivers, self.attestations, self.releases

    def read(
        self, today: date, *, inventory: str = "", found: Callable[[str, Path], None] | None = None
    ) -> Decisions | None:
        """Read the waivers, attestations and releases; None where no file exists.

        Args:
            today: the day by which they count, in UTC.
            inventory: a file without a name is looked up next to it.
            found: called with the kind and the path of such a file.

        Raises:
            HardenerError: a file cannot be read or has an error; the message names file, line and key.
        """
        from hardener.decisions.files import ATTESTATIONS, WAIVERS, default_path, read_decisions

        files = {"waivers": self.waivers, "attestations": self.attestations}
        for what, name in (("waivers", WAIVERS), ("attestations", ATTESTATIONS)):
            if files[what] is None and (path := default_path(inventory, name)):
                files[what] = path
                if found:
                    found(what, path)
        if not any((*files.values(), self.releases)):
            return None
        return read_decisions(files["waivers"], files["attestations"], self.releases, today=today)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Which changes are allowed, whether they are shown, and which snapshots are kept."""

    allow: Impact | None
    confirm_timeout: int | None
    check: bool
    diff: bool
    snapshots: Path | None
    accept_loss: tuple[str, ...] = ()

    @property
    def limits(self) -> Limits:
        """Return the limits of a transaction: impact, time limit for the confirmation, accepted losses."""
        from hardener.fleet.requests import Limits

        return Limits(allow=self.allow, confirm_timeout=self.confirm_timeout, accept_losses=self.accept_loss)

    def kept(self, when: str) -> Path | None:
        """Return the folder of the snapshots ``before`` or ``after``."""
        return self.snapshots and self.snapshots / when
