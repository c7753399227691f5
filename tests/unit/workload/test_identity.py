"""The axes of a container's identity: each one that moves alone is named alone, wherever it is read."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import describe

from hardener.checks.lib.containers import containers
from hardener.snapshot import Snapshot
from hardener.workload.identity import Axis, axes, difference
from hardener.workload.observed import identity, place
from hardener.workload.recording import build
from tests.unit.plugins.module_utils.record.inspected import container as inspected
from tests.unit.snapshots import GONE, container, failed, make, merge, only, with_containers
from tests.unit.workload.recordings import document

LETTERS = "aZ09_-./:= \N{LATIN SMALL LETTER E WITH ACUTE}\N{CJK UNIFIED IDEOGRAPH-6F22}\\\"'"
Draw = Callable[[Random], Any]


def text(random: Random) -> str:
    return "".join(random.choices(LETTERS, k=random.randrange(9)))


def name(random: Random) -> str:
    return "n" + text(random)


def many(draw: Draw) -> Draw:
    return lambda random: [draw(random) for _ in range(random.randrange(4))]


def mount(random: Random) -> dict[str, Any]:
    kind = random.choice(("bind", "volume", "tmpfs"))
    return {"kind": kind, "target": f"/{text(random)}", "read_only": random.random() < 0.5}


def port(random: Random) -> dict[str, Any]:
    return {"container_port": random.randint(1, 65535), "protocol": random.choice(("tcp", "udp"))}


def flag(random: Random) -> bool:
    return random.random() < 0.5


# Axis → where a recording has it, and what it may be there.
RECORDED: dict[str, tuple[str, str, Draw]] = {
    "image digest": ("container", "digest", lambda random: f"sha256:{random.getrandbits(256):064x}"),
    "user": ("container", "user", text),
    "entrypoint": ("container", "entrypoint", many(text)),
    "command": ("container", "command", many(text)),
    "mounts": ("container", "mounts", many(mount)),
    "network mode": ("container", "network_mode", text),
    "pid mode": ("container", "pid_mode", text),
    "ipc mode": ("container", "ipc_mode", text),
    "userns mode": ("container", "userns_mode", text),
    "devices": ("container", "devices", many(name)),
    "sysctls": ("container", "sysctls", lambda random: {each: text(random) for each in many(name)(random)}),
    "security options": ("container", "security_options", many(text)),
    "environment": ("container", "environment", many(name)),
    "read only": ("container", "read_only", flag),
    "privileged": ("container", "privileged", flag),
    "capabilities added": ("container", "capabilities_added", many(name)),
    "capabilities dropped": ("container", "capabilities_dropped", many(name)),
    "published": ("container", "published", many(port)),
    "architecture": ("host", "architecture", lambda random: random.choice(("x86_64", "aarch64", "riscv64"))),
    "kernel series": ("host", "kernel", lambda random: random.choice(("6.1.9", "6.12.9", "6.18.0", "odd"))),
    "engine version": ("host", "engine", text),
    "runtime": ("host", "runtime", lambda random: {"name": name(random), "version": text(random).strip()}),
    "user namespaces": ("host", "userns_remap", flag),
}


def known(part: dict[str, dict[str, Any]]) -> dict[str, Any]:
    data = document()
    for name, values in part.items():
        data[name].update(copy.deepcopy(values))
    return axes(build(data, name="recording"))


def test_every_property_of_an_identity_has_a_test_value() -> None:
    assert list(RECORDED) == list(axes(build(document(), name="recording")))


@pytest.mark.parametrize("axis", RECORDED)
def test_only_the_changed_property_of_a_recording_is_listed(axis: str) -> None:
    moved = 0
    for seed in range(12):
        random = Random(f"{axis} {seed}")
        base: dict[str, dict[str, Any]] = {"container": {}, "host": {}}
        for part, key, draw in RECORDED.values():
            base[part][key] = draw(random)
        part, key, draw = RECORDED[axis]
        other = copy.deepcopy(base)
        other[part][key] = draw(random)
        before, after = known(base), known(other)
        found = difference(before, after)
        assert [each.name for each in found] == ([axis] if before[axis] != after[axis] else [])
        assert difference(before, before) == ()
        assert [(each.name, each.before, each.after) for each in difference(after, before)] == [
            (each.name, each.after, each.before) for each in found
        ]
        assert all(each.texts[0] != each.texts[1] for each in found)
        moved += len(found)
    assert moved


CONFIG: dict[str, tuple[dict[str, Any], str, str]] = {
    "image digest": ({"Image": "sha256:" + "b" * 64}, "", "sha256:" + "b" * 64),
    "user": ({"Config": {"User": "33"}}, "nothing", "33"),
    "entrypoint": ({"Config": {"Entrypoint": ["/run.sh"]}}, "nothing", "/run.sh"),
    "command": ({"Config": {"Cmd": ["a", "b"]}}, "", "a b"),
    "mounts": (
        {"Mounts": [{"Type": "volume", "Name": "d", "Destination": "/d", "RW": False}]},
        "nothing",
        "volume /d read-only",
    ),
    "network mode": ({"HostConfig": {"NetworkMode": "host"}}, "bridge", "host"),
    "pid mode": ({"HostConfig": {"PidMode": "container:" + "1" * 64}}, "nothing", "container"),
    "ipc mode": ({"HostConfig": {"IpcMode": "host"}}, "private", "host"),
    "userns mode": ({"HostConfig": {"UsernsMode": "host"}}, "nothing", "host"),
    "devices": (
        {"HostConfig": {"Devices": [{"PathOnHost": "/dev/x", "PathInContainer": "/dev/fuse"}]}},
        "nothing",
        "/dev/fuse",
    ),
    "sysctls": ({"HostConfig": {"Sysctls": {"net.a": "1"}}}, "nothing", "net.a=1"),
    "security options": (
        {"HostConfig": {"SecurityOpt": ["label=type:x_t"]}},
        "nothing",
        "label=type:x_t",
    ),
    "environment": ({"Config": {"Env": ["TOKEN=hmac:0123456789abcdef"]}}, "nothing", "TOKEN"),
    "read only": ({"HostConfig": {"ReadonlyRootfs": True}}, "no", "yes"),
    "privileged": ({"HostConfig": {"Privileged": True}}, "no", "yes"),
    "capabilities added": ({"HostConfig": {"CapAdd": ["NET_ADMIN"]}}, "nothing", "NET_ADMIN"),
    "capabilities dropped": ({"HostConfig": {"CapDrop": ["ALL"]}}, "nothing", "ALL"),
    "published": ({"HostConfig": {"PortBindings": {"53/udp": None}}}, "nothing", "53/udp"),
    "runtime": ({"HostConfig": {"Runtime": "runsc"}}, "runc 1.1.15+ds1", "runsc"),
}
HOST: dict[str, dict[str, Any]] = {
    "architecture": {"system": {"arch": "aarch64"}},
    "kernel series": {"system": {"kernel": "6.18.2"}},
    "engine version": {"docker.version": {"Version": "29.4.0"}},
    "runtime": {"docker.version": {"Components": [{"Name": "runc", "Version": "1.3.6"}]}},
    "user namespaces": {"docker.info": {"SecurityOptions": ["name=userns"]}},
}


def of(snapshot: Snapshot) -> dict[str, Any]:
    (found,) = containers(snapshot)
    return identity(found)


@pytest.mark.parametrize("axis", CONFIG)
def test_only_the_changed_property_of_a_snapshot_is_listed(axis: str) -> None:
    change, before, after = CONFIG[axis]
    (found,) = difference(of(with_containers(container())), of(with_containers(container(**change))))
    assert found.name == axis
    assert found.texts[1] == after
    assert found.texts[0] == before or not before


@pytest.mark.parametrize("axis", HOST)
def test_a_changed_property_of_the_host_in_a_snapshot_is_listed(axis: str) -> None:
    sources = {"docker.containers": [container()], "docker.info": {"SecurityOptions": []}}
    (found,) = difference(of(make(**sources)), of(make(**{**sources, **HOST[axis]})))
    assert found.name == axis


def test_every_property_of_an_identity_from_a_snapshot_is_tested() -> None:
    assert set(CONFIG) | set(HOST) == set(of(with_containers(container()))) == set(RECORDED)


@pytest.mark.parametrize(
    "change",
    [
        {"Id": "9" * 64, "Name": "/other", "Created": "2027-01-01T00:00:00Z"},
        {"Config": {"Hostname": "9" * 12, "Labels": {"a": "b"}, "Image": "web:2"}},
        {"HostConfig": {"Memory": 1 << 30, "RestartPolicy": {"Name": "always"}}},
    ],
)
def test_data_outside_of_the_identity_does_not_change_it(change: dict[str, Any]) -> None:
    assert difference(of(with_containers(container())), of(with_containers(container(**change)))) == ()


def test_the_order_of_sets_and_patch_releases_of_the_kernel_do_not_change_the_identity() -> None:
    def host(names: list[str], kernel: str) -> Snapshot:
        one = container(Config={"Env": names}, HostConfig={"CapAdd": names, "SecurityOpt": names})
        return with_containers(one, system={"kernel": kernel})

    assert difference(of(host(["A", "B"], "6.12.1-a")), of(host(["B", "A"], "6.12.99+b"))) == ()


def test_only_the_differences_of_a_set_are_shown() -> None:
    axis = Axis(name="environment", before=["A", "B"], after=["B", "C"])
    assert axis.texts == ("A", "C")
    assert Axis(name="sysctls", before={"a": "1", "b": "2"}, after={"a": "3", "b": "2"}).texts == (
        "a=1",
        "a=3",
    )
    assert Axis(name="command", before=["a", "b"], after=["b", "a"]).texts == ("a b", "b a")


def test_properties_that_a_snapshot_lacks_are_not_listed_as_changed() -> None:
    silent = with_containers(container(), **{"docker.version": failed(), "system": failed()})
    assert difference(of(with_containers(container())), of(silent)) == ()
    assert not {"engine version", "runtime", "kernel series", "architecture"} & of(silent).keys()


def test_recording_and_snapshot_describe_a_container_equally() -> None:
    """Words of the command are digests in a recording: a snapshot has them redacted."""
    original = inspected(Tmpfs={"/run": "ro,size=1m"}, Devices=[{"PathInContainer": "/dev/a\x1bb"}])
    described = describe.container(original)
    data = document()
    data["container"] = {**described, "command": [], "entrypoint": []}
    base = container(Name="/web")["inspect"]
    shown = merge(base, {"Config": only(original["Config"]), "HostConfig": only(original["HostConfig"])})
    shown |= {"Image": original["Image"], "Mounts": original["Mounts"]}
    shown["Config"] = {**shown["Config"], "Cmd": None, "Entrypoint": None}
    data["host"] |= {"engine": "26.1.5+dfsg1", "runtime": {"name": "runc", "version": "1.1.15+ds1"}}
    snapshot = make(**{"docker.containers": [{"inspect": shown, "proc": None}]})
    assert difference(axes(build(data, name="recording")), of(snapshot)) == ()
    assert "tmpfs" in json.dumps(described["mounts"])


LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, ("name", "x")),
        (LABELS, ("compose", "shop", "web", "1")),
        ({**LABELS, "com.docker.compose.container-number": "2"}, ("compose", "shop", "web", "2")),
        ({**LABELS, "com.docker.compose.oneoff": "True"}, ("name", "x")),
        ({"com.docker.compose.project": "shop"}, ("name", "x")),
        (GONE, ("name", "x")),
    ],
)
def test_a_container_is_recognised_by_its_service_or_its_name(labels: Any, expected: tuple[str, ...]) -> None:
    (found,) = containers(with_containers(container("x", Config={"Labels": labels})))
    assert place(found) == expected
