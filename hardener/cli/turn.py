"""A run's turn with its inventory: what a timer starts and what a person starts do not meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click

from hardener.cli.common import FleetOptions
from hardener.errors import HardenerError
from hardener.text import line


@contextmanager
def turn(home: Path, hosts: FleetOptions, *, changing: bool) -> Iterator[None]:
    """Wait until no other run is in the way; a line on standard error says that one is.

    Where nothing can be written it is nobody's turn, and the run goes on: that it is not recorded is said
    anyway, and a host lets two changes not meet.

    Args:
        home: folder of the history.
        hosts: which hosts.
        changing: the run may change them.
    """
    from hardener.fleet import identify
    from hardener.history import History

    inventory, _ = identify(hosts.inventory)

    def say() -> None:
        click.echo(f"another run over {line(inventory, 1000)} is going on: waiting for its end", err=True)

    with ExitStack() as stack:
        with suppress(HardenerError):
            stack.enter_context(History(home).turn(inventory, alone=changing, waiting=say))
        yield
