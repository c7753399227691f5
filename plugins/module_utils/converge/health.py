"""Check the health of a host: take a baseline before the first change, and compare with it afterwards.

Checked are the engine, the running containers, the services of its swarm, published ports, name resolution
and outgoing connections of containers, and the port of the ssh connection. Only what worked before is
required afterwards.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import time
from typing import Any, Iterable, Mapping, Sequence

from ..docker.http import NoAnswer, NotFound
from ..docker.published_ports import published
from . import containers, probes
from .containers import Windows
from .engine import Engine

Baseline = Mapping[str, Any]  # empty if no baseline was taken

_MAX_PORTS = 500
_MAX_UNREAD = 10
_MAX_NETWORKS = 50
_RESOLV_CONF = 16384
# Servers that the engine's name server queries; "host(…)" ones are queried from the host's network.
_BEHIND = re.compile(r"# ExtServers: \[([^\]#]{0,1000})\]")
_ADDRESS = re.compile(r"[0-9a-fA-F:.]+")
# Seconds to wait until all works again: at least, and once containers have to start. A host that was slow
# before gets some times what its baseline took.
_AT_LEAST, _STARTING = 10, 60
_TIMES_BASELINE = 5
_BETWEEN = 5  # seconds after which containers that are down are started again


def take_baseline(
    engine: Engine | None, *, login_port: int, exceptions: Sequence[str] = ()
) -> dict[str, Any]:
    """Take a baseline, and return it as JSON data.

    Args:
        engine: the engine, None to skip it.
        login_port: port of the ssh connection, 0 if there is none.
        exceptions: containers that are left out; see ``containers.excepted``.
    """
    begun = time.monotonic()
    baseline = _taken(engine, login_port=login_port, exceptions=exceptions)
    return {**baseline, "took": time.monotonic() - begun}


def _taken(engine: Engine | None, *, login_port: int, exceptions: Sequence[str]) -> dict[str, Any]:
    baseline: dict[str, Any] = {
        "engine": "",
        "containers": {},
        "services": {},
        "ports": [],
        "networks": [],
        "login": login_port if login_port and probes.listening(login_port) else 0,
    }
    if engine is None or engine.info() is None:
        return baseline
    baseline["engine"] = engine.path
    try:
        found, unread = engine.running()
    except NoAnswer:
        return baseline
    running = [each for each in found if not containers.excepted(each, exceptions)]
    # Only a name is known of these, and no label.
    missing = [f"{name} ({why})" for name, why in unread.items() if name not in exceptions]
    if missing:
        baseline["unread"] = missing[:_MAX_UNREAD]
    baseline["containers"] = {each["Id"]: containers.known(each, now=time.time()) for each in running}
    baseline["services"] = containers.running_tasks(engine) or {}
    ports = [port for each in running for port in _published(each)][:_MAX_PORTS]
    answering = probes.answering(map(_target, ports))
    baseline["ports"] = [port for port in ports if _target(port) in answering]
    networks = _networks(running)[:_MAX_NETWORKS]
    for network, seen in zip(networks, _reach(networks)):
        if seen["resolving"] or seen["answering"]:
            baseline["networks"].append({**network, **seen})
    return baseline


def compare(
    baseline: Baseline,
    *,
    seconds: float | None = None,
    stopped: bool = False,
    undone: bool = False,
    away: Windows = (),
) -> tuple[list[str], list[str]]:
    """Return the checks that passed in the baseline and still fail after a waiting time.

    Args:
        baseline: result of ``take_baseline``.
        seconds: how long to wait. By default that depends on how long the baseline took, and on whether
            containers have to start.
        stopped: containers were stopped on purpose; those without a restart policy stay down.
        undone: so is the run that stopped them: all have to run again.
        away: intervals in which the engine was down.

    Returns:
        Problems; and notes about expected changes.
    """
    if not baseline:
        return [], []
    if seconds is None:
        seconds = max(_STARTING if stopped else _AT_LEAST, _TIMES_BASELINE * baseline.get("took", 0))
    deadline = time.monotonic() + seconds
    while True:
        # One comparison may take seconds: do not decide by one that began before the deadline.
        last = time.monotonic() >= deadline
        problems, notes = _differences(baseline, stopped=stopped, undone=undone, away=away, last=last)
        if not problems or last:
            return problems, notes
        time.sleep(0.3)


def recover(
    baseline: Baseline, *, seconds: float, undone: bool = False, away: Windows = ()
) -> tuple[list[str], list[str]]:
    """Start each container that is down, once, and wait until all works as before; see ``compare``."""
    deadline = time.monotonic() + seconds
    started: frozenset[str] = frozenset()
    while True:
        started |= revive(baseline, undone=undone, away=away, but=started)
        problems, notes = compare(baseline, seconds=min(_BETWEEN, seconds), undone=undone, away=away)
        if not problems or time.monotonic() >= deadline:
            return problems, notes


def revive(
    baseline: Baseline, *, undone: bool = False, away: Windows = (), but: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Start containers that stopped with the engine, and no others: a finished job is not repeated.

    ``compare`` reports those that cannot be started.

    Args:
        baseline: result of ``take_baseline``.
        undone: see ``compare``.
        away: intervals in which the engine was down.
        but: ids of containers that are not started.

    Returns:
        The ids of those that were started.
    """
    engine = Engine(baseline["engine"])
    started = []
    for container, known in baseline["containers"].items():
        try:
            found = engine.inspect(container)
            lost = containers.judge(known, found, undone=undone, away=away, now=time.time()).lost
            if lost and container not in but:
                engine.start(container)
                started.append(container)
        except NoAnswer:
            continue
    return frozenset(started)


def _differences(
    baseline: Baseline, *, stopped: bool, undone: bool, away: Windows, last: bool
) -> tuple[list[str], list[str]]:
    problems: list[str] = []
    notes: list[str] = []
    if baseline["login"] and not probes.listening(baseline["login"]):
        problems.append(
            f"nothing listens any more on port {baseline['login']}, to which this run is connected"
        )
    if not baseline["engine"]:
        return problems, notes
    engine = Engine(baseline["engine"])
    if engine.info() is None:
        return [*problems, f"the engine does not answer at {engine.path}"], notes
    notes += [
        f"not compared, since it could not be read before the change: {each}"
        for each in baseline.get("unread") or ()
    ]
    try:
        running, found, said = _containers(
            engine, baseline["containers"], stopped=stopped, undone=undone, away=away, last=last
        )
    except NoAnswer as error:
        return [*problems, str(error)], notes
    problems += [*found, *containers.lost(baseline["services"], engine)]
    notes += said
    ports = [port for port in baseline["ports"] if port["container"] in running]
    answering = probes.answering(map(_target, ports))
    for port in ports:
        if _target(port) not in answering:
            (notes if port["relayed"] else problems).append(_silent(port))
    networks = [
        {**network, "pid": running[network["container"]]}
        for network in baseline["networks"]
        if network["container"] in running
    ]
    for before, now in zip(networks, _reach(networks)):
        problems += _cut_off(before, now)
    return problems, notes


def _containers(
    engine: Engine,
    before: Mapping[str, Mapping[str, Any]],
    *,
    away: Windows,
    stopped: bool,
    undone: bool,
    last: bool,
) -> tuple[dict[str, int], list[str], list[str]]:
    """Return pids of the running containers, problems of containers, and notes."""
    running: dict[str, int] = {}
    lost: list[str] = []
    failing: list[str] = []
    gone: list[str] = []
    notes: list[str] = []
    for container, known in before.items():
        try:
            inspected = engine.inspect(container)
        except NotFound:
            if not known["task"] and not _replaced(engine, known["name"]):
                # The engine itself removes a container of `docker run --rm` that the run has stopped.
                (gone if undone else notes).append(f"{known['name']} was removed meanwhile")
            continue
        verdict = containers.judge(
            known, inspected, away=away, stopped=stopped, undone=undone, now=time.time()
        )
        if verdict.runs or (verdict.undecided and last):
            running[container] = int(inspected["State"].get("Pid") or 0)
        if verdict.lost:
            lost.append(known["name"])
        if verdict.failing or (verdict.undecided and not last):
            failing.append(known["name"])
        if verdict.note:
            notes.append(verdict.note)
    found = [f"no longer running: {containers.listed(sorted(lost))}"] if lost else []
    if failing:
        found.append(f"ended and restarted: {containers.listed(sorted(failing))}")
    return running, found + gone, notes


def _replaced(engine: Engine, name: str) -> bool:
    """Return whether another container has the name now, as after a compose update."""
    try:
        return bool(engine.inspect(name))
    except NoAnswer:
        return False


# --- published ports ----------------------------------------------------------------------------------------


def _published(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the published TCP ports of a container, with the address at which this host reaches each."""
    found = []
    for each in published(container):
        address = _reachable(each.address)
        if each.inner.endswith("/tcp") and 0 < each.port < 65536 and address:
            found.append(
                {
                    "container": container["Id"],
                    "name": containers.name(container),
                    "published": each.title,
                    "address": address,
                    "port": each.port,
                    "relayed": each.relayed,
                }
            )
    return found


def _reachable(address: str) -> str:
    """Return the address at which to probe a published port; empty for an invalid address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if not parsed.is_unspecified:
        return str(parsed)
    # Not loopback: there docker-proxy accepts connections, whether or not the container does.
    return probes.own_address(socket.AF_INET6 if parsed.version == 6 else socket.AF_INET)


def _target(port: Mapping[str, Any]) -> probes.Target:
    return port["address"], port["port"]


def _silent(port: Mapping[str, Any]) -> str:
    if port["relayed"]:
        return (
            f"{port['name']}: the published port {port['published']} no longer answers: the container has no"
            " IPv6 address, and only the engine's userland proxy forwarded the port"
        )
    return f"{port['name']}: the published port {port['published']} no longer answers"


# --- the networks of containers -----------------------------------------------------------------------------


def _networks(running: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each network one container (preferably in no other network) and its name servers."""
    chosen: dict[str, dict[str, Any]] = {}
    for container in sorted(running, key=lambda each: len(each["NetworkSettings"].get("Networks") or {})):
        for network in container["NetworkSettings"].get("Networks") or {}:
            pid = int(container["State"].get("Pid") or 0)
            if network in chosen or network in ("host", "none") or pid <= 1:
                continue
            servers, behind = _name_servers(str(container.get("ResolvConfPath") or ""))
            chosen[network] = {
                "network": network,
                "container": container["Id"],
                "name": containers.name(container),
                "pid": pid,
                "servers": servers,
                "targets": [[server, 53] for server in behind],
            }
    return list(chosen.values())


def _name_servers(path: str) -> tuple[list[str], list[str]]:
    """Return the name servers in a resolv.conf file; and the non-local servers in it, comments included.

    The container may have written the file.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            text = file.read(_RESOLV_CONF).decode("ascii", "replace")
    except (OSError, ValueError):
        return [], []
    servers = [line.split()[1] for line in text.splitlines() if re.match(r"nameserver\s+\S", line)]
    behind = [word for group in _BEHIND.findall(text) for word in _ADDRESS.findall(group)]
    return list(filter(_plain, servers))[:3], [each for each in [*servers, *behind] if _outside(each)][:3]


def _plain(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _outside(address: str) -> bool:
    return _plain(address) and not ipaddress.ip_address(address).is_loopback


def _reach(networks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what each network can reach: its name servers, rated by their answers, and TCP ports."""

    def look(network: Mapping[str, Any]) -> dict[str, Any]:
        servers = list(
            dict.fromkeys([*network["servers"], *(address for address, _port in network["targets"])])
        )
        return {
            "resolving": probes.resolving(servers),
            "answering": sorted(
                probes.answering((str(each[0]), int(each[1])) for each in network["targets"])
            ),
        }

    def work(network: Mapping[str, Any]) -> Any:
        return network["pid"], lambda: look(network)

    seen = probes.inside({network["network"]: work(network) for network in networks})
    nothing: dict[str, Any] = {"resolving": {}, "answering": []}
    return [seen.get(network["network"], nothing) for network in networks]


def _cut_off(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    where = f"containers of the network {before['network']} (seen from {before['name']})"
    found = [
        f"{where} can no longer resolve names by {server}"
        for server, level in before["resolving"].items()
        if now["resolving"].get(server, 0) < level
    ]
    answering = {tuple(target) for target in now["answering"]}
    return found + [
        f"{where} can no longer reach {address} port {port}"
        for address, port in before["answering"]
        if (address, port) not in answering
    ]
