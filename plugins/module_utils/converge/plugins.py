"""Check that a plugin of the engine exists and answers.

An engine does not start without its authorisation plugins and refuses every request while one does not
answer; it starts no container whose log driver is a plugin that does not answer.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from typing import Any, Iterator, Mapping
from urllib.parse import urlsplit

from ..docker.api import Connection
from ..docker.http import NoAnswer
from ..host import limited_json
from .engine import Engine

_SOCKETS = ("/run/docker/plugins",)
_SPECS = ("/etc/docker/plugins", "/usr/lib/docker/plugins")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*")
_TYPE = "application/vnd.docker.plugins.v1.2+json"
_TIMEOUT = 5
_MAX = 1024 * 1024
# The engine's authorisation query for the request that this check sends.
_LOOK = {"User": "", "UserAuthNMethod": "", "RequestMethod": "GET", "RequestUri": "/info"}


def problem(name: str, kind: str, engine: Engine, *, running: bool) -> str:
    """Return what is wrong with a plugin; empty if the engine can use it.

    Args:
        name: ``loki`` is found as ``loki:latest`` too.
        kind: ``authz`` or ``logdriver``.
        engine: for the managed plugins.
        running: whether the engine can be queried.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        return f"{name!r} cannot be the name of a plugin"
    managed = _managed(name, engine) if running else None
    if managed is not None:
        types = managed.get("Config", {}).get("Interface", {}).get("Types") or ()
        if not any(kind in str(each) for each in types):
            return f"the plugin {name} is not a {kind} plugin"
        return (
            ""
            if managed.get("Enabled")
            else f"the plugin {name} is not enabled (docker plugin enable {name})"
        )
    addresses = list(_addresses(name))
    if not addresses:
        return f"there is no plugin {name}"
    return _problem_at(name, kind, addresses[0])


def _managed(name: str, engine: Engine) -> Mapping[str, Any] | None:
    """Return the engine's data of a managed plugin."""
    wanted = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    try:
        plugins = engine.get("/plugins")
    except NoAnswer:
        return None
    return next((plugin for plugin in plugins or () if plugin.get("Name") in (name, wanted)), None)


def _addresses(name: str) -> Iterator[str]:
    """Yield the addresses of an unmanaged plugin, in the engine's search order."""
    for folder in _SOCKETS:
        for path in (f"{folder}/{name}.sock", f"{folder}/{name}/{name}.sock"):
            if os.path.exists(path):
                yield f"unix://{path}"
    for folder in _SPECS:
        for stem in (f"{folder}/{name}", f"{folder}/{name}/{name}"):
            try:
                with open(f"{stem}.spec", encoding="utf-8") as file:
                    yield file.read(4096).strip()
            except (OSError, ValueError):
                pass
            try:
                with open(f"{stem}.json", encoding="utf-8") as file:
                    yield str(json.load(file)["Addr"])
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                pass


def _problem_at(name: str, kind: str, address: str) -> str:
    """Return why a plugin cannot be used."""
    try:
        said = _ask(address, "/Plugin.Activate", {})
        if said is None:
            return ""
        implements = said.get("Implements") or ()
        if not any(kind in str(each).lower() for each in implements):
            return f"the plugin {name} is not a {kind} plugin: it reports {', '.join(map(str, implements))}"
        if kind != "authz":
            return ""
        verdict = _ask(address, "/AuthZPlugin.AuthZReq", _LOOK) or {}
        if verdict.get("Allow") is not True:
            words = str(verdict.get("Msg") or verdict.get("Err") or "no reason given")[:200]
            return f"the plugin {name} refuses GET /info ({words}): the engine could no longer be inspected"
    except (OSError, ValueError, AttributeError, NoAnswer) as error:
        return f"the plugin {name} does not answer at {address}: {error or type(error).__name__}"
    return ""


def _ask(address: str, path: str, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a plugin's answer; None for a TLS plugin, for which only the connection is tested.

    Raises:
        OSError: it does not answer.
        ValueError, NoAnswer: its answer is not that of a plugin.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    deadline = time.monotonic() + _TIMEOUT
    connected = None
    if parts.scheme != "unix":
        connected = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_TIMEOUT)
    headers = {"Accept": _TYPE, "Content-Type": _TYPE, "Connection": "close"}
    with Connection(parts.path, deadline, connected=connected) as connection:
        if parts.scheme in ("https", "tls"):
            return None
        answer = connection.request("POST", path, json.dumps(content).encode(), headers, limit=_MAX)
    parsed = limited_json.parse(answer)
    if not isinstance(parsed, dict):
        raise ValueError(f"the answer to {path} is not a JSON object")
    return parsed
