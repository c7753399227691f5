"""Change an engine over its socket, and stream images from one engine to another."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

from ...docker.client import Query
from ...docker.http import NoAnswer, message
from ..engine import Engine
from ..errors import Failed

_LONG = 3600.0  # a large image takes long, and the worker blocks no other program


class Client(Engine):
    """A client that reads from and writes to an engine."""

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Query = None,
        seconds: float = 120,
        accept: Iterable[int] = (),
    ) -> Any:
        """Send one request; return the answer as JSON data, None if it has no content.

        Raises:
            Failed: the engine refuses, or does not answer.
        """
        try:
            return super().call(method, path, body, query=query, seconds=seconds, accept=accept)
        except NoAnswer as error:
            raise Failed(f"{method} {error}") from error

    def data_root(self) -> str:
        """Return the engine's data root; empty if the engine does not answer."""
        return str((self.info() or {}).get("DockerRootDir", ""))

    def send_image(self, references: Sequence[str], other: Engine) -> None:
        """Stream an image from this engine to another one.

        Args:
            references: its tags, or its id; of one image.
            other: the engine that imports it.

        Raises:
            Failed: one of the engines refused, or did not answer.
        """
        what = references[0]
        names = self.target("/images/get", [("names", reference) for reference in references])
        try:
            with self.connect(idle=_LONG) as source, other.connect(idle=_LONG) as target:
                saved = source.open("GET", names)
                headers = {"Content-Type": "application/x-tar"}
                answer = target.request("POST", "/images/load?quiet=1", saved.pieces(), headers)
        except NoAnswer as error:
            raise Failed(f"the image {what} cannot be moved: {error}") from error
        if b'"errorDetail"' in answer:
            raise Failed(f"the image {what} cannot be loaded again: {message(answer)}")
