"""Build the entries of a source that the host's users influence, so that a bad entry affects no other.

The controller accepts 64 MB and 2,000,000 values from a host (`plugin_utils/answer_size`), for all sources
together. An image or a container that exceeds its share is reported as unreadable.
"""

from __future__ import annotations

from .scheduler import Encoded, encode

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.redact import Redactor

_MAX_ENTRY = 4 * 1024 * 1024  # bytes of one entry, with long texts already cut
_MAX_ENTRY_MARKS = 200_000
_MARKS = "{[,:"  # as the controller counts values


class Entries:
    """The entries of one source, as JSON.

    Args:
        size: maximum bytes of all together.
        marks: maximum number of values of all together, counted by the marks between them.
    """

    def __init__(self, size: int, marks: int) -> None:
        self._size = size
        self._marks = marks
        self._texts: list[str] = []

    def add(self, entry: dict[str, Any], unread: Callable[[str], dict[str, Any]]) -> None:
        """Add an entry.

        Args:
            entry: the data.
            unread: creates an entry for unreadable data, with a reason.
        """
        text = encode(entry)
        marks = sum(map(text.count, _MARKS))
        if len(text) > _MAX_ENTRY or marks > _MAX_ENTRY_MARKS:
            text = encode(unread(f"its entry is too large: {len(text)} bytes and {marks} values"))
        elif len(text) > self._size or marks > self._marks:
            text = encode(unread("its entry does not fit: the entries before it take too much space"))
        else:
            self._size -= len(text)
            self._marks -= marks
        self._texts.append(text)

    def encoded(self) -> Encoded:
        """Return all entries as one list."""
        return Encoded("[" + ",".join(self._texts) + "]")


def redact_config(config: dict[str, Any], redactor: Redactor, where: str) -> None:
    """Redact the ``Config`` of a container or an image, in place."""
    if config.get("Env"):
        config["Env"] = redactor.assignments(config["Env"], where)
    if config.get("Cmd"):
        config["Cmd"] = redactor.words(config["Cmd"], f"{where} Cmd", config.get("Entrypoint"))
    for key in ("Entrypoint", "Shell"):
        if config.get(key):
            config[key] = redactor.words(config[key], f"{where} {key}")
    if config.get("OnBuild"):
        from . import history

        config["OnBuild"] = [
            history.instruction(str(line), frozenset(), frozenset(), redactor, f"{where} OnBuild")
            for line in config["OnBuild"]
        ]
    if config.get("Labels"):
        config["Labels"] = redactor.options(config["Labels"], f"{where} label")
    healthcheck = config.get("Healthcheck") or {}
    if healthcheck.get("Test"):
        healthcheck["Test"] = redactor.words(healthcheck["Test"], f"{where} healthcheck")
