"""Render the document of the role seccomp: the engine's built-in seccomp profile, or the site's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..contract import DAEMON_RESTART, NONE
from ..docker import seccomp
from ..docker.seccomp import CAPABILITIES, REFUSED, refused
from .hostview import NO_ENGINE, HostView, listed, name_of

FILE = "/etc/docker/seccomp.json"

_NAME = "seccomp_profile"
_BUILT_IN = ("", "builtin", "default")
_FILTERED = 2  # SECCOMP_MODE_FILTER in /proc/PID/status
_ALLOWING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
_ONLY_WITH_CONDITIONS = {
    "clone": "clone (whatever namespaces it makes)",
    "personality": "personality (any)",
}
_FAMILIES_SINCE = {(): (40, "AF_VSOCK"), (29, 4, 2): (38, "AF_ALG")}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document.

    Args:
        snapshot: of the host.
        variables: the role's, and the ``content`` of the file that ``profile`` names.
    """
    host = HostView(snapshot)
    reason = _unfit(host)
    if reason:
        return [{"name": _NAME, "refused": reason}]
    profile = variables["profile"]
    return [_sites(host, profile, variables["content"]) if profile else _built_in(host)]


def _unfit(host: HostView) -> str:
    """Return why no seccomp profile can be set on this host; empty if one can."""
    if host.state("daemon.config") == "absent" or not host.engine.get("installed"):
        return NO_ENGINE
    reason = host.unread("daemon.config")
    if reason:
        return reason
    if host.rootless:
        return "the engine is rootless; this role configures only system-wide engines"
    if host.data("lsm").get("seccomp") is False:
        return "this kernel has no seccomp: boot a kernel of the distribution that has it"
    if host.info and _effective(host) == "none":
        return "this engine was built without seccomp: install the engine of the distribution or of Docker"
    return ""


def _flag(host: HostView) -> str:
    """Return the profile on the engine's command line."""
    return str(host.setting("seccomp-profile") or "") if host.flag("seccomp-profile") else ""


def _effective(host: HostView) -> str:
    """Return the profile that the engine reports; ``none`` if it has no seccomp support."""
    for option in host.info.get("SecurityOptions") or ():
        fields = dict(part.partition("=")[::2] for part in str(option).split(","))
        if fields.get("name") == "seccomp":
            profile = fields.get("profile") or "unconfined"
            return "builtin" if profile in _BUILT_IN else profile
    return NONE


def _document(
    host: HostView,
    keys: Mapping[str, Any],
    expected: str,
    resources: Sequence[Mapping[str, Any]] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the document that makes the engine use a profile."""
    names = sorted(name_of(inspect) for inspect, _process in host.running)
    changes = bool(host.info) and _effective(host) != expected and bool(names)
    when = [host.config_path, *(resource["path"] for resource in resources)]
    return {
        "name": _NAME,
        "impact": DAEMON_RESTART,
        "costs": f"applies to these containers after a restart: {listed(names)}" if changes else "",
        "resources": [{"kind": "json", "path": host.config_path, "keys": dict(keys)}, *resources],
        "activations": [host.activation(when, loaded=True, expect={"seccomp": expected})],
        "notes": [*notes, *_unconfined(host)],
    }


def _built_in(host: HostView) -> dict[str, Any]:
    """Return the document for the built-in profile, which engine updates keep current."""
    if _flag(host) not in _BUILT_IN:
        return _by_flag(host)
    # The absence must stay in the document, or the next run would restore the former value.
    said = "seccomp-profile" in host.declared and not _flag(host)
    return _document(host, {"seccomp-profile": ""} if said else {}, "builtin")


def _sites(host: HostView, profile: str, content: str) -> dict[str, Any]:
    """Return the document for the site's profile, with a comparison to the built-in one."""
    if _flag(host):
        return _by_flag(host)
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        return {"name": _NAME, "refused": f"{profile} is not JSON: {error}"}
    if not isinstance(parsed, dict):
        return {"name": _NAME, "refused": f"{profile} is not a seccomp profile: it is not a JSON object"}
    file = {
        "kind": "file",
        "path": FILE,
        "content": content,
        "owner": "root",
        "group": "root",
        "mode": "0644",
    }
    return _document(host, {"seccomp-profile": FILE}, FILE, [file], _comparison(parsed, host.version))


def _by_flag(host: HostView) -> dict[str, Any]:
    reason = (
        f"the engine's command line sets --seccomp-profile {_flag(host)}, and the engine does not start if"
        f" {host.config_path} sets seccomp-profile too: remove the flag from the unit"
    )
    return {"name": _NAME, "refused": reason}


# --- comparison ---------------------------------------------------------------------------------------------


def _comparison(profile: Mapping[str, Any], version: tuple[int, ...]) -> list[str]:
    """Return remarks about a profile, compared with the built-in one."""
    engine = ".".join(map(str, version)) or "of this host"
    default = str(profile.get("defaultAction"))
    allowed = _allowed(profile)
    more = sorted(refused(version) & allowed)
    more += [words for name, words in _ONLY_WITH_CONDITIONS.items() if name in allowed]
    more += [
        f"socket ({family})"
        for since, (number, family) in _FAMILIES_SINCE.items()
        if version >= since and _takes_family(profile, allowed, number)
    ]
    count = f"allows {len(allowed)} system calls without condition"
    notes = [f"the profile {count}, and answers others with {default}"]
    if default in _ALLOWING:
        notes = [
            f"the profile allows every call that it does not name ({default}), also calls of future kernels"
        ]
    if more:
        notes.append(f"it allows what the profile of engine {engine} denies: {', '.join(more)}")
    notes.append("updates of the engine no longer change the filter: compare the profile after each update")
    return notes


def _allowed(profile: Mapping[str, Any]) -> set[str]:
    """Return the system calls that a container with default capabilities may make with any arguments."""
    open_by_default = profile.get("defaultAction") in _ALLOWING
    named: dict[bool, set[str]] = {True: set(), False: set()}
    for rule in _rules(profile):
        if not rule.get("args"):
            named[rule.get("action") in _ALLOWING] |= set(_names(rule))
    if not open_by_default:
        return named[True]
    every = {*REFUSED, *_ONLY_WITH_CONDITIONS, "socket"}
    return named[True] | (every - named[False])


def _takes_family(profile: Mapping[str, Any], allowed: set[str], number: int) -> bool:
    """Return whether sockets of an address family are allowed."""
    if "socket" in allowed:
        return True
    rules = [rule for rule in _rules(profile) if "socket" in _names(rule) and rule.get("action") in _ALLOWING]
    conditions = [
        argument
        for rule in rules
        if isinstance(rule.get("args"), list)
        for argument in rule["args"]
        if isinstance(argument, Mapping) and argument.get("index") == 0
    ]
    excluded = [each for each in conditions if each.get("op") == "SCMP_CMP_NE"]
    return bool(excluded) and all(each.get("value") != number for each in excluded)


def _rules(profile: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rules that apply to a container with default capabilities."""
    rules = profile.get("syscalls")
    for rule in rules if isinstance(rules, list) else ():
        if not isinstance(rule, Mapping):
            continue
        needed, without = (_caps(rule.get(key)) for key in ("includes", "excludes"))
        if needed <= CAPABILITIES and not without & CAPABILITIES:
            yield rule


def _caps(condition: Any) -> set[str]:
    caps = condition.get("caps") if isinstance(condition, Mapping) else None
    return set(map(str, caps)) if isinstance(caps, list) else set()


def _names(rule: Mapping[str, Any]) -> list[str]:
    names = rule.get("names")
    return [str(name) for name in names] if isinstance(names, list) else [str(rule.get("name") or "")]


# --- containers ---------------------------------------------------------------------------------------------


def _unconfined(host: HostView) -> list[str]:
    """Return sentences that name the containers without a seccomp filter, and give advice."""
    by_remedy: dict[str, list[str]] = {}
    for inspect, proc in host.running:
        if proc.get("seccomp") not in (None, _FILTERED):
            by_remedy.setdefault(_remedy(inspect), []).append(name_of(inspect))
    return [
        f"{listed(sorted(names))} run without a seccomp filter: {remedy}"
        for remedy, names in by_remedy.items()
    ]


def _remedy(inspect: Mapping[str, Any]) -> str:
    settings = inspect.get("HostConfig") or {}
    if seccomp.value(settings, "seccomp") == "unconfined":
        return "create them again without --security-opt seccomp=unconfined"
    if settings.get("Privileged"):
        return "create them again without --privileged, with the capabilities and devices that they need"
    # The engine stores this setting with the container, and uses it at every start.
    return "the engine started them without a profile, which a restart does not change: create them again"
