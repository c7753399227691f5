"""Redact image history: remove build arguments and environment values, keep commands."""

from __future__ import annotations

import re

from ..host.redact import MAX_TEXT

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.redact import Redactor

_INSTRUCTION = re.compile(r"((?:/bin/sh -c #\(nop\)\s+)?(?:ONBUILD\s+)*(ENV|ARG)\s+)(.*)", re.DOTALL)
_RUN_WITH_ARGUMENTS = re.compile(r"((?:RUN\s+)?\|(\d{1,4})\s+)(.*)", re.DOTALL)
_COMMAND = re.compile(r"\s(?=/\S+ -\S*c\s|/bin/|/usr/bin/|cmd\s|powershell)")
_ARG_NAME = re.compile(r"ARG\s+([A-Za-z_]\w*)")
_ASSIGNED = re.compile(r"(?:^|\s)([^\s=]+)=")
_ANY_NAME = re.compile(r"[A-Za-z_]\w*")


def redact(entries: Any, environment: Any, redactor: Redactor, where: str) -> list[dict[str, Any]]:
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
        text = instruction(command, variables, arguments, redactor, place)
        result.append(
            {**entry, "CreatedBy": text, "Comment": redactor.text(str(entry.get("Comment") or ""), place)}
        )
    return result


def instruction(
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
