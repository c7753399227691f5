from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, details, held
from tests.unit.snapshots import hardened, only, with_containers

LOW = "container-no-privileged-ports"
NEEDED = "container-only-needed-ports"
ADDRESS = "container-bind-specific-interface"


def published(
    inner: str, *bindings: tuple[str, str], name: str = "bad", running: bool = True
) -> dict[str, Any]:
    """A container that publishes one port at the given addresses and host ports."""
    ports = {inner: [{"HostIp": address, "HostPort": port} for address, port in bindings]}
    if running:
        return hardened(name, NetworkSettings={"Ports": only(ports)})
    return hardened(name, running=False, HostConfig={"PortBindings": only(ports)})


def listening(*sockets: tuple[str, str, int], name: str = "bad") -> dict[str, Any]:
    """A container in the host's network namespace."""
    return hardened(
        name,
        proc={
            "host_namespaces": ["net"],
            "listening": [
                {"proto": proto, "address": address, "port": port} for proto, address, port in sockets
            ],
        },
        HostConfig={"NetworkMode": "host", "PortBindings": only({})},
        NetworkSettings={"Ports": only({}), "Networks": only({"host": {}})},
    )


def service(name: str, *ports: tuple[str, int]) -> dict[str, Any]:
    published = [{"Protocol": protocol, "TargetPort": 80, "PublishedPort": port} for protocol, port in ports]
    return {"ID": f"id-{name}", "Spec": {"Name": name}, "Endpoint": {"Ports": published}}


def swarm(*services: dict[str, Any]) -> dict[str, Any]:
    return {"docker.swarm": {"swarm": {}, "services": list(services)}}


class TestPrivilegedPorts:
    @pytest.mark.parametrize("running", [True, False])
    @pytest.mark.parametrize(
        ("bindings", "detail"),
        [
            ([("0.0.0.0", "80")], "publishes 0.0.0.0:80/tcp"),
            ([("127.0.0.1", "1023")], "publishes 127.0.0.1:1023/tcp"),
            ([("10.0.0.5", "1")], "publishes 10.0.0.5:1/tcp"),
        ],
    )
    def test_a_container_that_publishes_a_privileged_port_fails(
        self, judge: Judge, bindings: Any, detail: str, running: bool
    ) -> None:
        assert broken(judge, LOW, published("80/tcp", *bindings, running=running)).startswith(detail)

    @pytest.mark.parametrize("running", [True, False])
    def test_a_privileged_port_published_on_the_ipv6_wildcard_address_fails(
        self, judge: Judge, running: bool
    ) -> None:
        bad = published("80/tcp", ("::", "80"), running=running)
        assert broken(judge, LOW, bad).startswith("publishes [::]:80/tcp")

    def test_a_container_in_the_hosts_network_that_listens_on_a_privileged_port_fails(
        self, judge: Judge
    ) -> None:
        bad = listening(("tcp", "0.0.0.0", 8080), ("tcp6", "::", 80))
        assert broken(judge, LOW, bad) == "listens, through the host's network, on [::]:80/tcp"

    def test_a_port_range_of_a_stopped_container_fails(self, judge: Judge) -> None:
        bad = published("80/tcp", ("", "1000-1100"), running=False)
        assert "publishes *:1000-1100/tcp" in broken(judge, LOW, bad)

    def test_a_service_with_a_privileged_port_fails(self, judge: Judge) -> None:
        snapshot = with_containers(
            hardened(), **swarm(service("shop", ("tcp", 443)), service("api", ("tcp", 8443)))
        )
        verdict = judge(LOW, snapshot)
        assert details(verdict) == {"shop": "publishes *:443/tcp"}
        assert "1 of 2 services" in verdict.actual

    @pytest.mark.parametrize(
        "good",
        [
            published("80/tcp", ("0.0.0.0", "1024")),
            published("80/tcp", ("", ""), running=False),  # a port of the engine's choice
            listening(("tcp", "0.0.0.0", 8080)),
            hardened(NetworkSettings={"Ports": only({"80/tcp": None})}),  # exposed, not published
            hardened(NetworkSettings={"Ports": None, "Networks": None}),
        ],
    )
    def test_a_container_without_a_published_privileged_port_passes(
        self, judge: Judge, good: dict[str, Any]
    ) -> None:
        held(judge, LOW, good)

    def test_the_policy_allows_named_exceptions(self, judge: Judge) -> None:
        policy = {"published_ports": ["edge-*:443"]}
        verdict = held(judge, LOW, published("443/tcp", ("", "443"), name="edge-1"), policy=policy)
        assert any("policy lets it open a privileged port" in fact for fact in verdict.evidence)
        broken(judge, LOW, published("443/tcp", ("", "443")), policy=policy)

    @pytest.mark.parametrize("port", ["eighty", "-1", "80;reboot", "9" * 1_000_000, "٨٠", 80, None])
    def test_an_invalid_port_is_an_error_and_a_missing_one_passes(self, judge: Judge, port: Any) -> None:
        strange = hardened(NetworkSettings={"Ports": {"80/tcp": [{"HostIp": "", "HostPort": port}]}})
        snapshot = with_containers(strange)
        if port is None:
            assert judge(LOW, snapshot).status is Status.PASS
            return
        with pytest.raises(FactUnavailable):
            judge(LOW, snapshot)


class TestNeededPorts:
    def test_published_ports_are_manual_without_a_policy(self, judge: Judge) -> None:
        verdict = judge(
            NEEDED, with_containers(published("80/tcp", ("", "8080"), name="web"), hardened("db"))
        )
        assert verdict.status is Status.MANUAL
        assert details(verdict) == {"web": "publishes *:8080/tcp", "db": "publishes 127.0.0.1:8443/tcp"}

    def test_published_ports_pass_only_if_the_policy_names_them(self, judge: Judge) -> None:
        policy = {"published_ports": ["twin:8443/tcp", "resting:8443", "9000-9010/udp"]}
        bad = published("80/tcp", ("", "8080"))
        assert broken(judge, NEEDED, bad, policy=policy) == "publishes *:8080/tcp"
        held(judge, NEEDED, published("53/udp", ("", "9003")), policy=policy)
        held(judge, NEEDED, published("53/udp", ("", "9003-9005"), running=False), policy=policy)
        for inner, port in (("53/tcp", "9003"), ("53/udp", "9011")):
            snapshot = with_containers(published(inner, ("", port)), policy=policy)
            assert judge(NEEDED, snapshot).status is Status.FAIL

    def test_an_empty_policy_allows_no_port(self, judge: Judge) -> None:
        verdict = judge(NEEDED, with_containers(hardened(), policy={"published_ports": []}))
        assert verdict.status is Status.FAIL

    def test_without_published_ports_the_control_passes(self, judge: Judge) -> None:
        held(judge, NEEDED, hardened(NetworkSettings={"Ports": only({})}))

    @pytest.mark.parametrize("policy", [None, {"published_ports": []}])
    def test_ports_of_a_stopped_container_in_the_hosts_network_are_manual(
        self, judge: Judge, policy: Any
    ) -> None:
        stopped = hardened(running=False, HostConfig={"NetworkMode": "host", "PortBindings": only(None)})
        verdict = judge(NEEDED, with_containers(stopped, policy=policy))
        assert verdict.status is Status.MANUAL
        assert "known only while it runs" in verdict.offenders[0].detail

    def test_a_stopped_container_that_publishes_all_exposed_ports_fails(self, judge: Judge) -> None:
        stopped = hardened(
            "bad",
            running=False,
            HostConfig={"PublishAllPorts": True, "PortBindings": only(None)},
            Config={"ExposedPorts": only({"5432/tcp": {}})},
        )
        verdict = judge(NEEDED, with_containers(stopped, policy={"published_ports": ["1-65535/tcp"]}))
        assert "publishes *, a port of the engine's choice (tcp)" in verdict.actual

    @pytest.mark.parametrize(
        "policy",
        [
            "443/tcp",
            [443],
            {"web": 443},
            ["https"],
            ["0/tcp"],
            ["70000"],
            ["9-1"],
            ["1-2-3"],
            ["80/http"],
            [""],
            [":"],
        ],
    )
    def test_an_invalid_policy_of_published_ports_is_an_error(self, judge: Judge, policy: Any) -> None:
        with pytest.raises(FactUnavailable, match="hardener_policy: published_ports"):
            judge(NEEDED, with_containers(hardened(), policy={"published_ports": policy}))


class TestAddresses:
    @pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"])
    @pytest.mark.parametrize("running", [True, False])
    def test_a_port_published_on_every_address_of_the_host_fails(
        self, judge: Judge, address: str, running: bool
    ) -> None:
        assert "on every address of the host" in broken(
            judge, ADDRESS, published("80/tcp", (address, "8080"), running=running)
        )

    def test_a_port_published_on_every_ipv6_address_fails(self, judge: Judge) -> None:
        bad = published("80/tcp", ("127.0.0.1", "8080"), ("::", "8080"))
        assert broken(judge, ADDRESS, bad) == "publishes [::]:8080/tcp, on every address of the host"

    def test_a_container_in_the_hosts_network_that_listens_on_every_address_fails(self, judge: Judge) -> None:
        assert "through the host's network" in broken(judge, ADDRESS, listening(("udp", "0.0.0.0", 5353)))

    @pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "::1", "fe80::1", "::ffff:10.0.0.5"])
    def test_a_port_published_on_one_address_passes(self, judge: Judge, address: str) -> None:
        held(judge, ADDRESS, published("80/tcp", (address, "8080")))

    def test_a_stopped_container_passes_if_its_network_publishes_on_one_address(self, judge: Judge) -> None:
        local = {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}
        networks = [{"Name": "app", "Id": "9f0c", "Driver": "bridge", "Options": local}]
        held(
            judge, ADDRESS, published("80/tcp", ("", "8080"), running=False), **{"docker.networks": networks}
        )

    def test_the_published_port_of_a_swarm_service_fails_as_open_on_every_address(self, judge: Judge) -> None:
        verdict = judge(ADDRESS, with_containers(**swarm(service("shop", ("tcp", 8443)))))
        assert details(verdict) == {"shop": "publishes *:8443/tcp, on every address of the host"}

    def test_the_control_is_not_applicable_without_ports(self, judge: Judge) -> None:
        verdict = judge(ADDRESS, with_containers(hardened(NetworkSettings={"Ports": only({})})))
        assert verdict.status is Status.NOT_APPLICABLE
        assert verdict.actual == "no container opens a port of the host"

    @pytest.mark.parametrize("address", ["localhost", "\x1b[2J", "1.2.3.4.5"])
    def test_an_invalid_address_is_an_error(self, judge: Judge, address: str) -> None:
        with pytest.raises(FactUnavailable, match="is not an address"):
            judge(ADDRESS, with_containers(published("80/tcp", (address, "8080"))))


class TestDefaultBridge:
    SLUG = "container-not-default-bridge"

    def test_a_container_in_the_default_bridge_network_fails(self, judge: Judge) -> None:
        networks = only({"app": {}, "bridge": {}})
        bad = hardened("bad", NetworkSettings={"Networks": networks})
        assert broken(judge, self.SLUG, bad) == "is in the default bridge network"

    def test_a_container_that_borrows_a_network_is_where_its_neighbour_is(self, judge: Judge) -> None:
        bridge: dict[str, Any] = {"Networks": only({"bridge": {}})}
        none: dict[str, Any] = {"Networks": only({})}
        bad = hardened("bad", HostConfig={"NetworkMode": "bridge"}, NetworkSettings=bridge)
        borrower = hardened("b", HostConfig={"NetworkMode": "container:bad"}, NetworkSettings=none)
        verdict = judge(self.SLUG, with_containers(bad, borrower))
        details = [offender.detail for offender in verdict.offenders]
        assert details[1] == "is in the default bridge network, through container bad"

    @pytest.mark.parametrize("mode", ["default", "bridge", ""])
    @pytest.mark.parametrize("networks", [None, {}])
    def test_a_never_started_container_set_to_join_the_default_bridge_fails(
        self, judge: Judge, mode: str, networks: Any
    ) -> None:
        bad = hardened(
            "bad",
            running=False,
            HostConfig={"NetworkMode": mode},
            NetworkSettings={"Networks": only(networks)},
        )
        assert "is set to join the default bridge network" in broken(judge, self.SLUG, bad)

    @pytest.mark.parametrize("network", ["app", "none", "host", "bridge2"])
    def test_a_container_outside_the_default_bridge_network_passes(self, judge: Judge, network: str) -> None:
        held(judge, self.SLUG, hardened(NetworkSettings={"Networks": only({network: {}})}))

    def test_missing_network_settings_are_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="NetworkSettings"):
            judge(self.SLUG, with_containers(hardened(NetworkSettings=only(None))))
