"""Migrate everything that an engine holds to the data root of user namespaces, stage by stage.

The old root stays unchanged except for logs and states of stopped containers; ``undo`` relies on that.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ...docker.client import quoted
from ...docker.http import NotFound
from ...host import atomic, descriptors
from .. import containers, health
from ..errors import Failed
from . import definition, restart, staging, survey, tree
from .definition import Inspected
from .ids import Range, Shift
from .survey import Client, Holdings, Survey
from .undo import DONE, MAKING, STAGING, STARTING, STOPPED, SWITCHING, Undo

_SETTLED = 5  # seconds of uptime after which a container counts as running
_HEALTHY = 120
_AT_ONCE = 8
_REACHED = 30  # seconds within which a published port must answer again


class Target(NamedTuple):
    """The destination of a migration, and the programs that it uses."""

    socket: str
    unit: str
    dockerd: str
    containerd: str
    config: Mapping[str, Any]  # daemon.json after the migration
    shift: Shift
    exempt: Sequence[str]
    timeout: float


class Migration:
    """The migration of one engine to user namespaces.

    Args:
        target: the destination.
        memory: JSON data that the undo needs.
        save: writes the memory to disk.
    """

    def __init__(self, target: Target, memory: dict[str, Any], save: Callable[[], None]) -> None:
        self._target = target
        self._client = Client(target.socket)
        self._memory = memory
        self._save = save

    # --- prepare --------------------------------------------------------------------------------------------

    def survey(self) -> Survey:
        """Return what has to be migrated."""
        return Survey(survey.look(self._client), self._target.shift, self._target.exempt)

    def obstacles(self, found: Survey) -> tuple[int, list[str]]:
        """Return the bytes to copy, and why the migration is impossible on this host."""
        obstacles = found.obstacles()
        new_root = self._new_root(found.holdings)
        if os.path.isdir(new_root) and descriptors.names(new_root):
            obstacles.append(
                f"{new_root} exists already, from an earlier use of user namespaces: move it away"
            )
        return (0, obstacles) if obstacles else found.measure(self._client)

    def _new_root(self, holdings: Holdings) -> str:
        shift = self._target.shift
        return os.path.join(holdings.info["DockerRootDir"], f"{shift.uids.start}.{shift.gids.start}")

    def _stage(self, stage: str) -> None:
        """Store the name of the next stage before it begins."""
        self._memory["stage"] = stage
        self._save()

    # --- perform --------------------------------------------------------------------------------------------

    def perform(self) -> list[str]:
        """Migrate everything, and return notes for the reader of the result.

        Raises:
            Failed: it could not be done; ``undo`` puts everything back.
        """
        plan = self.survey()
        _size, obstacles = self.obstacles(plan)
        if obstacles:
            raise Failed("; ".join(obstacles))
        holdings = plan.holdings
        self._begin(holdings)
        old_root = self._memory["old_root"]
        helper = staging.Staging(
            dockerd=self._target.dockerd,
            config=self._target.config,
            data_root=old_root,
            containerd=self._target.containerd,
        )
        try:
            helper.start()
            self._move_images(holdings, helper.client)
            self._stop_containers(holdings)
            self._move_volumes(plan, helper.client)
        finally:
            helper.stop()
        os.sync()
        self._switch()
        notes = self._make(plan)
        self._start()
        self._stage(DONE)
        return [*notes, f"the former data root stays in {old_root}: nothing of it was changed or removed"]

    def leave(self) -> list[str]:
        """Migrate nothing: stop the containers, and start the engine with an empty data root.

        Raises:
            Failed: it could not be done; ``undo`` puts everything back.
        """
        holdings = survey.look(self._client)
        self._begin(holdings)
        self._stop_containers(holdings)
        self._switch()
        self._stage(DONE)
        return [
            f"containers, images and volumes stay in {self._memory['old_root']}, which is no longer in use"
        ]

    def _begin(self, holdings: Holdings) -> None:
        """Store what the undo needs, before anything changes."""
        self._memory.update(
            old_root=holdings.info["DockerRootDir"],
            new_root=self._new_root(holdings),
            running=[],
            paused=[],
            unwell=[],
            made={},
            stays_down=[],
        )
        self._memory["is_new"] = not os.path.isdir(self._memory["new_root"])
        self._stage(STAGING)

    def _move_images(self, holdings: Holdings, new: Client) -> None:
        for image in holdings.images:
            tags = [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]
            self._client.send_image(tags or [image["Id"]], new)
            before = self._client.get(f"/images/{image['Id']}/json")
            try:
                after = new.get(f"/images/{image['Id']}/json")
            except NotFound:
                raise Failed(f"the image {(tags or [image['Id']])[0]} was not copied correctly") from None
            if before["RootFS"] != after["RootFS"] or set(tags) - set(after.get("RepoTags") or ()):
                raise Failed(f"the image {(tags or [image['Id']])[0]} was not copied correctly")

    def _stop_containers(self, holdings: Holdings) -> None:
        """Stop all running containers with their own signal and timeout."""
        running = holdings.running
        self._memory["running"] = [each["Id"] for each in running]
        self._memory["paused"] = [each["Id"] for each in running if each["State"].get("Paused")]
        self._memory["stays_down"] = [  # the engine does not start these again, since a request stopped them
            each["Name"].lstrip("/")
            for each in running
            if (each["HostConfig"].get("RestartPolicy") or {}).get("Name") != "always"
        ]
        terms = health.Terms(**self._memory["terms"]) if self._memory.get("terms") else None
        self._memory["picture"] = health.take_baseline(self._client, login_port=0, terms=terms)
        self._memory["unwell"] = [
            each["Name"].lstrip("/")
            for each in running
            if each["State"].get("Restarting")
            or (each["State"].get("Health") or {}).get("Status") == "unhealthy"
        ]
        self._stage(STOPPED)
        for container in self._memory["paused"]:
            self._client.call("POST", f"/containers/{container}/unpause")

        def stop(container: Inspected) -> None:
            seconds = containers.grace(container) + 60
            self._client.call("POST", f"/containers/{container['Id']}/stop", accept=(304,), seconds=seconds)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(stop, running))
        now = survey.look(self._client)
        if now.identity != holdings.identity or now.running:
            raise Failed("containers, volumes or networks were created or started meanwhile: try again")

    def _move_volumes(self, plan: Survey, new: Client) -> None:
        for volume in plan.holdings.volumes:
            new.call(
                "POST",
                "/volumes/create",
                {
                    "Name": volume["Name"],
                    "Driver": volume["Driver"],
                    "DriverOpts": volume.get("Options") or {},
                    "Labels": volume.get("Labels") or {},
                },
            )
        for moved in plan.volumes:
            folder = new.get(f"/volumes/{quoted(moved.name)}")["Mountpoint"]
            tree.copy(moved.folder, folder, moved.shift)
            _count, _size, differences = tree.differences(moved.folder, folder, moved.shift)
            if differences:
                raise Failed(f"the volume {moved.name} was not copied correctly: {'; '.join(differences)}")

    def _switch(self) -> None:
        """Start the engine on the new data root."""
        self._stage(SWITCHING)
        restart.restart_engine(self._client, self._target.unit, timeout=self._target.timeout)
        root = self._client.data_root()
        if root != self._memory["new_root"]:
            raise Failed(f"the engine started on {root} instead of {self._memory['new_root']}")
        self._stage(MAKING)

    def _make(self, plan: Survey) -> list[str]:
        """Create networks and containers again; return notes."""
        holdings = plan.holdings
        for network in sorted(holdings.networks, key=lambda each: not each.get("ConfigOnly")):
            restart.remove_bridge(definition.bridge(network))
            self._client.call("POST", "/networks/create", definition.network(network))
        names = definition.Names(
            {each["Id"]: each["Name"].lstrip("/") for each in holdings.containers},
            {each["Id"]: each["Name"] for each in holdings.networks},
        )
        empty = frozenset(each.name for each in plan.volumes if not descriptors.names(each.folder))
        notes: list[str] = []
        made: dict[str, str] = {}
        for container in definition.ordered(holdings.containers):
            image = self._client.get(f"/images/{container['Image']}/json")
            wanted = definition.container(
                container, image, names, host_userns=plan.in_host_userns(container), empty=empty
            )
            made[container["Id"]] = self._make_container(wanted, container, plan, notes)
        self._memory["made"] = made
        return notes

    def _make_container(
        self, wanted: definition.Definition, old: Inspected, plan: Survey, notes: list[str]
    ) -> str:
        answer = self._client.call("POST", "/containers/create", wanted.body, query={"name": wanted.name})
        identity = str(answer["Id"])
        for network, endpoint in wanted.networks:
            body = {"Container": identity, "EndpointConfig": endpoint}
            self._client.call("POST", f"/networks/{quoted(network)}/connect", body)
        new = self._client.inspect(identity)
        settings = definition.changed(old, new, wanted)
        if settings:
            notes.append(f"{wanted.name} was recreated with other values of {', '.join(settings)}")
        folder = survey.upper(old)
        if folder:
            target, shift = survey.upper(new), plan.shift_of(old)
            _empty(target)
            tree.copy(folder, target, shift, without=tree.OVERLAY_ORIGIN)
            _count, _size, differences = tree.differences(folder, target, shift, without=tree.OVERLAY_ORIGIN)
            if differences:
                raise Failed(f"{wanted.name}: its files were not copied correctly: {'; '.join(differences)}")
        return identity

    def _start(self) -> None:
        """Start the containers that ran, and verify that they keep running."""
        self._stage(STARTING)
        made = self._memory["made"]
        for identity in made:  # in the order of creation: some need others
            if identity in self._memory["running"]:
                self._client.call("POST", f"/containers/{made[identity]}/start", accept=(304,))
        problems = self._down(made[each] for each in self._memory["running"])
        if problems:
            raise Failed(f"containers that do not run with remapped users: {'; '.join(problems)}")
        missing, _notes = health.compare(_translated(self._memory["picture"], made), seconds=_REACHED)
        if missing:
            raise Failed(f"the health check failed with remapped users: {'; '.join(missing)}")
        for identity in self._memory["paused"]:
            self._client.call("POST", f"/containers/{made[identity]}/pause")

    def problems(self) -> list[str]:
        """Return the containers that should run and do not."""
        made = self._memory["made"]
        return self._down((made[each] for each in self._memory["running"] if each in made), settled=0)

    def _down(self, containers: Iterable[str], *, settled: float = _SETTLED) -> list[str]:
        """Return containers that are not running or not healthy after a waiting time."""
        containers = list(containers)
        if containers:
            time.sleep(settled)
        deadline = time.monotonic() + _HEALTHY
        found: dict[str, str] = {}
        for identity in containers:
            while True:
                inspected = self._client.inspect(identity)
                state = inspected["State"]
                health = (state.get("Health") or {}).get("Status")
                if health != "starting" or time.monotonic() > deadline:
                    break
                time.sleep(0.5)
            title = inspected["Name"].lstrip("/")
            ended = not state.get("Running") and state.get("ExitCode") == 0 and not state.get("Error")
            if health == "unhealthy" and state.get("Running") and title not in self._memory["unwell"]:
                found[title] = "unhealthy"
            elif title not in self._memory["unwell"] and (
                state.get("Restarting") or not (state.get("Running") or ended)
            ):
                found[title] = f"ended with code {state.get('ExitCode')} {state.get('Error') or ''}".strip()
        return [f"{title} ({why})" for title, why in sorted(found.items())]

    def undo(self) -> list[str]:
        """Return the engine to its old data root, and return what is still wrong; see ``Undo.run``."""
        return self._undo().run()

    def undo_at_boot(self) -> list[str]:
        """Undo during boot; see ``Undo.at_boot``."""
        return self._undo().at_boot()

    def _undo(self) -> Undo:
        target = self._target
        return Undo(self._client, self._memory, unit=target.unit, timeout=target.timeout)


def _translated(picture: Mapping[str, Any], made: Mapping[str, str]) -> dict[str, Any]:
    """Return the health baseline of the old containers with the ids of the new ones."""
    containers = {
        made[identity]: {**known, "restarts": 0 if known["restarts"] >= 0 else -1}
        for identity, known in picture["containers"].items()
    }
    found: dict[str, Any] = {**picture, "containers": containers}
    for key in ("ports", "networks"):
        found[key] = [{**each, "container": made[each["container"]]} for each in picture[key]]
    return found


def shift_from(settings: Mapping[str, Any]) -> Shift:
    """Return the mapping that an activation's settings describe."""
    return Shift(Range(*settings["uids"]), Range(*settings["gids"]))


def _empty(folder: str) -> None:
    """Empty the writable layer of a new container, before the old layer is copied into it."""
    with descriptors.folder(folder) as handle:
        atomic.empty(handle)
