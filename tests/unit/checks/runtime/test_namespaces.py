from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, details, held, snapshot_of
from tests.unit.snapshots import hardened, with_containers


class Place(NamedTuple):
    """A namespace: its control, its name in the kernel and in HostConfig, and how people call it."""

    slug: str
    namespace: str
    key: str
    title: str


PLACES = [
    Place("container-no-host-network", "net", "NetworkMode", "network"),
    Place("container-no-host-pid", "pid", "PidMode", "process"),
    Place("container-no-host-ipc", "ipc", "IpcMode", "IPC"),
    Place("container-no-host-uts", "uts", "UTSMode", "UTS"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.namespace)
class TestHostNamespaces:
    def test_a_running_container_in_the_hosts_namespace_fails(self, judge: Judge, place: Place) -> None:
        bad = hardened("bad", proc={"host_namespaces": [place.namespace]}, HostConfig={place.key: "host"})
        assert broken(judge, place.slug, bad) == f"is in the host's {place.title} namespace"

    def test_an_undeclared_host_namespace_fails(self, judge: Judge, place: Place) -> None:
        bad = hardened("bad", proc={"host_namespaces": [place.namespace]}, HostConfig={place.key: ""})
        assert (
            broken(judge, place.slug, bad)
            == f"is in the host's {place.title} namespace, which its configuration does not declare"
        )

    def test_a_stopped_container_that_declares_the_hosts_namespace_fails(
        self, judge: Judge, place: Place
    ) -> None:
        bad = hardened("bad", running=False, HostConfig={place.key: "host"})
        assert broken(judge, place.slug, bad).startswith(
            f"is in the host's {place.title} namespace (not running"
        )

    @pytest.mark.parametrize("mode", ["", "private", "shareable", "none", "container:gone", "hostile"])
    def test_a_container_without_the_hosts_namespace_passes(
        self, judge: Judge, place: Place, mode: str
    ) -> None:
        held(judge, place.slug, hardened(HostConfig={place.key: mode}))
        held(judge, place.slug, hardened(running=False, HostConfig={place.key: mode}))

    def test_the_effective_namespace_overrides_the_declared_one(self, judge: Judge, place: Place) -> None:
        verdict = held(judge, place.slug, hardened(HostConfig={place.key: "host"}))
        assert (
            f"container twin: declared in the host's {place.title} namespace, but runs in another namespace"
            in verdict.evidence
        )

    @pytest.mark.parametrize("reference", ["owner", "0a1b2c3d4e5f"])
    def test_a_host_namespace_through_a_chain_of_containers_fails(
        self, judge: Judge, place: Place, reference: str
    ) -> None:
        snapshot = with_containers(
            hardened("owner", running=False, Id="0a1b2c3d4e5f6071", HostConfig={place.key: "host"}),
            hardened("middle", running=False, Id="11", HostConfig={place.key: f"container:{reference}"}),
            hardened("end", running=False, Id="22", HostConfig={place.key: "container:middle"}),
        )
        told = details(judge(place.slug, snapshot))
        assert list(told) == ["owner", "middle", "end"]
        assert "through container owner" in told["end"]

    def test_stopped_containers_that_share_namespaces_in_a_cycle_pass(
        self, judge: Judge, place: Place
    ) -> None:
        snapshot = with_containers(
            hardened("a", running=False, Id="11", HostConfig={place.key: "container:b"}),
            hardened("b", running=False, Id="22", HostConfig={place.key: "container:a"}),
        )
        assert judge(place.slug, snapshot).status is Status.PASS

    def test_unreadable_namespaces_are_an_error(self, judge: Judge, place: Place) -> None:
        with pytest.raises(FactUnavailable, match="host_namespaces"):
            judge(place.slug, with_containers(hardened(proc={"host_namespaces": None})))

    @pytest.mark.parametrize("mode", [7, ["host"], {"host": 1}])
    def test_a_mode_of_the_wrong_type_is_an_error(self, judge: Judge, place: Place, mode: Any) -> None:
        with pytest.raises(FactUnavailable, match=place.key):
            judge(place.slug, with_containers(hardened(running=False, HostConfig={place.key: mode})))


class TestUserNamespace:
    SLUG = "container-no-host-userns"

    def test_without_remapping_every_container_fails(self, judge: Judge) -> None:
        running = hardened("web", proc={"host_namespaces": ["user"], "uid_map": [[0, 0, 4294967295]]})
        verdict = judge(self.SLUG, snapshot_of(running, hardened("job", running=False)))
        assert details(verdict) == {
            "web": "is in the host's user namespace: the engine does not remap users",
            "job": "is set to run in the host's user namespace: the engine does not remap users"
            " (not running: judged by its configuration)",
        }

    def test_containers_of_a_rootless_engine_pass_since_it_has_its_own_user_namespace(
        self, judge: Judge
    ) -> None:
        rootless = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]}
        held(judge, self.SLUG, hardened(), info=rootless)
        held(judge, self.SLUG, hardened(running=False), info=rootless)

    @pytest.mark.parametrize("running", [True, False])
    def test_a_container_with_userns_host_fails(self, judge: Judge, running: bool) -> None:
        bad = hardened(
            "bad", running=running, proc={"host_namespaces": ["user"]}, HostConfig={"UsernsMode": "host"}
        )
        assert "host's user namespace: declared by userns=host" in broken(judge, self.SLUG, bad)

    def test_a_container_started_before_remapping_fails(self, judge: Judge) -> None:
        bad = hardened("bad", proc={"host_namespaces": ["user"]})
        assert "nothing in its configuration says why" in broken(judge, self.SLUG, bad)

    def test_a_namespace_that_maps_root_to_root_fails(self, judge: Judge) -> None:
        bad = hardened("bad", proc={"uid_map": [[0, 0, 1], [1, 100000, 65535]]})
        assert "whose root is the host's root" in broken(judge, self.SLUG, bad)

    def test_a_container_in_a_remapped_user_namespace_passes(self, judge: Judge) -> None:
        held(judge, self.SLUG, hardened())
        held(judge, self.SLUG, hardened(running=False))
