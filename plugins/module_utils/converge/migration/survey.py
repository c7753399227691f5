"""Survey the objects of an engine: which must be migrated, and which cannot be."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ...docker.client import Query, quoted
from ...docker.http import NoAnswer, message
from ..engine import Engine
from ..errors import Failed
from . import definition, tree
from .definition import Inspected
from .ids import UNSHIFTED, Shift

_SPARE = 256 * 1024 * 1024
_SLOW = 300  # seconds; an engine adds up all layers when it is asked for their sizes
_LONG = 3600.0  # a large image takes long, and the worker blocks no other program


class Volume(NamedTuple):
    """A named volume whose files are migrated."""

    name: str
    folder: str
    shift: Shift
    inspected: Inspected


class Holdings(NamedTuple):
    """The objects that the engine would no longer list after the switch to another data root."""

    containers: list[Inspected]
    images: list[Inspected]
    volumes: list[Inspected]
    networks: list[Inspected]
    plugins: list[Inspected]
    info: Inspected

    @property
    def identity(self) -> list[list[str]]:
        """Return the identifiers of all objects, which must not change during the migration."""
        return [
            sorted(str(each[key]) for each in group)
            for group, key in ((self.containers, "Id"), (self.volumes, "Name"), (self.networks, "Id"))
        ]

    @property
    def remapped(self) -> bool:
        """Return whether the engine remaps users already."""
        return any("name=userns" in str(option) for option in self.info.get("SecurityOptions") or ())

    @property
    def running(self) -> list[Inspected]:
        """Return the containers that must run again."""
        return [each for each in self.containers if each["State"].get("Running")]


def look(client: Client) -> Holdings:
    """Ask an engine for everything it holds.

    Raises:
        Failed: it does not answer.
    """
    try:
        identities = [each["Id"] for each in client.get("/containers/json?all=1") or ()]
        containers = [client.get(f"/containers/{identity}/json") for identity in identities]
        images = client.get("/images/json", seconds=_SLOW) or []
        volumes = client.get("/volumes")["Volumes"] or []
        networks = [
            client.get(f"/networks/{quoted(each['Id'])}")
            for each in client.get("/networks") or ()
            if each["Name"] not in definition.PREDEFINED
        ]
        plugins = client.get("/plugins") or []
        return Holdings(containers, images, volumes, networks, plugins, client.get("/info"))
    except NoAnswer as error:
        raise Failed(str(error)) from error


class Survey:
    """Determines which objects of an engine a migration moves, and what prevents it.

    Args:
        holdings: what the engine holds.
        shift: mapping of the new root.
        exempt: names of containers (patterns) that may stay in the host's user namespace.
    """

    def __init__(self, holdings: Holdings, shift: Shift, exempt: Sequence[str]) -> None:
        self.holdings = holdings
        self.shift = shift
        self._exempt = tuple(exempt)

    def in_host_userns(self, container: Mapping[str, Any]) -> bool:
        """Return whether a container will be in the host's user namespace."""
        return container["HostConfig"].get("UsernsMode") == "host" or (
            bool(claims(container)) and self._may_stay(container)
        )

    def _may_stay(self, container: Mapping[str, Any]) -> bool:
        return any(fnmatchcase(container["Name"].lstrip("/"), pattern) for pattern in self._exempt)

    def shift_of(self, container: Mapping[str, Any]) -> Shift:
        """Return the mapping for a container's own files."""
        return UNSHIFTED if self.in_host_userns(container) else self.shift

    @property
    def volumes(self) -> list[Volume]:
        """Return the volumes in the data root; others stay where they are, with the same options."""
        found = []
        for volume in self.holdings.volumes:
            if (volume.get("Options") or {}).get("device"):
                continue
            users = [each for each in self.holdings.containers if volume["Name"] in attached(each)]
            alone = bool(users) and all(map(self.in_host_userns, users))
            found.append(
                Volume(volume["Name"], volume["Mountpoint"], UNSHIFTED if alone else self.shift, volume)
            )
        return found

    def obstacles(self) -> list[str]:
        """Return why the migration is impossible."""
        found = [*_of_engine(self.holdings.info)]
        images = {image["Id"] for image in self.holdings.images}
        joined = {each["Id"]: each for each in self.holdings.containers}
        joined.update({each["Name"].lstrip("/"): each for each in self.holdings.containers})
        for container in self.holdings.containers:
            title = container["Name"].lstrip("/")
            host = container["HostConfig"]
            if claims(container) and not self.in_host_userns(container):
                found.append(
                    f"{title} needs the host's user namespace ({', '.join(claims(container))}): name it in"
                    " userns_remap_exempt, or run it without these"
                )
            if host.get("AutoRemove") and container["State"].get("Running"):
                found.append(f"{title} is removed when it stops (--rm): stop it first")
            if container["State"].get("Dead"):
                found.append(f"{title} is dead: remove it first")
            if container["Image"] not in images:
                found.append(f"{title} cannot be created again: its image is gone")
            for mode in ("NetworkMode", "PidMode", "IpcMode"):
                other = joined.get(str(host.get(mode) or "").partition(":")[2])
                if other and self.in_host_userns(other) is not self.in_host_userns(container):
                    found.append(
                        f"{title} shares namespaces with {other['Name'].lstrip('/')}, but only one of them"
                        " stays in the host's user namespace: name both in userns_remap_exempt, or none"
                    )
        for volume in self.holdings.volumes:
            if volume.get("Driver") != "local":
                found.append(f"the volume {volume['Name']} is of the driver {volume.get('Driver')}")
        for plugin in self.holdings.plugins:
            found.append(f"the plugin {plugin['Name']} would have to be installed again: remove it first")
        for network in self.holdings.networks:
            if network.get("Scope") != "local":
                found.append(
                    f"the network {network['Name']} is not of this host alone ({network.get('Scope')})"
                )
        return found

    def notes(self) -> list[str]:
        """Return notes that the user should read before the migration."""
        found = []
        for container in self.holdings.containers:
            title = container["Name"].lstrip("/")
            if self.in_host_userns(container):
                found.append(f"{title} stays in the host's user namespace")
            binds = [mount["Source"] for mount in container.get("Mounts") or () if mount["Type"] == "bind"]
            if binds and not self.in_host_userns(container):
                found.append(
                    f"{title} mounts {', '.join(sorted(binds))} of the host, whose owners stay as they are:"
                    " check that the remapped users have the access they need there"
                )
        for volume in self.holdings.volumes:
            if (volume.get("Options") or {}).get("device"):
                found.append(
                    f"the volume {volume['Name']} is outside of the data root, and its owners are not changed"
                )
        return found

    def measure(self, client: Client) -> tuple[int, list[str]]:
        """Return the bytes that the copies need, and the obstacles to copying.

        Raises:
            Failed: something cannot be read.
        """
        found: list[str] = []
        needed = 0
        for volume in self.volumes:
            extent = tree.measure(volume.folder, volume.shift)
            found += [f"the volume {volume.name}: {obstacle}" for obstacle in extent.obstacles]
            needed += extent.size
        for container in self.holdings.containers:
            title = container["Name"].lstrip("/")
            folder = upper(container)
            if folder:
                extent = tree.measure(folder, self.shift_of(container))
                found += [f"{title}: {obstacle}" for obstacle in extent.obstacles]
                needed += extent.size
            elif client.call("GET", f"/containers/{container['Id']}/changes"):
                found.append(
                    f"{title} has changed files of its image, which can only be moved with the storage driver"
                    " overlay2: keep what you need of them in a volume, and create it again"
                )
        needed += self._images(client)
        root = self.holdings.info["DockerRootDir"]
        room = os.statvfs(root)
        free = room.f_bavail * room.f_frsize
        needed += needed // 20 + _SPARE
        if free < needed:
            found.append(f"{root} has {_size(free)} free, and {_size(needed)} are needed to copy everything")
        return needed, found

    def _images(self, client: Client) -> int:
        """Return the bytes that images need: all layers again, and twice the largest image in transit."""
        sizes = [int(image.get("Size") or 0) for image in self.holdings.images]
        try:
            layers = int(client.get("/system/df", seconds=_SLOW).get("LayersSize") or 0)
        except NoAnswer:
            layers = sum(sizes)
        return layers + 2 * max(sizes, default=0)


def claims(container: Mapping[str, Any]) -> list[str]:
    """Return why a container cannot have its own user namespace."""
    host = container["HostConfig"]
    found = ["privileged"] if host.get("Privileged") else []
    found += ["network of the host"] if host.get("NetworkMode") == "host" else []
    return found + (["processes of the host"] if host.get("PidMode") == "host" else [])


def attached(container: Mapping[str, Any]) -> list[str]:
    """Return the names of a container's volumes."""
    return [mount["Name"] for mount in container.get("Mounts") or () if mount["Type"] == "volume"]


def upper(container: Mapping[str, Any]) -> str:
    """Return the folder with a container's changes to its image; empty if the driver has none."""
    driver = container.get("GraphDriver") or {}
    return str((driver.get("Data") or {}).get("UpperDir") or "") if driver.get("Name") == "overlay2" else ""


def _of_engine(info: Mapping[str, Any]) -> list[str]:
    found = []
    if info.get("Swarm", {}).get("LocalNodeState", "inactive") not in ("", "inactive"):
        found.append("this host is part of a swarm, whose state would be lost: leave the swarm first")
    status = {str(row[0]): str(row[1]) for row in info.get("DriverStatus") or () if len(row) == 2}
    if "containerd" in status.get("driver-type", ""):
        found.append(
            "the engine keeps images in containerd's store, which excludes user namespaces"
            " (`hardener controls daemon-userns-remap` names the steps to leave it)"
        )
    options = " ".join(map(str, info.get("SecurityOptions") or ()))
    if "name=rootless" in options:
        found.append("the engine is rootless already")
    return found


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


class Client(Engine):
    """A client that reads from and writes to an engine."""

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Query = None,
        seconds: float = 120,
        accept: Iterable[int] = (),
    ) -> Any:
        """Send one request; return the answer as JSON data, None if it has no content.

        Raises:
            Failed: the engine refuses, or does not answer.
        """
        try:
            return super().call(method, path, body, query=query, seconds=seconds, accept=accept)
        except NoAnswer as error:
            raise Failed(f"{method} {error}") from error

    def data_root(self) -> str:
        """Return the engine's data root; empty if the engine does not answer."""
        return str((self.info() or {}).get("DockerRootDir", ""))

    def send_image(self, references: Sequence[str], other: Engine) -> None:
        """Stream an image from this engine to another one.

        Args:
            references: its tags, or its id; of one image.
            other: the engine that imports it.

        Raises:
            Failed: one of the engines refused, or did not answer.
        """
        what = references[0]
        names = self.target("/images/get", [("names", reference) for reference in references])
        try:
            with self.connect(idle=_LONG) as source, other.connect(idle=_LONG) as target:
                saved = source.open("GET", names)
                headers = {"Content-Type": "application/x-tar"}
                answer = target.request("POST", "/images/load?quiet=1", saved.pieces(), headers)
        except NoAnswer as error:
            raise Failed(f"the image {what} cannot be moved: {error}") from error
        if b'"errorDetail"' in answer:
            raise Failed(f"the image {what} cannot be loaded again: {message(answer)}")
