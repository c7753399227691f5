"""Show the progress of a workflow on standard error, and its results on standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from hardener.terminal.phase import Phase
from hardener.text import first, line

if TYPE_CHECKING:
    from hardener.batches import Batch
    from hardener.comparison import Drift
    from hardener.comparison.wishes import WishComparison
    from hardener.history import StoredRun
    from hardener.history.journal import Unfinished
    from hardener.plan import Outlook, Plan
    from hardener.workflows.audit import AuditResult
    from hardener.workflows.change import ChangeResult
    from hardener.workflows.options import ReportFiles
    from hardener.workflows.resume import HostState
_NAMED = 5
_SHORT = 8  # characters of a run's name


class TerminalListener:
    """Show all events of a workflow on a terminal.

    Args:
        live: whether progress may be a live line; not where other output goes to standard error too.
        quiet: show only warnings and errors.
        screen: where results go; standard output.
    """

    def __init__(self, *, live: bool = True, quiet: bool = False, screen: TextIO | None = None) -> None:
        self._live = live
        self._quiet = quiet
        self.screen = screen or sys.stdout
        self._last_time = 0.0
        self._phase: Phase | None = None

    def phase(self, label: str) -> AbstractContextManager[Phase]:
        """Show the progress of a run of Ansible."""
        self._phase = Phase(label, live=self._live, quiet=self._quiet, screen=self.screen)
        self._phase.expect(self._last_time)
        return self._phase

    def expect(self, seconds: float) -> None:
        """Show the duration of the last run over these hosts, in this phase and in all later ones."""
        self._last_time = seconds
        if self._phase:
            self._phase.expect(seconds)

    def prepare(self) -> None:
        """Import the modules that show the result."""
        import_module("hardener.terminal.audit")

    def file_found(self, what: str, path: Path) -> None:
        """Name a file that the run uses and that lies next to the inventory."""
        self._tell(f"{what}: {line(str(path))}")

    def waiting(self, inventory: str) -> None:
        """Report that the run waits for another run over the inventory to end."""
        self._tell(f"another run over {line(inventory, 1000)} is in progress: waiting for it to finish")

    def warning(self, text: str) -> None:
        """Show a warning."""
        _say(f"hardener: warning: {text}")

    # --- audits -------------------------------------------------------------------------------------------

    def audited(self, result: AuditResult, files: ReportFiles) -> None:
        """Show the result of an audit."""
        if self._quiet:
            return
        from hardener.terminal.console import console, show_summary

        show_summary(
            result.summary,
            console(self.screen),
            files=files.named(),
            decisions=result.run.decisions,
            hosts_option=result.hosts_option,
        )

    def not_applied(self, decisions: Sequence[str], hosts: Sequence[str]) -> None:
        """Name decisions by group that were not applied because snapshots do not name the groups."""
        names = line(", ".join(first(hosts, _NAMED)))
        _say(
            f"{', '.join(first(decisions, _NAMED))}: not applied to {names}, whose snapshots do not name"
            " groups (name hosts in the file, or collect through Ansible)"
        )

    # --- changes ------------------------------------------------------------------------------------------

    def plan_damaged(self, file: Path, host: str, problem: str) -> None:
        """Name a host whose reviewed plan cannot be read."""
        _say(f"hardener: error: {file}: {line(host)}: {problem}; the host is not changed")

    def installing(self, hosts: Sequence[str]) -> None:
        """Name the hosts that get Docker."""
        self._tell(f"install: {', '.join(map(line, hosts))}")

    def planned(self, plans: Sequence[Plan]) -> None:
        """Show the planned changes."""
        from hardener.terminal import changes

        self._tell(*changes.planned(plans))

    def withheld(self, plans: Sequence[Plan]) -> None:
        """Show the steps that are omitted because they would also remediate waived controls."""
        from hardener.terminal import changes

        self._tell(*changes.withheld(plans))

    def remaining(self, outlooks: Sequence[Outlook]) -> None:
        """Show the steps that were not carried out."""
        from hardener.terminal import changes

        self._tell(*changes.remaining(outlooks))

    def host_states(self, run: Unfinished, states: Mapping[str, HostState]) -> None:
        """Show the state of each host of an unfinished run."""
        from hardener.terminal import changes

        _say(*changes.host_states(run, states))

    def resumable(self, run: str) -> None:
        """Name the command that continues the run."""
        _say(f"unfinished: `hardener resume {run[:_SHORT]}` continues this run")

    def divided(self, batches: Sequence[Batch], most_failures: int) -> None:
        """Show the batches of a run."""
        from hardener.terminal import changes

        self._tell(*changes.divided(batches, most_failures))

    def batch_begins(self, number: int, batches: int, batch: Batch) -> None:
        """Name the hosts of a batch."""
        from hardener.terminal import changes

        self._tell(changes.begins(number, batches, batch))

    def stopped(self, reason: str) -> None:
        """Show why no further batch begins."""
        _say(f"hardener: stopped: {reason}")

    def not_begun(self, hosts: Mapping[str, str]) -> None:
        """Name the hosts whose change was never begun."""
        from hardener.terminal import changes

        _say(*changes.not_begun(hosts))

    def changes_reported(self, result: ChangeResult, files: ReportFiles) -> None:
        """Show the change of each control; where nothing was changed, its status."""
        if self._quiet:
            return
        from hardener.terminal.console import console, show_comparison, show_summary

        screen, decisions = console(self.screen), result.run.decisions
        if result.comparison:
            earlier = {f"{name} before": path for name, path in files.before().named().items()}
            named = files.named() | earlier
            show_comparison(result.comparison, screen, files=named, decisions=decisions)
        elif result.summary:
            show_summary(
                result.summary,
                screen,
                files=files.named(),
                decisions=decisions,
                hosts_option=result.hosts_option,
            )

    def baseline_moved(self, run: str) -> None:
        """Show that the baseline moves along with what has been changed."""
        self._tell(f"the baseline {line(run)} moves along with what this run has changed")

    def wishes_compared(self, found: WishComparison) -> None:
        """Show the differences between hosts and the wishes of their inventory."""
        from hardener.terminal import changes

        self._tell(*changes.wishes(found))

    def compared(self, drift: Drift, before: StoredRun, files: ReportFiles | None) -> None:
        """Show the changes since an earlier run."""
        if self._quiet:
            return
        from hardener.terminal.console import console, show_drift
        from hardener.workflows.compare_runs import run_title

        named = files.named() if files else {}
        show_drift(drift, console(self.screen), title=f"since {run_title(before)}", files=named)

    def _tell(self, *lines: str) -> None:
        """Show a message that is neither a result nor a warning."""
        if not self._quiet:
            _say(*lines)


def _say(*lines: str) -> None:
    for text in lines:
        click.echo(text, err=True)
