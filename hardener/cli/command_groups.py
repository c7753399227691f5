"""Groups of commands: without a command they print their help and end like a usage error."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click


class NoCommandError(click.UsageError):
    """A group was called without a command. ``ctx`` provides the help of the group."""


class CommandGroup(click.Group):
    """A group that handles a missing command itself, since releases of click handle it differently."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            NoCommandError: the command is missing.
        """
        if not args and not ctx.resilient_parsing:
            raise NoCommandError("a command is missing", ctx)
        return super().parse_args(ctx, args)


class LazyCommandGroup(CommandGroup):
    """A group whose commands are modules of one package, each imported when it is called.

    Args:
        package: full name of the package.
        names: the commands; each is the function of that name in the module of that name.
        arguments: what ``click.Group`` takes by position.
        attributes: what it takes by name.
    """

    def __init__(self, *arguments: Any, package: str, names: Sequence[str], **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._package = package
        self._names = tuple(names)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """List the names of the commands."""
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command by its name."""
        # For an unknown name import all commands: click suggests similar names among the imported ones.
        for name in (cmd_name,) if cmd_name in self._names else self._names:
            if name not in self.commands:
                self.add_command(getattr(import_module(f"{self._package}.{name}"), name))
        return super().get_command(ctx, cmd_name)
