"""``hardener workload record``: what a container uses, by a twin of it under the recorder."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import Conversation, FleetOptions, own_fleet_options, verbose_option
from hardener.cli.workload.exercises import seconds_of
from hardener.errors import ExitCode, HardenerError

if TYPE_CHECKING:
    from hardener.cli.progress import Progress
    from hardener.fleet import Event
    from hardener.workload.exercise import Exerciser
    from hardener.workload.recording import Recording


@click.command(short_help="Record what a container uses, by a twin of it.")
@click.argument("container")
@own_fleet_options
@click.option(
    "--for",
    "seconds",
    default="5m",
    show_default=True,
    callback=seconds_of,
    metavar="TIME",
    help="How long the twin serves, or how long the exercise may take.",
)
@click.option("--run", "command", metavar="COMMAND", help="Exercise the twin by a shell command, here.")
@click.option("--run-in", nargs=2, metavar="CONTAINER COMMAND", help="Exercise it by a command in the twin.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where the recording goes; the current folder without it.",
)
@verbose_option
@click.pass_obj
def record(
    conversation: Conversation,
    *,
    container: str,
    hosts: FleetOptions,
    seconds: int,
    command: str | None,
    run_in: tuple[str, str] | None,
    out: Path,
) -> ExitCode:
    """Record system calls, capabilities, files and identities of a container, through the phases of its life.

    A twin is started: the same program with the same rights, on a network without a way out, with copies of
    the volumes. The original goes on undisturbed. A command of --run finds the twin's ports in its
    environment, as HARDENER_ADDR_80=127.0.0.1:49153. docs/recordings.md says what is recorded, and what not.

    The exit code is 4 where the exercise did not reach the twin, or something could not be recorded.

    \b
    hardener workload record web --run 'curl -fsS http://$HARDENER_ADDR_80/'
    """  # noqa: D301 - click reads the \b
    from hardener.cli.progress import Progress, echo
    from hardener.fleet.inventory import is_this_machine
    from hardener.fleet.local_engine import engine_socket
    from hardener.reports.interface import write_text
    from hardener.reports.terminal import console
    from hardener.terminal.recording import screen
    from hardener.workflows.record import RecordRequest
    from hardener.workflows.record import record as carry_out

    if command and run_in:
        raise HardenerError("--run and --run-in are two exercises", hint="leave one out")
    if run_in and run_in[0] != container:
        raise HardenerError(f"--run-in {run_in[0]}: only the twin of {container} takes a command")
    local = is_this_machine(hosts.inventory)
    if command and not local:
        raise HardenerError("--run reaches twins on this machine only", hint="use --run-in for other hosts")
    fleet = hosts.fleet(echo if conversation.verbose else None)
    request = RecordRequest(
        container=container,
        seconds=seconds,
        socket=engine_socket(os.environ) if local else "",
        run_in=tuple(shlex.split(run_in[1])) if run_in else (),
    )
    with Progress("workload record", last="record", plain=conversation.verbose) as progress:
        found = carry_out(
            fleet,
            request,
            exercise=_exerciser(command, run_in=bool(run_in), seconds=seconds),
            listener=_Listener(progress),
        )
    path = out / f"recording-{re.sub(r'[^A-Za-z0-9_.-]', '_', container)}-{_stamp(found)}.json"
    out.mkdir(parents=True, exist_ok=True)
    write_text(path, found.dump())
    for part in screen(found, path):
        console(sys.stdout).print(part)
    served = any(phase.name == "serve" and phase.exercised for phase in found.phases)
    return ExitCode.COMPLIANT if served and found.recorder.complete else ExitCode.INCOMPLETE


class _Listener:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def event(self, event: Event) -> None:
        self._progress.show(event)

    def ready(self, addresses: Mapping[str, str]) -> None:
        for port, address in addresses.items():
            self._progress.note(f"port {port} of the twin is {address}")


def _exerciser(command: str | None, *, run_in: bool, seconds: int) -> Exerciser:
    from hardener.workload import exercise

    if command:
        return exercise.command(command, most=seconds)
    return exercise.nothing if run_in else exercise.pause(seconds)


def _stamp(recording: Recording) -> str:
    return recording.began.replace("-", "").replace(":", "")
