"""Make a confinement from recordings: every setting, with the reason for each part.

    profile = make([("recording.json", recording)])

The same recordings give the same profile, whatever their order. Nothing here reads a file or a clock.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import split
from pydantic import Field

from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload import recording
from hardener.workload.apparmor import AppArmor, apparmor
from hardener.workload.capabilities import Need, User, held, named, needs, other_user
from hardener.workload.equal_calls import no_more_than
from hardener.workload.filesystem import Folder, WriteSet, makes_files, write_set
from hardener.workload.merging import Merged, Seen, merge, together
from hardener.workload.recording import Recording
from hardener.workload.seccomp import Default, Seccomp, narrowed
from hardener.workload.shapes import Part
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
# What can be left out on request beside capabilities, as a proof names it.
PARTS = (WRITABLE_ROOT, GAINING_PRIVILEGES) = ("writable root", "gaining privileges")
APPARMOR_PREFIX = "hardener-"  # of the names of our AppArmor profiles
# Without a size, a container could fill half of the host's memory; none follows from a recording.
TMPFS = "rw,nosuid,nodev,size=256m"
_GENERAL_APPARMOR = frozenset({"", "docker-default", "unconfined"})
_NOT_GO = frozenset({"crun"})  # a runtime written in C


class Why(Part):
    """The reasons for permitting a call: at least one of them is set."""

    container: Seen | None = Field(default=None, description="the container's programs made it")
    runtime: Seen | None = Field(default=None, description="the runtime made it behind the filter")
    runtime_base: bool = Field(
        default=False, description="the runtime needs it for any container, as measured"
    )
    go_reserve: bool = Field(default=False, description="a Go runtime may need it at any start")
    kernel_reserve: bool = Field(default=False, description="whether it is observed depends on the machine")
    library_reserve: bool = Field(default=False, description="programs make it in some runs only")
    not_root_reserve: bool = Field(default=False, description="the user that replaces root may need it")
    exec_reserve: bool = Field(default=False, description="a shell in the container may make it")
    no_more_than: str = Field(default="", description="a permitted call that can do all that it can do")


class Basis(Part):
    """The seccomp profiles that are narrowed, as recorded."""

    # The engine's default. Releases of pydantic describe a lone reference differently.
    common: recording.Seccomp
    capabilities: tuple[str, ...] = Field(description="those that the engine gives by itself")
    own: recording.Seccomp | None = Field(
        description="its default for the container's capabilities, if these are more"
    )
    chosen: tuple[recording.Seccomp, ...] = Field(description="profiles that the container had in its place")

    @property
    def default(self) -> Default:
        """Return the profiles in the form in which they can be narrowed."""
        return Default(
            common=self.common.model_dump(mode="json", exclude_none=True),
            capabilities=frozenset(self.capabilities),
            own=self.own.model_dump(mode="json", exclude_none=True) if self.own else None,
            chosen=tuple(each.model_dump(mode="json", exclude_none=True) for each in self.chosen),
        )


class Hurdle(Part):
    """An executed program that gains privileges, and that no-new-privileges would break."""

    path: str
    kind: str = Field(description="set-user-ID, set-group-ID or file capabilities")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The strictest confinement under which all recorded use still works.

    Args:
        name: of the container, fit for a file or an AppArmor profile.
        merged: the recordings.
        calls: every call that was wanted, with the reason.
        default_calls: how many the engine's default permits with the chosen capabilities.
        basis: what the seccomp profile was narrowed from.
        seccomp: the profile; None where the engine's own could not be read.
        had: the capabilities that the container had.
        needs: why capabilities are needed.
        capabilities: those it keeps.
        dropped: capabilities and parts (``PARTS``) that it would keep, had their removal not been requested.
        user: as whom it runs, if not as before.
        declined_user: as whom it could run, had the request not kept root.
        writes: what it writes to.
        hurdles: programs that no-new-privileges breaks: it is not set where there are any, unless on request.
        apparmor: the profile; None where files could not be seen.
        pids_peak: of processes and threads, where it is known. No limit follows from what was measured.
        memory: the peak in bytes, where it is known.
    """

    name: str
    merged: Merged
    calls: Mapping[str, Why]
    default_calls: int
    basis: Basis | None
    seccomp: Seccomp | None
    had: frozenset[str]
    needs: tuple[Need, ...]
    capabilities: tuple[str, ...]
    dropped: tuple[str, ...]
    user: User | None
    declined_user: User | None
    writes: WriteSet
    hurdles: tuple[Hurdle, ...]
    apparmor: AppArmor | None
    pids_peak: int | None
    memory: int | None

    @property
    def no_new_privileges(self) -> bool:
        """Return whether no-new-privileges is set."""
        return not self.hurdles or GAINING_PRIVILEGES in self.dropped

    @property
    def read_only(self) -> bool:
        """Return whether the root file system is read-only."""
        own = self.merged.one.container.read_only or not self.writes.obstacles
        return own or WRITABLE_ROOT in self.dropped

    @property
    def tmpfs(self) -> Iterator[tuple[Folder, str]]:
        """Yield the tmpfs mounts with their options: ``rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=0``."""
        for folder in self.writes.folders:
            yield folder, f"{TMPFS},{'exec' if folder.executable else 'noexec'}{self._owned(folder)}"

    def _owned(self, folder: Folder) -> str:
        """Return mode and owner of a tmpfs as options: a runtime copies only the mode of a folder."""
        owner, user = folder.owner, self.user
        if user:
            return f",mode={owner.mode if owner else 0o755:04o},uid={user.uid},gid={user.gid}"
        return f",mode={owner.mode:04o},uid={owner.uid},gid={owner.gid}" if owner else ",mode=1777"

    @property
    def confined_by_apparmor(self) -> bool:
        """Return whether the AppArmor profile is used: not in place of the site's, which may be stricter."""
        available = "apparmor" in self.merged.one.host.lsm and not self.sites_apparmor
        return self.apparmor is not None and available

    @property
    def replaces_unread_seccomp(self) -> bool:
        """Return whether the container has a seccomp profile of its own that no recording holds."""
        container = self.merged.one.container
        named = any(option.startswith("seccomp=sha256:") for option in container.security_options)
        return named and not container.privileged and not self.merged.chosen

    @property
    def sites_apparmor(self) -> str:
        """Return the name of the AppArmor profile that the site chose for the container; empty for none."""
        for option in self.merged.one.container.security_options:
            kind, name = split(option)
            if kind == "apparmor" and name not in _GENERAL_APPARMOR and not name.startswith(APPARMOR_PREFIX):
                return name
        return ""


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
    had_it = _had_no_new_privileges(merged)
    hurdles = () if had_it else _hurdles(merged)
    kept = {GAINING_PRIVILEGES} if hurdles else set()
    if writes.obstacles and not merged.one.container.read_only:
        kept.add(WRITABLE_ROOT)
    dropped = _droppable(drop, useful | kept)
    capabilities = tuple(sorted(useful - dropped))
    calls = _calls(
        merged,
        no_new_privileges=not hurdles or GAINING_PRIVILEGES in dropped,
        had_it=had_it,
        replaces_root=user is not None,
        no_exec=no_exec,
    )
    name = short_name(merged.one.container.name)
    basis = _basis(merged)
    default = basis.default if basis else None
    seccomp = None
    seen = frozenset(calls)
    if default is not None:
        equal = no_more_than(seen, among=default.as_by_default(capabilities))
        calls |= {name: Why(no_more_than=strong) for name, strong in equal.items()}
        seccomp = narrowed(
            default,
            wanted=calls.keys(),
            capabilities=capabilities,
            architectures=merged.calls.keys(),
            extra=allow_extra,
            crypto_sockets="AF_ALG" in merged.families,
        )
    pids = [each.peak.pids for each in merged.recordings if each.peak.pids]
    memory = [each.peak.memory_bytes for each in merged.recordings if each.peak.memory_bytes]
    return Profile(
        name=name,
        merged=merged,
        calls=calls,
        default_calls=len(default.permitted(capabilities)) if default else 0,
        basis=basis,
        seccomp=seccomp,
        had=had,
        needs=required,
        capabilities=capabilities,
        dropped=tuple(sorted(dropped)),
        user=user,
        declined_user=other if keep_user else None,
        writes=writes,
        hurdles=hurdles,
        apparmor=apparmor(
            merged,
            name=f"{APPARMOR_PREFIX}{name}",
            capabilities=capabilities,
            writes=writes,
            calls=seen,
        ),
        pids_peak=max(pids, default=None),
        memory=max(memory, default=None),
    )


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


def _basis(merged: Merged) -> Basis | None:
    if merged.default is None:
        return None
    granted = merged.granted
    return Basis(
        common=merged.default,
        capabilities=granted.capabilities,
        own=granted.own,
        chosen=merged.chosen,
    )


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


def _had_no_new_privileges(merged: Merged) -> bool:
    """Return whether the container had no-new-privileges: bits for other users had no effect in it then."""
    options = merged.one.container.security_options
    return any(split(option) == ("no-new-privileges", "true") for option in options)


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
