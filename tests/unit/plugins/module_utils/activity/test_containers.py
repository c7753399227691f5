"""Whose a denial was: the process may be gone, and its number another's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity.containers import (
    Container,
    Directory,
    Process,
    look_up,
)

A, B = "a" * 64, "b" * 64
A_OF_CGROUPS, B_OF_CGROUPS = "a" * 64, "b" * 64


def test_an_apparmor_profile_or_selinux_label_of_one_container_identifies_it() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="web-profile"))
    directory.put(Container(B, "db", "pg", profile="docker-default", label="s:r:t:s0:c1,c2"))
    assert directory.by_confinement("web-profile", 5.0) == A
    assert directory.by_confinement("web-profile//null-/bin/sh", 5.0) == A
    assert directory.by_confinement("s:r:t:s0:c1,c2", 5.0) == B
    assert directory.by_confinement("s:r:t:s0:c1", 5.0) == ""
    assert directory.by_confinement("unconfined", 5.0) == ""
    assert directory.by_confinement("", 5.0) == ""


def test_an_apparmor_profile_of_two_containers_identifies_neither() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="site"))
    directory.put(Container(B, "db", "pg", profile="site"))
    assert directory.by_confinement("site", 100.0) == ""
    directory.end(B, now=101.0)
    assert directory.by_confinement("site", 100.0) == ""  # it ran then
    assert directory.by_confinement("site", 110.0) == A
    assert [each.name for each in directory.running()] == ["web"]


def test_the_engines_own_apparmor_profile_identifies_no_container() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="docker-default"))
    assert directory.by_confinement("docker-default", 5.0) == ""


def test_apparmor_profiles_and_selinux_labels_of_containers_are_recognised() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="site", label="s:r:t:s0:c1,c2"))
    for confinement in ("docker-default", "site", "site//null-/bin/sh", "s:r:t:s0:c1,c2"):
        assert directory.confines(confinement)
    for confinement in ("", "unconfined", "/usr/sbin/cupsd", "s:r:t:s0"):
        assert not directory.confines(confinement)


def test_no_container_is_identified_while_one_with_an_unknown_apparmor_profile_ran() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="site"))
    directory.put(Container(B, "gone", "pg", ended=101.0, inspected=False))
    assert directory.by_confinement("site", 100.0) == ""
    assert directory.by_confinement("site", 110.0) == A


def test_above_the_limit_of_known_containers_ended_ones_are_forgotten() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx"))
    for number in range(5000):
        identity = f"{number:064x}"
        directory.put(Container(identity, "", "", ended=1.0))
    assert directory.get(A).name == "web"
    assert not directory.knows(f"{0:064x}")
    assert directory.knows(f"{4999:064x}")


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
    assert look_up(12, time.time(), proc(cgroup)) == Process(A_OF_CGROUPS)


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
    assert look_up(12, time.time(), proc(f"0::/docker/{A}\n", flags=ending)) == Process(A_OF_CGROUPS)


def test_a_reused_pid_is_not_attributed() -> None:
    at = time.time() - 5
    assert look_up(12, at, proc(f"0::/docker/{A}\n", started=at + 2)) == Process()
    assert look_up(12, at, proc(f"0::/docker/{A}\n", started=at - 2)) == Process(A_OF_CGROUPS)


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
