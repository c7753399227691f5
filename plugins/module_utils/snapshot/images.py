"""Read every image: what it runs, and how it was built, without build arguments and values of variables."""

from __future__ import annotations

import re
from functools import partial

from ..docker.http import NoAnswer, NotFound, parse
from ..host.errors import describe
from ..host.redact import MAX_TEXT
from . import docker
from .docker import Entries, redact_config

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..docker.engine import Engine
    from ..host.redact import Redactor
    from .scheduler import Encoded

_MAX_TEXT = 20 * 1024 * 1024
_MAX_MARKS = 600_000


def read(engine: Engine, redactor: Redactor) -> Encoded:
    """Return the source `docker.images`."""
    identities = docker.listing(engine, "/images/json")
    bodies = docker.bodies(
        engine,
        [f"{engine.api}/images/{identity}/{what}" for identity in identities for what in ("json", "history")],
    )
    entries = Entries(_MAX_TEXT, _MAX_MARKS)
    for identity, inspected, layers in zip(identities, bodies, bodies):
        if isinstance(inspected, NotFound) or isinstance(layers, NotFound):
            continue  # removed since it was listed
        entry = _entry(identity, inspected, layers, redactor)
        entries.add(entry, partial(_unread, identity))
    return entries.encoded()


def _entry(
    identity: str, inspected: bytes | NoAnswer, layers: bytes | NoAnswer, redactor: Redactor
) -> dict[str, Any]:
    """Return the entry of an image; an unreadable one gets a reason, and the others are read.

    Raises:
        NoEngine: it is not the image's fault.
    """
    try:
        return _image(f"image {identity}", docker.success(inspected), docker.success(layers), redactor)
    except docker.NoEngine:
        raise
    except Exception as error:  # any error that an image may cause
        return _unread(identity, describe(error))


def _unread(identity: str, reason: str) -> dict[str, Any]:
    return {"inspect": {"Id": identity, "Config": None}, "history": [], "error": reason}


def _image(where: str, inspected: bytes, layers: bytes, redactor: Redactor) -> dict[str, Any]:
    inspect = docker.complete("/images/{id}/json", parse(inspected))
    entries = docker.complete("/images/{id}/history", parse(layers))
    environment = (inspect.get("Config") or {}).get("Env")
    cleaned = redact_history(entries, environment, redactor, where)
    for key in ("Config", "ContainerConfig"):
        redact_config(inspect.get(key) or {}, redactor, where)
    return {
        "inspect": redactor.forms(inspect, inspected, where),
        "history": redactor.forms(cleaned, layers, where),
    }


_INSTRUCTION = re.compile(r"((?:/bin/sh -c #\(nop\)\s+)?(?:ONBUILD\s+)*(ENV|ARG)\s+)(.*)", re.DOTALL)
_RUN_WITH_ARGUMENTS = re.compile(r"((?:RUN\s+)?\|(\d{1,4})\s+)(.*)", re.DOTALL)
_COMMAND = re.compile(r"\s(?=/\S+ -\S*c\s|/bin/|/usr/bin/|cmd\s|powershell)")
_ARG_NAME = re.compile(r"ARG\s+([A-Za-z_]\w*)")
_ASSIGNED = re.compile(r"(?:^|\s)([^\s=]+)=")
_ANY_NAME = re.compile(r"[A-Za-z_]\w*")


def redact_history(entries: Any, environment: Any, redactor: Redactor, where: str) -> list[dict[str, Any]]:
    """Redact the entries of ``/images/ID/history``: values that were passed at build time.

    Args:
        entries: from the engine.
        environment: the image's ``Config.Env``. Docker writes values into the history without quotes: a value
            ends only at the next known name.
        redactor: replaces the values.
        where: the image.
    """
    variables = frozenset(str(pair).partition("=")[0] for pair in environment or ())
    entries = [entry for entry in entries or () if isinstance(entry, dict)]
    commands = [str(entry.get("CreatedBy") or "") for entry in entries]
    arguments = frozenset(name for command in commands for name in _ARG_NAME.findall(command[:MAX_TEXT]))
    result = []
    for index, (entry, command) in enumerate(zip(entries, commands)):
        place = f"{where} history {index}"
        text = redact_instruction(command, variables, arguments, redactor, place)
        result.append(
            {**entry, "CreatedBy": text, "Comment": redactor.text(str(entry.get("Comment") or ""), place)}
        )
    return result


def redact_instruction(
    command: str, variables: frozenset[str], arguments: frozenset[str], redactor: Redactor, where: str
) -> str:
    """Redact one line of history."""
    match = _INSTRUCTION.match(command)
    if match:
        head, kind, rest = match.groups()
        return head + _values(rest, variables if kind == "ENV" else arguments, redactor, where)
    match = _RUN_WITH_ARGUMENTS.match(command)
    if match:
        head, _count, rest = match.groups()
        # The command begins after the value of the last argument; a value may contain anything.
        names = _starts(rest, arguments)[: int(match.group(2))]
        begin = names[-1][0] if names else 0
        end = _COMMAND.search(rest, begin)
        stop = end.start() if end else len(rest)
        return head + _values(rest[:stop], arguments, redactor, where) + redactor.text(rest[stop:], where)
    return redactor.text(command, where)


def _starts(text: str, names: frozenset[str]) -> list[tuple[int, str]]:
    """Return position and name of each assignment in a text."""
    assigned = [(match.start(1), match.group(1)) for match in _ASSIGNED.finditer(text)]
    found = [(start, name) for start, name in assigned if name in names]
    if found and found[0][0] == 0:
        return found
    return [(start, name) for start, name in assigned if _ANY_NAME.fullmatch(name)]


def _values(text: str, names: frozenset[str], redactor: Redactor, where: str) -> str:
    """Redact the values in ``A=b C=d e``; if the names are unknown, everything after the first ``=``."""
    starts = _starts(text, names)
    if not starts or starts[0][0] != 0:
        value = text.partition("=")[2]
        return "".join(redactor.assignments([text], where)) if value else text[:MAX_TEXT]
    ends = [position for position, _name in starts[1:]] + [len(text)]
    pairs = [text[start:end].rstrip() for (start, _name), end in zip(starts, ends)]
    return " ".join(redactor.assignments(pairs, where))
