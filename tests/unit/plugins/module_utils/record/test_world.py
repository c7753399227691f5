"""Twins have the networks and names of their originals among themselves, and volumes that are copied once."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import remap, twin
from ansible_collections.hardener.docker.plugins.module_utils.record.world import Place, World

from tests.unit.plugins.module_utils.record.inspected import container

RUN = "f" * 16
OWN = f"hardener-twin-{RUN}"


class FakeEngine:
    """Takes note of requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.copied: list[tuple[str, str]] = []
        self.roots: list[remap.Root | None] = []
        self.users: list[remap.User | None] = []
        self.info: dict[str, Any] = {"DockerRootDir": "/"}
        self.protects_submounts = True

    def call(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        """Remember it."""
        self.requests.append((f"{method} {path}", body))
        return {"Id": f"made-{len(self.requests)}"}

    def get(self, path: str) -> Any:
        """What it shows of itself and of the image."""
        if path == "/info":
            return self.info
        assert path == f"/images/sha256%3A{'d' * 64}/json"
        return {"Config": {"Labels": {"com.docker.compose.project": "shop"}}}

    def remove(self, container: str) -> None:
        """Remember it."""
        self.requests.append((f"DELETE /containers/{container}", None))

    def copy(
        self,
        source: str,
        path: str,
        _target: str,
        _folder: str,
        *,
        most: int,
        root: remap.Root | None,
        user: remap.User | None,
    ) -> None:
        """Remember what is copied."""
        assert most == 1000
        self.copied.append((source, path))
        self.roots.append(root)
        self.users.append(user)


def shown(name: str, networks: dict[str, list[str]], **host: Any) -> dict[str, Any]:
    """What the engine shows of a container in some networks."""
    found = container(**{"NetworkMode": next(iter(networks), "none"), **host})
    found["Id"], found["Name"] = f"{name}{'0' * 60}", f"/shop-{name}-1"
    found["NetworkSettings"] = {"Networks": {key: {"Aliases": names} for key, names in networks.items()}}
    found["Mounts"] = []
    return found


def world(*originals: dict[str, Any], same: bool = False, **info: Any) -> tuple[World, FakeEngine]:
    engine = FakeEngine()
    engine.info.update(info)
    made = World(engine, RUN, originals, same=same, largest=1000)  # type: ignore[arg-type]
    made.make_networks()
    return made, engine


def test_twins_have_the_networks_and_names_of_their_originals() -> None:
    web = shown("web", {"front": ["web", "web000000000", "we"]})
    app = shown("app", {"back": ["app", "orders.internal"], "front": ["app"]})
    made, engine = world(web, app)
    assert [path for path, _ in engine.requests] == ["POST /networks/create"] * 2
    assert all(body["Internal"] and body["Labels"] == {"hardener.twin": RUN} for _, body in engine.requests)
    assert made.place(web) == Place(f"{OWN}-1", {f"{OWN}-1": ["shop-web-1", "we", "web"]})
    assert made.place(app) == Place(
        f"{OWN}-0",
        {f"{OWN}-0": ["app", "orders.internal", "shop-app-1"], f"{OWN}-1": ["app", "shop-app-1"]},
    )
    body = made.plan(app, used=True, low_ports=None).body
    assert body["NetworkingConfig"]["EndpointsConfig"].keys() == {f"{OWN}-0"}
    made.join(app, "twin")
    path, joined = engine.requests[-1]
    assert path == f"POST /networks/{OWN}-1/connect"
    assert joined == {"Container": "twin", "EndpointConfig": {"Aliases": ["app", "shop-app-1"]}}


@pytest.mark.parametrize(("mode", "network"), [("host", "host"), ("default", "bridge"), ("bridge", "bridge")])
def test_the_twin_of_a_container_in_the_host_or_default_network_gets_its_own_network(
    mode: str, network: str
) -> None:
    original = shown("web", {network: []}, NetworkMode=mode)
    made, _ = world(original)
    assert made.place(original) == Place(f"{OWN}-0", {f"{OWN}-0": ["shop-web-1"]})


def test_a_container_without_a_network_has_a_twin_without_one() -> None:
    original = shown("web", {})
    made, engine = world(original)
    assert (made.place(original), engine.requests) == (Place("none", {}), [])


def test_containers_that_share_a_network_namespace_have_twins_that_share_one() -> None:
    vpn = shown("vpn", {"front": ["vpn"]})
    app = shown("app", {}, NetworkMode=f"container:{vpn['Id']}")
    made, _ = world(vpn, app)
    made.made(vpn, "its-twin")
    found = made.plan(app, used=True, low_ports=None)
    assert found.body["HostConfig"]["NetworkMode"] == "container:its-twin"
    assert not {"Hostname", "ExposedPorts", "NetworkingConfig"} & found.body.keys()
    assert found.differences == []


def test_a_twin_in_the_network_of_its_original_does_not_get_its_name() -> None:
    original = shown("web", {"front": ["web"], "back": ["web"]})
    made, engine = world(original, same=True)
    assert made.place(original) == Place("front", {"front": [], "back": []})
    assert engine.requests == []
    assert "NetworkingConfig" not in made.plan(original, used=True, low_ports=None).body


@pytest.mark.parametrize("mode", ["host", "container:abc"])
def test_a_twin_that_would_use_the_ports_of_its_original_is_refused(mode: str) -> None:
    with pytest.raises(Failed, match="the twin cannot use it too"):
        world(shown("web", {}, NetworkMode=mode), same=True)


def test_a_shared_volume_is_copied_once_and_shared(tmp_path: Any) -> None:
    source = str(tmp_path)
    (tmp_path / "page").write_text("x" * 100)
    web, app = shown("web", {"front": []}), shown("app", {"front": []})
    web["Mounts"] = [{"Type": "bind", "Source": source, "Destination": "/public", "RW": False}]
    app["Mounts"] = [{"Type": "bind", "Source": source, "Destination": "/app/public", "RW": True}]
    made, engine = world(web, app)
    plans = [made.plan(each, used=True, low_ports=None) for each in (app, web)]
    own = {"hardener.twin": RUN, "com.docker.compose.project": ""}
    made_of = [body for path, body in engine.requests if path == "POST /containers/create"]
    assert [body["Labels"] for body in (*made_of, *(plan.body for plan in plans))] == [own] * 3
    names = [plan.volumes[0].name for plan in plans]
    assert names == [f"{OWN}-0-used"] * 2
    assert [plan.volumes[0].read_only for plan in plans] == [False, True]
    assert engine.copied == [(app["Id"], "/app/public")]
    made.forget(names)
    made.plan(app, used=True, low_ports=None)
    assert len(engine.copied) == 2


def test_a_volume_that_is_too_large_to_copy_keeps_the_data_of_the_first_start(tmp_path: Any) -> None:
    (tmp_path / "data").write_text("x" * 1001)
    original = shown("db", {"back": []})
    original["Mounts"] = [
        {"Type": "volume", "Name": "d", "Source": str(tmp_path), "Destination": "/d", "RW": True}
    ]
    made, engine = world(original)
    found = made.plan(original, used=True, low_ports=None)
    assert found.volumes == [twin.Volume(f"{OWN}-0-empty", "/d", read_only=False, copied=False)]
    assert engine.copied == []
    assert made.remarks[0].startswith("/d is not copied: it holds more than 1000 bytes")


def test_the_total_size_of_copies_is_bounded(tmp_path: Any) -> None:
    original = shown("db", {"back": []})
    for name in "abcdef":
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text("x" * 900)
        kind = "bind" if name in "ab" else "volume"
        original["Mounts"].append(
            {
                "Type": kind,
                "Name": name,
                "Source": str(tmp_path / name),
                "Destination": f"/{name}",
                "RW": True,
            }
        )
    made, engine = world(original)
    made.plan(original, used=False, low_ports=None)
    assert [path for _, path in engine.copied] == ["/a", "/b"]  # binds are copied for the first start, too
    plan = made.plan(original, used=True, low_ports=None)
    assert [path for _, path in engine.copied] == ["/a", "/b", "/a", "/b"]
    assert made.remarks[0].startswith("/c is not copied: it has 900 bytes, and 400 bytes are left for copies")
    assert [volume.name.rpartition("-")[2] for volume in plan.volumes] == ["used"] * 2 + ["empty"] * 4
    made.forget(volume.name for volume in plan.volumes)  # a proof begins anew, and decides the same
    again = made.plan(original, used=True, low_ports=None)
    assert [volume.name for volume in again.volumes] == [volume.name for volume in plan.volumes]


@pytest.mark.parametrize(
    ("mode", "options", "root"),
    [
        ("", ["name=userns"], remap.Root(231072, 231073)),
        ("host", ["name=userns"], None),
        ("", ["name=seccomp,profile=builtin"], None),
    ],
)
def test_files_are_copied_with_their_owners_inside_the_container(
    tmp_path: Any, mode: str, options: list[str], root: remap.Root | None
) -> None:
    folder = tmp_path / "231072.231073"
    folder.mkdir()
    original = shown("db", {"back": []}, UsernsMode=mode)
    original["Mounts"] = [{"Type": "volume", "Source": str(tmp_path), "Destination": "/d", "RW": True}]
    made, engine = world(original, DockerRootDir=str(folder), SecurityOptions=options)
    made.plan(original, used=True, low_ports=None)
    assert engine.roots == [root]
    opts_out = "files of /d have other owners in the copy"
    assert [each.startswith(opts_out) for each in made.remarks] == [True] * (mode == "host")


@pytest.mark.parametrize("first", [0, 1])
def test_a_user_in_place_of_root_gets_the_files_of_its_own_volumes(first: int) -> None:
    web, db = shown("web", {"back": []}), shown("db", {"back": []})
    web["Mounts"] = [
        {"Type": "volume", "Source": "/v/own", "Destination": "/own", "RW": True},
        {"Type": "volume", "Source": "/v/data", "Destination": "/views", "RW": False},
    ]
    db["Mounts"] = [
        {"Type": "volume", "Source": "/v/data", "Destination": "/data", "RW": True},
        {"Type": "volume", "Source": "/v/keys", "Destination": "/keys", "RW": False},
    ]
    made, engine = world(web, db)
    user = remap.User(999, 998)
    made.users = dict.fromkeys(twin.writable_sources(db), user)
    for original in ((web, db), (db, web))[first]:
        made.plan(original, used=True, low_ports=None)
    found = dict(zip((path for _, path in engine.copied), engine.users, strict=True))
    assert found == {"/own": None, ("/views", "/data")[first]: user, "/keys": None}
