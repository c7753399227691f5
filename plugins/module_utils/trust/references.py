"""Parse names of images and complete them: ``nginx`` is ``docker.io/library/nginx``."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..host.text import PORT

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HUB = "docker.io"
_HOST = re.compile(
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{{0,250}}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{{2,45}}\])(?::{PORT})?"
)
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST = 500


class Reference(NamedTuple):
    """A repository of a registry, with a tag, a digest, or neither."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Return the repository with its registry."""
        return f"{self.registry}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse(text: str) -> Reference:
    """Parse a reference and complete it as the engine does, except the tag.

    Raises:
        ValueError: it is invalid. All of its parts become parts of URLs.
    """
    name, at, digest = text.partition("@")
    before, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # a colon before a slash belongs to a registry's port
        before, tag = name, ""
    registry, path = _split(before)
    fits = (
        len(text) <= _LONGEST
        and _HOST.fullmatch(registry)
        and _PATH.fullmatch(path)
        and (not tag or _TAG.fullmatch(tag))
        and (not at or DIGEST.fullmatch(digest))
    )
    if not fits:
        raise ValueError(f"{text[:100]!r} is not an image reference")
    return Reference(registry, path, tag, digest)


def forms(text: str) -> list[str]:
    """Return the forms of an image name: as given, with its registry, and short for Docker Hub."""
    if DIGEST.fullmatch(text):  # an id, and no tag of a Docker Hub repository
        return [text]
    try:
        full = str(parse(text))
    except ValueError:
        return [text]
    short = full
    for hub in (f"{_HUB}/library/", f"{_HUB}/"):
        if short.startswith(hub):
            short = short[len(hub) :]
    return [text, full, short]


def prefix(text: str) -> str:
    """Complete a registry or repository as a policy names it.

    Raises:
        ValueError: the text is not a registry or repository.
    """
    name = text.rstrip("/")
    if _is_registry(name) and _HOST.fullmatch(name):
        return _HUB if name == "index.docker.io" else name
    registry, slash, _repository = name.partition("/")
    # A folder of Docker Hub, such as docker.io/library, is a prefix and not a repository in its library.
    if registry in (_HUB, "index.docker.io") and slash and _PATH.fullmatch(name[len(registry) + 1 :]):
        return f"{_HUB}/{name[len(registry) + 1 :]}"
    found = parse(name)
    if found.tag or found.digest:
        raise ValueError(f"{text[:100]!r} is not a registry or repository")
    return found.repository


def _split(name: str) -> tuple[str, str]:
    registry, slash, path = name.partition("/")
    if not slash or not _is_registry(registry):
        registry, path = _HUB, name
    if registry == "index.docker.io":
        registry = _HUB
    if registry == _HUB and "/" not in path:
        path = f"library/{path}"
    return registry, path


def _is_registry(part: str) -> bool:
    return part == "localhost" or "." in part or ":" in part
