"""Our own controls on security updates: pending updates, and automatic installation."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from fnmatch import fnmatchcase
from string import Template

from ansible_collections.hardener.docker.plugins.module_utils.subjects import owners

from hardener.checks import check
from hardener.checks.lib.verdicts import count, failed, listed, manual, passed
from hardener.checks.scans import LastScan, last_scan
from hardener.model import Offender, Verdict
from hardener.scan.record import ScanState
from hardener.snapshot import FactAbsent, FactUnavailable, JSONObject, Snapshot

MAX_INDEX_AGE_DAYS = 7
_DAY = 86400
_OFF = ("", "0")
# The names by which a pattern of unattended-upgrades can select a field of an index.
_FIELDS = {"o": "origin", "l": "label", "a": "suite", "archive": "suite", "n": "codename"}
_FIELDS |= {"c": "components", "component": "components"}


def pending(snapshot: Snapshot) -> Sequence[JSONObject]:
    """Return the pending security updates of a host.

    Raises:
        FactUnavailable: none is known, from an index too old to know.
    """
    packages = snapshot.fact("packages")
    waiting = packages.get("pending_security")
    if waiting is None:
        raise FactUnavailable("packages", "pending security updates were not collected")
    age = packages.get("index_age_s")
    if not waiting and age is None:
        raise FactUnavailable("packages", "the host has no index of security updates: refresh it")
    if not waiting and age > MAX_INDEX_AGE_DAYS * _DAY:
        raise FactUnavailable(
            "packages",
            f"the index of security updates is {age // _DAY} days old, more than {MAX_INDEX_AGE_DAYS}",
        )
    return list(waiting)


@check("host-updates-pending")
def updates_pending(snapshot: Snapshot) -> Verdict:
    """Check that no security update is pending, and that no replaced program still runs."""
    expected = "no security update is pending, and no installed update waits for a restart or a reboot"
    packages = snapshot.fact("packages")
    offenders = [
        Offender(
            "package",
            str(update.get("name")),
            f"{update.get('installed')} installed, {update.get('candidate')} available",
        )
        for update in packages.get("pending_security") or ()
    ]
    last = last_scan(snapshot)
    offenders += _found_by_scan(last, {offender.name for offender in offenders})
    names = listed([offender.name for offender in offenders])
    found = [f"{count(len(offenders), 'security update')} pending: {names}"] if offenders else []
    if packages.get("reboot_required"):
        waiting = packages.get("reboot_packages") or ["unknown packages"]
        offenders += [Offender("package", str(name), "installed, waits for a reboot") for name in waiting]
        found.append("a reboot is required")
    running, newest = snapshot.fact("system").get("kernel"), packages.get("newest_kernel")
    if newest and running != newest:
        offenders.append(Offender("kernel", str(newest), f"installed, {running} runs"))
        found.append(f"kernel {newest} waits for a reboot")
    if waiting := _to_be_restarted(last):
        offenders += waiting
        found.append(
            f"{count(len(waiting), 'process', 'processes')} still run files that an update has replaced"
        )
    if offenders:
        return failed(expected, ", ".join(found), offenders=offenders)
    if last and last.host and last.host.state is ScanState.CLEAN:
        scanned = f"scanned at {last.host.scanned_at} by the index of {last.host.index_date}"
        return passed(expected, "no security update is pending", evidence=[scanned])
    pending(snapshot)  # an outdated index cannot say that no update is pending
    age = f"index refreshed {packages.get('index_age_s', 0) // 3600} hours before the snapshot"
    return passed(expected, "no security update is pending", evidence=[age])


def _found_by_scan(last: LastScan | None, names: Container[str]) -> list[Offender]:
    """Return updates found by the last scan, whose index may be newer than the host's."""
    if last is None or last.host is None:
        return []
    return [
        Offender("package", each.name, f"{each.installed} installed, {each.fixed} available")
        for each in last.host.packages
        if each.name not in names
    ]


def _to_be_restarted(last: LastScan | None) -> list[Offender]:
    """Return processes that ran replaced files during the scan, and still run."""
    if last is None or not last.is_current(last.scan.host.scanned_at):
        return []
    return [
        Offender("process", f"{each.unit or each.name} ({each.pid})", f"runs the replaced {each.files[0]}")
        for each in last.scan.restarts
        if each.files
    ]


@check("host-updates-automatic")
def updates_automatic(snapshot: Snapshot) -> Verdict:
    """Check that security updates are installed by a timer."""
    expected = "security updates are installed by a timer"
    packages = snapshot.fact("packages")
    match packages.get("manager"):
        case "apt":
            return _apt(snapshot, packages, expected)
        case "dnf" | "yum":
            return _dnf(snapshot, packages, expected)
        case other:
            return manual(
                expected,
                f"check how security updates are installed: the package manager is {other or 'unknown'}",
            )


def _apt(snapshot: Snapshot, packages: JSONObject, expected: str) -> Verdict:
    automatic = packages.get("automatic") or {}
    unattended = packages.get("unattended") or {}
    origins = [str(origin) for origin in unattended.get("origins") or ()]
    evidence = [f"{name}: {value}" for name, value in automatic.items()]
    evidence += [f"allowed origin: {origin}" for origin in origins]
    offenders = []
    if str(automatic.get("APT::Periodic::Enable", "1")) == "0":
        offenders.append(
            Offender("setting", "APT::Periodic::Enable", "is 0, which disables all periodic jobs")
        )
    for key in ("APT::Periodic::Update-Package-Lists", "APT::Periodic::Unattended-Upgrade"):
        value = str(automatic.get(key, ""))
        if value in _OFF:
            offenders.append(Offender("setting", key, f"is {value or 'not set'}"))
    if not unattended.get("installed"):
        offenders.append(Offender("package", "unattended-upgrades", "is not installed"))
    wrong, doubt = _not_allowed(snapshot, packages, origins)
    if unattended.get("installed") and wrong:
        offenders.append(Offender("setting", "Unattended-Upgrade origins", wrong))
    try:
        units = snapshot.fact("units")
    except FactAbsent:
        if not offenders:
            return manual(
                expected,
                "check whether cron runs apt-compat daily: systemd does not run on this host",
                evidence=evidence,
            )
        units = {}
    for timer in owners.APT_TIMERS if units else ():
        state = (units.get(timer) or {}).get("ActiveState")
        if state != "active":
            offenders.append(Offender("unit", timer, f"is {state or 'missing'}"))
    if offenders:
        actual = listed([f"{offender.name} {offender.detail}" for offender in offenders], glue="; ")
        return failed(expected, actual, offenders=offenders, evidence=evidence)
    if doubt:
        return manual(expected, doubt, evidence=evidence)
    return passed(expected, "unattended-upgrades, run by the apt-daily timers", evidence=evidence)


def _not_allowed(snapshot: Snapshot, packages: JSONObject, origins: Sequence[str]) -> tuple[str, str]:
    """Return why no allowed origin is a security archive of this host, or why that is not known."""
    indexes = packages.get("indexes")
    if not indexes:
        if not any("security" in origin.lower() for origin in origins):
            return "no security origin is allowed", ""
        return "", (
            "judge whether the allowed origins are archives of this host: "
            + ("the snapshot is of an earlier collector" if indexes is None else "apt has fetched no index")
        )
    system = snapshot.fact("system").get("os") or {}
    variables = {
        "distro_id": str(system.get("ID") or "").capitalize(),
        "distro_codename": str(system.get("VERSION_CODENAME") or ""),
    }
    allowed = [index for index in indexes if any(_allows(each, index, variables) for each in origins)]
    secure = [f"{index['origin']} {index['suite']}" for index in indexes if index["security"]]
    if any(index["security"] for index in allowed):
        return "", ""
    if secure:
        return f"no allowed origin matches a security archive of this host: {listed(secure)}", ""
    if not allowed:
        return "no allowed origin matches an archive of this host", ""
    names = listed([f"{index['origin']} {index['suite']}" for index in allowed])
    return "", f"judge whether {names} has the security updates: no archive of this host is for them alone"


def _allows(allowed: str, index: JSONObject, variables: Mapping[str, str]) -> bool:
    """Return whether unattended-upgrades takes packages of an index by an allowed origin.

    ``Origins-Pattern`` has ``origin=Debian,codename=*``; ``Allowed-Origins`` has ``Debian:stable``.
    """
    terms = [term.partition("=")[::2] for term in allowed.split(",")]
    if "=" not in allowed:
        origin, _separator, suite = allowed.partition(":" if ":" in allowed else " ")
        terms = [("origin", origin), ("suite", suite)]
    for name, value in terms:
        found = index.get(_FIELDS.get(name.strip(), name.strip()))
        pattern = Template(value.strip().replace("%2C", ",")).safe_substitute(variables)
        values = [each.rpartition("/")[2] for each in found] if isinstance(found, list) else [found]
        if not any(isinstance(each, str) and fnmatchcase(each, pattern) for each in values):
            return False
    return True


def _dnf(snapshot: Snapshot, packages: JSONObject, expected: str) -> Verdict:
    units = snapshot.fact_or("units", {})
    active = [
        timer
        for timer in (*owners.DNF_TIMERS, "dnf-automatic.timer")
        if (units.get(timer) or {}).get("ActiveState") == "active"
    ]
    applies = (packages.get("automatic") or {}).get("apply_updates")
    if owners.DNF_TIMERS[0] in active or (active and applies in ("yes", "true", "1", True)):
        return passed(expected, f"{active[0]} is active")
    if active and applies is None:
        return manual(
            expected, "look at apply_updates in /etc/dnf/automatic.conf: dnf-automatic.timer is active"
        )
    found = "dnf-automatic downloads without installing" if active else "no timer of dnf-automatic is active"
    return failed(expected, found, offenders=[Offender("unit", owners.DNF_TIMERS[0], "is not active")])
