"""Locate the engine that a run changes: its program, command line, configuration file and socket.

Documents say what is wanted of the engine, not where it is. A run locates it once, before the first change,
and stores what its rollback needs: by then the engine may be down, or the host may be booting.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple, Sequence

from ..docker import engine as engines
from ..docker.api import USUAL_SOCKET
from ..host import processes, units
from ..host.errors import Absent, describe
from ..host.errors import Failed as Unread
from ..host.once import Once
from ..host.redact import Redactor
from .errors import Refused

UNIT = "docker.service"
# Settings that documents of 0.1.0 contained. Their journals have them; requests no longer use them.
FORMER = frozenset(["argv", "config", "containerd", "dockerd", "flags", "socket", "unit"])
_DIGEST = re.compile("hmac:[0-9a-f]{16}")
_LONG_ENOUGH = 4  # a shorter word occurs in every text
_NOTED = ("config", "socket", "unit", "dockerd")  # nothing secret


class Served(NamedTuple):
    """The engine of this host."""

    config: str  # path of daemon.json
    socket: str
    unit: str = UNIT
    dockerd: str = ""  # the program; empty where none is installed
    argv: Sequence[str] = ()
    flags: Mapping[str, Sequence[str]] = {}  # the command line, parsed

    @classmethod
    def noted(cls, note: Mapping[str, Any]) -> Served | None:
        """Return the engine stored in a journal; None if there is none."""
        if not (isinstance(note.get("config"), str) and isinstance(note.get("socket"), str)):
            return None
        return cls(
            config=note["config"],
            socket=note["socket"],
            unit=str(note.get("unit") or UNIT),
            dockerd=str(note.get("dockerd") or ""),
        )

    def note(self) -> dict[str, str]:
        """Return what the rollback must know, as JSON data."""
        found: dict[str, str] = {key: getattr(self, key) for key in _NOTED}
        return found

    def without_secrets(self, text: str) -> str:
        """Return a text without secrets of the engine's command line."""
        shown = Redactor().words(list(self.argv), "command line")
        pairs = zip(self.argv, shown)
        secrets = {_replaced(word, other) for word, other in pairs if word != other}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if len(secret) >= _LONG_ENOUGH else text
        return text


class Finder:
    """Locates the engine on first use.

    Args:
        socket: the engine's API socket, if the site has named it.
    """

    def __init__(self, socket: str = "") -> None:
        self._socket = socket
        self._engine: engines.Engine | None = None

    @property
    def served(self) -> Served:
        """Return the engine of this host; if there is none, where it would be.

        Raises:
            Refused: that cannot be told.
        """
        found = self._found()
        return Served(
            config=str(found.config["path"]),
            socket=found.socket or USUAL_SOCKET,
            dockerd=found.binaries.get("dockerd") or "",
            argv=tuple(found.argv),
            flags=found.flags,
        )

    def containerd(self, info: Mapping[str, Any]) -> str:
        """Return the socket of the containerd that the engine uses.

        Args:
            info: the engine's /info.
        """
        return engines.containerd_socket(self._found(), dict(info))

    def _found(self) -> engines.Engine:
        if self._engine is None:
            try:
                running, known_units = Once(processes.scan), Once(units.read)
                self._engine = engines.find(running, known_units, self._socket or None)
            except (OSError, Absent, Unread, ValueError) as error:
                raise Refused(f"the engine of this host cannot be found: {describe(error)}") from error
        return self._engine


def _replaced(word: str, shown: str) -> str:
    """Return the part of a word that the redactor has replaced by digests; all of it if unclear."""
    digests = list(_DIGEST.finditer(shown))
    if not digests:
        return word
    before, after = shown[: digests[0].start()], shown[digests[-1].end() :]
    plain = word.startswith(before) and word.endswith(after) and len(before) + len(after) < len(word)
    return word[len(before) : len(word) - len(after)] if plain else word
