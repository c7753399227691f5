from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils.render.hostview import name_of

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.plugins.loading import ROLES
from tests.unit.plugins.module_utils.render.rendering import documents_of, verdicts
from tests.unit.snapshots import failed, make, no_engine, only, silent_engine

PREFIX = "docker_daemon_"
EMPTY: dict[str, Any] = {
    "docker.info": {"Containers": 0, "ContainersRunning": 0, "Images": 0},
    "docker.containers": only([]),
    "docker.images": only([]),
    "docker.volumes": only([]),
    "docker.networks": only([{"Name": name} for name in ("bridge", "host", "none")]),
}


def documents(snapshot: Snapshot, **variables: Any) -> dict[str, dict[str, Any]]:
    """The role's documents by their names without the role's."""
    defaults = yaml.safe_load((ROLES / "docker_daemon/defaults/main.yml").read_text())
    defaults = {key[len(PREFIX) :]: value for key, value in defaults.items()}
    found = documents_of("docker_daemon")(snapshot.raw, **{**defaults, **variables})
    return {document["name"].removeprefix(PREFIX): document for document in found}


def wish(snapshot: Snapshot, **variables: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keys that are insisted on, and those offered, of all documents."""
    keys: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for document in documents(snapshot, **variables).values():
        for resource in document.get("resources", ()):
            keys.update(resource.get("keys", ()))
            defaults.update(resource.get("defaults", ()))
    return keys, defaults


def expected(snapshot: Snapshot, variable: str, **variables: Any) -> dict[str, Any]:
    """What the engine has to report once a document is in force."""
    found: dict[str, Any] = documents(snapshot, **variables)[variable]["activations"][-1]["expect"]
    return found


def config(flags: dict[str, list[str]] | None = None, **parsed: Any) -> dict[str, Any]:
    return {"daemon.config": {"parsed": only(parsed), "exists": True, "flags": flags or {}}}


def test_rendered_settings_satisfy_the_controls_of_the_role() -> None:
    keys, defaults = wish(make(**EMPTY))
    effective = {
        "LiveRestoreEnabled": True,
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=no-new-privileges"],
    }
    bridge = {"Name": "bridge", "Options": {"com.docker.network.bridge.enable_icc": "false"}}
    sources = {
        **EMPTY,
        **config(**{**defaults, **keys}),
        "docker.info": {**EMPTY["docker.info"], **effective},
        "docker.networks": only([bridge]),
        "engine": {"proxies": 0},
    }
    found = verdicts(make(**sources), "daemon-")
    covered = {
        "daemon-icc-disabled",
        "daemon-log-level-info",
        "daemon-live-restore",
        "daemon-no-new-privileges",
        "daemon-userland-proxy-disabled",
        "daemon-default-ulimits",
    }
    assert {slug for slug in covered if found[slug] is not Status.PASS} == set()
    assert expected(make(**EMPTY), "live_restore")["info"] == {"LiveRestoreEnabled": True}
    assert expected(make(**EMPTY), "no_new_privileges")["security"] == ["no-new-privileges"]


def test_live_restore_is_omitted_in_a_swarm_with_a_reason() -> None:
    snapshot = make(**{"docker.info": {"Swarm": {"LocalNodeState": "active"}}})
    assert "live-restore" not in wish(snapshot)[0]
    assert "part of a swarm" in documents(snapshot)["live_restore"]["refused"]


def test_log_rotation_is_set_where_no_driver_is_configured() -> None:
    assert wish(make())[1]["log-driver"] == "json-file"
    assert wish(make())[1]["log-opts"] == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize(
    "declared", [config(None, **{"log-driver": "syslog"}), config({"log-driver": ["journald"]})]
)
def test_a_configured_logging_driver_is_kept(declared: dict[str, Any]) -> None:
    keys, defaults = wish(make(**declared))
    assert not {"log-driver", "log-opts"} & {*keys, *defaults}


def test_the_sites_logging_driver_gets_only_its_own_options() -> None:
    keys, defaults = wish(make(), log_driver="syslog", log_opts={"syslog-address": "udp://log:514"})
    assert keys["log-opts"] == {"syslog-address": "udp://log:514"}
    assert "log-driver" not in defaults
    assert expected(make(), "log_driver", log_driver="syslog")["info"]["LoggingDriver"] == "syslog"


def test_numeric_log_options_are_written_as_text() -> None:
    assert wish(make(), log_opts={"max-file": 5})[0]["log-opts"]["max-file"] == "5"


def test_the_sites_log_options_replace_those_of_the_host() -> None:
    keys, defaults = wish(
        make(**config(None, **{"log-opts": {"max-size": "77m"}})), log_opts={"max-size": "33m"}
    )
    assert keys["log-opts"] == {"max-size": "33m", "max-file": "3"}
    assert "log-opts" not in defaults


def test_log_options_for_another_driver_than_the_hosts_are_refused() -> None:
    snapshot = make(**config(None, **{"log-driver": "syslog"}))
    refused = documents(snapshot, log_opts={"max-size": "33m"})["log_driver"]["refused"]
    assert refused == "its options are for another driver than syslog: set docker_daemon_log_driver too"


def test_a_conflicting_flag_is_refused_and_other_keys_are_set() -> None:
    snapshot = make(**config({"icc": ["true"], "insecure-registry": ["a:5000"]}))
    found = documents(snapshot)
    assert "sets --icc true, and the engine does not start if /etc" in found["icc"]["refused"]
    assert "--insecure-registry a:5000" in found["insecure_registries"]["refused"]
    assert wish(snapshot)[0]["live-restore"] is True
    assert "refused" not in documents(snapshot, insecure_registries=["a:5000"])["insecure_registries"]


def test_extra_keys_cannot_replace_variables() -> None:
    assert wish(make(), extra={"mtu": 1400})[0]["mtu"] == 1400
    refused = documents(make(), extra={"icc": True, "log-driver": "x", "seccomp-profile": ""})["extra"][
        "refused"
    ]
    assert refused == (
        "docker_daemon_extra sets icc, log-driver, seccomp-profile:"
        " use docker_daemon_icc, docker_daemon_log_driver, seccomp_profile"
    )


def test_the_bridge_module_is_loaded_where_the_engine_needs_it() -> None:
    for variable in ("icc", "userland_proxy"):
        found = documents(make())[variable]
        assert found["activations"][0]["modules"] == ["br_netfilter"]
        assert found["resources"][1]["path"].startswith("/etc/modules-load.d/")
        relaxed = documents(make(), icc=True, userland_proxy=True)[variable]
        assert [entry["name"] for entry in relaxed["activations"]] == ["docker"]
        assert len(relaxed["resources"]) == 1


def test_each_variable_has_the_impact_reload_or_daemon_restart() -> None:
    found = {
        name: document["impact"]
        for name, document in documents(make(**EMPTY)).items()
        if "resources" in document
    }
    assert found.pop("live_restore") == found.pop("insecure_registries") == "reload"
    assert set(found.values()) == {"daemon-restart"}


def running(network: str, ports: Mapping[str, str], *, ipv6: bool = False) -> dict[str, Any]:
    """A running container in one network, which publishes port 80 at these ports, each at its address."""
    bindings = [{"HostIp": address, "HostPort": port} for port, address in ports.items()]
    attached = {network: {"GlobalIPv6Address": "fd00::2" if ipv6 else ""}}
    return {
        "inspect": {
            "Name": f"/{network}{len(ports)}",
            "NetworkSettings": {"Networks": attached, "Ports": {"80/tcp": bindings}},
        },
        "proc": {"pid": 7},
    }


def hosting(*containers: dict[str, Any], addresses: tuple[str, ...] = (), **parsed: Any) -> Snapshot:
    uplink = {"name": "eth0", "addresses": list(addresses)}
    engine = {"name": "docker0", "addresses": ["172.17.0.1/16", "fd00::1/64"]}
    network = {"interfaces": [uplink, engine], "routes": [], "cut": False}
    return make(
        **{**EMPTY, "docker.containers": only(list(containers)), "network": only(network), **config(**parsed)}
    )


def test_containers_of_the_default_bridge_that_are_cut_off_are_named_and_need_a_permission() -> None:
    together = hosting(running("bridge", {}), running("bridge", {"81": "127.0.0.1"}), running("shop", {}))
    found = documents(together)["icc"]
    assert found["impact"] == "connectivity"
    assert found["costs"].endswith("its containers no longer reach each other: bridge0, bridge1")
    for host, wanted in (
        (hosting(running("bridge", {}), running("shop", {})), False),
        (together, True),
        (hosting(), False),
    ):
        found = documents(host, icc=wanted)["icc"]
        assert (found["impact"], found["costs"]) == ("daemon-restart", "")


GLOBAL, LOCAL = ("2001:db8::5/64",), ("fe80::1/64", "192.0.2.7/24")


@pytest.mark.parametrize(
    ("ports", "ipv6", "addresses", "impact", "named"),
    [
        ({"8080": "::"}, False, GLOBAL, "connectivity", True),
        ({"8080": "::"}, False, LOCAL, "daemon-restart", True),
        ({"8080": "::"}, True, GLOBAL, "daemon-restart", False),
        ({"8080": "0.0.0.0"}, False, GLOBAL, "daemon-restart", False),
        ({"8080": "2001:db8::5"}, False, GLOBAL, "connectivity", True),
        ({}, False, GLOBAL, "daemon-restart", False),
    ],
)
def test_ports_that_only_the_proxy_publishes_are_named_and_need_a_permission(
    ports: dict[str, str], ipv6: bool, addresses: tuple[str, ...], impact: str, named: bool
) -> None:
    container = running("shop", ports, ipv6=ipv6)
    found = documents(hosting(container, addresses=addresses))["userland_proxy"]
    assert found["impact"] == impact
    assert found["costs"].endswith(":8080 (shop1)") is named
    assert named or not found["costs"]
    for host, wanted in (
        (hosting(container, addresses=addresses), True),
        (hosting(container, addresses=addresses, **{"userland-proxy": False}), False),
    ):
        found = documents(host, userland_proxy=wanted)["userland_proxy"]
        assert (found["impact"], found["costs"]) == ("daemon-restart", "")


def test_a_reboot_with_live_restore_is_slower_and_ignores_stop_signals() -> None:
    usual, own = running("shop", {}), running("site", {})
    own["inspect"]["Config"] = {**own["inspect"].get("Config", {}), "StopSignal": "SIGINT"}
    costs = documents(hosting(usual, own))["live_restore"]["costs"]
    named = [name_of(each["inspect"]) for each in (usual, own)]
    assert f"ends {', '.join(sorted(named))}: by SIGTERM" in costs
    assert f"without the stop signal of {named[1]} (SIGINT), and by SIGKILL only after" in costs
    assert "stop signal" not in documents(hosting(usual))["live_restore"]["costs"]
    for host, wanted in ((hosting(), True), (hosting(usual, own), False)):
        assert not documents(host, live_restore=wanted)["live_restore"]["costs"]
    surviving = hosting(usual, own)
    surviving.raw["sources"]["docker.info"]["data"]["LiveRestoreEnabled"] = True
    assert not documents(surviving)["live_restore"]["costs"]


def test_debug_mode_is_disabled() -> None:
    assert wish(make(**config(debug=True)))[0]["debug"] is False
    assert expected(make(**config(debug=True)), "log_level")["info"] == {"Debug": False}
    # Once ours it stays wanted, or the next run would give it back.
    assert wish(make(**config(debug=False)))[0]["debug"] is False
    assert "debug" not in wish(make())[0]
    assert "debug" not in wish(make(**config(debug=True)), log_level="debug")[0]


def test_the_engines_packet_filter_is_enabled_again() -> None:
    keys, _ = wish(make(**config(iptables=False, ip6tables=False)))
    assert (keys["iptables"], keys.get("ip6tables")) == (True, None)  # an experiment before 27.0
    newer = {"docker.info": {"ServerVersion": "28.5.2"}}
    assert wish(make(**config(iptables=False, ip6tables=False), **newer))[0]["ip6tables"] is True
    assert "iptables" not in documents(make())
    assert "iptables" not in documents(make(**config(iptables=False)), iptables=False)


def test_flushed_rules_are_restored_by_a_restart() -> None:
    def firewall(*chains: str) -> dict[str, Any]:
        lines = ["*filter", *(f":{chain} - [0:0]" for chain in chains), "COMMIT", "*nat", ":DOCKER - [0:0]"]
        return {"firewall": {"iptables": {"variant": "nf_tables", "ipv4": "\n".join(lines), "ipv6": ""}}}

    flushed = make(**firewall("DOCKER-USER"))
    assert wish(flushed)[0]["iptables"] is True
    assert expected(flushed, "iptables")["chains"] == ["DOCKER"]
    assert "iptables" not in documents(make(**firewall("DOCKER")))
    nftables = {"docker.info": {"FirewallBackend": {"Driver": "nftables"}}}
    assert "iptables" not in documents(make(**firewall(), **nftables))


def test_insecure_registries_are_removed_unless_the_site_names_them() -> None:
    declared = config(
        None,
        **{
            "insecure-registries": ["10.0.0.0/8", "old:5000"],
            "registry-mirrors": ["http://mirror", "https://good", "http://127.0.0.1:5000"],
        },
    )
    keys, _ = wish(make(**declared))
    assert keys["insecure-registries"] == ["127.0.0.0/8", "::1/128"]  # [] ends Docker 29.10's exemption
    assert keys["registry-mirrors"] == ["https://good", "http://127.0.0.1:5000"]
    found = documents(make(**declared))["insecure_registries"]
    assert found["costs"].endswith("no longer pulled from: 10.0.0.0/8, http://mirror, old:5000")
    assert found["impact"] == "reload"
    keys, _ = wish(
        make(**declared), insecure_registries=["old:5000"], extra={"registry-mirrors": ["http://m"]}
    )
    assert keys["insecure-registries"] == ["old:5000"]
    assert keys["registry-mirrors"] == ["http://m"]
    assert not {"insecure-registries", "registry-mirrors"} & wish(make())[0].keys()


def test_a_mirror_with_a_redacted_password_is_not_written() -> None:
    secret = "https://hmac:0123456789abcdef@mirror"  # as a snapshot has it
    alone = documents(make(**config(None, **{"registry-mirrors": [secret, "https://other"]})))
    assert "registry-mirrors" not in alone["insecure_registries"]["resources"][0]["keys"]
    both = documents(make(**config(None, **{"registry-mirrors": [secret, "http://plain"]})))
    assert "remove the mirror over plain HTTP from the file" in both["insecure_registries"]["refused"]


def test_authorization_plugins_are_set_only_if_the_site_names_them() -> None:
    assert "no authorization plugin is chosen" in documents(make())["authorization_plugins"]["refused"]
    declared = make(**config(None, **{"authorization-plugins": ["opa"]}))
    assert documents(declared)["authorization_plugins"]["resources"][0]["keys"] == {}
    chosen = documents(make(), authorization_plugins=["opa"])["authorization_plugins"]
    assert chosen["resources"][0]["keys"] == {"authorization-plugins": ["opa"]}
    assert "before the engine" in chosen["notes"][0]


def test_an_unmaintained_storage_driver_is_replaced_on_an_empty_engine() -> None:
    options = config(None, **{"storage-opts": ["dm.basesize=20G", "size=1"]})
    empty = make(**{**EMPTY, "docker.info": {**EMPTY["docker.info"], "Driver": "devicemapper"}}, **options)
    keys, _ = wish(empty)
    assert (keys["storage-driver"], keys["storage-opts"]) == ("overlay2", ["size=1"])
    full = make(**{"docker.info": {"Driver": "aufs", "Images": 3, "Containers": 1}})
    assert "no longer see its 1 containers, 3 images" in documents(full)["storage_driver"]["refused"]
    assert "storage_driver" not in documents(make())


def test_dm_basesize_is_removed_unless_the_variable_sets_it() -> None:
    options = config(None, **{"storage-opts": ["dm.basesize=20G", "dm.fs=xfs"]})
    snapshot = make(**{"docker.info": {"Driver": "devicemapper", "Images": 1}}, **options)
    found = documents(snapshot)["base_device_size"]
    assert found["resources"][0]["keys"] == {"storage-opts": ["dm.fs=xfs"]}
    assert "base_device_size" not in documents(snapshot, base_device_size="20G")
    assert "base_device_size" not in documents(make(**options))


def test_an_unapproved_cgroup_parent_is_removed() -> None:
    declared = config(None, **{"cgroup-parent": "rogue.slice"})
    assert wish(make(**declared))[0]["cgroup-parent"] == ""
    assert "cgroup_parent" not in documents(make(policy={"cgroup_parents": ["rogue.slice"]}, **declared))
    assert wish(make(), cgroup_parent="mine.slice")[0]["cgroup-parent"] == "mine.slice"
    assert "cgroup_parent" not in documents(make())


def test_experimental_features_are_disabled_unless_needed() -> None:
    on = {"docker.info": {"ExperimentalBuild": True}}
    assert wish(make(**config(experimental=True), **on))[0]["experimental"] is False
    assert "experimental" not in documents(make())
    assert "experimental" not in documents(make(**config(experimental=True)), experimental=True)
    needed = make(**config(experimental=True, ip6tables=True), **on)
    assert "before engine 27.0" in documents(needed)["experimental"]["refused"]


def test_network_defaults_need_engine_24_and_affect_new_networks_only() -> None:
    options = {"bridge": {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}}
    networks = {
        "docker.networks": only([{"Name": "bridge", "Driver": "bridge"}, {"Name": "app", "Driver": "bridge"}])
    }
    found = documents(make(**networks), default_network_opts=options)["default_network_opts"]
    assert found["resources"][0]["keys"] == {"default-network-opts": options}
    assert found["costs"] == "applies to networks created from now on, and not to app"
    older = make(**{"docker.info": {"ServerVersion": "20.10.24+dfsg1"}})
    refused = documents(older, default_network_opts=options)["default_network_opts"]["refused"]
    assert refused == "it needs engine 24.0 or later, and this host has engine 20.10.24"
    assert "default_network_opts" not in documents(make())
    assert wish(make(), ip="127.0.0.1")[0]["ip"] == "127.0.0.1"


def test_a_driver_that_discards_logs_is_refused_until_the_site_chooses() -> None:
    nothing = make(**config(None, **{"log-driver": "none"}))
    assert "set docker_daemon_log_driver" in documents(nothing)["log_driver"]["refused"]
    chosen = documents(nothing, log_driver="syslog", log_opts={"syslog-address": "tcp://log:514"})[
        "log_driver"
    ]
    assert chosen["notes"] == ["no container starts while the target of its log driver is down"]


def test_the_activation_requires_that_the_engine_has_loaded_its_file() -> None:
    (docker,) = documents(make())["docker_daemon"]["activations"]
    assert docker["loaded"] is True


def test_settings_that_an_older_engine_does_not_report_are_not_verified() -> None:
    snapshot = make(**{"docker.info": {"ServerVersion": "20.10.24+dfsg1"}})
    assert expected(snapshot, "no_new_privileges")["security"] == []


def test_a_stopped_engine_is_configured() -> None:
    assert wish(silent_engine())[0]["icc"] is False


def just_installed(package: str = "docker.io", version: str = "26.1.5+dfsg1-9+deb13u1+b1") -> Snapshot:
    """A host whose engine has yet to start for the first time."""
    silent = silent_engine().raw["sources"]
    sources = {name: failed("no such file") for name in silent if name.startswith("docker.")}
    engine = {**silent["engine"]["data"], "ever_ran": False}
    unset = {"exists": False, "parsed": None}
    installed = {"packages": {"installed": only({package: version})}}
    return make(engine=only(engine), **sources, **installed, **{"daemon.config": unset})


def test_an_engine_that_never_ran_gets_all_settings() -> None:
    keys, defaults = wish(just_installed())
    assert (keys["icc"], keys["live-restore"]) == (False, True)
    assert defaults == {
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
    }


@pytest.mark.parametrize(
    ("package", "version", "reports"),
    [
        ("docker.io", "26.1.5+dfsg1-9+deb13u1+b1", True),
        ("docker-ce", "5:29.1.2-1~debian.13~trixie", True),
        ("docker.io", "20.10.24+dfsg1-1+deb12u1", False),
        ("moby-engine", "", False),
    ],
)
def test_the_package_gives_the_version_of_an_engine_that_never_ran(
    package: str, version: str, reports: bool
) -> None:
    security = expected(just_installed(package, version), "no_new_privileges")["security"]
    assert security == (["no-new-privileges"] if reports else [])


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (no_engine(), "no Docker engine"),
        (make(engine={"rootless": True}), "rootless"),
        (make(**{"daemon.config": failed("timed out")}), r"daemon.config could not be read: timed out"),
    ],
)
def test_unsupported_hosts_are_refused_with_a_reason(snapshot: Snapshot, reason: str) -> None:
    (refused,) = documents(snapshot).values()
    assert reason in refused["refused"]


@pytest.mark.parametrize("limit", [1024, {"soft": 1}, {"soft": "1", "hard": 2}, None])
def test_a_ulimit_without_two_numbers_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match="docker_daemon_default_ulimits: nofile needs a number"):
        documents(make(), default_ulimits={"nofile": limit})


def test_options_of_new_networks_must_be_mappings() -> None:
    with pytest.raises(ValueError, match="docker_daemon_default_network_opts: bridge needs a mapping"):
        documents(make(), default_network_opts={"bridge": "x"})


def test_a_soft_limit_above_its_hard_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="nofile has a soft limit above its hard one"):
        documents(make(), default_ulimits={"nofile": {"soft": 5, "hard": 1}})
    assert (
        "refused"
        not in documents(make(), default_ulimits={"core": {"soft": 5, "hard": -1}})["default_ulimits"]
    )


@pytest.mark.parametrize(
    ("most", "soft", "hard", "written"),
    [
        (None, 65536, 524288, (65536, 524288)),
        (1048576, 65536, 524288, (65536, 524288)),
        (20000, 65536, 524288, (20000, 20000)),
        (20000, 1024, 524288, (1024, 20000)),
        (20000, 1024, 2048, (1024, 2048)),
        (1048576, -1, -1, (1048576, 1048576)),
    ],
)
def test_a_limit_of_open_files_is_no_higher_than_the_engine_can_set_it(
    most: int | None, soft: int, hard: int, written: tuple[int, int]
) -> None:
    found = documents(
        make(engine={"most_open_files": most}), default_ulimits={"nofile": {"soft": soft, "hard": hard}}
    )
    limit = found["default_ulimits"]["resources"][0]["keys"]["default-ulimits"]["nofile"]
    assert (limit["Soft"], limit["Hard"]) == written
    assert bool(found["default_ulimits"]["notes"]) is (written != (soft, hard))
