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
from types import TracebackType
from typing import Any, Self

from hardener import umask
from hardener.errors import HardenerError, InternalError
from hardener.fleet.events import Event, Hosts, Idle, Outcome, State, StepStarted, TaskResult, translate
from hardener.fleet.failure import failure
from hardener.fleet.interrupts import delayed, interruptible
from hardener.text import LONGEST, line
from hardener.workfolder import temporary_folder

_IDLE_S = 1.0
_POLL_S = 0.2  # how often ansible-runner checks whether it should stop
_HEAD_START_S = 0.1  # Ansible's start takes longest; another Python thread would slow it down
_GRACE_S = 5.0
_LOOK_S = 0.01  # how often to check whether Ansible has started
_PRINTED_LINES = 1000
_PID_FILE = "ansible.pid"

_Options = Callable[[Path], dict[str, Any]]


class Run:
    """A running playbook on this machine; created by ``LocalExecutor``.

    Args:
        options: gives ansible-runner's options, once there is a folder for its files.
        label: what its artifacts are called.
        artifacts: where they are kept; None removes them.
        echo: called with each line that Ansible prints.
        lease: seconds for which Ansible may be stopped by a signal, until it is killed; None for ever.
    """

    def __init__(
        self,
        options: _Options,
        *,
        label: str,
        artifacts: Path | None = None,
        echo: Callable[[str], None] | None = None,
        lease: float | None = None,
    ) -> None:
        self._options = options
        self._lease = lease
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
        self._groups: dict[str, tuple[str, ...]] = {}
        self._reasons: dict[str, str] = {}
        self._stats: dict[str, Any] | None = None
        self._end: _End | None = None

    def __enter__(self) -> Self:
        self._folder = self._exit.enter_context(temporary_folder())
        self._exit.enter_context(interruptible())
        self._thread = threading.Thread(target=self._work, name=f"ansible-{self._label}", daemon=True)
        try:
            with delayed():
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
        """Yield the events as they arrive; ends when Ansible has finished all hosts.

        Raises:
            HardenerError: Ansible stopped before it got to any host.
        """
        yield from self.events()
        if not self._hosts:
            raise self._failure()
        for host, outcome in self.outcomes.items():
            if not outcome.ended_well and host not in self._reasons:  # it was not reported yet
                yield TaskResult(host, "", State.FAILED, outcome.reason)

    def events(self) -> Iterator[Event]:
        """Yield the events as they arrive; hosts that Ansible did not reach have none."""
        active = time.monotonic()
        while self._stats is None:
            try:
                raw = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                if self._lease is None or not self._is_stopped():
                    active = time.monotonic()
                elif time.monotonic() > active + self._lease:
                    self._kill()
                yield Idle()
                continue
            active = time.monotonic()
            if isinstance(raw, _End):
                self._end = raw
                break
            if event := self._handle(raw):
                yield event

    @property
    def is_complete(self) -> bool:
        """Return whether Ansible finished all hosts; it may have stopped early, or been killed."""
        return self._stats is not None

    @property
    def reason(self) -> str:
        """Return why Ansible stopped early."""
        return self._failure().message

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Return the outcome of each host in inventory order; complete after the events."""
        stats = self._stats or {}
        return {host: self._outcome(host, stats) for host in self._hosts}

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the inventory groups of each host; empty unless the playbook reports them."""
        return self._groups

    def _outcome(self, host: str, stats: dict[str, Any]) -> Outcome:
        return outcome_of(
            host, stats, self._reasons, "" if host in stats.get("processed", ()) else self.reason
        )

    def _failure(self) -> HardenerError:
        if self._end and isinstance(self._end.error, UnicodeEncodeError):
            return HardenerError(
                f"Ansible requires names in UTF-8: {line(self._end.error.object)}",
                hint="rename the file or folder, or work in another folder",
            )
        if self._end and self._end.error:
            return InternalError(f"ansible-runner failed: {line(repr(self._end.error))}")
        if self._stats is not None:
            return HardenerError("the inventory has no hosts")
        return failure(self._printed, code=self._end.code if self._end else 0)

    def _handle(self, raw: dict[str, Any]) -> Event | None:
        if raw.get("event") == "playbook_on_stats":
            self._stats = raw["event_data"]
        event = translate(raw)
        if isinstance(event, StepStarted) and event.host not in self._hosts:
            return None
        if isinstance(event, Hosts):
            self._hosts |= dict.fromkeys(event.names)
            self._groups |= event.groups
        elif isinstance(event, TaskResult):
            self._hosts.setdefault(event.host)
            if event.reason:
                self._reasons[event.host] = event.reason
        return event

    # --- the thread that runs Ansible ---------------------------------------------------------------------

    def _work(self) -> None:
        """Run Ansible; always put an end marker into the queue."""
        assert self._folder is not None
        ident = self._ident()
        try:
            from ansible_runner import interface  # noqa: PLC0415 - no other module needs what it imports

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
        except Exception as error:  # any error must reach the thread that waits
            self._queue.put(_End(error=error))
        else:
            self._queue.put(_End(code=runner.rc or 0))
        finally:
            self._begun.set()
            if self._artifacts:  # ansible-runner writes the whole environment to it, including secrets
                (self._artifacts / ident / "command").unlink(missing_ok=True)

    def _adapt(self, config: Any) -> None:
        """Set the command, the environment and the settings of ansible-runner.

        ansible-runner ignores its argument ``settings`` unless there is a file ``env/settings``, which it
        does not write because of ``suppress_env_files``.
        """
        config.pexpect_timeout = _POLL_S
        config.suppress_output_file = self._artifacts is None
        # -P: do not import from the script's own folder.
        script = Path(__file__).with_name("ansible_playbook.py")
        config.command[:1] = (
            sys.executable,
            "-P",
            str(script),
            str(self._pid_file),
            f"{umask.given():o}",
        )
        # ansible-runner fails if the environment is not UTF-8.
        config.env = {name: value for name, value in config.env.items() if _is_text(name + value)}

    def _on_status(self, status: Mapping[str, Any], **_: Any) -> None:
        if status["status"] == "running":
            self._begun.set()

    def _on_event(self, raw: dict[str, Any]) -> bool:
        """Receive an event; the result says whether ansible-runner writes it to a file."""
        if text := raw.get("stdout"):
            self._printed.append(text[:LONGEST])
            if self._echo:
                self._echo(text)
        self._queue.put(raw)
        return self._artifacts is not None and not _holds_variables(raw)

    def _ident(self) -> str:
        """Return an unused name for the artifacts of this run."""
        if self._artifacts is None or not (self._artifacts / self._label).exists():
            return self._label
        taken = len(list(self._artifacts.glob(f"{self._label}*")))
        return f"{self._label}-{taken + 1}"

    # --- ending -------------------------------------------------------------------------------------------

    def _leave(self, *, interrupted: bool) -> None:
        """End Ansible and remove its files."""
        try:
            self._stop(interrupt=interrupted)
        finally:
            if self._folder:
                with suppress(OSError):  # ansible-runner finds no folder of this name to write to
                    self._folder = self._folder.rename(self._folder.with_suffix(".gone"))
                shutil.rmtree(self._folder, ignore_errors=True)
            self._exit.close()

    def _stop(self, *, interrupt: bool) -> None:
        """Wait for Ansible to end, or terminate it."""
        assert self._thread is not None
        ended = False
        try:
            if interrupt:
                self._unwanted.set()
                # Ansible forwards it to its workers and removes its files; after SIGKILL these would stay.
                with suppress(ProcessLookupError):
                    if pid := self._pid(within=_GRACE_S):
                        os.kill(pid, signal.SIGINT)
            elif not (self._artifacts or self._echo) and (pid := self._pid(within=0)):
                # ansible-runner sleeps 0.1 s before it writes a file that is not used here.
                ended = _ends(pid, within=_GRACE_S)
            if not ended:
                self._thread.join(_GRACE_S)
        finally:  # end the rest, however often Ctrl-C is pressed
            self._cancelled.set()
            if not ended:
                self._thread.join()

    def _is_stopped(self) -> bool:
        """Return whether a signal has stopped Ansible's process, which does not end until it is continued."""
        with suppress(OSError, IndexError):
            if pid := self._pid(within=0):
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
                return stat.rpartition(")")[2].split()[0] in "Tt"
        return False

    def _kill(self) -> None:
        """Kill Ansible; unfinished hosts count as failed."""
        with suppress(ProcessLookupError):
            if pid := self._pid(within=0):
                os.kill(pid, signal.SIGKILL)

    @property
    def _pid_file(self) -> Path:
        assert self._folder is not None
        return self._folder / _PID_FILE

    def _pid(self, *, within: float) -> int:
        """Return the process id that Ansible writes when it starts; 0 before that and after its end."""
        assert self._thread is not None
        deadline = time.monotonic() + within
        while self._thread.is_alive():
            with suppress(OSError, ValueError):
                return int(self._pid_file.read_text(encoding="ascii"))
            if time.monotonic() >= deadline:
                break
            time.sleep(_LOOK_S)
        return 0


def outcome_of(host: str, stats: Mapping[str, Any], reasons: Mapping[str, str], stopped: str) -> Outcome:
    """Return the outcome of a host from the statistics that Ansible reports at its end.

    Args:
        host: its name.
        stats: Ansible's counts; empty where it stopped early.
        reasons: why hosts failed.
        stopped: why Ansible stopped early.
    """
    reason = reasons.get(host, "")
    if host in stats.get("dark", ()):
        return Outcome(State.UNREACHABLE, reason)
    if host in stats.get("failures", ()):
        return Outcome(State.FAILED, reason)
    if host not in stats.get("processed", ()):
        return Outcome(State.FAILED, reason or f"Ansible stopped early: {stopped}")
    if reason and host not in stats.get("rescued", ()):  # Ansible does not know that an answer was refused
        return Outcome(State.FAILED, reason)
    return Outcome(State.CHANGED if host in stats.get("changed", ()) else State.OK)


def _is_text(value: str) -> bool:
    """Return whether text is valid UTF-8; Python represents invalid bytes as unpaired surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _holds_variables(raw: Mapping[str, Any]) -> bool:
    """Return whether an event contains variables of the site, which may be secret and are not stored."""
    action = (raw.get("event_data") or {}).get("resolved_action")
    return raw.get("event") == "runner_on_ok" and action == "ansible.builtin.set_fact"


def _ends(pid: int, *, within: float) -> bool:
    """Return whether a process ends within some seconds; False where the system cannot tell."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):  # not Linux, or an old kernel
        return False
    try:
        poll = select.poll()  # select() accepts only small descriptors
        poll.register(process, select.POLLIN)
        return bool(poll.poll(within * 1000))
    finally:
        os.close(process)


class _End:
    """Ansible has ended."""

    def __init__(self, *, code: int = 0, error: Exception | None = None) -> None:
        self.code = code
        self.error = error
