"""Section 7, swarm: check the cluster's managers, keys, networks and secrets.

Managers know the cluster; a worker knows its own sockets and networks. Facts of managers do not apply to a
worker, whose manager is assessed as well.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import wraps
from ipaddress import ip_address
from typing import ClassVar

from hardener.checks import Check, check
from hardener.checks.lib import fields
from hardener.checks.lib.rule import Note, judge_all
from hardener.checks.lib.secrets import secrets_in
from hardener.checks.lib.swarmstate import INACTIVE, SOURCE, Service, node_state, services
from hardener.checks.lib.verdicts import failed, manual, needs_engine, not_applicable, passed
from hardener.model import Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_MAX_MANAGERS = 7  # more managers do not help if more than three are lost
_MAX_CERTIFICATE_DAYS = 90  # the engine's default
_DAY = 24 * 60 * 60 * 10**9  # in nanoseconds, as in the API
_GOSSIP_PORT = 7946
_MANAGER_PORT = 2377
_VXLAN_PORT = 4789

# notBefore and notAfter are adjacent in a certificate, as UTCTime or GeneralizedTime.
_VALIDITY = re.compile(rb"(?:\x17\x0d|\x18\x0f)(\d{12}|\d{14})Z(?:\x17\x0d\d{12}|\x18\x0f\d{14})Z")


def _on_swarm(function: Check) -> Check:
    """Decorate a check that applies to every node of a swarm."""

    @wraps(function)
    def decided(snapshot: Snapshot) -> Verdict:
        if node_state(snapshot) == "inactive":
            return not_applicable(INACTIVE)
        return function(snapshot)

    return needs_engine(decided)


def _on_manager(function: Check) -> Check:
    """Decorate a check that needs facts of a manager."""

    @wraps(function)
    def decided(snapshot: Snapshot) -> Verdict:
        if not _swarm(snapshot).get("ControlAvailable") and node_state(snapshot) == "active":
            return not_applicable("this node is a worker: the control is judged on managers")
        return function(snapshot)

    return _on_swarm(decided)


@check("swarm-manager-count")
@_on_manager
def manager_count(snapshot: Snapshot) -> Verdict:
    """Check the number of managers: odd, since an even number tolerates no more failures, and small."""
    swarm = _swarm(snapshot)
    managers = swarm.get("Managers")
    if not isinstance(managers, int) or managers < 1:
        raise FactUnavailable("docker.info", "Swarm.Managers is missing")
    expected = f"an odd number of managers, at most {_MAX_MANAGERS}"
    actual = f"{managers} of {swarm.get('Nodes')} nodes are managers"
    facts = [f"{managers} managers keep working when {(managers - 1) // 2} fail"]
    for node in fields.rows(_facts(snapshot), "nodes", SOURCE):
        manager = fields.table(node, "ManagerStatus", SOURCE)
        if manager:
            facts.append(f"manager {_hostname(node)}: {manager.get('Reachability')}")
    if managers % 2 == 0:
        return failed(
            expected, f"{actual}, which tolerate no more failures than {managers - 1}", evidence=facts
        )
    if managers > _MAX_MANAGERS:
        return failed(expected, actual, evidence=facts)
    return passed(expected, actual, evidence=facts)


@dataclass(frozen=True, slots=True)
class _Socket:
    """A socket of the host on a port of swarm."""

    kind: ClassVar[str] = "socket"
    basis: ClassVar[str] = ""

    facts: JSONObject

    @property
    def port(self) -> int:
        """Return the port of the socket."""
        return fields.number(self.facts, "port", "listening")

    @property
    def protocol(self) -> str:
        """Return ``tcp`` or ``udp``."""
        return fields.text(self.facts, "proto", "listening").removesuffix("6")

    @property
    def address(self) -> str:
        """Return the address of the socket."""
        return fields.text(self.facts, "address", "listening")

    @property
    def name(self) -> str:
        """Return port, protocol and address."""
        return f"{self.port}/{self.protocol} on {self.address}"


@check("swarm-bind-interface")
@_on_swarm
def bind_interface(snapshot: Snapshot) -> Verdict:
    """Check that the cluster's control ports are open on a chosen address only."""
    swarm = _swarm(snapshot)
    control = {("tcp", _GOSSIP_PORT), ("udp", _GOSSIP_PORT)}
    if swarm.get("ControlAvailable"):
        control.add(("tcp", _manager_port(swarm)))
    vxlan = fields.number(fields.table(swarm, "Cluster", "docker.info"), "DataPathPort", "docker.info")
    data = {("udp", vxlan or _VXLAN_PORT)}
    sockets = [
        socket
        for socket in map(_Socket, snapshot.fact("listening"))
        if socket.facts.get("netns") == "host" and (socket.protocol, socket.port) in control | data
    ]
    unseen = control - {(socket.protocol, socket.port) for socket in sockets}
    if unseen:
        wanted = ", ".join(f"{port}/{protocol}" for protocol, port in sorted(unseen))
        raise FactUnavailable("listening", f"no socket listens on {wanted}, which swarm uses")

    def judge(socket: _Socket) -> Iterator[str]:
        if not ip_address(socket.address).is_unspecified:
            return
        if (socket.protocol, socket.port) in data:
            # VXLAN does not authenticate senders, and no option sets the address of this socket.
            yield Note("is a port of the kernel, open on every address: only a packet filter can limit it")
        else:
            yield "is open on every address of the host"

    return judge_all(
        sockets, judge, expected="the ports of swarm are open on a chosen address only", no_subjects=INACTIVE
    )


def _manager_port(swarm: JSONObject) -> int:
    """Return the port of this manager's API: its listen address may differ from the default."""
    for manager in fields.rows(swarm, "RemoteManagers", "docker.info"):
        port = fields.text(manager, "Addr", "docker.info").rpartition(":")[2]
        if manager.get("NodeID") == swarm.get("NodeID") and port.isdecimal():
            return int(port)
    return _MANAGER_PORT


@dataclass(frozen=True, slots=True)
class _Network:
    """An overlay network."""

    kind: ClassVar[str] = "network"
    basis: ClassVar[str] = ""

    facts: JSONObject

    @property
    def name(self) -> str:
        """Return the name of the network."""
        return fields.text(self.facts, "Name", "docker.networks")


@check("swarm-overlay-encrypted")
@_on_swarm
def overlay_encrypted(snapshot: Snapshot) -> Verdict:
    """Check that traffic between nodes is encrypted, in the ingress network too."""
    overlays = [
        _Network(facts) for facts in snapshot.fact("docker.networks") if facts.get("Driver") == "overlay"
    ]
    return judge_all(
        overlays,
        _unencrypted,
        expected="every overlay network encrypts the traffic between nodes",
        no_subjects="there are no overlay networks",
    )


def _unencrypted(network: _Network) -> Iterator[str]:
    options = fields.table(network.facts, "Options", "docker.networks")
    # The presence of the option enables it; its value is usually empty.
    if options.get("encrypted", "false") in {"0", "f", "F", "false", "FALSE", "False"}:
        yield "sends traffic between nodes unencrypted"


@check("swarm-secrets-used")
@_on_manager
def secrets_used(snapshot: Snapshot) -> Verdict:
    """Check that services get secrets from the cluster's store, not from their environment."""
    plain = secrets_in(snapshot, "service")

    def judge(service: Service) -> Iterator[str]:
        for place in plain.get(service.name, ()):
            yield f"declares what looks like a secret: {place}"
        container = fields.table(service.task, "ContainerSpec", SOURCE)
        mounted = fields.rows(container, "Secrets", SOURCE)
        if mounted:
            yield Note(f"uses {len(mounted)} of the cluster's secrets")

    stored = len(fields.rows(_facts(snapshot), "secrets", SOURCE))
    return judge_all(
        services(snapshot),
        judge,
        expected="no service declares a secret in its environment, labels or command",
        no_subjects="the cluster runs no service",
        evidence=(f"the cluster's store holds {stored} secrets",),
    )


@check("swarm-autolock")
@_on_manager
def autolock(snapshot: Snapshot) -> Verdict:
    """Check autolock, with which a restarted manager stays locked until a person enters the key."""
    expected = "managers are locked after a restart until the unlock key is entered"
    if _autolocked(snapshot):
        return passed(expected, "autolock is on")
    return failed(expected, "autolock is off: the cluster's keys are readable on each manager's disk")


@check("swarm-autolock-rotated")
@_on_manager
def autolock_rotated(snapshot: Snapshot) -> Verdict:
    """Ask a person when the unlock key was last changed: no record of it exists."""
    if not _autolocked(snapshot):
        return not_applicable("autolock is off: there is no key to change (see swarm-autolock)")
    return manual(
        "the unlock key was changed within the site's period",
        "look up when `docker swarm unlock-key --rotate` was last run: the cluster keeps no date of it",
        evidence=_dates(snapshot),
    )


@check("swarm-node-cert-rotated")
@_on_manager
def node_certificates(snapshot: Snapshot) -> Verdict:
    """Check that certificates of nodes do not live longer than the engine's default."""
    expiry = fields.number(fields.table(_spec(snapshot), "CAConfig", SOURCE), "NodeCertExpiry", SOURCE)
    if expiry <= 0:
        raise FactUnavailable(SOURCE, "NodeCertExpiry is missing")
    expected = f"certificates of nodes are renewed at least every {_MAX_CERTIFICATE_DAYS} days"
    actual = f"certificates of nodes are valid for {expiry / _DAY:g} days"
    decide = passed if expiry <= _MAX_CERTIFICATE_DAYS * _DAY else failed
    return decide(expected, actual)


@check("swarm-ca-rotated")
@_on_manager
def root_ca(snapshot: Snapshot) -> Verdict:
    """Ask a person whether the root certificate is older than the site allows."""
    tls = fields.table(_cluster(snapshot), "TLSInfo", SOURCE)
    certificate = fields.text(tls, "TrustRoot", SOURCE)
    turns = fields.number(fields.table(_spec(snapshot), "CAConfig", SOURCE), "ForceRotate", SOURCE)
    return manual(
        "the root certificate was changed within the site's period",
        f"compare the root certificate's first day ({_first_day(certificate)}) with the site's period",
        evidence=(
            f"the root certificate was rotated {turns} times by docker swarm ca --rotate",
            f"rotation under way: {'yes' if _cluster(snapshot).get('RootRotationInProgress') else 'no'}",
            *_dates(snapshot),
        ),
    )


@check("swarm-data-plane-separated")
@_on_swarm
def data_plane(snapshot: Snapshot) -> Verdict:
    """Check that container traffic and the control plane use different addresses."""
    expected = "the data path has an address of its own"
    advertised = fields.text(_swarm(snapshot), "NodeAddr", "docker.info")
    local = fields.table(_facts(snapshot), "local", SOURCE)
    if "DataPathAddr" not in local:
        return manual(
            expected,
            f"look up the --data-path-addr that this node ({advertised}) was given at swarm init or join",
        )
    data = fields.text(local, "DataPathAddr", SOURCE)
    if not data:
        return failed(
            expected, f"control plane and data path both use {advertised}: no data path address was given"
        )
    facts = (f"control: {advertised}", f"data: {data}")
    if data == advertised:
        return failed(expected, f"control plane and data path both use {advertised}", evidence=facts)
    return passed(expected, f"the control plane uses {advertised}, the data path uses {data}", evidence=facts)


def _swarm(snapshot: Snapshot) -> JSONObject:
    return fields.required(snapshot.info, "Swarm", "docker.info")


def _facts(snapshot: Snapshot) -> JSONObject:
    facts = snapshot.fact(SOURCE)
    return fields.required({"swarm": facts}, "swarm", SOURCE)


def _cluster(snapshot: Snapshot) -> JSONObject:
    return fields.required(_facts(snapshot), "swarm", SOURCE)


def _spec(snapshot: Snapshot) -> JSONObject:
    return fields.required(_cluster(snapshot), "Spec", SOURCE)


def _autolocked(snapshot: Snapshot) -> bool:
    return fields.required(_spec(snapshot), "EncryptionConfig", SOURCE).get("AutoLockManagers") is True


def _dates(snapshot: Snapshot) -> tuple[str, ...]:
    cluster = _cluster(snapshot)
    return (f"cluster created {cluster.get('CreatedAt')}", f"last changed {cluster.get('UpdatedAt')}")


def _hostname(node: JSONObject) -> str:
    return fields.text(fields.table(node, "Description", SOURCE), "Hostname", SOURCE)


def _first_day(certificate: str) -> str:
    """Return the first day of validity of a PEM certificate."""
    body = certificate.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]
    try:
        found = _VALIDITY.search(a2b_base64(body))
    except ValueError:  # invalid base64
        found = None
    if not found:
        return "unreadable"
    digits = found[1].decode("ascii")
    if len(digits) == 12:  # two-digit year; X.509 counts 50 to 99 as 19xx
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"
