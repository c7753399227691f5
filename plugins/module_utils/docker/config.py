"""Read the daemon's command line and daemon.json as dockerd does, without redaction."""

from __future__ import annotations

import os
import stat
from json import loads

from ..host.errors import Failed, describe
from ..host.read import read_bytes
from ..host.text import one_line, printable_path
from .keys import DEFAULT_PATH, SHORT, SWITCHES, WITH_VALUE

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator
    from typing import Any

_MAX_CONFIG = 1024 * 1024
# Paths that are another file in each process.
_OWN_FILES = (("/proc/self/", ""), ("/dev/fd/", "fd/"), ("/dev/stdin", "fd/0"))


def path_of(
    flags: dict[str, list[str]],
    environment: dict[str, str],
    home: str,
    *,
    rootless: bool,
    pid: int | None = None,
) -> str:
    """Return the path of the configuration file that the daemon with this command line reads."""
    named = flags.get("config-file")
    if named and named[-1]:
        return _seen_by(pid, named[-1]) if pid is not None else named[-1]
    if rootless:
        return f"{environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/docker/daemon.json"
    return DEFAULT_PATH


def _seen_by(pid: int, path: str) -> str:
    """Convert a path as another process uses it into a path that this process can open.

    The name may be relative, or begin with ``/proc/self``, ``/dev/fd`` or ``/dev/stdin``.
    """
    for prefix, own in _OWN_FILES:
        if path.startswith(prefix):
            return f"/proc/{pid}/{own}{path[len(prefix) :]}"
    if path.startswith("/"):
        return path
    try:
        return os.path.normpath(os.path.join(os.readlink(f"/proc/{pid}/cwd"), path))
    except OSError:
        return path


def read(path: str) -> dict[str, Any]:
    """Return the parsed file: ``exists``, ``parsed``, ``error``, ``duplicate_keys``; not redacted."""
    result: dict[str, Any] = {
        "path": printable_path(path),
        "exists": True,
        "parsed": None,
        "error": None,
        "duplicate_keys": [],
    }
    try:
        os.lstat(path)
        if os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode):
            return {
                **result,
                "error": "the file is a pipe: what the daemon has read from it cannot be read again",
            }
    except (FileNotFoundError, NotADirectoryError):
        return {**result, "exists": False}
    except OSError as error:
        return {**result, "error": describe(error)}
    try:
        # dockerd accepts byte order marks of UTF-8 and UTF-16, and reads an empty file as an empty object
        data = read_bytes(path, _MAX_CONFIG)
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = data.decode("utf-16" if wide else "utf-8-sig")
        parsed, result["duplicate_keys"] = parse(text) if text.strip() else ({}, [])
    except (OSError, Failed, ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, ValueError) else describe(error)
        result["error"] = f"not JSON: {one_line(what)}" if isinstance(error, ValueError) else what
        return result
    if parsed is None:  # Go decodes null into nothing
        parsed = {}
    if isinstance(parsed, dict):
        result["parsed"] = parsed
    else:
        result["error"] = f"the file holds a {type(parsed).__name__}, not an object"
    return result


def parse(text: str) -> tuple[Any, list[str]]:
    """Parse strict JSON; return it with the paths of keys that an object has more than once.

    Raises:
        ValueError: it is not JSON.
    """

    class Object(dict):  # type: ignore[type-arg]
        repeated: list[str] = []  # noqa: RUF012 - replaced for the objects that have any

    def build(pairs: list[tuple[str, Any]]) -> Object:
        made = Object(_joined(pairs))
        if len(made) < len(pairs):
            names = [name for name, _value in pairs]
            made.repeated = sorted({name for name in names if names.count(name) > 1})
        return made

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number in JSON")

    def walk(value: Any, path: str) -> list[str]:
        if isinstance(value, list):
            return [found for index, item in enumerate(value) for found in walk(item, f"{path}[{index}]")]
        if not isinstance(value, Object):
            return []
        here = [f"{path}.{name}".lstrip(".") for name in value.repeated]
        return here + [found for name, item in value.items() for found in walk(item, f"{path}.{name}")]

    parsed = loads(text, object_pairs_hook=build, parse_constant=refuse)
    return parsed, walk(parsed, "")


def _joined(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object as Go does: the last value of a repeated key counts, but objects are merged."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        earlier = found.get(name)
        found[name] = {**earlier, **value} if isinstance(earlier, dict) and isinstance(value, dict) else value
    return found


def parse_flags(arguments: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the flags of a command line with their values, and the words that are unknown to dockerd.

    Args:
        arguments: the command line without the program itself.
    """
    flags: dict[str, list[str]] = {}
    unknown: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            unknown.extend(words)
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in SWITCHES:
                flags.setdefault(name, []).append(value if equals else "true")
            elif name in WITH_VALUE:
                flags.setdefault(name, []).append(value if equals else next(words, ""))
            else:
                unknown.append(word)
        elif word.startswith("-") and word != "-":
            _short(word[1:], words, flags, unknown)
        else:
            unknown.append(word)
    return flags, unknown


def _short(cluster: str, words: Iterator[str], flags: dict[str, list[str]], unknown: list[str]) -> None:
    """Parse a word of short flags: ``D``, ``Hfd://``, ``H=fd://``; the value of ``DH`` is the next word."""
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        name = SHORT.get(letter)
        if name is None:
            unknown.append(f"-{letter}{cluster}")
            return
        values = flags.setdefault(name, [])
        if name in SWITCHES:
            if cluster.startswith("="):
                values.append(cluster[1:])
                return
            values.append("true")
        else:
            if cluster:
                values.append(cluster[1:] if cluster.startswith("=") else cluster)
            else:
                values.append(next(words, ""))
            return
