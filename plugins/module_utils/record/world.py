"""What the twins of a run have in common: networks of their own, and copies of volumes, each made once."""

from __future__ import annotations

import posixpath
from typing import Any, Iterable, Mapping, NamedTuple

from ..docker.client import quoted
from ..host.errors import Failed, describe
from . import twin, volumes, workspace
from .engine import Engine

_FOLDER = "/hardener-copy"
_MOST_NETWORKS = 32
_HOSTS = ("host", "bridge", "default", "nat")


class Place(NamedTuple):
    """Where a twin is in the network."""

    mode: str  # as HostConfig.NetworkMode
    aliases: Mapping[str, list[str]]  # networks, the one of the mode included, and the twin's names there


class World:
    """Networks and volumes of the twins of some containers.

    Args:
        engine: the engine.
        run: what everything is labelled with.
        originals: what the engine shows of the containers.
        same: whether the twins are in the networks of their originals, under names of their own.
        largest: bytes of a volume that may be copied.

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
        self.remarks: list[str] = []
        self._engine = engine
        self._run = run
        self._originals = list(originals)
        self._largest = largest
        self._networks: dict[str, str] = {}  # of the originals, and those of the twins
        self._twins: dict[str, str] = {}  # ids of originals, and those of their twins
        self._filled: set[str] = set()
        self._too_large: set[str] = set()
        self._kinds = {
            mount["Source"]: volumes.kind(mount["Source"])
            for original in self._originals
            for mount in original.get("Mounts") or ()
            if mount["Type"] == "bind"
        }
        self.sources = twin.copied_sources(self._originals, self._kinds)
        for original in self._originals:
            mode = _mode(original)
            if same and (mode == "host" or mode.startswith("container:")):
                raise Failed(
                    f"{original['Name'].lstrip('/')} has the network of {twin.owner(mode)}: "
                    "its twin cannot have the same, where the ports are taken"
                )

    # --- networks -------------------------------------------------------------------------------------------

    def make_networks(self) -> None:
        """Make networks without a way out: one for each of the originals', and one for those without any."""
        if self.same:
            return
        for name in sorted({name for original in self._originals for name in _networks(original)}):
            if len(self._networks) >= _MOST_NETWORKS:
                raise Failed(f"the containers have more than {_MOST_NETWORKS} networks")
            own = f"{workspace.prefix(self._run)}-{len(self._networks)}"
            body = {
                "Name": own,
                "Internal": True,
                "Labels": {twin.LABEL: self._run},
                "Driver": "bridge",
            }
            self._engine.call("POST", "/networks/create", body)
            self._networks[name] = own

    def place(self, original: Mapping[str, Any]) -> Place:
        """Where the twin of a container is."""
        mode = _mode(original)
        if mode == "none":
            return Place("none", {})
        kind, _, other = mode.partition(":")
        if kind == "container" and other in self._twins:
            return Place(f"container:{self._twins[other]}", {})
        if self.same:
            return Place(mode, {name: [] for name in _networks(original) if name})
        aliases = {self._networks[name]: _aliases(original, name) for name in _networks(original)}
        return Place(next(iter(aliases)), aliases)

    def made(self, original: Mapping[str, Any], identity: str) -> None:
        """Remember the twin of a container: others may share its network."""
        self._twins[original["Id"]] = identity

    # --- volumes --------------------------------------------------------------------------------------------

    def plan(self, original: Mapping[str, Any], *, used: bool, low_ports: str | None) -> twin.Twin:
        """The twin of a container; its volumes are there and filled.

        Raises:
            Failed: a volume cannot be copied.
        """
        place = self.place(original)
        for mount in original.get("Mounts") or ():
            source = mount.get("Source") or ""
            if source in self.sources and source not in self._too_large and (used or mount["Type"] == "bind"):
                self._see_size(mount)
        found = twin.plan(
            original,
            self._image(original),
            run=self._run,
            network=place.mode,
            used=used,
            kinds=self._kinds,
            low_ports=low_ports,
            sources=self.sources,
            too_large=self._too_large,
        )
        own = place.aliases.get(place.mode)
        if own:
            found.body["NetworkingConfig"] = {"EndpointsConfig": {place.mode: {"Aliases": own}}}
        for volume in found.volumes:
            if volume.copied and volume.name not in self._filled:
                self._fill(original, volume)
                self._filled.add(volume.name)
        return found

    def forget(self, names: Iterable[str]) -> None:
        """Take volumes for gone."""
        self._filled.difference_update(names)

    def join(self, original: Mapping[str, Any], identity: str) -> None:
        """Let a twin that was created into its further networks."""
        place = self.place(original)
        for name, aliases in place.aliases.items():
            if name != place.mode:
                body = {"Container": identity, "EndpointConfig": {"Aliases": aliases}}
                self._engine.call("POST", f"/networks/{quoted(name)}/connect", body)

    def _image(self, original: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._engine.get(f"/images/{quoted(original['Image'])}/json")
        return found

    def _see_size(self, mount: Mapping[str, Any]) -> None:
        source, target = mount["Source"], mount["Destination"]
        if volumes.size(source, self._largest) > self._largest:
            self._too_large.add(source)
            self.remarks.append(
                f"{target} holds more than {self._largest} bytes: it is not copied, "
                "and the twin goes on with that of its first start"
            )

    def _fill(self, original: Mapping[str, Any], volume: twin.Volume) -> None:
        """Copy what the original has in a volume, by a container that never starts."""
        name = posixpath.basename(volume.target.rstrip("/"))
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
            self._engine.copy(original["Id"], volume.target, identity, _FOLDER, most=self._largest)
        except Failed as error:
            raise Failed(f"{volume.target} cannot be copied: {describe(error)}") from None
        finally:
            self._engine.call("DELETE", f"/containers/{identity}", query={"force": "1"})


def _mode(original: Mapping[str, Any]) -> str:
    return str(original["HostConfig"].get("NetworkMode") or "default")


def _networks(original: Mapping[str, Any]) -> list[str]:
    """Networks of a container, that of its mode first; the empty name is for those without their own."""
    mode = _mode(original)
    if mode == "none":
        return []
    found = (original.get("NetworkSettings") or {}).get("Networks") or {}
    if mode in _HOSTS or mode.startswith("container:"):
        return ["", *sorted(name for name in found if name not in _HOSTS)]
    return sorted(set(found) or {mode}, key=lambda name: (name != mode, name))


def _aliases(original: Mapping[str, Any], network: str) -> list[str]:
    """The names of a container in one of its networks; its own name is one of them."""
    endpoint = ((original.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
    names = [*(endpoint.get("Aliases") or ()), original["Name"].lstrip("/")]
    return sorted({name for name in names if name and name != original["Id"][:12]})
