"""Locate the engine that a run changes: its program, command line, configuration file and socket.

Documents say what is wanted of the engine, not where it is. A run locates it once, before the first change,
and stores what its rollback needs: by then the engine may be down, or the host may be booting.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

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
_LONG_ENOUGH = 4  # a shorter one stands in every text
_MAX_ENDS = 100  # places at which a secret may end that are tried
_NOTED = ("config", "socket", "unit", "dockerd")  # nothing secret


class Served(NamedTuple):
    """The engine of this host."""

    config: str  # path of daemon.json
    socket: str
    unit: str = UNIT
    dockerd: str = ""  # the program; empty where none is installed
    argv: Sequence[str] = ()
    flags: Mapping[str, Sequence[str]] = {}  # the command line, parsed
    started: float | None = None  # in seconds since the epoch; None where it does not run

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
        """Return the data about the engine that a rollback needs, as JSON data."""
        found: dict[str, str] = {key: getattr(self, key) for key in _NOTED}
        return found

    def without_secrets(self, text: str) -> str:
        """Return a text without the secrets of the engine's command line, which must not leave this host."""
        redactor = Redactor()
        pairs = zip(self.argv, redactor.words(list(self.argv), "command line"))
        secrets = {
            secret
            for word, other in pairs
            if word != other
            for secret in (_replaced(word, other, redactor.digest) or {word})
        }
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
        """Return the engine of this host; if there is none, the default locations.

        Raises:
            Refused: it cannot be found.
        """
        found = self._found()
        return Served(
            config=str(found.config["path"]),
            socket=found.socket or USUAL_SOCKET,
            dockerd=found.binaries.get("dockerd") or "",
            argv=tuple(found.argv),
            flags=found.flags,
            started=processes.started(found.pid) if found.pid else None,
        )

    @property
    def socket(self) -> str:
        """Return the engine's API socket: the configured, the discovered, or the default one."""
        if self._socket:
            return self._socket
        try:
            return self.served.socket
        except Refused:
            return USUAL_SOCKET

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


def _replaced(word: str, shown: str, digest: Callable[[str], str]) -> set[str]:
    """Return the secrets in a word: the texts for which the redacted word has digests.

    From where that is not plain, such as with a digest of a text that holds another, all of it is one text.

    Args:
        word: the word.
        shown: what the redactor made of it.
        digest: the redactor's digest of a text.
    """
    texts: set[str] = set()
    while True:
        found = _DIGEST.search(shown)
        if found is None:
            return texts
        if not word.startswith(shown[: found.start()]):
            return texts | {word}
        word, shown = word[found.start() :], shown[found.end() :]
        ends = islice(_ends(word, shown), _MAX_ENDS)
        end = next((end for end in ends if digest(word[:end]) == found.group()), 0)
        if not end:
            rest = shown[[0, *(each.end() for each in _DIGEST.finditer(shown))][-1] :]
            return texts | {word[: len(word) - len(rest)] if word.endswith(rest) else word}
        texts |= {word[:end], word[:end].strip("\"'")}
        word = word[end:]


def _ends(word: str, shown: str) -> Iterator[int]:
    """Yield the positions at which a secret may end in a word, given the redacted text after its digest."""
    following = _DIGEST.search(shown)
    if following is None:
        if word.endswith(shown):
            yield len(word) - len(shown)
        return
    between = shown[: following.start()]
    end = word.find(between, 1)
    while end >= 0:
        yield end
        end = word.find(between, end + 1)
