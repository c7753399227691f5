from __future__ import annotations

from base64 import encodebytes
from typing import Any

import pytest

from hardener.checks import all_checks
from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import failed, make, merge, only

CONTROLS = sorted(slug for slug in all_checks() if slug.startswith("swarm-") and slug != "swarm-mode-off")
MANAGERS_ONLY = {
    "swarm-autolock",
    "swarm-autolock-rotated",
    "swarm-ca-rotated",
    "swarm-manager-count",
    "swarm-node-cert-rotated",
    "swarm-secrets-used",
}
NODE = "bmp1q7a8ivecbr0a50bo7m3qr"
DAY = 24 * 60 * 60 * 10**9


def certificate(not_before: bytes = b"\x17\x0d261125004400Z") -> str:
    """As much of a certificate as its validity, in PEM."""
    der = b"\x30\x82\x01\x00\x30\x1e" + not_before + b"\x17\x0d461120004400Z" + b"\x30\x13"
    return f"-----BEGIN CERTIFICATE-----\n{encodebytes(der).decode()}-----END CERTIFICATE-----\n"


def sockets(**addresses: str) -> list[dict[str, Any]]:
    """``sockets(tcp2377="10.0.0.1")``: sockets of the host, all of swarm's on one address unless said."""
    wanted = {"tcp2377": "10.0.0.1", "tcp7946": "10.0.0.1", "udp7946": "10.0.0.1"} | addresses
    return [
        {
            "proto": name[:3] + ("6" if ":" in address else ""),
            "address": address,
            "port": int(name[3:]),
            "netns": "host",
        }
        for name, address in wanted.items()
        if address
    ]


def network(name: str, driver: str = "overlay", **options: str) -> dict[str, Any]:
    return {"Name": name, "Driver": driver, "Scope": "swarm", "Options": options or None}


def service(name: str, *secrets: str) -> dict[str, Any]:
    mounted = [{"SecretName": secret} for secret in secrets] or None
    return {
        "ID": f"id-{name}",
        "Spec": {"Name": name, "TaskTemplate": {"ContainerSpec": {"Secrets": mounted}}},
    }


def manager(
    *,
    swarm: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
    secrets: tuple[str, ...] = (),
    **sources: Any,
) -> Snapshot:
    """The only manager of a swarm of one node."""
    state = {
        "NodeID": NODE,
        "NodeAddr": "10.0.0.1",
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "RemoteManagers": [{"NodeID": NODE, "Addr": "10.0.0.1:2377"}],
        "Nodes": 1,
        "Managers": 1,
        "Cluster": {"DataPathPort": 4789},
    }
    cluster = {
        "swarm": {
            "CreatedAt": "2026-11-25T00:44:00Z",
            "UpdatedAt": "2026-11-25T00:45:00Z",
            "Spec": {
                "CAConfig": {"NodeCertExpiry": 90 * DAY},
                "EncryptionConfig": {"AutoLockManagers": False},
            },
            "TLSInfo": {"TrustRoot": certificate()},
            "RootRotationInProgress": False,
        },
        "nodes": [
            {"ID": NODE, "Description": {"Hostname": "db01"}, "ManagerStatus": {"Reachability": "reachable"}}
        ],
        "services": [],
        "secrets": [],
        "local": {"ListenAddr": "10.0.0.1:2377", "AdvertiseAddr": "10.0.0.1", "DataPathAddr": ""},
    }
    sources = {"listening": sockets(), "docker.networks": [network("ingress")], **sources}
    raw = dict(
        make(
            **{
                "docker.info": {"Swarm": merge(state, info or {})},
                "docker.swarm": only(merge(cluster, swarm or {})),
                **sources,
            }
        ).raw
    )
    raw["collector"] = {"secrets": [{"where": where, "kind": "name"} for where in secrets]}
    return Snapshot(raw)


def worker(**sources: Any) -> Snapshot:
    """A node that knows nothing of the cluster but itself."""
    state = {"ControlAvailable": False, "Nodes": 0, "Managers": 0, "Cluster": None}
    local = {"ListenAddr": "10.0.0.1:2377", "AdvertiseAddr": "10.0.0.1", "DataPathAddr": "10.1.0.1"}
    sources = {"listening": sockets(tcp2377=""), **sources}
    return manager(info=state, **{"docker.swarm": only({"worker": True, "local": local}), **sources})


def details(verdict: Verdict) -> dict[str, str]:
    return {offender.name: offender.detail for offender in verdict.offenders}


def test_section_7_has_9_checks() -> None:
    assert len(CONTROLS) == 9


@pytest.mark.parametrize("slug", CONTROLS)
class TestEveryControl:
    def test_controls_are_not_applicable_without_swarm(self, judge: Judge, slug: str) -> None:
        verdict = judge(slug, make())
        assert (verdict.status, verdict.actual) == (Status.NOT_APPLICABLE, "swarm mode is inactive")

    def test_controls_of_managers_are_not_applicable_on_a_worker(self, judge: Judge, slug: str) -> None:
        verdict = judge(slug, worker())
        if slug in MANAGERS_ONLY:
            assert verdict.status is Status.NOT_APPLICABLE
            assert verdict.actual == "this node is a worker: the control is judged on managers"
        else:
            assert verdict.status in {Status.PASS, Status.FAIL}

    def test_facts_that_a_locked_manager_hides_are_an_error(self, judge: Judge, slug: str) -> None:
        locked = {"LocalNodeState": "locked", "ControlAvailable": False, "Cluster": None, "Managers": 0}
        snapshot = manager(info=locked, **{"docker.swarm": failed("Swarm is encrypted and locked")})
        if slug in MANAGERS_ONLY | {"swarm-data-plane-separated"}:
            with pytest.raises(FactUnavailable):
                judge(slug, snapshot)

    @pytest.mark.parametrize("cluster", [None, {}, {"Spec": None}, []])
    def test_missing_cluster_settings_are_an_error_only_for_controls_that_need_them(
        self, judge: Judge, slug: str, cluster: Any
    ) -> None:
        needs_it = {"swarm-autolock", "swarm-autolock-rotated", "swarm-ca-rotated", "swarm-node-cert-rotated"}
        snapshot = manager(swarm={"swarm": only(cluster), "nodes": None, "services": None, "secrets": None})
        if slug in needs_it:
            with pytest.raises(FactUnavailable):
                judge(slug, snapshot)
        else:
            judge(slug, snapshot)


class TestManagerCount:
    SLUG = "swarm-manager-count"

    @pytest.mark.parametrize(
        ("managers", "status"),
        [(1, "pass"), (3, "pass"), (5, "pass"), (7, "pass"), (2, "fail"), (4, "fail"), (9, "fail")],
    )
    def test_the_number_of_managers_must_be_odd_and_at_most_seven(
        self, judge: Judge, managers: int, status: str
    ) -> None:
        verdict = judge(self.SLUG, manager(info={"Managers": managers, "Nodes": 9}))
        assert verdict.status == status
        assert verdict.actual.startswith(f"{managers} of 9 nodes are managers")
        assert "manager db01: reachable" in verdict.evidence

    @pytest.mark.parametrize("managers", [None, 0, "3", -1])
    def test_an_invalid_number_of_managers_is_an_error(self, judge: Judge, managers: Any) -> None:
        with pytest.raises(FactUnavailable, match="Managers"):
            judge(self.SLUG, manager(info={"Managers": managers}))


class TestBindInterface:
    SLUG = "swarm-bind-interface"

    @pytest.mark.parametrize("name", ["tcp2377", "tcp7946", "udp7946"])
    @pytest.mark.parametrize("address", ["0.0.0.0", "::"])
    def test_each_swarm_port_that_is_open_on_every_address_fails(
        self, judge: Judge, name: str, address: str
    ) -> None:
        verdict = judge(self.SLUG, manager(listening=sockets(**{name: address})))
        assert details(verdict) == {
            f"{name[3:]}/{name[:3]} on {address}": "is open on every address of the host"
        }

    def test_the_vxlan_port_of_the_kernel_passes(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, manager(listening=sockets(udp4789="0.0.0.0")))
        assert verdict.status is Status.PASS
        assert any("4789/udp on 0.0.0.0: is a port of the kernel" in fact for fact in verdict.evidence)

    def test_swarm_ports_bound_to_one_address_pass(self, judge: Judge) -> None:
        assert judge(self.SLUG, manager()).status is Status.PASS
        assert judge(self.SLUG, worker()).status is Status.PASS

    def test_a_gossip_port_that_is_open_on_every_address_fails_on_a_worker(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, worker(listening=sockets(tcp2377="", tcp7946="::", udp7946="::")))
        assert verdict.status is Status.FAIL

    def test_the_custom_port_of_a_manager_fails_if_it_is_open_on_every_address(self, judge: Judge) -> None:
        moved = {
            "RemoteManagers": [
                {"NodeID": "other", "Addr": "10.0.0.9:1"},
                {"NodeID": NODE, "Addr": "10.0.0.1:4000"},
            ]
        }
        verdict = judge(self.SLUG, manager(info=moved, listening=sockets(tcp2377="", tcp4000="0.0.0.0")))
        assert list(details(verdict)) == ["4000/tcp on 0.0.0.0"]

    def test_sockets_of_other_network_namespaces_are_ignored(self, judge: Judge) -> None:
        theirs = [{**socket, "netns": "0a1b2c"} for socket in sockets(tcp2377="0.0.0.0")]
        assert judge(self.SLUG, manager(listening=[*sockets(), *theirs])).status is Status.PASS

    def test_a_missing_socket_of_a_swarm_port_is_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="no socket listens on 7946/udp"):
            judge(self.SLUG, manager(listening=sockets(udp7946="")))


def connected(*networks: dict[str, Any]) -> Snapshot:
    sources: dict[str, Any] = {"docker.networks": list(networks)}
    return manager(**sources)


class TestOverlayEncrypted:
    SLUG = "swarm-overlay-encrypted"

    @pytest.mark.parametrize(
        "options", [{}, {"encrypted": "false"}, {"encrypted": "0"}, {"vxlanid_list": "4096"}]
    )
    def test_only_unencrypted_overlay_networks_fail(self, judge: Judge, options: dict[str, str]) -> None:
        networks = (network("shop", **options), network("good", encrypted=""), network("bridge", "bridge"))
        verdict = judge(self.SLUG, connected(*networks))
        assert details(verdict) == {"shop": "sends traffic between nodes unencrypted"}

    def test_an_unencrypted_ingress_network_fails(self, judge: Judge) -> None:
        assert list(details(judge(self.SLUG, manager()))) == ["ingress"]

    @pytest.mark.parametrize("value", ["", "true", "1"])
    def test_encrypted_overlay_networks_pass(self, judge: Judge, value: str) -> None:
        assert judge(self.SLUG, connected(network("ingress", encrypted=value))).status is Status.PASS

    def test_the_control_is_not_applicable_without_overlay_networks(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, worker(**{"docker.networks": [network("bridge", "bridge")]}))
        assert verdict.actual == "there are no overlay networks"


class TestSecretsUsed:
    SLUG = "swarm-secrets-used"

    def test_services_with_secrets_in_their_environment_fail(self, judge: Judge) -> None:
        snapshot = manager(
            swarm={"services": [service("shop"), service("db", "password")]},
            secrets=("service shop env DB_PASSWORD", "container 0a env DB_PASSWORD"),
        )
        verdict = judge(self.SLUG, snapshot)
        assert details(verdict) == {"shop": "declares what looks like a secret: env DB_PASSWORD (name)"}
        assert "service db: uses 1 of the cluster's secrets" in verdict.evidence

    def test_services_without_secrets_in_their_definition_pass(self, judge: Judge) -> None:
        snapshot = manager(swarm={"services": [service("db", "password")], "secrets": [{"ID": "1"}]})
        verdict = judge(self.SLUG, snapshot)
        assert verdict.status is Status.PASS
        assert "the cluster's store holds 1 secrets" in verdict.evidence

    def test_the_control_is_not_applicable_without_services(self, judge: Judge) -> None:
        assert judge(self.SLUG, manager()).actual == "the cluster runs no service"

    def test_without_a_search_for_secrets_the_verdict_is_an_error(self, judge: Judge) -> None:
        raw = dict(manager(swarm={"services": [service("db")]}).raw)
        raw["collector"] = {}
        with pytest.raises(FactUnavailable, match="secrets were not searched for"):
            judge(self.SLUG, Snapshot(raw))


def locked(on: Any) -> Snapshot:
    return manager(swarm={"swarm": {"Spec": {"EncryptionConfig": {"AutoLockManagers": on}}}})


@pytest.mark.parametrize(("on", "status"), [(True, "pass"), (False, "fail"), (None, "fail")])
def test_a_cluster_without_autolock_fails(judge: Judge, on: Any, status: str) -> None:
    assert judge("swarm-autolock", locked(on)).status == status


def test_rotation_of_the_unlock_key_is_manual(judge: Judge) -> None:
    verdict = judge("swarm-autolock-rotated", locked(True))
    assert verdict.status is Status.MANUAL
    assert "cluster created 2026-11-25T00:44:00Z" in verdict.evidence
    assert judge("swarm-autolock-rotated", locked(False)).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("expiry", "status", "actual"),
    [
        (90 * DAY, "pass", "certificates of nodes are valid for 90 days"),
        (DAY // 2, "pass", "certificates of nodes are valid for 0.5 days"),
        (91 * DAY, "fail", "certificates of nodes are valid for 91 days"),
        (3650 * DAY, "fail", "certificates of nodes are valid for 3650 days"),
    ],
)
def test_node_certificates_pass_up_to_a_lifetime_of_90_days(
    judge: Judge, expiry: int, status: str, actual: str
) -> None:
    snapshot = manager(swarm={"swarm": {"Spec": {"CAConfig": {"NodeCertExpiry": expiry}}}})
    verdict = judge("swarm-node-cert-rotated", snapshot)
    assert (verdict.status, verdict.actual) == (status, actual)


@pytest.mark.parametrize("expiry", [None, 0, "90d"])
def test_an_invalid_lifetime_is_an_error(judge: Judge, expiry: Any) -> None:
    snapshot = manager(swarm={"swarm": {"Spec": {"CAConfig": {"NodeCertExpiry": expiry}}}})
    with pytest.raises(FactUnavailable, match="NodeCertExpiry"):
        judge("swarm-node-cert-rotated", snapshot)


@pytest.mark.parametrize(
    ("pem", "day"),
    [
        (certificate(), "2026-11-25"),
        (certificate(b"\x17\x0d991231235959Z"), "1999-12-31"),
        (certificate(b"\x18\x0f20511231235959Z"), "2051-12-31"),
        ("", "unreadable"),
        ("-----BEGIN CERTIFICATE-----\n\u20ac\n-----END", "unreadable"),
        ("-----BEGIN CERTIFICATE-----\nA\n-----END", "unreadable"),
        (None, "unreadable"),
    ],
)
def test_the_age_of_the_root_certificate_is_manual(judge: Judge, pem: Any, day: str) -> None:
    snapshot = manager(
        swarm={"swarm": {"TLSInfo": {"TrustRoot": pem}, "Spec": {"CAConfig": {"ForceRotate": 2}}}}
    )
    verdict = judge("swarm-ca-rotated", snapshot)
    assert verdict.status is Status.MANUAL
    assert f"({day})" in verdict.actual
    assert "the root certificate was rotated 2 times by docker swarm ca --rotate" in verdict.evidence


class TestDataPlane:
    SLUG = "swarm-data-plane-separated"

    @pytest.mark.parametrize(
        ("address", "status"), [("", "fail"), ("10.0.0.1", "fail"), (None, "fail"), ("10.1.0.1", "pass")]
    )
    def test_only_a_data_path_address_apart_from_the_control_address_passes(
        self, judge: Judge, address: Any, status: str
    ) -> None:
        assert judge(self.SLUG, manager(swarm={"local": {"DataPathAddr": address}})).status == status

    @pytest.mark.parametrize("local", [None, {}])
    def test_an_unreadable_data_path_is_manual(self, judge: Judge, local: Any) -> None:
        verdict = judge(self.SLUG, manager(swarm={"local": only(local)}))
        assert verdict.status is Status.MANUAL
        assert "10.0.0.1" in verdict.actual
