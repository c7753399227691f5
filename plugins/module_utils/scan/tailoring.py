"""List the rules of operating system benchmarks that do not apply to a Docker host, with reasons.

Excluded are rules whose remediation stops containers, and rules that walk through image layers: these hold
millions of files of other systems, whose owners and modes do not concern this host.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

PREFIX = "xccdf_org.ssgproject.content_"
PROFILE = "xccdf_hardener_profile_docker-host"

_FORWARDING = "the engine forwards packets between containers and the network"
_UFW = (
    "packets to containers bypass the chains of ufw; the role `firewall` adds chains next to those of Docker"
)
_LAYERS = "the rule searches layers of images and containers, whose files do not belong to users of this host"

LEFT_OUT = {
    "kernel_module_overlayfs_disabled": "images and containers are mounted by overlayfs",
    "sysctl_net_ipv4_ip_forward": _FORWARDING,
    "sysctl_net_ipv4_conf_all_forwarding": _FORWARDING,
    "sysctl_net_ipv4_conf_default_forwarding": _FORWARDING,
    "sysctl_net_ipv6_conf_all_forwarding": _FORWARDING,
    "sysctl_net_ipv6_conf_default_forwarding": _FORWARDING,
    "check_ufw_active": _UFW,
    "package_ufw_installed": _UFW,
    "service_ufw_enabled": _UFW,
    "ufw_default_incoming_rule": _UFW,
    "ufw_default_outgoing_rule": _UFW,
    "ufw_disabled_routed": _UFW,
    "dir_perms_world_writable_root_owned": _LAYERS,
    "dir_perms_world_writable_sticky_bits": _LAYERS,
    "file_permissions_unauthorized_world_writable": _LAYERS,
    "file_permissions_ungroupowned": _LAYERS,
    "no_files_unowned_by_user": _LAYERS,
}


def document(profile: str) -> str:
    """Return the tailoring file that excludes these rules from a SCAP profile, given by its full id."""
    selects = "\n".join(
        f'    <select idref={quoteattr(f"{PREFIX}rule_{rule}")} selected="false"/>' for rule in LEFT_OUT
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Tailoring xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_hardener_tailoring_docker-host">
  <version time="2026-11-25T00:00:00">1</version>
  <Profile id="{PROFILE}" extends={quoteattr(profile)}>
    <title>Docker host</title>
{selects}
  </Profile>
</Tailoring>
"""
