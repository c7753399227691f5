"""Every command of the command line, found by its structure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from hardener.cli import main


def commands(
    group: Any = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of the command line, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name), found
