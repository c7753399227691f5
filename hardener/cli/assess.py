"""``hardener assess``: judge stored snapshots, without hosts and without Ansible."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import (
    Conversation,
    decision_options,
    exit_zero_option,
    fail_on_option,
    quiet_option,
    report_options,
    selection_options,
)
from hardener.errors import ExitCode, HardenerError
from hardener.model import Severity
from hardener.workflows.options import DecisionFiles, ReportFiles, Selection

if TYPE_CHECKING:
    from hardener.snapshot import Snapshot

STDIN = Path("-")


@click.command(short_help="Judge stored snapshots without connecting to hosts.")
@click.argument("snapshots", nargs=-1, required=True, metavar="SNAPSHOT...", type=click.Path(path_type=Path))
@selection_options
@decision_options
@report_options
@fail_on_option
@quiet_option
@exit_zero_option
@click.pass_obj
def assess(
    conversation: Conversation,
    *,
    snapshots: tuple[Path, ...],
    selection: Selection,
    decided: DecisionFiles,
    files: ReportFiles,
    fail_on: Severity | None,
    exit_zero: bool,
) -> ExitCode:
    """Judge snapshots that were collected earlier, exactly as `hardener audit` judges them.

    SNAPSHOT is a file, a folder of *.json files, or - for standard input. A host that Ansible cannot reach
    can make its own snapshot: see roles/collect/README.md.

    \b
    hardener assess snapshots/ --junit junit.xml
    sudo python3 host_snapshot.pyz | hardener assess -
    """  # noqa: D301 - click reads the \b
    from hardener.terminal.console import console, show_summary
    from hardener.workflows.assess import assess_snapshots
    from hardener.workflows.exit_codes import unless_exit_zero

    paths = [path for each in snapshots for path in _files(each)]
    listener = conversation.listener(*files.named().values())
    result = assess_snapshots(
        paths, map(_load, paths), selection, decided, files, listener=listener, fail_on=fail_on
    )
    if not conversation.quiet:
        screen = console(listener.screen)
        show_summary(result.summary, screen, files=files.named(), decisions=result.decisions)
    return unless_exit_zero(result.exit_code, exit_zero)


def _files(path: Path) -> Sequence[Path]:
    """Return the snapshots of a folder in the order of their names; return any other path itself.

    Raises:
        HardenerError: a folder holds none.
    """
    if path == STDIN or not path.is_dir():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise HardenerError(f"no snapshot in {path}", hint="snapshots are *.json files")
    return found


def _load(path: Path) -> Snapshot:
    """Load a snapshot.

    Raises:
        HardenerError: it cannot be read.
    """
    from hardener.snapshot import MAX_BYTES, Snapshot

    if path == STDIN:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise HardenerError(f"standard input has more than {MAX_BYTES} bytes")
        return Snapshot.parse(data, name="standard input")
    return Snapshot.load(path)
