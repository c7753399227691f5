"""One run of ansible-runner: started in the background, read as a stream of events, always cleaned up.

Ansible works while the caller does something else or looks at what has come already; its files are in a
private folder that is gone afterwards. However the caller leaves, Ansible and its workers are ended.
"""

from __future__ import annotations

import os
import queue
import select
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from ansible_runner import interface

from hardener import umask
from hardener.errors import HardenerError, InternalError
from hardener.fleet.events import Event, Hosts, Idle, Outcome, State, TaskResult, translate
from hardener.fleet.failure import failure
from hardener.text import line
from hardener.workfolder import temporary_folder

_IDLE_S = 1.0
_POLL_S = 0.2  # how often ansible-runner asks whether it should stop
_HEAD_START_S = 0.1  # Ansible takes longest: until it runs, another thread of Python would only be in the way
_GRACE_S = 5.0
_LOOK_S = 0.01  # how often one looks whether Ansible has begun
_PRINTED_LINES = 1000
_PID_FILE = "ansible.pid"

_Options = Callable[[Path], dict[str, Any]]


class Run:
    """A playbook that runs; made by ``Fleet.run``.

    Args:
        options: gives ansible-runner's options, once there is a folder for its files.
        label: what its artifacts are called.
        artifacts: where they are kept; None removes them.
        echo: called with each line that Ansible prints.
    """

    def __init__(
        self,
        options: _Options,
        *,
        label: str,
        artifacts: Path | None = None,
        echo: Callable[[str], None] | None = None,
    ) -> None:
        self._options = options
        self._label = label
        self._artifacts = artifacts
        self._echo = echo
        self._queue: queue.SimpleQueue[dict[str, Any] | _End] = queue.SimpleQueue()
        self._unwanted = threading.Event()
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._folder: Path | None = None
        self._exit = ExitStack()
        self._printed: deque[str] = deque(maxlen=_PRINTED_LINES)
        self._hosts: dict[str, None] = {}
        self._reasons: dict[str, str] = {}
        self._stats: dict[str, Any] | None = None
        self._end: _End | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._folder = self._exit.enter_context(temporary_folder())
        self._watch_signals()
        self._thread = threading.Thread(target=self._work, name=f"ansible-{self._label}", daemon=True)
        try:
            self._thread.start()
            self._begun.wait(_HEAD_START_S)
        except BaseException:
            self._leave(interrupted=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(interrupted=kind is not None or (self._stats is None and self._end is None))

    def __iter__(self) -> Iterator[Event]:
        """The events, as they come; ends when Ansible has done all hosts.

        Raises:
            HardenerError: Ansible stopped before it got to any host.
        """
        while self._stats is None:
            try:
                raw = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                yield Idle()
                continue
            if isinstance(raw, _End):
                self._end = raw
                break
            if event := self._take(raw):
                yield event
        if not self._hosts:
            raise self._failure()
        for host, outcome in self.outcomes.items():
            if not outcome.ended_well and host not in self._reasons:  # nobody has heard of it yet
                yield TaskResult(host, "", State.FAILED, outcome.reason)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """How the run ended on each host, in the order of the inventory; complete after the events."""
        stats = self._stats or {}
        return {host: self._outcome(host, stats) for host in self._hosts}

    def _outcome(self, host: str, stats: dict[str, Any]) -> Outcome:
        reason = self._reasons.get(host, "")
        if host in stats.get("dark", ()):
            return Outcome(State.UNREACHABLE, reason)
        if host in stats.get("failures", ()):
            return Outcome(State.FAILED, reason)
        if host not in stats.get("processed", ()):
            return Outcome(
                State.FAILED, reason or f"Ansible ended before it was done: {self._failure().message}"
            )
        return Outcome(State.CHANGED if host in stats.get("changed", ()) else State.OK)

    def _failure(self) -> HardenerError:
        if self._end and isinstance(self._end.error, UnicodeEncodeError):
            return HardenerError(
                f"Ansible takes no name that is not UTF-8: {line(self._end.error.object)}",
                hint="rename it, or work elsewhere",
            )
        if self._end and self._end.error:
            return InternalError(f"ansible-runner failed: {line(repr(self._end.error))}")
        if self._stats is not None:
            return HardenerError("the inventory has no hosts")
        return failure(self._printed, code=self._end.code if self._end else 0)

    def _take(self, raw: dict[str, Any]) -> Event | None:
        if raw.get("event") == "playbook_on_stats":
            self._stats = raw["event_data"]
        event = translate(raw)
        if isinstance(event, Hosts):
            self._hosts |= dict.fromkeys(event.names)
        elif isinstance(event, TaskResult):
            self._hosts.setdefault(event.host)
            if event.reason:
                self._reasons[event.host] = event.reason
        return event

    # --- the thread that runs Ansible ---------------------------------------------------------------------

    def _work(self) -> None:
        """Run Ansible; whatever happens, the queue gets its end."""
        assert self._folder is not None
        ident = self._ident()
        try:
            runner = interface.init_runner(
                **self._options(self._folder),
                private_data_dir=str(self._folder),
                artifact_dir=str(self._artifacts.absolute()) if self._artifacts else None,
                ident=ident,
                quiet=True,
                suppress_env_files=True,
                event_handler=self._on_event,
                status_handler=self._on_status,
                cancel_callback=self._cancelled.is_set,
            )
            self._adapt(runner.config)
            if not self._unwanted.is_set():
                runner.run()
        except Exception as error:  # whatever it is, the thread that waits must know
            self._queue.put(_End(error=error))
        else:
            self._queue.put(_End(code=runner.rc or 0))
        finally:
            self._begun.set()
            if self._artifacts:  # ansible-runner writes the whole environment there, with whatever secrets
                (self._artifacts / ident / "command").unlink(missing_ok=True)

    def _adapt(self, config: Any) -> None:
        """Set what ansible-runner has no option for, or forgets where its own files are suppressed."""
        config.pexpect_timeout = _POLL_S
        config.suppress_output_file = self._artifacts is None
        # -P: a script's own folder is no place to import from.
        script = Path(__file__).with_name("ansible_playbook.py")
        config.command[:1] = (
            sys.executable,
            "-P",
            str(script),
            str(self._pid_file),
            f"{umask.given():o}",
        )
        # ansible-runner gives up where the environment is no UTF-8.
        config.env = {name: value for name, value in config.env.items() if _is_text(name + value)}

    def _on_status(self, status: Mapping[str, Any], **_: Any) -> None:
        if status["status"] == "running":
            self._begun.set()

    def _on_event(self, raw: dict[str, Any]) -> bool:
        """Take an event; the answer says whether ansible-runner writes it to a file."""
        if text := raw.get("stdout"):
            self._printed.append(text)
            if self._echo:
                self._echo(text)
        self._queue.put(raw)
        return self._artifacts is not None and not _holds_variables(raw)

    def _ident(self) -> str:
        """A name for this run's artifacts that is not taken."""
        if self._artifacts is None or not (self._artifacts / self._label).exists():
            return self._label
        taken = len(list(self._artifacts.glob(f"{self._label}*")))
        return f"{self._label}-{taken + 1}"

    # --- ending -------------------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        """Let a termination end the run as Ctrl-C does: Ansible has a session of its own and would go on."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._handlers[number] = signal.signal(number, _interrupt)

    def _leave(self, *, interrupted: bool) -> None:
        """Have Ansible ended and nothing left of it."""
        try:
            self._stop(interrupt=interrupted)
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            if self._folder:
                with suppress(OSError):  # under that name ansible-runner finds nothing to write into
                    self._folder = self._folder.rename(self._folder.with_suffix(".gone"))
                shutil.rmtree(self._folder, ignore_errors=True)
            self._exit.close()

    def _stop(self, *, interrupt: bool) -> None:
        """Wait for Ansible to end, or make it."""
        assert self._thread is not None
        ended = False
        try:
            if interrupt:
                self._unwanted.set()
                # Ansible passes it on to its workers, which have sessions of their own; a kill would not.
                with suppress(ProcessLookupError):
                    if pid := self._pid(within=_GRACE_S):
                        os.kill(pid, signal.SIGINT)
            elif not (self._artifacts or self._echo) and (pid := self._pid(within=0)):
                # ansible-runner sleeps a tenth of a second before it writes what nobody reads here.
                ended = _ends(pid, within=_GRACE_S)
            if not ended:
                self._thread.join(_GRACE_S)
        finally:  # whatever is left, and however often Ctrl-C is pressed
            self._cancelled.set()
            if not ended:
                self._thread.join()

    @property
    def _pid_file(self) -> Path:
        assert self._folder is not None
        return self._folder / _PID_FILE

    def _pid(self, *, within: float) -> int:
        """Ansible's process, which says its number first of all; 0 where there is none, or none any more."""
        assert self._thread is not None
        deadline = time.monotonic() + within
        while self._thread.is_alive():
            with suppress(OSError, ValueError):
                return int(self._pid_file.read_text(encoding="ascii"))
            if time.monotonic() >= deadline:
                break
            time.sleep(_LOOK_S)
        return 0


def _is_text(value: str) -> bool:
    """Whether it is UTF-8; Python has halves of surrogate pairs for bytes that are not."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _holds_variables(raw: Mapping[str, Any]) -> bool:
    """Whether an event repeats what a site has set: a token in log options has no place among artifacts."""
    action = (raw.get("event_data") or {}).get("resolved_action")
    return raw.get("event") == "runner_on_ok" and action == "ansible.builtin.set_fact"


def _ends(pid: int, *, within: float) -> bool:
    """Whether a process has ended, or does within so many seconds; False where this system cannot tell."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):  # not Linux, or an old one
        return False
    try:
        poll = select.poll()  # select() takes only small numbers
        poll.register(process, select.POLLIN)
        return bool(poll.poll(within * 1000))
    finally:
        os.close(process)


class _End:
    """Ansible has ended."""

    def __init__(self, *, code: int = 0, error: Exception | None = None) -> None:
        self.code = code
        self.error = error


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
