"""Which container a process is in: it may be gone, and its number another's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.cgroups import Process, look_up

A, B = "a" * 64, "b" * 64


def proc(
    cgroup: str, *, started: float | None = None, stat: str = "", flags: int = 0
) -> Callable[[str], str]:
    """A process's files; ``started`` by the clock on the wall, ``flags`` the kernel's."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    ticks = int(((started if started is not None else time.time() - 60) - booted) * os.sysconf("SC_CLK_TCK"))
    line = stat or f"12 (a) b) S {' '.join(['0'] * 5)} {flags} {' '.join(['0'] * 12)} {ticks} 0 0"
    return lambda path: cgroup if path.endswith("/cgroup") else line


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{A}.scope\n",
        f"12:memory:/docker/{A}\n1:name=systemd:/docker/{A}\n0::/\n",
        f"0::/system.slice/docker-{A}.scope/init\n",
        f"0::/system.slice/docker-{A}.scope (deleted)\n",  # killed, and the last of it
        f"0::/docker/{A}/docker/{B}\n",  # an engine in a container: the container of this host
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope\n",
    ],
)
def test_the_container_of_a_process_is_found(cgroup: str) -> None:
    assert look_up(12, time.time(), proc(cgroup)) == Process(A)


@pytest.mark.parametrize(
    "cgroup", ["0::/system.slice/ssh.service\n", f"0::/x{A}\n", f"0::/docker/{A}0\n", ""]
)
def test_a_process_outside_containers_is_recognised(cgroup: str) -> None:
    assert look_up(12, time.time(), proc(cgroup)) == Process(elsewhere=True)


def test_an_ending_process_in_the_root_of_cgroup_v1_is_not_attributed() -> None:
    ending = 0x4 | 0x400000
    assert look_up(12, time.time(), proc("4:memory:/\n1:name=systemd:/\n", flags=ending)) == Process()
    assert look_up(12, time.time(), proc("0::/system.slice/ssh.service\n", flags=ending)) == Process(
        elsewhere=True
    )
    assert look_up(12, time.time(), proc(f"0::/docker/{A}\n", flags=ending)) == Process(A)


def test_a_reused_pid_is_not_attributed() -> None:
    at = time.time() - 5
    assert look_up(12, at, proc(f"0::/docker/{A}\n", started=at + 2)) == Process()
    assert look_up(12, at, proc(f"0::/docker/{A}\n", started=at - 2)) == Process(A)


def test_an_ended_process_is_not_attributed() -> None:
    def gone(path: str) -> str:
        raise FileNotFoundError(path)

    def gone_meanwhile(path: str) -> str:
        if path.endswith("/stat"):
            raise ProcessLookupError(path)
        return f"0::/docker/{A}\n"

    assert look_up(12, time.time(), gone) == Process()
    assert look_up(12, time.time(), gone_meanwhile) == Process()
    assert look_up(-1, time.time(), proc("")) == Process()
    assert look_up(12, time.time(), proc(f"0::/docker/{A}\n", stat="12 (x")) == Process()


def test_the_real_files_of_this_process_are_read() -> None:
    found = look_up(os.getpid(), time.time())
    assert found.elsewhere or found.container
