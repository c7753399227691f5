"""The command that a schedule runs: read now, while somebody is there to see what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hardener.cli.audit import audit
from hardener.cli.drift import drift
from hardener.errors import HardenerError
from hardener.schedule import Job
from hardener.text import line
from hardener.workflows.options import ReportFiles

_VERBS: Mapping[str, click.Command] = {"audit": audit, "drift": drift}
_ASKED = {"ask_become_pass": "--ask-become-pass", "ask_vault_pass": "--ask-vault-pass"}
_SSH = frozenset(
    {"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"}
)


def job(name: str, command: Sequence[str], *, make: bool) -> Job:
    """The job that a command is.

    Args:
        name: what the schedule is called.
        command: the verb, and its options and arguments.
        make: make the folders that it writes into, so that there is something to let it write into.

    Raises:
        click.UsageError: the command is none, or none that could run alone.
        HardenerError: its inventory cannot be read, or a report cannot be written.
    """
    from hardener.fleet import connections

    verb, *arguments = command
    if verb not in _VERBS:
        raise click.UsageError(f"{line(repr(verb))} cannot be scheduled; drift and audit can")
    root = click.get_current_context().find_root()
    with _VERBS[verb].make_context(verb, list(arguments), parent=root) as context:
        options: Mapping[str, Any] = context.params
        for key, option in _ASKED.items():
            if options[key]:
                raise click.UsageError(f"nobody is there to answer {option}")
        home = options["home"].absolute()
        if context.get_parameter_source("notify_url") is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                "everybody on this machine could read --notify-url;"
                f" put HARDENER_NOTIFY_URL=… into {line(str(home / 'environment'), 1000)}"
            )
    reached = connections(options["inventory"], vault_password_file=options["vault_password_file"])
    return Job(
        name=name,
        # -P: a folder called hardener where it runs is not what it is to run.
        command=(sys.executable, "-P", "-m", "hardener", verb, *arguments),
        folder=Path.cwd(),
        home=home,
        reads=tuple(_reads(options)),
        writes=tuple(_writes(options, make=make)),
        confined=all(connection in _SSH for connection in reached.values()),
    )


def _reads(options: Mapping[str, Any]) -> Iterator[Path]:
    inventory = Path(options["inventory"])
    if "," not in options["inventory"] or inventory.exists():
        yield inventory.resolve()
    for key in ("vault_password_file", "waivers", "attestations"):
        if file := options[key]:
            yield file.resolve()


def _writes(options: Mapping[str, Any], *, make: bool) -> Iterator[Path]:
    """The folders that reports, snapshots and artifacts go to."""
    files = ReportFiles(**{key: options[key] for key in ("junit", "json", "report")})
    yield from (path.resolve().parent for path in files.named().values())
    for key in ("snapshots", "artifacts"):
        if folder := options[key]:
            if make:
                try:
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                except OSError as error:
                    raise HardenerError(f"cannot make {line(str(folder), 1000)}: {error.strerror}") from error
            yield folder.resolve()
