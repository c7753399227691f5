"""Show an Ansible run: its progress, and the answers of hosts."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from hardener.terminal.progress import Progress
from hardener.text import block, line, utc

if TYPE_CHECKING:
    from hardener.activity import HostActivity
    from hardener.fleet import Event
    from hardener.fleet.answers import ChangeAnswer
    from hardener.workload.trials import Trial

_TRIALS = {
    "before": "as it is",
    "control": "under a profile that is too strict",
    "profile": "under the profile",
}
_PATHS_SHOWN = 5
_LONGEST = 20_000  # characters of a message that lists every path of a rollback or a release


class Phase(Progress):
    """Shows an Ansible run: its progress, and the answers of hosts.

    Args:
        label: the name of the work, such as ``audit``.
        live: whether there may be a live line.
        quiet: show only failures of hosts and warnings.
        screen: where results go; standard output.
    """

    def __init__(
        self, label: str, *, live: bool = True, quiet: bool = False, screen: TextIO | None = None
    ) -> None:
        super().__init__(label, live=live, quiet=quiet)
        self._screen = screen or sys.stdout

    def event(self, event: Event) -> None:
        """Receive an event of the run."""
        self.show(event)

    def difference(self, host: str, difference: Any) -> None:
        """Show the change of a task as a unified diff on the screen for results."""
        self.print(diff_lines(host, difference))

    def print(self, lines: Iterable[str]) -> None:
        """Show lines on the screen for results."""
        self.clear()
        for text in lines:
            click.echo(text, file=self._screen)

    def problem(self, host: str, text: str) -> None:
        """Show why the answer of a host is unusable."""
        self.note(f"{line(host)}: {line(text)}", colour="red")

    def changed(self, answer: ChangeAnswer) -> None:
        """Show the result of a transaction on a host, its notes, and the steps that are left to the user."""
        host = line(answer.host)
        if answer.message:
            self.note(f"{host}: {line(answer.message, 2000)}")
        for note in answer.notes:
            self.note(f"{host}: {line(note)}", colour="yellow")

    def runs_listed(self, answer: ChangeAnswer) -> None:
        """List the runs of a host on standard output."""
        self.print(rollback_lines(answer.host, answer.data.get("runs") or ()))

    def rolled_back(self, answer: ChangeAnswer) -> None:
        """Show the runs that a host has rolled back."""
        host = line(answer.host)
        if not answer.reason:
            would = "would be " if answer.would_change else ""
            self.note(f"{host}: {would}{line(answer.message, _LONGEST)}")
        for note in answer.texts("notes"):
            self.note(f"{host}: {line(note)}", colour="yellow")

    def released(self, answer: ChangeAnswer, *, check: bool) -> None:
        """Show the release of a host."""
        host = line(answer.host)
        if not answer.reason:
            self.note(f"{host}: {line(answer.message, _LONGEST)}")
        kept = ("kept",) if check else ()  # otherwise it is part of the reason
        for note in answer.texts(*kept, "left", "notes", "pending"):
            self.note(f"{host}: {line(note)}", colour="yellow")

    def ready(self, addresses: Mapping[str, str], problems: Sequence[str]) -> None:
        """Show what the host reports about its recorder, such as its gaps, and the addresses of the twins."""
        self.warn(problems)
        for port, address in addresses.items():
            self.note(f"HARDENER_ADDR_{port} is {address}")

    def warn(self, problems: Sequence[str]) -> None:
        """Show problems that do not affect the result."""
        for problem in problems:
            self.note(problem, colour="yellow")

    def given_up(self, *, removed: bool, restarted: bool = False) -> None:
        """Show that a recording or a proof was aborted, and what became of twins or of the container."""
        ending = "remaining twins are removed later, or by the next recording"
        if restarted:
            ending = "hardener leaves the container as it is: see `docker ps` whether it runs"
        elif removed:
            ending = "all twins are removed"
        self.note(f"there is no result; {ending}", colour="yellow")

    def trying(self, number: int, of: int, trial: Trial) -> None:
        """Show which trial of a profile begins."""
        what = f"without {trial.key}" if trial.kind == "without" else _TRIALS[trial.kind]
        self.note(f"{number} of {of}: {what}")

    def observed(self, activity: HostActivity) -> None:
        """Show the observations of a host on standard output."""
        from hardener.terminal.activity import screen
        from hardener.terminal.console import console

        self.clear()
        for part in screen(activity):
            console(self._screen).print(part)


def rollback_lines(host: str, runs: Any) -> Iterator[str]:
    """Describe the runs of a host, newest first: a line for each run, and lines for its reason and paths."""
    if not runs:
        yield f"{line(host)}: no runs"
    for each in runs:
        name, outcome = line(str(each["run"])), line(str(each["outcome"]))
        yield f"{line(host)}  {name}  {_start_time(each)}  {outcome}{_caller(each)}"
        if each.get("reason"):
            yield f"    {line(str(each['reason']))}"
        paths = [line(str(path)) for path in each.get("paths") or ()]
        more = f", and {len(paths) - _PATHS_SHOWN} more" if len(paths) > _PATHS_SHOWN else ""
        if paths:
            yield f"    {', '.join(paths[:_PATHS_SHOWN])}{more}"


def _start_time(run: Mapping[str, Any]) -> str:
    when = run.get("started") or run.get("ended")
    if not isinstance(when, (int, float)):
        return "-"
    return utc(datetime.fromtimestamp(when, UTC))


def _caller(run: Mapping[str, Any]) -> str:
    return f"  by {line(str(run['who']))}" if run.get("who") else ""


COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def diff_lines(host: str, diff: Any) -> Iterator[str]:
    """Return the ``diff`` of a task line by line, with host and path above each difference.

    A task gives one or a list of them: a text that is ready, or the content before and after.
    """
    for each in diff if isinstance(diff, list) else [diff]:
        if not isinstance(each, Mapping):
            continue
        text = block(str(each["prepared"]) if "prepared" in each else _unified(each)).rstrip("\n")
        if not text.strip():
            continue
        where = each.get("path") or each.get("after_header") or each.get("before_header")
        yield _styled(line(f"{host}: {where}" if where else host), bold=True)
        for shown in text.split("\n"):
            yield _styled(shown, fg=COLOURS.get(shown[:1]))


def _unified(each: Mapping[str, Any]) -> str:
    before, after = (_lines(each.get(side)) for side in ("before", "after"))
    return "\n".join(difflib.unified_diff(before, after, "before", "after", lineterm=""))


def _lines(content: Any) -> list[str]:
    """Split content into lines; attributes, which modules report as objects, become one line each."""
    if isinstance(content, Mapping):
        return [f"{key}: {value}" for key, value in sorted(content.items())]
    return str(content or "").splitlines()


def _styled(text: str, **style: Any) -> str:
    return click.style(text, **style) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
