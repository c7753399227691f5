"""Forward ports of this machine to twins on another host, over ssh."""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import TracebackType
from typing import IO, Self

from hardener.errors import ExitCode, HardenerError
from hardener.text import line
from hardener.workload.exercise import Exercise

_UDP = "_udp"
_READY = 120  # seconds until ssh is connected
_GRACE = 5  # seconds between the request to terminate and SIGKILL
_MOST = 65536  # bytes that a host may print before it answers
_TAIL = 2000  # bytes of ssh's messages that are read


class TunnelError(HardenerError):
    """The ports of the twins cannot be reached."""

    exit_code = ExitCode.INCOMPLETE


class Tunnel:
    """Forwards free loopback ports to addresses on another host while its context is entered.

    The remote command is ``cat``. It returns what it is sent, which shows that the ports are open. It ends
    when its input is closed, as it is when this process ends in any way: then ssh ends too.

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
        self._messages: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if not self._ssh:
            return self
        datagrams = [port for port in self.addresses if port.endswith(_UDP)]
        self.missing = tuple(
            f"{port.removesuffix(_UDP)}/udp is not forwarded: ssh forwards TCP only" for port in datagrams
        )
        there = {port: address for port, address in self.addresses.items() if port not in datagrams}
        here = _free(sorted(set(there.values())))
        self.addresses = {port: here[address] for port, address in there.items()}
        forwards = [word for address, own in here.items() for word in ("-L", f"{own}:{address}")]
        options = ("-T", "-o", "ExitOnForwardFailure=yes", *forwards)
        self._messages = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [*self._ssh[:-1], *options, "--", self._ssh[-1], "cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._messages,
                bufsize=0,
                start_new_session=True,  # an interrupt reaches this process first
            )
            self._wait(self._process)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def open(self) -> bool:
        """Return whether ssh is still connected; True if the twins are on this machine."""
        return self._process is None or self._process.poll() is None

    def explain(self, done: Exercise) -> Exercise:
        """Return an exercise with ssh's message if it failed; it has failed if the connection ended."""
        said = self._said()
        if not self.open:
            return replace(
                done, problem=f"the ssh connection to the twins ended: {said or 'without a message'}"
            )
        return replace(done, problem=f"{done.problem} (ssh: {said})") if done.problem and said else done

    def close(self) -> None:
        """End ssh; a second call does nothing."""
        with ExitStack() as stack:
            if self._messages is not None:
                stack.enter_context(self._messages)
            if self._process is not None:
                stack.enter_context(self._process)  # closes its pipes
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE)
                self._process.kill()
        self._process = self._messages = None

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the remote command answers: by then the ports are open."""
        assert process.stdin is not None
        assert process.stdout is not None
        token = secrets.token_hex(16).encode()
        with suppress(BrokenPipeError):
            process.stdin.write(token + b"\n")
        deadline = time.monotonic() + _READY
        answer = b""
        while token not in answer:  # a profile of the user may print something before
            left = deadline - time.monotonic()
            if left <= 0 or len(answer) > _MOST or not select.select([process.stdout], [], [], left)[0]:
                raise TunnelError("ssh does not forward the ports of the twins: the host gave no answer")
            piece = os.read(process.stdout.fileno(), _MOST)
            if not piece:
                process.wait(_GRACE)
                raise TunnelError(f"ssh does not forward the ports of the twins: {self._said()}")
            answer += piece

    def _said(self) -> str:
        """Return the last message of ssh on one line."""
        if self._messages is None:
            return ""
        descriptor = self._messages.fileno()
        size = os.fstat(descriptor).st_size
        text = os.pread(descriptor, _TAIL, max(0, size - _TAIL)).decode(errors="replace").strip()
        return line(text.rpartition("\n")[2], 300)


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
