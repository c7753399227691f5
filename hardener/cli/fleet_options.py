"""Options that select the hosts, and that Ansible needs to reach them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli import completers
from hardener.cli.common import Conversation, Decorated, option_group
from hardener.errors import HardenerError
from hardener.workflows.options import Call, Target

if TYPE_CHECKING:
    from hardener.fleet import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """Options that select the hosts, and that Ansible needs to reach them."""

    inventory: str
    limit: str
    ask_become_pass: bool
    ask_vault_pass: bool
    vault_password_file: Path | None
    artifacts: Path | None
    slice_size: int | None
    mesh: Path | None

    def require_direct_connection(self) -> None:
        """Refuse a mesh: only this machine's own ssh can forward ports to it.

        Raises:
            HardenerError: the hosts are reached through a mesh.
        """
        if self.mesh is not None:
            raise HardenerError(
                "the ports of twins cannot be forwarded through a mesh", hint="exercise them with --run-in"
            )

    def target(self, conversation: Conversation, home: Path) -> Target:
        """Return the target of a workflow: its hosts, and the history that records the run.

        Args:
            conversation: whether the output of Ansible is shown.
            home: folder of the history.
        """
        call = Call(arguments=conversation.arguments, folder=str(Path.cwd()), resumed=conversation.resumed)
        return Target(
            reach=lambda: self.fleet(conversation),
            inventory=self.inventory,
            limit=self.limit,
            home=home,
            call=call,
        )

    def fleet(self, conversation: Conversation) -> Fleet:
        """Prepare the connection to the hosts; ask for the passwords that are needed, as Ansible does.

        Args:
            conversation: whether the output of Ansible is shown.

        Raises:
            HardenerError: the inventory is invalid.
        """
        from hardener.fleet import Credentials, Fleet, executor_of
        from hardener.terminal.progress import echo

        return Fleet(
            inventory=self.inventory,
            limit=self.limit,
            credentials=Credentials(
                become_password=_ask("BECOME password") if self.ask_become_pass else None,
                vault_password=_ask("Vault password") if self.ask_vault_pass else None,
                vault_password_file=self.vault_password_file,
            ),
            artifacts=self.artifacts,
            echo=echo if conversation.verbose else None,
            executor=executor_of(slice_size=self.slice_size, mesh=self.mesh),
        )


def _ask(what: str) -> str:
    """Read a password from the terminal, or from standard input if there is no terminal.

    Raises:
        HardenerError: there is neither.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GetPassWarning)  # it would print its own source code
        try:
            return str(click.prompt(what, hide_input=True, err=True, default="", show_default=False))
        except click.Abort:
            if sys.stdin.isatty():
                raise
            raise HardenerError(
                f"cannot ask for the {what}: there is no terminal",
                hint="run the command in a terminal, or pipe the password in",
            ) from None


def only_one_inventory(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> str | None:
    """Return the inventory; refuse several, since click would silently use the last one.

    Raises:
        click.BadParameter: there are several.
    """
    if len(values) > 1:
        raise click.BadParameter("only one inventory is allowed; it may be a folder or a list 'a,b'")
    return values[0] if values else None


def _fleet_options(*, default: str = "") -> Callable[[Decorated], Decorated]:
    """Return the options that select hosts; without a default, ``-i`` is required."""
    meaning = "Ansible inventory: file, folder, or list of hosts ('db01,'; 'localhost,' is this machine)."
    return option_group(
        "hosts",
        FleetOptions,
        click.option(
            "-i",
            "--inventory",
            required=not default,
            default=(default,) if default else None,
            multiple=True,  # so that a second -i can be refused; click would keep the last
            callback=only_one_inventory,
            metavar="INVENTORY",
            shell_complete=completers.inventory,
            help=f"{meaning}  [default: this machine]" if default else meaning,
        ),
        click.option("--limit", default="", metavar="PATTERN", help="Only these hosts of the inventory."),
        click.option(
            "-K", "--ask-become-pass", is_flag=True, help="Ask for the password of sudo on the hosts."
        ),
        click.option("-J", "--ask-vault-pass", is_flag=True, help="Ask for the password of Ansible Vault."),
        click.option(
            "--vault-password-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="File with the password of Ansible Vault.",
        ),
        click.option(
            "--artifacts",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Keep the output and the events of Ansible in this folder.",
        ),
        click.option(
            "--slice",
            "slice_size",
            type=click.IntRange(1),
            metavar="HOSTS",
            help="Divide the hosts into slices of this size, each run by its own Ansible process; one slice"
            " per core at a time.",
        ),
        click.option(
            "--mesh",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Run on the nodes of the Receptor mesh that this file describes (docs/guides/slices.md).",
        ),
    )


fleet_options = _fleet_options()
own_fleet_options = _fleet_options(default="localhost,")
