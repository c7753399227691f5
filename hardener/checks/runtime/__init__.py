"""Section 5, container runtime: what containers may do, see, reach and use up. One module a subject."""

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
