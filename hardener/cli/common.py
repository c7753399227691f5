"""Groups of options that several verbs share; a verb gets each group as one value."""

from __future__ import annotations

import dataclasses
import functools
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from hardener import catalogue
from hardener.batches import Batches, Share
from hardener.cli import completers
from hardener.errors import HardenerError
from hardener.files import STANDARD_OUTPUT
from hardener.model import Impact
from hardener.reports.formats import FOLDERS, FORMATS, Format
from hardener.workflows.options import Call, Changes, DecisionFiles, ReportFiles, Selection, Target

if TYPE_CHECKING:
    from hardener.cli.listener import TerminalListener
    from hardener.fleet import Fleet
    from hardener.history.journal import Unfinished

_Function = Callable[..., Any]


@dataclass(slots=True)
class Conversation:
    """The command line of this call, and how much it prints on standard error."""

    verbose: bool = False
    arguments: tuple[str, ...] = ()
    resumed: Unfinished | None = None  # the run that this one continues
    quiet: bool = False

    def listener(self, *written: Path | None) -> TerminalListener:
        """Return the listener that shows a workflow on the terminal.

        Args:
            written: the files that are written, which may be standard output.
        """
        from hardener.cli.listener import TerminalListener

        return TerminalListener(live=not self.verbose, quiet=self.quiet, screen=screen_beside(*written))


def screen_beside(*written: Path | None) -> TextIO:
    """Return the stream for results: standard output, or standard error if a report uses standard output."""
    return sys.stderr if STANDARD_OUTPUT in written else sys.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """Options that select the hosts, and that Ansible needs to reach them."""

    inventory: str
    limit: str
    ask_become_pass: bool
    ask_vault_pass: bool
    vault_password_file: Path | None
    artifacts: Path | None
    slice_size: int | None
    mesh: Path | None

    def target(self, conversation: Conversation, home: Path) -> Target:
        """Return the target of a workflow: the hosts, which the workflow locks and records.

        Args:
            conversation: whether the output of Ansible is shown.
            home: folder of the history.
        """
        call = Call(arguments=conversation.arguments, folder=str(Path.cwd()), resumed=conversation.resumed)
        return Target(
            reach=lambda: self.fleet(conversation),
            inventory=self.inventory,
            limit=self.limit,
            home=home,
            call=call,
        )

    def fleet(self, conversation: Conversation) -> Fleet:
        """Prepare the connection to the hosts; ask for the passwords that are needed, as Ansible does.

        Args:
            conversation: whether the output of Ansible is shown.

        Raises:
            HardenerError: the inventory is invalid.
        """
        from hardener.fleet import Credentials, Fleet, executor_of
        from hardener.terminal.progress import echo

        return Fleet(
            inventory=self.inventory,
            limit=self.limit,
            credentials=Credentials(
                become_password=_ask("BECOME password") if self.ask_become_pass else None,
                vault_password=_ask("Vault password") if self.ask_vault_pass else None,
                vault_password_file=self.vault_password_file,
            ),
            artifacts=self.artifacts,
            echo=echo if conversation.verbose else None,
            executor=executor_of(slice_size=self.slice_size, mesh=self.mesh),
        )


def _ask(what: str) -> str:
    """Read a password from the terminal, or from standard input if there is no terminal.

    Raises:
        HardenerError: there is neither.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GetPassWarning)  # it would print its own source code
        try:
            return str(click.prompt(what, hide_input=True, err=True, default="", show_default=False))
        except click.Abort:
            if sys.stdin.isatty():
                raise
            raise HardenerError(
                f"cannot ask for the {what}: there is no terminal", hint="run it in a terminal, or pipe it in"
            ) from None


def only_one_inventory(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> str | None:
    """Return the inventory; refuse several, since click would silently use the last one.

    Raises:
        click.BadParameter: there are several.
    """
    if len(values) > 1:
        raise click.BadParameter("only one inventory is allowed; it may be a folder or a list 'a,b'")
    return values[0] if values else None


def option_group(
    name: str, kind: type[Any], *options: Callable[[Any], Any]
) -> Callable[[_Function], _Function]:
    """Return a decorator that adds options in this order; the verb gets their values as one ``kind``."""
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
    """Split each ``FORMAT=PATH`` into its two parts."""
    chosen = []
    for value in values:
        name, _, path = value.partition("=")
        if not path:
            raise click.BadParameter(f"{value!r} is not FORMAT=PATH, such as json=report.json")
        known: dict[str, Format] = {**FORMATS, **FOLDERS}
        if name not in known:
            raise click.BadParameter(f"unknown format {name!r}; the formats are {', '.join(known)}")
        chosen.append((known[name], Path(path)))
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
    help="Show the output of Ansible, and the traceback of an internal error.",
)


def _fleet_options(*, default: str = "") -> Callable[[_Function], _Function]:
    """Return the options that select hosts; without a default, ``-i`` is required."""
    meaning = "Ansible inventory: file, folder, or list of hosts ('db01,'; 'localhost,' is this machine)."
    return option_group(
        "hosts",
        FleetOptions,
        click.option(
            "-i",
            "--inventory",
            required=not default,
            default=(default,) if default else None,
            multiple=True,  # so that a second -i can be refused; click would keep the last
            callback=only_one_inventory,
            metavar="INVENTORY",
            shell_complete=completers.inventory,
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
            help="Keep the output and the events of Ansible in this folder.",
        ),
        click.option(
            "--slice",
            "slice_size",
            type=click.IntRange(1),
            metavar="HOSTS",
            help="Divide the hosts into slices of this size, each run by its own Ansible process; one slice"
            " per core at a time.",
        ),
        click.option(
            "--mesh",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Run on the nodes of the Receptor mesh that this file describes (docs/guides/slices.md).",
        ),
    )


fleet_options = _fleet_options()
own_fleet_options = _fleet_options(default="localhost,")

selection_options = option_group(
    "selection",
    Selection,
    click.option(
        "--benchmark",
        default=catalogue.DEFAULT_BENCHMARK,
        show_default=True,
        metavar="NAME",
        shell_complete=completers.benchmark,
        help="Benchmark version to judge by.",
    ),
    click.option(
        "--level",
        type=click.IntRange(1, 2),
        default=2,
        show_default=True,
        metavar="1|2",
        help="Highest level of controls to judge.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="SLUG|CIS-ID|SECTION",
        shell_complete=completers.selector,
        help="Judge only this control or section; repeatable. `hardener controls` lists them.",
    ),
)

split_option = click.option(
    "--split",
    type=click.Choice(["host", "group"]),
    callback=lambda _context, _parameter, value: value or "",
    help="Write JUnit and SARIF as a file for each host or group: report-web.xml beside report.xml.",
)

report_options = option_group(
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
        shell_complete=completers.report,
        help=f"Write a report; repeatable. Formats: {', '.join(FORMATS)};"
        " html-dir=DIR writes a page for each host.",
    ),
    split_option,
)

decision_options = option_group(
    "decided",
    DecisionFiles,
    click.option(
        "--waivers",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="File of waivers: failing controls that are accepted until a day.  [default: waivers.yml"
        " beside the inventory]",
    ),
    click.option(
        "--attestations",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="File of attestations: the answers of people to manual controls."
        "  [default: attestations.yml beside the inventory]",
    ),
)

allow_option = click.option(
    "--allow",
    type=click.Choice([impact.value for impact in Impact]),
    callback=lambda _context, _parameter, value: value and Impact(value),
    help="Greatest allowed impact of a change; changes with a greater impact are held and listed."
    "  [default: converge_allow of the inventory, else daemon-restart]",
)

change_options = option_group(
    "changes",
    Changes,
    allow_option,
    click.option(
        "--confirm-timeout",
        type=click.IntRange(20, 86400),
        metavar="SECONDS",
        help="How long a host waits for the connection that confirms a change, before it rolls the change"
        " back by itself.  [default: converge_confirm_timeout of the inventory, else 180]",
    ),
    click.option("--check", is_flag=True, help="Change nothing; show what would change."),
    click.option("--diff", is_flag=True, help="Show every change as a unified diff."),
    click.option(
        "--snapshots",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep the collected facts in this folder, below before/ and after/.",
    ),
)


def _share(*, least: int) -> Callable[[click.Context, click.Parameter, str | None], Share | None]:
    """Return a callback that parses a number of hosts or a percentage."""

    def parse(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Share | None:
        return None if value is None else Share.parse(value, least=least)

    return parse


batch_options = option_group(
    "batches",
    Batches,
    click.option(
        "--canary",
        default="",
        metavar="GROUP|N",
        help="Change the hosts of this group, or the first N hosts, before all others.",
    ),
    click.option(
        "--batch",
        callback=_share(least=1),
        metavar="N|P%",
        help="Then change this number of hosts at a time, or this percentage of the hosts that need a change."
        "  [default: all others at once]",
    ),
    click.option(
        "--max-fail",
        callback=_share(least=0),
        metavar="N|P%",
        help="Begin no further batch once more hosts of the run than this have failed; unreachable hosts"
        " count.  [default: 0 with --canary or --batch]",
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
    help="Folder of the history.  [default: $HARDENER_HOME, else $XDG_STATE_HOME/hardener]",
)

exit_zero_option = click.option(
    "--exit-zero", is_flag=True, help="Exit with 0 instead of 3 or 4: for jobs that only report."
)
