"""Talk to a node of a Receptor mesh by its control socket: one connection a command, each with a time limit.

Receptor's own client, receptorctl, waits for ever where a node does not answer. What the protocol says is
text and JSON, one line a message; the node itself makes TLS connections and signs work.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRWPair
from itertools import islice
from pathlib import Path
from typing import IO, Any

from hardener.bounded import parse
from hardener.errors import HardenerError
from hardener.text import line

_TIMEOUT_S = 20.0
_FRESH_S = 1.0  # how long the state of the mesh is not asked for again
_LARGEST = 16 << 20  # bytes of an answer
_MOST_VALUES = 1_000_000  # in it: a thousand nodes need a hundred thousand
_CREATED = re.compile(r"Work unit created with ID (\w+)\. Send stdin data and EOF\.")
_LONGEST_LINE = 10_000  # bytes of a greeting
_OWNER = "hardener"  # a parameter that Receptor stores, and no work command reads
_ENDED = {2: "succeeded", 3: "failed", 4: "was cancelled"}  # Receptor's states of a unit of work


class ReceptorError(HardenerError):
    """A node does not answer, or refuses a command."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that offers the requested work type; ``signed`` says whether it requires signed work."""

    name: str
    signed: bool


class Receptor:
    """The Receptor node on this machine.

    Args:
        path: its control socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._status: dict[str, Any] = {}
        self._asked = 0.0

    def nodes(self, work_type: str) -> dict[str, Node]:
        """Return the reachable nodes that offer a work type, by name; the result is at most one second old.

        Raises:
            ReceptorError: this machine's node does not answer.
        """
        if time.monotonic() > self._asked + _FRESH_S:
            self._status = self._command({"command": "status"})
            self._asked = time.monotonic()
        reached = {*(self._status.get("RoutingTable") or {}), str(self._status.get("NodeID"))}
        return {
            name: Node(name, bool(work.get("Secure")))
            for each in self._status.get("Advertisements") or ()
            for work in each.get("WorkCommands") or ()
            if work.get("WorkType") == work_type and (name := str(each.get("NodeID"))) in reached
        }

    def submit(
        self,
        node: Node,
        work_type: str,
        payload: IO[bytes],
        *,
        params: str,
        owner: str,
        ttl: int,
        tls_client: str | None,
    ) -> str:
        """Submit a unit of work; return its id. Receptor keeps it until it is released.

        Args:
            node: where.
            work_type: what.
            payload: the standard input of the work.
            params: for its command line.
            owner: what it is marked with; ``owners`` gives it back.
            ttl: seconds after which it does not start any more.
            tls_client: the name of the TLS settings for the connection to the node.

        Raises:
            ReceptorError: it is refused.
        """
        asked = {
            "command": "work",
            "subcommand": "submit",
            "node": node.name,
            "worktype": work_type,
            "params": params,
            _OWNER: owner,
            "ttl": f"{ttl}s",
            **({"tlsclient": tls_client} if tls_client else {}),
            **({"signwork": "true"} if node.signed else {}),
        }
        with self._connection() as (connection, stream):
            stream.write(json.dumps(asked).encode() + b"\n")
            stream.flush()
            said = _line(stream)
            if not (created := _CREATED.fullmatch(said)):
                raise ReceptorError(f"{node.name} refuses the work: {_quoted(said)}")
            shutil.copyfileobj(payload, stream, 1 << 20)
            stream.flush()
            connection.shutdown(socket.SHUT_WR)
            said = _line(stream)
        if said.startswith("ERROR"):
            self.drop(created[1])
            raise ReceptorError(f"{node.name} refuses the work: {_quoted(said)}")
        return created[1]

    def results(self, unit: str, position: int) -> socket.socket:
        """Return a connection that sends the output of a unit from a position on.

        Raises:
            ReceptorError: there is no such unit.
        """
        connection = self._connect()
        try:
            # Nothing of the output may be read ahead.
            _greeting(b"".join(_bytes(connection)).decode(errors="replace"))
            connection.sendall(f"work results {unit} {position}\n".encode())
            said = b"".join(_bytes(connection)).decode(errors="replace")
            if not said.startswith("Streaming results"):
                raise ReceptorError(f"Receptor gives no results of the unit of work {unit}: {_quoted(said)}")
        except (OSError, ReceptorError) as error:
            connection.close()
            raise error if isinstance(error, ReceptorError) else _unanswered(self._path, error) from error
        return connection

    def ended(self, unit: str) -> str:
        """Return how a unit ended; empty while it runs, as far as this machine's node knows.

        Raises:
            ReceptorError: there is no such unit.
        """
        status = self._command({"command": "work", "subcommand": "status", "unitid": unit})
        state = _ENDED.get(status.get("State", 0), "")
        return f"{state}: {line(str(status.get('Detail', '')))}" if state else ""

    def owners(self) -> dict[str, str]:
        """Return the owner of each unit of work that hardener submitted, by the id of the unit.

        Raises:
            ReceptorError: this machine's node does not answer.
        """
        found = self._command({"command": "work", "subcommand": "list"})
        return {
            unit: str(params[_OWNER])
            for unit, status in found.items()
            if isinstance(status, Mapping)
            and isinstance(extra := status.get("ExtraData"), Mapping)
            and isinstance(params := extra.get("RemoteParams"), Mapping)
            and _OWNER in params
        }

    def release(self, unit: str) -> None:
        """Remove a finished unit on this machine and its node; failing to remove it now is no error."""
        self._try("release", unit)

    def drop(self, unit: str) -> None:
        """End a unit and remove it, whether or not its node can be reached."""
        self._try("cancel", unit)
        self._try("force-release", unit)

    def _try(self, verb: str, unit: str) -> None:
        try:
            self._command({"command": "work", "subcommand": verb, "unitid": unit})
        except ReceptorError:
            return

    def _command(self, asked: Mapping[str, str]) -> dict[str, Any]:
        with self._connection() as (_, stream):
            stream.write(json.dumps(asked).encode() + b"\n")
            stream.flush()
            said = _line(stream)
        try:
            found = parse(said.encode(), most_values=_MOST_VALUES)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ReceptorError(f"receptor at {self._path}: {_quoted(said)}")
        return found

    @contextmanager
    def _connection(self) -> Iterator[tuple[socket.socket, BufferedRWPair]]:
        connection = self._connect()
        try:
            with connection, connection.makefile("rwb") as stream:
                _greeting(_line(stream))
                yield connection, stream
        except OSError as error:
            raise _unanswered(self._path, error) from error

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(str(Path(self._path).expanduser()))
        except OSError as error:
            connection.close()
            raise _unanswered(self._path, error) from error
        return connection


def _bytes(connection: socket.socket) -> Iterator[bytes]:
    """Read a line byte by byte."""
    for byte in islice(iter(lambda: connection.recv(1), b""), _LONGEST_LINE):
        if byte == b"\n":
            return
        yield byte


def _line(stream: BufferedRWPair) -> str:
    return stream.readline(_LARGEST).decode(errors="replace").strip()


def _greeting(said: str) -> None:
    if not said.startswith("Receptor Control, node "):
        raise ReceptorError(f"the socket is not a control socket of Receptor: {_quoted(said)}")


def _quoted(text: str) -> str:
    return line(text.removeprefix("ERROR: ")) or "it printed nothing"


def _unanswered(path: str, error: OSError) -> ReceptorError:
    return ReceptorError(
        f"receptor does not answer at {line(path)}: {error.strerror or error}",
        hint="is it running, and may this user open its socket?",
    )
