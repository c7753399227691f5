"""``hardener schedule``: run drift or audits at regular times."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hardener.cli.command_groups import CommandGroup
from hardener.cli.common import json_option, write_json
from hardener.errors import ExitCode
from hardener.files import STANDARD_OUTPUT
from hardener.text import line
from hardener.workflows.options import ReportFiles

if TYPE_CHECKING:
    from hardener.workflows.schedule_job import ScheduledCommand

_name = click.option(
    "--name", default="drift", show_default=True, metavar="NAME", help="Name of the schedule."
)
_command = click.argument("command", nargs=-1, required=True, metavar="drift|audit [OPTIONS]...")
_WHOLE_COMMAND = {"allow_interspersed_args": False}  # Options after the command are its own.


@click.group(cls=CommandGroup, short_help="Run drift or audits at regular times: systemd timers, cron.")
def schedule() -> None:
    """Run `hardener drift` or `hardener audit` at regular times on this machine.

    For root, the timer belongs to the system; for any other user, to the user's own systemd. docs/schedule.md
    describes what a unit may do, where secrets go, and how AWX and ansible-pull do the same.
    """


@schedule.command(short_help="Install a timer, or change it.", context_settings=_WHOLE_COMMAND)
@click.option(
    "--on-calendar",
    default="daily",
    show_default=True,
    metavar="TIME",
    help="Time of the runs, in systemd's syntax: 'hourly', '*-*-* 03:00', 'Mon..Fri 06:30 Europe/Berlin'.",
)
@click.option(
    "--jitter",
    default="1h",
    show_default=True,
    metavar="SPAN",
    help="Maximum random delay: spreads the start times of many machines.",
)
@_name
@_command
def install(*, on_calendar: str, jitter: str, name: str, command: tuple[str, ...]) -> None:
    """Install a systemd timer that runs the given command.

    The command runs in the current folder. A run that was missed while the machine was off starts after the
    boot. A second install under the same name changes the schedule.

    \b
    hardener schedule install drift -i inventory.yml
    hardener schedule install --name repair --on-calendar 'Sun 03:00' drift -i inventory.yml --remediate
    """  # noqa: D301 - click reads the \b
    from hardener.history.home import Home
    from hardener.schedule import Systemd, Times
    from hardener.workflows.schedule_job import schedule_job

    systemd = Systemd.here()
    times = Times(calendar=on_calendar, jitter=jitter)
    wanted = schedule_job(name, _scheduled_command(command), make_folders=True)
    Home(wanted.home).prepare()
    changed = systemd.install(wanted, times)
    click.echo(f"{line(name)}: {'installed' if changed else 'already installed'}", err=True)
    if not wanted.confined:
        click.echo("the service runs without a sandbox, because not every host is reached by ssh", err=True)
    if systemd.user and not systemd.lingers():
        click.echo(
            "hardener: warning: the schedule runs only while you are logged in"
            " (`loginctl enable-linger` changes that)",
            err=True,
        )


@schedule.command(short_help="Show the timers and the results of their last runs.")
@json_option
def status(*, json_file: Path | None) -> None:
    """Show each schedule: its next run, its last run, and the result of the last run."""
    from hardener.documents import schedule_document
    from hardener.schedule import Systemd

    found = list(Systemd.here().status())
    if write_json(schedule_document(found), json_file):
        return
    if not found:
        click.echo("no schedule is installed", err=True)
    for each in found:
        click.echo(line(each.name))
        click.echo(f"  next    {each.next or ('-' if each.active else 'never: its timer is not active')}")
        click.echo(f"  last    {each.last or 'not yet'}")
        click.echo(f"  result  {_result(each.result, each.code, each.ended, running=each.running)}")


@schedule.command(short_help="Remove a timer.")
@_name
def remove(*, name: str) -> None:
    """Stop a schedule and remove its units. A run in progress continues to its end; the history stays."""
    from hardener.schedule import Systemd

    gone = Systemd.here().remove(name)
    click.echo(f"{line(name)}: {'removed' if gone else 'no such schedule'}", err=True)


@schedule.command(short_help="Print a crontab line.", context_settings=_WHOLE_COMMAND)
@click.option("--at", default="17 3 * * *", show_default=True, metavar="TIME", help="Time in cron's syntax.")
@_name
@_command
def cron(*, at: str, name: str, command: tuple[str, ...]) -> None:
    """Print a crontab line that runs a command, for machines without systemd. It needs flock.

    \b
    (crontab -l; hardener schedule cron drift -i inventory.yml) | crontab -
    """  # noqa: D301 - click reads the \b
    from hardener.schedule import cron_line
    from hardener.workflows.schedule_job import schedule_job

    job = schedule_job(name, _scheduled_command(command), make_folders=False)
    click.echo(cron_line(job, at))


_ASKED = {"ask_become_pass": "--ask-become-pass", "ask_vault_pass": "--ask-vault-pass"}


def _scheduled_command(command: Sequence[str]) -> ScheduledCommand:
    """Parse a command with its options and arguments, so that the user sees its errors at the installation.

    Raises:
        click.UsageError: this is not a command, or it cannot run unattended.
        HardenerError: a report cannot be written.
    """
    from hardener.cli.audit import audit
    from hardener.cli.drift import drift
    from hardener.workflows.schedule_job import ScheduledCommand

    commands: Mapping[str, click.Command] = {"audit": audit, "drift": drift}
    name, *arguments = command
    if name not in commands:
        raise click.UsageError(f"{line(repr(name))} cannot be scheduled; drift and audit can")
    root = click.get_current_context().find_root()
    with commands[name].make_context(name, list(arguments), parent=root) as context:
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


def _result(result: str, code: int, ended: str, *, running: bool) -> str:
    if running:
        return "is running"
    if not ended:
        return "none since this machine started"
    names = {int(each): each.name.lower().replace("_", " ") for each in ExitCode}
    if result in ("success", "exit-code"):
        return f"{code} ({names.get(code, 'unknown')}), {ended}"
    return f"{line(result)}, {ended}"
