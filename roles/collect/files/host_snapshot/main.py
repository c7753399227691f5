"""Collect the snapshot: every source in a thread of its own, each with its time limit."""

from __future__ import annotations

import os
import sys
import time
from json import JSONEncoder, loads
from threading import Event, Thread

from host_snapshot import VERSION
from host_snapshot.bounds import Absent, Failed, describe
from host_snapshot.docker import Encoded, encode
from host_snapshot.plan import plan
from host_snapshot.redact import Redactor

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

SCHEMA = "hardener/snapshot/1"


class _Source:
    """One source being read in its own thread."""

    def __init__(self, name: str, read: Callable[[], Any], limit: float) -> None:
        self.name = name
        self._read = read
        self._limit = limit
        self._begun = time.monotonic()
        self._ended = self._begun
        self._done = Event()
        self._text = ""

    def start(self) -> None:
        """Begin to read."""
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            data = self._read()
            text = data if isinstance(data, Encoded) else encode(data)
            self._text = f'"state":"ok","ms":{self._elapsed()},"data":{text}'
        except Absent as error:
            self._text = f'"state":"absent","ms":{self._elapsed()},"error":{encode(describe(error))}'
        except BaseException as error:  # a source may fail in any way it likes, and fails alone
            self._text = self._failure(describe(error))
        self._done.set()

    def _elapsed(self) -> int:
        return int((time.monotonic() - self._begun) * 1000)

    def _failure(self, reason: str) -> str:
        return f'"state":"failed","ms":{self._elapsed()},"error":{encode(reason)}'

    def text(self) -> str:
        """The source's entry in the snapshot, as JSON; waits for it no longer than its limit."""
        remaining = self._begun + self._limit - time.monotonic()
        if not self._done.wait(max(0, remaining)):
            return self._failure(f"it did not end within {self._limit} s")
        return self._text


def collect(arguments: dict[str, Any]) -> bytes:
    """The snapshot of this host, as JSON.

    Args:
        arguments: ``socket``, the engine's API socket where it is not to be found out.
    """
    begun = time.monotonic()
    now = time.time()
    redactor = Redactor()
    sources = [_Source(name, read, limit) for name, read, limit in plan(arguments, redactor)]
    for source in sources:
        source.start()
    entries = ",".join(f"{encode(source.name)}:{{{source.text()}}}" for source in sources)
    head = {
        "schema": SCHEMA,
        "host": os.uname().nodename,
        "collected_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "collector": {
            "version": VERSION,
            "euid": os.geteuid(),
            "python": sys.version.split()[0],
            "elapsed_ms": int((time.monotonic() - begun) * 1000),
            "digest_key": redactor.key_source,
            "secrets": redactor.secrets,
        },
        "policy": {},
    }
    return clean(f'{encode(head)[:-1]},"sources":{{{entries}}}}}')


def clean(text: str) -> bytes:
    """JSON without halves of surrogate pairs, which JSON can write and UTF-8 can not."""
    if "\\ud" not in text:
        return text.encode("ascii")
    return (
        JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode(loads(text)).encode("utf-8", "replace")
    )


def main() -> None:
    """Print the snapshot: for a run by hand."""
    arguments = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
    sys.stdout.buffer.write(collect(arguments) + b"\n")
    sys.stdout.buffer.flush()
    os._exit(0)  # without waiting for threads that are stuck
