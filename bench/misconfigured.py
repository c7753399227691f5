"""The misconfigurations of ``bench.docker_bench``: a description, the commands, the expected reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One misconfiguration of the host.

    Attributes:
        what: what is wrong.
        slug: our control that is about it.
        place: the recommendation of CIS Docker 1.6.0 that it breaks, which both tools name.
        name: the container, image or user that breaks it; empty for the host and its engine.
        run: for a container, the options of ``docker run``.
        shell: for anything else, how it is made, before the engine's last start.
        late: how it is made after that.
        config: keys of daemon.json, as JSON, at the last start.
    """

    what: str
    slug: str
    place: str
    name: str = ""
    run: str = ""
    shell: str = ""
    late: str = ""
    config: str = ""


# A container is otherwise as section 5 wants it; each breaks what its case is about.
SOUND = (
    "--user 1000 --memory 32m --pids-limit 50 --read-only --cap-drop ALL --restart on-failure:3 "
    "--security-opt no-new-privileges --network apps --health-cmd true --ulimit nofile=64:64"
)

# As setfacl would, which is not on the host: owner, the user, group, mask and others may read and write.
_ACL = """python3 -c "
import os, pwd, struct
entries = [(1, -1), (2, pwd.getpwnam('trent').pw_uid), (4, -1), (16, -1), (32, -1)]
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', tag, 6, number) for tag, number in entries)
os.setxattr('/run/docker.sock', 'system.posix_acl_access', acl)"
"""

CASES = (
    Case(
        "user listed in the group docker in `/etc/group`",
        "docker-group-trusted-users",
        "1.1.2",
        "mallory",
        shell="useradd mallory; usermod -aG docker mallory",
    ),
    Case(
        "user whose primary group is docker",
        "docker-group-trusted-users",
        "1.1.2",
        "eve",
        shell="useradd -g docker eve",
    ),
    Case("containers on the default bridge can reach each other", "daemon-icc-disabled", "2.2"),
    Case("debug mode enabled", "daemon-log-level-info", "2.3", config='"debug": true'),
    Case(
        "insecure registry (no verified TLS)",
        "daemon-insecure-registries-none",
        "2.5",
        config='"insecure-registries": ["registry.lan:5000"]',
    ),
    Case(
        "API on TCP without TLS, set by a systemd drop-in",
        "daemon-tls-verify",
        "2.7",
        shell="mkdir -p /etc/systemd/system/docker.service.d; printf '[Service]\\nExecStart=\\nExecStart="
        "/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2375\\n' >"
        "/etc/systemd/system/docker.service.d/tcp.conf; "
        "systemctl daemon-reload",
    ),
    Case(
        "unlimited default ulimit for open files",
        "daemon-default-ulimits",
        "2.8",
        config='"default-ulimits": {"nofile": {"Name": "nofile", "Hard": -1, "Soft": -1}}',
    ),
    Case("user namespaces not enabled", "daemon-userns-remap", "2.9"),
    Case("container logs are discarded", "daemon-central-logging", "2.13", config='"log-driver": "none"'),
    Case(
        "no-new-privileges configured, but not in effect",
        "daemon-no-new-privileges",
        "2.14",
        late="sed -i 's/{/{\"no-new-privileges\": true, /' /etc/docker/daemon.json",
    ),
    Case("live-restore disabled", "daemon-live-restore", "2.15"),
    Case("userland proxy enabled", "daemon-userland-proxy-disabled", "2.16"),
    Case(
        "Docker's chains flushed",
        "daemon-iptables-managed",
        "2.4",
        late="iptables -F; iptables -F DOCKER; iptables -X 2>/dev/null || true",
    ),
    Case(
        "world-writable systemd drop-in of the unit",
        "file-docker-service-mode",
        "3.2",
        late="chmod 0666 /etc/systemd/system/docker.service.d/tcp.conf",
    ),
    Case("`/etc/docker` with mode 0733", "file-etc-docker-mode", "3.6", late="chmod 0733 /etc/docker"),
    Case(
        "CA file of a registry with mode 0666",
        "file-registry-cert-mode",
        "3.8",
        shell="mkdir -p /etc/docker/certs.d/r.lan; echo >/etc/docker/certs.d/r.lan/ca.crt; "
        "chmod 0666 /etc/docker/certs.d/r.lan/ca.crt",
    ),
    Case("API socket with mode 0666", "file-docker-sock-mode", "3.16", late="chmod 0666 /run/docker.sock"),
    Case(
        "API socket opened to a user by an ACL",
        "docker-group-trusted-users",
        "1.1.2",
        "trent",
        shell="useradd trent",
        late=_ACL,
    ),
    Case(
        "daemon.json owned by another user",
        "file-daemon-json-owner",
        "3.17",
        late="chown mallory /etc/docker/daemon.json",
    ),
    Case(
        "containerd socket with mode 0646",
        "file-containerd-sock-mode",
        "3.24",
        late="chmod 0646 /run/containerd/containerd.sock",
    ),
    Case("image that runs as root (`USER 00`)", "image-non-root-user", "4.1", "rooted", "--user 00"),
    Case("image without a health check", "image-healthcheck", "4.6", "sound:test"),
    Case("secret in an image's environment", "image-no-secrets", "4.10", "secret:test"),
    Case("added capability", "container-capabilities", "5.4", "capable", "--cap-add SYS_ADMIN"),
    Case("privileged container", "container-not-privileged", "5.5", "privileged", "--privileged"),
    Case("privileged container that is stopped", "container-not-privileged", "5.5", "asleep", "--privileged"),
    Case(
        "root directory of the host mounted read-only",
        "container-no-sensitive-mounts",
        "5.6",
        "rooms",
        "-v /:/host:ro",
    ),
    Case(
        "root directory of the host, mounted under another path",
        "container-no-sensitive-mounts",
        "5.6",
        "alias",
        "-v /srv/everything:/host",
        shell="mkdir -p /srv/everything; mount --bind / /srv/everything",
    ),
    Case(
        "API socket in a container",
        "container-no-docker-sock",
        "5.32",
        "socket",
        "-v /run/docker.sock:/run/docker.sock",
    ),
    Case(
        "API socket mounted through an alias of `/run`",
        "container-no-docker-sock",
        "5.32",
        "hidden",
        "-v /srv/data:/data",
        shell="mkdir -p /srv/data; mount --bind /run /srv/data",
    ),
    Case("privileged port", "container-no-privileged-ports", "5.8", "low", "-p 127.0.0.1:80:80"),
    Case(
        "port published on all IPv6 addresses only",
        "container-bind-specific-interface",
        "5.14",
        "wide",
        "-p [::]:8081:80",
    ),
    Case("host's network namespace", "container-no-host-network", "5.10", "netted", "--network host"),
    Case(
        "host's network, joined through another container",
        "container-no-host-network",
        "5.10",
        "guest",
        "--network container:netted",
    ),
    Case("no memory limit", "container-memory-limit", "5.11", "hungry", "--memory 0"),
    Case(
        "writable root filesystem",
        "container-readonly-rootfs",
        "5.13",
        "soft",
        "--read-only=false",
    ),
    Case("restart without a limit", "container-restart-policy", "5.15", "restless", "--restart always"),
    Case("host's PID namespace", "container-no-host-pid", "5.16", "watcher", "--pid host"),
    Case("host's IPC namespace", "container-no-host-ipc", "5.17", "talker", "--ipc host"),
    Case(
        "device of the host in a container",
        "container-no-host-devices",
        "5.18",
        "device",
        "--device /dev/kmsg",
    ),
    Case(
        "shared mount propagation",
        "container-no-shared-propagation",
        "5.20",
        "sharing",
        "-v /srv/shared:/shared:shared",
        shell="mkdir -p /srv/shared; mount --bind /srv/shared /srv/shared; mount --make-shared /srv/shared",
    ),
    Case("host's UTS namespace", "container-no-host-uts", "5.21", "namesake", "--uts host"),
    Case(
        "no seccomp filter",
        "container-seccomp-enabled",
        "5.22",
        "unfiltered",
        "--security-opt seccomp=unconfined",
    ),
    Case(
        "seccomp profile that permits everything",
        "container-seccomp-enabled",
        "5.22",
        "permissive",
        "--security-opt seccomp=/srv/all.json",
        shell='echo \'{"defaultAction": "SCMP_ACT_ALLOW"}\' >/srv/all.json',
    ),
    Case(
        "cgroup parent of its own (not the engine's)",
        "container-cgroup-parent",
        "5.25",
        "elsewhere",
        "--cgroup-parent other.slice",
    ),
    Case(
        "no-new-privileges not set",
        "container-no-new-privileges",
        "5.26",
        "rising",
        "--security-opt no-new-privileges=false",
    ),
    Case(
        "unlimited number of processes (pids limit -1)",
        "container-pids-limit",
        "5.29",
        "forking",
        "--pids-limit -1",
    ),
    Case(
        "container on the default bridge",
        "container-not-default-bridge",
        "5.30",
        "bridged",
        "--network bridge",
    ),
    Case(
        "failing health check",
        "container-health-running",
        "5.27",
        "sick",
        "--health-cmd false --health-interval 1s --health-retries 1",
    ),
)
