"""Write an AppArmor profile that permits the recorded writes, programs, networks and capabilities.

AppArmor denies what no rule permits, and the kernel logs each denial. Reading is permitted, except of secrets
that were not read: programs read other files of an image in rare cases, such as modules, locales and pages.
The profile repeats the denials of ``docker-default``, so that a pattern cannot permit what that denies. It
uses ABI 3.0: later ones take Unix sockets out of ``network``. Untrusted text appears in quoted paths only,
never in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from pydantic import Field

from hardener.workload.filesystem import WriteSet, below
from hardener.workload.merging import Merged, Seen, together
from hardener.workload.shapes import Part, Phase

# Denied by docker-default, and so by every profile: kernel settings, firmware, other containers.
_DENIED_BY_ENGINE = (
    "mount",
    "@{PROC}/* w",
    "@{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w",
    "@{PROC}/sys/[^k]** w",
    "@{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w",
    "@{PROC}/sysrq-trigger rwklx",
    "@{PROC}/kcore rwklx",
    "/sys/[^f]*/** wklx",
    "/sys/f[^s]*/** wklx",
    "/sys/fs/[^c]*/** wklx",
    "/sys/fs/c[^g]*/** wklx",
    "/sys/fs/cg[^r]*/** wklx",
    "/sys/firmware/** rwklx",
    "/sys/devices/virtual/powercap/** rwklx",
    "/sys/kernel/security/** rwklx",
)
# Files of an image that are secret: as a pattern of ours, as one of AppArmor, in words.
_SECRETS = (
    (re.compile(r"/etc/g?shadow-?"), "/etc/{,g}shadow{,-}", "password hashes"),
    (re.compile(r"/etc/ssl/private/.*"), "/etc/ssl/private/**", "private keys"),
    (re.compile(r"/etc/ssh/ssh_host_[^/]*_key"), "/etc/ssh/ssh_host_*_key", "private keys"),
    (
        re.compile(r"/(root|home/[^/]*)/\.(ssh|gnupg|aws|azure|docker|kube)/.*"),
        "/{root,home/*}/.{ssh,gnupg,aws,azure,docker,kube}/**",
        "keys and credentials of users",
    ),
)
# What a mount that holds secrets may be: a secret itself, or a folder around it.
_AROUND = (
    *("", "/", "/shadow", "/private/", "/ssl/private/", "/ssh_host_rsa_key", "/ssh/ssh_host_rsa_key"),
    *("/.ssh/", "/user/.ssh/"),
)
_TRACING = frozenset({"ptrace", "process_vm_readv", "process_vm_writev"})
_DEVICES = (
    "/dev/{null,zero,full,tty} rw",
    "/dev/{random,urandom} r",
    "/dev/pts/[0-9]* rw",
)
# What a recording cannot see written, since no file remains. docker-default permits it.
_UNRECORDED = (
    ("/dev/shm/ r", "shared memory, which every container has"),  # noqa: S108 - the container's
    ("/dev/shm/** rwkl", "shared memory, which every container has"),  # noqa: S108 - as above
    ("/ w", "the kernel's name for shared memory of huge pages"),
    ("owner @{PROC}/[0-9]*/{,task/[0-9]*/}comm rw", "names of its processes and threads"),
    ("owner @{PROC}/[0-9]*/{coredump_filter,oom_score_adj,timerslack_ns} rw", "settings of its processes"),
)
_LOADER = (
    "/{,usr/}lib{,32,64}/{,*-linux-*/}ld-*.so{,.*} mr",
    "/etc/ld.so.cache r",
)
_ENGINES_FILES = "/etc/{hosts,hostname,resolv.conf} r"
_ALL = "every path"
# AppArmor's special characters. Without an open brace there is no variable. A quote ends a path, a backslash
# could hide that quote, and it may also begin the recorder's escape of an invisible character.
_SPECIAL = re.compile(r'\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])?|["*?\[\]{}^]')
_UNQUOTABLE = ("\\", '"')
_CHARACTER = "{?,??,???,????}"  # of one to four bytes
_FEW = 2
_LIBRARY = re.compile(r"/lib[^/]*\.so(?:\.[0-9.]+)?$|/ld-[^/]*\.so(?:\.[0-9]+)*$")
_TRIPLET = re.compile(r"[a-z0-9_]+-linux-[a-z0-9]+")
# A path component that ends in a version: python3.13, nginx-1.26.3, 16.
_VERSIONED = re.compile(r"([A-Za-z_+-]*)\d+(?:\.\d+)+")
_NUMBER = re.compile(r"\d+")


class Rule(Part):
    """One rule without its comma, and the reason for it."""

    text: str
    why: str
    of: tuple[str, ...] = Field(default=(), description="observed paths, families or capabilities")
    seen_in: int | None = Field(default=None, description="null: the rule needs no observation")
    programs: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()


class AppArmor(Part):
    """The AppArmor profile, and whether the recorded host could load it."""

    name: str
    used: bool
    rules: tuple[Rule, ...]
    left_out: tuple[str, ...] = Field(description="paths that cannot be written in a rule")

    @property
    def text(self) -> str:
        """Return the text of the profile, for apparmor_parser."""
        rules = "".join(f"  {rule.text},\n" for rule in self.rules)
        return (
            "# Written by hardener from recordings of one container; profile.md says what each rule is for.\n"
            "# Load it with: apparmor_parser --replace FILE\n"
            "abi <abi/3.0>,\n"
            "include <tunables/global>\n\n"
            f'profile "{self.name}" flags=(attach_disconnected,mediate_deleted) {{\n{rules}}}\n'
        )


def apparmor(
    merged: Merged,
    *,
    name: str,
    used: bool,
    capabilities: Collection[str],
    writes: WriteSet,
    calls: Collection[str],
) -> AppArmor | None:
    """Return the profile; None if executed files were not observed: it would deny them.

    Args:
        merged: what was seen.
        name: what to call it.
        used: whether the container is to run under it.
        capabilities: those that the container is to have.
        writes: what is written to.
        calls: system calls that were seen.
    """
    if not merged.executed:
        return None
    every = {*merged.executed, *merged.written, *merged.created}
    left_out = tuple(sorted(path for path in every if not usable(path)))
    rules = [
        *_capabilities(capabilities),
        *_network(merged, capabilities),
        *_processes(name, calls),
        *_executed(merged),
        *_written(merged, writes),
        Rule(text='"/" r', why="reading is permitted", of=(_ALL,)),
        Rule(text='"/**" mr', why="reading is permitted", of=(_ALL,)),
        *(Rule(text=text, why="a device that every container has") for text in _DEVICES),
        *(Rule(text=text, why=why) for text, why in _UNRECORDED),
        *(Rule(text=text, why="the dynamic loader") for text in _LOADER),
        Rule(text=_ENGINES_FILES, why="files that the engine puts into every container"),
        *_denied(merged, capabilities),
    ]
    return AppArmor(name=name, used=used, rules=tuple(dict.fromkeys(rules)), left_out=left_out)


def _capabilities(capabilities: Collection[str]) -> Iterator[Rule]:
    for each in sorted(capabilities):
        text = f"capability {each.removeprefix('CAP_').lower()}"
        yield Rule(text=text, why="the container keeps the capability", of=(each,))


def _network(merged: Merged, capabilities: Collection[str]) -> Iterator[Rule]:
    for family, seen in merged.families.items():
        name = family.removeprefix("AF_").lower()
        if not name.isalnum() or not name.isascii():
            continue  # AppArmor has no name for this family either
        plain_types = name in ("inet", "inet6") and "CAP_NET_RAW" not in capabilities
        for kind in ("stream", "dgram") if plain_types else ("",):
            text = f"network {name} {kind}".rstrip()
            yield Rule(text=text, why="sockets of this family were requested", of=(family,), **dict(seen))


def _processes(name: str, calls: Collection[str]) -> Iterator[Rule]:
    for peer in ("unconfined", "runc", "crun"):
        yield Rule(text=f"signal (receive) peer={peer}", why="the engine and its runtime stop the container")
    yield Rule(text=f'signal (send, receive) peer="{name}"', why="between processes of the container")
    yield Rule(text=f'ptrace (read, readby) peer="{name}"', why="between processes of the container")
    if tracing := sorted(_TRACING & frozenset(calls)):
        text = f'ptrace (trace, tracedby) peer="{name}"'
        yield Rule(text=text, why="a program traced another program of the container", of=tuple(tracing))
    else:
        yield Rule(text="audit deny ptrace (trace, tracedby)", why="no program traced another")


def _executed(merged: Merged) -> Iterator[Rule]:
    # A path in /proc is a link to a file that is executed or mapped elsewhere: no rule would match it.
    executed = {path: seen for path, seen in merged.executed.items() if not path.startswith("/proc/")}
    for text, paths in _by_pattern(executed).items():
        yield _rule(text, "mrix", "it was executed", paths, merged.executed)
    program = next(iter(merged.one.container.entrypoint), "")
    if usable(program) and program not in merged.executed:
        yield Rule(text=f'"{pattern(program)}" mrix', why="the program that the image starts", of=(program,))


def _written(merged: Merged, writes: WriteSet) -> Iterator[Rule]:
    covered: list[str] = []
    for folder in writes.folders:
        if any(below(folder.path, around) for around in covered):
            continue
        covered.append(folder.path)
        yield from _folder(folder.path, "written paths below this folder", tuple(folder.paths), folder.paths)
    for mount in merged.one.container.mounts:
        target = mount.target.rstrip("/")
        if not mount.read_only and usable(target):
            covered.append(target)
            yield from _folder(target, "a writable mount of the container", (mount.target,), {})
    rest = {
        path: merged.changed[path]
        for path in sorted({*merged.created, *merged.written})
        if usable(path) and not any(below(path, folder) for folder in covered)
    }
    for path in sorted(path for path in rest if path.endswith("/")):
        seen = rest.pop(path)
        why = "temporary files were in this folder"
        yield Rule(text=f'"{plain(path)}*" rwkl', why=why, of=(path,), **dict(seen))
    for text, paths in _by_pattern(rest).items():
        created = not merged.created.keys().isdisjoint(paths)
        yield _rule(_or_folder(text) if created else text, "rwkl", "it was written", paths, rest)


def _or_folder(text: str) -> str:
    """Return a pattern that also matches a folder, to whose name AppArmor adds a slash."""
    if text.endswith("@"):  # "@{" would begin a variable
        text = f"{text[:-1]}[@]"
    return f"{text}{{,/}}"


def _folder(path: str, why: str, of: tuple[str, ...], known: Mapping[str, Seen]) -> Iterator[Rule]:
    if not usable(path):
        return
    seen = dict(together(known.values())) if known else {}
    # The folder itself too: entrypoints change its owner and mode.
    yield Rule(text=f'"{plain(path)}/" rw', why=why, of=of, **seen)
    yield Rule(text=f'"{plain(path)}/**" rwkl', why=why, of=of, **seen)


def _denied(merged: Merged, capabilities: Collection[str]) -> Iterator[Rule]:
    for text in _DENIED_BY_ENGINE:
        yield Rule(text=f"audit deny {text}", why="the engine's default profile denies this access")
    if merged.read is not None:
        targets = (mount.target.rstrip("/") for mount in merged.one.container.mounts)
        mounted = {f"{target}{end}" for target in targets for end in _AROUND}
        touched = {*merged.read, *merged.written, *merged.created, *mounted}
        for secret, text, what in _SECRETS:
            if not any(secret.fullmatch(path) for path in touched):
                yield Rule(text=f"audit deny {text} rwklx", why=f"{what}, which were not read")
    if "CAP_NET_RAW" not in capabilities and "AF_PACKET" not in merged.families:
        yield Rule(text="audit deny network packet", why="no raw socket was requested")
        yield Rule(text="audit deny network inet raw", why="no raw socket was requested")
        yield Rule(text="audit deny network inet6 raw", why="no raw socket was requested")


def _by_pattern(paths: Mapping[str, Seen]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        if usable(path):
            found.setdefault(pattern(path), []).append(path)
    return {text: tuple(each) for text, each in found.items()}


def _rule(text: str, permissions: str, why: str, paths: tuple[str, ...], known: Mapping[str, Seen]) -> Rule:
    return Rule(
        text=f'"{text}" {permissions}', why=why, of=paths, **dict(together(known[path] for path in paths))
    )


def plain(path: str) -> str:
    """Escape a path so that AppArmor takes it literally."""
    return _SPECIAL.sub(_literally, path)


def _literally(special: re.Match[str]) -> str:
    if special[1]:
        return _CHARACTER
    return "?" if special[0] in _UNQUOTABLE else f"\\{special[0]}"


def usable(path: str) -> bool:
    """Return whether an AppArmor rule can contain a path: absolute, printable, and not of a deleted file.

    Signs that stand for any character are few: many of them would make AppArmor's automaton explode.
    """
    return (
        path.startswith("/")
        and path.isprintable()
        and not path.endswith(" (deleted)")
        and sum(map(path.count, _UNQUOTABLE)) <= _FEW
    )


def pattern(path: str) -> str:
    """Return a pattern for one path that also matches it after a package update.

    It matches every library of the folder, every version of a folder, and every process below /proc.
    """
    if path.startswith("/proc/"):
        return "/".join("[0-9]*" if _NUMBER.fullmatch(part) else plain(part) for part in path.split("/"))
    if re.match(r"/dev/pts/\d+$", path):
        return "/dev/pts/[0-9]*"
    folder, _, name = path.rpartition("/")
    parts = [_part(part) for part in folder.split("/")]
    if _LIBRARY.search(path) and re.match(r"/(?:usr/(?:local/)?)?lib", path):
        return "/".join([*parts, f"{'ld-' if name.startswith('ld-') else 'lib'}*.so{{,.*}}"])
    return "/".join([*parts, plain(name)])


def _part(part: str) -> str:
    if _TRIPLET.fullmatch(part):
        return "*-linux-*"
    if version := _VERSIONED.fullmatch(part):
        return f"{plain(version[1])}[0-9]*"
    return plain(part)
