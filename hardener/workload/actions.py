"""Name the ordinary actions that a profile takes away, so that they are known before they fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hardener.workload.kernel import names
from hardener.workload.profile_document import Document

# An action; the calls of which one is enough for it; the capabilities of which it needs one, if any.
_ROWS = """
removing files | unlink unlinkat |
renaming files | rename renameat renameat2 |
making folders | mkdir mkdirat |
making links to files | link linkat symlink symlinkat |
changing the mode of files | chmod fchmod fchmodat fchmodat2 |
changing the times of files | futimesat utime utimensat utimensat_time64 utimes |
watching files for changes | fanotify_mark inotify_add_watch |
connecting to other programs | connect socketcall |
listening on a port or a socket | listen socketcall |
starting other processes | clone clone3 fork vfork |
executing other programs | execve execveat |
beginning a session of its own, as daemons and logins do | setsid |
changing priorities | ioprio_set sched_setattr sched_setscheduler setpriority |
locking memory | mlock mlock2 mlockall |
tracing other processes | ptrace |
giving files to another user, as a login does with its terminal \
    | chown chown32 fchown fchown32 fchownat lchown lchown32 | CHOWN
changing its user, as logins and scheduled jobs do | setresuid setresuid32 setreuid setuid setuid32 | SETUID
changing its groups, as logins and scheduled jobs do | setgid setgid32 setgroups setgroups32 | SETGID
opening files that belong to other users, against their mode | | DAC_OVERRIDE DAC_READ_SEARCH
changing modes and times of files that belong to other users | | FOWNER
sending signals to processes of other users | | KILL
listening on ports below 1024 where the host reserves them | | NET_BIND_SERVICE
sending packets of its own making, as ping does | | NET_RAW
changing its root folder | chroot | SYS_CHROOT
making devices | mknod mknodat | MKNOD
writing to the audit log, as logins do | | AUDIT_WRITE
"""
_ROOT = ("", "0", "root")


def taken_away(profile: Document) -> Iterator[str]:
    """Yield the actions that the recorded container could do, and cannot do under the profile."""
    had = frozenset(profile.capabilities.had)
    kept = frozenset(profile.capabilities.kept)
    if profile.container.user.partition(":")[0] not in _ROOT:
        had = frozenset()  # such a process holds none
    before = after = frozenset[str]()
    if profile.seccomp and profile.seccomp.basis:
        permitted = profile.seccomp.basis.default.permitted(profile.capabilities.had)
        machines = profile.seccomp.architectures
        before = permitted & {name for each in machines for name in names(each).values()}
        after = frozenset(profile.seccomp.calls)
    for row in filter(None, _ROWS.splitlines()):
        action, *parts = (part.strip() for part in row.split("|"))
        calls, capabilities = (frozenset(part.split()) for part in parts)
        capabilities = frozenset(f"CAP_{name}" for name in capabilities)
        if (capabilities and not capabilities & had) or (before and calls and not calls & before):
            continue  # it was not possible
        if capabilities and not capabilities & kept:
            yield f"{action} ({_listed(name.removeprefix('CAP_') for name in capabilities & had)})"
        elif before and calls and not calls & after:
            yield f"{action} ({_listed(calls & before)})"


def _listed(missing: Iterable[str]) -> str:
    return ", ".join(sorted(missing))
