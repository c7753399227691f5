"""Losses that the plan names, compared with those of a model of the engine, on generated hosts.

The model knows only what the engine does: which ports, containers and registries can be used with a
configuration. What can be used before a change and not after it has to be named, and nothing else.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any, NamedTuple

import yaml
from ansible_collections.hardener.docker.plugins.module_utils.contract import CONNECTIVITY, exceeds
from ansible_collections.hardener.docker.plugins.module_utils.docker.losses import registries_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hardener.snapshot import Snapshot
from tests.unit.plugins.loading import ROLES
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import make, only

ICC = "com.docker.network.bridge.enable_icc"
LOOPBACK = ["127.0.0.0/8"]  # the engine does not always list ::1/128
PREFIX = "docker_daemon_"
DEFAULTS = {
    key.removeprefix(PREFIX): value
    for key, value in yaml.safe_load((ROLES / "docker_daemon/defaults/main.yml").read_text()).items()
}
NAMES = ("web", "db", "queue", "mail")


class Container(NamedTuple):
    name: str
    bridge: bool
    ipv6: bool
    ports: tuple[tuple[str, str, int], ...]  # address, protocol, port on the host
    links: tuple[str, ...]
    signal: str

    def inspect(self) -> dict[str, Any]:
        ports: dict[str, list[dict[str, str]]] = {}
        for address, protocol, port in self.ports:
            ports.setdefault(f"80/{protocol}", []).append({"HostIp": address, "HostPort": str(port)})
        network = "bridge" if self.bridge else "shop"
        return {
            "Id": self.name * 3,
            "Name": f"/{self.name}",
            "Config": {"StopSignal": self.signal},
            "HostConfig": {"Links": [f"/{other}:/{self.name}/x" for other in self.links] or None},
            "NetworkSettings": {
                "Networks": {network: {"GlobalIPv6Address": "fd00::2" if self.ipv6 else ""}},
                "Ports": ports,
            },
        }


class World(NamedTuple):
    containers: tuple[Container, ...]
    file: dict[str, Any]
    version: str
    wanted: dict[str, Any]


def names(most: int = 4) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(NAMES), max_size=most, unique=True).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    containers = []
    for number, name in enumerate(draw(names())):
        on_bridge = draw(st.booleans())
        places = st.tuples(
            st.sampled_from(["0.0.0.0", "127.0.0.1", "::", "2001:db8::5"]), st.sampled_from(["tcp", "udp"])
        )
        ports = tuple(
            (address, protocol, 8000 + 10 * number + place)
            for place, (address, protocol) in enumerate(draw(st.lists(places, max_size=3)))
        )
        links = draw(names(2)) if on_bridge else ()
        signal = draw(st.sampled_from(["", "SIGTERM", "SIGINT"]))
        containers.append(Container(name, on_bridge, draw(st.booleans()), ports, links, signal))
    file = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "icc": st.booleans(),
                "userland-proxy": st.booleans(),
                "live-restore": st.booleans(),
                "insecure-registries": st.lists(st.sampled_from(["old:5000", "10.1.2.3/8"]), unique=True),
                "registry-mirrors": st.just(["http://mirror", "https://good"]),
            },
        )
    )
    wanted = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "icc": st.booleans(),
                "userland_proxy": st.booleans(),
                "live_restore": st.booleans(),
                "insecure_registries": st.sampled_from([[], ["old:5000"], ["new:5000", "10.0.0.0/8"]]),
            },
        )
    )
    version = draw(st.sampled_from(["20.10.5", "26.1.5", "28.5.2", "29.10.0"]))
    return World(tuple(containers), file, version, wanted)


# --- the model of the engine --------------------------------------------------------------------------------


def listed_insecure(file: dict[str, Any], version: str) -> set[str]:
    known = file.get("insecure-registries")
    always = known is None or tuple(map(int, version.split(".")))[:2] < (29, 10)
    return {"10.0.0.0/8" if each == "10.1.2.3/8" else each for each in known or ()} | set(
        LOOPBACK if always else ()
    )


def usable(world: World, file: dict[str, Any]) -> dict[str, set[str]]:
    """What works with a configuration, after a reboot: by kind, and as the plan calls it."""
    proxy, icc = file.get("userland-proxy", True), file.get("icc", True)
    ports, pairs, signals = set(), set(), set()
    for each in world.containers:
        for address, _, port in each.ports:
            if ":" not in address or each.ipv6 or proxy:
                ports.add(f"[{address}]:{port} ({each.name})" if ":" in address else f"{address}:{port}")
        if not file.get("live-restore", False):
            signals.add(f"{each.name} ({each.signal or 'SIGTERM'})")
    for one, other in permutations(world.containers, 2):
        if one.bridge and other.bridge and (icc or other.name in one.links):
            pairs.add(one.name + ">" + other.name)
    mirrors = [each for each in file.get("registry-mirrors", ()) if each.startswith("http:")]
    return {
        "ports": ports,
        "pairs": pairs,
        "pulls": listed_insecure(file, world.version) | set(mirrors),
        "signals": signals,
    }


# --- the plan -----------------------------------------------------------------------------------------------


def snapshot(world: World) -> Snapshot:
    uplink = {"name": "eth0", "addresses": ["2001:db8::5/64"]}
    bridge = {"Name": "bridge", "Options": {ICC: str(world.file.get("icc", True)).lower()}}
    return make(
        **{
            "daemon.config": {"parsed": only(dict(world.file)), "exists": True, "flags": {}},
            "docker.info": {
                "ServerVersion": world.version,
                "LiveRestoreEnabled": world.file.get("live-restore", False),
                "Swarm": {},
            },
            "docker.containers": only(
                [{"inspect": each.inspect(), "proc": {"pid": 7}} for each in world.containers]
            ),
            "docker.networks": only([bridge]),
            "network": only({"interfaces": [uplink], "routes": [], "cut": False}),
        }
    )


def planned(world: World) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The configuration afterwards, and the documents that change it."""
    found = documents_of("docker_daemon")(snapshot(world).raw, **{**DEFAULTS, **world.wanted})
    file, changing = dict(world.file), []
    for document in found:
        for resource in document.get("resources", ()):
            keys = resource.get("keys", {})
            if any(file.get(key) != value for key, value in keys.items()):
                changing.append(document)
                file |= keys
    return file, changing


def named(document: dict[str, Any], sentence: str) -> set[str]:
    """What a document names after a sentence."""
    after = str(document["costs"]).partition(f"{sentence}: ")[2].partition("; ")[0]
    return {each for each in after.split(", ") if each}


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_the_plan_names_every_loss_with_its_impact_and_no_other(world: World) -> None:
    file, changing = planned(world)
    before, after = usable(world, world.file), usable(world, file)
    lost = {kind: before[kind] - after[kind] for kind in before}
    by_name = {each["name"].removeprefix(PREFIX): each for each in changing}
    none = {"costs": "", "impact": "none"}
    proxy = by_name.get("userland_proxy", none)
    assert named(proxy, "since these containers have no IPv6 address") == lost["ports"]
    assert not lost["ports"] or not exceeds(CONNECTIVITY, proxy["impact"])
    icc = by_name.get("icc", none)
    assert named(icc, "no longer reach each other") == {pair.partition(">")[0] for pair in lost["pairs"]}
    assert not lost["pairs"] or icc["impact"] == CONNECTIVITY
    texts = {text for each in changing for text in each["losses"]}
    assert texts == lost["ports"] | lost["pulls"] | {pair.partition(">")[0] for pair in lost["pairs"]}
    pulls = by_name.get("insecure_registries", none)
    assert named(pulls, "images are no longer pulled from") == lost["pulls"]
    live = by_name.get("live_restore", none)["costs"]
    assert bool(lost["signals"]) is ("systemd and not the engine ends" in live)
    for each in lost["signals"]:
        assert (each in live) is not each.endswith("(SIGTERM)")


def test_a_running_engine_reports_its_insecure_registries_under_the_names_of_the_plan() -> None:
    info = {
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", "10.0.0.0/8"],
            "IndexConfigs": {"docker.io": {"Secure": True}, "old:5000": {"Secure": False}},
            "Mirrors": ["http://mirror/", "https://good/"],
        }
    }
    assert set(registries_of(info)) == {"10.0.0.0/8", "old:5000", "http://mirror", *LOOPBACK}
