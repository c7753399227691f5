"""``hardener workload record``: record what containers use, by running their twins under the recorder."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from ansible_collections.hardener.docker.plugins.module_utils.contract import LONGEST_TWINS

from hardener.cli.common import Conversation, verbose_option
from hardener.cli.fleet_options import FleetOptions, own_fleet_options
from hardener.errors import ExitCode, HardenerError
from hardener.files import require_folder

if TYPE_CHECKING:
    from hardener.terminal.phase import Phase
    from hardener.workload.exercise import Exerciser

_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Parse a time such as ``30s``, ``10m``, ``2h`` into seconds."""
    found = re.fullmatch(r"(\d{1,6})([smh])", value)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST_TWINS:
        raise click.BadParameter(f"{value!r} is not a time from 1s to 24h, such as 30s, 10m, 2h")
    return seconds


class RunIn(NamedTuple):
    """An exercise that runs in the twin of a container or service."""

    container: str
    words: tuple[str, ...]


def _run_in(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, str] | None
) -> RunIn | None:
    """Split the command of ``--run-in`` into words."""
    if value is None:
        return None
    try:
        words = tuple(shlex.split(value[1]))
    except ValueError as error:
        raise click.BadParameter(f"{value[1]!r} is not a command: {error}") from error
    if not words:
        raise click.BadParameter("the command is empty")
    return RunIn(value[0], words)


run_in_option = click.option(
    "--run-in",
    nargs=2,
    callback=_run_in,
    metavar="CONTAINER COMMAND",
    help="Exercise the twins by a command that runs in the twin of this container or service.",
)

install_option = click.option(
    "--install", is_flag=True, help="Fetch bpftool by apt for this run, where the Debian host has none."
)


@click.command(short_help="Record what containers use, by running twins of them.")
@click.argument("container", required=False, default="")
@own_fleet_options
@click.option(
    "--compose",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Record every service of the project of this compose file on this machine; repeatable.",
)
@click.option(
    "--project",
    "project_name",
    default="",
    metavar="NAME",
    help="Name of the project, if its containers do not name the compose file.",
)
@click.option(
    "--for",
    "seconds",
    default="5m",
    show_default=True,
    callback=seconds_of,
    metavar="TIME",
    help="How long the twins serve, or how long the exercise may take.",
)
@click.option(
    "--run", "command", metavar="COMMAND", help="Exercise the twins by a shell command on this machine."
)
@run_in_option
@click.option(
    "--twin-network",
    "network",
    type=click.Choice(["own", "same"]),
    default="own",
    show_default=True,
    help="`same`: put the twins into the networks of the originals; copy no other services.",
)
@click.option(
    "--restart",
    is_flag=True,
    help="Record the container itself, which is restarted once, instead of a twin.",
)
@install_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Folder for the recordings.  [default: the current folder]",
)
@verbose_option
@click.pass_obj
def record(
    conversation: Conversation,
    *,
    container: str,
    hosts: FleetOptions,
    files: tuple[Path, ...],
    project_name: str,
    seconds: int,
    command: str | None,
    run_in: RunIn | None,
    network: str,
    restart: bool,
    install: bool,
    out: Path,
) -> ExitCode:
    """Record the system calls, capabilities, files and users of containers, by phases of their life.

    hardener starts twins of the containers: the same programs with the same privileges, on isolated networks,
    with copies of the volumes and of the project's other services. The originals are not disturbed. The
    command of --run gets the ports of the twins in its environment, such as HARDENER_ADDR_80=127.0.0.1:49153,
    and for a project also HARDENER_ADDR_web_80. docs/recordings.md describes what is recorded, and what is
    not.

    With --restart, hardener restarts the container once and records it while it serves its clients: for a
    container that no twin can replace, such as one with a device.

    The exit code is 4 if the exercise did not reach every twin, something could not be recorded, or the host
    gave no answer.

    \b
    hardener workload record web --run 'curl -fsS http://$HARDENER_ADDR_80/'
    hardener workload record --compose compose.yaml --run ./smoke-test.sh
    """  # noqa: D301 - click reads the \b
    from hardener.fleet.inventory import is_this_machine
    from hardener.fleet.local_engine import engine_socket
    from hardener.terminal.console import console
    from hardener.terminal.phase import Phase
    from hardener.terminal.recording import overview, screen
    from hardener.text import line
    from hardener.workflows import exit_codes
    from hardener.workflows.record import RecordRequest, write
    from hardener.workflows.record import record as carry_out
    from hardener.workload.project import project

    local = is_this_machine(hosts.inventory)
    _check(container, files, project_name, command=command, run_in=run_in)
    if restart:
        _check_restart(files, network)
    require_folder(out)
    if command:
        hosts.require_direct_connection()
    fleet = hosts.fleet(conversation)
    named = project(files, name=project_name, environment=os.environ) if files else None
    if named and named.refusal:
        click.echo(f"hardener: warning: {named.refusal}", err=True)
    request = RecordRequest(
        container=container,
        project=named,
        seconds=seconds,
        socket=engine_socket(os.environ) if local else "",
        run_in=run_in.words if run_in else (),
        run_in_service=run_in.container if run_in and run_in.container != container else "",
        same_network=network == "same",
        restart=restart,
        forward=bool(command),
        install=install,
        local=local,
    )
    with Phase("workload record", live=not conversation.verbose) as phase:
        found = carry_out(
            fleet,
            request,
            exercise=_exerciser(command, run_in=bool(run_in), restart=restart, seconds=seconds, phase=phase),
            listener=phase,
        )
    written = write(found, out, container=container)
    for part in screen(found[0]) if container else overview(found):
        console(sys.stdout).print(part)
    click.echo()
    for _, path in written:  # a table would wrap the names, which people copy
        click.echo(f" Written to {line(str(path), 1000)}")
    return exit_codes.complete(all(each.served and each.recorder.complete for each in found))


def _check(
    container: str,
    files: tuple[Path, ...],
    project_name: str,
    *,
    command: str | None,
    run_in: RunIn | None,
) -> None:
    """Refuse combinations of options that exclude each other."""
    if bool(container) == bool(files):
        raise HardenerError("give either a container or --compose FILE")
    if project_name and not files:
        raise HardenerError("--project needs --compose FILE")
    if command and run_in:
        raise HardenerError("--run and --run-in exclude each other", hint="leave one out")


def _check_restart(files: tuple[Path, ...], network: str) -> None:
    """Refuse options that are for twins."""
    if files:
        raise HardenerError("--restart and --compose exclude each other", hint="name one container")
    if network == "same":
        raise HardenerError(
            "--restart and --twin-network same exclude each other", hint="leave out --twin-network"
        )


def _exerciser(command: str | None, *, run_in: bool, restart: bool, seconds: int, phase: Phase) -> Exerciser:
    from hardener.terminal.progress import duration
    from hardener.workload import exercise

    def ask() -> None:
        where = "" if restart else " at these addresses"
        phase.note(f"use the service{where} now: the recording goes on for {duration(seconds)}")

    if command:
        return exercise.command(command, most=seconds)
    return exercise.nothing if run_in else exercise.pause(seconds, begin=ask)
