"""Section 3: check who can change the files that the daemon trusts, and who can reach its sockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ansible_collections.hardener.docker.plugins.module_utils.subjects import files
from ansible_collections.hardener.docker.plugins.module_utils.subjects.host import Subject, commands

from hardener.checks import check
from hardener.checks.lib.settings import Facts
from hardener.checks.lib.verdicts import count, failed, listed, manual, needs_engine, not_applicable, passed
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import JSONObject, Snapshot

FaultOf = Callable[[Facts, str, JSONObject, int], str]
# A path in a command that is no program of the system: a script, or what it changes.
_NO_PROGRAM = re.compile(r"(?<![\w/.])/(?!usr/|bin/|sbin/)\w")
_AT_START = {
    "mode": ("SocketMode", "gives the socket the mode {} at its next start"),
    "owner": ("SocketUser", "gives the socket to {} at its next start"),
}


def _register(
    subject: Subject, aspect: str, expected: str, fault_of: FaultOf, *, rootless: bool = True
) -> None:
    """Register a check of a subject's paths; without ``rootless``, rootless daemons are exempt."""

    @check(f"file-{subject.name}-{aspect}")
    @needs_engine
    def decided(snapshot: Snapshot) -> Verdict:
        host = Facts(snapshot)
        if not rootless and host.rootless:
            return not_applicable(f"the daemon is rootless: {subject.words} belongs to its user")
        found = [(path, record) for path in subject.find(host) if (record := snapshot.file(path)) is not None]
        if not found:
            return not_applicable(f"not on this host: {subject.words}")
        faults = [(path, fault_of(host, path, record, subject.demanded)) for path, record in found]
        runs = [(path, record) for path in subject.programs(host) if (record := snapshot.file(path))]
        faults += [(path, fault_of(host, path, record, files.PROGRAM)) for path, record in runs]
        found += runs
        offenders = [Offender("file", path, reason) for path, reason in faults if reason]
        if subject is files.API_SOCKET:
            decisive, words = _AT_START[aspect]
            offenders += [
                Offender("setting", unit, words.format(value))
                for unit, key, value, _right in files.at_start(host)
                if key == decisive
            ]
        why = _doubt(host, subject)
        sentence = f"{subject.words}: {expected}"
        if not offenders and why:
            return manual(sentence, why, checked=len(found))
        if not offenders:
            return passed(sentence, _summary(found), checked=len(found))
        shown = listed([f"{offender.name} {offender.detail}" for offender in offenders], 3, glue="; ")
        undecided = Undecided(Status.MANUAL, why) if why else None
        return failed(sentence, shown, offenders=offenders, checked=len(found), undecided=undecided)


def _summary(records: Sequence[tuple[str, JSONObject]]) -> str:
    if len(records) > 3:
        return f"{count(len(records), 'file')}, all as expected"
    return "; ".join(f"{path} {files.owner(record)} {record['mode']}" for path, record in records)


def _group_fault(host: Facts, _path: str, record: JSONObject, _at_most: int) -> str:
    """Describe the owner of a socket if it is not root with the declared group or group root; else empty."""
    group = host.socket_group
    if record["uid"] == 0 and (record["gid"] == 0 or group in (record.get("group"), str(record["gid"]))):
        return ""
    return f"belongs to {files.owner(record)} ({record['uid']}:{record['gid']}), not to root:{group}"


def _doubt(host: Facts, subject: Subject) -> str:
    """Return why it is not known which paths, modes and owners count from the next start on."""
    if subject is files.API_SOCKET:
        units = ("docker.service", *files.socket_units(host))
        for name in units:
            for argv in commands(host.unit(name), ("ExecStartPre", "ExecStartPost")):
                if any(_NO_PROGRAM.search(word) for word in argv):
                    return f"judge what {name} does to the socket when it starts: {' '.join(argv)}"
        return _unread(host, units)
    return _unread(host, [subject.words] if subject.words in files.ENGINE_UNITS else [])


def _unread(host: Facts, names: Iterable[str]) -> str:
    """Return why it is not known how units start: systemd has not read their files, or the collector."""
    for name in names:
        unit = host.unit(name)
        if unit and "NeedDaemonReload" not in unit:
            return f"the snapshot is of an earlier collector, which read less of {name}: audit again"
        if unit.get("NeedDaemonReload") == "yes":
            return f"files of {name} changed since systemd read them: `systemctl daemon-reload`, audit again"
    return ""


_ROOTS = "owner and group root"
_REPLACE = "or tighter, in folders where only root can replace it"
for _subject in files.SUBJECTS:
    _register(_subject, "owner", _ROOTS, files.owner_fault)
    _register(_subject, "mode", f"mode {_subject.demanded:04o} {_REPLACE}", files.mode_fault)
_NAMED = "owner root, and the group that the daemon's configuration names"
_register(files.API_SOCKET, "owner", _NAMED, _group_fault, rootless=False)
_register(files.CONTAINERD, "owner", _ROOTS, files.owner_fault, rootless=False)
for _subject in (files.API_SOCKET, files.CONTAINERD):
    _register(_subject, "mode", "mode 0660 or tighter", files.mode_fault)
