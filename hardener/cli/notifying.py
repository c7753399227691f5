"""Tell others how a run has ended, once it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from hardener.errors import ExitCode, HardenerError

if TYPE_CHECKING:
    from hardener.cli.drifting import Watch
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
    """Who is told."""
    command = click.option(
        "--notify-command",
        callback=_command,
        metavar="COMMAND",
        help="On drift or failure run this, with what moved as JSON on its standard input.",
    )
    url = click.option(
        "--notify-url",
        envvar="HARDENER_NOTIFY_URL",
        callback=_webhook,
        metavar="URL",
        help="On drift or failure post the same JSON there. Secrets in it are safer in $HARDENER_NOTIFY_URL.",
    )
    return command(url(function))


class Notification:
    """Around a run: when it has ended with anything but success, everybody is told.

    Args:
        targets: who.
        inventory: as the user gave it.
    """

    def __init__(self, targets: Sequence[Target | None], inventory: str) -> None:
        self._targets = [target for target in targets if target]
        self._inventory = inventory
        self.watch: Watch | None = None
        self.code: ExitCode | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            code = error.exit_code if isinstance(error, HardenerError) else ExitCode.INTERNAL
            self._tell(code, str(error) or type(error).__name__)
        elif error is None and self.code:  # neither success nor somebody's Ctrl-C
            self._tell(self.code)

    def _tell(self, code: ExitCode, error: str = "") -> None:
        if not self._targets:
            return
        from hardener.fleet import identify
        from hardener.notify import Event, deliver, message

        watch = self.watch
        event = Event(
            inventory=identify(self._inventory)[0],
            exit_code=code,
            run=watch.run_id if watch else "",
            against=watch.before.id if watch else "",
            found=watch.found if watch else None,
            left=watch.left if watch else None,
            error=error,
        )
        deliver(
            self._targets,
            message(event),
            warn=lambda text: click.echo(f"hardener: warning: {text}", err=True),
        )
