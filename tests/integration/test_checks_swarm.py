"""Section 7 on a manager of a real swarm of one node: once as it comes, once as it should be."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import IMAGE, Dockerd, EngineError
from tests.integration.waiting import until

DAY = 24 * 60 * 60 * 10**9
SECRET = "correct-horse-battery-staple"


def _service(engine: Dockerd, name: str, **container: Any) -> None:
    """A service without tasks: its declaration is what counts here."""
    template = {"ContainerSpec": {"Image": IMAGE, **container}, "RestartPolicy": {"Condition": "any"}}
    body = {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 0}}}
    engine.api("POST", "/services/create", body)


def _replace_ingress(engine: Dockerd, network: dict[str, Any]) -> None:
    """The cluster and its node make and remove a network a while after they said so."""
    assert until(
        lambda: "ingress-sbox" in _containers_of_ingress(engine)
    )  # a removal before that removes nothing
    engine.api("DELETE", "/networks/ingress")
    assert until(lambda: _created(engine, network))
    assert until(lambda: all(each["Name"] != "ingress" for each in engine.api("GET", "/networks")))


def _containers_of_ingress(engine: Dockerd) -> Any:
    try:
        return engine.api("GET", "/networks/ingress").get("Containers") or {}
    except EngineError:  # the cluster has not made it yet
        return {}


def _created(engine: Dockerd, network: dict[str, Any]) -> bool:
    try:
        engine.api("POST", "/networks/create", network)
    except EngineError as refused:
        if "is already present" in str(refused):
            return False
        raise
    return True


@dataclass(frozen=True)
class Swarm:
    """A swarm: what is collected; whether its ports answer on another address than its own; whether the
    certificate of its node is valid for more than 90 days; whether it is locked after a restart.
    """

    snapshot: Snapshot
    listens_elsewhere: bool
    lives_long: bool
    locked: bool


@pytest.fixture(scope="module")
def careless_swarm() -> Swarm:
    """A swarm that listens everywhere, with all defaults and a password in a service."""
    with Dockerd() as engine:
        engine.ensure_image()
        spec = {"CAConfig": {"NodeCertExpiry": 365 * DAY}}
        engine.api(
            "POST",
            "/swarm/init",
            {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "127.0.0.1", "Spec": spec},
        )
        engine.api("POST", "/networks/create", {"Name": "clear", "Driver": "overlay"})
        _service(engine, "shop", Env=[f"DB_PASSWORD={SECRET}"])
        return Swarm(collect(engine), *_really(engine))


@pytest.fixture(scope="module")
def careful_swarm() -> Swarm:
    """A swarm that listens on one address, locked, encrypted, with the password in its store."""
    with Dockerd() as engine:
        engine.ensure_image()
        spec = {
            "CAConfig": {"NodeCertExpiry": 30 * DAY},
            "EncryptionConfig": {"AutoLockManagers": True},
        }
        engine.api(
            "POST",
            "/swarm/init",
            {
                "ListenAddr": "127.0.0.1:2377",
                "AdvertiseAddr": "127.0.0.1",
                "DataPathAddr": "127.0.0.2",
                "Spec": spec,
            },
        )
        encrypted = {"Driver": "overlay", "Options": {"encrypted": ""}}
        _replace_ingress(engine, {"Name": "own-ingress", "Ingress": True, **encrypted})
        engine.api("POST", "/networks/create", {"Name": "secret-net", **encrypted})
        stored = engine.api("POST", "/secrets/create", {"Name": "db", "Data": "eA=="})["ID"]
        file = {"Name": "db", "UID": "0", "GID": "0", "Mode": 0o400}
        _service(engine, "shop", Secrets=[{"SecretID": stored, "SecretName": "db", "File": file}])
        return Swarm(collect(engine), *_really(engine))


def _really(engine: Dockerd) -> tuple[bool, bool, bool]:
    certificate = engine.data_root / "swarm/certificates/swarm-node.crt"
    first = certificate.read_text()  # an engine makes it with its own default
    cluster = engine.api("GET", "/swarm")
    cluster["Spec"]["CAConfig"]["ForceRotate"] = 1
    engine.api("POST", f"/swarm/update?version={cluster['Version']['Index']}", cluster["Spec"])
    assert until(lambda: certificate.read_text() != first)
    lasting = ["openssl", "x509", "-noout", "-in", str(certificate), "-checkend", str(91 * 24 * 60 * 60)]
    lives_long = subprocess.run(lasting, check=False, capture_output=True).returncode == 0
    ports = [_connects(port) for port in (2377, 7946)]
    assert len(set(ports)) == 1
    engine.stop()
    engine.start()
    return ports[0], lives_long, engine.api("GET", "/info")["Swarm"]["LocalNodeState"] == "locked"


def _connects(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.3", port), timeout=10):
        return True
    return False


def test_verdicts_match_what_a_swarm_does(careless_swarm: Swarm, careful_swarm: Swarm) -> None:
    for swarm in (careless_swarm, careful_swarm):
        broken = {
            "swarm-bind-interface": swarm.listens_elsewhere,
            "swarm-node-cert-rotated": swarm.lives_long,
            "swarm-autolock": not swarm.locked,
        }
        found = {slug: judge(slug, swarm.snapshot).status is Status.FAIL for slug in broken}
        assert found == broken
    assert careless_swarm.listens_elsewhere
    assert careful_swarm.locked


@pytest.fixture(scope="module")
def careless(careless_swarm: Swarm) -> Snapshot:
    return careless_swarm.snapshot


@pytest.fixture(scope="module")
def careful(careful_swarm: Swarm) -> Snapshot:
    return careful_swarm.snapshot


@pytest.mark.parametrize(
    ("slug", "kind", "names"),
    [
        ("swarm-bind-interface", "socket", {"2377/tcp on ::", "7946/tcp on ::", "7946/udp on ::"}),
        ("swarm-overlay-encrypted", "network", {"clear", "ingress"}),
        ("swarm-secrets-used", "service", {"shop"}),
        ("container-restart-policy", "service", {"shop"}),
        ("swarm-autolock", "", set()),
        ("swarm-node-cert-rotated", "", set()),
        ("swarm-data-plane-separated", "", set()),
        ("swarm-mode-off", "", set()),
    ],
)
def test_an_insecurely_configured_swarm_fails(
    careless: Snapshot, slug: str, kind: str, names: set[str]
) -> None:
    verdict = judge(slug, careless)
    assert verdict.status is Status.FAIL, verdict
    assert named(verdict, kind) == names, verdict.offenders


@pytest.mark.parametrize(
    "slug",
    [
        "swarm-autolock",
        "swarm-bind-interface",
        "swarm-data-plane-separated",
        "swarm-manager-count",
        "swarm-node-cert-rotated",
        "swarm-overlay-encrypted",
        "swarm-secrets-used",
    ],
)
def test_a_hardened_swarm_passes(careful: Snapshot, slug: str) -> None:
    verdict = judge(slug, careful)
    assert verdict.status is Status.PASS, verdict


def test_manual_verdicts_show_when_the_state_was_collected(careful: Snapshot) -> None:
    verdict = judge("swarm-ca-rotated", careful)
    assert verdict.status is Status.MANUAL
    assert f"({careful.collected_at[:10]})" in verdict.actual
    assert judge("swarm-autolock-rotated", careful).status is Status.MANUAL


def test_swarm_mode_passes_if_the_policy_declares_it(careful: Snapshot) -> None:
    meant = Snapshot({**careful.raw, "policy": {"swarm": True}})
    assert judge("swarm-mode-off", meant).status is Status.PASS


def test_secrets_and_tokens_of_a_swarm_are_not_in_the_snapshot(careless: Snapshot, careful: Snapshot) -> None:
    assert SECRET not in str(careless.raw)
    assert "SWMTKN-" not in str(careless.raw)
    assert "SWMKEY-" not in str(careful.raw)
