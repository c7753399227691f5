"""The keys of daemon.json: how their flags are called, since when there are some, and which 20.10 knows.

From 23.0 on the engine validates a file itself, and knows best, but not which version a key came with. Before
that, an unknown key or a wrong type would be found by a daemon that does not start.
"""

from __future__ import annotations

from typing import Any, Mapping

# Keys whose flag is called otherwise.
_FLAGS = {
    "allow-nondistributable-artifacts": "allow-nondistributable-artifact",
    "authorization-plugins": "authorization-plugin",
    "cdi-spec-dirs": "cdi-spec-dir",
    "cluster-store-opts": "cluster-store-opt",
    "default-address-pools": "default-address-pool",
    "default-network-opts": "default-network-opt",
    "default-ulimits": "default-ulimit",
    "dns-opts": "dns-opt",
    "exec-opts": "exec-opt",
    "hosts": "host",
    "insecure-registries": "insecure-registry",
    "labels": "label",
    "log-opts": "log-opt",
    "node-generic-resources": "node-generic-resource",
    "registry-mirrors": "registry-mirror",
    "storage-opts": "storage-opt",
}
_IN_BOTH_PLACES = {"runtimes"}  # the engine joins these

LOG_DRIVERS = frozenset(
    {
        "awslogs",
        "fluentd",
        "gcplogs",
        "gelf",
        "journald",
        "json-file",
        "local",
        "logentries",
        "splunk",
        "syslog",
    }
)

# Keys that came later, and the first version that knows them.
_SINCE = {
    "allow-direct-routing": "28.2",
    "apparmor-profile": "29.8",
    "bridge-accept-fwmark": "29.0",
    "cdi-spec-dirs": "25.0",
    "default-network-opts": "24.0",
    "default-stop-timeout": "29.7",
    "firewall-backend": "29.0",
    "ip-forward-no-drop": "28.0",
    "nri-opts": "29.2",
    "proxies": "23.0",
}

# Engine 20.10, by type.
_BEFORE_23: Mapping[type, str] = {
    bool: """
        cri-containerd debug experimental icc init ip-forward ip-masq ip6tables iptables ipv6 live-restore
        no-new-privileges raw-logs rootless selinux-enabled tls tlsverify userland-proxy
        """,
    int: """
        cpu-rt-period cpu-rt-runtime max-concurrent-downloads max-concurrent-uploads max-download-attempts mtu
        network-control-plane-mtu network-diagnostic-port oom-score-adjust shutdown-timeout
        """,
    str: """
        api-cors-header bip bridge cgroup-parent cluster-advertise cluster-store containerd
        containerd-namespace containerd-plugin-namespace data-root default-cgroupns-mode default-gateway
        default-gateway-v6 default-init default-ipc-mode default-runtime deprecated-key-path exec-root
        fixed-cidr fixed-cidr-v6 graph group host-gateway-ip init-path ip log-driver log-level metrics-addr
        pidfile seccomp-profile storage-driver swarm-default-advertise-addr tlscacert tlscert tlskey
        userland-proxy-path userns-remap
        """,
    list: """
        allow-nondistributable-artifacts authorization-plugins default-address-pools dns dns-opts dns-search
        exec-opts hosts insecure-registries labels node-generic-resources registry-mirrors storage-opts
        """,
    dict: "builder cluster-store-opts default-ulimits features log-opts runtimes",
}
_ANY_TYPE = {"default-shm-size", "swarm-raft-election-tick", "swarm-raft-heartbeat-tick"}
_SPOKEN = {bool: "true or false", int: "a number", str: "a text", list: "a list", dict: "an object"}


def flag_of(key: str) -> str:
    """Name of the flag that must not be given together with a key; empty where both may be."""
    return "" if key in _IN_BOTH_PLACES else _FLAGS.get(key, key)


def unknown_before(key: str, version: str) -> str:
    """The version that a key came with, where an engine is older; empty where it is not, or nobody knows."""
    numbers = version.partition("+")[0].partition("-")[0].split(".")[:2]
    if key not in _SINCE or not all(number.isdigit() for number in numbers):
        return ""
    since = _SINCE[key]
    return since if [int(number) for number in numbers] < [int(number) for number in since.split(".")] else ""


def problem_before_23(config: Mapping[str, Any]) -> str:
    """The first key that engine 20.10 does not know or that has the wrong type; empty where all is well."""
    types = {key: kind for kind, keys in _BEFORE_23.items() for key in keys.split()}
    for key, value in config.items():
        if key not in types and key not in _ANY_TYPE:
            return f"this engine does not know the key {key}"
        if key in types and type(value) is not types[key]:
            return f"{key} has to be {_SPOKEN[types[key]]}"
    return ""
