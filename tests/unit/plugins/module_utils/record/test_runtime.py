"""Containers whose programs another kernel runs are refused; those of this kernel's runtimes are not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record.runtime import require_processes_here

RUNTIMES = {
    "runc": {"path": "runc"},
    "crun": {"path": "/usr/bin/crun"},
    "nvidia": {"path": "nvidia-container-runtime"},
    "safe": {"path": "/usr/local/bin/runsc"},
    "io.containerd.kata.v2": {},
    "vm": {"runtimeType": "io.containerd.kata-fc.v2"},
    "io.containerd.runc.v2": {"runtimeType": "io.containerd.runc.v2"},
}


def require(runtime: str) -> None:
    info: dict[str, Any] = {"Runtimes": RUNTIMES, "DefaultRuntime": "runc"}
    require_processes_here(info, {"Name": "/web", "HostConfig": {"Runtime": runtime}})


@pytest.mark.parametrize(
    "runtime", ["", "runc", "crun", "nvidia", "io.containerd.runc.v2", "io.containerd.mine.v1"]
)
def test_runtimes_of_the_hosts_kernel_are_accepted(runtime: str) -> None:
    require(runtime)


@pytest.mark.parametrize(
    "runtime",
    ["safe", "runsc", "io.containerd.runsc.v1", "io.containerd.kata.v2", "vm", "kata-qemu", "wasmtime"],
)
def test_runtimes_with_their_own_kernel_are_refused(runtime: str) -> None:
    with pytest.raises(Failed, match=f"web runs under {runtime}, which has a kernel of its own"):
        require(runtime)
