"""Sections 2 and 3 on engines that are really configured like this: what fails, and its twin that passes."""

from __future__ import annotations

import grp
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from threading import Thread

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests import leftovers
from tests.integration.collecting import collect, judge
from tests.integration.dockerd import IMAGE, Dockerd, EngineError
from tests.integration.namespaces import OwnNetwork
from tests.integration.sshd import free_port

HARDENED = {
    "icc": False,
    "userland-proxy": False,
    "live-restore": True,
    "no-new-privileges": True,
    "log-level": "info",
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 524288}},
    "log-driver": "syslog",
    "log-opts": {"syslog-address": "udp://192.0.2.1:514"},
}
CARELESS = {
    "debug": True,
    "experimental": True,
    "insecure-registries": ["registry.lan:5000", "10.0.0.0/8"],
    "registry-mirrors": ["http://mirror.lan/"],
    "seccomp-profile": "unconfined",
    "log-driver": "none",
    "cgroup-parent": "/elsewhere",
}


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A CA and a server certificate of its, with the modes that the benchmark asks for, in an open folder."""
    with leftovers.scratch("tls") as folder:
        folder.chmod(0o755)
        _issue(folder)
        yield folder


def _issue(folder: Path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test CA",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    )
    openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        "key.pem",
        "-out",
        "server.csr",
    )
    openssl(
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-days",
        "2",
        "-out",
        "cert.pem",
    )
    for name, mode in (("ca.pem", 0o444), ("cert.pem", 0o444), ("key.pem", 0o400)):
        (folder / name).chmod(mode)


def mutual(folder: Path) -> tuple[str, ...]:
    return (
        "--tlsverify",
        f"--tlscacert={folder}/ca.pem",
        "--tlscert",  # a flag with its value apart
        f"{folder}/cert.pem",
        f"--tlskey={folder}/key.pem",
    )


@pytest.fixture(scope="module")
def careless() -> Iterator[tuple[Dockerd, Snapshot]]:
    """An engine that does what it should not, with files that anybody may write.

    It has a network of its own: its API on TCP would be a finding on the host of another engine too.
    """
    flags = ("--host", f"tcp://127.0.0.1:{free_port()}", "--tls=false", "-l", "debug")
    with OwnNetwork() as network, Dockerd(config=CARELESS, flags=flags) as engine:
        engine.create("quiet", host_config={"LogConfig": {"Type": "json-file", "Config": {}}})
        engine.root.chmod(0o755)  # below a closed folder nobody reaches them
        engine.config_file.chmod(0o622)
        engine.socket.chmod(0o666)
        snapshot = collect(engine)
        with network.outside():
            yield engine, snapshot


@pytest.fixture(scope="module")
def hardened(certificates: Path) -> Iterator[tuple[Dockerd, Snapshot]]:
    """An engine as the benchmark wants it; the API on TCP included, for those who ask who they are."""
    with Dockerd(
        config=HARDENED, flags=(f"--host=tcp://127.0.0.1:{free_port()}", *mutual(certificates))
    ) as engine:
        engine.root.chmod(0o755)
        engine.config_file.chmod(0o644)
        yield engine, collect(engine)


@pytest.mark.parametrize(
    ("slug", "words"),
    [
        ("daemon-icc-disabled", "enable_icc is true"),
        ("daemon-log-level-info", "debug (--log-level)"),
        ("daemon-insecure-registries-none", "registry.lan:5000"),
        ("daemon-tls-verify", "tcp://127.0.0.1:"),
        ("daemon-default-ulimits", "no default"),
        ("daemon-userns-remap", "does not remap"),
        ("daemon-cgroup-parent-default", "/elsewhere"),
        ("daemon-authz-plugin", "no authorization plugin"),
        ("daemon-central-logging", "log-driver"),
        ("daemon-no-new-privileges", "off"),
        ("daemon-live-restore", "off"),
        ("daemon-userland-proxy-disabled", "true (default)"),
        ("daemon-seccomp-custom", "unconfined"),
        ("daemon-experimental-off", "on"),
        ("file-daemon-json-mode", "0622"),
        ("file-docker-sock-mode", "0666"),
        ("docker-group-trusted-users", "every local user"),
    ],
)
def test_an_insecurely_configured_engine_fails(
    careless: tuple[Dockerd, Snapshot], slug: str, words: str
) -> None:
    verdict = judge(slug, careless[1])
    assert verdict.status is Status.FAIL, verdict
    assert words in verdict.actual, verdict
    assert verdict.offenders


def test_insecure_registries_are_all_found(careless: tuple[Dockerd, Snapshot]) -> None:
    verdict = judge("daemon-insecure-registries-none", careless[1])
    assert {offender.name for offender in verdict.offenders} == {
        "registry.lan:5000",
        "10.0.0.0/8",
        "http://mirror.lan/",
    }


@pytest.mark.parametrize(
    "slug",
    [
        "daemon-icc-disabled",
        "daemon-log-level-info",
        "daemon-iptables-managed",
        "daemon-insecure-registries-none",
        "daemon-tls-verify",
        "daemon-default-ulimits",
        "daemon-cgroup-parent-default",
        "daemon-central-logging",
        "daemon-no-new-privileges",
        "daemon-live-restore",
        "daemon-userland-proxy-disabled",
        "daemon-seccomp-custom",
        "daemon-experimental-off",
        "file-daemon-json-mode",
        "file-daemon-json-owner",
        "file-docker-sock-mode",
        "file-docker-sock-owner",
        "file-tls-ca-mode",
        "file-tls-ca-owner",
        "file-tls-cert-mode",
        "file-tls-cert-owner",
        "file-tls-key-mode",
        "file-tls-key-owner",
    ],
)
def test_a_hardened_engine_passes(hardened: tuple[Dockerd, Snapshot], slug: str) -> None:
    verdict = judge(slug, hardened[1])
    assert verdict.status is Status.PASS, verdict


def test_an_api_that_passes_refuses_clients_without_a_certificate(hardened: tuple[Dockerd, Snapshot]) -> None:
    engine, snapshot = hardened
    assert judge("daemon-tls-verify", snapshot).status is Status.PASS
    assert not reached(engine)


def reached(engine: Dockerd) -> bool:
    """Whether a client without a certificate may use the API on TCP."""
    port = int(engine.flags[0].rpartition(":")[2])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain) as client,
    ):
        client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b"200 OK" in client.recv(4096)
    return False


def test_a_file_that_is_newer_than_the_engine_does_not_pass(hardened: tuple[Dockerd, Snapshot]) -> None:
    engine, _ = hardened
    before = engine.config_file.read_text()
    engine.configure({"icc": True, "no-new-privileges": False, "live-restore": False, "log-level": "info"})
    # A second is the finest the two clocks agree on.
    later = engine_started(engine) + 5
    os.utime(engine.config_file, (later, later))
    snapshot = collect(engine)
    for slug in ("daemon-icc-disabled", "daemon-no-new-privileges", "daemon-live-restore"):
        verdict = judge(slug, snapshot)
        assert verdict.status is Status.PASS, verdict
        assert "takes effect at the next restart" in verdict.actual
    assert judge("daemon-log-level-info", snapshot).status is Status.MANUAL
    engine.configure("{ broken")
    broken = collect(engine)
    assert judge("daemon-icc-disabled", broken).status is Status.PASS
    assert "cannot be read" in judge("daemon-icc-disabled", broken).actual
    engine.config_file.write_text(before)


def engine_started(engine: Dockerd) -> int:
    return int(collect(engine).fact("engine")["started"])


def test_tls_files_that_others_may_read_fail(certificates: Path, hardened: tuple[Dockerd, Snapshot]) -> None:
    wrong = {"ca.pem": 0o646, "cert.pem": 0o466, "key.pem": 0o440}
    right = {name: (certificates / name).stat().st_mode & 0o7777 for name in wrong}
    try:
        for name, mode in wrong.items():
            (certificates / name).chmod(mode)
            os.chown(certificates / name, 0, 1)
        snapshot = collect(hardened[0])
        for what in ("ca", "cert", "key"):
            for aspect in ("mode", "owner"):
                verdict = judge(f"file-tls-{what}-{aspect}", snapshot)
                assert verdict.status is Status.FAIL, verdict
                assert [offender.name for offender in verdict.offenders] == [f"{certificates}/{what}.pem"]
    finally:
        for name, mode in right.items():
            (certificates / name).chmod(mode)
            os.chown(certificates / name, 0, 0)


def test_a_socket_owned_by_a_group_other_than_docker_fails(hardened: tuple[Dockerd, Snapshot]) -> None:
    engine, _ = hardened
    os.chown(engine.socket, 0, 1)
    try:
        verdict = judge("file-docker-sock-owner", collect(engine))
        assert verdict.status is Status.FAIL, verdict
    finally:
        os.chown(engine.socket, 0, grp.getgrnam("docker").gr_gid)


def test_an_acl_that_lets_a_user_write_the_configuration_fails(hardened: tuple[Dockerd, Snapshot]) -> None:
    engine, _ = hardened
    subprocess.run(["setfacl", "-m", "u:1:rw", str(engine.config_file)], check=True)
    try:
        verdict = judge("file-daemon-json-mode", collect(engine))
        assert verdict.status is Status.FAIL, verdict
        assert "has an ACL that gives user daemon rw-" in verdict.actual
    finally:
        subprocess.run(["setfacl", "-b", str(engine.config_file)], check=True)
        engine.config_file.chmod(0o644)


class Plugin(BaseHTTPRequestHandler):
    """An authorization plugin that allows everything but new containers."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        allowed = {"Allow": b"/containers/create" not in asked}
        answer = {"Implements": ["authz"]} if self.path == "/Plugin.Activate" else allowed
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


def test_an_engine_that_asks_an_authorization_plugin_passes(engine: Dockerd) -> None:
    engine.create()
    assert judge("daemon-authz-plugin", collect(engine)).status is Status.FAIL
    name = f"{leftovers.name('plugin')}authz"
    socket_file = leftovers.PLUGINS / f"{name}.sock"
    socket_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with ThreadingUnixStreamServer(str(socket_file), Plugin) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            with Dockerd(config={"authorization-plugins": [name]}) as asking:
                asking.api("GET", "/info")
                with pytest.raises(EngineError, match="authorization denied by plugin"):
                    asking.api("POST", "/containers/create", {"Image": IMAGE})
                verdict = judge("daemon-authz-plugin", collect(asking))
            server.shutdown()
    finally:
        socket_file.unlink(missing_ok=True)
    assert verdict.status is Status.PASS, verdict
    assert name in verdict.actual


def test_a_running_userland_proxy_of_a_published_port_fails(engine: Dockerd) -> None:
    engine.run(
        "web",
        host_config={"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
        ExposedPorts={"80/tcp": {}},
    )
    verdict = judge("daemon-userland-proxy-disabled", collect(engine))
    assert verdict.status is Status.FAIL
    assert "1 docker-proxy running" in verdict.actual


def test_tls_without_client_certificates_fails(certificates: Path) -> None:
    flags = (f"--host=tcp://127.0.0.1:{free_port()}", *mutual(certificates)[1:], "--tlsverify=false")
    with Dockerd(flags=flags) as engine:
        assert reached(engine)
        verdict = judge("daemon-tls-verify", collect(engine))
    assert verdict.status is Status.FAIL
    assert "without client certificates" in verdict.actual


def test_tls_without_a_ca_fails(certificates: Path) -> None:
    """The engine takes the machine's public CAs then: tlsverify alone is no wall."""
    config = {
        "tlsverify": True,
        "tlscert": f"{certificates}/cert.pem",
        "tlskey": f"{certificates}/key.pem",
    }
    with Dockerd(config=config, flags=(f"--host=tcp://127.0.0.1:{free_port()}",)) as engine:
        verdict = judge("daemon-tls-verify", collect(engine))
    assert verdict.status is Status.FAIL
    assert "any public CA" in verdict.actual


def test_a_duplicate_key_is_reported() -> None:
    engine = Dockerd()
    engine.configure('{"debug": true, "debug": false}')
    with engine:
        verdict = judge("daemon-log-level-info", collect(engine))
    assert verdict.status is Status.PASS
    assert any("more than once" in fact for fact in verdict.evidence)


def test_audit_rules_are_judged_even_if_the_engine_does_not_start(tmp_path: Path) -> None:
    """Flag and file say different things: dockerd does not start, and what needs no engine is decided."""
    engine = Dockerd(config={"icc": False}, flags=("--icc=true",))
    try:
        with pytest.raises(EngineError, match="icc"):
            engine.start()
        snapshot = collect(engine)
        assert snapshot.fact("engine")["reachable"] is False
        assert judge("audit-dockerd", snapshot).status in (Status.FAIL, Status.PASS)
        assert json.dumps(snapshot.raw["sources"]["docker.info"]["state"]) == '"failed"'
    finally:
        engine.close()
