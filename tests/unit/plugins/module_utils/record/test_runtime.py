"""Containers whose programs another kernel runs are refused; those of this kernel's runtimes are not."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import runtime
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


def test_the_built_waiting_program_does_not_end_by_itself(tmp_path: Path) -> None:
    content = runtime.program(os.uname().machine)
    if content is None:
        pytest.skip("the program is not written for this machine")
    path = tmp_path / "wait"
    path.write_bytes(content)
    path.chmod(0o755)
    process = subprocess.Popen([path])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
    finally:
        process.kill()
    assert process.wait() == -9


def test_the_built_image_contains_only_the_waiting_program() -> None:
    archive = runtime.image("aarch64")
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        (member,) = found.getmembers()
        assert (member.name, member.mode) == ("wait", 0o755)
    assert runtime.image("s390x") is None
