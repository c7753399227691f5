"""Options for the targets that are notified of the result of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from hardener.errors import HardenerError

if TYPE_CHECKING:
    from hardener.notify import Target


def _command(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Target | None:
    from hardener.notify import Command

    return _target(Command, value)


def _webhook(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Target | None:
    from hardener.notify import Webhook

    return _target(Webhook, value)


def _target(kind: Callable[[str], Target], value: str | None) -> Target | None:
    try:
        return kind(value) if value is not None else None
    except HardenerError as error:
        raise click.BadParameter(str(error)) from error


def notify_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the targets of notifications."""
    command = click.option(
        "--notify-command",
        callback=_command,
        metavar="COMMAND",
        help="On drift or failure run this command, with the changes as JSON on its standard input.",
    )
    url = click.option(
        "--notify-url",
        envvar="HARDENER_NOTIFY_URL",
        callback=_webhook,
        metavar="URL",
        help="On drift or failure post the same JSON to this URL. For secrets use $HARDENER_NOTIFY_URL.",
    )
    return command(url(function))
