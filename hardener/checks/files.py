"""Section 3: check who can change the files that the daemon trusts, and who can reach its sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ansible_collections.hardener.docker.plugins.module_utils.subjects import files
from ansible_collections.hardener.docker.plugins.module_utils.subjects.host import Subject

from hardener.checks import check
from hardener.checks.lib.settings import Facts
from hardener.checks.lib.verdicts import count, failed, listed, needs_engine, not_applicable, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import JSONObject, Snapshot

FaultOf = Callable[[Facts, JSONObject], str]


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
        offenders = [
            Offender("file", path, reason) for path, record in found if (reason := fault_of(host, record))
        ]
        sentence = f"{subject.words}: {expected}"
        if not offenders:
            return passed(sentence, _summary(found), checked=len(found))
        shown = listed([f"{offender.name} {offender.detail}" for offender in offenders], 3, glue="; ")
        return failed(sentence, shown, offenders=offenders, checked=len(found))


def _summary(records: Sequence[tuple[str, JSONObject]]) -> str:
    if len(records) > 3:
        return f"{count(len(records), 'file')}, all as expected"
    return "; ".join(f"{path} {files.owner(record)} {record['mode']}" for path, record in records)


def _group_fault(host: Facts, record: JSONObject) -> str:
    """Describe the owner of a socket if it is not root with the declared group or group root; else empty."""
    activated = any(each.startswith("fd://") for each in host.hosts)
    socket = host.unit("docker.socket") if activated else {}
    group = str(socket.get("SocketGroup") or host.setting("group") or "")
    if record["uid"] == 0 and (record["gid"] == 0 or group in (record.get("group"), str(record["gid"]))):
        return ""
    return f"belongs to {files.owner(record)} ({record['uid']}:{record['gid']}), not to root:{group}"


def _wider_than(at_most: int) -> FaultOf:
    return lambda host, record: files.mode_fault(host, record, at_most)


_ROOTS = "owner and group root"
for _subject in files.SUBJECTS:
    _register(_subject, "owner", _ROOTS, files.owner_fault)
    _expected = f"mode {_subject.demanded:04o} or tighter, in folders where only root can replace it"
    _register(_subject, "mode", _expected, _wider_than(_subject.demanded))
_NAMED = "owner root, and the group that the daemon's configuration names"
_register(files.API_SOCKET, "owner", _NAMED, _group_fault, rootless=False)
_register(files.CONTAINERD, "owner", _ROOTS, files.owner_fault, rootless=False)
# The sticky bit grants nothing: a rootless daemon sets it against automatic cleaning.
_register(files.API_SOCKET, "mode", "mode 0660 or tighter", _wider_than(0o1000 | files.SOCKET))
_register(files.CONTAINERD, "mode", "mode 0660 or tighter", _wider_than(files.SOCKET))
