"""Describe the recorded container and its host, for recordings, profiles and proofs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from hardener.workload.shapes import (
    MAX_NAMES,
    Architecture,
    Digest,
    Name,
    Names,
    Part,
    Path_,
    Paths,
    SetOf,
    Text,
    Words,
)


class Runtime(Part):
    """The program that starts containers: runc, crun."""

    name: Name
    version: Text


class Host(Part):
    """The properties of the recording host that affect the result."""

    kernel: Text
    architecture: Architecture
    engine: Text
    runtime: Runtime
    lsm: Names = Field(description="security modules of the kernel; empty where they cannot be read")
    userns_remap: bool


class Mount(Part):
    """A mount of the container; its source is not recorded."""

    kind: Name
    target: Path_
    read_only: bool


class Published(Part):
    """A container port that the original container publishes on its host."""

    container_port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Literal["tcp", "udp", "sctp"]


class Compose(Part):
    """The place of the container in a compose project."""

    project: Name
    service: Name


class Container(Part):
    """The axes of identity: if one changes, the recording belongs to another container."""

    name: Name
    image: Text
    digest: Digest = Field(description="id of the image")
    user: Text
    entrypoint: Words = Field(description="the program; every further word as a keyed digest")
    command: Words = Field(description="every word as a keyed digest")
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
