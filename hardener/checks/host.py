"""Section 1: check the host of the engine: its disk, its users and its hardening."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

from hardener.checks import all_checks, check
from hardener.checks.lib import policy
from hardener.checks.lib.paths import (
    CONTAINERD_ROOT,
    api_sockets,
    closed_folder,
    data_root,
    mount_of,
    unit,
    uses_containerd_store,
)
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import count, failed, listed, manual, needs_engine, not_applicable, passed
from hardener.checks.scans import SOURCE as SCANS
from hardener.checks.scans import LastScan, last_scan
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.scan.record import Evaluation
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_HARDENED = "the operating system follows a hardening baseline"


@check("host-separate-partition")
@needs_engine
def separate_partition(snapshot: Snapshot) -> Verdict:
    """Check that the data root and the containerd store each have a file system of their own."""
    mounts = snapshot.fact("mounts")
    root = data_root(snapshot)
    expected = f"{root} is a file system of its own"
    offenders = _on_parents_device(mounts, root)
    evidence = [_where(mounts, root)]
    # Asked last: a data root on the system's disk fails even if the engine does not answer.
    if not offenders and uses_containerd_store(snapshot):
        offenders = _on_parents_device(mounts, CONTAINERD_ROOT)
        evidence.append(_where(mounts, CONTAINERD_ROOT))
    if offenders:
        return failed(
            expected, "; ".join(f"{each.name} {each.detail}" for each in offenders), offenders=offenders
        )
    return passed(expected, evidence[0], evidence=evidence, checked=len(evidence))


def _on_parents_device(mounts: Sequence[JSONObject], path: str) -> list[Offender]:
    parent = _mounted(mounts, posixpath.dirname(path))
    own = _mounted(mounts, path)
    if path != "/" and own["device"] == parent["device"]:
        return [Offender("directory", path, f"lies on the same device as {posixpath.dirname(path)}")]
    return []


def _where(mounts: Sequence[JSONObject], path: str) -> str:
    own = _mounted(mounts, path)
    return f"{path} lies on {own.get('source')} ({own.get('fstype')}), mounted at {own['mount_point']}"


def _mounted(mounts: Sequence[JSONObject], path: str) -> JSONObject:
    found = mount_of(mounts, path)
    if found is None:
        raise FactUnavailable("mounts", f"no mount contains {path}")
    return found


@check("docker-group-trusted-users")
@needs_engine
def trusted_users(snapshot: Snapshot) -> Verdict:
    """Check the users who may write to the API socket, which makes them root on the host."""
    expected = "only approved users can reach the daemon through its socket"
    if snapshot.fact("engine").get("rootless"):
        return not_applicable("the daemon is rootless: its socket belongs to one user")
    approved = policy.texts(snapshot, "docker_group_members")
    sockets = api_sockets(snapshot)
    reach: dict[str, str] = {}
    if not sockets:
        group = _declared_group(snapshot)
        reach = dict.fromkeys(_members(snapshot, group), f"in the group {group}")
    for path in sockets:
        writers = list(_writers(snapshot, path))
        for user, how in writers if writers and not closed_folder(snapshot, path) else ():
            reach.setdefault(user, how)
    reach.pop("root", None)
    evidence = [*(f"socket: {path}" for path in sockets), *(f"{user}: {how}" for user, how in reach.items())]
    offenders = [
        Offender("user", user, how)
        for user, how in sorted(reach.items())
        if user == EVERYBODY or user not in (approved or ())
    ]
    if not offenders:
        return passed(expected, _approved_only(reach), evidence=evidence, checked=len(reach))
    names = listed([offender.name for offender in offenders], 10)
    if approved is None and EVERYBODY not in reach:
        return manual(
            expected,
            f"check whether each of these users may be root on this host: {names}; "
            "then list them in hardener_policy.docker_group_members",
            offenders=offenders,
            evidence=evidence,
            checked=len(reach),
        )
    return failed(
        expected, f"not approved: {names}", offenders=offenders, evidence=evidence, checked=len(reach)
    )


EVERYBODY = "every local user"


def _approved_only(reach: dict[str, str]) -> str:
    if not reach:
        return "no user besides root"
    return f"{count(len(reach), 'user')}, all approved: {', '.join(sorted(reach))}"


def _writers(snapshot: Snapshot, path: str) -> Iterable[tuple[str, str]]:
    """Return the users besides the owner who may write to a socket, with the reason."""
    record = snapshot.file(path)
    if record is None:
        return
    mode = int(record["mode"], 8)
    if mode & 0o002:
        yield EVERYBODY, f"{path} has mode {record['mode']}"
    if mode & 0o020 and record["gid"] != 0:
        for user in _members(snapshot, str(record["group"])):
            yield user, f"in the group {record['group']}, which owns {path}"
    for entry in record.get("acl") or ():
        if "w" not in str(entry.get("perms")) or entry.get("id") is None:
            continue
        name = str(entry.get("name") or entry["id"])
        if entry.get("tag") == "user":
            yield name, f"ACL of {path}"
        elif entry.get("tag") == "group":
            yield f"group {name}", f"ACL of {path}"


def _members(snapshot: Snapshot, group: str) -> list[str]:
    """Return all users in a group, including those whose primary group it is."""
    groups: dict[str, Any] = snapshot.fact("groups")
    if group not in groups:
        raise FactUnavailable("groups", f"the members of {group} were not collected")
    entry = groups[group] or {}
    return [str(name) for key in ("members", "primary") for name in entry.get(key) or ()]


def _declared_group(snapshot: Snapshot) -> str:
    socket = unit(snapshot, "docker.socket")
    return str(socket.get("SocketGroup") or Settings(snapshot).text("group").value)


@check("host-hardened")
def hardened(snapshot: Snapshot) -> Verdict:
    """Judge by the OpenSCAP results of the last scan; without them, ask a person for a benchmark report."""
    last = last_scan(snapshot)
    evidence = _of_the_system(snapshot)
    if last and last.scan.openscap:
        return _evaluated(last, last.scan.openscap, evidence)
    return manual(
        _HARDENED,
        "look at a recent report of an operating-system benchmark (such as CIS Debian) for this host",
        evidence=evidence,
    )


def _evaluated(last: LastScan, found: Evaluation, evidence: list[str]) -> Verdict:
    """Judge by the failed rules of a SCAP profile; a rule that oscap could not decide prevents a pass."""
    if found.error:
        raise FactUnavailable(SCANS, f"OpenSCAP: {found.error}")
    told = ", ".join(f"{number} {result}" for result, number in sorted(found.counts.items()))
    facts = [f"{found.profile} of {found.content}, evaluated at {found.evaluated_at}: {told}", *evidence]
    age = last.age(found.evaluated_at)
    if age > last.oldest:
        offender = Offender(
            "setting", found.profile, f"was evaluated {age} days ago; at most {last.oldest} days are allowed"
        )
        return failed(
            _HARDENED, f"the last evaluation is {age} days old", offenders=[offender], evidence=facts
        )
    unclear = f"OpenSCAP could not decide {count(found.doubtful, 'rule')}"
    question = f"look at {count(found.unchecked, 'rule')} of {found.profile} that OpenSCAP has no check for"
    if found.failed or found.more:
        offenders = [Offender("rule", each.name, f"{each.severity}: {each.title}") for each in found.failed]
        number = len(offenders) + found.more
        return failed(
            _HARDENED,
            f"{count(number, 'rule')} of {found.profile} fail: {listed([each.name for each in offenders])}",
            offenders=offenders,
            evidence=facts,
            checked=sum(found.counts.get(result, 0) for result in ("pass", "fail")),
            undecided=_undecided(found, unclear, question),
        )
    if found.doubtful:
        raise FactUnavailable(SCANS, unclear)
    if found.unchecked:
        return manual(_HARDENED, question, evidence=facts)
    return passed(_HARDENED, f"no rule of {found.profile} fails", evidence=facts)


def _undecided(found: Evaluation, unclear: str, question: str) -> Undecided | None:
    if found.doubtful:
        return Undecided(Status.ERROR, unclear)
    return Undecided(Status.MANUAL, question) if found.unchecked else None


def _of_the_system(snapshot: Snapshot) -> list[str]:
    """Return facts for a person's decision: distribution, kernel, uptime, results of our own controls."""
    evidence = []
    try:
        system = snapshot.fact("system")
        evidence.append(f"{system.get('os', {}).get('PRETTY_NAME')}, kernel {system.get('kernel')}")
        evidence.append(f"up for {int(system.get('uptime_s') or 0) // 86400} days")
    except FactUnavailable as missing:
        evidence.append(f"not collected: {missing.source}")
    for slug, judge in sorted(all_checks().items()):
        if slug.startswith("host-") and slug not in ("host-hardened", "host-separate-partition"):
            try:
                verdict = judge(snapshot)
                evidence.append(f"{slug}: {verdict.status.value}, {verdict.actual}")
            except FactUnavailable as missing:
                evidence.append(f"{slug}: error, {missing.unread}")
    return evidence
