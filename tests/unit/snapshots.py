"""Snapshots for tests: one complete Debian 13 host with Docker 26.1.5, changed where the test says so.

    make(**{"docker.info": {"LiveRestoreEnabled": True}, "files": {"/etc/docker": None}})

Objects are merged key by key at any depth; anything else, lists too, replaces what was there. A source
becomes ``failed("why")`` or ``absent("what")``, an object is swapped whole by ``only({...})`` and a key taken
away by ``GONE``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from ansible_collections.hardener.docker.plugins.module_utils.docker import keys

from hardener.snapshot import Snapshot

GONE: Final = object()
RELEASES = ("debian-12", "debian-13", "debian-testing")  # recorded
_RECORDED = Path(__file__).parents[1] / "fixtures" / "snapshots"


@dataclass(frozen=True, slots=True)
class _Only:
    value: Any


@dataclass(frozen=True, slots=True)
class _State:
    state: str
    error: str


def only(value: Any) -> Any:
    """``value`` in place of what the base has there, not merged into it."""
    return _Only(value)


def failed(error: str = "timed out") -> Any:
    """A source that should be there and could not be read."""
    return _State("failed", error)


def absent(error: str = "not on this host") -> Any:
    """A source whose subject does not exist on the host."""
    return _State("absent", error)


# Any where a narrower type is meant: a source's name has a dot and arrives in a dictionary, which mypy holds
# against every parameter.
def make(*, host: Any = "h", policy: Any = None, without: Any = (), **sources: Any) -> Snapshot:
    """A snapshot that differs from the base in the given sources; ``without`` names those never collected."""
    raw = json.loads(_text())  # five times as fast as a deep copy, and nearly every test needs one
    raw["host"] = host
    raw["policy"] = {} if policy is None else policy
    for name, change in sources.items():
        if isinstance(change, _State):
            raw["sources"][name] = {"state": change.state, "ms": 0, "error": change.error}
        else:
            data = merge(raw["sources"].get(name, {}).get("data"), change)
            raw["sources"][name] = {"state": "ok", "ms": 1, "data": data}
    for name in without:
        del raw["sources"][name]
    _declare(raw["sources"].get("daemon.config", {}).get("data"))
    return Snapshot(raw)


def _declare(config: dict[str, Any] | None) -> None:
    """Have a daemon's configuration say by key what a test gives as ``flags`` and as ``parsed`` file."""
    if config is None:
        return
    flags, parsed = config.pop("flags", {}), config.pop("parsed", None)
    config["declared"] = keys.declared(parsed or {}, flags)
    config["conflicts"] = keys.conflicts(parsed or {}, flags)
    if not isinstance(parsed, dict) and config["exists"]:
        config["error"] = config["error"] or "not JSON"


@cache
def recorded(name: str) -> Snapshot:
    """A snapshot that was taken of a real host: ``debian-12``, ``debian-13-selinux-enforcing``."""
    return Snapshot.load(_RECORDED / f"{name}.json")


@cache
def permissive() -> Snapshot:
    """The recorded host with SELinux, when it only logged denials and its engine labelled no container."""
    raw = deepcopy(recorded("debian-13-selinux-enforcing").raw)
    raw["sources"]["lsm"]["data"]["selinux"] |= {
        "mode": "permissive",
        "config": {"SELINUX": "permissive", "SELINUXTYPE": "default", "SETLOCALDEFS": "0"},
    }
    raw["sources"]["docker.info"]["data"]["SecurityOptions"].remove("name=selinux")
    config = raw["sources"]["daemon.config"]["data"]
    config["exists"], config["declared"] = False, {}
    del raw["sources"]["docker.containers"]["data"][1:]
    (web,) = raw["sources"]["docker.containers"]["data"]
    web["proc"]["label"] = "system_u:system_r:spc_t:s0"
    return Snapshot(raw)


def no_engine() -> Snapshot:
    """A host without Docker."""
    reason = "no Docker engine is installed"
    gone = [
        name for name in _base()["sources"] if name == "engine" or name.startswith(("docker.", "daemon."))
    ]
    return make(**dict.fromkeys(gone, absent(reason)), groups=only({}))


def silent_engine(error: str = "connect: connection refused") -> Snapshot:
    """A host whose engine is installed and does not answer."""
    silent = [name for name in _base()["sources"] if name.startswith("docker.")]
    engine = {
        "reachable": False,
        "error": error,
        "pid": None,
        "pid_from": None,
        "api_version": None,
        "proxies": 0,
    }
    return make(engine=engine, **dict.fromkeys(silent, failed(error)))


def container(
    name: str = "web", *, proc: Mapping[str, Any] | None = None, running: bool = True, **inspect: Any
) -> dict[str, Any]:
    """A container of the base, changed: ``container("db", HostConfig={"Privileged": True})``."""
    base = deepcopy(_base()["sources"]["docker.containers"]["data"][0])
    changed = merge(base["inspect"], {"Name": f"/{name}", **inspect})
    if not running:
        changed["State"] = merge(changed["State"], {"Status": "exited", "Running": False, "Pid": 0})
        return {"inspect": changed, "proc": None}
    return {"inspect": changed, "proc": merge(base["proc"], proc or {})}


def unread(name: str = "dark", error: str = "timed out") -> dict[str, Any]:
    """A container that the collector could not read: what the engine's list tells of it, and why."""
    told = {"Id": "f" * 64, "Name": f"/{name}", "Image": "sha256:" + "0" * 64}
    return {"inspect": told, "proc": None, "error": error}


def hardened(
    name: str = "twin", *, proc: Mapping[str, Any] | None = None, running: bool = True, **inspect: Any
) -> dict[str, Any]:
    """A container that holds every rule of section 5, changed: the other side of each failing case."""
    declared = {
        "State": {"Health": {"Status": "healthy", "FailingStreak": 0, "Log": None}},
        "Config": {"User": "1000:1000"},
        "HostConfig": {
            "CapDrop": ["ALL"],
            "Memory": 67108864,
            "NanoCpus": 500000000,
            "NetworkMode": "app",
            "PidsLimit": 64,
            "PortBindings": only({"8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8443"}]}),
            "ReadonlyRootfs": True,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "SecurityOpt": ["no-new-privileges"],
        },
        "NetworkSettings": {
            "Ports": only({"8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8443"}]}),
            "Networks": only({"app": {"NetworkID": "9f0c"}}),
        },
    }
    effective = {
        "uid": 101000,
        "gid": 101000,
        "uid_map": [[0, 100000, 65536]],
        "gid_map": [[0, 100000, 65536]],
        "cap_eff": "0000000000000000",
        "cap_bnd": "0000000000000000",
        "cap_prm": "0000000000000000",
        "no_new_privs": 1,
        "host_namespaces": [],
        "cgroup": {"memory_max": 67108864, "cpu_max": "50000 100000", "pids_max": 64},
        "processes": [{"pid": 812, "comm": "app", "exe": "/usr/bin/app", "uid": 101000}],
        "processes_total": 1,
        "listening": [{"proto": "tcp", "address": "0.0.0.0", "port": 8443}],
    }
    twin = container(name, proc=effective, running=running, **declared)
    return {
        "inspect": merge(twin["inspect"], inspect),
        "proc": merge(twin["proc"], proc or {}) if running else None,
    }


def with_containers(*containers: Mapping[str, Any], **others: Any) -> Snapshot:
    """The base with these containers, on an engine that remaps users."""
    options = ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns", "name=userns"]
    info = merge({"SecurityOptions": options}, others.pop("info", {}))
    return make(**{"docker.containers": list(containers), "docker.info": info}, **others)


def image(
    tag: str = "registry.example.org/web:1.4", *, history: Any = None, **inspect: Any
) -> dict[str, Any]:
    """An image of the base, changed: ``image(Config={"User": "1000"})``."""
    base = deepcopy(_base()["sources"]["docker.images"]["data"][0])
    return {
        "inspect": merge(base["inspect"], {"RepoTags": [tag], **inspect}),
        "history": base["history"] if history is None else history,
    }


def merge(old: Any, change: Any) -> Any:
    """``change`` laid over ``old``: objects key by key, everything else replaced."""
    if isinstance(change, _Only):
        return change.value
    if not isinstance(change, Mapping):
        return change
    merged = dict(old) if isinstance(old, Mapping) else {}
    for key, value in change.items():
        if value is GONE:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


@cache
def _base() -> dict[str, Any]:
    return json.loads(_text())  # type: ignore[no-any-return]


@cache
def _text() -> str:
    return (Path(__file__).parent / "data" / "debian13.json").read_text(encoding="utf-8")
