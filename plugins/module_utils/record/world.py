"""Provide the networks and the copies of volumes that the twins of a run share."""

from __future__ import annotations

import os
import posixpath
from typing import Any, Iterable, Mapping, NamedTuple

from ..docker.client import quoted
from ..host.errors import Failed, describe
from . import remap, twin, volumes, workspace
from .describe import unfiltered
from .engine import Engine

_FOLDER = "/hardener-copy"
_MOST_NETWORKS = 32
_TIMES = 4
_KEPT = 20  # a twentieth of the disk
_HOSTS = ("host", "bridge", "default", "nat")


class Place(NamedTuple):
    """The position of a twin in the networks."""

    mode: str  # as HostConfig.NetworkMode
    aliases: Mapping[str, list[str]]  # networks, including that of the mode, with the twin's names there


class World:
    """The networks and volumes of the twins of one run.

    Args:
        engine: the engine.
        run: the label of everything.
        originals: inspect data of the containers.
        same: whether the twins join the networks of their originals, under other names.
        largest: bytes of a volume that may be copied; of all copies at once ``_TIMES`` as many; and a part of
            the engine's disk always stays free.

    Raises:
        Failed: a container's network cannot be shared.
    """

    def __init__(
        self,
        engine: Engine,
        run: str,
        originals: Iterable[Mapping[str, Any]],
        *,
        same: bool,
        largest: int,
    ) -> None:
        self.same = same
        self.users: dict[str, remap.User] = {}  # who gets the copies of root's files, by source
        self.remarks: list[str] = []
        self._engine = engine
        self._run = run
        self._originals = list(originals)
        self._largest = largest
        self._info: dict[str, Any] = engine.get("/info")
        self._disk = str(self._info.get("DockerRootDir") or "")
        self._root = remap.root(self._info)
        self._networks: dict[str, str] = {}  # networks of the originals, and those of the twins
        self._twins: dict[str, str] = {}  # ids of originals, and those of their twins
        self._filled: dict[str, int] = {}  # copies, and their bytes
        self._sizes: dict[str, int] = {}  # of sources
        self._too_large: set[str] = set()
        self._kinds = {
            mount["Source"]: volumes.kind(mount["Source"], recursive=engine.protects_submounts)
            for original in self._originals
            for mount in original.get("Mounts") or ()
            if mount["Type"] == "bind"
        }
        self.sources = twin.copied_sources(self._originals, self._kinds)
        for original in self._originals:
            mode = _mode(original)
            if same and twin.is_shared(mode):
                raise Failed(
                    f"{original['Name'].lstrip('/')} uses the network of {twin.owner(mode)}: "
                    "the twin cannot use it too, since the ports of the original are in use there"
                )

    # --- networks -------------------------------------------------------------------------------------------

    def make_networks(self) -> None:
        """Create isolated networks: one per original network, and one for containers on a shared network."""
        if self.same:
            return
        for name in sorted({name for original in self._originals for name in _networks(original)}):
            if len(self._networks) >= _MOST_NETWORKS:
                raise Failed(f"the containers have more than {_MOST_NETWORKS} networks")
            own = f"{workspace.prefix(self._run)}-{len(self._networks)}"
            body = {
                "Name": own,
                "Internal": True,
                # The host has no address in it through which a twin could reach the host.
                "Options": {"com.docker.network.bridge.inhibit_ipv4": "true"},
                "Labels": {twin.LABEL: self._run},
                "Driver": "bridge",
            }
            self._engine.call("POST", "/networks/create", body)
            self._networks[name] = own

    def place(self, original: Mapping[str, Any]) -> Place:
        """Return the network position of a container's twin."""
        mode = _mode(original)
        if mode == "none":
            return Place("none", {})
        kind, _separator, other = mode.partition(":")
        if kind == "container" and other in self._twins:
            return Place(f"container:{self._twins[other]}", {})
        if self.same:
            return Place(mode, {name: [] for name in _networks(original) if name})
        aliases = {self._networks[name]: _aliases(original, name) for name in _networks(original)}
        return Place(next(iter(aliases)), aliases)

    def made(self, original: Mapping[str, Any], identity: str) -> None:
        """Store the twin of a container, since other twins may share its network."""
        self._twins[original["Id"]] = identity

    # --- volumes --------------------------------------------------------------------------------------------

    def plan(self, original: Mapping[str, Any], *, used: bool, low_ports: str | None) -> twin.Twin:
        """Plan the twin of a container; its volumes are created and filled.

        Raises:
            Failed: a volume cannot be copied.
        """
        place = self.place(original)
        self._see_sizes(original, used=used)
        found = twin.plan(
            original,
            self._image(original),
            run=self._run,
            network=place.mode,
            used=used,
            kinds=self._kinds,
            low_ports=low_ports,
            sources=self.sources,
            unfiltered=unfiltered(original, self._info),
            too_large=self._too_large,
        )
        own = place.aliases.get(place.mode)
        if own:
            found.body["NetworkingConfig"] = {"EndpointsConfig": {place.mode: {"Aliases": own}}}
        for volume in found.volumes:
            if volume.copied and volume.name not in self._filled:
                self._fill(original, volume)
                self._filled[volume.name] = self._size_of(original, volume.target)
        return found

    def forget(self, names: Iterable[str]) -> None:
        """Note that volumes were removed."""
        for name in names:
            self._filled.pop(name, None)

    def join(self, original: Mapping[str, Any], identity: str) -> None:
        """Connect a created twin to its further networks."""
        place = self.place(original)
        for name, aliases in place.aliases.items():
            if name != place.mode:
                body = {"Container": identity, "EndpointConfig": {"Aliases": aliases}}
                self._engine.call("POST", f"/networks/{quoted(name)}/connect", body)

    def _image(self, original: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._engine.get(f"/images/{quoted(original['Image'])}/json")
        return found

    def _see_sizes(self, original: Mapping[str, Any], *, used: bool) -> None:
        """Decide which mounts of a container are too large to copy, each alone or all together."""
        planned = 0
        for mount in original.get("Mounts") or ():
            source = mount.get("Source") or ""
            if source not in self.sources or source in self._too_large:
                continue
            name = twin.volume_name(self._run, self.sources[source], used=used)
            if name in self._filled or not (used or mount["Type"] == "bind"):
                continue
            if source not in self._sizes:
                self._sizes[source] = volumes.size(source, self._largest)
            size, room = self._sizes[source], self._room() - planned
            if size <= min(self._largest, room):
                planned += size
                continue
            self._too_large.add(source)
            reason = f"it holds more than {self._largest} bytes"
            if size <= self._largest:
                reason = f"it has {size} bytes, and {max(0, room)} bytes are left for copies"
            target = mount["Destination"]
            self.remarks.append(
                f"{target} is not copied: {reason}; the twin keeps the volume of its first start"
            )

    def _room(self) -> int:
        """Return the bytes that are left for further copies."""
        left = _TIMES * self._largest - sum(self._filled.values())
        if self._disk:
            try:
                found = os.statvfs(self._disk)
            except OSError:
                return left
            kept = found.f_blocks * found.f_frsize // _KEPT
            left = min(left, found.f_bavail * found.f_frsize - kept)
        return left

    def _size_of(self, original: Mapping[str, Any], target: str) -> int:
        """Return the measured size of a container's mount."""
        return self._sizes.get(self._source(original, target), 0)

    @staticmethod
    def _source(original: Mapping[str, Any], target: str) -> str:
        """Return the host's path of a container's mount."""
        sources = (
            mount.get("Source") or "" for mount in original["Mounts"] if mount["Destination"] == target
        )
        return next(sources, "")

    def _fill(self, original: Mapping[str, Any], volume: twin.Volume) -> None:
        """Copy the original's data into a volume, through a container that never starts."""
        name = posixpath.basename(volume.target.rstrip("/"))
        root = self._root_in(original)
        if root is None and self._root is not None:
            self.remarks.append(
                f"files of {volume.target} have other owners in the copy: the engine remaps users, and the"
                " container opts out of that"
            )
        mount = {
            "Type": "volume",
            "Source": volume.name,
            "Target": f"{_FOLDER}/{name}",
            "VolumeOptions": {"NoCopy": True, "Labels": {twin.LABEL: self._run}},
        }
        body = {
            "Image": original["Image"],
            "Entrypoint": ["/none"],
            "Cmd": [],
            "Labels": twin.labels(self._run, self._image(original)),
            "HostConfig": {"NetworkMode": "none", "Mounts": [mount]},
        }
        query = {"name": f"{workspace.prefix(self._run)}-copy-{len(self._filled)}"}
        identity = str(self._engine.call("POST", "/containers/create", body, query=query)["Id"])
        try:
            self._engine.copy(
                original["Id"],
                volume.target,
                identity,
                _FOLDER,
                most=self._largest,
                root=root,
                user=self.users.get(self._source(original, volume.target)),
            )
        except Failed as error:
            raise Failed(f"{volume.target} cannot be copied: {describe(error)}") from None
        finally:
            self._engine.remove(identity)

    def _root_in(self, original: Mapping[str, Any]) -> remap.Root | None:
        """Return the ids of the host that are root in a container; None if it is the host's root."""
        if self._root is None or original["HostConfig"].get("UsernsMode") == "host":
            return None
        return self._root._replace(ids=remap.ids(int((original.get("State") or {}).get("Pid") or 0)))


def _mode(original: Mapping[str, Any]) -> str:
    return str(original["HostConfig"].get("NetworkMode") or "default")


def _networks(original: Mapping[str, Any]) -> list[str]:
    """Return the networks of a container, that of its mode first; an empty name means a shared network."""
    mode = _mode(original)
    if mode == "none":
        return []
    found = (original.get("NetworkSettings") or {}).get("Networks") or {}
    if mode in _HOSTS or mode.startswith("container:"):
        return ["", *sorted(name for name in found if name not in _HOSTS)]
    return sorted(set(found) or {mode}, key=lambda name: (name != mode, name))


def _aliases(original: Mapping[str, Any], network: str) -> list[str]:
    """Return the names of a container in one of its networks, including its own name."""
    endpoint = ((original.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
    names = [*(endpoint.get("Aliases") or ()), original["Name"].lstrip("/")]
    return sorted({name for name in names if name and name != original["Id"][:12]})
