"""A recording: what one container was seen to use of the kernel, of its files and of the network.

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
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from hardener.bounded import parse as parse_json
from hardener.bounded import read, values
from hardener.errors import HardenerError
from hardener.text import line

FORMAT: Literal["hardener.recording/1"] = "hardener.recording/1"
MAX_BYTES = 8 << 20
_MAX_VALUES = 500_000
MAX_SET = 10_000  # entries of a list of names or paths
_MAX_CALLS = 2_000  # different system calls of an architecture
MAX_NAMES = 1_000  # phases, programs and the like at one entry

Phase = Literal[
    "start-empty",  # with empty volumes, from before the first instruction
    "start-used",  # again, with what the first start left in volumes and in the writable layer
    "health-check",
    "exec",
    "serve",  # the user's exercise
    "reload",
    "crash-restart",
    "stop",
]
PHASES: tuple[Phase, ...] = (
    "start-empty",
    "start-used",
    "health-check",
    "exec",
    "serve",
    "reload",
    "crash-restart",
    "stop",
)

_Item = TypeVar("_Item")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be shown")
    return text


def _sorted(values: tuple[_Item, ...]) -> tuple[_Item, ...]:
    return tuple(sorted(set(values)))  # type: ignore[type-var]  # texts and models with an order of their own


def _in_order(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    return tuple(phase for phase in PHASES if phase in phases)


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]
Text = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_printable)]
Path_ = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_printable)]
# A number that has no name in the table of the host's program is written as `#467`.
CallName = Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_]{0,63}|#[0-9]{1,4})$")]
Capability = Annotated[str, StringConstraints(pattern=r"^CAP_[A-Z0-9_]{1,40}$")]
Architecture = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Moment = Annotated[
    str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"), AfterValidator(_moment)
]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES), AfterValidator(_sorted)]
Paths = Annotated[tuple[Path_, ...], Field(max_length=MAX_SET), AfterValidator(_sorted)]
CallNames = Annotated[tuple[CallName, ...], Field(max_length=_MAX_CALLS), AfterValidator(_sorted)]
Capabilities = Annotated[tuple[Capability, ...], Field(max_length=64), AfterValidator(_sorted)]
Phases = Annotated[tuple[Phase, ...], Field(max_length=len(PHASES)), AfterValidator(_in_order)]
Words = Annotated[tuple[Text, ...], Field(max_length=MAX_NAMES)]


class _Part(BaseModel):
    """A part of a recording: immutable, and with no key that is not described."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def __lt__(self, other: _Part) -> bool:
        return self.model_dump_json() < other.model_dump_json()


_Part_ = TypeVar("_Part_", bound=_Part)
# Lists whose order says nothing.
SetOf = Annotated[tuple[_Part_, ...], Field(max_length=MAX_SET), AfterValidator(_sorted)]


class Runtime(_Part):
    """The program that starts containers: runc, crun."""

    name: Name
    version: Text


class Host(_Part):
    """Where it was recorded, as far as the result depends on it."""

    kernel: Text
    architecture: Architecture
    engine: Text
    runtime: Runtime
    lsm: Names = Field(description="security modules of the kernel; empty where they cannot be read")
    userns_remap: bool


class Mount(_Part):
    """A mount of the container; its source is not told."""

    kind: Name
    target: Path_
    read_only: bool


class Published(_Part):
    """A port of the container that the original publishes."""

    container_port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Literal["tcp", "udp", "sctp"]


class Compose(_Part):
    """Where the container stands in a compose project."""

    project: Name
    service: Name


class Container(_Part):
    """The axes of identity: where one of them moves, the recording is of another container."""

    name: Name
    image: Text
    digest: Digest = Field(description="of the image: its id")
    user: Text
    entrypoint: Words = Field(description="the program; every further word as a digest with the host's key")
    command: Words = Field(description="every word as a digest with the host's key")
    mounts: SetOf[Mount]
    network_mode: Text
    pid_mode: Text
    ipc_mode: Text
    userns_mode: Text
    devices: Paths = Field(description="paths in the container")
    sysctls: Annotated[Mapping[Name, Text], Field(max_length=MAX_NAMES)]
    security_options: Words = Field(description="a seccomp profile of its own as `seccomp=sha256:…`")
    environment: Names = Field(description="names of variables, without their values")
    read_only: bool
    privileged: bool
    capabilities_added: Names = Field(description="as the user wrote them: ALL, CAP_CHOWN, chown")
    capabilities_dropped: Names
    published: SetOf[Published]
    compose: Compose | None


class Recorder(_Part):
    """What recorded, and what it could not see there."""

    kind: Literal["bpf", "bpftrace", "audit"]
    complete: bool = Field(description="whether nothing is missing of what this kind of recorder can see")
    missing: Words = Field(description="sentences: what was not seen, and why")


class Twin(_Part):
    """What was recorded: a copy of the container, and the network that it had."""

    network: Literal["none", "own", "same"]
    companions: Names = Field(default=(), description="services of its project that had twins beside it")


class PhaseRun(_Part):
    """One phase: whether it happened, and why not."""

    name: Phase
    exercised: bool
    reason: Text = Field(description="how it was exercised, or why it was not")
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Call(_Part):
    """Who made a system call behind the filter, and when."""

    phases: Phases
    programs: Names = Field(description="names of the tasks, as the kernel has them (15 characters)")


class RuntimeCall(_Part):
    """When the runtime made a system call behind the filter, before it became the program."""

    phases: Phases


class RuntimeBase(_Part):
    """What this host's runtime needs behind the filter for a static program that does nothing."""

    calls: CallNames
    no_new_privileges: CallNames = Field(description="the same with no-new-privileges")
    starts: Count = Field(description="how many starts of each kind were recorded")


class CapabilityUse(_Part):
    """A capability check that was granted, audited, and about the container's own user namespace."""

    name: Capability
    call: CallName | None = Field(description="the system call in which it was checked; null: unknown")
    program: Name
    phases: Phases


class FileCapabilities(_Part):
    """File capabilities of an executed program; with the effective bit exec fails without all of them."""

    path: Path_
    program: Name
    capabilities: Capabilities
    effective: bool


class Capset(_Part):
    """The sets that a program asked for by capset."""

    program: Name
    effective: Capabilities
    permitted: Capabilities
    inheritable: Capabilities


class Setuid(_Part):
    """An executed program that runs as another user or group; null: that bit is not set."""

    path: Path_
    uid: Count | None
    gid: Count | None


class Identity(_Part):
    """As whom a long-lived program ran."""

    program: Name
    uid: Count
    gid: Count
    groups: Annotated[tuple[Count, ...], Field(max_length=MAX_NAMES), AfterValidator(_sorted)]
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


class Owner(_Part):
    """Whose a file or folder is, after the last phase."""

    uid: Count
    gid: Count
    mode: Annotated[int, Field(ge=0, le=0o7777)]


class Files(_Part):
    """Paths in the container. ``read`` is null where it could not be seen."""

    written: Paths = Field(
        description="existed before and changed; a folder with a slash at its end: what came into it is gone"
    )
    created: Paths
    deleted: Paths
    executed: Paths
    read: Paths | None
    locked: Paths = Field(default=(), description="as far as it could be seen")
    mapped: Paths = Field(default=(), description="into memory as code, as far as it could be seen")
    owners: Annotated[Mapping[Path_, Owner], Field(max_length=MAX_SET)] = Field(
        default={}, description="of what was written or created and of the folder around, as far as known"
    )


class Listen(_Part):
    """A port that was listened on."""

    protocol: Literal["tcp", "tcp6", "udp", "udp6"]
    port: Annotated[int, Field(ge=0, le=65535)]


class Network(_Part):
    """Socket families that were asked for, ports, and whether anything connected to an IP address."""

    families: Names = Field(description="AF_INET and the like; `AF_#45` for a number without a name")
    listens: SetOf[Listen]
    connects: bool


# The three classes of a seccomp profile have the spelling of the runtime's own document.
_Action = Annotated[str, StringConstraints(pattern=r"^SCMP_ACT_[A-Z_]{1,32}$")]
_Unsigned = Annotated[int, Field(ge=0, lt=1 << 64)]


class SeccompArgument(_Part):
    """A condition on an argument of a call."""

    index: Annotated[int, Field(ge=0, le=5)]
    value: _Unsigned
    valueTwo: _Unsigned = 0  # noqa: N815 - the runtime's spelling
    op: Annotated[str, StringConstraints(pattern=r"^SCMP_CMP_[A-Z_]{1,32}$")]


class SeccompRule(_Part):
    """An action for some calls."""

    names: Annotated[tuple[CallName, ...], Field(max_length=_MAX_CALLS)]
    action: _Action
    errnoRet: Annotated[int, Field(ge=0, le=4095)] | None = None  # noqa: N815
    args: Annotated[tuple[SeccompArgument, ...], Field(max_length=64)] = ()


class Seccomp(_Part):
    """``linux.seccomp`` of a container's bundle: the engine's default as it was resolved."""

    defaultAction: _Action  # noqa: N815
    defaultErrnoRet: Annotated[int, Field(ge=0, le=4095)] | None = None  # noqa: N815
    architectures: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^SCMP_ARCH_[A-Z0-9_]{1,32}$")], ...],
        Field(max_length=64),
    ] = ()
    flags: Annotated[tuple[Name, ...], Field(max_length=16)] = ()
    syscalls: Annotated[tuple[SeccompRule, ...], Field(max_length=_MAX_CALLS)] = ()


class Granted(_Part):
    """What the engine grants by default, read from a container's bundle."""

    capabilities: Capabilities
    seccomp: Seccomp | None = Field(description="null: the engine has no default profile, or it was not read")
    own: Seccomp | None = Field(
        default=None,
        description="the default for the container's own capabilities, where it has further ones",
    )


class Peak(_Part):
    """The most that was in use at once; null where it could not be read."""

    pids: Count | None
    memory_bytes: Count | None


class Recording(_Part):
    """A whole recording; see the module's documentation."""

    format: Literal["hardener.recording/1"] = FORMAT
    hardener: Text
    began: Moment
    ended: Moment
    host: Host
    container: Container
    twin: Twin
    recorder: Recorder
    phases: Annotated[tuple[PhaseRun, ...], Field(max_length=len(PHASES))]
    calls: Annotated[
        Mapping[Architecture, Annotated[Mapping[CallName, Call], Field(max_length=_MAX_CALLS)]],
        Field(max_length=8, description="by architecture: x86_64, i386, x32, aarch64, arm"),
    ]
    runtime_calls: Annotated[Mapping[CallName, RuntimeCall], Field(max_length=_MAX_CALLS)]
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

    @model_validator(mode="after")
    def _consistent(self) -> Recording:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError("a phase stands twice")
        if self.ended < self.began:
            raise ValueError("it ended before it began")
        return self

    @property
    def exercised(self) -> tuple[Phase, ...]:
        """The phases that happened."""
        return _in_order(tuple(phase.name for phase in self.phases if phase.exercised))

    @property
    def digest(self) -> str:
        """What the file says of itself: SHA-256 of the document without its digest."""
        return _digest(self._document())

    def dump(self) -> str:
        """The text of its file."""
        document = self._document()
        return json.dumps({**document, "digest": _digest(document)}, indent=1, sort_keys=True) + "\n"

    def _document(self) -> dict[str, Any]:
        document = self.model_dump(mode="json")
        for key, profile in (("seccomp", self.granted.seccomp), ("own", self.granted.own)):
            if profile is not None:  # the runtime knows no nulls
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
    """Read the content of a recording; ``name`` says in errors which.

    Raises:
        HardenerError: it is no recording, or was cut or changed.
    """
    refuse = partial(HardenerError, hint="record the container again")
    if not data.strip():
        raise refuse(f"{name} is empty: the recording did not end")
    try:
        document = parse_json(data, most_values=_MAX_VALUES)
    except ValueError as error:
        raise refuse(f"{name} is no complete recording: {line(str(error))}") from error
    if not isinstance(document, dict) or "format" not in document:
        raise refuse(f"{name} is no recording: it has no key `format`")
    if document["format"] != FORMAT:
        raise refuse(f"{name}: format is {line(str(document['format']), 60)!r}, expected {FORMAT!r}")
    digest = document.pop("digest", None)
    recording = _validated(document, name)
    if digest != _digest(document):
        raise refuse(f"{name} was changed after it was written: its digest does not match")
    return recording


def readable(data: bytes) -> bool:
    """Whether a recording with this content can be read again: it may be too large for that."""
    return len(data) <= MAX_BYTES and values(data) <= _MAX_VALUES


def build(document: Mapping[str, Any], *, name: str) -> Recording:
    """Make a recording of what a host has answered; ``name`` says in errors which host.

    Raises:
        HardenerError: it is no recording.
    """
    return _validated(document, name)


def _validated(document: Mapping[str, Any], name: str) -> Recording:
    try:
        # Strict JSON has lists for tuples, which strict Python has not.
        return Recording.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = line(".".join(map(str, first["loc"])), 200)
        message = line(first["msg"].removeprefix("Value error, "), 200)
        raise HardenerError(f"{name}: {place + ': ' if place else ''}{message}") from error


def now() -> str:
    """This moment, as a recording writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def schema() -> dict[str, Any]:
    """The JSON Schema of the files; ``recording.schema.json`` is its text."""
    found = Recording.model_json_schema()
    found["properties"]["digest"] = {
        "description": "SHA-256 of the document without this key, as JSON with sorted keys and no blanks",
        "pattern": "^sha256:[0-9a-f]{64}$",
        "type": "string",
    }
    found["required"] = sorted({*found["required"], "digest", "format"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
