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

from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload import recording
from hardener.workload.apparmor import AppArmor
from hardener.workload.capabilities import Need, User
from hardener.workload.container import Container, Host
from hardener.workload.decoding import decode_document
from hardener.workload.filesystem import Obstacle
from hardener.workload.merging import Exercise, Seen
from hardener.workload.recording import Twin
from hardener.workload.seccomp import Default
from hardener.workload.shapes import Part, Phase

FORMAT: Literal["hardener.profile/1"] = "hardener.profile/1"
NAME = "profile.json"
FILES = frozenset({"seccomp.json", "apparmor", "docker-run.txt", "compose.override.yaml"})
PAGES = frozenset({"profile.md", "profile.html"})
PROOF = "proof.json"
MOST = 16 << 20  # bytes of a file of a profile or a proof
MOST_VALUES = 500_000  # of JSON in it
# What can be left out on request beside capabilities, as a proof names it.
PARTS = (WRITABLE_ROOT, GAINING_PRIVILEGES) = ("writable root", "gaining privileges")


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

    @property
    def seen(self) -> Seen:
        """Return where its paths were seen."""
        return Seen(programs=self.programs, phases=self.phases, seen_in=max(self.paths.values(), default=0))


class RootPart(Part):
    """The root file system."""

    read_only: bool
    tmpfs: tuple[TmpfsPart, ...]
    obstacles: tuple[Obstacle, ...]


class PrivilegePart(Part):
    """Whether a process can gain privileges by executing a program."""

    no_new_privileges: bool
    hurdles: tuple[Hurdle, ...]


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
    apparmor: AppArmor | None
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
