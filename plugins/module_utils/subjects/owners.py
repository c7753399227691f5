"""Define which role a unit, an activation or a package belongs to: the role starts it and gives it back."""

from __future__ import annotations

SCAN_TIMER = "hardener-scan.timer"
VERIFY_TIMER = "hardener-verify-images.timer"
ACTIVITY_SERVICE = "hardener-activity.service"
APPARMOR_SERVICE = "apparmor.service"
APT_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")
DNF_TIMERS = ("dnf-automatic-install.timer",)
UNITS = {
    ACTIVITY_SERVICE: "activity",
    APPARMOR_SERVICE: "apparmor",
    VERIFY_TIMER: "content_trust",
    SCAN_TIMER: "vulnerability_scan",
    **dict.fromkeys((*APT_TIMERS, *DNF_TIMERS), "security_updates"),
    "dnf-automatic.timer": "security_updates",  # of earlier versions
}
# Activations that look at the files that change, whichever role changed them; of units, each has its role.
SHARED = ("apparmor-load", "docker", "systemd-reload")
ACTIVATIONS = {
    "account": "userns_remap",
    "audit-rules-load": "audit_rules",
    "automatic-updates": "security_updates",
    "boot-parameters": "apparmor",
    "firewall": "firewall",
    "group-members": "docker_group",
    "modules-load": "docker_daemon",
    "pending-updates": "security_updates",
    "recreate": "workload_profiles",
    "selinux-enforce": "selinux",
    "sysctl": "kernel",
    "userns-migrate": "userns_remap",
}
# Folders that the programs of a role write, below hardener's own.
WRITTEN = {"activity": ("activity",), "content_trust": ("trust",), "vulnerability_scan": ("scan",)}
# Other paths that they, or the timers that start them, write.
OUTSIDE = {
    "content_trust": (f"/var/lib/systemd/timers/stamp-{VERIFY_TIMER}",),
    "vulnerability_scan": ("/var/cache/hardener", f"/var/lib/systemd/timers/stamp-{SCAN_TIMER}"),
}
# What a role installs if it is missing: a program or a path by which it is found, and the package.
INSTALLED = (
    ("apparmor", "apparmor_parser", "apparmor"),
    ("audit_rules", "auditctl", "auditd or audit"),
    ("content_trust", "openssl", "openssl"),
    ("docker_engine", "dockerd", "the Docker engine"),
    ("security_updates", "unattended-upgrade", "unattended-upgrades"),
    ("security_updates", "dnf-automatic", "dnf-automatic"),
    ("selinux", "/usr/share/containers/selinux/contexts", "container-selinux"),
)
