"""Options that select runs of the history and their results, for every command that reads it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener.cli import completers
from hardener.cli.common import home_option, option_group
from hardener.cli.fleet_options import only_one_inventory
from hardener.errors import HardenerError
from hardener.model import Severity, Status
from hardener.result_filter import ResultFilter
from hardener.text import line, utc

if TYPE_CHECKING:
    from datetime import datetime

    from hardener.history import History, StoredRun


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The history, and an inventory in it; None stands for the inventory that was used last."""

    home: Path
    inventory: str | None

    @property
    def history(self) -> History:
        """Return the history."""
        from hardener.history import History

        return History(self.home)

    @property
    def name(self) -> str | None:
        """Return the name of the inventory in the history."""
        if self.inventory is None:
            return None
        from hardener.fleet import inventory_name

        return inventory_name(self.inventory)

    def run(self, called: str) -> StoredRun:
        """Return the run that has this name.

        Raises:
            HardenerError: there is no such run, or it is one of another inventory.
        """
        from hardener.history import is_relative

        name = self.name
        run = self.history.run(called, self._used_last if name is None and is_relative(called) else name)
        if name is not None and not run.is_of(name):
            raise HardenerError(
                f"run {line(run.id)} belongs to the inventory {line(run.record.inventory, 1000)},"
                f" not to {line(name, 1000)}",
                hint="omit -i, or name a run of that inventory",
            )
        return run

    def run_before(self, moment: datetime) -> StoredRun:
        """Return the latest state of the inventory at a moment.

        Raises:
            HardenerError: no run had ended then.
        """
        name = self._used_last if self.name is None else self.name
        ended = [run.info.ended for run in self.history.runs(name)]
        later = sum(each > moment for each in ended)
        if ended and later == len(ended):
            raise HardenerError(
                f"no run of the inventory {line(name or '', 1000)} had ended at {utc(moment)}",
                hint=f"the first one that is kept ended at {utc(ended[-1])}",
            )
        return self.run(f"latest~{later}")

    @cached_property
    def _used_last(self) -> str | None:
        """The inventory that was used last; it is named once, if there are others."""
        known = self.history.inventories()
        if len(known) > 1:
            others = f"{len(known) - 1} others have runs" if len(known) > 2 else "another has runs"
            name = line(known[0].name, 1000) or "without a name"
            click.echo(f"inventory {name}: it was used last; {others}, -i chooses", err=True)
        return known[0].name if known else None


def runs_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select runs; the command gets them as the argument ``kept``."""

    @functools.wraps(function)
    def with_runs(*, home: Path, inventory: str | None, **values: Any) -> Any:
        return function(kept=Runs(home=home, inventory=inventory), **values)

    return _inventory_option(home_option(with_runs))


_inventory_option = click.option(
    "-i",
    "--inventory",
    multiple=True,
    callback=only_one_inventory,
    metavar="INVENTORY",
    shell_complete=completers.inventory,
    help="Inventory of the run, as it was given to `hardener audit`.  [default: the one that was used last]",
)


def _choice(
    option: str, field: str, kind: type[Status] | type[Severity], meaning: str
) -> Callable[[Any], Any]:
    return click.option(
        option,
        field,
        multiple=True,
        type=click.Choice([each.value for each in kind]),
        callback=lambda _context, _parameter, values: tuple(map(kind, values)),
        help=f"{meaning}; repeatable.",
    )


filter_options = option_group(
    "chosen",
    ResultFilter,
    click.option(
        "--limit",
        default="",
        metavar="PATTERN",
        help="Only these hosts: names, globs and groups, separated by commas; !NAME leaves out.",
    ),
    _choice("--status", "statuses", Status, "Only these results"),
    _choice("--severity", "severities", Severity, "Only results of this severity"),
    click.option(
        "--only",
        multiple=True,
        metavar="SLUG|CIS-ID|SECTION|ROLE",
        shell_complete=completers.selector,
        help="Only this control or section, or what this role remediates; repeatable. 5.1 chooses all"
        " controls below it.",
    ),
)
