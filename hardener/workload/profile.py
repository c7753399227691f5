"""Make a confinement from recordings: every setting, with the reason for each part.

    profile = make([("recording.json", recording)])

The same recordings give the same profile, whatever their order. Nothing here reads a file or a clock.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import split

from hardener import __version__
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.apparmor import apparmor
from hardener.workload.capabilities import User, held, named, needs, other_user
from hardener.workload.container import Container
from hardener.workload.equal_calls import no_more_than
from hardener.workload.filesystem import Folder, makes_files, write_set
from hardener.workload.merging import Merged, Seen, merge, together
from hardener.workload.profile_document import (
    GAINING_PRIVILEGES,
    PARTS,
    WRITABLE_ROOT,
    Basis,
    CapabilityPart,
    Document,
    Hurdle,
    LimitPart,
    PrivilegePart,
    RootPart,
    SeccompPart,
    Source,
    TmpfsPart,
    Why,
)
from hardener.workload.recording import Recording
from hardener.workload.seccomp import narrowed
from hardener.workload.syscalls import (
    EXEC_RESERVE,
    GO_RESERVE,
    KERNEL_RESERVE,
    LIBRARY_RESERVE,
    MAKER_RESERVE,
    NARROW,
    NARROW_KERNEL_RESERVE,
    NARROW_LIBRARY_RESERVE,
    NARROW_NOT_ROOT_RESERVE,
    NOT_ROOT_RESERVE,
)

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 60
APPARMOR_PREFIX = "hardener-"  # of the names of our AppArmor profiles
# Without a size, a container could fill half of the host's memory; none follows from a recording.
TMPFS = "rw,nosuid,nodev,size=256m"
_GENERAL_APPARMOR = frozenset({"", "docker-default", "unconfined"})
_NOT_GO = frozenset({"crun"})  # a runtime written in C


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The strictest confinement under which all recorded use still works, and the recordings."""

    merged: Merged
    document: Document


def make(
    recordings: Sequence[tuple[str, Recording]],
    *,
    allow_extra: Collection[str] = (),
    drop: Collection[str] = (),
    keep_user: bool = False,
    no_exec: bool = False,
) -> Profile:
    """Make a profile from recordings, each given with the name of its file.

    Args:
        recordings: of one container.
        allow_extra: calls to permit although the engine's default refuses them.
        drop: capabilities and parts (``PARTS``) to leave out although their use was recorded.
        keep_user: keep root although another user would do.
        no_exec: refuse calls that only a shell in the container needs.

    Raises:
        HardenerError: the recordings are of different containers, an extra call was not seen, something
            to drop is not kept anyway, or the user is kept anyway.
    """
    merged = merge(recordings)
    had, required = held(merged), needs(merged)
    writes = write_set(merged)
    unseen = "capabilities" in merged.unseen
    other = None if unseen else other_user(merged, required, writes)
    if keep_user and other is None:
        raise HardenerError("--keep-user: the profile does not replace root")
    user = None if keep_user else other
    needed = frozenset() if user else frozenset(need.capability for need in required)
    useful = had if unseen else needed
    # Bits for other users had no effect in a container with no-new-privileges.
    had_it = ("no-new-privileges", "true") in map(split, merged.one.container.security_options)
    hurdles = () if had_it else _hurdles(merged)
    kept = {GAINING_PRIVILEGES} if hurdles else set()
    if writes.obstacles and not merged.one.container.read_only:
        kept.add(WRITABLE_ROOT)
    dropped = _droppable(drop, useful | kept)
    capabilities = tuple(sorted(useful - dropped))
    no_new_privileges = not hurdles or GAINING_PRIVILEGES in dropped
    calls = _calls(
        merged,
        no_new_privileges=no_new_privileges,
        had_it=had_it,
        replaces_root=user is not None,
        no_exec=no_exec,
    )
    one, container = merged.one, merged.one.container
    name = short_name(container.name)
    confined = "apparmor" in one.host.lsm and not sites_apparmor(container)
    pids = [each.peak.pids for each in merged.recordings if each.peak.pids]
    memory = [each.peak.memory_bytes for each in merged.recordings if each.peak.memory_bytes]
    document = Document(
        hardener=__version__,
        name=name,
        host=one.host,
        container=container,
        recordings=tuple(
            Source(
                digest=each.digest,
                began=each.began,
                ended=each.ended,
                twin=each.twin,
                complete=each.recorder.complete,
                missing=each.recorder.missing,
            )
            for each in merged.recordings
        ),
        phases=merged.exercises,
        seccomp=_seccomp(merged, calls, capabilities=capabilities, extra=allow_extra),
        capabilities=CapabilityPart(
            had=tuple(sorted(had)),
            kept=capabilities,
            dropped_on_request=tuple(sorted(dropped.difference(PARTS))),
            needs=required,
        ),
        user=user,
        declined_user=other if keep_user else None,
        root=RootPart(
            read_only=container.read_only or not writes.obstacles or WRITABLE_ROOT in dropped,
            tmpfs=tuple(_tmpfs(folder, user) for folder in writes.folders),
            obstacles=writes.obstacles,
        ),
        privileges=PrivilegePart(no_new_privileges=no_new_privileges, hurdles=hurdles),
        apparmor=apparmor(
            merged,
            name=f"{APPARMOR_PREFIX}{name}",
            used=confined,
            capabilities=capabilities,
            writes=writes,
            calls=calls,
        ),
        limits=LimitPart(pids_peak=max(pids, default=None), memory_peak=max(memory, default=None)),
        service=container.compose.service if container.compose else name,
        files={},
    )
    return Profile(merged=merged, document=document)


def short_name(name: str) -> str:
    """Return a container's name in a form that fits file names and AppArmor profiles."""
    return _NOT_IN_NAME.sub("-", name).strip("-.")[:_LONGEST_NAME] or "container"


def _droppable(drop: Collection[str], useful: frozenset[str]) -> frozenset[str]:
    parts = frozenset(drop) & frozenset(PARTS)
    dropped = parts | named(frozenset(drop) - parts)
    for name in sorted(dropped - useful):
        kept = ", ".join(sorted(useful)) or "nothing of this kind"
        raise HardenerError(f"cannot leave out {line(name)}: the profile does not keep it; it keeps {kept}")
    return dropped


def _seccomp(
    merged: Merged, calls: Mapping[str, Why], *, capabilities: Collection[str], extra: Collection[str]
) -> SeccompPart | None:
    """Narrow the recorded default; return None if the engine's own profile could not be read."""
    if merged.default is None:
        return None
    granted = merged.granted
    basis = Basis(
        common=merged.default, capabilities=granted.capabilities, own=granted.own, chosen=merged.chosen
    )
    default = basis.default
    equal = no_more_than(frozenset(calls), among=default.as_by_default(capabilities))
    every = {**calls, **{name: Why(no_more_than=strong) for name, strong in equal.items()}}
    found = narrowed(
        default,
        wanted=every.keys(),
        capabilities=capabilities,
        architectures=merged.calls.keys(),
        extra=extra,
        crypto_sockets="AF_ALG" in merged.families,
    )
    return SeccompPart(
        basis=basis,
        architectures=tuple(merged.calls),
        default_calls=len(default.permitted(capabilities)),
        calls={name: every[name] for name in found.permitted},
        refused={name: every[name] for name in found.refused},
        extra=found.extra,
        answered_not_known=found.not_known,
        socket_families_refused=found.families_refused,
    )


def _tmpfs(folder: Folder, user: User | None) -> TmpfsPart:
    """Return a mount such as ``rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=0``."""
    owner = folder.owner
    if user:  # a runtime copies only the mode of a folder
        owned = f"mode={owner.mode if owner else 0o755:04o},uid={user.uid},gid={user.gid}"
    else:
        owned = f"mode={owner.mode:04o},uid={owner.uid},gid={owner.gid}" if owner else "mode=1777"
    seen = together(folder.paths.values())
    return TmpfsPart(
        path=folder.path,
        options=f"{TMPFS},{'exec' if folder.executable else 'noexec'},{owned}",
        paths={path: each.seen_in for path, each in folder.paths.items()},
        programs=seen.programs,
        phases=seen.phases,
    )


def sites_apparmor(container: Container) -> str:
    """Return the name of the AppArmor profile that the site chose for a container; empty for none.

    It may be stricter than ours, which does not replace it.
    """
    for option in container.security_options:
        kind, name = split(option)
        if kind == "apparmor" and name not in _GENERAL_APPARMOR and not name.startswith(APPARMOR_PREFIX):
            return name
    return ""


def _calls(
    merged: Merged, *, no_new_privileges: bool, had_it: bool, replaces_root: bool, no_exec: bool
) -> dict[str, Why]:
    """Return every needed system call with its reasons.

    With no-new-privileges a runtime installs the filter last, so that what it calls before does not count:
    what it was seen to call without is left out then, where its needs with it were measured.
    """
    container: dict[str, Seen] = {}
    for seen in merged.calls.values():
        for name, each in seen.items():
            container[name] = together((container[name], each)) if name in container else each
    measured = [each.runtime_base for each in merged.recordings if each.runtime_base]
    plain = {name for each in measured for name in each.calls}
    last = {name for each in measured for name in each.no_new_privileges}
    base = last if no_new_privileges and last else plain
    runtime = {} if no_new_privileges and last and not had_it else merged.runtime_calls
    go = frozenset() if merged.one.host.runtime.name in _NOT_GO else GO_RESERVE
    kernel, library, not_root = KERNEL_RESERVE, LIBRARY_RESERVE, NOT_ROOT_RESERVE
    if merged.calls.keys() & NARROW:
        kernel, library = kernel | NARROW_KERNEL_RESERVE, library | NARROW_LIBRARY_RESERVE
        not_root |= NARROW_NOT_ROOT_RESERVE
    if makes_files(merged):
        library |= MAKER_RESERVE
    if not replaces_root:
        not_root = frozenset()
    shell = any(each.files.shell is not False for each in merged.recordings)
    in_shell = EXEC_RESERVE if shell and not no_exec else frozenset()
    names = container.keys() | runtime.keys() | base | go | kernel | library | not_root | in_shell
    return {
        name: Why(
            container=container.get(name),
            runtime=runtime.get(name),
            runtime_base=name in base,
            go_reserve=name in go,
            kernel_reserve=name in kernel,
            library_reserve=name in library,
            not_root_reserve=name in not_root,
            exec_reserve=name in in_shell,
        )
        for name in sorted(names)
    }


def _hurdles(merged: Merged) -> tuple[Hurdle, ...]:
    found = set()
    for each in merged.recordings:
        for program in each.setuid:
            if program.uid is not None:
                found.add((program.path, "set-user-ID"))
            if program.gid is not None:
                found.add((program.path, "set-group-ID"))
        found |= {(file.path, "file capabilities") for file in each.file_capabilities}
    return tuple(Hurdle(path=path, kind=kind) for path, kind in sorted(found))
