"""What the roles render from the snapshot of a host: the functions of `module_utils/render` as filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.render import (
    activity,
    apparmor,
    audit_rules,
    content_trust,
    docker_daemon,
    docker_daemon_tls,
    docker_engine,
    docker_files,
    docker_group,
    firewall,
    kernel,
    openpgp,
    seccomp,
    security_updates,
    selinux,
    userns_remap,
    vulnerability_scan,
)


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {
            "activity_documents": activity.documents,
            "apparmor_documents": apparmor.documents,
            "audit_rules_documents": audit_rules.documents,
            "content_trust_documents": content_trust.documents,
            "docker_daemon_documents": docker_daemon.documents,
            "docker_daemon_tls_documents": docker_daemon_tls.documents,
            "docker_daemon_tls_names": docker_daemon_tls.names,
            "docker_engine_documents": docker_engine.documents,
            "docker_engine_packages": docker_engine.packages,
            "docker_engine_state": docker_engine.state,
            "docker_files_documents": docker_files.documents,
            "docker_group_documents": docker_group.documents,
            "firewall_documents": firewall.documents,
            "kernel_documents": kernel.documents,
            "openpgp_fingerprints": openpgp.fingerprints,
            "seccomp_documents": seccomp.documents,
            "security_updates_documents": security_updates.documents,
            "security_updates_open": security_updates.is_open,
            "security_updates_returning": security_updates.returning,
            "selinux_documents": selinux.documents,
            "userns_remap_documents": userns_remap.documents,
            "vulnerability_scan_documents": vulnerability_scan.documents,
        }
