"""Options that several verbs have, each group of them as one value."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener import catalogue
from hardener.errors import HardenerError
from hardener.model import Impact
from hardener.reports.formats import FORMATS, Format
from hardener.text import line

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns
    from hardener.fleet import Fleet
    from hardener.model import Control, Decisions
    from hardener.reports.interface import Report
    from hardener.run import RunInfo

_Function = Callable[..., Any]


@dataclass(slots=True)
class Conversation:
    """How much is said on standard error."""

    verbose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """Which hosts, and what Ansible needs to reach them."""

    inventory: str
    limit: str
    ask_become_pass: bool
    ask_vault_pass: bool
    vault_password_file: Path | None
    artifacts: Path | None

    def fleet(self, echo: Callable[[str], None] | None) -> Fleet:
        """The hosts; asks for the passwords that are needed, as Ansible would.

        Args:
            echo: called with each line that Ansible prints.

        Raises:
            HardenerError: the inventory cannot be one.
        """
        from hardener.fleet import Credentials, Fleet

        return Fleet(
            inventory=self.inventory,
            limit=self.limit,
            credentials=Credentials(
                become_password=_ask("BECOME password") if self.ask_become_pass else None,
                vault_password=_ask("Vault password") if self.ask_vault_pass else None,
                vault_password_file=self.vault_password_file,
            ),
            artifacts=self.artifacts,
            echo=echo,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which controls count."""

    benchmark: str
    level: int
    only: tuple[str, ...]

    def controls(self) -> tuple[Control, ...]:
        """The controls, in the order of the report.

        Raises:
            HardenerError: there is no such benchmark, or a selector names nothing.
        """
        return catalogue.select(
            catalogue.load(self.benchmark), benchmark=self.benchmark, level=self.level, only=self.only
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """Which reports are written, and where; ``junit`` and ``json`` are the short way to say two of them."""

    junit: Path | None = None
    json: Path | None = None
    report: tuple[tuple[Format, Path], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be written while nothing has happened yet.

        Raises:
            HardenerError: two reports would go to the same file or have the same format, or one would go to a
                folder that cannot take it.
        """
        for title, count in Counter(each.title for each, _ in self._chosen()).items():
            if count > 1:
                raise HardenerError(f"two {title} reports", hint="give one path a format")
        for path in self.named().values():
            require_writable(path)
        files = [*self.named().values(), *([self._json_before] if self._json_before else [])]
        if len({os.path.realpath(path) for path in files}) < len(files):
            raise HardenerError("two reports would go to the same file", hint="give each a path of its own")

    def keep(self, *read: Path | str | None) -> None:
        """Refuse to write over what is read.

        Raises:
            HardenerError: a report would go there.
        """
        written = {os.path.realpath(path): path for path in self.named().values()}
        for path in read:
            if path and (over := written.get(os.path.realpath(path))):
                raise HardenerError(
                    f"{line(str(over))} is read, and a report would take its place",
                    hint="give it another path",
                )

    @property
    def look_back(self) -> bool:
        """Whether one of them tells what moved since the runs before."""
        return any(each.looks_back for each, _ in self._chosen())

    def load(self) -> None:
        """Import now what writes them."""
        for each, _ in self._chosen():
            each.load()

    def reports(self, run: RunInfo, previous: PreviousRuns | None = None) -> dict[Path, Report]:
        """The reports of a run by their files."""
        return {path: each.report(run, previous) for each, path in self._chosen()}

    def before(self) -> ReportFiles:
        """Where the reports of what was before a change go: ``report.before.json`` beside ``report.json``.

        Only JSON has one: CI takes every JUnit file there is, and would count what is repaired.
        """
        return ReportFiles(json=self._json_before)

    def named(self) -> dict[str, Path]:
        """The files by what they are called."""
        return {each.title: path for each, path in self._chosen()}

    @property
    def _json_before(self) -> Path | None:
        json = self.named().get(FORMATS["json"].title)
        return json and json.with_suffix(f".before{json.suffix}")

    def _chosen(self) -> tuple[tuple[Format, Path], ...]:
        short = ((FORMATS["junit"], self.junit), (FORMATS["json"], self.json))
        return (*((each, path) for each, path in short if path), *self.report)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFiles:
    """Where people wrote down what they decided; without a name the files beside the inventory."""

    waivers: Path | None = None
    attestations: Path | None = None

    def read(self, today: date, *, inventory: str = "") -> Decisions | None:
        """The waivers and attestations; None where there is no file of them.

        Args:
            today: the day by which they count, in UTC.
            inventory: beside which the files are looked for that nobody named; said on standard error.

        Raises:
            HardenerError: a file cannot be read, or a slip in it; names file, line and key.
        """
        from hardener.decisions.files import ATTESTATIONS, WAIVERS, beside, read_decisions

        waivers, attestations = self.waivers, self.attestations
        if waivers is None and (waivers := beside(inventory, WAIVERS)):
            click.echo(f"waivers: {line(str(waivers))}", err=True)
        if attestations is None and (attestations := beside(inventory, ATTESTATIONS)):
            click.echo(f"attestations: {line(str(attestations))}", err=True)
        if waivers is None and attestations is None:
            return None
        return read_decisions(waivers, attestations, today=today)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What may be changed, how much of it is shown, and what is kept."""

    allow: Impact | None
    confirm_timeout: int | None
    check: bool
    diff: bool
    snapshots: Path | None

    @property
    def bounds(self) -> dict[str, object]:
        """What the playbooks are told; what is not said here is the inventory's, or the default."""
        said = {"converge_allow": self.allow and self.allow.value}
        return {
            name: value
            for name, value in {**said, "converge_confirm_timeout": self.confirm_timeout}.items()
            if value is not None
        }

    def kept(self, when: str) -> Path | None:
        """Where the snapshots of ``before`` or ``after`` go."""
        return self.snapshots and self.snapshots / when


def require_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before the work whose result it is to hold.

    Raises:
        HardenerError: it cannot.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise HardenerError(f"cannot write {path}: there is no folder {folder}", hint="make it first")
    try:
        is_folder = path.is_dir()
        # A device or a pipe is written to; a file is replaced, for which its folder counts.
        regular = path.is_file() or not path.exists()
    except OSError as error:
        raise HardenerError(f"cannot write {line(str(path))}: {error.strerror}") from error
    if is_folder:
        raise HardenerError(f"cannot write {path}: it is a folder", hint="name a file in it")
    if not os.access(folder if regular else path, os.W_OK):
        raise HardenerError(f"cannot write {path}: permission denied")


def _ask(what: str) -> str:
    """A password from the terminal, or from standard input where there is none.

    Raises:
        HardenerError: there is neither.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GetPassWarning)  # it says so itself, with a line of its source
        try:
            return str(click.prompt(what, hide_input=True, err=True, default="", show_default=False))
        except click.Abort:
            if sys.stdin.isatty():
                raise
            raise HardenerError(
                f"nobody is there to be asked for the {what}", hint="run it in a terminal, or pipe it in"
            ) from None


def _only_one(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> str:
    if len(values) > 1:
        raise click.BadParameter("there can be one inventory; it may be a folder of several, or a list 'a,b'")
    return values[0]


def _group(name: str, kind: type[Any], *options: Callable[[Any], Any]) -> Callable[[_Function], _Function]:
    """Options as one decorator, in the order they are written; the verb gets one ``kind`` as ``name``."""
    fields = [field.name for field in dataclasses.fields(kind)]

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def with_group(**values: Any) -> Any:
            group = kind(**{field: values.pop(field) for field in fields})
            return function(**{name: group}, **values)

        decorated: _Function = with_group
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _chosen_formats(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[Format, Path], ...]:
    """Each ``FORMAT=PATH`` as its two parts."""
    chosen = []
    for value in values:
        name, _, path = value.partition("=")
        if not path:
            raise click.BadParameter(f"{value!r} is not FORMAT=PATH, such as json=report.json")
        if name not in FORMATS:
            raise click.BadParameter(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
        chosen.append((FORMATS[name], Path(path)))
    return tuple(chosen)


def _be_verbose(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Conversation).verbose = True


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_be_verbose,
    help="Show what Ansible prints, and where an internal error is.",
)


def _fleet_options(*, default: str = "") -> Callable[[_Function], _Function]:
    """The options that say which hosts; without a default ``-i`` is required."""
    meaning = "Ansible inventory: file, folder, or list of hosts ('db01,'; 'localhost,' is this machine)."
    return _group(
        "hosts",
        FleetOptions,
        click.option(
            "-i",
            "--inventory",
            required=not default,
            default=(default,) if default else None,
            multiple=True,  # so that a second one is refused, and not the first forgotten
            callback=_only_one,
            metavar="INVENTORY",
            help=f"{meaning}  [default: this machine]" if default else meaning,
        ),
        click.option("--limit", default="", metavar="PATTERN", help="Only these hosts of the inventory."),
        click.option(
            "-K", "--ask-become-pass", is_flag=True, help="Ask for the password of sudo on the hosts."
        ),
        click.option("-J", "--ask-vault-pass", is_flag=True, help="Ask for the password of Ansible Vault."),
        click.option(
            "--vault-password-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="File with the password of Ansible Vault.",
        ),
        click.option(
            "--artifacts",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Keep what Ansible prints, and every event, in this folder.",
        ),
    )


fleet_options = _fleet_options()
own_fleet_options = _fleet_options(default="localhost,")

selection_options = _group(
    "selection",
    Selection,
    click.option(
        "--benchmark",
        default=catalogue.DEFAULT_BENCHMARK,
        show_default=True,
        metavar="NAME",
        help="Benchmark version to judge by.",
    ),
    click.option(
        "--level",
        type=click.IntRange(1, 2),
        default=2,
        show_default=True,
        metavar="1|2",
        help="Highest level of the controls that count.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="SLUG|CIS-ID|SECTION",
        help="Only this control or section; repeatable. `hardener controls` lists them.",
    ),
)

report_options = _group(
    "files",
    ReportFiles,
    click.option("--junit", type=click.Path(path_type=Path), metavar="PATH", help="Write JUnit XML."),
    click.option(
        "--json", type=click.Path(path_type=Path), metavar="PATH", help="Write all findings as JSON."
    ),
    click.option(
        "--report",
        multiple=True,
        callback=_chosen_formats,
        metavar="FORMAT=PATH",
        help=f"Write a report; repeatable. Formats: {', '.join(FORMATS)}.",
    ),
)

decision_options = _group(
    "decided",
    DecisionFiles,
    click.option(
        "--waivers",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Failing controls that are accepted for a while.  [default: waivers.yml beside the inventory]",
    ),
    click.option(
        "--attestations",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="What people say of controls that only a person can decide."
        "  [default: attestations.yml beside the inventory]",
    ),
)

allow_option = click.option(
    "--allow",
    type=click.Choice([impact.value for impact in Impact]),
    callback=lambda _context, _parameter, value: value and Impact(value),
    help="The worst that a change may cost a host; what costs more is held and listed."
    "  [default: converge_allow of the inventory, else daemon-restart]",
)

change_options = _group(
    "changes",
    Changes,
    allow_option,
    click.option(
        "--confirm-timeout",
        type=click.IntRange(20, 86400),
        metavar="SECONDS",
        help="How long a host waits for the new connection that confirms a change, before it takes the change"
        " back by itself.  [default: converge_confirm_timeout of the inventory, else 180]",
    ),
    click.option("--check", is_flag=True, help="Change nothing; say what would change."),
    click.option("--diff", is_flag=True, help="Show every change as a unified diff."),
    click.option(
        "--snapshots",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep the collected facts in this folder, below before/ and after/.",
    ),
)


def _home(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path:
    from hardener.history.home import default_home

    return value or default_home()


home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="HARDENER_HOME",
    callback=_home,
    metavar="DIR",
    help="Where runs are kept.  [default: $HARDENER_HOME, else $XDG_STATE_HOME/hardener]",
)

exit_zero_option = click.option(
    "--exit-zero", is_flag=True, help="Exit with 0 where the code would be 3 or 4: for jobs that only report."
)
