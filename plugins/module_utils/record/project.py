"""Determine from docker compose labels which containers belong together, and their start order."""

from __future__ import annotations

import json
from typing import Any, Collection, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ..docker.client import quoted
from ..docker.http import NotFound
from ..host.errors import Failed
from ..host.text import shown
from . import workspace
from .engine import Engine

LABEL = "com.docker.compose."
MOST = 24  # containers of a project that may get twins
_LISTED = 10
_SHORT_ID = 12  # as `docker ps` shows it: a shorter one may be meant as a name
_COMPLETED = "service_completed_successfully"


class Member(NamedTuple):
    """A container that gets a twin, or is restarted."""

    name: str  # of its service; of the container if it has no project
    original: Mapping[str, Any]  # inspect data
    recorded: bool  # else it is a copy that serves the recorded ones
    needs: Mapping[str, str]  # services that start before it, with the condition to wait for
    restarted: bool = False  # whether it is recorded itself; else it gets a twin


class Cast(NamedTuple):
    """The containers of a recording in start order, and remarks about them."""

    members: list[Member]
    remarks: list[str]


def alone(engine: Engine, container: str) -> Cast:
    """Return the cast with only this container.

    Raises:
        Failed: there is none of this name; the message names those that run.
    """
    try:
        original = engine.get(f"/containers/{quoted(container)}/json")
    except NotFound:
        raise Failed(
            f"there is no container {shown(container, 100)} ({_instead(engine, container)})"
        ) from None
    return Cast([Member(_service(original) or _name(original), original, True, {})], [])


def _instead(engine: Engine, container: str) -> str:
    """List the running containers of a service of this name; if there is none, all running containers."""
    found = [each for each in engine.get("/containers/json") if not workspace.is_twin(each)]
    service = [each for each in found if (each.get("Labels") or {}).get(f"{LABEL}service") == container]
    names = sorted(shown(str(each["Names"][0]).lstrip("/"), 60) for each in service or found)
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if names[_LISTED:] else "")
    return f"{'its service runs as' if service else 'running containers:'} {listed or 'none'}"


def position(members: Sequence[Member], container: str) -> int:
    """Return the number of the member of a service, or of a container by its name or id.

    Raises:
        Failed: there is none.
    """
    numbered = list(enumerate(members))
    named = [number for number, each in numbered if container in (each.name, _name(each.original))]
    by_id = [number for number, each in numbered if str(each.original["Id"]).startswith(container)]
    for number in named or (by_id if len(container) >= _SHORT_ID else ()):
        return number
    raise Failed(f"{shown(container, 100)} has no twin in which a command can be run")


def around(engine: Engine, container: str) -> Cast:
    """Return a container with copies of the other services of its project; without a project, only itself."""
    cast = alone(engine, container)
    original = cast.members[0].original
    project = _label(original, "project")
    if not project or not _service(original) or _label(original, "oneoff") == "True":
        return cast
    return _cast(_inspected(engine, project), {}, chosen=original)


def whole(engine: Engine, arguments: Mapping[str, Any]) -> Cast:
    """Return all services of a project.

    Args:
        engine: the engine.
        arguments: ``project``, its name, or empty; ``files``, absolute paths of compose files, by which it is
            searched then; ``otherwise``, its name if no container has the files' label; ``hashes`` of the
            services in the present files, empty if unknown; ``remarks`` to add.

    Raises:
        Failed: no container is of it, or it cannot be told which project is meant.
    """
    project = str(arguments.get("project") or "") or _project_containers(engine, arguments)
    cast = _cast(_inspected(engine, project), arguments.get("hashes") or {}, chosen=None)
    if not cast.members:
        raise Failed(f"no service of the project {shown(project, 100)} runs: start it first")
    remarks = [str(each) for each in arguments.get("remarks") or ()]
    return cast._replace(remarks=[*remarks, *cast.remarks])


def _project_containers(engine: Engine, arguments: Mapping[str, Any]) -> str:
    files = {str(path) for path in arguments.get("files") or ()}
    projects: dict[str, set[str]] = {}
    for each in _listed(engine, f"{LABEL}project"):
        labels = each.get("Labels") or {}
        paths = str(labels.get(f"{LABEL}project.config_files") or "").split(",")
        projects.setdefault(str(labels[f"{LABEL}project"]), set()).update(paths)
    named = sorted(project for project, paths in projects.items() if files and files <= paths)
    otherwise = str(arguments.get("otherwise") or "")
    if not named and otherwise in projects:
        named = [otherwise]
    if len(named) == 1:
        return named[0]
    listed = ", ".join(shown(name, 60) for name in (named or sorted(projects))[:_LISTED]) or "none"
    problem, way_out = (
        ("several projects use this compose file", "name one by --project")
        if named
        else (
            "no running container belongs to this compose file",
            "start it by `docker compose up --detach`, or name another project by --project",
        )
    )
    raise Failed(f"{problem} (projects that run here: {listed}): {way_out}")


def _inspected(engine: Engine, project: str) -> list[Mapping[str, Any]]:
    listed = _listed(engine, f"{LABEL}project={project}", all="1")
    return [engine.get(f"/containers/{quoted(each['Id'])}/json") for each in listed[: 10 * MOST]]


def _listed(engine: Engine, label: str, **more: str) -> list[Mapping[str, Any]]:
    """Return the containers with a label, except twins, which have the labels of their images."""
    found = engine.get("/containers/json", {"filters": json.dumps({"label": [label]}), **more})
    return [each for each in found if not workspace.is_twin(each)]


def _cast(
    found: Iterable[Mapping[str, Any]], hashes: Mapping[str, str], *, chosen: Mapping[str, Any] | None
) -> Cast:
    """Choose the containers of a project that get twins; if ``chosen`` is given, record only that one."""
    services: dict[str, list[Mapping[str, Any]]] = {}
    for original in found:
        if _service(original) and _label(original, "oneoff") != "True":
            services.setdefault(_service(original), []).append(original)
    picked, remarks = _select(services, chosen)
    remarks += _differences(services, picked, hashes)
    members = [
        Member(
            service,
            picked[service],
            chosen is None or picked[service] is chosen,
            {name: what for name, what in _needs(picked[service]).items() if name in picked},
        )
        for service in _in_order(picked)
    ]
    return Cast(members, remarks)


def _select(
    services: Mapping[str, list[Mapping[str, Any]]], chosen: Mapping[str, Any] | None
) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """Return one container of each service that can be copied; and remarks about the others."""
    remarks: list[str] = []
    picked: dict[str, Mapping[str, Any]] = {}
    for service, originals in sorted(services.items()):
        running = sorted((each for each in originals if each["State"].get("Running")), key=_number)
        if chosen is not None and service == _service(chosen):
            picked[service] = chosen
        elif running:
            picked[service] = running[0]
        if len(running) > 1:
            remarks.append(f"only one of {len(running)} containers of {shown(service, 60)} has a twin")
    # Finished jobs that others wait for: with empty volumes they have to run again.
    waited = {name for each in picked.values() for name, what in _needs(each).items() if what == _COMPLETED}
    for service in sorted(services.keys() - picked.keys()):
        if service in waited:
            picked[service] = min(services[service], key=_number)
        else:
            remarks.append(f"the service {shown(service, 60)} does not run: it has no twin")
    if len(picked) > MOST:
        raise Failed(f"the project has {len(picked)} services: {MOST} can be recorded at once")
    return picked, remarks


def _differences(
    services: Collection[str], picked: Mapping[str, Mapping[str, Any]], hashes: Mapping[str, str]
) -> Iterator[str]:
    """Describe how the containers differ from the compose file."""
    for service in sorted(set(hashes) - set(services)):
        yield f"the service {shown(service, 60)} of the compose file has no container"
    for service, original in picked.items():
        if _refers_to_another(original["HostConfig"]):
            continue  # compose labels it with the hash of a definition that has the id of that container
        if service in hashes and hashes[service] != _label(original, "config-hash"):
            yield (
                f"the container of {shown(service, 60)} differs from the compose file: "
                "`docker compose up` would recreate it"
            )


def _refers_to_another(host: Mapping[str, Any]) -> bool:
    """Return whether a container shares a namespace or the volumes of another container."""
    modes = (str(host.get(key) or "") for key in ("NetworkMode", "PidMode", "IpcMode"))
    return bool(host.get("VolumesFrom")) or any(mode.startswith("container:") for mode in modes)


def _in_order(picked: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield services after their dependencies; in a cycle, in any order."""
    needs = {name: set(_needs(each)) & picked.keys() - {name} for name, each in picked.items()}
    while needs:
        name = min(needs, key=lambda each: (len(needs[each]), each))
        yield name
        del needs[name]
        for others in needs.values():
            others.discard(name)


def _needs(original: Mapping[str, Any]) -> dict[str, str]:
    """Parse the label of dependencies and their conditions, such as `db:service_healthy:false,cache:…`."""
    found = {}
    for entry in _label(original, "depends_on").split(","):
        words = entry.split(":")
        if words[0]:
            found[words[0]] = words[1] if len(words) > 1 else "service_started"
    return found


def _service(original: Mapping[str, Any]) -> str:
    return _label(original, "service")


def _number(original: Mapping[str, Any]) -> tuple[int, str]:
    text = _label(original, "container-number")
    return int(text) if text.isdecimal() and len(text) < 10 else 0, str(original["Id"])


def _name(original: Mapping[str, Any]) -> str:
    return str(original["Name"]).lstrip("/")


def _label(original: Mapping[str, Any], name: str) -> str:
    return str((original["Config"].get("Labels") or {}).get(LABEL + name) or "")
