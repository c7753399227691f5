"""Section 1.1: check that the kernel audits access to the engine's files and programs."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.hardener.docker.plugins.module_utils.docker import runtimes

from hardener.checks import check
from hardener.checks.lib import auditrules, fields
from hardener.checks.lib.paths import (
    api_sockets,
    config_folder,
    containerd_socket,
    data_root,
    exists,
    real,
    unit_files,
)
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import failed, listed, manual, needs_engine, not_applicable, passed
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import JSONObject, Snapshot

CHANGE = "wa"
CHANGE_AND_RUN = "wax"
_WORDS = {"w": "write", "a": "attribute change", "x": "execution"}
_SHOWN = 8
_MASKED = frozenset({"masked", "masked-runtime"})
_NOT_AT_BOOT = _MASKED | {"disabled", "enabled-runtime", "linked", "linked-runtime"}
_FILE, _FOLDER = "/etc/audit/audit.rules", "/etc/audit/rules.d"
_ALWAYS_MOUNTED = frozenset({"/", "/run"})  # before systemd starts the first unit
_FULL = "records are lost while the disk of the log is full"
_GROWS = "the log grows until its disk is full"
# Settings of auditd.conf by which records are lost later; without a value, auditd ignores the event.
_LOSSES = {
    "max_log_file_action": {"ignore": _GROWS, "syslog": _GROWS, "suspend": "nothing is added to a full log"},
    "disk_full_action": {"ignore": _FULL, "syslog": _FULL, "suspend": _FULL},
}
_NARROW_MACHINES = frozenset({"armv6l", "armv7l", "i386", "i586", "i686"})
_PLACES = {"augenrules": f"{_FOLDER}, which augenrules loads,", "auditctl": _FILE, "": "/etc/audit"}
_OLDER = "the snapshot is of an earlier collector, which did not read log_format of auditd.conf: audit again"
_DIFFERENT = (
    f"it is not known which program loads rules at boot, and {_FILE} has other rules than {_FOLDER}: have"
    f" them in {_FOLDER}, and run `augenrules --load`"
)


@dataclass(frozen=True, slots=True)
class Watched:
    """A path that must be audited, with everything below it if ``tree`` is set.

    ``mounts`` tells that the engine mounts file systems of containers below it, which no rule covers.
    """

    path: str
    tree: bool = False
    mounts: bool = False


Find = Callable[[Snapshot], Sequence[Watched]]


def _register(slug: str, subject: str, find: Find, permissions: str = CHANGE) -> None:
    """Register the check that ``subject`` is audited; ``find`` returns its paths, none if it is absent."""

    @check(slug)
    @needs_engine
    def audited(snapshot: Snapshot) -> Verdict:
        watched = find(snapshot)
        if not watched:
            return not_applicable(f"not on this host: {subject}")
        return _decide(snapshot, watched, permissions)


def _decide(snapshot: Snapshot, watched: Sequence[Watched], permissions: str) -> Verdict:
    wanted = ", ".join(_WORDS[permission] for permission in permissions)
    expected = f"{_names(watched)}: {wanted} recorded by a loaded rule and by a persistent rule"
    native = "b32" if snapshot.fact("system").get("arch") in _NARROW_MACHINES else "b64"
    persistent = {
        program: auditrules.parse(lines, native=native)
        for program, lines in _rule_sets(snapshot.fact_or("audit.persistent", [])).items()
    }
    program, started = _loader(snapshot)
    at_boot = [rules for loader, rules in persistent.items() if program in ("", loader)]
    source = snapshot.fact_or("audit.loaded", None)
    if source is None:
        return failed(
            expected,
            "auditd is not installed: nothing is recorded",
            offenders=[Offender("file", item.path, "not audited") for item in watched],
        )
    loaded = auditrules.parse(source.get("rules") or (), native=native)
    status = source.get("status") or {}
    lasting = [rules for rules in at_boot if rules.enabled]
    offenders = []
    unclear = [] if "log_format" in fields.table(source, "daemon", "audit.loaded") else [_OLDER]
    for item in watched:
        in_kernel = loaded.uncovered(item.path, permissions, tree=item.tree)
        in_sets = [(rules, rules.uncovered(item.path, permissions, tree=item.tree)) for rules in lasting]
        file_rules, in_files = min(
            in_sets,
            key=lambda pair: (len(pair[1]), -len(pair[0].rules)),
            default=(auditrules.Rules(()), frozenset(permissions)),
        )
        silencing = loaded.silencing(item.path, in_kernel, tree=item.tree)
        silencing += file_rules.silencing(item.path, in_files, tree=item.tree)
        offenders += [
            Offender("file", item.path, reason + _silencing_reason(silencing))
            for reason in _reasons(in_kernel, in_files, _PLACES[program])
        ]
        if not in_files and (len(lasting) < len(at_boot) or any(missing for _rules, missing in in_sets)):
            unclear.append(_DIFFERENT)
        unclear += _mounted_later(snapshot.fact("mounts"), item, started)
    offenders += [Offender("setting", "auditing", why) for why in _unrecorded(snapshot, source, loaded)]
    offenders += [
        Offender("setting", "auditing", f"a persistent rule suppresses records after a reboot: {text}")
        for text in _suppressed_in_all(lasting)
    ]
    daemon = f"auditd pid {status.get('pid')}"
    evidence = [f"auditing: enabled {status.get('enabled')}, {daemon}, lost {status.get('lost')}"]
    evidence += _about(loaded, watched)
    evidence += _not_loaded(loaded, list(persistent.values()), watched)
    evidence += _losses(fields.table(source, "daemon", "audit.loaded"))
    unknown = listed(list(dict.fromkeys(unclear)), 2, glue="; ")
    if not offenders and unclear:
        return manual(expected, unknown, evidence=evidence, checked=len(watched))
    if not offenders:
        return passed(expected, "recorded now and after a reboot", evidence=evidence, checked=len(watched))
    return failed(
        expected,
        listed([f"{offender.name}: {offender.detail}" for offender in offenders], 2, glue="; "),
        offenders=offenders,
        evidence=evidence,
        checked=len(watched),
        undecided=Undecided(Status.MANUAL, unknown) if unclear else None,
    )


def _loader(snapshot: Snapshot) -> tuple[str, int]:
    """Return the program that loads rules at boot, "" if it is not known, and when its unit started last."""
    units = snapshot.fact_or("units", {})
    for unit in (units.get("audit-rules.service") or {}, units.get("auditd.service") or {}):
        if unit.get("LoadState") != "loaded" or "ExecStartPost" not in unit:
            continue
        for argv in (*unit["ExecStartPre"], *unit["ExecStart"], *unit["ExecStartPost"]):
            program = posixpath.basename(argv[0]) if argv else ""
            if (program == "augenrules" and "--load" in argv) or (program == "auditctl" and _FILE in argv):
                return program, unit.get("ExecMainStartTimestampMonotonic") or 0
    return "", 0


def _mounted_later(mounts: Iterable[JSONObject], item: Watched, started: int) -> Iterator[str]:
    """Describe the mounts over a path, or in its tree, that may be newer than the loaded rules.

    The kernel finds the file of a rule when the rule is loaded. It records no access to what is mounted over
    that file later.
    """
    path = auditrules.canonical(item.path)
    for mount in mounts:
        point = mount["mount_point"]
        over = f"{path}/".startswith(f"{point}/") and point not in _ALWAYS_MOUNTED
        within = item.tree and not item.mounts and point.startswith(f"{path}/")
        if (over or within) and not 0 < mount.get("since", 0) < started:
            yield (
                f"{point} ({mount['fstype']}) may have been mounted after the rules were loaded, which then"
                f" do not record access to {path}: reboot the host"
            )


def _losses(daemon: JSONObject) -> list[str]:
    """Return the settings by which auditd loses records when a log or a disk is full."""
    return [
        f"auditd.conf: {key} = {value.upper()}: {actions[value]}"
        for key, actions in _LOSSES.items()
        if key in daemon and (value := str(daemon[key] or "ignore").lower()) in actions
    ]


def _unrecorded(snapshot: Snapshot, source: JSONObject, loaded: auditrules.Rules) -> Iterator[str]:
    """Describe what can keep audit records out of the log, whatever the path, now or after a reboot."""
    status = source.get("status") or {}
    enabled = status.get("enabled")
    if enabled not in (1, 2):
        yield f"switched off in the kernel (enabled {enabled})"
    rate = status.get("rate_limit")
    if isinstance(rate, int) and auditrules.too_slow(rate):
        yield f"the kernel drops audit records above {rate} a second (rate_limit)"
    yield from (f"a loaded rule suppresses records: {text}" for text in loaded.suppressing)
    daemon = fields.table(source, "daemon", "audit.loaded")
    pid = status.get("pid")
    if pid == 0:
        yield "auditd does not run (pid 0)"
    elif pid is not None and "name" in daemon and daemon["name"] != "auditd":
        yield f"auditd does not run: pid {pid} is {daemon['name'] or 'no process'}"
    for key, value in (("write_logs", "no"), ("local_events", "no"), ("log_format", "nolog")):
        if str(daemon.get(key) or "").lower() == value:
            yield f"auditd records nothing ({key} = {daemon[key]} in auditd.conf)"
    units = snapshot.fact_or("units", {})
    state = (units.get("auditd.service") or {}).get("UnitFileState")
    if state in _NOT_AT_BOOT:
        yield f"auditd does not run after a reboot: auditd.service is {state}"
    if (units.get("audit-rules.service") or {}).get("UnitFileState") in _MASKED:
        yield "no rule is loaded after a reboot: audit-rules.service is masked"


def _suppressed_in_all(persistent: Sequence[auditrules.Rules]) -> list[str]:
    """Return the rules that suppress records, if every non-empty persistent rule set has at least one."""
    used = [rules for rules in persistent if rules.rules]
    if not all(rules.suppressing for rules in used):
        return []
    return list(dict.fromkeys(text for rules in used for text in rules.suppressing))


def _silencing_reason(silencing: Sequence[str]) -> str:
    return f": silenced by {listed(list(dict.fromkeys(silencing)), 2, glue='; ')}" if silencing else ""


def _reasons(in_kernel: frozenset[str], in_files: frozenset[str], place: str) -> list[str]:
    if in_kernel and in_kernel == in_files:
        return [f"no rule records {_permission_words(in_kernel)}, in the kernel or in {place}"]
    reasons = []
    if in_kernel:
        reasons.append(f"no loaded rule records {_permission_words(in_kernel)}")
    if in_files:
        reasons.append(f"no persistent rule in {place} records {_permission_words(in_files)}")
    return reasons


def _rule_sets(files: Sequence[dict[str, object]]) -> dict[str, list[str]]:
    """Return the rules of audit.rules, and of rules.d in order of name, by the program that loads them.

    Where the folder exists, augenrules writes audit.rules from it before the rules are loaded: with the last
    ``-D`` first and the last ``-e`` at the end, whatever their files.
    """
    single: list[str] = []
    merged: list[str] = []
    for entry in sorted(files, key=lambda entry: str(entry.get("file"))):
        lines = entry.get("lines")
        target = merged if "/rules.d/" in str(entry.get("file")) else single
        target += [str(line) for line in lines] if isinstance(lines, list) else []
    folder = any(f"{entry.get('file')}/".startswith(f"{_FOLDER}/") for entry in files)
    return {"auditctl": single, "augenrules": _joined(merged) if folder else single}


def _joined(lines: Sequence[str]) -> list[str]:
    deleting: list[str] = []
    enabling: list[str] = []
    others: list[str] = []
    for line in lines:
        words = line.split()
        place = deleting if words == ["-D"] else enabling if words[:1] == ["-e"] else others
        place.append(line)
    return [*deleting[-1:], *others, *enabling[-1:]]


def _about(rules: auditrules.Rules, watched: Sequence[Watched]) -> list[str]:
    silencing = [f"loaded: {rule.text}" for rule in rules.rules if not rule.path and not rule.always]
    texts = [f"loaded: {rule.text}" for item in watched for rule in rules.about(item.path)]
    return _first([*silencing, *texts])


def _not_loaded(
    loaded: auditrules.Rules, persistent: Sequence[auditrules.Rules], watched: Sequence[Watched]
) -> list[str]:
    return _first(
        f"in /etc/audit, but not loaded: {rule.text}"
        for rules in persistent
        for item in watched
        for rule in rules.about(item.path)
        if not loaded.has(rule)
    )


def _first(texts: Iterable[str]) -> list[str]:
    shown = list(dict.fromkeys(texts))
    return shown[:_SHOWN] + ([f"and {len(shown) - _SHOWN} more rules"] if len(shown) > _SHOWN else [])


def _names(watched: Sequence[Watched]) -> str:
    return ", ".join(item.path for item in watched)


def _permission_words(permissions: Iterable[str]) -> str:
    return ", ".join(word for permission, word in _WORDS.items() if permission in permissions)


def _existing_path(path: Callable[[Snapshot], str], *, tree: bool = False, mounts: bool = False) -> Find:
    def find(snapshot: Snapshot) -> Sequence[Watched]:
        where = path(snapshot)
        return [Watched(real(snapshot, where), tree, mounts)] if where and exists(snapshot, where) else []

    return find


def _at(path: str) -> Find:
    return _existing_path(lambda _: path)


def _binary(name: str) -> Find:
    def find(snapshot: Snapshot) -> Sequence[Watched]:
        path = (snapshot.fact("engine").get("binaries") or {}).get(name)
        return [Watched(path)] if path else []

    return find


def _runtimes(snapshot: Snapshot) -> Sequence[Watched]:
    """Return the paths of runc found in PATH, and of every runtime in daemon.json."""
    settings = Settings(snapshot)
    declared = runtimes.paths(settings.get("runtimes").value)
    paths = [item.path for item in _binary("runc")(snapshot)]
    paths += [real(snapshot, path) for path in declared if path.startswith("/")]
    # A runtime can also be given by its path only.
    default = settings.text("default-runtime").value
    paths += [real(snapshot, default)] if default.startswith("/") else []
    return [Watched(path) for path in dict.fromkeys(paths)]


def _data(snapshot: Snapshot) -> Sequence[Watched]:
    return [Watched(data_root(snapshot), tree=True, mounts=True)]


def _unit(snapshot: Snapshot) -> Sequence[Watched]:
    return [Watched(real(snapshot, path)) for path in unit_files(snapshot, "docker.service")]


def _api(snapshot: Snapshot) -> Sequence[Watched]:
    """Return the API's sockets and the files of docker.socket; a benchmark names one or the other."""
    paths = (*api_sockets(snapshot), *unit_files(snapshot, "docker.socket"))
    return [Watched(path) for path in dict.fromkeys(real(snapshot, path) for path in paths)]


_register("audit-dockerd", "dockerd", _binary("dockerd"), CHANGE_AND_RUN)
_register(
    "audit-run-containerd",
    "/run/containerd",
    _existing_path(lambda _: "/run/containerd", tree=True, mounts=True),
)
_register("audit-var-lib-docker", "the data root", _data)
_register("audit-etc-docker", "the configuration folder", _existing_path(config_folder, tree=True))
_register("audit-docker-service", "a systemd unit of the engine", _unit)
_register("audit-containerd-sock", "the containerd socket", _existing_path(containerd_socket))
_register("audit-docker-socket", "a Unix socket of the API", _api)
_register("audit-etc-default-docker", "/etc/default/docker", _at("/etc/default/docker"))
_register("audit-daemon-json", "daemon.json", _existing_path(lambda snapshot: Settings(snapshot).path))
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
_register("audit-bin-runc", "runc", _runtimes, CHANGE_AND_RUN)
