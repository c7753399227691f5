"""Read the engine's info, networks, volumes and plugins, without secrets."""

from __future__ import annotations

import time

from ..docker import answers
from ..docker.http import NoAnswer, NotFound, parse
from ..host.errors import Failed
from ..host.redact import MAX_TEXT
from . import mounts
from .scheduler import Encoded, encode

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ..docker.api import Connection
    from ..docker.engine import Engine
    from ..host.once import Once
    from ..host.redact import Redactor

LIMIT = 45  # seconds per source
_SHARE = 3  # each of many requests may take this part of the remaining time: 15 s, then 10, 7, 4 …
_LEAST = 1  # second
_NETWORK = "/networks/{id}"
_COUNTED = {"/containers/json": "Containers", "/images/json": "Images"}  # fields of `/info`


class NoEngine(Failed):
    """The program behind the socket is not a Docker engine, judging by its answers."""


def info(engine: Engine, redactor: Redactor) -> dict[str, Any]:
    """Return the source `docker.info`."""
    connection = engine.connect(LIMIT)
    try:
        data = complete("/info", connection.get(f"{engine.api}/info"))
    finally:
        connection.close()
    found: dict[str, Any] = redactor.options(data, "engine")
    return found


def networks(engine: Engine, redactor: Redactor) -> list[dict[str, Any]]:
    """Return the source `docker.networks`."""
    told = listing(engine, "/networks")
    inspected = bodies(engine, [f"{engine.api}/networks/{identity}" for identity in told])
    found = []
    for listed_network, body in zip(told.values(), inspected):
        if isinstance(body, NotFound):  # removed since it was listed
            continue
        network = _network(listed_network, body)
        network["Name"] = network["Name"][:MAX_TEXT]  # as containers name it
        for key in ("Options", "Labels", "IPAM"):
            network[key] = redactor.options(network.get(key), f"network {network['Name']} {key.lower()}")
        found.append(network)
    return sorted(found, key=_name)  # the engine's order is random


def _network(told: dict[str, Any], body: bytes | NoAnswer) -> dict[str, Any]:
    """Return a network; if it cannot be inspected, its entry in the list, which has no containers.

    Raises:
        Failed: that is no whole entry either.
    """
    network: dict[str, Any]
    try:
        network = complete(_NETWORK, parse(success(body)))
    except Failed as error:
        try:
            network = complete(_NETWORK, told)
        except NoEngine:
            raise error from None
    return network


def volumes(engine: Engine, redactor: Redactor) -> list[dict[str, Any]]:
    """Return the source `docker.volumes`."""
    connection = engine.connect(LIMIT)
    try:
        found = complete("/volumes", connection.get(f"{engine.api}/volumes"))["Volumes"] or []
    finally:
        connection.close()
    return [
        {
            "Name": volume.get("Name"),
            "Driver": volume.get("Driver"),
            "Mountpoint": volume.get("Mountpoint"),
            "Options": redactor.options(volume.get("Options"), f"volume {volume.get('Name')} option"),
        }
        for volume in sorted(found, key=_name)
    ]


def volume_paths(listed: list[dict[str, Any]]) -> list[str]:
    """Return host paths behind local volumes: folders, device nodes, layers of overlays."""
    found = []
    for volume in listed:
        options = volume["Options"] or {}
        found += [str(options.get("device", "")), *mounts.layers(str(options.get("o", "")))]
    return [path for path in found if path.startswith("/") and not path.startswith("//")]


def plugins(engine: Engine, known: Once) -> list[dict[str, Any]]:
    """Return the source `docker.plugins`: identity and privileges of plugins, not their settings.

    Args:
        engine: the engine.
        known: the source `docker.info`. An empty list counts as a fact only if that is one.
    """
    connection = engine.connect(LIMIT)
    try:
        plugged = complete("/plugins", connection.get(f"{engine.api}/plugins"))
    finally:
        connection.close()
    if not plugged:
        known.get()
    found = []
    for plugin in plugged or ():
        config = plugin.get("Config") or {}
        kept = ("Interface", "Linux", "Network", "PidHost", "IpcHost", "PropagatedMount")
        found.append(
            {
                **{key: plugin.get(key) for key in ("Id", "Name", "Enabled", "PluginReference")},
                "Config": {key: config[key] for key in kept if key in config},
            }
        )
    return found


def listing(engine: Engine, path: str) -> dict[str, dict[str, Any]]:
    """Return a list's entries by id, over a separate connection."""
    connection = engine.connect(LIMIT)
    try:
        return listed(connection, engine, path)
    finally:
        connection.close()


def listed(connection: Connection, engine: Engine, listing: str) -> dict[str, dict[str, Any]]:
    """Return a list's entries by id, without duplicates, in the list's order."""
    endpoint = listing.partition("?")[0]
    entries = complete(endpoint, connection.get(f"{engine.api}{listing}"))
    if not entries and has_some(connection, engine, endpoint):  # or the first one was created meanwhile
        entries = complete(endpoint, connection.get(f"{engine.api}{listing}"))
        if not entries and has_some(connection, engine, endpoint):
            raise Failed(f"the engine's answer to {endpoint} is empty, although /info counts some objects")
    found: dict[str, dict[str, Any]] = {}
    for entry in entries or ():
        found.setdefault(entry["Id"], entry)
    return found


def bodies(engine: Engine, paths: Sequence[str]) -> Iterator[bytes | NoAnswer]:
    """Yield the answers to many requests, in their order; a missing answer does not affect the others.

    An engine may hold the locks of some containers forever. A missing or unsuccessful answer is yielded as
    an exception object. The patience shrinks with each, so that several that hang leave time for the others.

    Raises:
        Failed: nothing listens any more, or nothing was answered in the whole time.
    """
    deadline = time.monotonic() + LIMIT
    done, answered = 0, False
    while done < len(paths):
        remaining = deadline - time.monotonic()
        try:
            connection = engine.connect(remaining, idle=max(_LEAST, remaining / _SHARE))
        except NoAnswer as error:
            if not answered:
                raise
            yield error
            done += 1
            continue
        try:
            for body in connection.get_all(paths[done:]):
                done, answered = done + 1, True
                yield body
        except NoAnswer as error:
            if not answered and time.monotonic() >= deadline:
                raise
            yield error
            done += 1
        finally:
            connection.close()


def has_some(connection: Connection, engine: Engine, endpoint: str) -> bool:
    """Return whether the engine's info counts objects of a list that the engine returned empty.

    An empty list counts as a fact only if the sender answers like an engine otherwise.

    Raises:
        Failed: what it says of itself lacks what every engine sends.
    """
    known = complete("/info", connection.get(f"{engine.api}/info"))
    return bool(known.get(_COUNTED.get(endpoint, ""), 0))


def complete(endpoint: str, answer: Any) -> Any:
    """Return an answer after checking its required fields; see ``docker.answers``.

    Raises:
        Failed: it has not.
    """
    try:
        return answers.complete(endpoint, answer)
    except answers.Incomplete as error:
        raise NoEngine(str(error)) from None


def _name(item: dict[str, Any]) -> str:
    return str(item.get("Name"))


def success(answer: bytes | Failed) -> bytes:
    """Return the body of an answer, or raise the failure in its place.

    Raises:
        Failed: the engine refused, or it is too large.
    """
    if isinstance(answer, Failed):
        raise answer
    return answer


_MAX_ENTRY = 4 * 1024 * 1024  # bytes of one entry, with long texts already cut
_MAX_ENTRY_MARKS = 200_000
_MARKS = "{[,:"  # as the controller counts values


class Entries:
    """The entries of one source that the host's users influence, as JSON; a bad entry affects no other.

    The controller accepts 64 MB and 2,000,000 values from a host (`plugin_utils/answer_size`) for all sources
    together. An image or a container that exceeds its share is reported as unreadable.

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
        from . import images

        config["OnBuild"] = [
            images.redact_instruction(str(line), frozenset(), frozenset(), redactor, f"{where} OnBuild")
            for line in config["OnBuild"]
        ]
    if config.get("Labels"):
        config["Labels"] = redactor.options(config["Labels"], f"{where} label")
    healthcheck = config.get("Healthcheck") or {}
    if healthcheck.get("Test"):
        healthcheck["Test"] = redactor.words(healthcheck["Test"], f"{where} healthcheck")
