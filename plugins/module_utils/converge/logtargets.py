"""Check that the target of a log driver accepts logs.

No container starts while a log driver's TCP target is down, and logs sent to a closed UDP port are lost. With
UDP a host can only notice that a port is closed: the test line that is sent says what it is.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import time
from contextlib import closing
from typing import Any, Mapping, NamedTuple
from urllib.parse import urlsplit

_TIMEOUT = 5
_LOCAL_SYSLOG = ("/dev/log", "/var/run/syslog", "/var/run/log")
_JOURNAL = "/run/systemd/journal/socket"
_WORDS = "hardener tests whether this log target can be reached before container logs are sent to it"


class Target(NamedTuple):
    """The address to which a driver sends."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{self.path or f'{host}:{self.port}'}"


def problem(driver: str, options: Mapping[str, Any]) -> str:
    """Return why the logs of a driver would not arrive; empty if they would, or if this is unknown."""
    if driver == "journald":
        return _unix(Target("unix", "", 0, _JOURNAL))
    if driver == "syslog" and not options.get("syslog-address"):
        found = next((path for path in _LOCAL_SYSLOG if os.path.exists(path)), "")
        no_syslog = f"this host has no syslog ({', '.join(_LOCAL_SYSLOG)}), and there is no syslog-address"
        return _unix(Target("unix", "", 0, found)) if found else no_syslog
    try:
        target = _target(driver, options)
    except ValueError as error:
        return str(error)
    return "" if target is None else _reach(driver, target, options)


def _target(driver: str, options: Mapping[str, Any]) -> Target | None:
    """Return the target of a driver; None for a driver that this module does not know.

    Raises:
        ValueError: the driver would not understand it either.
    """
    if driver == "syslog":
        schemes = ("tcp", "tcp+tls", "udp", "unix", "unixgram")
        return _parsed("syslog-address", options["syslog-address"], 514, schemes)
    if driver == "gelf":
        return _parsed("gelf-address", options.get("gelf-address", ""), 12201, ("udp", "tcp"))
    if driver == "fluentd":
        address = str(options.get("fluentd-address") or "127.0.0.1:24224")
        address = address if "://" in address else f"tcp://{address}"
        return _parsed("fluentd-address", address, 24224, ("tcp", "tls", "unix"))
    if driver == "splunk":
        address = options.get("splunk-url", "")
        port = 80 if str(address).startswith("http:") else 443
        return _parsed("splunk-url", address, port, ("http", "https"))
    return None


def _parsed(option: str, address: object, port: int, schemes: tuple[str, ...]) -> Target:
    try:
        parts = urlsplit(str(address))
        if parts.port == 0:
            raise ValueError("port 0 cannot be reached")
        target = Target(parts.scheme, parts.hostname or "", parts.port or port, "")
    except ValueError as error:
        raise ValueError(f"{option} {address!r} is not an address: {error}") from None
    if target.scheme not in schemes:
        raise ValueError(
            f"{option} {address!r} has to begin with {', '.join(f'{each}://' for each in schemes)}"
        )
    if target.scheme.startswith("unix"):
        return target._replace(path=parts.path, host="", port=0)
    if not target.host:
        raise ValueError(f"{option} {address!r} names no host")
    return target


def _reach(driver: str, target: Target, options: Mapping[str, Any]) -> str:
    if target.path:
        return _unix(target)
    try:
        if target.scheme == "udp":
            _send(driver, target)
            return ""
        with closing(socket.create_connection((target.host, target.port), timeout=_TIMEOUT)) as connection:
            if driver == "syslog" and target.scheme == "tcp+tls":
                _context(options).wrap_socket(connection, server_hostname=target.host).close()
    except (OSError, ValueError) as error:
        return f"{driver} cannot reach {target}: {getattr(error, 'strerror', None) or error}"
    return ""


def _send(driver: str, target: Target) -> None:
    """Send a line in the driver's format, and wait briefly for the error of a closed port.

    Raises:
        OSError: it is, or there is no such host.
    """
    family, kind, _protocol, _canonical, address = socket.getaddrinfo(
        target.host, target.port, type=socket.SOCK_DGRAM
    )[0]
    name = socket.gethostname()
    if driver == "gelf":
        line = json.dumps({"version": "1.1", "host": name, "short_message": _WORDS, "level": 6})
    else:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = f"<46>1 {when} {name} hardener - - - {_WORDS}"
    with closing(socket.socket(family, kind)) as connection:
        connection.settimeout(0.5)
        connection.connect(address)
        connection.send(line.encode())
        try:
            connection.recv(1)
        except socket.timeout:
            return


def _unix(target: Target) -> str:
    """Return why a Unix socket accepts no logs; like the log drivers, try datagram and stream sockets."""
    said = ""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with closing(socket.socket(socket.AF_UNIX, kind)) as connection:
            connection.settimeout(_TIMEOUT)
            try:
                connection.connect(target.path)
                return ""
            except OSError as error:
                said = str(error.strerror or error)
                if error.errno != errno.EPROTOTYPE:
                    break
    return f"nothing accepts logs at {target}: {said}"


def _context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return a TLS context with the driver's requirements.

    Raises:
        OSError: its files cannot be used.
    """
    context = ssl.create_default_context(cafile=options.get("syslog-tls-ca-cert") or None)
    if options.get("syslog-tls-cert"):
        context.load_cert_chain(options["syslog-tls-cert"], options.get("syslog-tls-key"))
    if str(options.get("syslog-tls-skip-verify", "false")).lower() in ("true", "1", "t"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
