"""Read what the files of a compose project declare, to find and compare its containers.

hardener does not parse the compose files for that. The labels of running containers name the files that they
were made of. If `docker compose` is installed, it adds the project's name and the current definition of each
service.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
        remarks: what could not be found out, in sentences.
    """

    files: tuple[str, ...]
    name: str = ""
    otherwise: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

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
        HardenerError: a file is not there, or docker compose refuses them.
    """
    for path in files:
        if not path.is_file():
            raise HardenerError(f"{line(str(path))}: there is no such compose file")
    # Keep links: compose labels containers with the path that was typed.
    absolute = tuple(os.path.abspath(path) for path in files)  # noqa: PTH100
    if not _has_compose():
        remark = "the containers were not compared with the compose file: there is no docker compose here"
        return Project(
            files=absolute, name=name, otherwise=_folder_name(absolute[0], environment), remarks=(remark,)
        )
    words = ["docker", "compose", *(word for path in absolute for word in ("--file", path))]
    words += ["--project-name", name] if name else []
    hashes = dict(_HASH.findall(_compose_output([*words, "config", "--hash", "*"], absolute)))
    return Project(files=absolute, name=name, otherwise=name or _project_name(words, absolute), hashes=hashes)


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


def _project_name(words: Sequence[str], files: Sequence[str]) -> str:
    document = json.loads(_compose_output([*words, "config", "--format", "json"], files))
    return str(document.get("name") or "") if isinstance(document, dict) else ""


def _folder_name(file: str, environment: Mapping[str, str]) -> str:
    """Return the default name of a compose project."""
    named = environment.get("COMPOSE_PROJECT_NAME") or Path(file).parent.name
    return re.sub(r"[^a-z0-9_-]", "", named.lower()).lstrip("_-")


def _compose_output(words: Sequence[str], files: Sequence[str]) -> str:
    """Return the output of docker compose.

    Raises:
        HardenerError: it refuses, does not end, or prints too much.
    """
    name = line(files[0], 200)
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HardenerError(f"{name}: docker compose cannot read it: {line(str(error))}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        raise HardenerError(
            f"{name}: docker compose cannot read it: {line(said[-1], 300)}",
            hint="run `docker compose config` in its folder",
        )
    if len(done.stdout) > _MOST:
        raise HardenerError(f"{name}: docker compose expands it to more than {_MOST >> 20} MB")
    return done.stdout.decode(errors="replace")
