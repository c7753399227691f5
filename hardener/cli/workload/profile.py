"""``hardener workload profile``: make the smallest confinement that permits all recorded use."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import verbose_option
from hardener.errors import ExitCode, HardenerError
from hardener.files import require_writable

if TYPE_CHECKING:
    from hardener.workload.profile import Profile

_MOST = 1 << 20  # bytes of a compose file


@click.command(short_help="Make a least-privilege profile from recordings.")
@click.argument(
    "recordings", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RECORDING..."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files go.  [default: NAME-profile, after the container]",
)
@click.option(
    "--allow-extra",
    multiple=True,
    metavar="CALL",
    help="Permit a recorded system call that the engine's default refuses; repeatable.",
)
@click.option(
    "--compose",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show the change of this compose file; --apply makes it.",
)
@click.option("--service", default="", metavar="NAME", help="Its service.  [default: as recorded]")
@click.option("--apply", is_flag=True, help="Write the compose file.")
@verbose_option
def profile(
    *,
    recordings: Sequence[Path],
    out: Path | None,
    allow_extra: Sequence[str],
    compose: Path | None,
    service: str,
    apply: bool,
) -> ExitCode:
    """Make the least privileges under which all that was recorded still works.

    Recordings of one container are merged: what any of them has is kept. The files are a seccomp profile, an
    AppArmor profile where files were seen, arguments for `docker run`, a compose file that goes on top of the
    project's, and a page with the reason for every line. The same recordings give the same files. Nothing is
    permitted that the engine's default refuses, unless --allow-extra names it.

    The exit code is 4 where a recording is incomplete.

    \b
    hardener workload profile web.recording.json
    hardener workload profile web-*.json --compose compose.yaml --service web --apply
    """  # noqa: D301 - click reads the \b
    from hardener.files import write_text
    from hardener.reports.profile_page import html, markdown
    from hardener.terminal.console import console
    from hardener.terminal.profile import screen
    from hardener.text import line
    from hardener.workflows import exit_codes
    from hardener.workload.artefacts import artefacts
    from hardener.workload.page import sections
    from hardener.workload.profile import make
    from hardener.workload.profile_document import foreign
    from hardener.workload.recording import load
    from hardener.workload.settings import SECCOMP

    if compose is None and (service or apply):
        raise click.UsageError("--service and --apply are about --compose FILE")
    made = make([(str(path), load(path)) for path in recordings], allow_extra=allow_extra)
    folder = out or Path(f"{made.name}-profile")
    project = compose.parent if compose else folder
    seccomp = _from(project, folder / SECCOMP)
    before = after = ""
    if compose:
        service = service or _recorded_service(made)
        before, after = _edited(compose, made, service=service, seccomp=seccomp)
    page = list(sections(made))
    files = {
        **artefacts(made, seccomp=seccomp, service=service),
        "profile.md": markdown(page),
        "profile.html": html(page),
    }
    if other := foreign(folder, files):
        raise HardenerError(
            f"{line(str(folder))} has a file {other} that no profile there has written",
            hint="name another folder with --out, or remove the file",
        )
    for name, text in files.items():
        write_text(folder / name, text)
    for part in screen(page):
        console(sys.stdout).print(part)
    click.echo(f"wrote {', '.join(files)} in {folder}", err=True)
    if compose:
        _show(compose, before, after)
        if apply and after != before:
            require_writable(compose)
            if _text(compose) != before:
                raise HardenerError(f"{line(str(compose))} was changed in the meantime", hint="try again")
            write_text(compose, after, shared=True)
            click.echo(f"written: {compose}", err=True)
    return exit_codes.complete(made.merged.complete)


def _recorded_service(made: Profile) -> str:
    recorded = made.merged.one.container.compose
    if recorded is None:
        raise HardenerError(
            "the recorded container does not belong to a compose project",
            hint="name the service with --service",
        )
    return recorded.service


def _edited(compose: Path, made: Profile, *, service: str, seccomp: str) -> tuple[str, str]:
    """Return the content of a compose file before and after the change."""
    from hardener.workload.compose import edited
    from hardener.workload.settings import interpolated, service_keys

    before = _text(compose)
    keys = {key: interpolated(value) for key, value in service_keys(made, seccomp=seccomp).items()}
    return before, edited(before, keys, service=service, name=str(compose))


def _text(compose: Path) -> str:
    """Read the content of a compose file."""
    from hardener.bounded import read
    from hardener.text import line

    name = line(str(compose))
    try:
        return read(compose, most=_MOST).decode()
    except UnicodeDecodeError as error:
        raise HardenerError(f"cannot read {name}: it is not UTF-8") from error
    except OSError as error:
        raise HardenerError(f"cannot read {name}: {error.strerror}") from error
    except ValueError as error:
        raise HardenerError(f"cannot read {name}: {error}") from error


def _show(compose: Path, before: str, after: str) -> None:
    """Print the change of a compose file on standard output."""
    from hardener.text import block, line
    from hardener.workload.difference import difference

    if before == after:
        click.echo(f"{line(str(compose))} already contains the whole profile", err=True)
        return
    click.echo(block(difference(before, after, name=str(compose)), limit=1_000_000), nl=False)


def _from(project: Path, path: Path) -> str:
    """Return a path relative to the project's folder for compose, with a leading ``./`` or ``../``."""
    found = os.path.relpath(path, project)
    return found if found.startswith("..") else f"./{found}"
