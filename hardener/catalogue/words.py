"""Display names of the catalogue's keys: frameworks, sources of mappings, impacts."""

from __future__ import annotations

from hardener.model import Impact

FRAMEWORKS = {
    "cis-controls-v8": "CIS Controls v8",
    "nist-800-190": "NIST SP 800-190",
    "nist-800-53r5": "NIST SP 800-53 r5",
    "pci-dss-4.0": "PCI DSS 4.0",
}

SOURCES = {
    "benchmark": "the benchmark",
    "judgement": "this project's judgement",
}

IMPACTS = {
    Impact.NONE: "nothing stops or restarts",
    Impact.RELOAD: "the daemon reloads its configuration; nothing stops",
    Impact.DAEMON_RESTART: "the daemon restarts once; containers stop with it unless live-restore is on",
    Impact.CONTAINERS_STOP: "running containers are stopped",
    Impact.CONTAINERS_RECREATE: "containers have to be recreated",
    Impact.DATA_HIDDEN: "the engine no longer sees images, containers and volumes unless they are migrated",
    Impact.CONNECTIVITY: "a mistake can cut connections to the host",
    Impact.REBOOT: "the host has to be rebooted",
}
