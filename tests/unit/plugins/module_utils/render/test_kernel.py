from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.plugins.loading import LIBRARY, ROLES
from tests.unit.plugins.module_utils.render.rendering import documents_of, verdicts
from tests.unit.snapshots import container, failed, make, no_engine, recorded, unread

DATA: dict[str, Any] = yaml.safe_load((ROLES / "kernel/vars/main.yml").read_text())
MODULES = DATA["kernel_module_baseline"]
BASELINE = list(sysctls.baseline())
# What carries containers, by the names of the kernel's modules.
NEEDED = re.compile(
    r"overlay|br_netfilter|bridge|veth|vxlan|macvlan|ipvlan|dummy|tun|ip_vs.*|nf_.*|nft_.*|xt_.*|ip6?table.*|esp.*|xfrm.*"
)


def documents(snapshot: Snapshot, **variables: Any) -> dict[str, dict[str, Any]]:
    defaults = yaml.safe_load((ROLES / "kernel/defaults/main.yml").read_text())
    arguments = {key[len("kernel_") :]: value for key, value in defaults.items()}
    arguments |= {"module_baseline": MODULES, **variables}
    found = documents_of("kernel")(snapshot.raw, **arguments)
    return {document["name"]: document for document in found}


def settings(snapshot: Snapshot, **variables: Any) -> dict[str, Any]:
    return documents(snapshot, **variables)["kernel_settings_enabled"]


def values(snapshot: Snapshot, **variables: Any) -> dict[str, str]:
    (activation,) = settings(snapshot, **variables)["activations"]
    return dict(activation["values"])


def content(document: dict[str, Any]) -> str:
    return str(document["resources"][0]["content"])


def assignments(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.lstrip("-").split(" = ") for line in lines)


@pytest.mark.parametrize("release", ["12", "13", "testing"])
def test_rendered_settings_satisfy_the_control(release: str) -> None:
    before = recorded(f"debian-{release}")
    assert verdicts(before, "host-kernel-settings") == {"host-kernel-settings": Status.FAIL}
    wanted = values(before)
    raw = dict(before.raw, sources=dict(before.raw["sources"]))
    sysctl = {**before.fact("sysctl"), **{key: value for key, value in wanted.items() if "*" not in key}}
    raw["sources"]["sysctl"] = {"state": "ok", "ms": 1, "data": sysctl}
    after = Snapshot(raw)
    assert verdicts(after, "host-kernel-settings") == {"host-kernel-settings": Status.PASS}
    assert values(after) == wanted


def test_the_file_has_settings_with_their_reasons() -> None:
    document = settings(make())
    assert assignments(content(document)) == values(make())
    comments = [line for line in content(document).splitlines() if line.startswith("# ")]
    assert len(comments) >= len(values(make()))


def test_written_and_stricter_kept_values_satisfy_the_control() -> None:
    for setting in sysctls.judged():
        if not setting.needed:
            assert setting.value
            for value in (setting.value, *setting.stricter):
                assert setting.holds(int(value)), f"{setting.key} should be {setting.words}"


@pytest.mark.parametrize("setting", sysctls.SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_has_a_reason_and_a_source(setting: sysctls.Setting) -> None:
    assert len(setting.reason) > 20
    assert setting.see.startswith("Documentation/")
    forwards = re.search(r"ip_forward|\.forwarding|bridge-nf|userns|user_namespaces", setting.key)
    assert bool(forwards) == setting.needed == (not setting.value)


@pytest.mark.parametrize("entry", MODULES, ids=lambda entry: entry["name"])
def test_modules_that_containers_need_are_not_blocked(entry: dict[str, Any]) -> None:
    assert not NEEDED.fullmatch(entry["name"])
    assert entry["reason"]


def test_the_collector_reads_every_baseline_module() -> None:
    source = (LIBRARY / "snapshot" / "kernel.py").read_text().split()
    assert [entry["name"] for entry in MODULES if entry["name"] not in source] == []


def test_a_stricter_value_is_kept() -> None:
    snapshot = make(
        sysctl={
            "kernel.yama.ptrace_scope": "2",
            "kernel.unprivileged_bpf_disabled": "1",
            "net.ipv4.conf.all.rp_filter": "1",
        }
    )
    found = values(snapshot)
    for key in (
        "kernel.yama.ptrace_scope",
        "kernel.unprivileged_bpf_disabled",
        "net.ipv4.conf.all.rp_filter",
    ):
        assert key not in found
        assert f"\n{key} " not in content(settings(snapshot))


def test_a_key_that_the_kernel_does_not_have_is_left_out() -> None:
    assert "kernel.yama.ptrace_scope" not in values(make(sysctl={"kernel.yama.ptrace_scope": None}))


def test_forwarding_is_needed_but_not_written_to_the_file() -> None:
    (activation,) = settings(make())["activations"]
    assert activation["needed"] == {"net.ipv4.ip_forward": "1"}
    assert "ip_forward" not in content(settings(make()))
    assert (
        values(make(sysctl={"net.bridge.bridge-nf-call-iptables": "0"}))["net.bridge.bridge-nf-call-iptables"]
        == "1"
    )


@pytest.mark.parametrize(
    "snapshot",
    [
        no_engine(),
        make(engine={"rootless": True}),
        make(**{"daemon.config": {"parsed": {"ip-forward": False}}}),
        make(**{"daemon.config": {"flags": {"ip-forward": ["false"]}}}),
    ],
)
def test_forwarding_is_not_checked_without_an_engine(snapshot: Snapshot) -> None:
    (activation,) = settings(snapshot)["activations"]
    assert activation["needed"] == {}
    assert not any(key.startswith("net.bridge") for key in activation["values"])


def test_settings_of_the_site_replace_those_of_the_baseline_and_empty_ones_remove_them() -> None:
    own = {
        "kernel.yama.ptrace_scope": 3,
        "net.ipv4.conf.all.log_martians": "",
        "kernel/sysrq": 4,
        "kernel.core_pattern": "|/bin/false",
    }
    found = values(make(sysctl={"kernel.yama.ptrace_scope": "2"}), settings=own)
    assert found["kernel.yama.ptrace_scope"] == "3"
    assert "net.ipv4.conf.all.log_martians" not in found
    assert found["kernel.sysrq"] == "4"
    assert found["kernel.core_pattern"] == "|/bin/false"


def test_network_settings_of_the_site_have_connectivity_impact() -> None:
    own = {"net/ipv4/conf/eth0.100/rp_filter": 1, "net.ipv4.conf.all.rp_filter": 1, "kernel.sysrq": 4}
    found = documents(make(), settings=own)
    document = found["kernel_settings"]
    assert document["impact"] == "connectivity"
    assert (
        document["costs"]
        == "net.ipv4.conf.eth0/100.rp_filter, net.ipv4.conf.all.rp_filter may end connections"
    )
    (activation,) = document["activations"]
    assert activation["values"] == assignments(content(document))
    assert set(activation["values"]) == {"net.ipv4.conf.eth0/100.rp_filter", "net.ipv4.conf.all.rp_filter"}
    others = found["kernel_settings_enabled"]
    assert others["impact"] == "none"
    assert not any("rp_filter" in key and "default" not in key for key in assignments(content(others)))
    kinds = {each["path"]: each["kind"] for each in settings(make())["resources"]}
    assert kinds["/etc/sysctl.d/61-hardener-network.conf"] == "absent"


def test_a_setting_of_the_site_that_the_kernel_lacks_is_reported() -> None:
    document = settings(
        make(sysctl={"kernel.io_uring_disabled": None}), settings={"kernel.io_uring_disabled": 2}
    )
    assert document["notes"] == ["kernel.io_uring_disabled is not set: this kernel has no such setting"]


BAD = {
    "forwarding off": ({"net.ipv4.ip_forward": 0}, "disconnect the containers"),
    "the same by its other name": ({"net/ipv4/conf/all/forwarding": False}, "disconnect the containers"),
    "bridge filter off": ({"net.bridge.bridge-nf-call-iptables": 0}, "disconnect the containers"),
    "no more modules": ({"kernel.modules_disabled": 1}, "keep the engine from loading"),
    "no name": ({"; reboot": 1}, "is not the name"),
    "out of the folder": ({"kernel/../../etc/passwd": 1}, "is not the name"),
    "a line of its own": ({"kernel.core_pattern": "x\nkernel.sysrq = 1"}, ""),
    "not to be printed": ({"kernel.core_pattern": "x\x1b[2J"}, "cannot be"),
}


@pytest.mark.parametrize(("own", "reason"), BAD.values(), ids=BAD)
def test_settings_that_would_break_the_engine_are_refused(own: dict[str, Any], reason: str) -> None:
    document = settings(make(), settings=own)
    if reason:
        assert reason in document["refused"]
        assert "resources" not in document
    else:
        assert "kernel.core_pattern = x kernel.sysrq = 1\n" in content(document)


def test_disabling_user_namespaces_is_refused_where_containers_use_them() -> None:
    own = {"user.max_user_namespaces": 0}
    info = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"]}
    assert "starting containers" in settings(make(**{"docker.info": info}), settings=own)["refused"]
    assert "starting containers" in settings(make(engine={"rootless": True}), settings=own)["refused"]
    info = {"SecurityOptions": ["name=seccomp,profile=builtin"]}
    assert values(make(**{"docker.info": info}), settings=own)["user.max_user_namespaces"] == "0"


# --- modules ------------------------------------------------------------------------------------------------


def kept_out(document: dict[str, Any]) -> list[str]:
    return re.findall(r"^install (\S+) /bin/false$", content(document), re.MULTILINE)


def test_unused_modules_are_blocked() -> None:
    every = [entry["name"] for entry in MODULES]
    document = documents(make())["kernel_modules_enabled"]
    assert kept_out(document) == every
    used = make(modules={"tipc": True}, mounts=[{"fstype": "hfsplus", "mount_point": "/mnt"}])
    document = documents(used, modules_kept=["can"])["kernel_modules_enabled"]
    assert set(every) - set(kept_out(document)) == {"tipc", "hfsplus", "can"}
    assert [note.split()[0] for note in document["notes"]] == ["tipc", "hfsplus"]


def test_a_published_sctp_port_keeps_its_module() -> None:
    port = {"132/sctp": [{"HostIp": "", "HostPort": "132"}]}
    snapshot = make(**{"docker.containers": [container("pbx", HostConfig={"PortBindings": port})]})
    document = documents(snapshot)["kernel_modules_enabled"]
    assert "sctp" not in kept_out(document)
    assert document["notes"] == ["sctp can still be loaded: ports of pbx use it"]
    document = documents(make(**{"docker.containers": [unread()]}))["kernel_modules_enabled"]
    assert "sctp" not in kept_out(document)
    assert document["notes"] == [
        "sctp can still be loaded, since a container may need it: dark could not be read: timed out"
    ]


def test_keeping_an_unlisted_module_is_an_error() -> None:
    assert (
        "overlay would not be blocked"
        in documents(make(), modules_kept=["overlay"])["kernel_modules_enabled"]["refused"]
    )


# --- the rest -----------------------------------------------------------------------------------------------


def test_kexec_is_disabled_only_on_request() -> None:
    assert set(documents(make())) == {"kernel_settings_enabled", "kernel_modules_enabled"}
    document = documents(make(), kexec_load_disabled=True)["kernel_kexec_load_disabled"]
    assert document["activations"][0]["values"] == {"kernel.kexec_load_disabled": "1"}
    snapshot = make(sysctl={"kernel.kexec_load_disabled": None})
    assert "refused" in documents(snapshot, kexec_load_disabled=True)["kernel_kexec_load_disabled"]


def test_disabled_settings_and_modules_give_no_document() -> None:
    assert documents(make(), settings_enabled=False, modules_enabled=False) == {}


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (make(system={"in_container": True}), "is a container"),
        (make(system={"in_init_userns": False}), "is a container"),
        (make(sysctl=failed("timed out")), "sysctl could not be read: timed out"),
    ],
)
def test_unsupported_hosts_are_refused_with_a_reason(snapshot: Snapshot, reason: str) -> None:
    assert reason in documents(snapshot)["kernel"]["refused"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("net.ipv4.ip_forward", "00"),
        ("net.ipv4.ip_forward", "0x0"),
        ("net.ipv4.conf.*.forwarding", 0),
        ("net/ipv4/conf/eth0.7/forwarding", 0),
        ("net.bridge.bridge-nf-call-iptables", False),
    ],
)
def test_aliases_of_ip_forwarding_cannot_disable_it(key: str, value: Any) -> None:
    assert "would disconnect the containers" in settings(make(), settings={key: value})["refused"]


def test_disabling_user_namespaces_is_refused_if_daemon_json_declares_userns_remap() -> None:
    snapshot = make(**{"docker.info": failed("x"), "daemon.config": {"parsed": {"userns-remap": "default"}}})
    refused = settings(snapshot, settings={"user.max_user_namespaces": 0})["refused"]
    assert "would keep the engine from starting containers" in refused


@pytest.mark.parametrize("source", ["engine", "daemon.config"])
def test_kernel_settings_are_refused_if_the_engine_could_not_be_read(source: str) -> None:
    refused = documents(make(**{source: failed("x")}))["kernel"]["refused"]
    assert refused == f"{source} could not be read, so it is unknown which settings containers need: x"
