"""The format of a recording: the kernel, file and network use of one container.

    recording = load(Path("recording.json"))
    recording.calls["x86_64"]["openat"].phases      # ("start-empty", "serve")

A recording holds no values: no environment values, no file contents, and arguments only as keyed digests. It
is deterministic (sets are sorted, keys too), so that two of them can be compared with `diff`. ``digest`` is
that of the rest of the document: a file that was cut or changed afterwards is refused. It is no signature.

The format is described by ``recording.schema.json``, which is made from these classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from hardener.bounded import parse as parse_json
from hardener.bounded import read, values
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.container import Container, Host
from hardener.workload.shapes import (
    MAX_CALLS,
    MAX_NAMES,
    MAX_SET,
    PHASES,
    Architecture,
    CallName,
    CallNames,
    Capabilities,
    Capability,
    Count,
    Moment,
    Name,
    Names,
    Part,
    Path_,
    Paths,
    Phase,
    Phases,
    SetOf,
    Text,
    Words,
    in_order,
    in_sequence,
)

FORMAT: Literal["hardener.recording/2"] = "hardener.recording/2"
MAX_BYTES = 8 << 20
_MAX_VALUES = 500_000


Unseen = Literal["capabilities"]


class Recorder(Part):
    """The recorder, and what it could not observe."""

    complete: bool = Field(description="whether the recorder observed everything that it can observe")
    missing: Words = Field(description="sentences: what was not seen, and why")
    unseen: Annotated[tuple[Unseen, ...], AfterValidator(in_sequence)] = Field(
        default=(), description="parts that are empty because the kernel does not let them be observed"
    )


class Twin(Part):
    """The recorded copy of the container, and its network."""

    network: Literal["none", "own", "same", "original"] = Field(
        description="`same`: those of the container; `original`: the container itself was recorded"
    )
    companions: Names = Field(default=(), description="other services of its project that also had twins")


class PhaseRun(Part):
    """One phase: whether it was exercised, and how, or why it was not."""

    name: Phase
    exercised: bool
    reason: Text = Field(description="how it was exercised, or why it was not")
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Use(Part):
    """The programs that used something, and the phases in which they did."""

    phases: Phases
    programs: Names = Field(description="names of the threads (comm, at most 15 characters)")


class RuntimeCall(Part):
    """The phases of a system call that the runtime made under the filter, before it executed the program."""

    phases: Phases


class RuntimeBase(Part):
    """The calls of this host's runtime under the filter, for a static program that does nothing."""

    calls: CallNames
    no_new_privileges: CallNames = Field(description="the calls of the same program with no-new-privileges")
    starts: Count = Field(description="how many starts of each kind were recorded")


class CapabilityUse(Part):
    """A granted capability check in the container's own user namespace."""

    name: Capability
    call: CallName | None = Field(description="the system call that caused the check; null if unknown")
    program: Name
    phases: Phases


class FileCapabilities(Part):
    """File capabilities of an executed program; with the effective bit, exec fails without all of them."""

    path: Path_
    program: Name
    capabilities: Capabilities
    effective: bool


class Capset(Part):
    """The sets that a program requested by capset."""

    program: Name
    effective: Capabilities
    permitted: Capabilities
    inheritable: Capabilities


class Setuid(Part):
    """An executed set-uid or set-gid program; null stands for a bit that is not set."""

    path: Path_
    uid: Count | None
    gid: Count | None


class Identity(Part):
    """The identity under which a long-lived program ran."""

    program: Name
    uid: Count
    gid: Count
    groups: Annotated[tuple[Count, ...], Field(max_length=MAX_NAMES), AfterValidator(in_sequence)]
    effective: Capabilities
    permitted: Capabilities
    inheritable: Capabilities
    bounding: Capabilities
    ambient: Capabilities
    no_new_privileges: bool
    seccomp_mode: Annotated[int, Field(ge=0, le=2)]
    seccomp_filters: Count
    lsm: Text = Field(description="label of the security module; empty for none")
    phases: Phases


class Owner(Part):
    """The owner of a file or folder after the last phase."""

    uid: Count
    gid: Count
    mode: Annotated[int, Field(ge=0, le=0o7777)]


class Files(Part):
    """Paths in the container. ``read`` and ``used_by`` are null where they could not be observed."""

    written: Paths = Field(
        description="changed paths that existed before; a final slash marks a folder whose new files are gone"
    )
    created: Paths
    deleted: Paths
    executed: Paths = Field(
        description="files of the executed programs; symbolic links are resolved where possible"
    )
    read: Paths | None = Field(
        description="files and folders that were opened to read; a slash ends a folder"
    )
    used_by: Annotated[Mapping[Path_, Use], Field(max_length=MAX_SET)] | None = Field(
        description="programs that opened written, created or executed paths to do so"
    )
    owners: Annotated[Mapping[Path_, Owner], Field(max_length=MAX_SET)] = Field(
        default={}, description="owners of written and created paths and of their folders, if known"
    )
    folders: Annotated[Mapping[Path_, Owner], Field(max_length=MAX_SET)] = Field(
        default={}, description="folders of the image below the folders of written and created paths, if few"
    )
    shell: bool | None = Field(
        default=None, description="whether there is a shell for docker exec; null where that is not known"
    )


class Listen(Part):
    """A port that was listened on."""

    protocol: Literal["tcp", "tcp6", "udp", "udp6"]
    port: Annotated[int, Field(ge=0, le=65535)]


class ServedPort(Part):
    """A port that the container publishes or exposes."""

    protocol: Literal["tcp", "udp", "sctp"]
    port: Annotated[int, Field(ge=1, le=65535)]
    published: bool
    reached: bool = Field(description="whether the exercise connected to it")

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


class Network(Part):
    """Requested socket families, ports, and whether the container connected to an IP address."""

    families: Annotated[Mapping[Name, Use], Field(max_length=MAX_NAMES)] = Field(
        description="AF_INET and the like; `AF_#45` for a number without a name"
    )
    listens: SetOf[Listen]
    ports: SetOf[ServedPort] = Field(default=(), description="empty in recordings of hardener 0.2.0")
    connects: bool


# The three classes of a seccomp profile use the names of the runtime's document.
_Action = Annotated[str, StringConstraints(pattern=r"^SCMP_ACT_[A-Z_]{1,32}$")]
_Unsigned = Annotated[int, Field(ge=0, lt=1 << 64)]


class SeccompArgument(Part):
    """A condition on an argument of a call."""

    index: Annotated[int, Field(ge=0, le=5)]
    value: _Unsigned
    valueTwo: _Unsigned = 0  # noqa: N815 - the runtime's spelling
    op: Annotated[str, StringConstraints(pattern=r"^SCMP_CMP_[A-Z_]{1,32}$")]


class SeccompRule(Part):
    """An action for some calls."""

    names: Annotated[tuple[CallName, ...], Field(max_length=MAX_CALLS)]
    action: _Action
    errnoRet: Annotated[int, Field(ge=0, le=4095)] | None = None  # noqa: N815
    args: Annotated[tuple[SeccompArgument, ...], Field(max_length=64)] = ()


class Seccomp(Part):
    """``linux.seccomp`` of a container's bundle: the engine's resolved default."""

    defaultAction: _Action  # noqa: N815
    defaultErrnoRet: Annotated[int, Field(ge=0, le=4095)] | None = None  # noqa: N815
    architectures: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^SCMP_ARCH_[A-Z0-9_]{1,32}$")], ...],
        Field(max_length=64),
    ] = ()
    flags: Annotated[tuple[Name, ...], Field(max_length=16)] = ()
    syscalls: Annotated[tuple[SeccompRule, ...], Field(max_length=MAX_CALLS)] = ()


class Granted(Part):
    """The engine's default privileges, read from a container's bundle."""

    capabilities: Capabilities
    seccomp: Seccomp | None = Field(description="null without a default profile, or if it was not read")
    own: Seccomp | None = Field(
        default=None,
        description="the default profile for a container with more than the default capabilities",
    )
    chosen: Seccomp | None = Field(
        default=None,
        description="the profile that the container has instead of the default; null if it was not read",
    )


class Peak(Part):
    """The greatest use at one time; null where it could not be read."""

    pids: Count | None
    memory_bytes: Count | None


class Recording(Part):
    """The whole recording; see the documentation of the module."""

    format: Literal["hardener.recording/2"] = FORMAT
    hardener: Text
    began: Moment
    ended: Moment
    host: Host
    container: Container
    twin: Twin
    recorder: Recorder
    phases: Annotated[tuple[PhaseRun, ...], Field(max_length=len(PHASES))]
    calls: Annotated[
        Mapping[Architecture, Annotated[Mapping[CallName, Use], Field(max_length=MAX_CALLS)]],
        Field(
            max_length=8,
            description="under the seccomp filter, by architecture: x86_64, i386, x32, aarch64, arm",
        ),
    ]
    runtime_calls: Annotated[Mapping[CallName, RuntimeCall], Field(max_length=MAX_CALLS)]
    runtime_base: RuntimeBase | None
    capabilities: SetOf[CapabilityUse]
    file_capabilities: SetOf[FileCapabilities]
    capset: SetOf[Capset]
    setuid: SetOf[Setuid]
    identities: SetOf[Identity]
    files: Files
    network: Network
    granted: Granted
    peak: Peak
    pids_limit: Count | None = Field(
        default=None, description="the container's limit; null if it has none, or if it was not recorded"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Recording:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError("a phase is listed twice")
        if self.ended < self.began:
            raise ValueError("the recording ended before it began")
        return self

    @property
    def exercised(self) -> tuple[Phase, ...]:
        """Return the phases that happened."""
        return in_order(tuple(phase.name for phase in self.phases if phase.exercised))

    @property
    def served(self) -> bool:
        """Return whether an exercise has reached the container."""
        return "serve" in self.exercised

    @property
    def restarted(self) -> bool:
        """Return whether the container itself was recorded, after a restart."""
        return self.twin.network == "original"

    @property
    def digest(self) -> str:
        """Return the digest in the file: SHA-256 of the document without its digest."""
        return _digest(self._document())

    def dump(self) -> str:
        """Return the text of the file."""
        document = self._document()
        return json.dumps({**document, "digest": _digest(document)}, indent=1, sort_keys=True) + "\n"

    def _document(self) -> dict[str, Any]:
        document = self.model_dump(mode="json")
        for key in ("seccomp", "own", "chosen"):
            profile = getattr(self.granted, key)
            if profile is not None:  # the runtime's document has no null values
                document["granted"][key] = profile.model_dump(mode="json", exclude_none=True)
        return document


def load(path: Path) -> Recording:
    """Read a recording.

    Raises:
        HardenerError: the file cannot be read, is too large, is no recording, or was cut or changed.
    """
    name = line(str(path))
    try:
        data = read(path, most=MAX_BYTES)
    except OSError as error:
        raise HardenerError(f"cannot read recording {name}: {error.strerror}") from error
    except ValueError as error:
        raise HardenerError(f"cannot read recording {name}: {error}") from error
    return parse(data, name=name)


def parse(data: bytes, *, name: str) -> Recording:
    """Parse the content of a recording; ``name`` is its name in errors.

    Raises:
        HardenerError: it is no recording, or was cut or changed.
    """
    refuse = partial(HardenerError, hint="record the container again")
    if not data.strip():
        raise refuse(f"{name} is empty: the recording did not end")
    try:
        document = parse_json(data, most_values=_MAX_VALUES)
    except ValueError as error:
        raise refuse(f"{name} is not a complete recording: {line(str(error))}") from error
    if not isinstance(document, dict) or "format" not in document:
        raise refuse(f"{name} is not a recording: it has no key `format`")
    if document["format"] != FORMAT:
        raise refuse(f"{name}: format is {line(str(document['format']), 60)!r}, expected {FORMAT!r}")
    digest = document.pop("digest", None)
    recording = _validated(document, name)
    if digest != _digest(document):
        raise refuse(f"{name} was changed after it was written: its digest does not match")
    return recording


def readable(data: bytes) -> bool:
    """Return whether a recording of this content is small enough to be read again."""
    return len(data) <= MAX_BYTES and values(data) <= _MAX_VALUES


def build(document: Mapping[str, Any], *, name: str) -> Recording:
    """Build a recording from the answer of a host; ``name`` names the host in errors.

    Raises:
        HardenerError: it is no recording.
    """
    return _validated(document, name)


def _validated(document: Mapping[str, Any], name: str) -> Recording:
    try:
        # Strict JSON has lists in place of tuples, which strict Python mode refuses.
        return Recording.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = line(".".join(map(str, first["loc"])), 200)
        message = line(first["msg"].removeprefix("Value error, "), 200)
        raise HardenerError(f"{name}: {place + ': ' if place else ''}{message}") from error


def now() -> str:
    """Return the current time in the format of a recording."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the files, which ``recording.schema.json`` contains."""
    found = Recording.model_json_schema()
    found["properties"]["digest"] = {
        "description": "SHA-256 of the document without this key, as JSON with sorted keys and no spaces",
        "pattern": "^sha256:[0-9a-f]{64}$",
        "type": "string",
    }
    found["required"] = sorted({*found["required"], "digest", "format"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
