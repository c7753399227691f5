"""Section 2: check the daemon's defaults for containers, and its own configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from hardener.checks import check
from hardener.checks.lib import fields, policy
from hardener.checks.lib import filters as seccomp_profiles
from hardener.checks.lib.containers import readable
from hardener.checks.lib.ports import published
from hardener.checks.lib.settings import Facts, Settings
from hardener.checks.lib.swarmstate import node_state
from hardener.checks.lib.verdicts import (
    count,
    failed,
    manual,
    needs_engine,
    not_applicable,
    passed,
    undecided_by,
)
from hardener.model import Offender, Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

INFO = "docker.info"
_MOST_PROCESSES = 1 << 22  # PID_MAX_LIMIT of a 64-bit kernel
_FIRST_ID = 65536  # lower ids are of accounts of the host
_REMAPPED = re.compile(r"/(\d+)\.(\d+)$")  # of the data root: uid and gid of root in containers
_ICC = "com.docker.network.bridge.enable_icc"


@check("daemon-rootless")
@needs_engine
def rootless(snapshot: Snapshot) -> Verdict:
    """Check that the daemon is rootless; only a person can decide whether a host needs a rootful daemon."""
    expected = "the daemon runs rootless where its workload allows it"
    if runs_rootless(snapshot):
        return passed(expected, f"rootless, uid {snapshot.fact('engine').get('euid')}")
    snapshot.info  # noqa: B018 - an unresponsive engine may still be rootless
    return manual(
        expected,
        "the daemon runs as root: check whether this host's containers could run under a rootless one",
        evidence=_against_rootless(snapshot),
    )


def runs_rootless(snapshot: Snapshot) -> bool:
    """Return whether the daemon runs as a user other than root, according to its process or its API."""
    return Facts(snapshot).rootless


def _against_rootless(snapshot: Snapshot) -> list[str]:
    """Return reasons why the current workload needs a rootful daemon."""
    facts = []
    if node_state(snapshot) != "inactive":
        facts.append("needs root: swarm mode (overlay networks)")
    everyone, unread = readable(snapshot)
    if unread:
        facts.append(f"some containers could not be judged: {unread}")
    for container in everyone:
        if container.privileged:
            facts.append(f"needs root: {container.name} is privileged")
        if container.host_config.get("NetworkMode") == "host":
            facts.append(f"needs root: {container.name} uses the host's network")
    lowest = snapshot.fact("system").get("unprivileged_port_start") or 1024
    for port in () if unread else published(snapshot):
        if port.port.isdigit() and int(port.port) < lowest:
            facts.append(f"needs net.ipv4.ip_unprivileged_port_start: {port}")
    return facts or ["no running container was found that needs root"]


@check("daemon-icc-disabled")
@needs_engine
def icc(snapshot: Snapshot) -> Verdict:
    """Check inter-container communication on the actual default bridge, not in the configuration."""
    expected = f"{_ICC} is false on the network bridge"
    bridge = next(
        (network for network in snapshot.fact("docker.networks") if network.get("Name") == "bridge"), None
    )
    if bridge is None:
        return not_applicable("the default bridge is switched off")
    settings = Settings(snapshot)
    effective = fields.text(fields.table(bridge, "Options", "docker.networks"), _ICC, "docker.networks")
    actual = f"{_ICC} is {effective or 'not set'}{settings.drift('icc', effective != 'false')}"
    evidence = settings.evidence("icc", "bridge")
    if effective == "false":
        return passed(expected, actual, evidence=evidence)
    return failed(expected, actual, offenders=[Offender("network", "bridge", actual)], evidence=evidence)


@check("daemon-log-level-info")
@needs_engine
def log_level(snapshot: Snapshot) -> Verdict:
    """Check the configured log level and debug mode; the engine itself reports only its debug mode."""
    expected = "log level info, no debug mode"
    settings = Settings(snapshot)
    level = settings.text("log-level")
    evidence = settings.evidence("log-level", "debug")
    offenders = []
    if str(level.value).lower() not in ("", "info"):
        offenders.append(Offender("setting", "log-level", f"is {level}"))
    declared_debug = settings.boolean("debug")
    if declared_debug.value:
        offenders.append(Offender("setting", "debug", f"is {declared_debug}"))
    if offenders:
        actual = "; ".join(f"{offender.name} {offender.detail}" for offender in offenders)
        return failed(expected, actual, offenders=offenders, evidence=evidence)
    if snapshot.info.get("Debug"):
        actual = f"the running daemon is in debug mode{settings.drift('debug', True)}"
        return failed(expected, actual, offenders=[Offender("setting", "debug", "is on")], evidence=evidence)
    return unless_stale(settings, "log-level", expected, f"log level {level}, debug off", evidence)


def unless_stale(
    settings: Settings, key: str, expected: str, actual: str, evidence: Sequence[str]
) -> Verdict:
    """Return a pass, or a manual verdict if the configuration file is newer than the running daemon."""
    if settings.changed_since_start and not settings.get(key).origin.startswith("--"):
        return manual(
            expected,
            f"restart the daemon, or check its settings: {settings.path} was changed after the start of the "
            f"daemon, and now declares {actual}",
            evidence=evidence,
        )
    return passed(expected, actual, evidence=evidence)


@check("daemon-storage-aufs-absent")
@needs_engine
def aufs(snapshot: Snapshot) -> Verdict:
    """Check that the storage driver aufs is not used."""
    return _driver_absent(snapshot, "aufs", removed_in=24)


@check("daemon-storage-devicemapper-absent")
@needs_engine
def devicemapper(snapshot: Snapshot) -> Verdict:
    """Check that the storage driver devicemapper is not used."""
    return _driver_absent(snapshot, "devicemapper", removed_in=25)


def _driver_absent(snapshot: Snapshot, driver: str, *, removed_in: int) -> Verdict:
    expected = f"the storage driver is not {driver}"
    if snapshot.engine_version >= (removed_in,):
        return not_applicable(f"the engine has no driver {driver} since {removed_in}.0")
    found = fields.text(snapshot.info, "Driver", INFO)
    if found == driver:
        return failed(
            expected, f"the driver is {found}", offenders=[Offender("setting", "storage-driver", found)]
        )
    return passed(expected, f"the driver is {found}")


@check("daemon-base-device-size")
@needs_engine
def base_device_size(snapshot: Snapshot) -> Verdict:
    """Check the base device size, an option of devicemapper only."""
    expected = "no dm.basesize among storage-opts"
    driver = fields.text(snapshot.info, "Driver", INFO)
    if driver != "devicemapper":
        return not_applicable(f"the storage driver is {driver}: only devicemapper has a base device size")
    options = Settings(snapshot).entries("storage-opts")
    offenders = [
        Offender("setting", "storage-opts", f"{option} ({options.origin})")
        for option in options.value
        if option.partition("=")[0].strip() == "dm.basesize"
    ]
    if offenders:
        return failed(expected, offenders[0].detail, offenders=offenders)
    return passed(expected, "dm.basesize is not set", evidence=list(options.value))


@check("daemon-default-ulimits")
@needs_engine
def default_ulimits(snapshot: Snapshot) -> Verdict:
    """Check that default ulimits are set and limit something; the site decides about their values."""
    expected = "default-ulimits has at least one entry, and none for nofile or nproc is unlimited"
    settings = Settings(snapshot)
    limits = settings.entries("default-ulimits")
    evidence = [f"{limit} ({limits.origin})" for limit in limits.value]
    if not limits.value:
        actual = "no default ulimit is set"
        return failed(expected, actual, offenders=[Offender("setting", "default-ulimits", "is not set")])
    declared = settings.get("default-ulimits").value
    endless = {name: limit for name in ("nofile", "nproc") if (limit := _endless(declared, name)) is not None}
    if endless:
        shown = {
            name: "-1 (unlimited)" if limit == -1 else f"{limit} (no limit)"
            for name, limit in endless.items()
        }
        offenders = [
            Offender("setting", f"default-ulimits {name}", f"is {what}") for name, what in shown.items()
        ]
        actual = ", ".join(f"{what} for {name}" for name, what in shown.items())
        return failed(expected, actual, offenders=offenders, evidence=evidence)
    names = ", ".join(limit.partition("=")[0] for limit in limits.value)
    return unless_stale(settings, "default-ulimits", expected, f"limits for {names}", evidence)


def _endless(value: object, name: str) -> int | None:
    """Return the value of a default ulimit that limits nothing: ``{"Hard": -1}``, ``nofile=-1``; else None.

    The kernel takes negative numbers for huge ones, and has no more than 4,194,304 processes.
    """
    if isinstance(value, Mapping):
        entry = value.get(name)
        items = entry.items() if isinstance(entry, Mapping) else ()
        # Go ignores the case of names.
        limits = [limit for key, limit in items if str(key).casefold() in {"hard", "soft"}]
    else:
        flags = [str(flag).partition("=") for flag in (value if isinstance(value, list) else ())]
        texts = [limit.split(":") for key, _, limit in flags if key == name][-1:]
        limits = [int(text) for text in (texts[0] if texts else ()) if text.removeprefix("-").isdecimal()]
    most = _MOST_PROCESSES if name == "nproc" else math.inf
    found = [limit for limit in limits if isinstance(limit, int) and (limit < 0 or limit >= most)]
    return min(found, default=None)


@check("daemon-userns-remap")
@needs_engine
def userns_remap(snapshot: Snapshot) -> Verdict:
    """Check that containers have no id of the host's accounts, for the engine and each running container.

    Not in those that asked for the host's user namespace: that is their own setting, and another control's.
    """
    expected = "root in containers is not root on the host, and no id in them is of an account"
    settings = Settings(snapshot)
    evidence = settings.evidence("userns-remap")
    rootless = "rootless" in snapshot.security_options
    if not snapshot.security_options & {"userns", "rootless"}:
        asked = _declared_text(settings, "userns-remap")
        drift = f"; declared {asked}: it takes effect at the next restart" if asked else ""
        return failed(
            expected,
            f"the engine does not remap users{drift}",
            offenders=[Offender("setting", "userns-remap", "is not in effect")],
            evidence=evidence,
        )
    everyone, unread = readable(snapshot)
    running = [
        container
        for container in everyone
        if container.running and container.host_config.get("UsernsMode") != "host"
    ]
    # The user of a rootless engine is an account; its containers have that of their root.
    least = 1 if rootless else _FIRST_ID
    offenders = [
        Offender("container", container.name, f"root in the container is uid {entry[1]} of the host")
        for container in running
        for entry in container.fact("uid_map")
        if entry[0] == 0 and entry[1] < least
    ]
    found = [f"{len(offenders)} of {len(running)} running containers are not remapped"] if offenders else []
    shared = [] if rootless else list(_ids_of_accounts(snapshot))
    offenders += shared
    if offenders:
        return failed(
            expected,
            "; ".join([*found, *(f"{each.name} {each.detail}" for each in shared)]),
            offenders=offenders,
            evidence=evidence,
            checked=len(running),
            undecided=undecided_by(unread),
        )
    if unread:
        raise unread
    if not rootless and not _REMAPPED.search(str(snapshot.info.get("DockerRootDir"))):
        return manual(
            expected, "judge the ids of containers: the engine does not tell them", evidence=evidence
        )
    return passed(expected, "the engine remaps users", evidence=evidence, checked=len(running))


def _ids_of_accounts(snapshot: Snapshot) -> Iterator[Offender]:
    """Yield where ids of containers may be ids of the host's accounts: in use now, and from a restart on."""
    users = snapshot.fact("users")
    in_use = _REMAPPED.search(str(snapshot.info.get("DockerRootDir")))
    for index, (name, high) in enumerate((("subuid", "uids"), ("subgid", "gids"))):
        first = int(in_use[index + 1]) if in_use else _FIRST_ID
        if first < _FIRST_ID:
            yield Offender("setting", "userns-remap", f"gives root in containers the {name[3:]} {first}")
        accounts = fields.table(users, "high", "users").get(high) or ()
        for start, number in fields.table(users, "remap", "users").get(name) or ():
            if start < _FIRST_ID or any(start <= each < start + number for each in accounts):
                detail = f"has ids of accounts of the host in the range {start}:{number}"
                yield Offender("setting", f"/etc/{name}", detail)


def _declared_text(settings: Settings, key: str) -> str:
    try:
        declared = settings.text(key)
    except FactUnavailable:
        return ""
    return str(declared) if declared.value else ""


@check("daemon-cgroup-parent-default")
@needs_engine
def cgroup_parent(snapshot: Snapshot) -> Verdict:
    """Check that the engine's default cgroup parent is unset or approved by the site."""
    expected = "cgroup-parent is unset, or hardener_policy.cgroup_parents names it"
    settings = Settings(snapshot)
    parent = settings.text("cgroup-parent")
    approved = policy.texts(snapshot, "cgroup_parents") or ()
    if parent.value in ("", *approved):
        actual = f"cgroup-parent {parent}" if parent.value else "cgroup-parent is unset"
        return unless_stale(settings, "cgroup-parent", expected, actual, settings.evidence())
    return failed(
        expected,
        f"cgroup-parent {parent}",
        offenders=[
            Offender("setting", "cgroup-parent", f"{parent} is not in hardener_policy.cgroup_parents")
        ],
        evidence=settings.evidence(),
    )


@check("daemon-no-new-privileges")
@needs_engine
def no_new_privileges(snapshot: Snapshot) -> Verdict:
    """Check no-new-privileges as the engine reports it; before 24.0, as the configuration declares it."""
    expected = "new containers cannot gain privileges by default"
    settings = Settings(snapshot)
    evidence = settings.evidence("no-new-privileges")
    if snapshot.engine_version >= (24,):
        effective = "no-new-privileges" in snapshot.security_options
        actual = f"no-new-privileges is {'on' if effective else 'off'}"
        actual += settings.drift("no-new-privileges", effective)
        if effective:
            return passed(expected, actual, evidence=evidence)
    else:
        declared = settings.boolean("no-new-privileges")
        actual = f"no-new-privileges {declared}"
        if declared.value:
            return unless_stale(settings, "no-new-privileges", expected, actual, evidence)
    offender = Offender("setting", "no-new-privileges", "is not in effect")
    return failed(expected, actual, offenders=[offender], evidence=evidence)


@check("daemon-live-restore")
@needs_engine
def live_restore(snapshot: Snapshot) -> Verdict:
    """Check that containers survive a restart of the daemon."""
    expected = "containers keep running while the daemon restarts"
    if node_state(snapshot) != "inactive":
        return not_applicable("swarm mode is on, which excludes live-restore")
    settings = Settings(snapshot)
    effective = bool(snapshot.info.get("LiveRestoreEnabled"))
    actual = f"live-restore is {'on' if effective else 'off'}{settings.drift('live-restore', effective)}"
    evidence = settings.evidence("live-restore")
    if effective:
        return passed(expected, actual, evidence=evidence)
    offender = Offender("setting", "live-restore", "is not in effect")
    return failed(expected, actual, offenders=[offender], evidence=evidence)


@check("daemon-userland-proxy-disabled")
@needs_engine
def userland_proxy(snapshot: Snapshot) -> Verdict:
    """Check that the userland proxy is off: no process of it runs, and its setting is false."""
    expected = "userland-proxy is false and no docker-proxy runs"
    if runs_rootless(snapshot):
        return not_applicable("a rootless daemon forwards ports through RootlessKit, not docker-proxy")
    settings = Settings(snapshot)
    proxies = fields.number(snapshot.fact("engine"), "proxies", "engine")
    evidence = [*settings.evidence("userland-proxy"), f"docker-proxy processes: {proxies}"]
    if proxies:
        actual = f"{count(proxies, 'docker-proxy', 'docker-proxies')} running"
        actual += settings.drift("userland-proxy", True)
        offender = Offender("process", "docker-proxy", actual)
        return failed(expected, actual, offenders=[offender], evidence=evidence)
    declared = settings.boolean("userland-proxy")
    if declared.value:
        offender = Offender("setting", "userland-proxy", f"is {declared}")
        return failed(expected, f"userland-proxy {declared}", offenders=[offender], evidence=evidence)
    ports = len(published(snapshot))
    actual = f"userland-proxy {declared}, no docker-proxy runs"
    if ports:
        return passed(expected, f"{actual}, {count(ports, 'port')} published", evidence=evidence)
    return unless_stale(settings, "userland-proxy", expected, actual, evidence)


@check("daemon-seccomp-custom")
@needs_engine
def seccomp_profile(snapshot: Snapshot) -> Verdict:
    """Check for the built-in seccomp profile, which the engine updates; a person judges a custom profile."""
    expected = "the engine's built-in seccomp profile, or a custom profile that the site approved"
    profile = _seccomp(snapshot.info)
    if profile in ("builtin", "default"):
        return passed(expected, f"the engine reports profile {profile}")
    if profile is None and not snapshot.fact("lsm").get("seccomp"):
        return not_applicable("the kernel has no seccomp")
    if profile in (None, "", "unconfined"):
        actual = f"the engine reports {profile or 'no seccomp'}"
        return failed(expected, actual, offenders=[Offender("setting", "seccomp-profile", actual)])
    declared = fields.table(snapshot.daemon_config, "seccomp", "daemon.config")
    calls = seccomp_profiles.opened_calls(declared, "daemon.config")
    if seccomp_profiles.filters_nothing(calls):
        actual = f"{profile} filters nothing: {seccomp_profiles.sentence(calls)}"
        return failed(expected, actual, offenders=[Offender("setting", "seccomp-profile", actual)])
    if calls:
        actual = f"{profile} is weaker than the default: {seccomp_profiles.sentence(calls)}"
        evidence = [f"the profile permits calls that the default refuses: {', '.join(calls)}"]
        offender = Offender("setting", "seccomp-profile", actual)
        return failed(expected, actual, offenders=[offender], evidence=evidence)
    return manual(
        expected,
        f"check that the site approved the profile {profile}, and that it is no weaker than the default",
        offenders=[Offender("profile", profile, "is the engine's seccomp profile")],
        evidence=[f"seccomp profile: {profile}"],
    )


def _seccomp(info: JSONObject) -> str | None:
    for option in fields.texts(info, "SecurityOptions", INFO):
        pairs = dict(part.partition("=")[::2] for part in option.split(","))
        if pairs.get("name") == "seccomp":
            return pairs.get("profile", "")
    return None


@check("daemon-experimental-off")
@needs_engine
def experimental(snapshot: Snapshot) -> Verdict:
    """Check that experimental features are off, as the engine itself reports."""
    expected = "the engine reports no experimental features"
    version = snapshot.fact("docker.version")
    details = [
        fields.table(component, "Details", "docker.version").get("Experimental")
        for component in fields.rows(version, "Components", "docker.version")
    ]
    settings = Settings(snapshot)
    on = version.get("Experimental") is True or "true" in details
    actual = f"experimental is {'on' if on else 'off'}{settings.drift('experimental', on)}"
    if on:
        offender = Offender("setting", "experimental", "is on")
        return failed(expected, actual, offenders=[offender], evidence=settings.evidence("experimental"))
    return passed(expected, actual, evidence=settings.evidence("experimental"))
