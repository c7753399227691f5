"""Validate a daemon.json, including errors that the engine itself does not detect.

``dockerd --validate`` finds bad JSON, unknown keys, wrong types and keys that are set as flags as well. It
does not find a missing profile, a log driver that is not installed or whose target does not answer, a plugin
that does not answer, a live-restore that swarm refuses; and validating ``userns-remap`` creates users and
subordinate ids. Engines before 23.0 have no validation at all.
"""

from __future__ import annotations

import itertools
import json
import os
import pwd
from typing import Any, Callable, Iterator, Mapping

from ..docker import keys
from ..docker.http import NoAnswer
from . import files, jsonkeys, plugins, seccompprofile, system
from .engine import Engine
from .errors import Refused
from .planning import redacted
from .serving import Served

# Log options that a driver accepts beside the common ones; options of other drivers are not checked here.
_LOG_OPTIONS = {
    "json-file": {"max-size", "max-file", "compress"},
    "local": {"max-size", "max-file", "compress"},
    "journald": set(),
    "syslog": {
        "syslog-address",
        "syslog-facility",
        "syslog-format",
        "syslog-tls-ca-cert",
        "syslog-tls-cert",
        "syslog-tls-key",
        "syslog-tls-skip-verify",
    },
    "gelf": {
        "gelf-address",
        "gelf-compression-level",
        "gelf-compression-type",
        "gelf-tcp-max-reconnect",
        "gelf-tcp-reconnect-delay",
    },
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
# Log drivers built into every engine, used while the engine does not list them.
_LOG_DRIVERS = frozenset(
    {
        "awslogs",
        "fluentd",
        "gcplogs",
        "gelf",
        "journald",
        "json-file",
        "local",
        "logentries",
        "splunk",
        "syslog",
    }
)
# A change of these keys hides images, containers and volumes from the engine.
_HIDING = ("data-root", "storage-driver", "userns-remap", "containerd-namespace")
# Keys for which `dockerd --validate` would change this host (users), or read files not yet written.
_TLS = ("tls", "tlsverify", "tlscacert", "tlscert", "tlskey")
_NOT_FOR_DOCKERD = ("userns-remap", *_TLS)

Read = Callable[[str], "bytes | None"]


def refuse_bad(
    after: bytes,
    before: bytes,
    served: Served,
    *,
    info: Mapping[str, Any] | None,
    engine: Engine,
    read: Read,
) -> None:
    """Refuse a configuration that keeps the engine from starting or from working.

    Args:
        after: content of daemon.json as it will be.
        before: content as it is.
        served: the engine.
        info: what the running engine says of itself, None where it does not run.
        engine: to be asked what ``info`` does not hold.
        read: content that a path will have then, None where there will be nothing.

    Raises:
        Refused: with the first thing that is wrong.
    """
    path = served.config
    config = jsonkeys.parse(after, path)
    former = jsonkeys.parse(before, path)
    problems = [_problems(config, former, served.flags, info, engine), _files(config, read)]
    for problem in itertools.chain(*problems, _validation_errors(config, served)):
        raise Refused(f"{path}: {served.without_secrets(problem)}")


def _problems(
    config: Mapping[str, Any],
    former: Mapping[str, Any],
    flags: Mapping[str, Any],
    info: Mapping[str, Any] | None,
    engine: Engine,
) -> Iterator[str]:
    version = str((info or {}).get("ServerVersion") or "")
    for key in config:
        since = keys.unknown_before(key, version)
        if since:
            yield f"{key}: the engine is of version {version}, and knows this key from {since} on"
        flag = keys.exclusive_flag(key)
        if flag in flags:
            yield (
                f"{key} is set on the engine's command line (--{flag} {' '.join(flags[flag])}), and the"
                " engine does not start if the file sets it too: remove the flag from the unit, or do not"
                " set the key"
            )
    yield from _user_namespace(config)
    yield from _ulimits(config)
    yield from _logging(config, former, flags, info, engine)
    if info is not None:
        yield from _with_engine(config, former, info, engine)


def _files(config: Mapping[str, Any], read: Read) -> Iterator[str]:
    """Yield problems of the files that a configuration names, in their state after the run."""
    profile = config.get("seccomp-profile")
    if isinstance(profile, str) and profile not in (*seccompprofile.BUILT_IN, "unconfined"):
        content = read(profile) if profile.startswith("/") else None
        missing = "cannot be read: there is no such file"
        problem = missing if content is None else seccompprofile.problem(content)
        if problem:
            yield f"seccomp-profile {profile} {problem}"
    if any(config.get(key) for key in _TLS):
        from . import apisocket

        problem = apisocket.problem(config, read)
        if problem:
            yield problem


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
        yield f"userns-remap names the user {user}, who does not exist on this host"
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
    config: Mapping[str, Any],
    former: Mapping[str, Any],
    flags: Mapping[str, Any],
    info: Mapping[str, Any] | None,
    engine: Engine,
) -> Iterator[str]:
    declared = config.get("log-driver", (flags.get("log-driver") or [None])[-1])
    driver = str(declared or "json-file")
    known = (info or {}).get("Plugins", {}).get("Log") or _LOG_DRIVERS
    if driver not in known and driver != "none":
        silent = plugins.problem(driver, "logdriver", engine, running=info is not None)
        if silent:
            yield f"log-driver {driver!r}: {silent} (built-in drivers: {', '.join(sorted(known))})"
    options = config.get("log-opts")
    options = options if isinstance(options, dict) else {}
    if driver in _LOG_OPTIONS:
        unknown = sorted(set(options) - _LOG_OPTIONS[driver] - _ANY_LOG_OPTION)
        if unknown:
            yield f"log-opts: the driver {driver} does not know {', '.join(unknown)}"
    if any(not jsonkeys.same(config.get(key), former.get(key)) for key in ("log-driver", "log-opts")):
        from . import logtargets

        silent = logtargets.problem(driver, options)
        if silent:
            yield f"log-driver {driver!r}: {silent}"


def _with_engine(
    config: Mapping[str, Any], former: Mapping[str, Any], info: Mapping[str, Any], engine: Engine
) -> Iterator[str]:
    """Yield the settings that the running engine would refuse."""
    swarm = info.get("Swarm", {}).get("LocalNodeState") not in (None, "", "inactive")
    if swarm and config.get("live-restore") is True:
        yield "live-restore: an engine in a swarm does not start with this setting"
    if config.get("firewall-backend") == "nftables":
        features = config.get("features")
        if swarm and not (isinstance(features, dict) and features.get("swarm-nftables") is True):
            yield "firewall-backend nftables: an engine in a swarm does not start with this setting"
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
    asked = config.get("authorization-plugins")
    for plugin in asked if isinstance(asked, list) else ():
        silent = plugins.problem(str(plugin), "authz", engine, running=True)
        if silent:
            yield f"authorization-plugins: {silent}; the engine would not start, or would refuse all requests"
    yield from _data_hiding_keys(config, former, info, engine)


def _data_hiding_keys(
    config: Mapping[str, Any], former: Mapping[str, Any], info: Mapping[str, Any], engine: Engine
) -> Iterator[str]:
    """Yield the keys whose change would hide data: the engine no longer lists what is still on the disk."""

    def store(configuration: Mapping[str, Any]) -> Any:
        features = configuration.get("features")
        return features.get("containerd-snapshotter") if isinstance(features, dict) else None

    moved = [key for key in _HIDING if not jsonkeys.same(config.get(key), former.get(key))]
    if not jsonkeys.same(store(config), store(former)):
        moved.append("features.containerd-snapshotter")
    if not moved:
        return
    try:
        volumes = len(engine.get("/volumes").get("Volumes") or [])
    except NoAnswer as error:
        why = f"the volumes that the engine would no longer see cannot be listed: {error}"
        yield f"{', '.join(moved)}: {why}"
        return
    there = {"containers": info.get("Containers") or 0, "images": info.get("Images") or 0, "volumes": volumes}
    held = [f"{count} {what}" for what, count in there.items() if count]
    if held:
        yield f"{', '.join(moved)}: the engine would no longer see its {', '.join(held)}"


def _validation_errors(config: Mapping[str, Any], served: Served) -> Iterator[str]:
    """Yield errors found by the engine's validation; for engines without one, by the table of keys."""
    if not served.dockerd:
        return
    content = json.dumps({key: config[key] for key in config if key not in _NOT_FOR_DOCKERD}).encode()
    handle = os.memfd_create("daemon.json", 0)
    try:
        os.write(handle, content)
        outcome = system.run(
            served.dockerd,
            *(word for word in served.argv[1:] if not word.startswith("$")),
            "--validate",
            f"--config-file=/proc/self/fd/{handle}",
            keep_open=[handle],
        )
    finally:
        os.close(handle)
    if outcome.code == 0 or outcome.code in (124, 126, 127):
        return
    if "unknown flag: --validate" in outcome.error:
        problem = keys.problem_before_23(config)
    else:
        # The message prints both values of a key that is set twice, secrets included.
        said = outcome.said.partition(": (from flag")[0]
        problem = redacted(said.replace(f"/proc/self/fd/{handle}", served.config))
    if problem:
        yield problem


def _number(path: str) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


class TemporaryKeys:
    """Changes keys of daemon.json during the context, whose end restores the file byte by byte.

    Folders that the file needs exist for that time: a rollback has removed those that the run made.

    Args:
        path: of the file.
        will_write: called with each content before it is written, so that a rollback knows it as ours.
    """

    def __init__(self, path: str, will_write: Callable[[bytes], None]) -> None:
        self._path = path
        self._will_write = will_write
        self._before = files.read(path)
        self._modified = files.modified(path)
        self._missing = files.missing_directories(path)

    def write(self, keys: Mapping[str, Any]) -> None:
        """Add keys to the file; of the keys that it has already, replace only live-restore."""
        data = jsonkeys.parse(self._before.content or b"", self._path)
        data = {**keys, **data, **{key: keys[key] for key in keys if key == "live-restore"}}
        content = jsonkeys.render(data, self._before.content)
        self._will_write(content)
        files.make_folders(self._path)
        like = self._before if self._before.exists else files.own(b"")
        files.replace(self._path, like._replace(content=content), reserved=True)

    def __enter__(self) -> TemporaryKeys:
        return self

    def __exit__(self, *_: object) -> None:
        files.put(self._path, files.read(self._path), self._before, reserved=True)
        files.set_modified(self._path, self._modified)
        files.remove_folders(self._missing)
