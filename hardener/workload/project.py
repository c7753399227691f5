"""Read what the files of a compose project declare, to find and compare its containers.

hardener does not parse the compose files for that. The labels of running containers name the files that they
were made of. If `docker compose` is installed, it adds the project's name and the current definition of each
service.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hardener.bounded import parse
from hardener.errors import HardenerError
from hardener.text import line

_SECONDS = 60
_MOST = 8 << 20  # bytes of the whole project
_HASH = re.compile(r"^(\S{1,255}) ([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The facts about a project that are known without its host.

    Args:
        files: absolute paths of its compose files.
        name: its name as the user gave it; empty for none.
        otherwise: its name where no container names the files.
        hashes: of its services, as compose labels the containers; empty where they are not known.
        remarks: what could not be found out, in hardener's own words, since recordings contain them.
        refusal: why docker compose does not read the files. Its words may contain values: never recorded.
    """

    files: tuple[str, ...]
    name: str = ""
    otherwise: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    refusal: str = ""

    def arguments(self) -> dict[str, object]:
        """Return the arguments for the host."""
        return {
            "project": self.name,
            "files": list(self.files),
            "otherwise": self.otherwise,
            "hashes": dict(self.hashes),
            "remarks": list(self.remarks),
        }


def project(files: Sequence[Path], *, name: str, environment: Mapping[str, str]) -> Project:
    """Read the files of a project.

    Args:
        files: the compose files, in the order in which docker compose takes them.
        name: the project's name; empty for the one that docker compose would give it.
        environment: the variables of this process.

    Raises:
        HardenerError: a file is not there.
    """
    for path in files:
        if not path.is_file():
            raise HardenerError(f"{line(str(path))}: there is no such compose file")
    # Keep links: compose labels containers with the path that was typed.
    absolute = tuple(os.path.abspath(path) for path in files)  # noqa: PTH100
    if not _has_compose():
        return _unread(absolute, name, environment, why="there is no docker compose here")
    words = ["docker", "compose", *(word for path in absolute for word in ("--file", path))]
    words += ["--project-name", name] if name else []
    try:
        hashes = dict(_HASH.findall(_compose_output([*words, "config", "--hash", "*"])))
        otherwise = name or _project_name(words)
    except _Unread as error:  # such as a file whose variables are not set here
        unread = _unread(absolute, name, environment, why="docker compose cannot read it here")
        return replace(unread, refusal=f"docker compose cannot read {line(absolute[0], 200)}: {error}")
    return Project(files=absolute, name=name, otherwise=otherwise, hashes=hashes)


def configuration(files: Sequence[Path]) -> Mapping[str, Any]:
    """Return a project as docker compose reads its files, with variables, profiles and merged files.

    Raises:
        HardenerError: there is no docker compose here, or it cannot read the files.
    """
    for path in files:
        if not path.is_file():
            raise HardenerError(f"{line(str(path))}: there is no such compose file")
    if not _has_compose():
        raise HardenerError(
            "there is no docker compose here, which reads the files", hint="install it; it needs no engine"
        )
    words = ["docker", "compose", *(word for path in files for word in ("--file", str(path)))]
    try:
        document = parse(_compose_output([*words, "--profile", "*", "config", "--format", "json"]).encode())
    except (_Unread, ValueError) as error:
        raise HardenerError(f"docker compose cannot read {line(str(files[0]), 200)}: {error}") from error
    if not isinstance(document, dict) or not document.get("services"):
        raise HardenerError(f"{line(str(files[0]), 200)} declares no service")
    return document


class _Unread(Exception):  # noqa: N818 - a state of the files, not a defect
    """Docker compose cannot read the files."""


def _unread(files: tuple[str, ...], name: str, environment: Mapping[str, str], *, why: str) -> Project:
    """Return what is known of a project whose files docker compose does not read."""
    remark = f"the containers were not compared with the compose file: {why}"
    return Project(
        files=files, name=name, otherwise=name or _folder_name(files[0], environment), remarks=(remark,)
    )


def _has_compose() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    done = subprocess.run(
        [docker, "compose", "version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.returncode == 0


def _project_name(words: Sequence[str]) -> str:
    document = parse(_compose_output([*words, "config", "--format", "json"]).encode())
    return str(document.get("name") or "") if isinstance(document, dict) else ""


def _folder_name(file: str, environment: Mapping[str, str]) -> str:
    """Return the default name of a compose project."""
    named = environment.get("COMPOSE_PROJECT_NAME") or Path(file).parent.name
    return re.sub(r"[^a-z0-9_-]", "", named.lower()).lstrip("_-")


def _compose_output(words: Sequence[str]) -> str:
    """Return the output of docker compose.

    Raises:
        _Unread: it refuses, does not end, or prints too much.
    """
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unread(line(str(error))) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        raise _Unread(line(said[-1], 300))
    if len(done.stdout) > _MOST:
        raise _Unread(f"it expands them to more than {_MOST >> 20} MB")
    return done.stdout.decode(errors="replace")
