"""A host with several interfaces and addresses, and connections to it from outside that are really made."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Self

from tests.integration.namespaces import Space, join

# Ports that no rule names alone, and for how many each stands: all rules that name one name all of these.
UNNAMED = {12000: 11919, 25000: 9999, 35000: 7232, 45000: 9999, 61000: 15534}
PORTS = (1, 22, 53, 80, 443, 1024, 8080, *UNNAMED, 20000, 40000, 65535)
OWN = {4: ("198.51.100.7", "198.51.100.135"), 6: ("2a00:51:100::7", "2a00:51:101::7")}
# By the interface that they come in on; the first two of each are far from all networks that rules name.
SOURCES = {
    "eth0": {
        4: ("8.7.6.5", "150.1.2.3", "192.0.2.10", "10.1.0.5", "200.1.1.1"),
        6: ("2001:7::5", "2c00:1::5", "2001:db8::5", "fd00::5", "2600:1::5"),
    },
    "eth1": {
        4: ("9.7.6.5", "160.1.2.3", "192.0.2.20", "10.1.0.6", "203.1.1.1"),
        6: ("2001:8::5", "2c00:2::5", "2001:db8::6", "fd00::6", "2610:1::5"),
    },
}
_NETFILTER = 12  # of netlink
# IPCTNL_MSG_CT_DELETE without a connection: the kernel forgets all that it has tracked, and says so.
_FORGET = struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 0x0005, 1, 0, socket.AF_UNSPEC, 0, 0)
_SOON, _LATE = 0.03, 10.0  # seconds that an answer may take; the second where an expected one is missing


@dataclass(frozen=True, slots=True)
class Probe:
    """One connection, or one datagram."""

    protocol: str
    interface: str
    source: str
    destination: str
    port: int
    source_port: int

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.source else 4


class Network:
    """The host, and a neighbour at each of its interfaces."""

    _ports: Sequence[int] = PORTS  # of the host

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._sources = {(name, each) for name, some in SOURCES.items() for each in (*some[4], *some[6])}

    def __enter__(self) -> Self:
        self.host = self._stack.enter_context(Space())
        self._neighbours = {name: self._stack.enter_context(Space()) for name in SOURCES}
        for name, neighbour in self._neighbours.items():
            join(self.host, name, neighbour, "eth0")
        self._configure()
        with self.host.entered():
            self._listeners = [self._stack.enter_context(listener(port)) for port in self._ports]
            self._receivers = [self._stack.enter_context(receiver(port)) for port in self._ports]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _adopt(self, interface: str, source: str) -> None:
        """Give the neighbour at an interface one more address, which the host answers there from now on."""
        neighbour = self._neighbours[interface]
        ip(neighbour, [owned(source, "eth0")])
        ip(self.host, reachable(source, interface, mac(neighbour, "eth0")))
        self._sources = {known for known in self._sources if known[1] != source} | {(interface, source)}

    def _configure(self) -> None:
        settings = (
            "echo 0 | tee /proc/sys/net/ipv4/conf/*/rp_filter; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit;"
        )
        settings += "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit;"
        settings += "echo 0 > /proc/sys/net/ipv4/tcp_synack_retries"  # what is half open would fill the queue
        self.host.run("sh", "-c", settings)
        host, own = [], dict(zip(SOURCES, zip(*OWN.values(), strict=True), strict=True))
        for name, neighbour in self._neighbours.items():
            outer = mac(neighbour, "eth0")
            inner = mac(self.host, name)
            lines = []
            for each in SOURCES[name][4] + SOURCES[name][6]:
                lines.append(owned(each, "eth0"))
                host += reachable(each, name, outer)
            for each in (address for family in OWN.values() for address in family):
                lines += reachable(each, "eth0", inner)
            host = [owned(each, name) for each in own[name]] + host
            ip(neighbour, lines)
        ip(self.host, host)

    def reached(self, probes: Sequence[Probe], expected: Container[Probe]) -> dict[Probe, bool]:
        """Which connections come about, and which datagrams arrive; the expected ones are waited for.

        None is tried twice: rules may drop what the kernel takes for the rest of the first try.
        """
        found = dict.fromkeys(probes, False)
        with ExitStack() as stack:
            tries = {}
            tokens = {}
            for probe in probes:
                if probe.protocol == "tcp":
                    begun = stack.enter_context(self._begin(probe))
                    tries[begun.fileno()] = (probe, begun)
                else:
                    token = os.urandom(8)
                    with self._begin(probe) as sender, suppress(OSError):  # what an earlier one was answered
                        sender.send(token)
                    tokens[token] = probe
            receivers = {each.fileno(): each for each in self._receivers}
            poll = select.poll()
            for number in tries:
                poll.register(number, select.POLLOUT)
            for number in receivers:
                poll.register(number, select.POLLIN)
            begin = time.monotonic()
            while True:
                missing = any(not arrived and probe in expected for probe, arrived in found.items())
                left = begin + (_LATE if missing else _SOON) - time.monotonic()
                if left <= 0:
                    break
                for number, _ in poll.poll(left * 1000):
                    if number in receivers:
                        arrived = tokens.get(receivers[number].recv(100))
                        if arrived is not None:
                            found[arrived] = True
                    else:
                        probe, begun = tries.pop(number)
                        poll.unregister(number)
                        found[probe] = begun.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        self._close_accepted()
        return found

    def _close_accepted(self) -> None:
        for listener in self._listeners:
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
        # A filter may drop the end of a connection: the next case may use the same addresses and ports.
        self.host.run("ss", "--tcp", "--kill", "state", "connected", check=False)
        with self.host.entered():
            tracked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        with tracked:
            tracked.send(_FORGET)
            error = struct.unpack_from("=i", tracked.recv(100), 16)[0]
            assert error == 0, os.strerror(-error)

    def _begin(self, probe: Probe) -> socket.socket:
        family = socket.AF_INET6 if probe.version == 6 else socket.AF_INET
        kind = socket.SOCK_STREAM if probe.protocol == "tcp" else socket.SOCK_DGRAM
        if (probe.interface, probe.source) not in self._sources:
            self._adopt(probe.interface, probe.source)
        with self._neighbours[probe.interface].entered():
            begun = socket.socket(family, kind)
        begun.setblocking(False)
        begun.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind is socket.SOCK_STREAM:
            begun.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
        begun.bind((probe.source, probe.source_port))
        with suppress(BlockingIOError, ConnectionRefusedError):
            begun.connect((probe.destination, probe.port))
        return begun


def listener(port: int) -> socket.socket:
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4000)
    server.setblocking(False)
    return server


def receiver(port: int) -> socket.socket:
    receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    receiver.bind(("::", port))
    receiver.setblocking(False)
    return receiver


def mac(space: Space, device: str) -> str:
    words = space.run("ip", "-o", "link", "show", device).split()
    return words[words.index("link/ether") + 1]


def ip(space: Space, lines: Sequence[str]) -> None:
    space.run("sh", "-ec", "\n".join(f"ip {line}" for line in lines))


def owned(address: str, device: str) -> str:
    """Arguments of ip that give a device an address."""
    flag, plain = _form(address)
    return f"{flag} address replace {plain} dev {device}" + (" nodad" if flag == "-6" else "")


def reachable(address: str, device: str, mac: str) -> list[str]:
    """Arguments of ip by which packets to an address leave by a device."""
    flag, plain = _form(address)
    return [
        f"{flag} route replace {plain} dev {device}",
        f"{flag} neigh replace {address} lladdr {mac} dev {device} nud permanent",
    ]


def _form(address: str) -> tuple[str, str]:
    return ("-6", f"{address}/128") if ":" in address else ("-4", f"{address}/32")


def all_probes(version: int, protocol: str) -> Iterator[Probe]:
    """Connections that differ in more than the port that they come from."""
    for interface, families in SOURCES.items():
        for source in families[version]:
            for destination in OWN[version]:
                for port in PORTS:
                    yield Probe(protocol, interface, source, destination, port, 0)
