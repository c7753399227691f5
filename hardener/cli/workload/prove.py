"""``hardener workload prove``: test whether a container works under its profile, and with fewer rights."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from hardener.cli.common import Conversation, home_option, verbose_option
from hardener.cli.fleet_options import FleetOptions, own_fleet_options
from hardener.cli.workload.record import RunIn, install_option, run_in_option, seconds_of
from hardener.errors import ExitCode, HardenerError
from hardener.workload.starts import LEAST_STARTS, MOST_STARTS, STARTS


@click.command(short_help="Prove a profile: remove one permission after the other.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True))
@own_fleet_options
@click.option(
    "--run", "command", metavar="COMMAND", help="Exercise the twins by a shell command on this machine."
)
@run_in_option
@click.option(
    "--starts",
    type=click.IntRange(LEAST_STARTS, MOST_STARTS),
    default=STARTS,
    show_default=True,
    metavar="N",
    help="Number of starts of the container under the profile.",
)
@click.option(
    "--for",
    "seconds",
    default="15m",
    show_default=True,
    callback=seconds_of,
    metavar="TIME",
    help="Time limit of the whole proof.",
)
@install_option
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="Write a JUnit report.",
)
@home_option
@verbose_option
@click.pass_obj
def prove(
    conversation: Conversation,
    *,
    folder: Path,
    hosts: FleetOptions,
    command: str | None,
    run_in: RunIn | None,
    starts: int,
    seconds: int,
    install: bool,
    junit: Path | None,
    home: Path,
) -> ExitCode:
    """Prove that a container works under its profile in DIR, and that it fails with fewer rights.

    Twins of the container are started: with its present settings, under a deliberately too strict profile,
    under the profile, and under the profile with each capability and each relaxing setting removed in turn.
    Each twin is exercised by the command of the recording. DIR/proof.json has all observations; the history
    keeps it with the profile, for `hardener evidence export --proof`.

    The exit code is 0 for safe, 3 for not safe, and 4 for not exercised, if the command does not notice a
    missing permission. It is also 4 if the host gave no answer.

    \b
    hardener workload prove web-profile --run 'curl -fsS http://$HARDENER_ADDR_80/'
    """  # noqa: D301 - click reads the \b
    from hardener.fleet.inventory import is_this_machine
    from hardener.fleet.local_engine import engine_socket
    from hardener.terminal.console import console
    from hardener.terminal.phase import Phase
    from hardener.terminal.proof import screen
    from hardener.text import line
    from hardener.workflows.exit_codes import of_proof
    from hardener.workflows.prove import ProveRequest
    from hardener.workflows.prove import prove as carry_out

    if bool(command) == bool(run_in):
        raise HardenerError("a proof needs an exercise", hint="give --run or --run-in, as for the recording")
    local = is_this_machine(hosts.inventory)
    if command:
        hosts.require_direct_connection()
    request = ProveRequest(
        folder=folder,
        seconds=seconds,
        starts=starts,
        command=command or "",
        run_in=run_in.words if run_in else (),
        run_in_service=run_in.container if run_in else "",
        install=install,
        socket=engine_socket(os.environ) if local else "",
        local=local,
        junit=junit,
        home=home,
    )
    with Phase("workload prove", live=not conversation.verbose) as phase:
        result = carry_out(hosts.fleet(conversation), request, listener=phase)
    for part in screen(result.document, result.profile, result.path):
        console(sys.stdout).print(part)
    if result.problem:
        click.echo(f"hardener: warning: this proof is not kept: {line(result.problem, 2000)}", err=True)
    else:
        click.echo(f"kept as proof {result.kept}", err=True)
    return of_proof(result.verdict)
