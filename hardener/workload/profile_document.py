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

from pydantic import Field

from hardener import __version__
from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.apparmor import Rule
from hardener.workload.capabilities import Need, User
from hardener.workload.container import Container, Host
from hardener.workload.decoding import decode_document
from hardener.workload.filesystem import Obstacle
from hardener.workload.merging import Exercise, together
from hardener.workload.profile import GAINING_PRIVILEGES, PARTS, WRITABLE_ROOT, Basis, Hurdle, Profile, Why
from hardener.workload.recording import Twin
from hardener.workload.shapes import Part, Phase

FORMAT: Literal["hardener.profile/1"] = "hardener.profile/1"
NAME = "profile.json"
FILES = frozenset({"seccomp.json", "apparmor", "docker-run.txt", "compose.override.yaml"})
PAGES = frozenset({"profile.md", "profile.html"})
PROOF = "proof.json"
MOST = 16 << 20  # bytes of a file of a profile or a proof
MOST_VALUES = 500_000  # of JSON in it


class Source(Part):
    """One of the recordings."""

    digest: str
    began: str
    ended: str
    twin: Twin
    complete: bool
    missing: tuple[str, ...]


class SeccompPart(Part):
    """The seccomp profile: each call with its reason, and what it was narrowed from."""

    basis: Basis | None = Field(default=None, description="null in profiles of hardener 0.2.0")
    architectures: tuple[str, ...] = ()

    default_calls: int
    calls: Mapping[str, Why]
    refused: Mapping[str, Why]
    extra: tuple[str, ...]
    answered_not_known: tuple[str, ...]
    socket_families_refused: tuple[int, ...]


class CapabilityPart(Part):
    """The capabilities that the container had, those that it keeps, and those dropped by request."""

    had: tuple[str, ...]
    kept: tuple[str, ...]
    dropped_on_request: tuple[str, ...] = ()
    needs: tuple[Need, ...]


class TmpfsPart(Part):
    """A tmpfs mount, and the paths that are written in it, by the number of recordings."""

    path: str
    options: str
    paths: Mapping[str, int]
    programs: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()


class RootPart(Part):
    """The root file system."""

    read_only: bool
    tmpfs: tuple[TmpfsPart, ...]
    obstacles: tuple[Obstacle, ...]


class PrivilegePart(Part):
    """Whether a process can gain privileges by executing a program."""

    no_new_privileges: bool
    hurdles: tuple[Hurdle, ...]


class AppArmorPart(Part):
    """The AppArmor profile, and whether the recorded host could load it."""

    name: str
    used: bool
    rules: tuple[Rule, ...]
    left_out: tuple[str, ...]


class LimitPart(Part):
    """The measured peaks: no limit follows from them."""

    pids: int | None = Field(default=None, description="null; hardener 0.2 set it from a recording")
    pids_peak: int | None
    memory_peak: int | None


class Document(Part):
    """The whole profile."""

    format: Literal["hardener.profile/1"] = FORMAT
    hardener: str
    name: str
    host: Host
    container: Container
    recordings: tuple[Source, ...]
    phases: tuple[Exercise, ...]
    seccomp: SeccompPart | None
    capabilities: CapabilityPart
    user: User | None
    declined_user: User | None = Field(
        default=None, description="who would do in place of root, which was kept on request"
    )
    root: RootPart
    privileges: PrivilegePart
    apparmor: AppArmorPart | None
    limits: LimitPart
    seccomp_path: str = Field(default="./seccomp.json", description="from the folder of the compose file")
    service: str = Field(default="", description="of the compose file")
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


def document(profile: Profile, *, seccomp: str = "./seccomp.json", service: str = "") -> Document:
    """Return the document of a profile, without the other files, which follow from it.

    Args:
        profile: the profile.
        seccomp: the seccomp profile's path from the folder of the compose file.
        service: of the compose file; without, as recorded.
    """
    merged = profile.merged
    compose = merged.one.container.compose
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
        phases=merged.exercises,
        seccomp=_seccomp(profile),
        capabilities=CapabilityPart(
            had=tuple(sorted(profile.had)),
            kept=profile.capabilities,
            dropped_on_request=tuple(name for name in profile.dropped if name not in PARTS),
            needs=profile.needs,
        ),
        user=profile.user,
        declined_user=profile.declined_user,
        root=_root(profile),
        privileges=PrivilegePart(
            no_new_privileges=profile.no_new_privileges,
            hurdles=profile.hurdles,
        ),
        apparmor=_apparmor(profile),
        limits=LimitPart(pids_peak=profile.pids_peak, memory_peak=profile.memory),
        seccomp_path=seccomp,
        service=service or (compose.service if compose else profile.name),
        files={},
    )


def text(found: Document) -> str:
    """Return the text of the file."""
    return json.dumps(found.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def load(folder: Path) -> Document:
    """Load the document of a folder, whose files must be unchanged.

    Raises:
        HardenerError: it cannot be read, is not a profile, or another file is missing or was changed.
    """
    try:
        data = read(folder / NAME, most=MOST)
        found = decode(data, name=str(folder / NAME))
        for file, expected in found.files.items():
            if digest(read(folder / file, most=MOST)) != expected:
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
    found = decode_document(Document, data, name=name, what="profile", most_values=MOST_VALUES)
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
        data = parse(read(folder / NAME, most=MOST), most_values=MOST_VALUES)
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


def _seccomp(profile: Profile) -> SeccompPart | None:
    if profile.seccomp is None:
        return None
    return SeccompPart(
        basis=profile.basis,
        architectures=tuple(profile.merged.calls),
        default_calls=profile.default_calls,
        calls={name: profile.calls[name] for name in profile.seccomp.permitted},
        refused={name: profile.calls[name] for name in profile.seccomp.refused},
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
                options=options,
                paths={path: seen.seen_in for path, seen in folder.paths.items()},
                programs=seen.programs,
                phases=seen.phases,
            )
            for folder, options in profile.tmpfs
            for seen in (together(folder.paths.values()),)
        ),
        obstacles=profile.writes.obstacles,
    )


def _apparmor(profile: Profile) -> AppArmorPart | None:
    if profile.apparmor is None:
        return None
    return AppArmorPart(
        name=profile.apparmor.name,
        used=profile.confined_by_apparmor,
        rules=profile.apparmor.rules,
        left_out=profile.apparmor.left_out,
    )
