"""Write ``profile.json``: a profile for programs, with the reason for each part.

It is deterministic (keys and sets are sorted) and names the recordings by their digests: the same recordings
give the same bytes. ``profile.schema.json`` describes it, and is generated from these classes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hardener import __version__
from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.container import Container, Host
from hardener.workload.decoding import decode_document
from hardener.workload.merging import Seen, together
from hardener.workload.owner import User
from hardener.workload.profile import GAINING_PRIVILEGES, PARTS, WRITABLE_ROOT, Profile, Why
from hardener.workload.recording import Twin
from hardener.workload.settings import tmpfs
from hardener.workload.shapes import Phase

FORMAT: Literal["hardener.profile/1"] = "hardener.profile/1"
NAME = "profile.json"
FILES = frozenset({"seccomp.json", "apparmor", "docker-run.txt", "compose.override.yaml"})
PAGES = frozenset({"profile.md", "profile.html"})
PROOF = "proof.json"
_MOST = 16 << 20  # bytes of a file
_MOST_VALUES = 500_000


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Sighting(_Part):
    """The programs, phases and number of recordings in which something was observed."""

    programs: tuple[str, ...]
    phases: tuple[Phase, ...]
    seen_in: int


class Source(_Part):
    """One of the recordings."""

    digest: str
    began: str
    ended: str
    twin: Twin
    complete: bool
    missing: tuple[str, ...]


class Exercised(_Part):
    """A phase: the number of recordings in which it was exercised, and how; if in none, why."""

    name: Phase
    seen_in: int
    reasons: tuple[str, ...]


class CallReason(_Part):
    """The reasons for permitting a call."""

    container: Sighting | None
    runtime: Sighting | None
    runtime_base: bool
    go_reserve: bool
    kernel_reserve: bool
    library_reserve: bool = False
    not_root_reserve: bool = False
    exec_reserve: bool = False
    no_more_than: str = ""


class SeccompPart(_Part):
    """The seccomp profile: each call with its reason."""

    default_calls: int
    calls: Mapping[str, CallReason]
    refused: Mapping[str, CallReason]
    extra: tuple[str, ...]
    answered_not_known: tuple[str, ...]
    socket_families_refused: tuple[int, ...]


class CapabilityNeed(_Part):
    """The reason for a needed capability."""

    capability: str
    kind: Literal["check", "file", "capset"]
    program: str
    call: str
    seen: Sighting


class CapabilityPart(_Part):
    """The capabilities that the container had, those that it keeps, and those dropped by request."""

    had: tuple[str, ...]
    kept: tuple[str, ...]
    dropped_on_request: tuple[str, ...] = ()
    needs: tuple[CapabilityNeed, ...]


class UserPart(_Part):
    """The user that the container runs as, instead of root."""

    uid: int
    gid: int
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


class TmpfsPart(_Part):
    """A tmpfs mount, and the paths that are written in it, by the number of recordings."""

    path: str
    options: str
    paths: Mapping[str, int]
    programs: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()


class ObstaclePart(_Part):
    """The reason why the root is not read-only."""

    path: str
    why: str
    seen_in: int
    programs: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()


class RootPart(_Part):
    """The root file system."""

    read_only: bool
    tmpfs: tuple[TmpfsPart, ...]
    obstacles: tuple[ObstaclePart, ...]


class HurdlePart(_Part):
    """A program that no-new-privileges would break."""

    path: str
    kind: str


class PrivilegePart(_Part):
    """Whether a process can gain privileges by executing a program."""

    no_new_privileges: bool
    hurdles: tuple[HurdlePart, ...]


class AppArmorRule(_Part):
    """One rule of the AppArmor profile."""

    text: str
    why: str
    of: tuple[str, ...]
    seen_in: int | None
    programs: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()


class AppArmorPart(_Part):
    """The AppArmor profile, and whether the recorded host could load it."""

    name: str
    used: bool
    rules: tuple[AppArmorRule, ...]
    left_out: tuple[str, ...]


class LimitPart(_Part):
    """The measured peaks: no limit follows from them."""

    pids: int | None = Field(default=None, description="null; hardener 0.2 set it from a recording")
    pids_peak: int | None
    memory_peak: int | None


class Document(_Part):
    """The whole profile."""

    format: Literal["hardener.profile/1"] = FORMAT
    hardener: str
    name: str
    host: Host
    container: Container
    recordings: tuple[Source, ...]
    phases: tuple[Exercised, ...]
    seccomp: SeccompPart | None
    capabilities: CapabilityPart
    user: UserPart | None
    declined_user: UserPart | None = Field(
        default=None, description="who would do in place of root, which was kept on request"
    )
    root: RootPart
    privileges: PrivilegePart
    apparmor: AppArmorPart | None
    limits: LimitPart
    files: Mapping[str, str]  # SHA-256 of the other files for programs

    @property
    def dropped(self) -> frozenset[str]:
        """Return the capabilities and parts that were left out on request."""
        found = set(self.capabilities.dropped_on_request)
        if self.root.obstacles and self.root.read_only and not self.container.read_only:
            found.add(WRITABLE_ROOT)
        if self.privileges.hurdles and self.privileges.no_new_privileges:
            found.add(GAINING_PRIVILEGES)
        return frozenset(found)


def document(profile: Profile, files: Mapping[str, str]) -> Document:
    """Return the document of a profile.

    Args:
        profile: the profile.
        files: the text of other files that belong to it, by name.
    """
    merged = profile.merged
    return Document(
        hardener=__version__,
        name=profile.name,
        host=merged.one.host,
        container=merged.one.container,
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
        phases=tuple(
            Exercised(name=each.name, seen_in=each.count, reasons=each.reasons) for each in merged.exercises
        ),
        seccomp=_seccomp(profile),
        capabilities=CapabilityPart(
            had=tuple(sorted(profile.had)),
            kept=profile.capabilities,
            dropped_on_request=tuple(name for name in profile.dropped if name not in PARTS),
            needs=tuple(
                CapabilityNeed(
                    capability=need.capability,
                    kind=need.kind,
                    program=need.program,
                    call=need.call,
                    seen=_sighting(need.seen),
                )
                for need in profile.needs
            ),
        ),
        user=_user(profile.user),
        declined_user=_user(profile.declined_user),
        root=_root(profile),
        privileges=PrivilegePart(
            no_new_privileges=profile.no_new_privileges,
            hurdles=tuple(HurdlePart(path=each.path, kind=each.kind) for each in profile.hurdles),
        ),
        apparmor=_apparmor(profile),
        limits=LimitPart(pids_peak=profile.pids_peak, memory_peak=profile.memory),
        files={name: digest(text.encode()) for name, text in files.items()},
    )


def _user(user: User | None) -> UserPart | None:
    return UserPart(uid=user.uid, gid=user.gid, paths=user.paths) if user else None


def text(found: Document) -> str:
    """Return the text of the file."""
    return json.dumps(found.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def load(folder: Path) -> Document:
    """Load the document of a folder, whose files must be unchanged.

    Raises:
        HardenerError: it cannot be read, is not a profile, or another file is missing or was changed.
    """
    try:
        data = read(folder / NAME, most=_MOST)
        found = decode(data, name=str(folder / NAME))
        for file, expected in found.files.items():
            if digest(read(folder / file, most=_MOST)) != expected:
                raise HardenerError(
                    f"{line(str(folder / file))} was changed after {NAME} was written",
                    hint="make the profile again from its recordings",
                )
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(error.filename))}: {error.strerror}") from error
    except ValueError as error:
        raise HardenerError(
            f"{line(str(folder / NAME))} is not a profile: {line(str(error), 200)}"
        ) from error
    return found


def decode(data: bytes, *, name: str) -> Document:
    """Parse the document of a ``profile.json``, without the files that it names.

    Args:
        data: its content.
        name: what it is called in an error.

    Raises:
        HardenerError: the data are not such a document.
    """
    found = decode_document(Document, data, name=name, what="profile", most_values=_MOST_VALUES)
    for file in found.files:
        if file not in FILES:
            raise HardenerError(
                f"{line(name)} is not a profile: it names {line(file)}, which is not a file of a profile"
            )
    return found


def foreign(folder: Path, names: Iterable[str]) -> str:
    """Return the first of the given files in a folder that does not belong to its profile; empty for none."""
    present = [name for name in names if os.path.lexists(folder / name)]
    written: set[str] = set()
    try:
        data = parse(read(folder / NAME, most=_MOST), most_values=_MOST_VALUES)
        if data["format"] == FORMAT:
            written = {NAME, *PAGES, PROOF, *data["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return next((name for name in present if name not in written), "")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, which ``profile.schema.json`` contains."""
    found = Document.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def digest(data: bytes) -> str:
    """Return the digest of a file in the form of the documents."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _sighting(seen: Seen) -> Sighting:
    return Sighting(programs=seen.programs, phases=seen.phases, seen_in=seen.count)


def _reason(why: Why) -> CallReason:
    return CallReason(
        container=_sighting(why.container) if why.container else None,
        runtime=_sighting(why.runtime) if why.runtime else None,
        runtime_base=why.base,
        go_reserve=why.go,
        kernel_reserve=why.kernel,
        library_reserve=why.library,
        not_root_reserve=why.not_root,
        exec_reserve=why.exec,
        no_more_than=why.no_more_than,
    )


def _seccomp(profile: Profile) -> SeccompPart | None:
    if profile.seccomp is None:
        return None
    return SeccompPart(
        default_calls=profile.default_calls,
        calls={name: _reason(profile.calls[name]) for name in profile.seccomp.permitted},
        refused={name: _reason(profile.calls[name]) for name in profile.seccomp.refused},
        extra=profile.seccomp.extra,
        answered_not_known=profile.seccomp.not_known,
        socket_families_refused=profile.seccomp.families_refused,
    )


def _root(profile: Profile) -> RootPart:
    return RootPart(
        read_only=profile.read_only,
        tmpfs=tuple(
            TmpfsPart(
                path=folder.path,
                options=mount.removeprefix(f"{folder.path}:"),
                paths={path: seen.count for path, seen in folder.paths.items()},
                programs=seen.programs,
                phases=seen.phases,
            )
            for folder, mount in zip(profile.writes.folders, tmpfs(profile), strict=True)
            for seen in (together(folder.paths.values()),)
        ),
        obstacles=tuple(
            ObstaclePart(
                path=each.path,
                why=each.why,
                seen_in=each.seen.count,
                programs=each.seen.programs,
                phases=each.seen.phases,
            )
            for each in profile.writes.obstacles
        ),
    )


def _apparmor(profile: Profile) -> AppArmorPart | None:
    if profile.apparmor is None:
        return None
    return AppArmorPart(
        name=profile.apparmor.name,
        used=profile.confined_by_apparmor,
        rules=tuple(
            AppArmorRule(
                text=each.text,
                why=each.why,
                of=each.of,
                seen_in=each.seen.count if each.seen else None,
                programs=each.seen.programs if each.seen else (),
                phases=each.seen.phases if each.seen else (),
            )
            for each in profile.apparmor.rules
        ),
        left_out=profile.apparmor.left_out,
    )
