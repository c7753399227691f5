"""A group of verbs. Without one it shows what there is, and ends as wrong use does."""

from __future__ import annotations

import click


class NoVerbError(click.UsageError):
    """A group was called without a verb. ``ctx`` has the group's help."""


class Verbs(click.Group):
    """A group that says itself what happens without a verb: releases of click differ in it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments.

        Raises:
            NoVerbError: there are none.
        """
        if not args and not ctx.resilient_parsing:
            raise NoVerbError("a verb is missing", ctx)
        return super().parse_args(ctx, args)
