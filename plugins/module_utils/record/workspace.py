"""Manage the folder of a run, its lock (held while the run lives), and its objects in the engine.

A killed run leaves these behind. The next run removes labelled twins without a live owner.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Sequence

from ..docker.client import quoted
from ..host.errors import Failed
from ..host.read import read_or
from . import apparmor
from .engine import Engine
from .twin import LABEL

FOLDER = "/run/hardener-record"
_REMAINS = "remains"
_RUN = re.compile(r"[0-9a-f]{16}")


class Workspace:
    """The folder of a run, locked by the process that creates this object for as long as it lives."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.folder = folder(run)
        with _folders():
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            self._lock = os.open(f"{self.folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.write(self._lock, str(os.getpid()).encode("ascii"))

    @property
    def socket(self) -> str:
        """Return the path of the run's control socket."""
        return control(self.run)

    def remove(self, problems: Sequence[str] = ()) -> None:
        """Remove the folder, unless there are problems to keep in it for ``remains``."""
        if problems:
            with open(f"{self.folder}/{_REMAINS}", "w", encoding="utf-8", errors="replace") as file:
                file.write("; ".join(problems))
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


@contextmanager
def _folders() -> Iterator[None]:
    """Hold the lock for creating and sweeping run folders: a new folder has no lock of its own yet."""
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    handle = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def folder(run: str) -> str:
    """Return the folder of a run.

    Raises:
        Failed: that is no name of a run.
    """
    if not _RUN.fullmatch(run):
        raise Failed(f"{run[:100]!r} is not a run of the recorder")
    return f"{FOLDER}/{run}"


def tools(run: str) -> str:
    """Return the folder of a run for the tools that are fetched for it.

    Raises:
        Failed: that is no name of a run.
    """
    return f"{folder(run)}/tools"


def control(run: str) -> str:
    """Return the control socket of a run.

    Raises:
        Failed: that is no name of a run.
    """
    return f"{folder(run)}/control"


def holder(run: str) -> int:
    """Return the process id of a live run.

    Raises:
        Failed: there is none.
    """
    text = read_or(f"{folder(run)}/lock", "")
    if not lives(run) or not text.isdigit():
        raise Failed("the recorder has ended")
    return int(text)


def remains(run: str) -> str:
    """Return why an ended run has not removed everything it had created; empty if it has."""
    if not os.path.isdir(folder(run)):
        return ""
    return read_or(f"{folder(run)}/{_REMAINS}", "") or "the recorder was killed"


def lives(run: str) -> bool:
    """Return whether the process of a run is alive."""
    if not _RUN.fullmatch(run):
        return False
    try:
        lock = os.open(f"{FOLDER}/{run}/lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def sweep(engine: Engine) -> list[str]:
    """Remove the remains of killed runs; return those that could not be removed."""
    problems: list[str] = []
    for run in sorted(_labelled(engine) | apparmor.runs()):
        if not lives(run):
            problems += clear(engine, run)
    with _folders():
        for name in os.listdir(FOLDER):
            if not lives(name):
                shutil.rmtree(f"{FOLDER}/{name}", ignore_errors=True)
    return problems


def clear(engine: Engine, run: str) -> list[str]:
    """Remove everything in the engine that has a run's label; return what could not be removed."""
    problems = []
    query = {"filters": f'{{"label": ["{LABEL}={run}"]}}'}
    steps: tuple[tuple[str, dict[str, str], str, dict[str, str], str], ...] = (
        ("/containers/json", {**query, "all": "1"}, "/containers/{}", {"force": "1", "v": "1"}, "Id"),
        ("/networks", query, "/networks/{}", {}, "Id"),
        ("/volumes", query, "/volumes/{}", {"force": "1"}, "Name"),
        ("/images/json", query, "/images/{}", {"force": "1"}, "Id"),
    )
    for listing, asked, one, options, key in steps:
        try:
            found = engine.get(listing, asked)
        except Failed as error:
            problems.append(str(error))
            continue
        if isinstance(found, dict):
            found = found.get("Volumes")
        for each in found or ():
            if not _is_ours(each, run):
                continue  # a label alone may come from an untrusted image
            try:
                engine.call("DELETE", one.format(quoted(str(each[key]))), query=options)
            except Failed as error:
                problems.append(str(error))
    return problems + apparmor.unload(run)


def is_twin(listed: Mapping[str, Any]) -> bool:
    """Return whether a listed container was created by a run."""
    run = (listed.get("Labels") or {}).get(LABEL)
    return isinstance(run, str) and bool(_RUN.fullmatch(run)) and _is_ours(listed, run)


def prefix(run: str) -> str:
    """Return the prefix of all names that a run creates."""
    return f"hardener-twin-{run}"


def _is_ours(found: Mapping[str, Any], run: str) -> bool:
    names = [str(name).lstrip("/") for name in found.get("Names") or [found.get("Name") or ""]]
    tags = found.get("RepoTags") or ()
    return any(name.startswith(prefix(run)) for name in names) or f"hardener-twin:{run}" in tags


def _labelled(engine: Engine) -> set[str]:
    query = {"filters": f'{{"label": ["{LABEL}"]}}'}
    found = set()
    for listing, more in (
        ("/containers/json", {"all": "1"}),
        ("/networks", {}),
        ("/volumes", {}),
        ("/images/json", {}),
    ):
        answer = engine.get(listing, {**query, **more})
        if isinstance(answer, dict):
            answer = answer.get("Volumes")
        for each in answer or ():
            run = (each.get("Labels") or {}).get(LABEL)
            if isinstance(run, str):
                found.add(run)
    return {run for run in found if _RUN.fullmatch(run)}
