"""Treat termination signals as Ctrl-C while Ansible runs: it has its own session and would continue."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# The handlers that Python gives these signals, and that are replaced.
_DEFAULTS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


class _Delay:
    """Whether interrupts are delayed now, and whether an interrupt has arrived meanwhile."""

    active = False
    arrived = False


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at a termination signal, unless the program has a handler of its own.

    Only the main thread receives signals; in others this does nothing.
    """
    handlers: dict[signal.Signals, Any] = {}
    if _in_main_thread():
        for number, default in _DEFAULTS.items():
            if signal.getsignal(number) is default:
                handlers[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def delayed() -> Iterator[None]:
    """Delay the interrupts of ``interruptible`` to the end of the context, which has to be short.

    ``Thread.start`` belongs into it: interrupted, it leaves a thread that runs and cannot be joined.
    """
    if not _in_main_thread():
        yield
        return
    _Delay.active = True
    try:
        yield
    finally:
        _Delay.active = False
        if _Delay.arrived:
            _Delay.arrived = False
            raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if _Delay.active:
        _Delay.arrived = True
    else:
        raise KeyboardInterrupt
