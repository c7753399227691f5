"""Parse the command of a schedule when the schedule is installed, so that the user sees its errors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hardener.cli.audit import audit
from hardener.cli.drift import drift
from hardener.files import STANDARD_OUTPUT
from hardener.text import line
from hardener.workflows.options import ReportFiles
from hardener.workflows.schedule_job import ScheduledCommand

_COMMANDS: Mapping[str, click.Command] = {"audit": audit, "drift": drift}
_ASKED = {"ask_become_pass": "--ask-become-pass", "ask_vault_pass": "--ask-vault-pass"}


def scheduled_command(command: Sequence[str]) -> ScheduledCommand:
    """Parse a command with its options and arguments.

    Raises:
        click.UsageError: this is not a command, or it cannot run unattended.
        HardenerError: a report cannot be written.
    """
    name, *arguments = command
    if name not in _COMMANDS:
        raise click.UsageError(f"{line(repr(name))} cannot be scheduled; drift and audit can")
    root = click.get_current_context().find_root()
    with _COMMANDS[name].make_context(name, list(arguments), parent=root) as context:
        options: Mapping[str, Any] = context.params
        for key, option in _ASKED.items():
            if options[key]:
                raise click.UsageError(f"{option} needs a terminal, and a schedule has none")
        home: Path = options["home"].absolute()
        if context.get_parameter_source("notify_url") is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                "all users of this machine could read --notify-url;"
                f" put HARDENER_NOTIFY_URL=… into {line(str(home / 'environment'), 1000)}"
            )
    files = ReportFiles(**{key: options[key] for key in ("junit", "json", "report", "split")})
    return ScheduledCommand(
        # -P: Python must not import a folder named hardener from the current folder.
        command=(sys.executable, "-P", "-m", "hardener", name, *arguments),
        home=home,
        inventory=options["inventory"],
        vault_password_file=options["vault_password_file"],
        reads=tuple(options[key] for key in ("waivers", "attestations", "releases", "mesh") if options[key]),
        reports=tuple(path for path in files.named().values() if path != STANDARD_OUTPUT),
        folders=tuple(options[key] for key in ("snapshots", "artifacts") if options[key]),
    )
