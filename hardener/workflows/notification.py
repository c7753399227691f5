"""Send a notification when a run has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hardener.errors import ExitCode, HardenerError

if TYPE_CHECKING:
    from hardener.notify import Target
    from hardener.workflows.drift import DriftResult


class Notification:
    """A context around a run; at its end every target is notified of news, and of a failure.

    Args:
        targets: the targets.
        inventory: as the user gave it.
        warn: receives a line for each failed delivery.

    Attributes:
        result: the result of the run so far.
        ended: whether the run has ended.
    """

    def __init__(self, targets: Sequence[Target], inventory: str, *, warn: Callable[[str], None]) -> None:
        self._targets = targets
        self._inventory = inventory
        self._warn = warn
        self.result: DriftResult | None = None
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            code = error.exit_code if isinstance(error, HardenerError) else ExitCode.INTERNAL
            self._notify(code, str(error) or type(error).__name__)
        elif error is None and self.ended and self.result and not self.result.is_known:  # not after Ctrl-C
            self._notify(self.result.exit_code)

    def _notify(self, code: ExitCode, error: str = "") -> None:
        if not (self._targets and code):
            return
        from hardener.fleet import inventory_name
        from hardener.notify import Event, deliver, message

        result = self.result
        event = Event(
            inventory=inventory_name(self._inventory),
            exit_code=code,
            run=result.run_id if result else "",
            against=result.before.id if result else "",
            found=result.found if result else None,
            left=result.remaining if result else None,
            wishes={host: [each.name for each in left] for host, left in result.wishes.left.items()}
            if result
            else {},
            error=error,
        )
        deliver(self._targets, message(event), warn=self._warn)
