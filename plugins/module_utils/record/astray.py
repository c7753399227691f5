"""Detect an exercise that reaches the original in place of its twin."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Collection, Iterable, Mapping

from ..host.errors import Failed
from ..host.text import shown
from .connections import Address, Connections
from .engine import Engine

_CREATED = "exec_create: "  # begins the action of an engine's event; the command follows
_ADDRESSES = ("IPAddress", "GlobalIPv6Address")


class Watch:
    """Watches from now on whether an exercise reaches an original.

    Args:
        engine: the engine.
        run: the run.
        originals: inspect data of the containers.
        owner: the process of this host whose children exercise the twins; 0 if it is on another one.
    """

    def __init__(
        self, engine: Engine, run: str, originals: Iterable[Mapping[str, Any]], *, owner: int
    ) -> None:
        self._engine = engine
        self._originals = list(originals)
        self._since = time.time()
        self._connections = Connections(run, owner)
        self.close = self._connections.close

    def checked(self, exercise: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the result of an exercise; one that has reached an original has failed.

        Args:
            exercise: ``problem``, empty where it went well.
        """
        reached = executed(self._engine, self._originals, self._since)
        reached = reached or connected(self._originals, self._connections.begun())
        return {**exercise, "problem": exercise.get("problem") or reached}


def connected(originals: Iterable[Mapping[str, Any]], begun: Collection[tuple[Address, int]]) -> str:
    """Describe a connection to an original; return an empty text if there is none.

    Args:
        originals: inspect data of the containers.
        begun: addresses and ports to which the exercise connected.
    """
    for original in originals:
        for address, port in begun:
            if _is_of(original, address, port):
                name = original["Name"].lstrip("/")
                return (
                    f"the exercise connected to {name} itself ({address}, port {port}), and not to its twin:"
                    " use the addresses in HARDENER_ADDR_..."
                )
    return ""


def _is_of(original: Mapping[str, Any], address: Address, port: int) -> bool:
    """Return whether an address is that of a container in a network, or that of a port that it publishes."""
    settings = original.get("NetworkSettings") or {}
    own = [each.get(key) for each in (settings.get("Networks") or {}).values() for key in _ADDRESSES]
    if str(address) in own:
        return True
    for name, published in (settings.get("Ports") or {}).items():
        for each in published or () if name.endswith("/tcp") else ():
            host = str(each.get("HostIp") or "0.0.0.0")  # noqa: S104 - as the engine writes it
            if str(each.get("HostPort")) == str(port) and (
                host == str(address) or (ip_address(host).is_unspecified and _is_here(address))
            ):
                return True
    return False


def _is_here(address: Address) -> bool:
    """Return whether an address is one of this host: packets to it leave from it."""
    kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))  # sends nothing
        return address.is_loopback or probe.getsockname()[0] == str(address)
    return False


def executed(engine: Engine, originals: Iterable[Mapping[str, Any]], since: float) -> str:
    """Describe a command that was executed in an original; return an empty text if there is none.

    Health checks do not count. The engine remembers its last events only, so that one may be missed.

    Args:
        engine: the engine.
        originals: inspect data of the containers.
        since: a moment, in seconds.
    """
    by_id = {str(each["Id"]): each for each in originals}
    filters = json.dumps({"container": sorted(by_id), "event": ["exec_create"]})
    query = {"since": f"{since:.6f}", "until": f"{time.time():.6f}", "filters": filters}
    try:
        events = [json.loads(line) for line in engine.ask("GET", "/events", query=query).splitlines()]
    except (Failed, ValueError):
        return ""
    for event in events:
        original = by_id.get(str(event.get("id")))
        command = str(event.get("Action")).partition(_CREATED)[2]
        if original is not None and command and command != " ".join(health_words(original)):
            name = original["Name"].lstrip("/")
            ran = f"`{shown(command, 100)}` was executed in {name} itself"
            return f"{ran}, and not in its twin: give it by --run-in"
    return ""


def health_words(original: Mapping[str, Any]) -> list[str]:
    """Return the command of a container's health check; empty for none."""
    test = (original["Config"].get("Healthcheck") or {}).get("Test") or []
    if not test or test[0] == "NONE":
        return []
    shell = original["Config"].get("Shell") or ["/bin/sh", "-c"]
    return [*shell, *test[1:2]] if test[0] == "CMD-SHELL" else list(test[1:])
