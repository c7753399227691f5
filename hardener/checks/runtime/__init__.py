"""Section 5, container runtime: privileges, access and limits of containers. One module for each subject."""

from __future__ import annotations

from hardener.checks.runtime import (  # noqa: F401 - importing a module registers its checks
    capabilities,
    confinement,
    kernelfiles,
    lifecycle,
    mounts,
    namespaces,
    network,
    resources,
)
