"""Compare the engine's effective values with the expected ones of the activation `docker`."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping

from . import jsonkeys, system
from .engine import Engine

_PROFILES = "/sys/kernel/security/apparmor/profiles"


def differences(expect: Mapping[str, Any], info: Mapping[str, Any], engine: Engine) -> dict[str, str]:
    """Return by name the effective values that differ from the expected ones, each as a sentence.

    Those of the default bridge are left out while containers keep the engine from changing it.

    Args:
        expect: the expected values: the setting ``expect`` of the activation.
        info: the engine's /info.
        engine: the engine.
    """
    found = {
        key: f"{key} is {json.dumps(info.get(key))} in the engine, should be {json.dumps(value)}"
        for key, value in expect.get("info", {}).items()
        if not jsonkeys.same(info.get(key), value)
    }
    options = security_options(info)
    for name in expect.get("security", []):
        if name not in options:
            found[name] = f"{name} is not in effect in the engine"
    loaded = {line.rpartition(" (")[0] for line in system.read(_PROFILES).splitlines()}
    for name in expect.get("profiles", []):
        if name not in loaded:
            found[name] = f"the AppArmor profile {name} is not loaded"
    profile = next(iter(_seccomp_profiles(info)), "none")
    if expect.get("seccomp", profile) != profile:
        found["seccomp"] = f"the seccomp profile of the engine is {profile}, should be {expect['seccomp']}"
    for chain in expect.get("chains", []):
        if system.run("iptables", "--wait", "5", "--list-rules", chain).code == 1:
            found[chain] = f"the chain {chain} of iptables is not loaded"
    for address in expect.get("guarded", []):
        found.update(_unguarded(address))
    if not alive(info):
        found.update(bridge_differences(expect, engine))
    return found


def bridge_differences(expect: Mapping[str, Any], engine: Engine) -> dict[str, str]:
    """Return by name the options of the default bridge that differ from the expected ones."""
    wanted = expect.get("bridge", {})
    options = engine.bridge() if wanted else {}
    return {
        key: (f"{key} is {json.dumps(options.get(key))} on the default bridge, should be {json.dumps(value)}")
        for key, value in wanted.items()
        if options and options.get(key) != value
    }


def security_options(info: Mapping[str, Any]) -> set[str]:
    """Return the names of the engine's security options."""
    return {
        part.partition("=")[2]
        for option in info.get("SecurityOptions") or ()
        for part in str(option).split(",")
        if part.startswith("name=")
    }


def alive(info: Mapping[str, Any]) -> int:
    """Return the number of running and paused containers, which keep the engine from changing networks."""
    return int(info.get("ContainersRunning") or 0) + int(info.get("ContainersPaused") or 0)


def _seccomp_profiles(info: Mapping[str, Any]) -> Iterator[str]:
    """Yield the engine's default seccomp profile for containers, in the notation of new engines."""
    for option in info.get("SecurityOptions") or ():
        fields = dict(part.partition("=")[::2] for part in str(option).split(","))
        if fields.get("name") == "seccomp":
            profile = fields.get("profile") or "unconfined"
            yield "builtin" if profile == "default" else profile


def _unguarded(address: str) -> dict[str, str]:
    """Return how the TCP API accepts clients without a certificate, or why it does not answer."""
    from . import apisocket

    try:
        how = apisocket.lets_in(address)
    except OSError as error:
        how = f"nothing listens: {error.strerror or error}"
    return {address: f"tcp://{address}: {how}"} if how else {}
