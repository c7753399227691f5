"""Network namespaces with a packet filter of their own, and connections between them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.leftovers import tied

_CLONE_NEWNET = 0x40000000
_SERVE = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"hello")
    connection.close()
"""
_CONNECT = """
import socket, sys, threading
found = {}
def connect(target):
    address, _, port = target.rpartition(" ")
    try:
        connection = socket.create_connection((address, int(port)), timeout=1.5)
        found[target] = "open" if connection.recv(5) else "closed"
    except TimeoutError:
        found[target] = "filtered"
    except OSError as error:
        found[target] = type(error).__name__
threads = [threading.Thread(target=connect, args=(target,)) for target in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*map(found.get, sys.argv[1:]))
"""
_HOLD = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
for line in sys.stdin:
    connection.sendall(line.encode())
    print(connection.recv(100).decode(), end="", flush=True)
"""
_ECHO = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
connection, _ = listener.accept()
while data := connection.recv(100):
    connection.sendall(data)
"""
# An echo request, and whether anything from there comes back.
_PING = """
import socket, struct, sys
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
if ":" in sys.argv[1]:
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    request, reply, skip = struct.pack("!BBHHH", 128, 0, 0, 1, 1), 129, 0
else:
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    plain = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
    request, reply, skip = plain[:2] + struct.pack("!H", checksum(plain)) + plain[4:], 0, 20
raw.settimeout(2)
raw.sendto(request, (sys.argv[1], 0))
while raw.recv(1000)[skip] != reply:
    pass
"""
# A way out that leads nowhere: what is asked for there is refused at once, and not after a time-out.
OWN_NETWORK = """
ip link set lo up
ip link add name eth0 type veth peer name elsewhere
ip link set elsewhere up
ip link set eth0 up
ip address add 192.0.2.2/24 dev eth0
ip address add 2001:db8::2/64 dev eth0 nodad
ip route add prohibit default
ip -6 route add prohibit default
echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
"""


class Space:
    """A network namespace that lives as long as this object is open.

    Args:
        path: folders that programs are looked for in first; None for the system's alone.
    """

    def __init__(self, *, path: Path | None = None) -> None:
        self.environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        if path is not None:
            self.environment["PATH"] = f"{path}:{self.environment['PATH']}"
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        self._keeper = subprocess.Popen(
            tied("unshare", "--net", "sh", "-c", "echo; exec sleep 3600"), stdout=subprocess.PIPE, text=True
        )
        assert self._keeper.stdout is not None
        self._keeper.stdout.readline()
        self.pid = self._keeper.pid
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._started, self._keeper):
            process.kill()
            with process:  # wait, and close its pipes
                pass

    def _inside(self, words: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *words]

    def run(self, *words: str, given: str = "", check: bool = True, **environment: str) -> str:
        """What a command printed here."""
        done = subprocess.run(
            self._inside(words),
            input=given,
            capture_output=True,
            text=True,
            env={**self.environment, **environment},
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """A Python script that goes on here."""
        process = subprocess.Popen(
            tied(*self._inside([sys.executable, "-c", script, *arguments])),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        self._started.append(process)
        return process

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread in the namespace for a while: sockets that it makes stay there."""
        handle = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with _entered(handle):
                yield
        finally:
            os.close(handle)

    def serve(self, address: str, port: int, *, echo: bool = False) -> None:
        """Answer on a port: each with a word, or one by saying again what it says."""
        process = self.start(_ECHO if echo else _SERVE, address, str(port))
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"

    def connect(self, *targets: str) -> str:
        """What becomes of connections to addresses and ports, all at once: a word for each.

        That is ``open``, ``filtered`` (no answer) or the error's name.
        """
        return self.run(sys.executable, "-c", _CONNECT, *targets).strip()

    def ping(self, address: str) -> None:
        """An echo has to come back."""
        self.run(sys.executable, "-c", _PING, address)

    def hold(self, address: str, port: int) -> Held:
        """A connection that stays."""
        return Held(self.start(_HOLD, address, str(port)))


class Held:
    """A connection to an echo."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def answers(self) -> bool:
        """Whether the other end still says the same."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        word = f"{time.monotonic()}\n"
        self._process.stdin.write(word)
        self._process.stdin.flush()
        return self._process.stdout.readline() == word


def join(one: Space, its: str, other: Space, theirs: str) -> None:
    """A cable between two of them, its ends named so."""
    one.run("ip", "link", "add", "name", its, "type", "veth", "peer", "name", theirs, "netns", str(other.pid))
    one.run("ip", "link", "set", its, "up")
    other.run("ip", "link", "set", theirs, "up")


def address(space: Space, device: str, *addresses: str) -> None:
    """Give a device addresses, at once usable."""
    for each in addresses:
        space.run("ip", "address", "add", each, "dev", device, *(["nodad"] if ":" in each else []))


class OwnNetwork:
    """This thread, and what it starts, in a network namespace of its own: its bridges are no other run's.

    It has a loopback and an interface to the networks of the documentation. What asks further, such as for a
    name server of the machine, is refused at once.
    """

    def __enter__(self) -> Self:
        self._machine = _network()
        if _libc().unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        self._own = _network()
        subprocess.run(["sh", "-ec", OWN_NETWORK], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        _enter(self._machine)
        os.close(self._machine)
        os.close(self._own)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """In there, wherever the thread is."""
        with _entered(self._own):
            yield

    @contextmanager
    def outside(self) -> Iterator[None]:
        """In the machine's own network for a while."""
        with _entered(self._machine):
            yield


def _network() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def _entered(handle: int) -> Iterator[None]:
    before = _network()
    _enter(handle)
    try:
        yield
    finally:
        _enter(before)
        os.close(before)


def _enter(handle: int) -> None:
    if _libc().setns(handle, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)  # os.setns is in Python 3.12
