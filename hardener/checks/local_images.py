"""The images of a host, and their names spelled out: ``nginx`` is ``docker.io/library/nginx:latest``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hardener.checks import shapes
from hardener.snapshot import JSONObject, Snapshot

SOURCE = "docker.images"
NO_IMAGES = "there are no images"


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a host."""

    kind: ClassVar[str] = "image"
    basis: ClassVar[str] = ""

    inspect: JSONObject
    history: tuple[JSONObject, ...]  # newest first, as the engine gives it
    error: str = ""  # why it could not be read

    @property
    def id(self) -> str:
        """Its full id."""
        return shapes.text(self.inspect, "Id", SOURCE)

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags on this host."""
        return tuple(tag for tag in shapes.texts(self.inspect, "RepoTags", SOURCE) if tag != "<none>:<none>")

    @property
    def digests(self) -> tuple[str, ...]:
        """Where registries have it: ``repository@sha256:…``."""
        return tuple(
            digest
            for digest in shapes.texts(self.inspect, "RepoDigests", SOURCE)
            if not digest.startswith("<none>@")
        )

    @property
    def name(self) -> str:
        """Its first tag, else its digest, else its short id."""
        return next(iter((*self.tags, *self.digests)), self.id.removeprefix("sha256:")[:12])

    @property
    def config(self) -> JSONObject:
        """What it declares for its containers."""
        return shapes.table(self.inspect, "Config", SOURCE)

    @property
    def created(self) -> str:
        """The day it was built, or what it says of it."""
        return shapes.text(self.inspect, "Created", SOURCE)[:10] or "an unknown day"

    @property
    def size(self) -> str:
        """Its size."""
        return f"{shapes.number(self.inspect, 'Size', SOURCE) / 10**6:.0f} MB"


def images(snapshot: Snapshot) -> tuple[Image, ...]:
    """Every image of the host."""
    return tuple(
        Image(
            shapes.required(entry, "inspect", SOURCE),
            tuple(shapes.rows(entry, "history", SOURCE)),
            shapes.text(entry, "error", SOURCE),
        )
        for entry in snapshot.images
    )


def spelled_out(reference: str) -> str:
    """A reference with registry, repository and tag or digest, as the engine completes it."""
    name, at, digest = reference.partition("@")
    repository, tag = _split_tag(name)
    full = repository_name(repository)
    return f"{full}@{digest}" if at else f"{full}:{tag or 'latest'}"


def repository_name(reference: str) -> str:
    """The repository of a reference with its registry, without tag and digest."""
    repository, _ = _split_tag(reference.partition("@")[0])
    registry, slash, rest = repository.partition("/")
    if not slash or not is_registry(registry):
        registry, rest = "docker.io", repository
    if registry == "index.docker.io":
        registry = "docker.io"
    if registry == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    return f"{registry}/{rest}"


def is_registry(part: str) -> bool:
    """Whether the first part of a name is a registry's: everything else is on Docker Hub."""
    return part == "localhost" or "." in part or ":" in part


def _split_tag(name: str) -> tuple[str, str]:
    """Repository and tag; a colon before a slash is a registry's port."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "")
