"""Describe a profile for people: every setting with its reason, independent of the output format.

Untrusted text (programs, paths) is kept apart as ``Name``: each output format escapes it in its own way.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hardener.workload.apparmor import Rule
from hardener.workload.merging import Merged, Seen
from hardener.workload.profile import Profile, sites_apparmor
from hardener.workload.profile_document import WRITABLE_ROOT, Document, SeccompPart, Why
from hardener.workload.settings import APPARMOR
from hardener.workload.syscalls import NEWER

_SHOWN = 6  # number of names in one sentence
_KINDS = {
    "check": "the kernel checked it",
    "file": "the program file has it, and does not start without it",
    "capset": "a program requests it by capset",
}


@dataclass(frozen=True, slots=True)
class Name:
    """Untrusted text."""

    text: str


Words = tuple[str | Name, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A setting, and its reason."""

    what: Name
    why: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page: a heading, sentences, rows.

    Args:
        title: the heading.
        sentences: between the heading and the rows.
        rows: settings with their reasons.
        detail: whether a terminal shows only the number of rows.
    """

    title: str
    sentences: tuple[Words, ...] = ()
    rows: tuple[Row, ...] = ()
    detail: bool = False


def sections(made: Profile) -> Iterator[Section]:
    """Return the page, section by section."""
    profile, merged = made.document, made.merged
    yield _head(profile, merged)
    yield _phases(merged)
    yield _calls(profile)
    if profile.seccomp and profile.seccomp.refused:
        yield _refused(profile.seccomp, merged.total)
    yield _capabilities(profile, merged)
    yield _privileges(profile)
    yield _root(profile)
    yield _peaks(profile, merged)
    yield _apparmor(profile)
    yield _repeat(profile)


def _head(profile: Document, merged: Merged) -> Section:
    host, capabilities = profile.host, profile.capabilities
    sentences: list[Words] = [
        (
            "image ",
            Name(profile.container.image),
            ", ",
            f"{merged.total} recording{'' if merged.total == 1 else 's'}",
        ),
        (
            "recorded with ",
            Name(f"{host.runtime.name} {host.runtime.version}"),
            ", engine ",
            Name(host.engine),
            ", Linux ",
            Name(f"{host.kernel} {host.architecture}"),
        ),
    ]
    restarted = sum(each.restarted for each in merged.recordings)
    if restarted:
        some = f"{restarted} of {merged.total} " if restarted < merged.total else ""
        sentences.append((f"{some}recorded on the container itself, after a restart",))
    if seccomp := profile.seccomp:
        sentences.append((f"system calls: {seccomp.default_calls} → {len(seccomp.calls)}",))
    sentences.append((f"capabilities: {len(capabilities.had)} → {len(capabilities.kept)}",))
    sentences.append((f"root file system: {'read-only' if profile.root.read_only else 'writable'}",))
    no_new = "set" if profile.privileges.no_new_privileges else "not set"
    sentences.append((f"no-new-privileges: {no_new}",))
    return Section(title=f"Least privilege for {profile.name}", sentences=tuple(sentences))


def _phases(merged: Merged) -> Section:
    rows = [
        Row(
            Name(each.name),
            (
                f"in {each.seen_in} of {merged.total}" if each.seen_in else "not exercised",
                *(_listed(each.reasons, before=": ")),
            ),
        )
        for each in merged.exercises
    ]
    sentences: list[Words] = []
    if any(not each.seen_in for each in merged.exercises):
        sentences.append(("This profile does not permit what only an unexercised phase needs.",))
    if merged.total == 1:
        sentences.append(
            _say(
                "It is based on one recording: calls that the container makes in some runs only, such as"
                " under load, may be missing. Record the container again, and name all recordings."
            )
        )
    if not merged.complete:
        sentences.append(("The recording is incomplete.",))
    sentences += [("Not observed: ", Name(gap)) for gap in merged.gaps]
    return Section(title="Phases", sentences=tuple(sentences), rows=tuple(rows))


def _calls(profile: Document) -> Section:
    seccomp = profile.seccomp
    title = "System calls"
    if seccomp is None:
        return Section(
            title=title,
            sentences=(("No profile: the engine's default profile could not be read.",),),
        )
    sentences = [
        _say(
            "The engine's default with its rules on arguments, narrowed to the calls listed here."
            " Everything else is refused."
        )
    ]
    own = any(option.startswith("seccomp=sha256:") for option in profile.container.security_options)
    if seccomp.basis and seccomp.basis.chosen:
        sentences.append(
            _say("What the container's own seccomp profile refuses stays refused, except on request.")
        )
    elif own and not profile.container.privileged:
        sentences.append(
            _say(
                "The container's own seccomp profile could not be read: calls that it refuses may be"
                " permitted here."
            )
        )
    if seccomp.socket_families_refused:
        sentences.append(
            _say(
                "Added by hardener: socket(AF_ALG) is refused, which the default permits; and socket families"
                " are compared as 32-bit values, as in the kernel."
            )
        )
        if "socketcall" in seccomp.calls:
            sentences.append(
                _say(
                    "A 32-bit program can still open any socket by socketcall: a filter cannot read the"
                    " arguments of that call."
                )
            )
    if seccomp.answered_not_known:
        sentences.append(
            _say(
                f"Refused calls that are newer than Linux 4.10 ({NEWER[0]} and later) fail with ENOSYS, as in"
                " an older kernel, so that programs use older calls instead."
            )
        )
    rows = []
    for name, why in seccomp.calls.items():
        extra = (
            ("; beyond the default or the container's own profile, on request",)
            if name in seccomp.extra
            else ()
        )
        rows.append(Row(Name(name), (*_reason(why, len(profile.recordings)), *extra)))
    return Section(title=title, sentences=tuple(sentences), rows=tuple(rows), detail=True)


def _refused(seccomp: SeccompPart, total: int) -> Section:
    return Section(
        title="System calls that stay refused",
        sentences=(
            _say(
                "These calls were recorded, but the default or the container's own profile refuses them:"
                " --allow-extra NAME permits a call, under the conditions of the default."
            ),
        ),
        rows=tuple(Row(Name(name), _reason(why, total)) for name, why in seccomp.refused.items()),
    )


def _reason(why: Why, total: int) -> Words:
    parts: list[Words] = []
    if why.container:
        parts.append(("made", *_seen(why.container, total)))
    if why.runtime:
        parts.append(("the runtime made it", *_seen(why.runtime, total)))
    if why.runtime_base:
        parts.append(("the runtime needs it for every container, as measured",))
    if why.go_reserve:
        parts.append(("a Go runtime may need it at any start",))
    if why.kernel_reserve:
        parts.append(("the kernel may need it, or a program on a machine with another clock",))
    if why.library_reserve:
        parts.append(("programs make it in some runs only",))
    if why.not_root_reserve:
        parts.append(("programs may make it if they do not run as root",))
    if why.exec_reserve and not parts:
        parts.append(("a shell of docker exec makes it",))
    if why.no_more_than:
        parts.append(("it can do no more than ", Name(why.no_more_than)))
    return _joined(parts)


def _capabilities(profile: Document, merged: Merged) -> Section:
    capabilities = profile.capabilities
    dropped = [name for name in capabilities.had if name not in capabilities.kept]
    sentences: list[Words] = []
    if dropped:
        sentences.append((f"Dropped: {', '.join(dropped)}.",))
    if "capabilities" in merged.unseen:
        sentences.append(_say("Capability checks could not be recorded: all capabilities are kept."))
    elif profile.user:
        sentences.append(
            _say(
                f"Root needed the capabilities below only for files of the user {profile.user}: as this user,"
                " the container needs none."
            )
        )
    elif not capabilities.kept:
        sentences.append(("None is needed.",))
    rows = [
        Row(
            Name(need.capability),
            (
                f"{_KINDS[need.kind]}: ",
                Name(need.program),
                *((" in ", Name(need.call)) if need.call else ()),
                *_seen(need.seen, merged.total, programs=False),
                *(("; dropped, on request",) if need.capability in capabilities.dropped_on_request else ()),
            ),
        )
        for need in capabilities.needs
    ]
    return Section(title="Capabilities", sentences=tuple(sentences), rows=tuple(rows))


def _privileges(profile: Document) -> Section:
    sentences: list[Words] = []
    hurdles = profile.privileges.hurdles
    if profile.user:
        theirs = _listed(profile.user.paths, before=" ")
        sentences.append((f"The container runs as {profile.user}, who owns:", *theirs))
        sentences.append(("Give root's files in its volumes and folders of the host to this user (chown).",))
        sentences.append(("Files of root that nobody else may read need root: --keep-user keeps it.",))
    if profile.declined_user:
        sentences.append((f"Root is kept on request; {profile.declined_user} would do.",))
    if not profile.privileges.no_new_privileges:
        sentences.append(("no-new-privileges is not set: it would break these programs.",))
    elif hurdles:
        sentences.append(("no-new-privileges is set on request: these programs gain no privileges.",))
    else:
        sentences.append(("no-new-privileges is set: no executed program gains privileges.",))
    rows = [Row(Name(each.path), (each.kind,)) for each in hurdles]
    return Section(title="User and privileges", sentences=tuple(sentences), rows=tuple(rows))


def _root(profile: Document) -> Section:
    root, total = profile.root, len(profile.recordings)
    obstacles = [
        Row(Name(each.path), (Name(each.why), "; changed", *_seen(each, total))) for each in root.obstacles
    ]
    if not root.read_only:
        why = "The root stays writable: a tmpfs cannot replace the folders of these paths."
        return Section(title="Root file system", sentences=((why,),), rows=tuple(obstacles))
    rows = []
    if WRITABLE_ROOT in profile.dropped:
        rows = [Row(each.what, (*each.why, "; read-only on request")) for each in obstacles]
    for each in root.tmpfs:
        rows.append(
            Row(
                Name(f"{each.path}:{each.options}"),
                (
                    "written:",
                    *_listed(each.paths, before=" "),
                    *_seen(each.seen, total),
                ),
            )
        )
    return Section(
        title="Root file system",
        sentences=(
            _say("The root is read-only; the folders below are in memory, and lost when the container ends."),
        ),
        rows=tuple(rows),
    )


def _peaks(profile: Document, merged: Merged) -> Section:
    rows = []
    peaks = [each.peak for each in merged.recordings]
    own = merged.pids_limit
    if profile.limits.pids_peak:
        limited = f"; the container's own limit is {own}" if own else ""
        rows.append(Row(Name("processes and threads"), (_most(peak.pids for peak in peaks), limited)))
    if profile.limits.memory_peak:
        mebibytes = (-(-(peak.memory_bytes or 0) // (1 << 20)) for peak in peaks)
        rows.append(Row(Name("memory in MiB"), (_most(mebibytes),)))
    return Section(
        title="Measured",
        sentences=(("The profile sets no limit from these peaks: production may need more than a test.",),),
        rows=tuple(rows),
    )


def _most(peaks: Iterable[int | None]) -> str:
    """Return the highest of the known peaks, and the lowest where recordings differ."""
    known = sorted({each for each in peaks if each})
    differs = f"; {known[0]} in another recording" if len(known) > 1 else ""
    return f"{known[-1]} at most{differs}"


def _unused(profile: Document) -> Words:
    """Say why the AppArmor profile is not used."""
    if name := sites_apparmor(profile.container):
        return ("The container keeps its own AppArmor profile ", Name(name))
    return ("The recorded host has no AppArmor",)


def _apparmor(profile: Document) -> Section:
    found = profile.apparmor
    if found is None:
        missing = "No profile: the recorder could not observe executed files."
        return Section(title="AppArmor", sentences=((missing,),))
    sentences: list[Words] = [
        (f"Before the container starts, load the file on the host: apparmor_parser --replace {APPARMOR}",)
        if found.used
        else (*_unused(profile), ": the profile is written, but not requested."),
        (f"The kernel logs each denial: journalctl -k --grep 'DENIED.*{found.name}'",),
    ]
    sentences += [("No rule can be written for ", Name(path)) for path in found.left_out[:_SHOWN]]
    rows = [
        Row(
            Name(rule.text),
            (
                rule.why,
                *_listed(rule.of, before=": "),
                *(_seen(rule, len(profile.recordings)) if rule.seen_in is not None else ()),
            ),
        )
        for rule in found.rules
    ]
    return Section(title="AppArmor", sentences=tuple(sentences), rows=tuple(rows), detail=True)


def _repeat(profile: Document) -> Section:
    return Section(
        title="How to make the same profile again",
        sentences=(
            _say(
                "`hardener workload profile` makes these files from the recordings below, byte for byte,"
                " with the same compose file if there was one",
                *(
                    f"; with --allow-extra {name}"
                    for name in (profile.seccomp.extra if profile.seccomp else ())
                ),
                *(f"; with --drop {shlex.quote(name)}" for name in sorted(profile.dropped)),
                "; with --keep-user" if profile.declined_user else "",
                ".",
            ),
        ),
        rows=tuple(Row(Name(each.digest), (f"{each.began} to {each.ended}",)) for each in profile.recordings),
    )


def _seen(seen: Seen | Rule, total: int, *, programs: bool = True) -> Words:
    words: list[str | Name] = []
    if programs and seen.programs:
        words += [*_listed(seen.programs, before=" by ")]
    if seen.phases:
        words.append(f" in {', '.join(seen.phases)}")
    words.append(f" ({seen.seen_in} of {total})")
    return tuple(words)


def _listed(names: Iterable[str], *, before: str) -> Words:
    """List the first names and the number of the omitted ones; return an empty text for no names."""
    every = [each for each in names if each]
    if not every:
        return ()
    words: list[str | Name] = [before]
    for index, name in enumerate(every[:_SHOWN]):
        words += [*([", "] if index else []), Name(name)]
    if len(every) > _SHOWN:
        words.append(f" and {len(every) - _SHOWN} more")
    return tuple(words)


def _joined(parts: Sequence[Words]) -> Words:
    words: list[str | Name] = []
    for index, part in enumerate(parts):
        words += [*(["; "] if index else []), *part]
    return tuple(words)


def _say(*words: str | Name) -> Words:
    return words
