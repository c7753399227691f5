from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration import survey
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.ids import (
    UNSHIFTED,
    Range,
    Shift,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.survey import (
    Holdings,
    Survey,
)
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NoAnswer

SHIFT = Shift(Range(100_000, 65_536), Range(100_000, 65_536))


def container(
    name: str = "web", *, running: bool = True, mounts: list[Any] | None = None, **host: Any
) -> dict[str, Any]:
    return {
        "Id": name * 8,
        "Name": f"/{name}",
        "Image": "sha256:1",
        "State": {"Running": running},
        "HostConfig": {
            "NetworkMode": "bridge",
            "PidMode": "",
            "IpcMode": "private",
            "UsernsMode": "",
            **host,
        },
        "Mounts": mounts or [],
    }


def volume(name: str, folder: str = "/none", **more: Any) -> dict[str, Any]:
    return {"Name": name, "Driver": "local", "Mountpoint": folder, "Options": None, **more}


def mount(name: str) -> dict[str, Any]:
    return {"Type": "volume", "Name": name, "Destination": f"/{name}"}


def holding(*containers: dict[str, Any], exempt: tuple[str, ...] = (), **parts: Any) -> Survey:
    found = {
        "images": [{"Id": "sha256:1", "Size": 1000}],
        "volumes": [],
        "networks": [],
        "plugins": [],
        "info": {"Swarm": {"LocalNodeState": "inactive"}, "DriverStatus": [["Backing Filesystem", "extfs"]]},
        **parts,
    }
    return Survey(Holdings(list(containers), **found), SHIFT, exempt)


def test_a_migratable_engine_has_no_obstacles() -> None:
    assert holding(container(), container("db", running=False, AutoRemove=True)).obstacles() == []


@pytest.mark.parametrize(
    ("host", "claim"),
    [
        ({"Privileged": True}, "privileged"),
        ({"NetworkMode": "host"}, "network of the host"),
        ({"PidMode": "host"}, "processes of the host"),
    ],
)
def test_a_container_that_needs_the_hosts_user_namespace_must_be_exempt(
    host: dict[str, Any], claim: str
) -> None:
    (found,) = holding(container("tool", **host)).obstacles()
    assert found == (
        f"tool needs the host's user namespace ({claim}): name it in userns_remap_exempt, or run it without"
        " these"
    )
    allowed = holding(container("tool", **host), exempt=("to*",))
    assert allowed.obstacles() == []
    assert allowed.notes() == ["tool stays in the host's user namespace"]
    assert holding(container("tool", UsernsMode="host", **host)).obstacles() == []


def test_a_container_that_does_not_need_the_hosts_user_namespace_is_not_exempt() -> None:
    assert not holding(container("web"), exempt=("*",)).in_host_userns(container("web"))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"images": []}, "its image is gone"),
        ({"volumes": [volume("far", Driver="nfs")]}, "the volume far is of the driver nfs"),
        ({"networks": [{"Name": "wide", "Scope": "swarm"}]}, "the network wide is not of this host alone"),
        ({"plugins": [{"Name": "loki:latest"}]}, "the plugin loki:latest would have to be installed again"),
        ({"info": {"Swarm": {"LocalNodeState": "active"}}}, "part of a swarm"),
        ({"info": {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}}, "containerd's store"),
        ({"info": {"SecurityOptions": ["name=rootless"]}}, "rootless"),
    ],
)
def test_data_that_cannot_be_migrated_is_an_obstacle(parts: dict[str, Any], said: str) -> None:
    (found,) = holding(container(), **parts).obstacles()
    assert said in found


def test_a_container_that_is_dead_or_removed_when_it_stops_is_an_obstacle() -> None:
    assert "is removed when it stops (--rm)" in holding(container(AutoRemove=True)).obstacles()[0]
    dead = {**container(), "State": {"Dead": True}}
    assert holding(dead).obstacles() == ["web is dead: remove it first"]


def test_an_exempt_container_that_shares_its_namespaces_with_a_migrated_one_is_an_obstacle() -> None:
    tool = container("tool", Privileged=True)
    guest = container("guest", NetworkMode=f"container:{tool['Id']}")
    (found,) = holding(tool, guest, exempt=("tool",)).obstacles()
    assert found.startswith("guest shares namespaces with tool")


def test_ids_are_not_shifted_in_a_volume_that_only_exempt_containers_use() -> None:
    tool = container("tool", Privileged=True, mounts=[mount("own"), mount("both")])
    web = container("web", mounts=[mount("both")])
    volumes = [volume(name) for name in ("own", "both", "unused")]
    found = holding(tool, web, volumes=volumes, exempt=("tool",))
    assert {each.name: each.shift for each in found.volumes} == {
        "own": UNSHIFTED,
        "both": SHIFT,
        "unused": SHIFT,
    }


def test_volumes_outside_of_the_data_root_are_not_copied_but_named() -> None:
    web = container(mounts=[{"Type": "bind", "Source": "/srv/b"}, {"Type": "bind", "Source": "/srv/a"}])
    found = holding(web, volumes=[volume("nfs", Options={"device": ":/export", "type": "nfs"})])
    assert found.volumes == []
    bind, elsewhere = found.notes()
    assert bind.startswith("web mounts /srv/a, /srv/b of the host, whose owners stay as they are")
    assert elsewhere.startswith("the volume nfs is outside of the data root")


class Engine:
    """An engine that is asked how large everything is."""

    def __init__(self, layers: int | None, changes: list[Any] | None = None) -> None:
        self._layers = layers
        self._changes = changes

    def get(self, path: str, query: Any = None, *, seconds: float = 0) -> Any:
        assert path == "/system/df"
        if self._layers is None:
            raise NoAnswer("timed out")
        return {"LayersSize": self._layers}

    def call(self, method: str, path: str) -> Any:
        assert (method, path.rpartition("/")[2]) == ("GET", "changes")
        return self._changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(b"x" * 100_000)
    return tmp_path


def measure(found: Survey, engine: Engine) -> tuple[int, list[str]]:
    return found.measure(engine)  # type: ignore[arg-type]


def test_missing_disk_space_is_an_obstacle(folder: Path) -> None:
    info = {"DockerRootDir": str(folder)}
    found = holding(volumes=[volume("data", str(folder / "data"))], info=info)
    needed, obstacles = measure(found, Engine(5000))
    assert obstacles == []
    assert needed > 107_000  # the volume, the layers, an image twice on its way, and some room to spare
    room = os.statvfs(folder)
    (said,) = measure(found, Engine(room.f_bavail * room.f_frsize + 1))[1]
    assert "are needed to copy everything" in said


def test_disk_space_is_measured_even_if_the_engine_gives_no_size_of_layers(folder: Path) -> None:
    found = holding(info={"DockerRootDir": str(folder)})
    assert measure(found, Engine(None)) == measure(found, Engine(1000))


def test_changed_image_files_move_only_with_overlay2(folder: Path) -> None:
    info = {"DockerRootDir": str(folder)}
    other = {**container(), "GraphDriver": {"Name": "vfs", "Data": None}}
    assert measure(holding(other, info=info), Engine(0, None))[1] == []
    (said,) = measure(holding(other, info=info), Engine(0, [{"Path": "/x", "Kind": 1}]))[1]
    assert "only be moved with the storage driver overlay2" in said
    layered = {
        **container(),
        "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": str(folder / "data")}},
    }
    assert survey.upper(layered) == str(folder / "data")
    assert measure(holding(layered, info=info), Engine(0, [{"Path": "/x", "Kind": 1}]))[1] == []


def test_ids_beyond_the_range_are_an_obstacle(folder: Path) -> None:
    narrow = Shift(Range(100_000, 0), Range(100_000, 0))
    found = Survey(
        Holdings([], [], [volume("data", str(folder / "data"))], [], [], {"DockerRootDir": str(folder)}),
        narrow,
        (),
    )
    assert "the volume data: . belongs to" in measure(found, Engine(0))[1][0]
