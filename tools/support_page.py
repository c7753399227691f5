"""Write docs/support.md: which command runs in a test on which host, from the table of tests below."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[1] / "docs" / "support.md"

# Kinds of hosts, the one that shows most first.
KINDS = (GUEST, NAMESPACES, LIKENESS, ENGINE, RULES) = ("guest", "namespaces", "likeness", "engine", "rules")
NOT = "no"

DEBIAN_12 = "Debian 12 · Docker 20.10 (Debian)"
DEBIAN_13 = "Debian 13 · Docker 26.1 (Debian)"
TESTING = "Debian testing · Docker 28.5 (Debian)"
UBUNTU = "like Ubuntu 24.04 · docker-ce's layout · ufw"
ROCKY = "like Rocky 9 · docker-ce's layout · firewalld"
ROOTLESS = "Debian 13 · rootless engine"
SWARM = "Debian 13 · manager of a swarm"
BESIDE = "Debian 13 · Docker 26.1 and 28.5 · ufw, firewalld, nftables.conf or iptables-persistent"
UPGRADED = "Debian 13 · Docker 28.5 (Debian testing)"
DOCKER_29 = "Docker 29, also with its nftables backend"
HOSTS = (DEBIAN_12, DEBIAN_13, UPGRADED, TESTING, UBUNTU, ROCKY, ROOTLESS, SWARM, BESIDE, DOCKER_29)

COMMANDS = ("audit", "plan", "harden", "provision", "updates", "drift", "rollback", "release", "record")
_LIFE = "audit plan harden updates drift rollback release"


class Evidence(NamedTuple):
    """A test that runs commands on a host.

    ``test`` is its module below ``tests/`` and its function.
    """

    test: str
    kind: str
    host: str
    commands: str


EVIDENCE = (
    Evidence(
        "releases/test_harden.py::test_a_fresh_host_is_hardened_in_one_run_and_stays_reachable",
        GUEST,
        DEBIAN_12,
        "audit plan harden",
    ),
    *(
        Evidence(
            "releases/test_workload.py"
            "::test_a_container_is_proven_with_a_fetched_recorder_that_leaves_the_packages_unchanged",
            GUEST,
            host,
            "record",
        )
        for host in (DEBIAN_12, TESTING)
    ),
    Evidence(
        "promise/test_loop.py::test_a_host_with_running_containers_is_hardened",
        GUEST,
        DEBIAN_13,
        "audit plan harden",
    ),
    Evidence(
        "e2e/test_power.py::test_a_host_that_loses_power_is_as_before_or_as_planned",
        GUEST,
        DEBIAN_13,
        "harden rollback release",
    ),
    Evidence(
        "e2e/test_drift.py::test_unloaded_audit_rules_are_found_and_loaded_again", GUEST, DEBIAN_13, "drift"
    ),
    Evidence(
        "workloads/test_workloads.py::test_a_workload_is_proven_safe_with_fewer_privileges",
        ENGINE,
        DEBIAN_13,
        "record",
    ),
    Evidence(
        "promise/test_provision.py::test_a_bare_host_becomes_a_hardened_docker_host_and_stays_one",
        NAMESPACES,
        DEBIAN_13,
        "provision",
    ),
    Evidence(
        "system/test_updates.py::test_pending_updates_are_installed_now_and_later_ones_automatically",
        NAMESPACES,
        DEBIAN_13,
        "updates",
    ),
    Evidence(
        "promise/test_fleet.py::test_a_fleet_is_hardened_repaired_rolled_back_and_released",
        NAMESPACES,
        DEBIAN_13,
        "audit plan harden drift rollback release",
    ),
    Evidence(
        "releases/test_provision.py"
        "::test_a_provisioned_host_is_the_same_after_a_second_run_and_after_a_reboot",
        GUEST,
        TESTING,
        "audit plan harden provision",
    ),
    *(
        Evidence(
            "system/test_dressed.py::test_a_host_of_another_distribution_is_hardened_kept_so_and_released",
            LIKENESS,
            host,
            _LIFE,
        )
        for host in (UBUNTU, ROCKY)
    ),
    Evidence(
        "e2e/test_rootless.py::test_an_audit_passes_rootless_controls_on_a_rootless_engine",
        GUEST,
        ROOTLESS,
        "audit",
    ),
    Evidence(
        "e2e/test_swarm.py::test_a_swarm_manager_gets_all_protections_that_swarm_mode_permits",
        GUEST,
        SWARM,
        "audit plan harden",
    ),
    Evidence(
        "system/test_other_firewalls.py::test_published_ports_are_filtered_beside_another_firewall",
        NAMESPACES,
        BESIDE,
        "harden",
    ),
    Evidence(
        "life/test_lives.py::test_generated_lives",
        NAMESPACES,
        UPGRADED,
        "audit plan harden drift rollback release",
    ),
    Evidence(
        "integration/test_firewall.py"
        "::test_published_ports_of_an_engine_that_filters_with_nftables_are_limited",
        RULES,
        DOCKER_29,
        "harden",
    ),
)


def page(text: str) -> str:
    """Return the page with its generated table: the part of ``text`` from the table on is replaced."""
    head = text[: text.index("\n| host |")] if "\n| host |" in text else text
    return f"{head.rstrip()}\n\n{_table()}\n{_tests()}"


def _table() -> str:
    rows = [f"| host | {' | '.join(COMMANDS)} |", f"| --- |{' --- |' * len(COMMANDS)}"]
    rows += [f"| {host} | {' | '.join(_cell(host, command) for command in COMMANDS)} |" for host in HOSTS]
    return "\n".join(rows) + "\n"


def _cell(host: str, command: str) -> str:
    kinds = {each.kind for each in EVIDENCE if each.host == host and command in each.commands.split()}
    return next((kind for kind in KINDS if kind in kinds), NOT)


def _tests() -> str:
    rows = ["| host | tests |", "| --- | --- |"]
    for host in HOSTS:
        tests = [each.test.split("::") for each in EVIDENCE if each.host == host]
        if tests:
            rows.append(f"| {host} | {', '.join(f'`tests/{module}`: `{name}`' for module, name in tests)} |")
    return "\n".join(rows) + "\n"
