"""Forward ports of this machine to twins on another host, over ssh."""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from hardener.errors import ExitCode, HardenerError
from hardener.text import line
from hardener.workload.exercise import Exercise, Exerciser

_UDP = "_udp"
_READY = 120  # seconds until ssh is connected
_ENDED = 25  # seconds until ssh has ended if its host no longer answers (keepalive of ssh_command)
_GRACE = 5  # seconds between the request to terminate and SIGKILL
_PAUSE = 0.5  # seconds between two measurements of the connection
_STALL = 2.0  # seconds without an answer, after which the connection may have made an exercise fail
_TRIES = 3
_TAIL = 2000  # bytes of ssh's last messages that are kept
# Before the user's options, since the first value counts: a tunnel without ports would mislead.
_OPTIONS = ("ClearAllForwardings=no", "ExitOnForwardFailure=yes", "LogLevel=INFO")
_FAILED = "ssh does not forward the ports of the twins"


class TunnelError(HardenerError):
    """The ports of the twins cannot be reached."""

    exit_code = ExitCode.INCOMPLETE


class Tunnel:
    """Forwards free loopback ports to addresses on another host while its context is entered.

    The remote command is ``cat``. It returns what it is sent, which shows that the ports are open, and how
    fast the host answers. It ends when its input is closed, as it is when this process ends in any way. Then
    ssh ends with the last forwarded connection.

    Args:
        ssh: the command that connects, with the host as its last word; empty for twins on this machine.
        addresses: of the twins on their host, by port.

    Raises:
        TunnelError: on entry, if ssh cannot connect.
    """

    def __init__(self, ssh: Sequence[str], addresses: Mapping[str, str]) -> None:
        self.missing: tuple[str, ...] = ()
        self.addresses = dict(addresses)
        self._ssh = ssh
        self._process: subprocess.Popen[bytes] | None = None
        self._messages = b""
        self._threads: list[threading.Thread] = []
        self._asking = threading.Lock()
        self._reading = threading.Lock()
        self._closed = threading.Event()
        self._slowest = 0.0  # seconds until an answer, since the last exercise began
        self._stalled = False

    def __enter__(self) -> Self:
        if not self._ssh:
            return self
        datagrams = [port for port in self.addresses if port.endswith(_UDP)]
        self.missing = tuple(
            f"{port.removesuffix(_UDP)}/udp is not forwarded: ssh forwards TCP only" for port in datagrams
        )
        there = {port: address for port, address in self.addresses.items() if port not in datagrams}
        self.addresses = {}
        if not there:
            return self
        program, *options, host = self._ssh
        try:
            here = _free(sorted(set(there.values())))
            forwards = [word for address, own in here.items() for word in ("-L", f"{own}:{address}")]
            ours = [word for option in _OPTIONS for word in ("-o", option)]
            self._process = subprocess.Popen(
                [program, *ours, *options, "-T", *forwards, "--", host, "cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # an interrupt reaches this process first
            )
        except OSError as error:
            raise TunnelError(f"{_FAILED}: {error}") from None
        try:
            self._begin(self._read_messages, self._process)
            if not self._answers(self._process, _READY):
                raise TunnelError(f"{_FAILED}: {self._said() or 'the host gave no answer'}")
            self._begin(self._watch, self._process)
        except BaseException:
            self.close()
            raise
        self._messages = b""
        self.addresses = {port: here[address] for port, address in there.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def reliable(self) -> bool:
        """Return whether a failure of the last exercise is not that of the connection."""
        return self._process is None or (self._process.poll() is None and not self._stalled)

    @property
    def least(self) -> float:
        """Return the seconds that an exercise may take at least: if the host is gone, ssh ends earlier."""
        return 0.0 if self._process is None else _ENDED + _GRACE

    def exercised(self, exercise: Exerciser) -> Exercise:
        """Exercise the twins; repeat it if it fails while the connection stalls.

        Returns:
            The exercise, with ssh's messages if it failed. It has failed if the connection ended.
        """
        for _ in range(_TRIES):
            self._slowest, self._messages = 0.0, b""
            done = exercise(self.addresses)
            if self._process is None:
                return done
            if done.problem and not self._answers(self._process, _ENDED):
                self._process.kill()
                self._process.wait()
            said = self._said()
            if self._process.poll() is not None:
                reason = f"the ssh connection to the twins ended: {said or 'without a message'}"
                return replace(done, problem=reason)
            self._stalled = bool(done.problem) and self._slowest >= _STALL
            if not self._stalled:
                break
            said = f"the host did not answer for {self._slowest:.0f} s"
        return replace(done, problem=f"{done.problem} (ssh: {said})") if done.problem and said else done

    def close(self) -> None:
        """End ssh; a second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        self._closed.set()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        process.kill()
        process.wait()
        for thread in self._threads:
            thread.join(_GRACE)  # its end of a pipe is closed
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def _begin(
        self, target: Callable[[subprocess.Popen[bytes]], None], process: subprocess.Popen[bytes]
    ) -> None:
        thread = threading.Thread(target=target, args=(process,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Measure again and again how fast the host answers."""
        with suppress(OSError, ValueError):  # closed meanwhile
            while not self._closed.wait(_PAUSE) and self._answers(process, _ENDED):
                pass

    def _answers(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Return whether the remote command answers in time; one request at a time."""
        with self._asking:
            began = time.monotonic()
            try:
                return self._echoes(process, began + seconds)
            finally:
                self._slowest = max(self._slowest, time.monotonic() - began)

    def _echoes(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Return whether the remote command returns what it is sent before a time of the monotonic clock."""
        assert process.stdin is not None
        assert process.stdout is not None
        token = secrets.token_hex(16).encode()
        with suppress(BrokenPipeError):
            process.stdin.write(token + b"\n")
        answer = b""
        while token not in answer:  # a profile of the user may print something before
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                return False
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
                return False
            answer = answer[-len(token) :] + piece
        return True

    def _read_messages(self, process: subprocess.Popen[bytes]) -> None:
        """Keep the last messages of ssh; they come from the host too, without end if it wants."""
        assert process.stderr is not None
        with suppress(OSError, ValueError):  # closed meanwhile
            while select.select([process.stderr], [], []) and self._take_messages(process):
                pass

    def _take_messages(self, process: subprocess.Popen[bytes]) -> bool:
        """Keep what ssh has written, at most what fits into its pipe; return whether more may come."""
        assert process.stderr is not None
        with self._reading:
            if not select.select([process.stderr], [], [], 0)[0]:
                return True
            piece = os.read(process.stderr.fileno(), 65536)
            self._messages = (self._messages + piece)[-_TAIL:]
        return bool(piece)

    def _said(self) -> str:
        """Return the last two messages of ssh on one line."""
        if self._process is not None:
            with suppress(OSError, ValueError):  # the thread may be late
                self._take_messages(self._process)
            if self._process.poll() is not None:
                self._threads[0].join(_GRACE)  # which reads them
        lines = self._messages.decode(errors="replace").strip().splitlines()
        return line("; ".join(each.strip() for each in lines[-2:]), 300)


def _free(addresses: Sequence[str]) -> dict[str, str]:
    """Return a free port of the loopback interface for each address."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in addresses]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {
            address: f"127.0.0.1:{each.getsockname()[1]}"
            for address, each in zip(addresses, sockets, strict=True)
        }
