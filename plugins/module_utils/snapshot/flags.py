"""Read the daemon's command line the way dockerd does: by its table of flags, never by searching text."""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator

# Flags of every dockerd from 19.03 to 29. What is in neither table is reported as unknown, never guessed.
_SWITCHES = """
    allow-direct-routing cri-containerd debug disable-legacy-registry experimental help icc init ip-forward
    ip-forward-no-drop ip-masq ip6tables iptables ipv6 live-restore no-new-privileges raw-logs rootless
    selinux-enabled tls tlsverify userland-proxy validate version
"""
_WITH_VALUE = """
    add-runtime allow-nondistributable-artifacts api-cors-header authorization-plugin bip bip6
    bridge bridge-accept-fwmark cdi-spec-dir cgroup-parent cluster-advertise cluster-store cluster-store-opt
    config-file containerd containerd-namespace containerd-plugins-namespace cpu-rt-period cpu-rt-runtime
    data-root default-address-pool default-cgroupns-mode default-gateway default-gateway-v6 default-ipc-mode
    default-network-opt default-runtime default-shm-size default-ulimit dns dns-opt dns-search exec-opt
    exec-root feature firewall-backend fixed-cidr fixed-cidr-v6 graph group host host-gateway-ip http-proxy
    https-proxy init-path insecure-registry ip label log-driver log-format log-level log-opt
    max-concurrent-downloads max-concurrent-uploads max-download-attempts metrics-addr mtu
    network-control-plane-mtu network-diagnostic-port no-proxy node-generic-resource oom-score-adjust pidfile
    registry-mirror seccomp-profile shutdown-timeout storage-driver storage-opt swarm-default-advertise-addr
    tlscacert tlscert tlskey userland-proxy-path userns-remap
"""
SWITCHES = frozenset(_SWITCHES.split())
WITH_VALUE = frozenset(_WITH_VALUE.split())
SHORT = {
    "b": "bridge",
    "D": "debug",
    "G": "group",
    "g": "graph",
    "H": "host",
    "h": "help",
    "l": "log-level",
    "p": "pidfile",
    "s": "storage-driver",
    "v": "version",
}


def parse(arguments: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Flags with their values, and the words that dockerd has no flag for.

    Args:
        arguments: the command line without the program itself.
    """
    flags: dict[str, list[str]] = {}
    unknown: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            unknown.extend(words)
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in SWITCHES:
                flags.setdefault(name, []).append(value if equals else "true")
            elif name in WITH_VALUE:
                flags.setdefault(name, []).append(value if equals else next(words, ""))
            else:
                unknown.append(word)
        elif word.startswith("-") and word != "-":
            _short(word[1:], words, flags, unknown)
        else:
            unknown.append(word)
    return flags, unknown


def _short(cluster: str, words: Iterator[str], flags: dict[str, list[str]], unknown: list[str]) -> None:
    """One word of short flags: ``D``, ``Hfd://``, ``H=fd://``, ``DH`` with the value in the next word."""
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        name = SHORT.get(letter)
        if name is None:
            unknown.append(f"-{letter}{cluster}")
            return
        values = flags.setdefault(name, [])
        if name in SWITCHES:
            if cluster.startswith("="):
                values.append(cluster[1:])
                return
            values.append("true")
        else:
            if cluster:
                values.append(cluster[1:] if cluster.startswith("=") else cluster)
            else:
                values.append(next(words, ""))
            return
