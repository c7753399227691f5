"""``hardener provision``: install and configure Docker on hosts without it, then harden them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hardener.cli.common import Conversation
from hardener.cli.harden import change_request_options
from hardener.errors import ExitCode

if TYPE_CHECKING:
    from hardener.workflows.change import ChangeRequest


@click.command(short_help="Install Docker on hosts without it, and harden them.")
@change_request_options()
def provision(conversation: Conversation, request: ChangeRequest) -> ExitCode:
    """Install Docker on the hosts that have none, then do what `hardener harden` does.

    Docker does not run before its configuration is in place: its units cannot start during the installation,
    and the transaction that writes the configuration starts them. After an interrupted run they cannot start
    either, even after a reboot; the next run continues. Hosts that have Docker are only hardened.

    The reports compare the state at the end with the state before Docker was installed.

    \b
    hardener provision -i inventory.yml --allow connectivity --junit junit.xml
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.provision import provision as carry_out

    return carry_out(request, conversation.listener(*request.files.named().values())).exit_code
