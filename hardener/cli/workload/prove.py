"""``hardener workload prove``: test whether a container works under its profile, and with less than that."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener.cli.common import (
    Conversation,
    FleetOptions,
    home_option,
    own_fleet_options,
    verbose_option,
)
from hardener.cli.workload.exercises import seconds_of
from hardener.errors import ExitCode, HardenerError
from hardener.files import require_writable
from hardener.workload.starts import LEAST_STARTS, MOST_STARTS, STARTS

if TYPE_CHECKING:
    from hardener.fleet import Event
    from hardener.terminal.phase import Phase
    from hardener.workload.exercise import Exerciser
    from hardener.workload.profile_document import Document
    from hardener.workload.trials import Trial


@click.command(short_help="Prove a profile: remove one permission after the other.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True))
@own_fleet_options
@click.option("--run", "command", metavar="COMMAND", help="Exercise the twins by a shell command, here.")
@click.option("--run-in", metavar="COMMAND", help="Exercise them by a command in the twin.")
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
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a JUnit report too.",
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
    run_in: str | None,
    starts: int,
    seconds: int,
    junit: Path | None,
    home: Path,
) -> ExitCode:
    """Prove that a container works under its profile in DIR, and that it would not with less.

    Twins of the container are started: as it is, under a profile that is too tight on purpose, under the
    profile, and under it without each capability and each relaxing setting in turn. Each one is exercised by
    the command that exercised the recording. DIR/proof.json has all that was seen, and the history keeps it
    with the profile, for `hardener evidence export --proof`.

    The exit code is 0 for safe, 3 for not safe, 4 for not exercised: the command proves nothing.

    \b
    hardener workload prove web-profile --run 'curl -fsS http://$HARDENER_ADDR_80/'
    """  # noqa: D301 - click reads the \b
    from hardener.files import write_text
    from hardener.fleet.inventory import is_this_machine
    from hardener.fleet.local_engine import engine_socket
    from hardener.reports.proof_junit import proof_junit
    from hardener.terminal.console import console
    from hardener.terminal.phase import Phase
    from hardener.terminal.proof import screen
    from hardener.workflows.exit_codes import of_proof
    from hardener.workflows.prove import ProveRequest
    from hardener.workflows.prove import prove as carry_out
    from hardener.workload import proof as proofs
    from hardener.workload.exercise import command as by_command
    from hardener.workload.exercise import nothing
    from hardener.workload.profile_document import load
    from hardener.workload.recording import now
    from hardener.workload.settings import APPARMOR, SECCOMP
    from hardener.workload.trials import plan
    from hardener.workload.verdict import judge

    if bool(command) == bool(run_in):
        raise HardenerError(
            "a proof takes an exercise", hint="give --run or --run-in, as when it was recorded"
        )
    local = is_this_machine(hosts.inventory)
    if command and not local:
        raise HardenerError("--run reaches twins on this machine only", hint="use --run-in for other hosts")
    document = load(folder)
    path = folder / proofs.NAME
    require_writable(path)
    if junit:
        require_writable(junit)
    seccomp = json.loads((folder / SECCOMP).read_bytes()) if document.seccomp else None
    has_apparmor = document.apparmor is not None and document.apparmor.used
    trials = plan(document, seccomp=seccomp, starts=starts)

    def exercise(most: float) -> Exerciser:
        return by_command(command, most=most) if command else nothing

    began = now()
    with Phase("workload prove", live=not conversation.verbose) as phase:
        tried = carry_out(
            hosts.fleet(conversation),
            ProveRequest(
                seconds=seconds,
                run_in=tuple(shlex.split(run_in or "")),
                apparmor=(folder / APPARMOR).read_text(encoding="utf-8") if has_apparmor else "",
                socket=engine_socket(os.environ) if local else "",
            ),
            document=document,
            trials=trials,
            exercise=exercise,
            listener=_Listener(phase),
        )
    user = (document.user.uid, document.user.gid) if document.user else None
    proof = judge(trials, tried.observations, user=user)
    found = proofs.proof_document(
        proof,
        folder=folder,
        name=document.name,
        began=began,
        ended=now(),
        host=tried.host,
        container=tried.container,
        run_in=bool(run_in),
        trials=trials,
        observations=tried.observations,
        missing=[*tried.missing, *_left_out(document)],
    )
    write_text(path, proofs.text(found))
    if junit:
        properties = {"profile": found.profile, "image": found.container.digest, "engine": found.host.engine}
        write_text(junit, proof_junit(proof, name=document.name, properties=properties))
    for part in screen(found, path):
        console(sys.stdout).print(part)
    _keep(folder, home)
    return of_proof(proof.verdict)


def _keep(folder: Path, home: Path) -> None:
    """Keep the proof in the history; an error there is only a warning."""
    from hardener.history.proofs import Proofs
    from hardener.text import line
    from hardener.workload.proven import check, read_folder

    try:
        kept = Proofs(home).keep(check(read_folder(folder)))
    except HardenerError as error:
        click.echo(f"hardener: warning: this proof is not kept: {line(str(error), 2000)}", err=True)
    else:
        click.echo(f"kept as proof {kept.id}", err=True)


def _left_out(document: Document) -> list[str]:
    """Describe the parts of a profile that could not be tried on the recorded host."""
    if document.apparmor is None or document.apparmor.used:
        return []
    return ["the AppArmor profile was not part of the proof: the recorded host has no AppArmor"]


class _Listener:
    def __init__(self, phase: Phase) -> None:
        self._phase = phase

    def event(self, event: Event) -> None:
        self._phase.event(event)

    def difference(self, host: str, difference: Any) -> None:
        self._phase.difference(host, difference)

    def trying(self, number: int, of: int, trial: Trial) -> None:
        what = f"without {trial.key}" if trial.kind == "without" else _WORDS[trial.kind]
        self._phase.note(f"{number} of {of}: {what}")


_WORDS = {
    "before": "as it is",
    "control": "under a profile that is too tight",
    "profile": "under the profile",
}
