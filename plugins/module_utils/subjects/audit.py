"""Define the paths that audit rules must record: judged by 16 controls, set by the role audit_rules."""

from __future__ import annotations

import re
from collections import namedtuple

from ..docker import runtimes
from .files import CONTAINERD_CONFIG, DEFAULTS, SYSCONFIG
from .host import Host, Subject

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable, Iterable, Iterator

CHANGE, CHANGE_AND_RUN = "wa", "wax"
NARROW_MACHINES = frozenset({"armv6l", "armv7l", "i386", "i586", "i686"})
RUN_CONTAINERD = "/run/containerd"
_MASKED = frozenset({"masked", "masked-runtime"})
_NOT_AT_BOOT = _MASKED | {"disabled", "enabled-runtime", "linked", "linked-runtime"}
RULES, RULES_FOLDER = "/etc/audit/audit.rules", "/etc/audit/rules.d"
TMPFILES_FOLDERS = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d")
RUNTIME_FOLDERS = (RUN_CONTAINERD, "/run/docker")  # made when the engine starts, unless systemd-tmpfiles does
# Settings of auditd.conf by which nothing is recorded.
_SILENT = (("write_logs", "no"), ("local_events", "no"), ("log_format", "nolog"))
_FULL = "records are lost while the disk of the log is full"
_GROWS = "the log grows until its disk is full"
_LOW = "records are lost while little space is left on the disk of the log"
# Settings of auditd.conf by which records are lost later; without a value, auditd ignores the event.
LOSSES = {
    "max_log_file_action": {"ignore": _GROWS, "syslog": _GROWS, "suspend": "nothing is added to a full log"},
    "disk_full_action": {"ignore": _FULL, "syslog": _FULL, "suspend": _FULL},
    "space_left_action": {"suspend": _LOW},
    "admin_space_left_action": {"suspend": _LOW},
}
SETTINGS = (*(key for key, _ in _SILENT), *LOSSES)  # what the collector reads
_READ = re.compile(r"[^.\s]\S*\.rules\Z")  # by augenrules
_LEAST_RATE = 100  # records a second; one access makes about five


# A path that must be audited, with everything below it if `tree` is set; `mounts` tells that the engine
# mounts file systems of containers below it, which no rule covers.
Watched = namedtuple("Watched", ("path", "tree", "mounts"), defaults=(False, False))


def _program(name: str) -> Callable[[Host], list[Watched]]:
    def find(host: Host) -> list[Watched]:
        path = host.binaries.get(name)
        return [Watched(str(path))] if path else []

    return find


def _runtimes(host: Host) -> list[Watched]:
    """Return the paths of runc found in PATH, and of every runtime in daemon.json, which has it by path."""
    paths = [each.path for each in _program("runc")(host)]
    declared = [*runtimes.paths(host.setting("runtimes")), str(host.setting("default-runtime") or "")]
    paths += [host.real(path) for path in declared if path.startswith("/")]
    return [Watched(path) for path in dict.fromkeys(paths)]


def _existing(
    path: Callable[[Host], str], *, tree: bool = False, mounts: bool = False
) -> Callable[[Host], list[Watched]]:
    def find(host: Host) -> list[Watched]:
        where = path(host)
        return [Watched(host.real(where), tree, mounts)] if where and host.exists(where) else []

    return find


def _at(path: str, **more: bool) -> Callable[[Host], list[Watched]]:
    return _existing(lambda _: path, **more)


def _all(find: Callable[[Host], Iterable[str]]) -> Callable[[Host], list[Watched]]:
    return lambda host: [Watched(path) for path in dict.fromkeys(host.real(path) for path in find(host))]


_PROGRAMS = ("dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2")
_FILES = (
    ("etc-default-docker", DEFAULTS),
    ("etc-sysconfig-docker", SYSCONFIG),
    ("containerd-config", CONTAINERD_CONFIG),
)
SUBJECTS = (
    *(
        Subject(name if name == "dockerd" else f"bin-{name}", name, CHANGE_AND_RUN, _program(name))
        for name in _PROGRAMS
    ),
    Subject("bin-runc", "runc", CHANGE_AND_RUN, _runtimes),
    Subject(
        "etc-docker",
        "the configuration folder",
        CHANGE,
        _existing(lambda host: host.config_folder, tree=True),
    ),
    Subject("run-containerd", RUN_CONTAINERD, CHANGE, _at(RUN_CONTAINERD, tree=True, mounts=True)),
    Subject(
        "var-lib-docker",
        "the data root",
        CHANGE,
        lambda host: [Watched(host.data_root, tree=True, mounts=True)],
    ),
    Subject(
        "docker-service",
        "a systemd unit of the engine",
        CHANGE,
        _all(lambda host: host.unit_files("docker.service")),
    ),
    # A benchmark names the socket's file or its unit.
    Subject(
        "docker-socket",
        "a Unix socket of the API",
        CHANGE,
        _all(lambda host: [*host.api_sockets(), *host.unit_files("docker.socket")]),
    ),
    Subject(
        "containerd-sock", "the containerd socket", CHANGE, _existing(lambda host: host.containerd_socket)
    ),
    Subject("daemon-json", "daemon.json", CHANGE, _existing(lambda host: host.config_path)),
    *(Subject(name, path, CHANGE, _at(path)) for name, path in _FILES),
)


def in_order(names: Iterable[str]) -> list[str]:
    """Return the files of rules.d that augenrules reads, in its order, which is that of `ls -v`."""

    def key(name: str) -> list[object]:
        parts: list[object] = []
        for index, part in enumerate(re.split(r"(\d+)", name[: -len(".rules")])):
            letters = [*(ord(sign) + 256 * (not sign.isalpha()) for sign in part), 0]  # letters come first
            parts.append(int(part) if index % 2 else letters)
        return [*parts, name]

    return sorted((name for name in names if _READ.match(name)), key=key)


def too_slow(rate: int) -> bool:
    """Return whether the rate limit is so low that records are lost in ordinary use."""
    return 0 < rate < _LEAST_RATE


def hindrances(host: Host) -> Iterator[str]:
    """Describe what keeps audit records out of the log whatever the rules, now or after a reboot.

    Older snapshots hold nothing of auditd's process and configuration; then these are not judged.
    """
    source = host.data("audit.loaded")
    status = source.get("status") or {}
    enabled = status.get("enabled")
    if source and enabled not in (1, 2):
        yield f"switched off in the kernel (enabled {enabled})"
    rate = status.get("rate_limit")
    if isinstance(rate, int) and too_slow(rate):
        yield f"the kernel drops audit records above {rate} a second (rate_limit)"
    daemon = source.get("daemon")
    daemon = daemon if isinstance(daemon, dict) else {}
    pid = status.get("pid")
    if pid == 0:
        yield "auditd does not run (pid 0)"
    elif pid is not None and "name" in daemon and daemon["name"] != "auditd":
        yield f"auditd does not run: pid {pid} is {daemon['name'] or 'no process'}"
    for key, value in _SILENT:
        if str(daemon.get(key) or "").lower() == value:
            yield f"auditd records nothing ({key} = {daemon[key]} in auditd.conf)"
    units = host.data("units")
    state = (units.get("auditd.service") or {}).get("UnitFileState")
    if state in _NOT_AT_BOOT:
        yield f"auditd does not run after a reboot: auditd.service is {state}"
    if (units.get("audit-rules.service") or {}).get("UnitFileState") in _MASKED:
        yield "no rule is loaded after a reboot: audit-rules.service is masked"
