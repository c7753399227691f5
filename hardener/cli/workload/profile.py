"""``hardener workload profile``: make the strictest profile that permits all recorded use."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import verbose_option
from hardener.errors import ExitCode

if TYPE_CHECKING:
    from hardener.workflows.profile import ComposeChange


@click.command(short_help="Make a least-privilege profile from recordings.")
@click.argument(
    "recordings", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RECORDING..."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the files.  [default: NAME-profile, NAME being the container's]",
)
@click.option(
    "--allow-extra",
    multiple=True,
    metavar="CALL",
    help="Permit a recorded system call that the engine's default refuses; repeatable.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="NAME",
    help="Leave out a capability, 'writable root' or 'gaining privileges', which `prove` names; repeatable.",
)
@click.option(
    "--from-proof", is_flag=True, help="Leave out all of these that the proof in DIR found not needed."
)
@click.option("--no-exec", is_flag=True, help="Refuse system calls that only a shell of `docker exec` needs.")
@click.option("--keep-user", is_flag=True, help="Keep root, where the profile has another user in its place.")
@click.option(
    "--compose",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show the change of this compose file, or of the last one of several; --apply makes it; repeatable.",
)
@click.option(
    "--service", default="", metavar="NAME", help="Service of the compose file.  [default: as recorded]"
)
@click.option(
    "--apply", is_flag=True, help="Write the change to the compose file, once this profile is proven safe."
)
@click.option("--unproven", is_flag=True, help="Let --apply write a profile that is not proven safe.")
@verbose_option
def profile(
    *,
    recordings: Sequence[Path],
    out: Path | None,
    allow_extra: Sequence[str],
    drop: Sequence[str],
    from_proof: bool,
    no_exec: bool,
    keep_user: bool,
    compose: Sequence[Path],
    service: str,
    apply: bool,
    unproven: bool,
) -> ExitCode:
    """Make a profile with the least privileges under which all recorded use still works.

    Recordings of one container are merged: the profile permits every use that one of them contains. The files
    are a seccomp profile, an AppArmor profile if the use of files was recorded, arguments for `docker run`, a
    compose file that overrides the project's, and a page with the reason for every line. The same recordings
    give the same files. System calls that the engine's default refuses stay refused, unless --allow-extra
    names them; what recorded use needed is kept, unless --drop names it. --from-proof also keeps out what the
    profile in DIR has left out, so that the command can be repeated with --apply.

    --apply needs a proof: make the profile without it, run `prove`, and repeat the command with --apply. It
    is refused if DIR has no proof that exactly this profile is safe, or if no exercise reached the recorded
    container, unless --unproven is given. Writing another profile into DIR removes the proof there.

    The exit code is 4 if a recording is incomplete, or if an exercise reached the container in none of them.

    \b
    hardener workload profile web.recording.json
    hardener workload profile web-*.json --compose compose.yaml --service web
    hardener workload prove web-profile --run ./smoke-test.sh
    hardener workload profile web-*.json --compose compose.yaml --service web --apply
    """  # noqa: D301 - click reads the \b
    from hardener.terminal.console import console
    from hardener.terminal.profile import screen
    from hardener.text import line
    from hardener.workflows import exit_codes
    from hardener.workflows.profile import ProfileRequest, make_profile

    if not compose and (service or apply):
        raise click.UsageError("--service and --apply need --compose FILE")
    if unproven and not apply:
        raise click.UsageError("--unproven needs --apply")
    made = make_profile(
        ProfileRequest(
            recordings=recordings,
            out=out,
            allow_extra=allow_extra,
            drop=drop,
            from_proof=from_proof,
            keep_user=keep_user,
            no_exec=no_exec,
            require_proof=apply and not unproven,
            compose=compose,
            service=service,
        )
    )
    for part in screen(made.page, made.folder / "profile.md"):
        console(sys.stdout).print(part)
    folder = line(str(made.folder), 1000)
    click.echo(f"wrote {', '.join(made.files)} in {folder}", err=True)
    if made.removed_proof:
        click.echo(f"removed proof.json from {folder}: it does not prove this profile", err=True)
    if made.change:
        _show(made.change)
        if apply and made.change.after != made.change.before:
            made.change.apply()
            click.echo(f"written: {line(str(compose[-1]))}", err=True)
    if not made.served:
        click.echo("hardener: warning: in no recording did an exercise reach the container", err=True)
    if made.user:
        click.echo(
            f"before it starts, give root's files in its volumes to the user {made.user} (chown)", err=True
        )
    if made.apparmor:
        _name_apparmor(made.folder, made.apparmor)
    if not made.proven:
        click.echo(f"test it before you use it: hardener workload prove {folder} --run COMMAND", err=True)
    return exit_codes.complete(made.complete and made.served)


def _name_apparmor(folder: Path, name: str) -> None:
    """Print how to load the AppArmor profile, without which the container does not start."""
    from hardener.text import line
    from hardener.workload.settings import APPARMOR

    file = shlex.quote(line(str(folder / APPARMOR), 1000))
    click.echo("before the container starts, on each host that runs it:", err=True)
    click.echo(f"  apparmor_parser --replace {file}", err=True)
    click.echo(f"  cp {file} /etc/apparmor.d/{name}   # for the next boot", err=True)


def _show(change: ComposeChange) -> None:
    """Print the change of a compose file on standard output."""
    from hardener.text import block, line
    from hardener.workload.compose import difference

    if change.before == change.after:
        click.echo(f"{line(str(change.path))} already contains the whole profile", err=True)
        return
    text = difference(change.before, change.after, name=str(change.path))
    click.echo(block(text, limit=1_000_000), nl=False)
