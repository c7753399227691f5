"""A twin has the program and the rights of its original, and nothing that reaches the world of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import twin
from ansible_collections.hardener.docker.plugins.module_utils.record.volumes import WITH_DOORS

from tests.unit.plugins.module_utils.record.inspected import container

IMAGE: Mapping[str, Any] = {"Config": {"Labels": {"traefik.enable": "true", twin.LABEL: "of-an-image"}}}
KINDS = {"/etc/web": "directory", "/srv/up": "directory", "/run/docker.sock": "a socket"}


def plan(*, used: bool = True, kinds: Mapping[str, str] = KINDS, **host: Any) -> twin.Twin:
    return planned(container(**host), used=used, kinds=kinds)


def planned(original: Mapping[str, Any], *, used: bool = True, kinds: Mapping[str, str] = KINDS) -> twin.Twin:
    return twin.plan(
        original,
        IMAGE,
        run="f" * 16,
        network="own",
        used=used,
        kinds=kinds,
        low_ports="1024",
        sources=twin.copied_sources([original], kinds),
        unfiltered=False,
    )


def test_a_twin_has_the_program_and_the_rights_of_its_original() -> None:
    body = plan().body
    assert body["Image"] == "sha256:" + "d" * 64  # not a tag, which may be another image's by now
    assert (body["User"], body["Cmd"][0], body["Entrypoint"][0]) == ("33", "--password", "/entrypoint")
    assert body["Env"][1] == "TOKEN=planted-in-the-environment"
    host = body["HostConfig"]
    assert (host["CapAdd"], host["Memory"]) == (["NET_ADMIN"], 1 << 30)
    assert host["SecurityOpt"][1] == "no-new-privileges"


@pytest.mark.parametrize(("limit", "expected"), [(None, 16384), (0, 16384), (-1, 16384), (20000, 20000)])
def test_a_twin_has_a_limit_of_processes_also_if_its_original_has_none(limit: object, expected: int) -> None:
    assert plan(PidsLimit=limit).body["HostConfig"]["PidsLimit"] == expected


def test_a_twin_has_its_own_network_without_published_ports_restarts_and_binds() -> None:
    body = plan().body
    host = body["HostConfig"]
    assert host["NetworkMode"] == "own"
    assert host["PortBindings"] == {}
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["LogConfig"]["Type"] == "json-file"
    assert host["Binds"] is None
    # A proxy may go by any other label; that of the image can only be emptied.
    assert body["Labels"] == {"hardener.twin": "f" * 16, "traefik.enable": ""}
    assert body["Healthcheck"] == {"Test": ["NONE"]}
    assert "Hostname" not in body


@pytest.mark.parametrize("image", [{}, {"Config": None}, {"Config": {"Labels": None}}])
def test_an_image_without_labels_has_no_labels_to_empty(image: Mapping[str, Any]) -> None:
    assert twin.labels("f" * 16, image) == {"hardener.twin": "f" * 16}


def test_ports_are_published_by_a_binding_by_the_option_for_all_or_by_the_network_of_the_host() -> None:
    def found(**host: Any) -> list[tuple[int, str, bool]]:
        exposed: dict[str, Any] = {"80/tcp": {}, "53/udp": {}}
        return twin.every_port({"HostConfig": host, "Config": {"ExposedPorts": exposed}})

    assert found() == [(53, "udp", False), (80, "tcp", False)]
    assert found(PortBindings={"80/tcp": None, "81": []}) == [
        *((53, "udp", False), (80, "tcp", True), (81, "tcp", True)),
    ]
    for host in ({"PublishAllPorts": True}, {"NetworkMode": "host"}):
        assert found(**host) == [(53, "udp", True), (80, "tcp", True)]


@pytest.mark.parametrize(
    "entry", ["80/quic", "0/tcp", "65536", "8" * 5000, "²/tcp", "-1", "", "/", "80-81/tcp"]
)
def test_a_port_that_no_engine_knows_is_left_out(entry: str) -> None:
    found = {"HostConfig": {"PublishAllPorts": True}, "Config": {"ExposedPorts": {entry: {}, "443/TCP": {}}}}
    assert twin.every_port(found) == [(443, "tcp", True)]


def test_published_ports_or_else_exposed_ports_are_forwarded() -> None:
    assert plan().ports == [(80, "tcp")]
    assert plan(PortBindings={}).ports == [(80, "tcp"), (443, "tcp")]  # exposed by the image
    assert plan(NetworkMode="host").ports == [(80, "tcp"), (443, "tcp")]


@pytest.mark.parametrize("used", [False, True])
def test_a_twin_has_its_own_volumes(used: bool) -> None:
    found = plan(used=used)
    by_target = {mount["Target"]: mount for mount in found.body["HostConfig"]["Mounts"]}
    assert set(by_target) == {"/data", "/etc/web", "/up"}
    assert by_target["/data"]["Source"].startswith("hardener-twin-ffffffffffffffff-")
    assert by_target["/data"]["VolumeOptions"]["NoCopy"] is used
    assert by_target["/data"]["VolumeOptions"]["Labels"] == {"hardener.twin": "f" * 16}
    assert by_target["/etc/web"] == {
        "Type": "bind",
        "Source": "/etc/web",
        "Target": "/etc/web",
        "ReadOnly": True,
    }
    assert by_target["/up"]["Type"] == "volume"  # written to by the original: the twin has a copy
    assert [(volume.target, volume.copied) for volume in found.volumes] == [("/data", used), ("/up", True)]


def test_a_socket_of_the_host_is_not_given_to_the_twin() -> None:
    assert plan().differences == ["the twin has no /run/docker.sock: it is a socket of the host"]


def test_a_writable_file_of_the_host_is_read_only_in_the_twin() -> None:
    found = plan(kinds={**KINDS, "/srv/up": "file"})
    mount = next(each for each in found.body["HostConfig"]["Mounts"] if each["Target"] == "/up")
    assert mount["Type"] == "bind"
    assert mount["ReadOnly"] is True
    assert "/up is read-only for the twin" in found.differences


def test_a_mount_of_an_image_is_requested_again_and_one_of_an_unknown_kind_is_omitted() -> None:
    original = container()
    image = {"Type": "image", "Source": "data:1", "Target": "/image/", "ImageOptions": {"Subpath": "a"}}
    original["HostConfig"]["Mounts"] = [image]
    original["Mounts"] = [
        {"Type": "image", "Source": "/var/lib/merged", "Destination": "/image", "RW": False},
        {"Type": "cluster", "Source": "", "Destination": "/cluster", "RW": True},
    ]
    found = planned(original)
    assert found.body["HostConfig"]["Mounts"] == [image]
    assert found.differences == ["the twin has no /cluster: it is a mount of the kind cluster"]


def test_namespaces_of_the_host_are_not_shared_with_the_twin() -> None:
    found = plan(NetworkMode="host", PidMode="host", IpcMode="container:abc", UTSMode="host")
    host = found.body["HostConfig"]
    assert (host["NetworkMode"], host["PidMode"], host["IpcMode"], host["UTSMode"]) == (
        "own",
        "",
        "private",
        "",
    )
    assert host["Sysctls"]["net.ipv4.ip_unprivileged_port_start"] == "1024"  # as the host's network has it
    assert host["Sysctls"]["net.core.somaxconn"] == "1024"
    assert found.differences[:4] == [
        "the original uses the network of the host, its twin has a network of its own",
        "the original shares the processes of the host, its twin does not",
        "the original shares the shared memory of another container, its twin does not",
        "the original shares the host name of the host, its twin does not",
    ]


def test_the_data_of_the_original_is_not_modified() -> None:
    original = container()
    planned(original)
    assert original == container()


def confinement(**host: Any) -> dict[str, Any]:
    return {"host": {"CapDrop": ["ALL"], "SecurityOpt": [], **host}, "user": "", "devices": ["/dev/fuse"]}


def test_a_confined_twin_has_only_the_rights_of_the_confinement() -> None:
    devices = [{"PathInContainer": path, "PathOnHost": path} for path in ("/dev/fuse", "/dev/kvm")]
    body = plan(Devices=devices, Privileged=True, PidsLimit=100, Tmpfs={"/own": "rw"}).body
    given = confinement(
        Privileged=False, CapAdd=["CHOWN"], Tmpfs={"/run": "rw"}, ReadonlyRootfs=True, NetworkMode="host"
    )
    found = twin.confined(body, {**given, "user": "33:33"})
    host = found["HostConfig"]
    assert (host["Privileged"], host["CapAdd"], host["CapDrop"]) == (False, ["CHOWN"], ["ALL"])
    assert host["SecurityOpt"] == []  # of the original's none is left
    assert host["Tmpfs"] == {"/own": "rw", "/run": "rw"}
    assert [each["PathInContainer"] for each in host["Devices"]] == ["/dev/fuse"]
    assert (found["User"], host["ReadonlyRootfs"], host["Memory"]) == ("33:33", True, 1 << 30)
    assert (host["PidsLimit"], host["NetworkMode"]) == (100, "own")  # which no confinement decides
    assert body["HostConfig"]["CapAdd"] == ["ALL"]  # as before
    assert twin.confined(body, given)["User"] == "33"


def test_a_confinement_can_remove_a_tmpfs_mount_of_the_original() -> None:
    body = plan(Tmpfs={"/own": "rw", "/run": "rw"}).body
    found = twin.confined(body, confinement(Tmpfs={"/run": None}))
    assert found["HostConfig"]["Tmpfs"] == {"/own": "rw"}


def test_devices_of_the_host_are_omitted() -> None:
    disk = {"PathOnHost": "/dev/sdb", "PathInContainer": "/dev/data", "CgroupPermissions": "rwm"}
    found = plan(Devices=[disk])
    assert found.body["HostConfig"]["Devices"] == []
    assert any("/dev/data" in each for each in found.differences)


def test_a_read_only_folder_with_sockets_is_copied() -> None:
    kinds = {**KINDS, "/etc/web": WITH_DOORS}
    found = plan(kinds=kinds)
    by_target = {mount["Target"]: mount for mount in found.body["HostConfig"]["Mounts"]}
    assert (by_target["/etc/web"]["Type"], by_target["/etc/web"]["ReadOnly"]) == ("volume", True)
    assert "/etc/web" in {volume.target for volume in found.volumes if volume.copied}


@pytest.mark.parametrize("unmasked", [{"Privileged": True}, {"MaskedPaths": [], "ReadonlyPaths": []}])
def test_a_confinement_masks_the_default_paths(unmasked: dict[str, Any]) -> None:
    body = plan(**unmasked).body
    assert body["HostConfig"]["MaskedPaths"] == []
    host = twin.confined(body, confinement(Privileged=False, CapAdd=[]))["HostConfig"]
    assert (host["MaskedPaths"], host["ReadonlyPaths"], host["CapAdd"]) == (None, None, [])
