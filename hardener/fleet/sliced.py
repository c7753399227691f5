"""Run a job in slices on several processes or nodes; a slice that is lost on one moves to another.

A place is whatever runs one slice at a time: an Ansible of its own on this machine, or a node of a mesh. Each
slice has a thread that reads its events; decisions are made by the thread that iterates.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from hardener.fleet.events import Event, Hosts, Idle, Outcome, StepStarted, TaskResult
from hardener.fleet.executor import Execution, Job
from hardener.fleet.interrupts import delayed, interruptible
from hardener.fleet.local import LocalExecutor
from hardener.fleet.slices import Slice, SliceQueue
from hardener.text import line

_IDLE_S = 1.0
_LEASE_S = 30.0  # how long a process may be stopped, and how long hosts wait for a place
_LIST = "list_hosts"


class Attempt(Execution, Protocol):
    """The run of one slice at one place."""

    def events(self) -> Iterator[Event]:
        """Yield the events as they arrive, and ``Idle`` every second; hosts without events are omitted."""

    @property
    def is_complete(self) -> bool:
        """Return whether all hosts of the slice are finished."""

    @property
    def reason(self) -> str:
        """Return why the slice is incomplete."""


class Place(Protocol):
    """A process or node that runs one slice at a time."""

    @property
    def name(self) -> str:
        """Return the unique name of the place."""

    def is_ready(self) -> bool:
        """Return whether the place can accept a slice now."""

    def start(self, job: Job) -> Attempt:
        """Return the execution of a slice."""


class SlicedExecutor:
    """Runs each job in several Ansible processes on this machine.

    Args:
        size: the number of hosts of a slice.
        at_once: how many slices run at once; by default one a core.
    """

    def __init__(self, size: int, *, at_once: int = 0) -> None:
        self._size = size
        self._places = [_Process(f"process {each + 1}") for each in range(at_once or os.cpu_count() or 1)]

    def start(self, job: Job) -> Execution:
        """Return the execution of a job; entering its context starts it."""
        return SlicedExecution(job, lambda _count: self._size, self._places)


class SlicedExecution:
    """A job that runs in slices.

    Args:
        job: what is run.
        size: gives the number of hosts of a slice for a number of hosts.
        places: where slices can run.
        patience: seconds for which hosts wait for a place.
        check: refuses hosts that these places cannot reach.
    """

    def __init__(
        self,
        job: Job,
        size: Callable[[int], int],
        places: Sequence[Place],
        *,
        patience: float = _LEASE_S,
        check: Callable[[tuple[str, ...]], None] | None = None,
    ) -> None:
        self._job = job
        self._patience = patience
        self._check = check
        self._size = size
        self._places = {place.name: place for place in places}
        self._listing: Execution | None = None
        self._slices = SliceQueue(job.playbook, (), 1)
        self._groups: dict[str, tuple[str, ...]] = {}
        self._queue: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._unwanted = threading.Event()
        self._workers: dict[str, threading.Thread] = {}
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self._exit.enter_context(interruptible())
        if self._job.hosts is None:
            listing = replace(self._job, playbook=_LIST, variables={}, check=False, diff=False, label="")
            self._listing = LocalExecutor().start(listing)
            self._exit.enter_context(self._listing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unwanted.set()
        interrupted = None
        while alive := [worker for worker in self._workers.values() if worker.is_alive()]:
            try:
                alive[0].join()
            except KeyboardInterrupt as again:  # Ansible has to end, however often Ctrl-C is pressed
                interrupted = again
        self._exit.__exit__(kind, error, trace)
        if interrupted is not None and kind is None:
            raise interrupted

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Return the outcome of each host in inventory order; complete after the events."""
        return self._slices.outcomes

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the inventory groups of each host."""
        return self._groups

    def __iter__(self) -> Iterator[Event]:
        """Yield the events of all slices as they arrive; ends when all hosts are finished.

        Raises:
            HardenerError: the inventory cannot be read, or has no hosts.
        """
        hosts = self._job.hosts
        if hosts is None:
            hosts = yield from self._listed()
        if self._check:
            self._check(hosts)
        self._slices = SliceQueue(self._job.playbook, hosts, self._size(len(hosts)))
        yield Hosts(hosts, dict(self._groups))
        running: dict[str, Slice] = {}
        patience = time.monotonic() + self._patience
        while running or self._slices.waiting:
            running |= self._give_out(running)
            if running:
                patience = time.monotonic() + self._patience
            elif time.monotonic() > patience:
                yield from self._slices.abandon(
                    f"none of these places can run a slice now: {', '.join(self._places)}"
                )
                break
            try:
                message = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                yield Idle()
                continue
            yield from self._handle(message, running)

    def _listed(self) -> Generator[Event, None, tuple[str, ...]]:
        """Return the hosts of the inventory; yield ``Idle`` while Ansible lists them."""
        assert self._listing is not None
        hosts: tuple[str, ...] = ()
        for event in self._listing:
            if isinstance(event, Hosts):
                hosts = event.names
                self._groups |= event.groups
            elif isinstance(event, Idle):
                yield event
        return hosts

    def _give_out(self, running: dict[str, Slice]) -> dict[str, Slice]:
        """Start a slice at each place that is free and ready; return the started slices by place."""
        given: dict[str, Slice] = {}
        if not self._slices.waiting:
            return given
        ready = [name for name, place in self._places.items() if name not in running and place.is_ready()]
        for name in ready:
            piece = self._slices.take(name, (*ready, *running))
            if piece is None:
                continue
            worker = threading.Thread(
                target=self._work, args=(self._places[name], piece), name=name, daemon=True
            )
            with delayed():
                self._workers[name] = worker
                worker.start()
            given[name] = piece
        return given

    def _handle(self, message: _Message, running: dict[str, Slice]) -> Iterator[Event]:
        piece = running[message.place]
        if message.event is not None:
            if self._is_told(piece, message.event):
                yield message.event
            return
        del running[message.place]
        self._workers[message.place].join()
        if message.outcomes is not None:
            yield from self._slices.ended(piece, message.outcomes)
        else:
            yield from self._slices.lost(piece, message.place, message.reason)

    def _is_told(self, piece: Slice, event: Event) -> bool:
        """Record an event of a slice; return whether it is passed to the caller."""
        if isinstance(event, Hosts):
            self._groups |= {host: inside for host, inside in event.groups.items() if host in piece.hosts}
            return False
        if isinstance(event, TaskResult):
            return self._slices.result(piece, event)
        return not isinstance(event, StepStarted) or event.host in piece.hosts

    def _work(self, place: Place, piece: Slice) -> None:
        """Run a slice in its own thread; always put an end marker into the queue."""
        end = _Message(place.name, reason="ended")
        label = f"{self._job.playbook}-{piece.number}"
        try:
            with place.start(replace(self._job, hosts=piece.hosts, label=label)) as attempt:
                for event in attempt.events():
                    if self._unwanted.is_set():
                        raise _UnwantedError
                    if not isinstance(event, Idle):
                        self._queue.put(_Message(place.name, event=event))
                complete = attempt.is_complete
            if complete:
                end = _Message(place.name, outcomes=attempt.outcomes)
            else:
                end = _Message(place.name, reason=attempt.reason)
        except _UnwantedError:
            pass
        except Exception as error:  # any error must reach the thread that waits
            end = _Message(place.name, reason=line(str(error) or repr(error)))
        finally:
            self._queue.put(end)


class _Process(LocalExecutor):
    """A place on this machine: it starts one Ansible process for each slice."""

    def __init__(self, name: str) -> None:
        super().__init__(lease=_LEASE_S)
        self.name = name

    def is_ready(self) -> bool:
        """Return True: a local place can always accept a slice."""
        return True


@dataclass(frozen=True, slots=True)
class _Message:
    """An event of a slice, or its end: with outcomes if it is complete, with a reason if it was lost."""

    place: str
    event: Event | None = None
    outcomes: dict[str, Outcome] | None = None
    reason: str = ""


class _UnwantedError(Exception):
    """The caller has left the context of the execution."""
