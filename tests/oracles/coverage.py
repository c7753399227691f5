"""Each control with the tests that compare its verdict with reality, or the reason why no test can.

tests/unit/walls/test_oracles.py fails if a control has neither, or if a test does not judge it any more.
`python -m tests.oracles.coverage` prints the summary in docs/testing.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

from hardener.catalogue import every_control


@dataclass(frozen=True)
class Oracle:
    """Tests that compare verdicts with what other programs do.

    Args:
        reality: what the verdicts are compared with.
        tests: paths and names of the functions, with blanks between them.
        controls: slugs, or patterns of them.
        judge: the module by which the tests judge, where they do not name the controls.
    """

    reality: str
    tests: str
    controls: str
    judge: str = ""


ORACLES = (
    Oracle(
        "records in the kernel's audit log",
        "tests/e2e/test_audit_oracle.py::test_the_verdict_matches_the_records_of_the_kernel",
        "audit-*",
        "hardener.checks.lib.auditrules",
    ),
    Oracle(
        "what users can do with the files",
        "tests/oracles/test_ownership.py::test_verdicts_match_what_users_can_do",
        "file-*-mode file-*-owner",
    ),
    Oracle(
        "packets through the filter",
        "tests/oracles/test_packetfilter.py::test_verdicts_match_the_packets_that_arrive",
        "host-firewall-input-ipv4 host-firewall-input-ipv6",
        "hardener.checks.lib.packetfilter",
    ),
    Oracle(
        "packets to published ports",
        "tests/oracles/test_published_ports.py::test_verdicts_match_the_packets_that_reach_containers",
        "host-firewall-docker-user",
    ),
    Oracle(
        "answers of an engine, and limits and privileges of its containers",
        "tests/oracles/test_configurations.py::test_verdicts_match_the_answers_of_the_engine",
        """
            daemon-cgroup-parent-default daemon-default-ulimits daemon-experimental-off daemon-icc-disabled
            daemon-insecure-registries-none daemon-live-restore daemon-log-level-info
            daemon-no-new-privileges daemon-seccomp-custom daemon-userland-proxy-disabled swarm-mode-off
        """,
    ),
    Oracle(
        "namespaces, capabilities and limits of containers",
        "tests/oracles/test_confinement.py::test_verdicts_match_what_the_kernel_grants_containers",
        """
            container-bind-specific-interface container-capabilities container-cgroup-parent
            container-cgroups-private container-cpu-limit container-kernel-paths-hidden
            container-memory-limit container-no-host-* container-no-new-privileges
            container-no-privileged-ports container-no-shared-propagation container-not-default-bridge
            container-not-privileged container-only-needed-ports container-pids-limit
            container-readonly-rootfs container-ulimits image-non-root-user
        """,
    ),
    Oracle(
        "calls that containers can make",
        "tests/oracles/test_syscalls.py::test_verdicts_match_the_calls_that_containers_can_make",
        "container-seccomp-enabled",
    ),
    Oracle(
        "paths of the host that containers reach",
        "tests/oracles/test_mounts.py::test_verdicts_match_the_host_paths_that_containers_reach",
        "container-no-docker-sock container-no-sensitive-mounts",
    ),
    Oracle(
        "an engine, its files, its logs, its network and its containers, used by others",
        """
            tests/integration/test_engine_surroundings.py::test_snapshot_and_verdicts_describe_the_real_state_of_an_engine
        """,
        """
            container-no-sshd container-restart-policy daemon-central-logging daemon-iptables-managed
            docker-group-trusted-users file-cdi-specs file-engine-own host-carries-docker
            host-separate-partition
        """,
    ),
    Oracle(
        "clients without a certificate",
        """
            tests/integration/test_checks_daemon.py::test_an_api_that_passes_refuses_clients_without_a_certificate
            tests/integration/test_checks_daemon.py::test_tls_without_client_certificates_fails
        """,
        "daemon-tls-verify",
    ),
    Oracle(
        "requests that a plugin refuses",
        "tests/integration/test_checks_daemon.py::test_an_engine_that_asks_an_authorization_plugin_passes",
        "daemon-authz-plugin",
    ),
    Oracle(
        "users of the host by which an engine or its containers run",
        """
            tests/integration/test_checks_userns.py::test_a_container_that_opts_out_shares_the_hosts_user_namespace
            tests/e2e/test_rootless.py::test_an_audit_passes_rootless_controls_on_a_rootless_engine
            tests/oracles/test_configurations.py::test_verdicts_match_the_answers_of_the_engine
        """,
        "daemon-rootless daemon-userns-remap",
    ),
    Oracle(
        "health, images and states of containers, as the engine has them",
        "tests/integration/test_checks_containers.py::test_verdicts_match_the_state_of_containers_and_images",
        """
            container-health-running image-healthcheck image-latest-pulled ops-container-sprawl
            ops-image-sprawl
        """,
    ),
    Oracle(
        "a swarm's ports, certificates and lock",
        "tests/integration/test_checks_swarm.py::test_verdicts_match_what_a_swarm_does",
        "swarm-autolock swarm-bind-interface swarm-node-cert-rotated",
    ),
    Oracle(
        "registries with signatures, and the docker client",
        """
            tests/integration/test_content_trust.py::test_content_trust_applies_only_to_the_docker_command
            tests/integration/test_content_trust_role.py::test_the_next_audit_judges_the_result_of_the_verification
        """,
        "image-content-trust image-signed-artifacts-validated image-trusted-base",
    ),
    Oracle(
        "updates that apt installs",
        """
            tests/integration/test_scan.py::test_an_outdated_image_lacks_the_updates_that_apt_would_install
            tests/integration/test_scan.py::test_the_next_audit_reports_findings_from_the_record_of_the_scan_command
            tests/system/test_updates.py::test_pending_updates_are_installed_now_and_later_ones_automatically
            tests/system/test_updates.py::test_no_update_is_pending_if_the_engine_is_included
        """,
        "host-updates-automatic host-updates-pending image-vulnerability-scan",
    ),
    Oracle(
        "OpenSCAP",
        "tests/system/test_scan.py::test_the_next_audit_reports_findings_of_openscap_and_of_the_image_scan",
        "host-hardened",
    ),
    Oracle(
        "a kernel's settings, and its confinement of a container",
        """
            tests/e2e/test_kernel_roles.py::test_weakened_settings_are_repaired_and_unconfined_containers_are_named
        """,
        "container-apparmor host-kernel-settings host-lsm-enforcing",
    ),
)

REASONS: Mapping[str, str] = {
    "A person decides: the verdict is always `manual`": """
        exec-not-privileged exec-not-root-user image-minimal-packages image-no-setuid swarm-autolock-rotated
        swarm-ca-rotated
    """,
    "No engine of the tests has it: storage drivers that were removed, and NRI, which came in 29.2": """
        daemon-base-device-size daemon-nri-trusted daemon-storage-aufs-absent
        daemon-storage-devicemapper-absent
    """,
    "It shows only between several nodes of a swarm, and the tests have swarms of one": """
        swarm-data-plane-separated swarm-manager-count swarm-overlay-encrypted
    """,
    "It is about how a Dockerfile is written: a container does nothing else if it is broken": """
        image-copy-not-add image-no-lone-update image-verified-packages
    """,
    "No program tells whether a text is a secret": "image-no-secrets swarm-secrets-used",
    "Dates of support and fixes are published, and no program of a host knows them": "docker-version-current",
    "No guest of the tests has SELinux: unit tests use a recorded host": "container-selinux",
}


def oracles(slug: str) -> list[Oracle]:
    """The oracles of a control."""
    return [each for each in ORACLES if any(fnmatch(slug, pattern) for pattern in each.controls.split())]


def summary() -> str:
    """The numbers and reasons, as docs/testing.md has them."""
    slugs = [control.slug for control in every_control()]
    compared = [slug for slug in slugs if oracles(slug)]
    lines = [
        f"{len(compared)} of {len(slugs)} controls have a test that compares the verdict with reality:\n"
    ]
    lines += [
        f"- {sum(each in oracles(slug) for slug in slugs)} with {each.reality}"
        for each in sorted(ORACLES, key=lambda each: -sum(each in oracles(slug) for slug in slugs))
    ]
    lines += [f"\nThe other {len(slugs) - len(compared)} have none:\n"]
    lines += [
        f"- {reason}: {', '.join(f'`{slug}`' for slug in some.split())}" for reason, some in REASONS.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(summary(), end="")
