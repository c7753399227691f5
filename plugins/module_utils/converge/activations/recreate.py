"""Recreate the containers of compose services, with an override file of ours beside the project's own files.

The host's own docker compose does it, as the user of the project would: with the project's name, folder and
files from the labels of the running containers. Nothing is done where these files would make another
container than the one that runs, or where a user who cannot reach the engine could change them.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import stat
import time
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ...contract import CONTAINERS_RECREATE
from ...docker.client import quoted
from ...docker.http import NoAnswer, NotFound
from .. import containers, probes, system
from ..engine import Engine
from ..errors import Failed, Refused
from ..health import published_targets
from ..planning import Plan
from .interface import AtEngine, Begun, Former, united

_LABEL = "com.docker.compose."
# Nothing is fetched: neither an image nor a compose file that another one includes.
_LOCAL = {"COMPOSE_EXPERIMENTAL_GIT_REMOTE": "0", "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "0"}
# Other files, which are not checked for who can change them.
_OTHERS = re.compile(rb"\b(?:include|extends)[\"']? ?:")
_MOST = 1 << 20  # bytes of a compose file
_UP = 300  # seconds
_HEALTHY = 120  # seconds until a health check must have passed, beside its own start period


class Service(NamedTuple):
    """A service of a project, as the labels of its containers describe it."""

    project: str
    name: str
    folder: str
    files: Sequence[str]  # compose files of the project, without ours
    environment: Sequence[str]  # environment files
    scale: int

    @classmethod
    def of(cls, key: str, found: Sequence[Mapping[str, Any]], override: str) -> Service:
        """Return the service of these containers.

        Raises:
            Refused: there is none, or its labels do not say how it was created.
        """
        if not found:
            raise Refused(f"{key}: this host has no container of this compose service: deploy it first")
        labels = found[0]["Config"]["Labels"]

        def paths(label: str) -> list[str]:
            return [path for path in str(labels.get(f"{_LABEL}{label}") or "").split(",") if path]

        files = [path for path in paths("project.config_files") if path != override]
        folder = str(labels.get(f"{_LABEL}project.working_dir") or "")
        absolute = all(path.startswith("/") for path in (folder, *files))
        if not files or not absolute:
            raise Refused(f"{key}: its labels do not name the compose files of the project")
        project, _separator, name = key.partition("/")
        return cls(project, name, folder, files, paths("project.environment_file"), len(found))

    def words(self, *more: str) -> list[str]:
        """Return the options of docker compose that describe the project.

        Args:
            more: further files.
        """
        found = ["--project-name", self.project, "--project-directory", self.folder]
        for path in (*self.files, *more):
            found += ["--file", path]
        for path in self.environment:
            found += ["--env-file", path]
        return found


class Recreate(AtEngine):
    """Recreate the containers of compose services under override files, or without them.

    Settings: ``services``, by ``PROJECT/SERVICE`` the path of its override file; ``released``, the same for
    services that run without it again.
    """

    name = "recreate"
    action = "recreate containers"
    known = frozenset({"when", "services", "released"})

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a service does not run under its override file as it will be."""
        self._due: dict[str, Service] = {}
        if self._wanted and self._compose("version").code != 0:
            raise Refused("docker compose is missing: install docker-compose-plugin (Debian: docker-compose)")
        for key, override in self._wanted.items():
            service, found = self._service(key, override)
            self._require_trusted(key, service)
            if plan.changed([override]) or self._hash(service, override) not in _hashes(found):
                self._require_same(key, service, found, override)
                if wrong := next(_wrong(found, service.scale), ""):
                    raise Refused(f"{key}: {wrong}: only a service that works is recreated")
                self._due[key] = service
                self.without_effect += [] if plan.changed([override]) else [override]
        for key, override in self._released.items():
            try:
                service, found = self._service(key, override)
                if any(override in _files(each) for each in found):
                    self._require_trusted(key, service)
                    self._require_same(key, service, found, override)
                    self._due[key] = service
            except Refused as refused:  # it is gone, or was changed meanwhile
                self.pending.append(f"{refused}; what runs is left as it is")
        self.reasons = [f"{key} is recreated" for key in self._due]
        if self._due:
            self.longest = 2.0 * (_UP + _HEALTHY) * len(self._due)
            self.impact = CONTAINERS_RECREATE
            self.costs = f"recreates {', '.join(self._due)}: the files in their writable layers are lost"

    def perform(self) -> None:
        """Recreate the containers that need it, and wait until they serve."""
        self.memory = {"engine": self.served.note(), "services": {}}
        for key, service in self._due.items():
            override = self._wanted.get(key, "")
            found = self._containers(service.project, service.name)
            answering = len(probes.answering(_targets(found)))
            self.memory["services"][key] = {
                **service._asdict(),
                "override": self._wanted.get(key) or self._released[key],
            }
            self.save()
            self._up(service, *([override] if override else []))
            self._require_serving(key, service, answering)

    def undo(self) -> list[str]:
        """Recreate the containers without the override files."""
        problems = []
        for key, known in self.memory.get("services", {}).items():
            override = known["override"]
            service = Service(**{name: known[name] for name in Service._fields})
            try:
                present = self._containers(service.project, service.name)
                if key in self._released:
                    self._up(service, override)
                elif any(override in _files(each) for each in present):
                    self._up(service)
                self._require_serving(key, service, 0)
            except (Failed, NoAnswer) as error:
                problems.append(f"{key}: {error}")
        return problems

    def undo_at_boot(self) -> list[str]:
        """Report that the engine does not run yet: the guard tries again."""
        return [f"{key} is recreated once the engine runs" for key in self.memory.get("services", {})]

    @classmethod
    def subjects(cls, memory: Mapping[str, Any]) -> frozenset[str]:
        """Return the recreated services."""
        return frozenset(memory.get("services", {}))

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the settings that recreate the services without our files."""
        found = {
            key: known["override"] for each in begun for key, known in each.memory.get("services", {}).items()
        }
        return Former({"when": united(begun), "released": found} if found else None)

    # --- settings -------------------------------------------------------------------------------------------

    @property
    def _wanted(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.settings.get("services", {})
        return found

    @property
    def _released(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.settings.get("released", {})
        return found

    # --- what runs ------------------------------------------------------------------------------------------

    @property
    def _engine(self) -> Engine:
        return Engine(self.served.socket)

    def _containers(self, project: str, service: str) -> list[dict[str, Any]]:
        """Return the containers of a service.

        Raises:
            Failed: one cannot be read.
        """
        wanted = {
            "label": [f"{_LABEL}project={project}", f"{_LABEL}service={service}", f"{_LABEL}oneoff=False"]
        }
        found, unread = self._engine.containers(
            f"/containers/json?all=1&filters={quoted(json.dumps(wanted))}"
        )
        for name, why in unread.items():
            raise Failed(f"{name} cannot be read: {why}")
        return found

    def _service(self, key: str, override: str) -> tuple[Service, list[dict[str, Any]]]:
        project, _separator, name = key.partition("/")
        try:
            found = self._containers(project, name)
        except NoAnswer as error:
            raise Refused(f"{key}: {error}") from error
        return Service.of(key, found, override), found

    def _require_trusted(self, key: str, service: Service) -> None:
        """Refuse a project if a user who cannot reach the engine can change it: root would run it."""
        for path in {*service.files, *service.environment, os.path.join(service.folder, ".env")}:
            if os.path.lexists(path):
                _require_trusted(key, path, self.served.socket)
        for path in service.files:
            try:
                with open(path, "rb") as file:
                    text = file.read(_MOST + 1)
            except OSError as error:
                raise Refused(f"{key}: {path}: {error.strerror}") from error
            if len(text) > _MOST or _OTHERS.search(text):
                raise Refused(f"{key}: {path} includes or extends other files, which are not checked")

    def _require_same(
        self, key: str, service: Service, found: Sequence[Mapping[str, Any]], override: str
    ) -> None:
        """Refuse a service of which docker compose would not make the same container, but for our file."""
        now = {self._hash(service), *([self._hash(service, override)] if os.path.exists(override) else [])}
        if not now & _hashes(found):
            raise Refused(
                f"{key}: its compose files would make another container than the one that runs: put variables"
                f" of a shell into {service.folder}/.env, or deploy it by `docker compose up --detach"
                f" {service.name}`"
            )
        for each in found:
            image = str(each["Config"]["Image"])
            try:
                tagged = self._engine.get(f"/images/{quoted(image)}/json")["Id"]
            except NotFound:
                tagged = ""
            if tagged != each["Image"]:
                raise Refused(
                    f"{key}: {image} is another image now than the one that runs: deploy the service first,"
                    " and record it again"
                )
        ids = {each["Id"] for each in found}
        everything, _unread = self._engine.containers()
        for other in everything:
            for kind in ("NetworkMode", "PidMode", "IpcMode"):
                owner = str(other["HostConfig"].get(kind) or "").partition("container:")[2]
                if owner in ids:
                    raise Refused(f"{key}: {containers.name(other)} uses its namespaces, and would lose them")

    # --- docker compose -------------------------------------------------------------------------------------

    def _compose(self, *words: str, timeout: float = 60) -> system.Outcome:
        environment = {**_LOCAL, "DOCKER_HOST": f"unix://{self.served.socket}"}
        return system.run("docker", "compose", *words, timeout=timeout, environment=environment)

    def _hash(self, service: Service, *more: str) -> str:
        """Return the hash that docker compose gives the service, as the label of a container has it."""
        if not all(map(os.path.exists, more)):
            return ""
        done = self._compose(*service.words(*more), "config", "--hash", service.name)
        if done.code != 0:
            raise Refused(f"docker compose cannot read {service.project}: {done.said}")
        return done.output.split()[-1] if done.output.split() else ""

    def _up(self, service: Service, *more: str) -> None:
        words = ("--detach", "--no-deps", "--no-build", "--pull", "never", "--scale")
        done = self._compose(
            *service.words(*more),
            "up",
            *words,
            f"{service.name}={service.scale}",
            "--",
            service.name,
            timeout=_UP,
        )
        if done.code != 0:
            raise Failed(f"docker compose up {service.name}: {done.said}")

    # --- afterwards -----------------------------------------------------------------------------------------

    def _require_serving(self, key: str, service: Service, answering: int) -> None:
        """Wait until the new containers run, are healthy, and answer at as many ports as before.

        Raises:
            Failed: one does not.
        """
        begun = time.monotonic()
        wrong = "it does not run"
        while time.monotonic() - begun < _HEALTHY:
            try:
                found = self._containers(service.project, service.name)
            except NoAnswer as error:
                raise Failed(f"{key}: {error}") from error
            ended = next((each for each in found if each.get("RestartCount") or _ended(each)), None)
            if ended is not None:
                name, code = containers.name(ended), ended["State"].get("ExitCode")
                raise Failed(f"{key}: {name} ended with code {code}")
            wrong = next(_wrong(found, service.scale), "")
            if not wrong and len(probes.answering(_targets(found))) < answering:
                wrong = "a published port does not answer any more"
            if not wrong and time.monotonic() - begun > containers.SETTLED:
                return
            time.sleep(0.5)
        raise Failed(f"{key}: {wrong}")


def _targets(found: Sequence[Mapping[str, Any]]) -> list[probes.Target]:
    return [target for each in found for target in published_targets(each)]


def _wrong(found: Sequence[Mapping[str, Any]], scale: int) -> Iterator[str]:
    if len(found) < scale:
        yield f"{len(found)} of {scale} containers exist"
    for each in found:
        state, name = each["State"], containers.name(each)
        if not state.get("Running"):
            yield f"{name} does not run"
        health = (state.get("Health") or {}).get("Status")
        if health not in (None, "", "none", "healthy"):
            yield f"{name} is {health} by its own check"


def _ended(container: Mapping[str, Any]) -> bool:
    return not container["State"].get("Running") and container["State"].get("Status") != "created"


def _files(container: Mapping[str, Any]) -> list[str]:
    """Return the compose files that a container was created from."""
    return str(container["Config"]["Labels"].get(f"{_LABEL}project.config_files") or "").split(",")


def _hashes(found: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the hash of the containers; none if they differ."""
    hashes = {str(each["Config"]["Labels"].get(f"{_LABEL}config-hash") or "") for each in found}
    return hashes if len(hashes) == 1 else set()


def _require_trusted(key: str, path: str, socket: str) -> None:
    """Refuse a file that a user who cannot reach the engine can change: root would execute it.

    Raises:
        Refused: it is such a file, or a link is part of its path.
    """
    if os.path.realpath(path) != path:
        raise Refused(f"{key}: {path} is or contains a symbolic link")
    reaching = os.stat(socket).st_gid
    part = path
    while True:
        status = os.lstat(part)
        by_group = status.st_mode & stat.S_IWGRP and status.st_gid not in (0, reaching)
        sticky = part != path and status.st_mode & stat.S_ISVTX
        by_all = status.st_mode & stat.S_IWOTH and not sticky
        if by_group or by_all or not _reaches(status.st_uid, reaching):
            raise Refused(
                f"{key}: a user who cannot reach the engine can change {part}: give it to root (chown, chmod)"
            )
        if part == "/":
            return
        part = os.path.dirname(part)


def _reaches(uid: int, group: int) -> bool:
    """Return whether a user is root or a member of the group of the engine's socket."""
    if uid == 0:
        return True
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return False
    return group != 0 and group in os.getgrouplist(account.pw_name, account.pw_gid)
