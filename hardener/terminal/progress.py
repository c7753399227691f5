"""Show progress on standard error: a live line on a terminal, otherwise a new line at intervals."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import time
from types import TracebackType
from typing import Self, TextIO

import click

from hardener.fleet import Event, Hosts, SliceLost, State, StepStarted, TaskResult, TaskStarted
from hardener.text import block, line

_REDRAW_S = 0.1
_LINE_EVERY_S = 10.0
_SAME_LINE_EVERY_S = 60.0  # if neither the task nor the number of hosts has changed
_STEPS_SHOWN = 3  # hosts whose step has taken longest
_CLEAR = "\r\x1b[K"


def echo(text: str) -> None:
    """Show a line that Ansible printed."""
    click.echo(block(text), err=True)


def duration(seconds: float) -> str:
    """Format a duration: ``4 s``, ``2 min 5 s``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """The progress of a run over the fleet.

    A host is done after its last task, or when it has failed; failures are permanent lines.

    Args:
        label: the name of the work, such as ``audit``.
        stream: the output; standard error.
        live: whether a live line is allowed; not if others write to the same stream.
        quiet: show only failures of hosts and warnings.
    """

    def __init__(
        self, label: str, *, stream: TextIO | None = None, live: bool = True, quiet: bool = False
    ) -> None:
        self._label = label
        self._last_time = 0.0
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb" and live and not quiet
        self._colour = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._started = self._shown = time.monotonic()
        self._hosts: tuple[str, ...] = ()
        self._done: set[str] = set()
        self._failed: dict[State, int] = {State.UNREACHABLE: 0, State.FAILED: 0}
        self._task = ""
        self._steps: dict[str, tuple[str, float]] = {}  # step and its beginning by host, the oldest first
        self._said = (self._task, 0)

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        if error is None and not self._quiet:
            self._write(f"{self._status()}\n")

    def expect(self, seconds: float) -> None:
        """Set the duration of the previous run over these hosts, for the live line; 0 shows nothing."""
        self._last_time = seconds

    def show(self, event: Event) -> None:
        """Receive an event of the run."""
        match event:
            case Hosts(names):
                self._hosts = names
            case TaskStarted(name):
                self._task = name
            case StepStarted(host, name):
                self._steps.pop(host, None)
                self._steps[host] = (name, time.monotonic())
            case SliceLost(number, hosts, reason):
                again = f"{len(hosts)} host{' is' if len(hosts) == 1 else 's are'} asked again"
                self.note(f"slice {number} was lost: {line(reason)}; {again}", colour="yellow")
            case TaskResult(host, state=state, reason=reason, last=last):
                self._steps.pop(host, None)
                if state in self._failed:
                    self._failed[state] += 1
                    self.note(f"{line(host)}: {state}: {line(reason)}", colour="red")
                if last or state in self._failed:
                    self._done.add(host)
        if self._quiet or time.monotonic() - self._shown < self._interval():
            return
        if self._live:
            self._draw()
        else:
            self._said = (self._task, len(self._done))
            self._write(f"{self._doing()}\n")

    def note(self, text: str, *, colour: str | None = None) -> None:
        """Print a permanent line; with a colour for failures and warnings."""
        if self._quiet and not colour:
            return
        self._write(f"{click.style(text, fg=colour) if colour and self._colour else text}\n")
        self._draw()

    def clear(self) -> None:
        """Clear the live line before other output to the same terminal."""
        self._write("")

    def _interval(self) -> float:
        """Return the seconds until the next line of progress."""
        if self._live:
            return _REDRAW_S
        return _SAME_LINE_EVERY_S if self._said == (self._task, len(self._done)) else _LINE_EVERY_S

    def _status(self) -> str:
        hosts = len(self._hosts) or len(self._done)
        parts = [f"{len(self._done)} of {hosts} host{'' if hosts == 1 else 's'}"] if hosts else []
        parts += ["starting"] if not parts and not self._task else []
        parts += [f"{count} {state}" for state, count in self._failed.items() if count]
        return f"{self._label}: {', '.join([*parts, f'{time.monotonic() - self._started:.1f} s'])}"

    def _doing(self) -> str:
        doing = self._step() or self._task
        text = f"{self._status()} ({doing})" if doing else self._status()
        return f"{text}; last time {duration(self._last_time)} in all" if self._last_time else text

    def _step(self) -> str:
        """Return the running steps of transactions with their durations, longest first, or empty text."""
        now = time.monotonic()
        steps = [
            f"{f'{line(host, 60)}: ' if len(self._hosts) > 1 else ''}{name} {duration(now - began)}"
            for host, (name, began) in itertools.islice(self._steps.items(), _STEPS_SHOWN)
        ]
        more = len(self._steps) - len(steps)
        return ", ".join([*steps, *([f"+{more} more"] if more else [])])

    def _draw(self) -> None:
        """Redraw the live line, if there is one."""
        if not self._live:
            return
        text = self._doing()[: shutil.get_terminal_size().columns - 1]  # a wrapped line could not be cleared
        self._write(click.style(text, dim=True) if self._colour else text)

    def _write(self, text: str) -> None:
        self._stream.write(f"{_CLEAR}{text}" if self._live else text)
        self._stream.flush()
        self._shown = time.monotonic()
