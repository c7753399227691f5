"""The images of a host, with complete names: ``nginx`` is ``docker.io/library/nginx:latest``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hardener.checks import check
from hardener.checks.lib import fields
from hardener.checks.lib.rule import Judge, judge_all
from hardener.checks.lib.verdicts import needs_engine
from hardener.model import Verdict
from hardener.snapshot import JSONObject, Snapshot

SOURCE = "docker.images"
NO_IMAGES = "there are no images"


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a host."""

    kind: ClassVar[str] = "image"
    basis: ClassVar[str] = ""

    inspect: JSONObject
    history: tuple[JSONObject, ...]  # newest first, as the engine returns it
    error: str = ""  # the reason why it could not be read

    @property
    def id(self) -> str:
        """Return the full id of the image."""
        return fields.text(self.inspect, "Id", SOURCE)

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags of the image on this host."""
        return tuple(tag for tag in fields.texts(self.inspect, "RepoTags", SOURCE) if tag != "<none>:<none>")

    @property
    def digests(self) -> tuple[str, ...]:
        """Return the digests of the image in registries: ``repository@sha256:…``."""
        return tuple(
            digest
            for digest in fields.texts(self.inspect, "RepoDigests", SOURCE)
            if not digest.startswith("<none>@")
        )

    @property
    def name(self) -> str:
        """Return the first tag; without tags the first digest, without digests the short id."""
        return next(iter((*self.tags, *self.digests)), self.id.removeprefix("sha256:")[:12])

    @property
    def config(self) -> JSONObject:
        """Return the configuration that containers of the image get."""
        return fields.table(self.inspect, "Config", SOURCE)

    @property
    def created(self) -> str:
        """Return the day on which the image was built, as its metadata declares it."""
        return fields.text(self.inspect, "Created", SOURCE)[:10] or "an unknown day"

    @property
    def size(self) -> str:
        """Return the size of the image."""
        return f"{fields.number(self.inspect, 'Size', SOURCE) / 10**6:.0f} MB"


def images(snapshot: Snapshot) -> tuple[Image, ...]:
    """Return every image of the host."""
    return tuple(
        Image(
            fields.required(entry, "inspect", SOURCE),
            tuple(fields.rows(entry, "history", SOURCE)),
            fields.text(entry, "error", SOURCE),
        )
        for entry in snapshot.images
    )


def image_check(slug: str, *, expected: str, question: str = "") -> Callable[[Judge[Image]], Judge[Image]]:
    """Register a rule for every image, for a control that applies to any host with Docker."""

    def register(judge: Judge[Image]) -> Judge[Image]:
        @check(slug)
        @needs_engine
        def decided(snapshot: Snapshot) -> Verdict:
            return judge_all(
                images(snapshot), judge, expected=expected, no_subjects=NO_IMAGES, question=question
            )

        return judge

    return register


def expanded_reference(reference: str) -> str:
    """Complete a reference with registry, repository and tag or digest, as the engine does."""
    name, at, digest = reference.partition("@")
    repository, tag = _split_tag(name)
    full = repository_name(repository)
    return f"{full}@{digest}" if at else f"{full}:{tag or 'latest'}"


def repository_name(reference: str) -> str:
    """Return the repository of a reference with its registry, without tag and digest."""
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
    """Return whether the first part of a name is a registry; all other names are on Docker Hub."""
    return part == "localhost" or "." in part or ":" in part


def _split_tag(name: str) -> tuple[str, str]:
    """Split repository and tag; a colon before a slash belongs to a registry's port."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "")
