"""Section 1.1: whether the kernel records who touches what the engine stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hardener.checks import auditrules, check
from hardener.checks.paths import (
    api_sockets,
    config_folder,
    containerd_socket,
    data_root,
    exists,
    real,
    unit_files,
)
from hardener.checks.settings import Settings
from hardener.checks.verdicts import failed, listed, needs_engine, not_applicable, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import Snapshot

CHANGE = "wa"
CHANGE_AND_RUN = "wax"
_WORDS = {"w": "write", "a": "attribute change", "x": "execution"}
_SHOWN = 8
_NARROW_MACHINES = frozenset({"armv6l", "armv7l", "i386", "i586", "i686"})


@dataclass(frozen=True, slots=True)
class Watched:
    """A path that must be audited, and all below it where it is a ``tree``."""

    path: str
    tree: bool = False


Find = Callable[[Snapshot], Sequence[Watched]]


def _register(slug: str, what: str, find: Find, permissions: str = CHANGE) -> None:
    """Make the check that ``what`` is audited; ``find`` gives its paths, none where it is not on a host."""

    @check(slug)
    @needs_engine
    def audited(snapshot: Snapshot) -> Verdict:
        watched = find(snapshot)
        if not watched:
            return not_applicable(f"not on this host: {what}")
        return _decide(snapshot, watched, permissions)


def _decide(snapshot: Snapshot, watched: Sequence[Watched], permissions: str) -> Verdict:
    wanted = ", ".join(_WORDS[permission] for permission in permissions)
    expected = f"{_names(watched)}: {wanted} recorded by a rule in the kernel, and by one that lasts"
    native = "b32" if snapshot.fact("system").get("arch") in _NARROW_MACHINES else "b64"
    persistent = [
        auditrules.parse(lines, native=native)
        for lines in _rule_sets(snapshot.fact_or("audit.persistent", []))
    ]
    source = snapshot.fact_or("audit.loaded", None)
    if source is None:
        return failed(
            expected,
            "auditd is not installed: nothing is recorded",
            offenders=[Offender("file", item.path, "not audited") for item in watched],
        )
    loaded = auditrules.parse(source.get("rules") or (), native=native)
    status = source.get("status") or {}
    offenders = []
    for item in watched:
        in_kernel = loaded.uncovered(item.path, permissions, tree=item.tree)
        in_files = min(
            (
                rules.uncovered(item.path, permissions, tree=item.tree)
                for rules in persistent
                if rules.enabled
            ),
            key=len,
            default=frozenset(permissions),
        )
        offenders += [Offender("file", item.path, reason) for reason in _reasons(in_kernel, in_files)]
    enabled = status.get("enabled")
    if enabled not in (1, 2):
        offenders.append(Offender("setting", "auditing", f"switched off in the kernel (enabled {enabled})"))
    evidence = [f"auditing: enabled {enabled}, auditd pid {status.get('pid')}"]
    evidence += _about(loaded, watched)
    if not offenders:
        return passed(expected, "recorded now and after a reboot", evidence=evidence, checked=len(watched))
    return failed(
        expected,
        listed([f"{offender.name}: {offender.detail}" for offender in offenders], 2, glue="; "),
        offenders=offenders,
        evidence=evidence,
        checked=len(watched),
    )


def _reasons(in_kernel: frozenset[str], in_files: frozenset[str]) -> list[str]:
    if in_kernel and in_kernel == in_files:
        return [f"no rule records {_spoken(in_kernel)}, in the kernel or in /etc/audit"]
    reasons = []
    if in_kernel:
        reasons.append(f"no loaded rule records {_spoken(in_kernel)}")
    if in_files:
        reasons.append(f"no rule that lasts in /etc/audit records {_spoken(in_files)}")
    return reasons


def _rule_sets(files: Iterable[dict[str, object]]) -> list[list[str]]:
    """The two places rules last in: audit.rules as it stands, and rules.d, merged in order of name."""
    single: list[str] = []
    merged: list[str] = []
    for entry in sorted(files, key=lambda entry: str(entry.get("file"))):
        lines = entry.get("lines")
        target = merged if "/rules.d/" in str(entry.get("file")) else single
        target += [str(line) for line in lines] if isinstance(lines, list) else []
    return [single, merged]


def _about(rules: auditrules.Rules, watched: Sequence[Watched]) -> list[str]:
    texts = dict.fromkeys(f"loaded: {rule.text}" for item in watched for rule in rules.about(item.path))
    silencing = [f"loaded: {rule.text}" for rule in rules.rules if not rule.path and not rule.always]
    shown = [*texts, *silencing]
    return shown[:_SHOWN] + ([f"and {len(shown) - _SHOWN} more rules"] if len(shown) > _SHOWN else [])


def _names(watched: Sequence[Watched]) -> str:
    return ", ".join(item.path for item in watched)


def _spoken(permissions: Iterable[str]) -> str:
    return ", ".join(word for permission, word in _WORDS.items() if permission in permissions)


def _if_there(path: Callable[[Snapshot], str], *, tree: bool = False) -> Find:
    def find(snapshot: Snapshot) -> Sequence[Watched]:
        where = path(snapshot)
        return [Watched(real(snapshot, where), tree)] if exists(snapshot, where) else []

    return find


def _at(path: str, *, tree: bool = False) -> Find:
    return _if_there(lambda _: path, tree=tree)


def _binary(name: str) -> Find:
    def find(snapshot: Snapshot) -> Sequence[Watched]:
        path = (snapshot.fact("engine").get("binaries") or {}).get(name)
        return [Watched(path)] if path else []

    return find


def _unit(snapshot: Snapshot) -> Sequence[Watched]:
    return [Watched(real(snapshot, path)) for path in unit_files(snapshot, "docker.service")]


def _api(snapshot: Snapshot) -> Sequence[Watched]:
    """Older benchmark versions mean the socket unit, newer ones the socket: both must hold."""
    paths = (*api_sockets(snapshot), *unit_files(snapshot, "docker.socket"))
    return [Watched(path) for path in dict.fromkeys(real(snapshot, path) for path in paths)]


_register("audit-dockerd", "dockerd", _binary("dockerd"), CHANGE_AND_RUN)
_register("audit-run-containerd", "/run/containerd", _at("/run/containerd", tree=True))
_register("audit-var-lib-docker", "the data root", lambda snapshot: [Watched(data_root(snapshot), tree=True)])
_register("audit-etc-docker", "the configuration folder", _if_there(config_folder, tree=True))
_register("audit-docker-service", "a systemd unit of the engine", _unit)
_register("audit-containerd-sock", "the containerd socket", _if_there(containerd_socket))
_register("audit-docker-socket", "a Unix socket of the API", _api)
_register("audit-etc-default-docker", "/etc/default/docker", _at("/etc/default/docker"))
_register("audit-daemon-json", "daemon.json", _if_there(lambda snapshot: Settings(snapshot).path))
_register("audit-containerd-config", "/etc/containerd/config.toml", _at("/etc/containerd/config.toml"))
_register("audit-etc-sysconfig-docker", "/etc/sysconfig/docker", _at("/etc/sysconfig/docker"))
_register("audit-bin-containerd", "containerd", _binary("containerd"), CHANGE_AND_RUN)
_register("audit-bin-containerd-shim", "containerd-shim", _binary("containerd-shim"), CHANGE_AND_RUN)
for _version in ("v1", "v2"):
    _register(
        f"audit-bin-containerd-shim-runc-{_version}",
        f"containerd-shim-runc-{_version}",
        _binary(f"containerd-shim-runc-{_version}"),
        CHANGE_AND_RUN,
    )
_register("audit-bin-runc", "runc", _binary("runc"), CHANGE_AND_RUN)
