"""What is wrong with a daemon.json, found before the engine does.

``dockerd --validate`` sees bad JSON, unknown keys, wrong types and keys that are flags as well. It does not
see a profile that is missing, a log driver that nobody has, a live-restore that swarm refuses, and it makes
users and subordinate ids while it validates ``userns-remap``. Engines before 23.0 do not have it at all.
"""

from __future__ import annotations

import json
import os
import pwd
from typing import Any, Iterator, Mapping

from host_converge import daemonkeys, jsonkeys, system
from host_converge.engineapi import Engine, NoAnswer
from host_converge.errors import Refused

# Options that a driver takes beside those that belong to every driver; others are not checked here.
_LOG_OPTIONS = {
    "json-file": {"max-size", "max-file", "compress"},
    "local": {"max-size", "max-file", "compress"},
}
_ANY_LOG_OPTION = {
    "cache-compress",
    "cache-disabled",
    "cache-max-file",
    "cache-max-size",
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "max-buffer-size",
    "mode",
    "tag",
}
_SECCOMP_ACTIONS = {
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
}
# A change of these makes images, containers and volumes vanish from the engine's view.
_HIDING = ("data-root", "storage-driver", "userns-remap", "containerd-namespace")
_PLUGIN_FOLDERS = ("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins")


def refuse_bad(
    after: bytes,
    before: bytes,
    settings: Mapping[str, Any],
    *,
    info: Mapping[str, Any] | None,
    engine: Engine,
) -> None:
    """Refuse a configuration that the engine would not start with, or not work with.

    Args:
        after: content of daemon.json as it will be.
        before: content as it is.
        settings: of the activation ``docker``: ``config``, ``dockerd``, ``argv``, ``flags``.
        info: what the running engine says of itself, None where it does not run.
        engine: to be asked what ``info`` does not hold.

    Raises:
        Refused: with the first thing that is wrong.
    """
    path = settings["config"]
    config = jsonkeys.parse(after, path)
    former = jsonkeys.parse(before, path)
    flags = settings.get("flags") or {}
    for problem in _problems(config, former, flags, info, engine):
        raise Refused(f"{path}: {problem}")
    problem = _said_by_dockerd(config, settings)
    if problem:
        raise Refused(f"{path}: {problem}")


def _problems(
    config: Mapping[str, Any],
    former: Mapping[str, Any],
    flags: Mapping[str, Any],
    info: Mapping[str, Any] | None,
    engine: Engine,
) -> Iterator[str]:
    for key in config:
        flag = daemonkeys.flag_of(key)
        if flag in flags:
            yield (
                f"{key} is set on the engine's command line (--{flag} {' '.join(flags[flag])}), and it does"
                " not start with both: remove it from the unit, or do not set it here"
            )
    yield from _seccomp(config)
    yield from _user_namespace(config)
    yield from _ulimits(config)
    yield from _logging(config, flags, info, engine)
    if info is not None:
        yield from _with_engine(config, former, info, engine)


def _seccomp(config: Mapping[str, Any]) -> Iterator[str]:
    profile = config.get("seccomp-profile")
    if not isinstance(profile, str) or profile in ("", "builtin", "default", "unconfined"):
        return
    try:
        with open(profile, "rb") as file:
            parsed = json.load(file)
    except OSError as error:
        yield f"seccomp-profile {profile} cannot be read: {error.strerror}"
        return
    except (ValueError, RecursionError) as error:
        yield f"seccomp-profile {profile} is not JSON: {error}"
        return
    rules = parsed.get("syscalls", []) if isinstance(parsed, dict) else None
    if not isinstance(parsed, dict) or "defaultAction" not in parsed:
        yield f"seccomp-profile {profile} is no seccomp profile: it has no defaultAction"
    elif not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        yield f"seccomp-profile {profile}: syscalls is no list of rules"
    else:
        actions = [parsed["defaultAction"], *(rule.get("action") for rule in rules)]
        unknown = [action for action in actions if action not in _SECCOMP_ACTIONS]
        if unknown:
            yield f"seccomp-profile {profile}: there is no action {unknown[0]!r}"


def _user_namespace(config: Mapping[str, Any]) -> Iterator[str]:
    remap = config.get("userns-remap")
    if not isinstance(remap, str) or not remap:
        return
    features = config.get("features")
    if isinstance(features, dict) and features.get("containerd-snapshotter") is True:
        yield "userns-remap and the containerd image store (containerd-snapshotter) exclude each other"
    if _number("/proc/sys/user/max_user_namespaces") == 0:
        yield "userns-remap needs user namespaces, and user.max_user_namespaces is 0 on this host"
    if remap == "default":
        return
    user = remap.partition(":")[0]
    try:
        name = pwd.getpwuid(int(user)).pw_name if user.isdigit() else pwd.getpwnam(user).pw_name
    except KeyError:
        yield f"userns-remap names the user {user}, whom this host does not have"
        return
    for file in ("/etc/subuid", "/etc/subgid"):
        if not any(line.split(":")[0] in (name, user) for line in _lines(file)):
            yield f"userns-remap names {user}, who has no range in {file}"


def _ulimits(config: Mapping[str, Any]) -> Iterator[str]:
    limits = config.get("default-ulimits")
    for name, limit in limits.items() if isinstance(limits, dict) else ():
        soft, hard = (limit.get(key) for key in ("Soft", "Hard")) if isinstance(limit, dict) else (None, None)
        if isinstance(soft, int) and isinstance(hard, int) and hard != -1 and (soft == -1 or soft > hard):
            yield f"default-ulimits: the soft limit of {name} ({soft}) is above the hard one ({hard})"


def _logging(
    config: Mapping[str, Any], flags: Mapping[str, Any], info: Mapping[str, Any] | None, engine: Engine
) -> Iterator[str]:
    declared = config.get("log-driver", (flags.get("log-driver") or [None])[-1])
    driver = declared or "json-file"
    known = (info or {}).get("Plugins", {}).get("Log") or daemonkeys.LOG_DRIVERS
    if driver not in known and driver != "none" and not _is_plugin(driver, "logdriver", engine, info):
        yield f"log-driver {driver!r}: this engine has no such driver (it has {', '.join(sorted(known))})"
    options = config.get("log-opts")
    if driver in _LOG_OPTIONS and isinstance(options, dict):
        unknown = sorted(set(options) - _LOG_OPTIONS[driver] - _ANY_LOG_OPTION)
        if unknown:
            yield f"log-opts: the driver {driver} does not know {', '.join(unknown)}"


def _with_engine(
    config: Mapping[str, Any], former: Mapping[str, Any], info: Mapping[str, Any], engine: Engine
) -> Iterator[str]:
    """What depends on the engine that runs."""
    swarm = info.get("Swarm", {}).get("LocalNodeState") not in (None, "", "inactive")
    if swarm and config.get("live-restore") is True:
        yield "live-restore: the engine does not start with it while it is part of a swarm"
    if config.get("firewall-backend") == "nftables":
        features = config.get("features")
        if swarm and not (isinstance(features, dict) and features.get("swarm-nftables") is True):
            yield "firewall-backend nftables: the engine does not start with it while it is part of a swarm"
        if _number("/proc/sys/net/ipv4/ip_forward") == 0:
            yield "firewall-backend nftables: the engine does not start while net.ipv4.ip_forward is 0"
    parent = config.get("cgroup-parent")
    if isinstance(parent, str) and info.get("CgroupDriver") == "systemd" and not parent.endswith(".slice"):
        yield f"cgroup-parent {parent!r}: with the systemd cgroup driver it must be a slice (name.slice)"
    runtime = config.get("default-runtime")
    if isinstance(runtime, str) and "/" not in runtime and not runtime.startswith("io.containerd."):
        runtimes = {**(info.get("Runtimes") or {}), **(config.get("runtimes") or {})}
        if runtime not in runtimes:
            yield f"default-runtime {runtime!r}: no such runtime is configured"
    plugins = config.get("authorization-plugins")
    for plugin in plugins if isinstance(plugins, list) else ():
        if not _is_plugin(str(plugin), "authz", engine, info):
            yield f"authorization-plugins: {plugin} is not there, and the engine would refuse every request"
    yield from _hidden(config, former, info, engine)


def _hidden(
    config: Mapping[str, Any], former: Mapping[str, Any], info: Mapping[str, Any], engine: Engine
) -> Iterator[str]:
    """Refuse to hide data: nothing would be lost, and everything would seem to be."""

    def store(keys: Mapping[str, Any]) -> Any:
        features = keys.get("features")
        return features.get("containerd-snapshotter") if isinstance(features, dict) else None

    moved = [key for key in _HIDING if not jsonkeys.same(config.get(key), former.get(key))]
    if not jsonkeys.same(store(config), store(former)):
        moved.append("features.containerd-snapshotter")
    if not moved:
        return
    try:
        volumes = len(engine.get("/volumes").get("Volumes") or [])
    except NoAnswer:
        volumes = 0
    there = {"containers": info.get("Containers") or 0, "images": info.get("Images") or 0, "volumes": volumes}
    held = [f"{count} {what}" for what, count in there.items() if count]
    if held:
        yield f"{', '.join(moved)}: the engine would no longer see its {', '.join(held)}"


def _is_plugin(name: str, kind: str, engine: Engine, info: Mapping[str, Any] | None) -> bool:
    """Whether an enabled plugin of a kind has that name (``loki`` is found as ``loki:latest`` too)."""
    wanted = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    try:
        plugins = engine.get("/plugins") if info is not None else []
    except NoAnswer:
        plugins = []
    for plugin in plugins or ():
        types = plugin.get("Config", {}).get("Interface", {}).get("Types") or ()
        if (
            plugin.get("Enabled")
            and plugin.get("Name") in (name, wanted)
            and any(kind in str(t) for t in types)
        ):
            return True
    return any(
        os.path.exists(os.path.join(folder, f"{os.path.basename(name)}{ending}"))
        for folder in _PLUGIN_FOLDERS
        for ending in (".sock", ".spec", ".json")
    )


def _said_by_dockerd(config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What the engine's own validation finds; where it has none, what our table of keys does."""
    dockerd = settings.get("dockerd")
    if not dockerd:
        return ""
    # A remapped user is not looked at twice: to validate "default" would make the user on this host.
    content = json.dumps({key: value for key, value in config.items() if key != "userns-remap"}).encode()
    handle = os.memfd_create("daemon.json", 0)
    try:
        os.write(handle, content)
        arguments = [word for word in settings.get("argv", [])[1:] if not word.startswith("$")]
        outcome = system.run(
            dockerd, *arguments, "--validate", f"--config-file=/proc/self/fd/{handle}", keep_open=[handle]
        )
    finally:
        os.close(handle)
    if outcome.code == 0 or outcome.code in (124, 126, 127):
        return ""
    if "unknown flag: --validate" in outcome.error:
        return daemonkeys.problem_before_23(config)
    return outcome.said.replace(f"/proc/self/fd/{handle}", settings["config"])


def _number(path: str) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
