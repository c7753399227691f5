from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration import definition
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.definition import Names

SELF, DATABASE, INNER = "a" * 64, "b" * 64, "c" * 64
IMAGE: dict[str, Any] = {"RepoTags": ["app:1"], "Config": {"Entrypoint": ["/entry"]}}
NAMES = Names({DATABASE: "db", SELF: "web"}, {INNER: "inner"})


def inspected(**changes: Any) -> dict[str, Any]:
    """What an engine shows of a container; ``host`` and ``config`` are merged into their sections."""
    container = {
        "Id": SELF,
        "Name": "/web",
        "Image": "sha256:1",
        "Config": {
            "Hostname": "aaaaaaaaaaaa",
            "Domainname": "",
            "Image": "app:1",
            "Env": ["A=1"],
            "Cmd": ["run"],
            "Entrypoint": ["/entry"],
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": None,
            "Labels": {"a": "b"},
            "Healthcheck": {"Test": ["CMD", "true"]},
        },
        "HostConfig": {
            "Binds": None,
            "NetworkMode": "inner",
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "PidMode": "",
            "IpcMode": "private",
            "UTSMode": "",
            "UsernsMode": "",
            "CapDrop": ["ALL"],
            "Memory": 1 << 26,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        },
        "Mounts": [],
        "NetworkSettings": {"Networks": {}},
    }
    found: dict[str, Any] = {**deepcopy(container), **changes}
    found["Config"] = {**container["Config"], **changes.pop("config", {})}  # type: ignore[dict-item]
    found["HostConfig"] = {**container["HostConfig"], **changes.pop("host", {})}  # type: ignore[dict-item]
    return found


def made(
    container: dict[str, Any], *, image: dict[str, Any] | None = None, **options: Any
) -> definition.Definition:
    options = {"host_userns": False, **options}
    return definition.container(container, IMAGE if image is None else image, NAMES, **options)


def test_a_container_is_recreated_with_the_settings_of_its_first_request() -> None:
    before = inspected()
    found = made(before)
    assert found.name == "web"
    host = found.body.pop("HostConfig")
    assert found.body == before["Config"]
    assert {key: host[key] for key in before["HostConfig"]} == before["HostConfig"]


def test_a_container_whose_image_name_has_changed_is_recreated_from_the_image_id() -> None:
    for reference in ("app:2", "app@sha256:1234", "sha256:1"):
        assert made(inspected(config={"Image": reference})).body["Image"] == "sha256:1"


def test_a_removed_entrypoint_stays_removed() -> None:
    bare = inspected(config={"Entrypoint": None})
    assert made(bare).body["Entrypoint"] == []
    assert (
        made(bare, image={"RepoTags": ["app:1"], "Config": {"Entrypoint": None}}).body["Entrypoint"] is None
    )


def test_networks_keep_addresses_and_aliases() -> None:
    networks = {
        "inner": {
            "IPAMConfig": {"IPv4Address": "10.0.0.9"},
            "Aliases": ["database", "aaaaaaaaaaaa"],
            "IPAddress": "10.0.0.9",
            "MacAddress": "02:42:0a:00:00:09",
            "NetworkID": INNER,
        },
        "second": {"IPAMConfig": None, "Aliases": None, "IPAddress": "10.1.0.2"},
    }
    found = made(inspected(NetworkSettings={"Networks": networks}))
    assert found.body["NetworkingConfig"] == {
        "EndpointsConfig": {
            "inner": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["database"]},
        }
    }
    assert found.networks == [("second", {"Aliases": []})]


def test_a_network_that_is_named_by_its_id_is_found_by_its_name() -> None:
    found = made(inspected(host={"NetworkMode": INNER}, NetworkSettings={"Networks": {"inner": {}}}))
    assert found.body["HostConfig"]["NetworkMode"] == "inner"
    assert found.networks == []


@pytest.mark.parametrize("mode", ["default", "bridge"])
def test_a_container_on_the_default_bridge_is_recreated_without_aliases(mode: str) -> None:
    networks = {"bridge": {"IPAMConfig": None, "Aliases": None, "Links": None}}
    found = made(inspected(host={"NetworkMode": mode}, NetworkSettings={"Networks": networks}))
    assert "NetworkingConfig" not in found.body
    assert found.networks == []


def test_namespaces_of_another_container_are_found_by_its_name() -> None:
    container = inspected(
        host={
            "NetworkMode": f"container:{DATABASE}",
            "PidMode": "container:db",
            "VolumesFrom": [f"{DATABASE}:ro"],
        },
        NetworkSettings={"Networks": {}},
    )
    found = made(container)
    host = found.body["HostConfig"]
    assert (host["NetworkMode"], host["PidMode"]) == ("container:db", "container:db")
    assert host["VolumesFrom"] == ["db:ro"]
    assert host["PortBindings"] is None
    assert not {"Hostname", "ExposedPorts"} & found.body.keys()
    assert definition.needs(container) == [DATABASE, "db", DATABASE]


def test_legacy_links_are_recreated() -> None:
    container = inspected(host={"NetworkMode": "bridge", "Links": ["/db:/web/store", "/cache:/web/cache"]})
    assert made(container).body["HostConfig"]["Links"] == ["db:store", "cache:cache"]
    assert definition.needs(container) == ["db", "cache"]


def volume(name: str, target: str, **more: Any) -> dict[str, Any]:
    return {"Type": "volume", "Name": name, "Destination": target, "RW": True, **more}


def test_anonymous_volumes_are_attached_again() -> None:
    container = inspected(
        host={"Binds": ["data:/data:ro", "/srv:/srv"]},
        Mounts=[
            volume("data", "/data"),
            volume("f00", "/var/cache"),
            volume("f01", "/log", RW=False),
            {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
        ],
    )
    assert made(container).body["HostConfig"]["Binds"] == [
        "data:/data:ro",
        "/srv:/srv",
        "f01:/log:ro",
        "f00:/var/cache",
    ]


def test_an_empty_volume_is_not_filled_from_the_image() -> None:
    container = inspected(
        host={
            "Binds": ["data:/data:ro", "other:/other"],
            "Mounts": [{"Type": "volume", "Source": "", "Target": "/anonymous"}],
        },
        Mounts=[volume("data", "/data"), volume("other", "/other"), volume("f00", "/anonymous")],
    )
    host = made(container, empty=frozenset({"data", "other", "f00"})).body["HostConfig"]
    assert host["Binds"] == ["data:/data:ro,nocopy", "other:/other:nocopy"]
    assert host["Mounts"] == [
        {"Type": "volume", "Source": "f00", "Target": "/anonymous", "VolumeOptions": {"NoCopy": True}}
    ]


def test_volumes_from_another_container_are_not_bound_again() -> None:
    container = inspected(host={"VolumesFrom": ["db"]}, Mounts=[volume("data", "/data")])
    assert made(container).body["HostConfig"]["Binds"] is None


def test_exempt_containers_request_the_hosts_user_namespace() -> None:
    assert made(inspected(), host_userns=True).body["HostConfig"]["UsernsMode"] == "host"


def test_the_inspected_data_is_not_modified() -> None:
    container = inspected(host={"Binds": ["data:/data"]}, Mounts=[volume("data", "/data")])
    before = deepcopy(container)
    made(container, empty=frozenset({"data"}), host_userns=True)
    assert container == before


def test_settings_that_differ_after_creation_are_named() -> None:
    before = inspected()
    wanted = made(before)
    after = {"Config": deepcopy(wanted.body), "HostConfig": deepcopy(wanted.body["HostConfig"])}
    assert definition.changed(before, after, wanted) == []
    after["HostConfig"]["Memory"] = 0
    after["Config"]["Env"] = ["A=1", "B=2"]
    assert definition.changed(before, after, wanted) == ["Config.Env", "HostConfig.Memory"]


NETWORK: dict[str, Any] = {
    "Name": "inner",
    "Id": INNER,
    "Driver": "bridge",
    "EnableIPv6": False,
    "Internal": True,
    "Attachable": False,
    "Options": {"com.docker.network.bridge.enable_icc": "false"},
    "Labels": {"a": "b"},
    "IPAM": {
        "Driver": "default",
        "Options": None,
        "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1", "IPRange": ""}],
    },
    "ConfigFrom": {"Network": ""},
    "Containers": {SELF: {}},
}


def test_a_network_keeps_its_addresses_and_bridge_name() -> None:
    found = definition.network(NETWORK)
    assert found["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]
    assert found["Options"] == {
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.name": "br-cccccccccccc",
    }
    assert (found["Internal"], found["Labels"]) == (True, {"a": "b"})
    assert "Containers" not in found
    named = {**NETWORK, "Options": {"com.docker.network.bridge.name": "mine"}}
    assert definition.bridge(named) == "mine"
    assert definition.network(named)["Options"] == named["Options"]


def test_no_bridge_is_named_for_a_network_of_another_driver() -> None:
    found = {**NETWORK, "Driver": "macvlan", "Options": {"parent": "eth0"}}
    assert definition.bridge(found) == ""
    assert definition.network(found)["Options"] == {"parent": "eth0"}


def test_a_network_that_takes_its_configuration_from_another_is_requested_again() -> None:
    found = definition.network({**NETWORK, "ConfigFrom": {"Network": "template"}})
    assert found["ConfigFrom"] == {"Network": "template"}
    assert "IPAM" not in found
