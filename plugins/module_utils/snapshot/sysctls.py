"""Define the kernel settings that are set, judged and documented: one table for all.

The collector reads them, the role `kernel` sets them, the control `host-kernel-settings` judges them, and its
page shows them. A new setting needs only a new entry here. Settings that are only reported are in
``kernel.py``.
"""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator


class Setting:
    """A setting of the kernel.

    Args:
        key: its name; an asterisk stands for every network interface; such settings are not judged.
        value: what the role sets; empty if it is in no file of hardener.
        reason: why.
        see: a reference. Documentation/ is the kernel's own; KSPP is the list of recommended settings of the
            Kernel Self-Protection Project (kspp.github.io).
        accepts: values that pass the control, "2+" for two and more; empty if it is not judged.
        stricter: values that the role leaves alone.
        needed: whether a rootful engine needs it; a host without one is not judged by it.
    """

    __slots__ = ("accepts", "key", "needed", "reason", "see", "stricter", "value")

    def __init__(
        self,
        key: str,
        value: str,
        reason: str,
        see: str,
        *,
        accepts: str = "",
        stricter: str = "",
        needed: bool = False,
    ) -> None:
        self.key = key
        self.value = value
        self.reason = reason
        self.see = see
        self.accepts = accepts
        self.stricter = tuple(stricter.split())
        self.needed = needed

    def holds(self, found: int) -> bool:
        """Return whether a value passes."""
        if self.accepts.endswith("+"):
            return found >= int(self.accepts[:-1])
        return str(found) in self.accepts.split()

    @property
    def words(self) -> str:
        """Return the passing values in words: ``1 or 2``, ``2 or more``."""
        return (
            f"{self.accepts[:-1]} or more"
            if self.accepts.endswith("+")
            else " or ".join(self.accepts.split())
        )


_SYSCTL = "Documentation/networking/ip-sysctl.rst"
SETTINGS = (
    # Kernel addresses and logs help exploits to find their target.
    Setting(
        "kernel.kptr_restrict",
        "1",
        "An exploit needs the kernel's addresses; without CAP_SYSLOG, as in containers, they read as zeros.",
        "Documentation/admin-guide/sysctl/kernel.rst, KSPP",
        accepts="1 2",
        stricter="2",
    ),
    Setting(
        "kernel.dmesg_restrict",
        "1",
        "Containers cannot read the kernel's log, which has kernel addresses and crashes of other processes.",
        "Documentation/admin-guide/sysctl/kernel.rst, KSPP",
        accepts="1",
    ),
    Setting(
        "kernel.randomize_va_space",
        "2",
        "Randomises stack, libraries and heap, so that an exploit cannot rely on known addresses.",
        "Documentation/admin-guide/sysctl/kernel.rst, KSPP",
        accepts="2",
    ),
    # Interfaces that ordinary processes rarely need and exploits often use.
    Setting(
        "kernel.unprivileged_bpf_disabled",
        "2",
        "Flaws of the BPF verifier have given ordinary users access to the kernel many times. 2 can be "
        "reset at run time, 1 only by a reboot.",
        "Documentation/admin-guide/sysctl/kernel.rst, KSPP",
        accepts="1 2",
        stricter="1",
    ),
    Setting(
        "net.core.bpf_jit_harden",
        "2",
        "Blinds constants in compiled BPF programs, which otherwise carry an attacker's code into the "
        "kernel.",
        "Documentation/admin-guide/sysctl/net.rst, KSPP",
        accepts="1 2",
    ),
    Setting(
        "kernel.perf_event_paranoid",
        "3",
        "Performance events need CAP_PERFMON; the interface has had vulnerabilities, and shows data of "
        "other processes.",
        "Documentation/admin-guide/sysctl/kernel.rst, KSPP",
        accepts="2+",
        stricter="4",
    ),
    Setting(
        "kernel.yama.ptrace_scope",
        "1",
        "A process can trace only its descendants, and so cannot read keys in other processes of the same "
        "user.",
        "Documentation/admin-guide/LSM/Yama.rst",
        accepts="1+",
        stricter="2 3",
    ),
    # Races in shared directories, and core dumps of setuid programs.
    Setting(
        "fs.protected_hardlinks",
        "1",
        "A user cannot keep a vulnerable setuid program, nor trick root, by a hard link to a file of others.",
        "Documentation/admin-guide/sysctl/fs.rst, KSPP",
        accepts="1",
    ),
    Setting(
        "fs.protected_symlinks",
        "1",
        "Symbolic links in shared directories such as /tmp are followed by their owner only.",
        "Documentation/admin-guide/sysctl/fs.rst, KSPP",
        accepts="1",
    ),
    Setting(
        "fs.protected_fifos",
        "1",
        "A program that expects its own file in a shared directory does not open another user's pipe.",
        "Documentation/admin-guide/sysctl/fs.rst, KSPP",
        accepts="1 2",
        stricter="2",
    ),
    Setting(
        "fs.protected_regular",
        "2",
        "A program that expects its own file in a shared directory does not open another user's file.",
        "Documentation/admin-guide/sysctl/fs.rst, KSPP",
        accepts="1 2",
    ),
    Setting(
        "fs.suid_dumpable",
        "0",
        "Core dumps of setuid programs, which can contain password hashes, are not readable by users.",
        "Documentation/admin-guide/sysctl/fs.rst, KSPP",
        accepts="0 2",
        stricter="2",
    ),
    # More interfaces; set, and not judged, since an engine works without.
    Setting(
        "dev.tty.ldisc_autoload",
        "0",
        "Ordinary users cannot load line disciplines, old code with many past vulnerabilities.",
        "Documentation/admin-guide/sysctl/dev.rst, KSPP",
    ),
    Setting(
        "vm.unprivileged_userfaultfd",
        "0",
        "Ordinary users cannot stop the kernel in a page fault, by which exploits win races.",
        "Documentation/admin-guide/sysctl/vm.rst, KSPP",
    ),
    # Other hosts must not change the routing of this host.
    Setting(
        "net.ipv4.conf.all.accept_redirects",
        "0",
        "Hosts in the same network cannot change the routes of this host.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv4.conf.default.accept_redirects",
        "0",
        "Applies to interfaces that are created later, such as those of containers.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv4.conf.*.accept_redirects",
        "0",
        "Without forwarding, an interface accepts redirects if its own value or the one for all allows it.",
        _SYSCTL,
    ),
    Setting(
        "net.ipv6.conf.all.accept_redirects",
        "0",
        "Hosts in the same network cannot change the IPv6 routes of this host.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv6.conf.default.accept_redirects",
        "0",
        "Applies to interfaces that are created later.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv6.conf.*.accept_redirects",
        "0",
        "For IPv6, only the interface's own value counts.",
        _SYSCTL,
    ),
    Setting(
        "net.ipv4.conf.all.send_redirects",
        "0",
        "A Docker host forwards packets, but is not a router that redirects other hosts.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv4.conf.default.send_redirects",
        "0",
        "Applies to interfaces that are created later.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv4.conf.*.send_redirects",
        "0",
        "An interface sends redirects if its own value or the one for all interfaces allows it.",
        _SYSCTL,
    ),
    Setting(
        "net.ipv4.conf.all.accept_source_route",
        "0",
        "The sender of a packet cannot choose its route, which could bypass the filters of the usual route.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv4.conf.default.accept_source_route",
        "0",
        "Applies to interfaces that are created later.",
        _SYSCTL,
        accepts="0",
    ),
    Setting(
        "net.ipv6.conf.all.accept_source_route",
        "0",
        "The sender of an IPv6 packet cannot choose its route by a routing header.",
        _SYSCTL,
        accepts="0 -1",
        stricter="-1",
    ),
    Setting(
        "net.ipv6.conf.default.accept_source_route",
        "0",
        "Applies to interfaces that are created later.",
        _SYSCTL,
        accepts="0 -1",
        stricter="-1",
    ),
    Setting(
        "net.ipv4.conf.all.rp_filter",
        "2",
        "Packets from an address without a route are forged. 2 (loose) accepts a packet on any interface if "
        "a route to its sender exists; 1 (strict) would drop packets of hosts and containers with several "
        "networks.",
        "Documentation/networking/ip-sysctl.rst (RFC 3704)",
        accepts="1 2",
        stricter="1",
    ),
    Setting(
        "net.ipv4.conf.default.rp_filter",
        "2",
        "Applies to interfaces that are created later.",
        "Documentation/networking/ip-sysctl.rst (RFC 3704)",
        accepts="1 2",
        stricter="1",
    ),
    Setting(
        "net.ipv4.conf.all.log_martians",
        "1",
        "Packets with impossible addresses are logged, at a limited rate.",
        _SYSCTL,
    ),
    Setting(
        "net.ipv4.conf.default.log_martians",
        "1",
        "Applies to interfaces that are created later.",
        _SYSCTL,
    ),
    # Floods and amplification.
    Setting(
        "net.ipv4.tcp_syncookies",
        "1",
        "A flood of incomplete connections (SYN flood) does not block legitimate ones.",
        _SYSCTL,
        accepts="1 2",
        stricter="2",
    ),
    Setting(
        "net.ipv4.tcp_rfc1337",
        "1",
        "A late RST packet does not end the TIME-WAIT state of a connection early.",
        "Documentation/networking/ip-sysctl.rst (RFC 1337)",
    ),
    Setting(
        "net.ipv4.icmp_echo_ignore_broadcasts",
        "1",
        "This host does not answer pings to a whole network, which attackers use for amplification.",
        _SYSCTL,
        accepts="1",
    ),
    Setting(
        "net.ipv4.icmp_ignore_bogus_error_responses",
        "1",
        "Invalid ICMP responses to broadcasts do not fill the log.",
        _SYSCTL,
        accepts="1",
    ),
    # What a rootful engine needs, and common server baselines switch off.
    Setting(
        "net.ipv4.ip_forward",
        "",
        "Without forwarding, containers have no network. The engine enables it, and blocks forwarding "
        "between other interfaces only if it was off before.",
        _SYSCTL,
        accepts="1",
        needed=True,
    ),
    Setting(
        "net.bridge.bridge-nf-call-iptables",
        "",
        "Without this setting, packets between containers of one network bypass the engine's rules.",
        _SYSCTL,
        accepts="1",
        needed=True,
    ),
)


def judged() -> Iterator[Setting]:
    """Yield the settings that the control host-kernel-settings judges."""
    return (setting for setting in SETTINGS if setting.accepts)


def baseline() -> Iterator[Setting]:
    """Yield the settings that the role kernel sets."""
    return (setting for setting in SETTINGS if setting.value)
