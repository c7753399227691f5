"""Build a document of the role docker_daemon: keys of daemon.json that the command line does not set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..contract import DAEMON_RESTART
from .hostview import HostView, listed

_MODULES_FILE = "/etc/modules-load.d/hardener-docker.conf"
# Keys for which any value on the command line is accepted.
_LEFT_TO_FLAGS = ("default-ulimits", "log-opts")
_MODULES_RESOURCE = {
    "kind": "file",
    "path": _MODULES_FILE,
    "content": (
        "# Written by hardener. Without this module, dockerd cannot make a bridge that restricts traffic\n"
        "# between containers (icc) or that does without the userland proxy.\n"
        "br_netfilter\n"
    ),
}
_MODULES_ACTIVATION = {"name": "modules-load", "when": [_MODULES_FILE], "modules": ["br_netfilter"]}


def document_of(
    host: HostView,
    variable: str,
    keys: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    *,
    impact: str = DAEMON_RESTART,
    costs: str = "",
    losses: Sequence[str] = (),
    needs_bridge_module: bool = False,
    info: Mapping[str, Any] | None = None,
    bridge: Mapping[str, str] | None = None,
    security: Sequence[str] = (),
    chains: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the document of one variable.

    Args:
        host: the host.
        variable: its name without the role's.
        keys: what daemon.json must have.
        defaults: values set only if the key is not set otherwise.
        impact: the impact of bringing it into force.
        costs: details of the impact, in words.
        losses: texts of the losses among them.
        needs_bridge_module: whether the engine needs ``br_netfilter`` for it.
        info: values that the engine reports once it is in force.
        bridge: options that its default bridge has then.
        security: names that are in its security options then.
        chains: those of iptables that it has created then.
        notes: for the reader of the result.
    """
    notes = list(notes)
    wish = {"keys": dict(keys), "defaults": dict(defaults or {})}
    for key in [*wish["keys"], *wish["defaults"]]:
        if not host.flag(key):
            continue
        if key in _LEFT_TO_FLAGS:
            notes.append(f"{key} is set on the engine's command line, and stays as it is there")
        elif not _satisfied(host.setting(key), keys.get(key)):
            given = _flag_value(host, key)
            reason = f"the engine's command line sets {given}, and the engine does not start if"
            return refused(
                variable, f"{reason} {host.config_path} sets {key} too: remove the flag from the unit"
            )
        for part in wish.values():
            part.pop(key, None)
    resource = {"kind": "json", "path": host.config_path, **wish, "whole": ["log-opts"]}
    expect = {"info": dict(info or {}), "bridge": dict(bridge or {}), "security": list(security)}
    if chains:
        expect["chains"] = list(chains)
    docker = {"name": "docker", "when": [host.config_path], "expect": expect}
    return {
        "name": f"docker_daemon_{variable}",
        "impact": impact,
        "costs": costs,
        "losses": list(losses),
        "resources": [resource, *([_MODULES_RESOURCE] if needs_bridge_module else [])],
        "activations": [*([_MODULES_ACTIVATION] if needs_bridge_module else []), docker],
        "notes": notes,
    }


def refused(variable: str, reason: str) -> dict[str, Any]:
    """Return the document of a variable that this host refuses, with the reason."""
    return {"name": f"docker_daemon_{variable}", "refused": reason}


def new_containers_only(host: HostView) -> str:
    """Return a sentence that names the containers to which a new default does not apply; empty if none."""
    reached = "applies to new containers only; recreate these containers:"
    return f"{reached} {listed(host.names)}" if host.names else ""


def _satisfied(flag_value: Any, value: Any) -> bool:
    """Return whether the command line already sets this value, so that the file must not."""
    if isinstance(flag_value, list) and isinstance(value, list):
        return sorted(map(str, flag_value)) == sorted(map(str, value))
    return type(flag_value) is type(value) and bool(flag_value == value)


def _flag_value(host: HostView, key: str) -> str:
    """Return the flag of a key with its value, as on the command line."""
    value = host.setting(key)
    words = [str(each).lower() if isinstance(each, bool) else str(each) for each in _list(value)]
    return " ".join([host.flag(key), *words])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
