"""Rate a container's distance from least privilege: points for each privilege, with a recommendation.

docs/workloads.md explains the points, which are a convention: what gives control of the host counts 100,
everything else in proportion to what it permits. Equal facts give equal points in equal order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hardener.checks.lib.capability_sets import CAPABILITIES, DEFAULT
from hardener.checks.lib.filters import Filter, FilterKind
from hardener.checks.lib.labels import Confinement
from hardener.checks.lib.verdicts import count, listed
from hardener.model import Severity
from hardener.workload.privileges import Capabilities, Privileges

# The least points of a level; the most severe single privilege of a container decides its level.
LEVELS = (
    (100, Severity.CRITICAL),
    (25, Severity.HIGH),
    (10, Severity.MEDIUM),
    (0, Severity.LOW),
)
_HOST = 100  # its user controls the host
_NAMED = 4

# Capabilities beyond the engine's default set, over the host's user namespace.
_POINTS = {
    "DAC_READ_SEARCH": _HOST,  # can open files of the host by handle
    "SYS_ADMIN": _HOST,
    "SYS_MODULE": _HOST,
    "SYS_RAWIO": _HOST,
    "BPF": 40,
    "MAC_ADMIN": 40,
    "SYS_BOOT": 40,
    "MAC_OVERRIDE": 30,
    "PERFMON": 30,
    "SYS_PTRACE": 30,
    "AUDIT_CONTROL": 25,
    "NET_ADMIN": 25,
    "SYS_TIME": 25,
    "CHECKPOINT_RESTORE": 15,
    "AUDIT_READ": 10,
    "IPC_OWNER": 10,
    "SYSLOG": 10,
    "SYS_RESOURCE": 10,
    "SYS_TTY_CONFIG": 10,
}
_OTHER_POINTS = 5  # of a capability that is not listed, or newer than this list
_DEFAULT_POINTS = {"NET_RAW": 8}  # can forge packets to neighbours; every other of the default set counts 1
_NAMESPACE_POINTS = {"mnt": _HOST, "pid": 30, "net": 25, "ipc": 10, "uts": 5, "cgroup": 3}
_NAMESPACE_OPTIONS = {
    "pid": "--pid",
    "net": "--network",
    "ipc": "--ipc",
    "uts": "--uts",
    "cgroup": "--cgroupns",
}
_DEFAULT_FILTER = 8
_NO_FILTER = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """One privilege beyond least privilege, with its points and its remedy."""

    key: str  # identifier for programs
    points: int
    has: str  # a sentence without its subject, the container
    do: str  # an imperative sentence
    follows: str = ""  # key of another excess that includes this one

    @property
    def level(self) -> Severity:
        """Return the level of this privilege alone."""
        return next(level for least, level in LEVELS if self.points >= least)


def excesses(has: Privileges) -> tuple[Excess, ...]:
    """Return all privileges beyond least privilege, most severe first."""
    found = [
        *_reaching_the_host(has),
        *_capabilities(has),
        *_seccomp(has.seccomp),
        *_confinement(has),
        *_namespaces(has),
        *_writing(has),
        *_limits(has),
    ]
    cause = "privileged" if has.privileged else ""
    marked = [_following(each, cause) for each in found]
    return tuple(sorted(marked, key=lambda each: -each.points))  # of equal points the order above


_BROUGHT_BY_PRIVILEGED = frozenset({"capabilities", "default-capabilities", "seccomp", "lsm", "unmasked"})


def _following(excess: Excess, cause: str) -> Excess:
    if not cause or excess.key not in _BROUGHT_BY_PRIVILEGED:
        return excess
    return Excess(key=excess.key, points=excess.points, has=excess.has, do=excess.do, follows=cause)


def _reaching_the_host(has: Privileges) -> Iterator[Excess]:
    if has.privileged:
        yield Excess(
            key="privileged",
            points=_HOST,
            has="is privileged: every capability and device, nothing of /proc and /sys hidden",
            do="Remove --privileged; add single capabilities and devices instead.",
        )
    if has.sockets:
        yield Excess(
            key="runtime-socket",
            points=_HOST,
            has=_several(has.sockets),
            do="Remove the mount of the runtime's API socket, or use a filtering proxy.",
        )
    if has.disks:
        yield Excess(
            key="host-disk",
            points=_HOST,
            has=_several(has.disks),
            do="Remove access to the host's disks: mount only the folder that it needs.",
        )
    if paths := [each for each in has.host_paths if each.writable]:
        yield Excess(
            key="host-path-writable",
            points=_HOST if has.user.host_root or not has.user.remapped else 30,
            has=_several([f"{each.described}, {each.reason}" for each in paths]),
            do="Remove the mounts of the host's system directories, or make them read-only.",
        )
    if paths := [each for each in has.host_paths if not each.writable]:
        yield Excess(
            key="host-path-readable",
            points=25 if any(not each.file for each in paths) else 5,
            has=_several([f"{each.described}, {each.reason}" for each in paths]),
            do="Mount the single files that it reads, not the host's directories.",
        )
    if has.devices and not has.privileged:
        yield Excess(
            key="devices",
            points=min(24, 10 * len(has.devices)),
            has=_several(has.devices),
            do="Remove devices that it does not use, and the right m (mknod) from the others.",
        )


def _capabilities(has: Privileges) -> Iterator[Excess]:
    every = has.capabilities
    within = "" if has.user.remapped is False else ", over a user namespace of its own"
    reachable = every.held | every.obtainable
    beyond = sorted(reachable - DEFAULT, key=lambda name: (-_capability_points(name, has), name))
    default = sorted(reachable & DEFAULT)
    if beyond:
        names = "every capability" if set(CAPABILITIES) - DEFAULT <= reachable else _names(beyond, every)
        yield Excess(
            key="capabilities",
            points=_capability_points(beyond[0], has) + len(beyond) - 1,
            has=f"has {names}{within}",
            do=f"Drop {listed(beyond, 2)}: remove unused capabilities from --cap-add.",
        )
    if default:
        whole = every.held >= DEFAULT
        yield Excess(
            key="default-capabilities",
            points=sum(_weighed(_DEFAULT_POINTS.get(name, 1), name, has) for name in default),
            has=f"has {'all' if whole else len(default)} of the engine's 14 default capabilities{within}"
            + ("" if every.held & DEFAULT else ", by executing a set-user-ID program"),
            do="Use --cap-drop ALL, and --cap-add what `hardener workload record` shows."
            if whole
            else "Drop those that its work does not need.",
        )


def _names(names: list[str], every: Capabilities) -> str:
    held = [name for name in names if name in every.held]
    reached = [name for name in names if name not in every.held]
    parts = [listed(held, _NAMED)] if held else []
    if reached:
        parts.append(f"{listed(reached, _NAMED)} by executing a set-user-ID program")
    return " and ".join(parts)


def _capability_points(name: str, has: Privileges) -> int:
    points = _POINTS.get(name, _OTHER_POINTS)
    if name == "SYS_PTRACE" and "pid" in has.host_namespaces:
        points = _HOST  # can enter any process of the host
    if name == "NET_ADMIN" and "net" in has.host_namespaces:
        points = 40  # can change the host's firewall and routes
    return _weighed(points, name, has)


def _weighed(points: int, name: str, has: Privileges) -> int:
    """Reduce a capability's points: to a fifth if users are remapped, to half if it is not yet held."""
    if has.user.remapped:
        points = -(-points // 5)
    return points if name in has.capabilities.held else -(-points // 2)


def _seccomp(found: Filter) -> Iterator[Excess]:
    own = "Give it a seccomp profile of its own, with the calls that it makes."
    match found.kind:
        case FilterKind.NONE:
            yield Excess(
                key="seccomp",
                points=_NO_FILTER,
                has="runs without a seccomp filter",
                do="Remove seccomp=unconfined, so that the engine's default profile applies.",
            )
        case FilterKind.WIDE:
            yield Excess(
                key="seccomp",
                points=_NO_FILTER,
                has="has a seccomp filter that refuses almost nothing: "
                f"the engine's default would refuse {listed(found.opens, _NAMED)}",
                do="Use the engine's default seccomp profile instead of this one.",
            )
        case FilterKind.WIDER:
            names = listed([*found.opens, *found.unlimited], 2)
            opened = [*found.opens, *(f"{name} with any arguments" for name in found.unlimited)]
            yield Excess(
                key="seccomp",
                points=min(24, _DEFAULT_FILTER + 2 * len(found.opens) + 5 * len(found.unlimited)),
                has=f"has a seccomp profile that permits {listed(opened, _NAMED)}, "
                "which the engine's default refuses",
                do=f"Have its seccomp profile treat {names} as the engine's default does.",
            )
        case FilterKind.UNKNOWN:
            yield Excess(
                key="seccomp",
                points=_DEFAULT_FILTER,
                has="has a seccomp filter whose profile could not be read: counted as the engine's default",
                do=own,
            )
        case FilterKind.DEFAULT:
            size = f", which permits {found.calls} calls" if found.calls else ""
            yield Excess(
                key="seccomp",
                points=_DEFAULT_FILTER,
                has=f"has the engine's default seccomp profile{size}",
                do=own,
            )
        case FilterKind.OTHER | FilterKind.NARROWER:
            points = _share(found)
            if points:
                yield Excess(
                    key="seccomp",
                    points=points,
                    has=f"has a seccomp profile of its own, which permits {_calls(found)}",
                    do="Narrow its seccomp profile to the calls that it makes.",
                )


def _share(found: Filter) -> int:
    """Return a part of the points of the default filter: none for a filter that permits half of its calls.

    A profile from recordings permits less than half; what is left could hardly be narrowed.
    """
    if found.calls is None or not found.default_calls:
        return _DEFAULT_FILTER // 2
    beyond_half = max(0, 2 * found.calls - found.default_calls)
    return min(_DEFAULT_FILTER, _DEFAULT_FILTER * beyond_half // found.default_calls)


def _calls(found: Filter) -> str:
    if found.calls is None:
        return "all calls that no rule refuses"
    of = f" of the {found.default_calls} that the default permits" if found.default_calls else ""
    return f"{found.calls} calls{of}"


def _confinement(has: Privileges) -> Iterator[Excess]:
    module = {"apparmor": "AppArmor", "selinux": "SELinux"}.get(has.lsm.module, "")
    match has.lsm.confinement:
        case Confinement.UNCONFINED:
            yield Excess(
                key="lsm",
                points=12,
                has=f"is not confined by {module}",
                do="Remove apparmor=unconfined or --privileged, or load the AppArmor profile in its options."
                if has.lsm.module == "apparmor"
                else "Remove the option that prevents SELinux from confining it.",
            )
        case Confinement.COMPLAINING:
            yield Excess(
                key="lsm",
                points=12,
                has=f"is not confined by {module}, which only logs denials",
                do=f"Switch its {module} profile to enforce mode.",
            )
        case Confinement.ABSENT:
            yield Excess(
                key="lsm",
                points=6,
                has="is confined by no security module: neither AppArmor nor SELinux is in use here",
                do="Enable AppArmor or SELinux on the host.",
            )
        case Confinement.DEFAULT:
            yield Excess(
                key="lsm",
                points=3,
                has=f"has the {module} confinement that every container gets",
                do=f"Give it an {module} {'profile' if module == 'AppArmor' else 'type'} of its own.",
            )
    if has.user.host_root:
        yield Excess(
            key="root",
            points=12,
            has="runs as the host's root",
            do="Run it as a user (--user), or remap users in the engine (userns-remap).",
        )
    elif has.user.root:
        yield Excess(
            key="root",
            points=3,
            has="runs as root of a user namespace",
            do="Run it as a user (--user).",
        )
    if not has.no_new_privs:
        yield Excess(
            key="no-new-privileges",
            points=6,
            has="may gain privileges by executing a set-user-ID program",
            do="Use --security-opt no-new-privileges.",
        )
    if has.unmasked:
        yield Excess(
            key="unmasked",
            points=15,
            has="sees the paths of /proc and /sys that the engine hides",
            do="Take systempaths=unconfined away.",
        )


def _namespaces(has: Privileges) -> Iterator[Excess]:
    for kind, points in _NAMESPACE_POINTS.items():
        if kind in has.host_namespaces:
            option = f"{_NAMESPACE_OPTIONS[kind]} host" if kind in _NAMESPACE_OPTIONS else "what shares it"
            yield Excess(
                key=f"host-{kind}",
                points=points,
                has=f"is in the host's {kind} namespace",
                do=f"Take {option} away." if kind != "cgroup" else "Use --cgroupns private.",
            )


def _writing(has: Privileges) -> Iterator[Excess]:
    if has.shared_mounts:
        yield Excess(
            key="shared-mounts",
            points=15,
            has=f"propagates mounts to the host: {_several(has.shared_mounts)}",
            do="Mount with private or slave propagation.",
        )
    if binds := [f"{each.path} ({each.source})" for each in has.writable if each.kind == "bind"]:
        yield Excess(
            key="binds-writable",
            points=min(7, 2 * len(binds)),
            has=f"writes to {count(len(binds), 'folder')} of the host: {listed(binds, _NAMED)}",
            do="Mount read-only what it only reads; use a volume for what it writes.",
        )
    if any(each.kind == "root" for each in has.writable):
        yield Excess(
            key="rootfs-writable",
            points=4,
            has="has a writable root filesystem",
            do="Use --read-only, with --tmpfs or a volume where it writes.",
        )


def _limits(has: Privileges) -> Iterator[Excess]:
    for name, value, points, option in (
        ("pids", has.limits.pids, 3, "--pids-limit"),
        ("memory", has.limits.memory, 3, "--memory"),
        ("cpu", has.limits.cpu, 1, "--cpus"),
    ):
        if value is None:
            yield Excess(
                key=f"no-{name}-limit",
                points=points,
                has=f"has no {name} limit",
                do=f"Set a {name} limit: {option}.",
            )


def _several(parts: tuple[str, ...] | list[str]) -> str:
    return listed(list(parts), 2, glue="; ")
