"""Check the health of a host: take a baseline before the first change, and compare with it afterwards.

Checked are the engine, the running containers, the services of its swarm, published ports, name resolution
and outgoing connections of containers, registries, and the port of the ssh connection. Only what worked
before is required afterwards, and of that only what the run can have broken: see ``Terms``.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import time
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ..docker import losses
from ..docker.http import NoAnswer, NotFound
from ..docker.losses import CONTAINERS, NETWORKS, PARTS, PORTS, REGISTRIES, SERVICES, Loss, published
from . import containers, probes
from .containers import Windows
from .engine import Engine

Baseline = Mapping[str, Any]  # empty if no baseline was taken

_MAX_PORTS = 500
_MAX_UNREAD = 10
_MAX_SILENT = 50
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


class Terms(NamedTuple):
    """Which losses count: a container must not take a change back that has nothing to do with it.

    Attributes:
        touched: the parts of the host that the run touches; see ``losses``.
        foreseen: texts of losses that the plan has named.
        accepted: names of containers, networks, services and registries that a person gives up.
    """

    touched: Sequence[str] = PARTS
    foreseen: Sequence[str] = ()
    accepted: Sequence[str] = ()

    def excuse(self, loss: Loss) -> str:
        """Return why a loss does not count; empty if it does."""
        if loss.name in self.accepted:
            return "its loss is accepted"
        if loss.part not in self.touched:
            return "this change does not touch it"
        return "the plan has named it" if loss.text in self.foreseen else ""


def take_baseline(
    engine: Engine | None, *, login_port: int, exceptions: Sequence[str] = (), terms: Terms | None = None
) -> dict[str, Any]:
    """Take a baseline, and return it as JSON data.

    Args:
        engine: the engine, None to skip it.
        login_port: port of the ssh connection, 0 if there is none.
        exceptions: containers that are left out; see ``containers.excepted``.
        terms: which losses count; None for all.
    """
    begun = time.monotonic()
    baseline = _taken(engine, login_port=login_port, exceptions=exceptions)
    told = {"terms": terms._asdict()} if terms else {}
    return {**baseline, **told, "took": time.monotonic() - begun}


def silent(baseline: Baseline) -> list[str]:
    """Return what did not work in the baseline, and so is not required afterwards."""
    return [
        f"{each} did not answer before the change, and so its loss would not be noticed"
        for each in baseline.get("silent") or ()
    ]


def _taken(engine: Engine | None, *, login_port: int, exceptions: Sequence[str]) -> dict[str, Any]:
    baseline: dict[str, Any] = {
        "engine": "",
        "containers": {},
        "services": {},
        "ports": [],
        "networks": [],
        "registries": [],
        "silent": [],
        "login": login_port if login_port and probes.listening(login_port) else 0,
    }
    info = engine.info() if engine else None
    if engine is None or info is None:
        return baseline
    baseline["engine"] = engine.path
    baseline["registries"] = losses.registries_of(info)
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
    dumb = [_port(port) for port in ports if _target(port) not in answering]
    networks = _networks(running)[:_MAX_NETWORKS]
    for network, seen in zip(networks, _reach(networks)):
        if seen["resolving"] or seen["answering"]:
            baseline["networks"].append({**network, **seen})
        elif network["servers"]:
            dumb.append(f"a name server of {_seen_from(network)}")
    baseline["silent"] = [*dumb[:_MAX_SILENT], *([f"{len(dumb)} in all"] if len(dumb) > _MAX_SILENT else [])]
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
        problems, found, notes = _differences(baseline, stopped=stopped, undone=undone, away=away, last=last)
        terms = Terms(**baseline["terms"]) if "terms" in baseline else None
        counted, others = _judged(terms, problems, found, notes)
        if not counted or last:
            return counted, others
        time.sleep(0.3)


def _judged(
    terms: Terms | None, problems: Sequence[str], found: Sequence[Loss], notes: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return problems, with the losses that count; and notes, with the other losses."""
    by_excuse: dict[str, list[Loss]] = {"": []}
    for loss in found:
        by_excuse.setdefault(terms.excuse(loss) if terms else "", []).append(loss)
    counted = by_excuse.pop("")
    options = " ".join(f"--accept-loss {name}" for name in dict.fromkeys(each.name for each in counted))
    ways = [f"to give that up: {options}"] if terms and options else []
    excused = [f"{said}; it does not count: {why}" for why in by_excuse for said in _said(by_excuse[why])]
    return [*problems, *_said(counted), *ways], [*notes, *excused]


def _said(found: Sequence[Loss]) -> list[str]:
    """Return sentences about losses; one for all containers that are lost in the same way."""
    grouped: dict[str, list[str]] = {}
    for loss in found:
        grouped.setdefault(loss.said, []).extend([loss.name] if loss.part == CONTAINERS else ())
    return [
        f"{said}: {containers.listed(sorted(names))}" if names else said for said, names in grouped.items()
    ]


def recover(
    baseline: Baseline, *, seconds: float, undone: bool = False, away: Windows = ()
) -> tuple[list[str], list[str]]:
    """Start each container that is down, once, and wait until all works as before; see ``compare``."""
    baseline = {key: value for key, value in baseline.items() if key != "terms"}  # now all losses count
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
) -> tuple[list[str], list[Loss], list[str]]:
    """Return problems of the engine and the connection, which always count; losses; and notes."""
    problems: list[str] = []
    notes: list[str] = []
    if baseline["login"] and not probes.listening(baseline["login"]):
        problems.append(
            f"nothing listens any more on port {baseline['login']}, to which this run is connected"
        )
    if not baseline["engine"]:
        return problems, [], notes
    engine = Engine(baseline["engine"])
    info = engine.info()
    if info is None:
        return [*problems, f"the engine does not answer at {engine.path}"], [], notes
    notes += [
        f"not compared, since it could not be read before the change: {each}"
        for each in baseline.get("unread") or ()
    ]
    try:
        running, found, said = _containers(
            engine, baseline["containers"], stopped=stopped, undone=undone, away=away, last=last
        )
    except NoAnswer as error:
        return [*problems, str(error)], [], notes
    found += containers.lost(baseline["services"], engine)
    trusted = losses.registries_of(info)
    found += (
        Loss(REGISTRIES, each, each, said=f"images are no longer pulled from {each} without verified TLS")
        for each in baseline.get("registries") or ()
        if each not in trusted
    )
    notes += said
    ports = [port for port in baseline["ports"] if port["container"] in running]
    answering = probes.answering(map(_target, ports))
    for port in ports:
        if _target(port) not in answering:
            found.append(Loss(PORTS, port["name"], f"{port['published']} ({port['name']})", said=_lost(port)))
    networks = [
        {**network, "pid": running[network["container"]]}
        for network in baseline["networks"]
        if network["container"] in running
    ]
    for before, now in zip(networks, _reach(networks)):
        found += _cut_off(before, now)
    return problems, found, notes


def _containers(
    engine: Engine,
    before: Mapping[str, Mapping[str, Any]],
    *,
    away: Windows,
    stopped: bool,
    undone: bool,
    last: bool,
) -> tuple[dict[str, int], list[Loss], list[str]]:
    """Return pids of the running containers, lost containers, and notes."""
    running: dict[str, int] = {}
    lost: list[Loss] = []
    notes: list[str] = []
    for container, known in before.items():
        try:
            inspected = engine.inspect(container)
        except NotFound:
            if not known["task"] and not _replaced(engine, known["name"]):
                # The engine itself removes a container of `docker run --rm` that the run has stopped.
                said = f"{known['name']} was removed meanwhile"
                if undone:
                    lost.append(Loss(SERVICES, known["name"], known["name"], said=said))
                else:
                    notes.append(said)
            continue
        verdict = containers.judge(
            known, inspected, away=away, stopped=stopped, undone=undone, now=time.time()
        )
        if verdict.runs or (verdict.undecided and last):
            running[container] = int(inspected["State"].get("Pid") or 0)
        failing = verdict.failing or (verdict.undecided and not last)
        for said in ["no longer running"] * verdict.lost + ["ended and restarted"] * failing:
            lost.append(Loss(CONTAINERS, known["name"], known["name"], said=said))
        if verdict.note:
            notes.append(verdict.note)
    return running, lost, notes


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


def published_targets(container: Mapping[str, Any]) -> list[probes.Target]:
    """Return the addresses at which this host reaches the published TCP ports of a container."""
    return [_target(port) for port in _published(container)]


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


def _port(port: Mapping[str, Any]) -> str:
    return f"{port['name']}: the published port {port['published']}"


def _lost(port: Mapping[str, Any]) -> str:
    why = ": the container has no IPv6 address, and only the engine's userland proxy forwarded the port"
    return f"{_port(port)} no longer answers{why if port['relayed'] else ''}"


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


def _seen_from(network: Mapping[str, Any]) -> str:
    return f"containers of the network {network['network']} (seen from {network['name']})"


def _cut_off(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Loss]:
    answering = {tuple(target) for target in now["answering"]}
    gone = [
        *(
            f"can no longer resolve names by {server}"
            for server, level in before["resolving"].items()
            if now["resolving"].get(server, 0) < level
        ),
        *(
            f"can no longer reach {address} port {port}"
            for address, port in before["answering"]
            if (address, port) not in answering
        ),
    ]
    name = before["network"]
    return [Loss(NETWORKS, name, name, said=f"{_seen_from(before)} {each}") for each in gone]
