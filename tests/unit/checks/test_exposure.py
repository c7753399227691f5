from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Severity, Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import container, make, only

MTLS = {
    "tlsverify": ["true"],
    "tlscacert": ["/c/ca.pem"],
    "tlscert": ["/c/cert.pem"],
    "tlskey": ["/c/key.pem"],
}
STALE = {"started": 100}


def told(
    flags: Any = None,
    parsed: Any = None,
    *,
    listening: Any = (),
    engine: Any = None,
    authorities: Any = None,
    **sources: Any,
) -> Snapshot:
    config = {"flags": only(flags or {}), "exists": parsed is not None, "parsed": parsed}
    if authorities:
        config["authorities"] = {"/c/ca.pem": dict(zip(("certificates", "public"), authorities, strict=True))}
    facts = {
        "listening": [{"address": a, "port": p, "process": "dockerd"} for a, p in listening],
        **(engine or {}),
    }
    return make(engine=facts, **{"daemon.config": config, **sources})


def by_status(verdict: Verdict, status: Status, words: str = "") -> None:
    assert verdict.status is status, verdict
    assert words in verdict.actual, verdict
    if status is Status.FAIL:
        assert verdict.offenders


ANYWHERE = [("0.0.0.0", 2375)]
RELAYED = {"address": "0.0.0.0", "port": 2375, "process": "systemd-socket-proxyd"}


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (told(), Status.NOT_APPLICABLE, "no TCP socket"),
        (
            told({"host": ["tcp://0.0.0.0:2375"]}, listening=ANYWHERE),
            Status.FAIL,
            "tcp://0.0.0.0:2375: no TLS",
        ),
        (told({"host": ["tcp://127.0.0.1:2375"]}, listening=[("127.0.0.1", 2375)]), Status.FAIL, "127.0.0.1"),
        (told({"host": ["tcp://[::]:2375"]}, listening=[("::", 2375)]), Status.FAIL, "tcp://[::]:2375"),
        (told(MTLS, listening=ANYWHERE), Status.PASS, "/c/ca.pem"),
        (
            told({**MTLS, "tlsverify": ["false"]}, listening=ANYWHERE),
            Status.FAIL,
            "without client certificates",
        ),
        (told({"tls": ["true"], "tlscacert": ["/c/ca.pem"]}, listening=ANYWHERE), Status.PASS, "/c/ca.pem"),
        (
            told(
                parsed={"tlsverify": True, "tlscert": "/c/cert.pem", "tlskey": "/c/key.pem"},
                listening=ANYWHERE,
            ),
            Status.FAIL,
            "any public CA",
        ),
        (
            told(parsed={"tlsverify": True, "tlscacert": "/c/ca.pem"}, listening=ANYWHERE),
            Status.FAIL,
            "tlskey",
        ),
        (
            told({"metrics-addr": ["127.0.0.1:9323"]}, listening=[("127.0.0.1", 9323)]),
            Status.NOT_APPLICABLE,
            "",
        ),
        (told(parsed={"metrics-addr": "0.0.0.0:2375"}, listening=[("0.0.0.0", 2376)]), Status.FAIL, "2376"),
        (
            told(MTLS, listening=[("127.0.0.1", 2376)], authorities=(148, 148)),
            Status.FAIL,
            "local users only",
        ),
        (told(MTLS, listening=ANYWHERE, authorities=(148, 148)), Status.FAIL, "148 public authorities"),
        (told(MTLS, listening=ANYWHERE, authorities=(2, 1)), Status.FAIL, "1 public authority"),
        (told(MTLS, listening=ANYWHERE, authorities=(11, 0)), Status.FAIL, "holds 11 authorities"),
        (told(MTLS, listening=ANYWHERE, authorities=(2, 0)), Status.PASS, "/c/ca.pem"),
        (
            told(MTLS, engine={"listening": [RELAYED]}),
            Status.FAIL,
            "tcp://0.0.0.0:2375: systemd-socket-proxyd forwards connections",
        ),
    ],
)
def test_an_api_on_tcp_passes_only_if_it_requires_client_certificates(
    judge: Judge, snapshot: Snapshot, status: Status, words: str
) -> None:
    by_status(judge("daemon-tls-verify", snapshot), status, words)


def test_another_engine_that_verifies_its_clients_is_not_an_offender(judge: Judge) -> None:
    entry = {"address": "0.0.0.0", "port": 2376, "process": "dockerd 77"}
    for verifies, status in ((True, Status.PASS), (False, Status.FAIL)):
        engine = {"listening": [{**entry, "verifies": verifies}]}
        verdict = judge("daemon-tls-verify", make(engine=engine, **{"daemon.config": {"flags": MTLS}}))
        by_status(verdict, status, "" if verifies else "another engine (dockerd 77)")


def test_a_ca_file_replaced_after_the_start_of_the_engine_is_manual(judge: Judge) -> None:
    snapshot = told(MTLS, listening=[("127.0.0.1", 2376)])
    ca = MTLS["tlscacert"][-1]
    files = {ca: {"mtime": 2_000_000_000}}
    raw = make(engine={"started": 1_000_000_000}, files=files).raw
    changed = {**snapshot.raw["sources"], "files": raw["sources"]["files"]}
    engine = changed["engine"]["data"]
    changed["engine"] = {**changed["engine"], "data": {**engine, "started": 1_000_000_000}}
    verdict = judge("daemon-tls-verify", Snapshot({**snapshot.raw, "sources": changed}))
    by_status(verdict, Status.MANUAL, f"{ca} was changed after it started")


def test_containers_that_reach_an_api_on_loopback_are_named(judge: Judge) -> None:
    host = container("guest", proc={"host_namespaces": ["net"]})
    snapshot = told(listening=[("127.0.0.1", 2375)], **{"docker.containers": [host]})
    verdict = judge("daemon-tls-verify", snapshot)
    by_status(verdict, Status.FAIL, "local users, and containers in the host's network: guest")
    assert verdict.severity is None


WILDCARDS = ["", "0.0.0.0", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]"]
ONE_ADDRESS = [
    ("127.0.0.1", "127.0.0.1"),
    ("[::ffff:127.0.0.1]", "127.0.0.1"),
    ("127.0.0.1", "::ffff:127.0.0.1"),
    ("[0:0:0:0:0:0:0:1]", "::1"),
    ("[2001:DB8::1]", "2001:db8::1"),
    ("[fe80::1%eth0]", "fe80::1"),
]


@pytest.mark.parametrize(
    ("declared", "actual"),
    [*((one, each) for one in WILDCARDS for each in ("::", "0.0.0.0", "::ffff:0.0.0.0")), *ONE_ADDRESS],
)
def test_metrics_and_published_ports_are_recognised_in_every_spelling_of_their_address(
    judge: Judge, declared: str, actual: str
) -> None:
    """Go listens on ``::`` where the declared address stands for all of the host."""
    metrics = told(parsed={"metrics-addr": f"{declared}:9323"}, listening=[(actual, 9323)])
    by_status(judge("daemon-tls-verify", metrics), Status.NOT_APPLICABLE)
    ports = {"80/tcp": [{"HostIp": declared.strip("[]"), "HostPort": "9323"}]}
    web = container("web", NetworkSettings={"Ports": ports})
    published = told(listening=[(actual, 9323)], **{"docker.containers": [web]})
    by_status(judge("daemon-tls-verify", published), Status.NOT_APPLICABLE)


@pytest.mark.parametrize("declared", ["127.0.0.2", "192.0.2.1", "[::1]", "[2001:db8::2]", "0.0.0.0", "[::]"])
def test_a_listener_at_another_address_than_the_metrics_is_the_api(judge: Judge, declared: str) -> None:
    for actual in ("127.0.0.1", "2001:db8::1", *(() if declared in ("0.0.0.0", "[::]") else ("::",))):
        other = told(parsed={"metrics-addr": f"{declared}:9323"}, listening=[(actual, 9323)])
        by_status(judge("daemon-tls-verify", other), Status.FAIL, "9323: no TLS")


def test_a_metrics_port_on_another_address_is_not_taken_for_the_api(judge: Judge) -> None:
    settings = {"metrics-addr": ["127.0.0.2:2375"], "host": ["tcp://127.0.0.1:2375"]}
    verdict = judge("daemon-tls-verify", told(settings, listening=[("127.0.0.2", 2375), ("127.0.0.1", 2375)]))
    assert [offender.name for offender in verdict.offenders] == ["tcp://127.0.0.1:2375"]


def test_a_published_port_is_not_taken_for_the_api(judge: Judge) -> None:
    """Without the userland proxy the daemon itself holds the ports of containers, seen on Docker 26.1."""
    ports = {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    containers = {"docker.containers": [container("shop", NetworkSettings={"Ports": ports})]}
    verdict = judge("daemon-tls-verify", told(listening=[("0.0.0.0", 8080)], **containers))
    by_status(verdict, Status.NOT_APPLICABLE)
    beside = judge(
        "daemon-tls-verify", told(listening=[("0.0.0.0", 8080), ("127.0.0.1", 8080)], **containers)
    )
    by_status(beside, Status.FAIL, "tcp://127.0.0.1:8080: no TLS")


def test_a_port_of_an_engine_without_an_answer_is_undecided_unless_it_is_declared(judge: Judge) -> None:
    hung = {"reachable": False, "listening": [{"address": "0.0.0.0", "port": 8080, "process": "dockerd"}]}
    with pytest.raises(FactUnavailable, match=r"tcp://0\.0\.0\.0:8080 may be its API"):
        judge("daemon-tls-verify", told(MTLS, engine=hung))
    by_status(
        judge("daemon-tls-verify", told({"host": ["tcp://0.0.0.0:8080"]}, engine=hung)), Status.FAIL, "no TLS"
    )
    for certain in (RELAYED, {**RELAYED, "process": "systemd"}, {**RELAYED, "process": "dockerd 77"}):
        by_status(judge("daemon-tls-verify", told(engine={**hung, "listening": [certain]})), Status.FAIL)


def test_an_address_declared_for_the_next_start_does_not_decide_about_a_hung_engine(judge: Judge) -> None:
    hung = {"reachable": False, "listening": [{"address": "0.0.0.0", "port": 8080, "process": "dockerd"}]}
    with pytest.raises(FactUnavailable, match=r"tcp://0\.0\.0\.0:8080 may be its API"):
        judge("daemon-tls-verify", told(parsed={"hosts": ["tcp://0.0.0.0:2375"]}, engine=hung))


def test_a_socket_that_systemd_holds_for_an_engine_that_does_not_run_is_its_api(judge: Judge) -> None:
    held = [{"address": "0.0.0.0", "port": 2375, "process": "systemd"}]
    down = {"pid": None, "reachable": False, "listening": held}
    by_status(judge("daemon-tls-verify", told(engine=down)), Status.FAIL, "tcp://0.0.0.0:2375: no TLS")


def test_sockets_of_swarm_are_not_taken_for_the_api(judge: Judge) -> None:
    swarm = {"LocalNodeState": "active", "RemoteManagers": [{"NodeID": "n", "Addr": "192.0.2.1:4242"}]}
    sockets = [("::", 2377), ("::", 7946), ("::", 4242)]
    joined = told(listening=sockets, **{"docker.info": {"Swarm": swarm}})
    by_status(judge("daemon-tls-verify", joined), Status.NOT_APPLICABLE)
    by_status(judge("daemon-tls-verify", told(listening=sockets)), Status.FAIL)


def test_ports_of_services_are_not_taken_for_the_api(judge: Judge) -> None:
    """The engine holds it for both families by one socket, seen on Docker 26.1."""
    service = {
        "ID": "s",
        "Spec": {"Name": "shop"},
        "Endpoint": {"Ports": [{"PublishedPort": 8080, "Protocol": "tcp"}]},
    }
    member = {"LocalNodeState": "active", "ControlAvailable": True}
    manager = {"docker.info": {"Swarm": member}, "docker.swarm": {"services": [service]}}
    sockets = [("::", 8080), ("::", 2377)]
    known = told(listening=sockets, **manager)
    by_status(judge("daemon-tls-verify", known), Status.NOT_APPLICABLE)
    beside = told(listening=[*sockets, ("::", 2375)], **manager)
    by_status(judge("daemon-tls-verify", beside), Status.FAIL, "tcp://[::]:2375: no TLS")

    worker = {"docker.info": {"Swarm": {**member, "ControlAvailable": False}}}
    by_status(judge("daemon-tls-verify", told(listening=sockets, **worker)), Status.NOT_APPLICABLE)
    opened = told({"host": ["tcp://0.0.0.0:2375"]}, listening=[*sockets, ("::", 2375)], **worker)
    by_status(judge("daemon-tls-verify", opened), Status.FAIL, "tcp://[::]:2375: no TLS")


def test_a_stopped_engine_that_declares_a_tcp_socket_without_tls_fails(judge: Judge) -> None:
    stopped = {"pid": None, "reachable": False}
    opened = told({"host": ["tcp://0.0.0.0:2375"]}, engine=stopped)
    by_status(judge("daemon-tls-verify", opened), Status.FAIL, "tcp://0.0.0.0:2375")
    by_status(judge("daemon-tls-verify", told(engine=stopped)), Status.NOT_APPLICABLE)


def test_a_declaration_that_is_not_in_force_is_reported(judge: Judge) -> None:
    later = told(parsed={"hosts": ["tcp://0.0.0.0:2375"]})
    by_status(judge("daemon-tls-verify", later), Status.NOT_APPLICABLE, "declared tcp://0.0.0.0:2375")


def test_tls_settings_changed_after_the_daemon_started_are_manual(judge: Judge) -> None:
    parsed = {"tlsverify": True, "tlscacert": "/c/ca.pem", "tlscert": "/c/cert.pem", "tlskey": "/c/key.pem"}
    files = {"/etc/docker/daemon.json": {"mtime": 200}}
    fresh = told(parsed=parsed, listening=ANYWHERE, engine=STALE, files=files)
    by_status(judge("daemon-tls-verify", fresh), Status.MANUAL, "restart")
    by_status(
        judge("daemon-tls-verify", told(MTLS, listening=ANYWHERE, engine=STALE, files=files)), Status.PASS
    )


def test_warnings_of_the_engine_are_evidence(judge: Judge) -> None:
    warning = "[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption."
    verdict = judge("daemon-tls-verify", told(listening=ANYWHERE, **{"docker.info": {"Warnings": [warning]}}))
    assert warning in verdict.evidence


def test_a_tcp_socket_of_the_engine_fails_even_if_it_is_not_configured(judge: Judge) -> None:
    by_status(judge("daemon-tls-verify", told(listening=ANYWHERE)), Status.FAIL, "tcp://0.0.0.0:2375")
    held = {"address": "0.0.0.0", "port": 2375, "process": "systemd"}
    by_status(judge("daemon-tls-verify", make(engine={"listening": [held]})), Status.FAIL)


def test_a_tcp_address_in_the_hosts_list_of_a_stopped_engine_fails(judge: Judge) -> None:
    hosts = {"hosts": ["unix:///run/docker.sock", "tcp://0.0.0.0:2375"]}
    by_status(
        judge("daemon-tls-verify", told(parsed=hosts, engine={"pid": None, "reachable": False})), Status.FAIL
    )


def test_an_address_of_a_log_driver_is_not_taken_for_an_api_host(judge: Judge) -> None:
    log = {"log-driver": "syslog", "log-opts": {"syslog-address": "tcp://loghost:514"}}
    by_status(judge("daemon-tls-verify", told(parsed=log)), Status.NOT_APPLICABLE)


def test_mutual_tls_in_the_file_is_read(judge: Judge) -> None:
    parsed = {
        "hosts": ["tcp://0.0.0.0:2376"],
        "tlsverify": True,
        "tlscacert": "/c/ca.pem",
        "tlscert": "/c/cert.pem",
        "tlskey": "/c/key.pem",
    }
    by_status(judge("daemon-tls-verify", told(parsed=parsed, listening=[("0.0.0.0", 2376)])), Status.PASS)


def registries(**config: Any) -> dict[str, Any]:
    return {"docker.info": {"RegistryConfig": config}}


def index(name: str, *, secure: bool = True, mirrors: Any = ()) -> dict[str, Any]:
    return {name: {"Name": name, "Mirrors": list(mirrors), "Secure": secure, "Official": False}}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, set()),
        ({"InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"]}, set()),
        ({"InsecureRegistryCIDRs": ["127.0.0.0/8", "10.0.0.0/8"]}, {"10.0.0.0/8"}),
        ({"InsecureRegistryCIDRs": ["0.0.0.0/0"]}, {"0.0.0.0/0"}),
        ({"InsecureRegistryCIDRs": ["junk"]}, {"junk"}),
        ({"InsecureRegistryCIDRs": None}, set()),
        ({"IndexConfigs": index("registry.lan:5000", secure=False)}, {"registry.lan:5000"}),
        ({"IndexConfigs": index("registry.lan:5000")}, set()),
        ({"IndexConfigs": index("localhost:5000", secure=False)}, set()),
        ({"IndexConfigs": index("[::1]:5000", secure=False)}, set()),
        ({"IndexConfigs": index("localhost.evil.example", secure=False)}, {"localhost.evil.example"}),
        ({"Mirrors": ["http://mirror.lan/"]}, {"http://mirror.lan/"}),
        ({"Mirrors": ["https://mirror.lan/", "http://127.0.0.1:5000/"]}, set()),
        ({"IndexConfigs": index("docker.io", mirrors=["HTTP://mirror.lan/"])}, {"HTTP://mirror.lan/"}),
    ],
)
def test_insecure_registries_are_named(judge: Judge, config: Any, names: set[str]) -> None:
    verdict = judge("daemon-insecure-registries-none", make(**registries(**config)))
    by_status(verdict, Status.FAIL if names else Status.PASS)
    assert {offender.name for offender in verdict.offenders} == names


def test_insecure_registries_fail_only_if_the_engine_reports_them(judge: Judge) -> None:
    by_status(judge("daemon-insecure-registries-none", told({"insecure-registry": ["a.lan"]})), Status.PASS)
    effective = registries(IndexConfigs=index("a.lan", secure=False))
    by_status(judge("daemon-insecure-registries-none", told(**effective)), Status.FAIL)
    mirror = registries(Mirrors=["http://mirror.lan/"])
    by_status(judge("daemon-insecure-registries-none", told(**mirror)), Status.FAIL, "without TLS")


def test_a_registry_of_the_wrong_type_is_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable):
        judge("daemon-insecure-registries-none", make(**{"docker.info": {"RegistryConfig": None}}))
    with pytest.raises(FactUnavailable):
        judge("daemon-insecure-registries-none", make(**registries(IndexConfigs={"a": None})))


def asked(*names: str) -> dict[str, Any]:
    return {"docker.info": {"Plugins": {"Authorization": list(names)}}}


@pytest.mark.parametrize(
    ("sources", "status", "words"),
    [
        ({}, Status.FAIL, "no authorization plugin"),
        (asked("opa"), Status.PASS, "opa"),
        ({**asked("opa"), "docker.plugins": [{"Name": "opa:latest", "Enabled": True}]}, Status.PASS, ""),
        (
            {**asked("opa"), "docker.plugins": [{"Name": "opa:latest", "Enabled": False}]},
            Status.FAIL,
            "not enabled",
        ),
    ],
)
def test_only_an_enabled_authorization_plugin_passes(
    judge: Judge, sources: Any, status: Status, words: str
) -> None:
    by_status(judge("daemon-authz-plugin", make(**sources)), status, words)


@pytest.mark.parametrize(
    ("version", "package", "status"),
    [
        ("29.3.0", "docker-ce", Status.FAIL),
        ("28.5.2", "docker-ce", Status.FAIL),
        ("29.3.1", "docker-ce", Status.PASS),
        ("29.9.0", "docker-ce", Status.PASS),
        ("29.3.0", "none-of-these", Status.FAIL),
        ("26.1.5+dfsg1", "docker.io", Status.PASS),
        ("25.0.14", "docker-ce", Status.MANUAL),
        ("25.0.14", "none-of-these", Status.MANUAL),
    ],
)
def test_an_authorization_plugin_fails_on_engine_versions_that_let_requests_bypass_it(
    judge: Judge, version: str, package: str, status: Status
) -> None:
    packages = {"installed": only({package: version})}
    snapshot = make(packages=packages, **{**asked("opa"), "docker.version": {"Version": version}})
    words = "" if status is Status.PASS else "CVE-2026-34040"
    by_status(judge("daemon-authz-plugin", snapshot), status, words)


@pytest.mark.parametrize("package", ["docker-ce", "docker.io", "none-of-these"])
@pytest.mark.parametrize("version", [f"{major}.0.9" for major in range(20, 30)])
def test_the_plugin_control_is_manual_if_the_control_of_the_engines_version_is_manual(
    judge: Judge, version: str, package: str
) -> None:
    """A version that one of them leaves open because of its vendor is not failed by the other one."""
    packages = {"installed": only({package: version}), "pending_security": []}
    snapshot = make(packages=packages, **{**asked("opa"), "docker.version": {"Version": version}})
    plugin, current = (judge(slug, snapshot) for slug in ("daemon-authz-plugin", "docker-version-current"))
    if package == "docker.io":  # its revision tells what is repaired
        assert plugin.status is Status.PASS
    elif current.status is Status.MANUAL:
        assert plugin.status is Status.MANUAL, (plugin, current)
    else:  # a version that lags in a branch that others keep fails the one, and is open for the other
        assert plugin.status in (current.status, Status.MANUAL), (plugin, current)


def test_a_patched_package_does_not_pass_a_running_engine_of_another_version(judge: Judge) -> None:
    packages = {"installed": only({"docker.io": "26.1.5+dfsg1-9+deb13u1"})}
    snapshot = make(packages=packages, **{**asked("opa"), "docker.version": {"Version": "27.3.1"}})
    by_status(judge("daemon-authz-plugin", snapshot), Status.FAIL, "CVE-2026-34040")


@pytest.mark.parametrize(
    ("listening", "severity"),
    [
        ([("127.0.0.1", 2375)], Severity.HIGH),
        ([("::1", 2375)], Severity.HIGH),
        ([("127.0.0.1", 2375), ("::1", 2375)], Severity.HIGH),
        ([("127.0.0.1", 2375), ("192.0.2.10", 2375)], None),
        ([("0.0.0.0", 2375)], None),
    ],
)
def test_an_api_only_on_loopback_fails_with_high_severity(
    judge: Judge, listening: list[tuple[str, int]], severity: Severity | None
) -> None:
    verdict = judge("daemon-tls-verify", told(listening=listening))
    by_status(verdict, Status.FAIL, "no TLS")
    assert verdict.severity is severity


def logs(driver: str, *containers: dict[str, Any], **options: str) -> Snapshot:
    info = {"docker.info": {"LoggingDriver": driver}, "docker.containers": list(containers)}
    return told(parsed={"log-opts": options} if options else None, **info)


def logging(name: str, driver: str, **options: str) -> dict[str, Any]:
    return container(name, HostConfig={"LogConfig": {"Type": driver, "Config": only(options)}})


REMOTE = {"syslog-address": "tcp+tls://logs.example.org:6514"}


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (make(), Status.MANUAL, "log-driver (json-file), web (json-file)"),
        (logs("journald"), Status.MANUAL, "journald"),
        (logs("local"), Status.MANUAL, "local"),
        (logs("none"), Status.FAIL, "discarded"),
        (logs("fluentd", **{"fluentd-address": "logs.example.org:24224"}), Status.PASS, ""),
        (logs("fluentd"), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "127.0.0.1:24224"}), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "localhost"}), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "LOCALHOST.:24224"}), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "localhost.localdomain:1"}), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "0.0.0.0:24224"}), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "[::]:24224"}), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "[::ffff:127.0.0.1]:24224"}), Status.MANUAL, "fluentd"),
        (logs("gelf", **{"gelf-address": "udp://172.17.0.9:12201"}), Status.MANUAL, "gelf"),
        (logs("gelf", **{"gelf-address": "udp://172.31.0.9:12201"}), Status.PASS, ""),
        (logs("fluentd", **{"fluentd-address": "unix:///run/fluentd.sock"}), Status.MANUAL, "fluentd"),
        (logs("fluentd", **{"fluentd-address": "tls://logs.example.org:24224"}), Status.PASS, ""),
        (logs("gelf", **{"gelf-address": "udp://127.0.0.1:12201"}), Status.MANUAL, "gelf"),
        (logs("gelf", **{"gelf-address": "udp://[::1]:12201"}), Status.MANUAL, "gelf"),
        (logs("gelf", **{"gelf-address": "tcp://logs.example.org:12201"}), Status.PASS, ""),
        (logs("splunk", **{"splunk-url": "https://localhost:8088"}), Status.MANUAL, "splunk"),
        (logs("grafana/loki-docker-driver:3"), Status.PASS, ""),
        (logs("syslog"), Status.MANUAL, "syslog"),
        (logs("syslog", **{"syslog-address": "unix:///dev/log"}), Status.MANUAL, ""),
        (logs("syslog", **{"syslog-address": "udp://127.0.0.1:514"}), Status.MANUAL, ""),
        (logs("syslog", **{"syslog-address": "udp://192.0.2.7:514"}), Status.MANUAL, ""),
        (logs("syslog", **{"syslog-address": "udp://[2001:db8::7]:514"}), Status.MANUAL, ""),
        (logs("syslog", **{"syslog-address": "udp://192.0.2.8:514"}), Status.PASS, ""),
        (logs("syslog", **{"syslog-address": "tcp://["}), Status.MANUAL, ""),
        (logs("syslog", **REMOTE), Status.PASS, ""),
        (logs("gelf", logging("db", "json-file")), Status.MANUAL, "db (json-file)"),
        (logs("gelf", logging("db", "none")), Status.FAIL, "db"),
        (logs("gelf", logging("db", "syslog", **REMOTE)), Status.PASS, ""),
    ],
)
def test_central_logging_passes_only_if_every_driver_sends_to_another_host(
    judge: Judge, snapshot: Snapshot, status: Status, words: str
) -> None:
    by_status(judge("daemon-central-logging", snapshot), status, words)


@pytest.mark.parametrize("driver", [None, ""])
def test_an_engine_that_names_no_logging_driver_is_an_error(judge: Judge, driver: Any) -> None:
    with pytest.raises(FactUnavailable, match="logging driver"):
        judge("daemon-central-logging", make(**{"docker.info": {"LoggingDriver": driver}}))


@pytest.mark.parametrize(("driver", "status"), [("none", Status.FAIL), ("local", Status.MANUAL)])
def test_logging_drivers_none_and_local_do_not_pass_in_the_daemon_or_a_container(
    judge: Judge, driver: str, status: Status
) -> None:
    by_status(judge("daemon-central-logging", logs(driver)), status)
    by_status(judge("daemon-central-logging", logs("fluentd", logging("db", driver))), status, "db")


def test_a_stopped_engine_with_an_unreadable_file_is_an_error(judge: Judge) -> None:
    broken = {"exists": True, "parsed": None, "error": "not JSON", "flags": only({})}
    with pytest.raises(FactUnavailable):
        judge("daemon-tls-verify", make(engine={"pid": None, "listening": []}, **{"daemon.config": broken}))


def test_undecided_logging_drivers_are_kept_separate_from_failing_ones(judge: Judge) -> None:
    snapshot = logs("json-file", logging("db", "none"), logging("web", "journald"))
    verdict = judge("daemon-central-logging", snapshot)
    assert [offender.name for offender in verdict.offenders] == ["db"]
    assert verdict.undecided is not None
    assert verdict.undecided.status is Status.MANUAL
    assert [offender.name for offender in verdict.undecided.offenders] == ["log-driver", "web"]
