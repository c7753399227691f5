"""A group of verbs: without a verb it prints its help and ends like a usage error."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click


class NoVerbError(click.UsageError):
    """A group was called without a verb. ``ctx`` provides the help of the group."""


class Verbs(click.Group):
    """A group that handles a missing verb itself: releases of click differ in that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            NoVerbError: there are none.
        """
        if not args and not ctx.resilient_parsing:
            raise NoVerbError("a verb is missing", ctx)
        return super().parse_args(ctx, args)


class LazyVerbs(Verbs):
    """A group whose verbs are modules of one package; the module of a verb is imported when it is called.

    Args:
        package: full name of the package.
        names: the verbs; each is the command of that name in the module of that name.
        arguments: what ``click.Group`` takes by position.
        attributes: what it takes by name.
    """

    def __init__(self, *arguments: Any, package: str, names: Sequence[str], **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._package = package
        self._names = tuple(names)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """List the names of the verbs."""
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb by its name."""
        # For an unknown name import all verbs: click suggests similar names among the imported ones.
        for name in (cmd_name,) if cmd_name in self._names else self._names:
            if name not in self.commands:
                self.add_command(getattr(import_module(f"{self._package}.{name}"), name))
        return super().get_command(ctx, cmd_name)
