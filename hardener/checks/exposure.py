"""Section 2: check access to the daemon, the registries and plugins that it trusts, and container logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from hardener.checks import check
from hardener.checks.lib import fields
from hardener.checks.lib.containers import readable
from hardener.checks.lib.hostnetwork import own_addresses
from hardener.checks.lib.ports import published
from hardener.checks.lib.settings import TLS, Settings, api_hosts, tls
from hardener.checks.lib.verdicts import (
    count,
    failed,
    listed,
    manual,
    needs_engine,
    not_applicable,
    passed,
    undecided_by,
)
from hardener.checks.releases import is_maintained_by_vendors, plugin_bypass
from hardener.model import Offender, Severity, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable, Snapshot

INFO = "docker.info"
CONFIG = "daemon.config"
MOST_AUTHORITIES = 10  # a site has one or two, and twice as many while it replaces them
SWARM_PORTS = frozenset({2377, 7946})

_BUILT_IN_DRIVERS = frozenset({"json-file", "local", "journald", "none", "syslog", "etwlogs"})
# The options that contain the destination of each logging driver.
_ADDRESSES = {
    "fluentd": "fluentd-address",
    "gelf": "gelf-address",
    "splunk": "splunk-url",
    "syslog": "syslog-address",
}
_HERE = ("0.0.0.0", "::", "127.0.0.0/8", "::1")  # noqa: S104 - as a destination these are this host
_LOCAL_NAMES = frozenset({"", "localhost", "localhost6", "ip6-localhost", "ip6-loopback"})
_TLS_KEYS = ("hosts", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey")


@check("daemon-tls-verify")
@needs_engine
def tls_verify(snapshot: Snapshot) -> Verdict:
    """Check that the API on TCP demands a client certificate of the site's CA: API clients are root."""
    expected = "every TCP socket of the API demands a client certificate of the site's CA"
    settings = Settings(snapshot)
    sockets, unknown = _api_listeners(snapshot, settings)
    listening = [_address(socket) for socket in sockets]
    running = snapshot.fact("engine").get("pid") is not None
    declared = _declared_tcp(snapshot, settings, running=running)
    evidence = [*(f"listening: {address}" for address in listening), *settings.evidence(*_TLS_KEYS)]
    evidence += [warning for warning in _warnings(snapshot) if "API is accessible" in warning]
    if not (listening or unknown) and (running or not declared):
        later = f"; declared {', '.join(declared)}: it takes effect at the next restart" if declared else ""
        return not_applicable(f"the API listens on no TCP socket{later}", evidence=evidence)
    protection = tls(snapshot, settings)
    endpoints = listening if running else listening or declared
    weakness = _weakness(protection) or _foreign_authorities(snapshot, protection.ca)
    found = [(address, by, _fault_of_another(by) or weakness) for address, by in _holders(sockets, endpoints)]
    guests = _in_the_hosts_network(snapshot) if any(why for *_, why in found) else []
    remarks = {address: _loopback_remark(address, guests) for address, *_ in found}
    weak = {address: f"{why}{remarks[address]}" for address, _, why in found if why}
    if weak:
        offenders = [Offender("socket", address, why) for address, why in weak.items()]
        actual = listed([f"{address}: {why}" for address, why in weak.items()], glue="; ")
        return failed(
            expected,
            actual,
            offenders=offenders,
            evidence=evidence,
            checked=len(endpoints),
            severity=None if guests or not all(remarks[address] for address in weak) else Severity.HIGH,
        )
    if unknown:
        which = listed([_address(socket) for socket in unknown])
        raise FactUnavailable(
            "engine", f"the engine does not answer: {which} may be its API or ports of containers"
        )
    actual = f"{', '.join(endpoints)}: clients are verified against {protection.ca}"
    if running and settings.replaced_since_start(protection.ca):
        look = (
            f"restart the daemon: {protection.ca} was changed after it started, and it uses the earlier file"
        )
        return manual(expected, look, evidence=evidence, checked=len(endpoints))
    if running and settings.changed_since_start and not _from_flags(settings):
        look = f"restart the daemon: {settings.path} was changed after it started, and now declares {actual}"
        return manual(expected, look, evidence=evidence, checked=len(endpoints))
    return passed(expected, actual, evidence=evidence, checked=len(endpoints))


def _weakness(protection: TLS) -> str:
    if not protection.enabled:
        return "no TLS"
    if not protection.verify:
        return "TLS without client certificates (tlsverify is false)"
    if not protection.ca:
        return "no tlscacert: a client certificate of any public CA is accepted"
    if not protection.cert or not protection.key:
        return "tlscert or tlskey is missing"
    return ""


def _foreign_authorities(snapshot: Snapshot, ca: str) -> str:
    """Describe problems of the CA file: public authorities sign certificates for everyone."""
    known = fields.table(fields.table(snapshot.daemon_config, "authorities", CONFIG), ca, CONFIG)
    held, public = (fields.number(known, key, CONFIG) for key in ("certificates", "public"))
    if public:
        authorities = count(public, "public authority", "public authorities")
        return f"{ca} holds {authorities}: every client with a certificate from one of them is accepted"
    if held > MOST_AUTHORITIES:
        return f"{ca} holds {held} authorities, and a client certificate from any of them is accepted"
    return ""


def _holders(sockets: Sequence[Mapping[str, Any]], endpoints: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each endpoint of an API with the program that listens on it; dockerd if nothing listens yet.

    Other engines that verify their clients are left out.
    """
    holders = [
        (_address(socket), str(socket.get("process"))) for socket in sockets if not socket.get("verifies")
    ]
    yield from holders
    yield from ((endpoint, "dockerd") for endpoint in (() if sockets else endpoints))


def _fault_of_another(process: str) -> str:
    """Describe the fault of a TCP socket that a program other than this engine or systemd holds."""
    if process in {"dockerd", "systemd"}:
        return ""
    if process.startswith("dockerd "):
        return f"another engine ({process}) asks for no client certificate"
    return f"{process} forwards connections to the API's Unix socket without asking for a client certificate"


def _in_the_hosts_network(snapshot: Snapshot) -> list[str]:
    """Return the containers in the host's network, which reach the host's loopback addresses."""
    if not snapshot.fact("engine").get("reachable"):
        return []
    everyone, _ = readable(snapshot)  # an unread one decides nothing: the verdict is a failure anyway
    return [container.name for container in everyone if container.shares("net")]


def _loopback_remark(address: str, guests: Sequence[str]) -> str:
    """Describe who can reach a loopback address, as a remark; return an empty text for other addresses."""
    if not _loopback_host(address.removeprefix("tcp://")):
        return ""
    shared = f", and containers in the host's network: {listed(guests)}" if guests else ""
    return f" (local users{shared or ' only'})"


def _from_flags(settings: Settings) -> bool:
    return any(settings.get(key).origin.startswith("--") for key in ("tls", "tlsverify"))


def _declared_tcp(snapshot: Snapshot, settings: Settings, *, running: bool) -> list[str]:
    try:
        hosts = api_hosts(snapshot, settings)
    except FactUnavailable:
        if not running:
            raise  # nothing listens, and the declaration is unknown
        return []  # a broken file declares nothing; the listeners are known nevertheless
    return [host for host in hosts if host.startswith("tcp://")]


def _api_listeners(
    snapshot: Snapshot, settings: Settings
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the daemon's TCP sockets that serve the API, and those that may serve something else.

    Not swarm's, which have their own TLS, nor metrics; nor ports of containers, which the daemon itself holds
    where the userland proxy is off, and of services always. A daemon that does not answer tells none of them.
    """
    engine = snapshot.fact("engine")
    api: list[Mapping[str, Any]] = []
    unknown: list[Mapping[str, Any]] = []
    other: set[int] = set()
    held: list[str] = []
    declared: set[int] | None = None
    if engine.get("reachable"):
        held = [f"{port.address}:{port.port}" for port in published(snapshot) if port.protocol == "tcp"]
        swarm = fields.table(snapshot.info, "Swarm", INFO)
        if swarm.get("LocalNodeState") not in (None, "", "inactive"):
            other |= SWARM_PORTS
            other |= {
                _port(str(manager.get("Addr"))) for manager in fields.rows(swarm, "RemoteManagers", INFO)
            }
            if swarm.get("ControlAvailable") is not True:  # a worker does not know the ports of services
                declared = set(map(_port, api_hosts(snapshot, settings)))
    try:
        hosts = [host for host in api_hosts(snapshot, settings) if host.startswith("tcp://")]
        metrics = str(settings.get("metrics-addr").value)
        other.add(_port(str(settings.get("network-diagnostic-port").value)))
    except FactUnavailable:
        hosts, metrics = [], ""
    for socket in fields.rows(engine, "listening", "engine"):
        port = socket.get("port")
        if any(_is_at(socket, host.removeprefix("tcp://")) for host in hosts):
            api.append(socket)
            continue
        if port in other or any(_is_at(socket, address) for address in (*held, metrics)):
            continue
        own = socket.get("process") == "dockerd"  # systemd and other programs hold no ports of containers
        if own and not engine.get("reachable"):
            unknown.append(socket)
        elif declared is None or port in declared or not own:
            api.append(socket)
    return api, unknown


def _is_at(socket: Mapping[str, Any], address: str) -> bool:
    """Return whether a socket listens at a declared ``address:port``; a host name matches any address.

    Go listens on ``::`` for both versions of IP where ``0.0.0.0`` is declared.
    """
    host = address.rpartition(":")[0].strip("[]").partition("%")[0]
    if _port(address) != socket.get("port"):
        return False
    try:
        declared, actual = (_unmapped(ip_address(text)) for text in (host, str(socket.get("address"))))
    except ValueError:
        return True
    return declared == actual or (declared.is_unspecified and actual.is_unspecified)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _port(text: str) -> int:
    """Return the port of ``address:port`` or of a port alone; 0 if the text has no port."""
    digits = text.rpartition(":")[2]
    return int(digits) if digits.isdigit() else 0


def _address(socket: Mapping[str, Any]) -> str:
    address = str(socket.get("address"))
    return (
        f"tcp://[{address}]:{socket.get('port')}"
        if ":" in address
        else f"tcp://{address}:{socket.get('port')}"
    )


def _warnings(snapshot: Snapshot) -> Sequence[str]:
    if not snapshot.fact("engine").get("reachable"):
        return ()
    return fields.texts(snapshot.info, "Warnings", INFO)


@check("daemon-insecure-registries-none")
@needs_engine
def insecure_registries(snapshot: Snapshot) -> Verdict:
    """Check that the engine uses verified TLS for registries; loopback is always exempt."""
    expected = "no registry outside this host is used without verified TLS"
    registries = fields.required(snapshot.info, "RegistryConfig", INFO)
    offenders = [
        Offender("registry", network, "an insecure range")
        for network in fields.texts(registries, "InsecureRegistryCIDRs", INFO)
        if not _loopback_network(network)
    ]
    mirrors = list(fields.texts(registries, "Mirrors", INFO))
    configs = fields.table(registries, "IndexConfigs", INFO)
    for name in configs:
        index = fields.required(configs, name, INFO)
        if index.get("Secure") is False and not _loopback_host(name):
            offenders.append(Offender("registry", name, "marked as insecure"))
        mirrors += fields.texts(index, "Mirrors", INFO)
    offenders += [
        Offender("mirror", mirror, "reached without TLS")
        for mirror in dict.fromkeys(mirrors)
        if mirror.lower().startswith("http://") and not _loopback_host(mirror[7:].split("/")[0])
    ]
    evidence = Settings(snapshot).evidence("insecure-registries", "registry-mirrors")
    if offenders:
        actual = listed([f"{offender.name}: {offender.detail}" for offender in offenders], glue="; ")
        return failed(expected, actual, offenders=offenders, evidence=evidence)
    return passed(expected, "every registry outside this host is used with verified TLS", evidence=evidence)


def _loopback_network(text: str) -> bool:
    try:
        return ip_network(text, strict=False).is_loopback
    except ValueError:
        return False


def _loopback_host(name: str) -> bool:
    host = name if name.count(":") > 1 and not name.startswith("[") else name.rsplit(":", 1)[0]
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@check("daemon-authz-plugin")
@needs_engine
def authz_plugin(snapshot: Snapshot) -> Verdict:
    """Check for an authorization plugin: without one, each client of the API may use the whole API."""
    expected = "an authorization plugin decides about API calls"
    active = fields.texts(fields.table(snapshot.info, "Plugins", INFO), "Authorization", INFO)
    evidence = Settings(snapshot).evidence("authorization-plugins")
    if not active:
        offender = Offender("setting", "authorization-plugins", "no plugin is in effect")
        return failed(expected, "no authorization plugin is active", offenders=[offender], evidence=evidence)
    managed = {
        str(plugin.get("Name")).removesuffix(":latest"): plugin for plugin in snapshot.fact("docker.plugins")
    }
    offenders = [
        Offender("plugin", name, "is not enabled")
        for name in active
        if managed.get(name.removesuffix(":latest"), {}).get("Enabled") is False
    ]
    if offenders:
        names = ", ".join(offender.name for offender in offenders)
        return failed(expected, f"not enabled: {names}", offenders=offenders, evidence=evidence)
    passing = plugin_bypass(snapshot)
    if passing and is_maintained_by_vendors(snapshot):
        return manual(
            expected,
            f"check whether the vendor of this engine has fixed the flaw: the engine {passing}",
            evidence=evidence,
        )
    if passing:
        offenders = [Offender("package", "engine", passing)]
        return failed(expected, f"the engine {passing}", offenders=offenders, evidence=evidence)
    return passed(expected, f"asked: {', '.join(active)}", evidence=evidence, checked=len(active))


@check("daemon-central-logging")
@needs_engine
def central_logging(snapshot: Snapshot) -> Verdict:
    """Check the default logging driver for new containers, and that of each existing container."""
    expected = "container logs are sent off the host"
    nearby = _own_networks(snapshot)
    default = fields.text(snapshot.info, "LoggingDriver", INFO)
    if not default:
        raise FactUnavailable(INFO, "the engine does not say which logging driver it uses")
    drivers = {("setting", "log-driver"): (default, _log_options(snapshot))}
    everyone, unread = readable(snapshot)
    for container in everyone:
        log = fields.table(container.host_config, "LogConfig", "docker.containers")
        options = {key: str(value) for key, value in fields.table(log, "Config", "docker.containers").items()}
        drivers["container", container.name] = (fields.text(log, "Type", "docker.containers"), options)
    lost: list[Offender] = []
    local: list[Offender] = []
    for (kind, name), (driver, options) in drivers.items():
        if driver == "none":
            lost.append(Offender(kind, name, "driver none discards all logs"))
        elif not _remote(driver, options, nearby):
            local.append(Offender(kind, name, f"driver {driver} keeps logs on the host"))
    evidence = [f"{name}: {driver}" for (_, name), (driver, _) in drivers.items()]
    named = listed([f"{offender.name} ({offender.detail.split()[1]})" for offender in local])
    question = f"check whether a program on this host ships the logs of {named}"
    if lost:
        names = listed([offender.name for offender in lost])
        return failed(
            expected,
            f"logs are discarded: {names}",
            offenders=lost,
            evidence=evidence,
            checked=len(drivers),
            undecided=undecided_by(unread)
            or (Undecided(Status.MANUAL, question, tuple(local)) if local else None),
        )
    if unread:
        raise unread
    if local:
        return manual(expected, question, evidence=evidence, offenders=local, checked=len(drivers))
    return passed(expected, "every logging driver in use is remote", evidence=evidence, checked=len(drivers))


def _log_options(snapshot: Snapshot) -> dict[str, str]:
    entries = Settings(snapshot).entries("log-opts").value
    return dict(entry.partition("=")[::2] for entry in entries)


Networks = Sequence[IPv4Network | IPv6Network]


def _own_networks(snapshot: Snapshot) -> Networks:
    """Return the networks that stay on this host: loopback, its own addresses, the engine's bridges."""
    found = [ip_network(text) for text in _HERE]
    found += [ip_network(each.ip) for each in own_addresses(snapshot)]
    for network in snapshot.fact_or("docker.networks", []):
        if network.get("Driver") == "bridge":
            addresses = fields.table(network, "IPAM", "docker.networks")
            ranges = fields.rows(addresses, "Config", "docker.networks")
            found += [ip_network(str(each["Subnet"]), strict=False) for each in ranges if each.get("Subnet")]
    return found


def _remote(driver: str, options: Mapping[str, str], nearby: Networks) -> bool:
    """Return whether a log driver sends to another host; a driver without an address (``awslogs``) does.

    Args:
        driver: its name.
        options: of the driver.
        nearby: networks of this host.
    """
    if driver in _BUILT_IN_DRIVERS and driver != "syslog":
        return False
    if driver not in _ADDRESSES:
        return True
    text = options.get(_ADDRESSES[driver], "")
    if not text:  # the host's agent; the other drivers refuse to work without one
        return driver not in {"fluentd", "syslog"}
    try:
        address = urlsplit(text if "://" in text else f"tcp://{text}")
    except ValueError:
        return False
    if address.scheme not in {"tcp", "udp", "tcp+tls", "tls", "http", "https"}:
        return False  # a Unix socket
    host = (address.hostname or "").rstrip(".")
    try:
        place = ip_address(host)
    except ValueError:
        return host.partition(".")[0] not in _LOCAL_NAMES and not host.endswith(".localhost")
    return not any(_unmapped(place) in network for network in nearby)
