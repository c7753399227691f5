from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.workload import kernel
from hardener.workload.equal_calls import no_more_than
from hardener.workload.seccomp import Default
from hardener.workload.syscalls import GO_RESERVE, LIBRARY_RESERVE
from tests.unit.workload.engines import CAPABILITIES, DEFAULTS

DEFAULT = Default(common=DEFAULTS["default"], capabilities=CAPABILITIES)
PERMITTED = DEFAULT.permitted(DEFAULT.capabilities)
KNOWN = frozenset(
    name for arch in ("x86_64", "aarch64", "i386", "arm") for name in kernel.names(arch).values()
)
# Calls that are attacks, or lead to another part of the kernel, whatever else a program may do.
_DANGEROUS = """bpf bind clone3 connect execve execveat io_uring_enter io_uring_register
    io_uring_setup ioctl keyctl memfd_create mount open_by_handle_at perf_event_open pidfd_getfd
    prctl process_vm_readv process_vm_writev ptrace sendmsg setns setsockopt setxattr socket
    socketpair splice unshare userfaultfd vmsplice"""
DANGEROUS = frozenset(_DANGEROUS.split())


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        ("tgkill", "kill"),
        ("clone", "fork vfork"),
        ("unlinkat", "unlink rmdir"),
        ("renameat2", "rename renameat"),
        ("fchmodat", "chmod fchmod"),
        ("fchownat", "chown fchown lchown"),
        ("listen", "accept accept4"),
        ("setsockopt", "getsockopt"),
        ("poll", "ppoll select pselect6"),
        ("pipe2", "pipe"),
        ("fcntl", "dup dup2 dup3"),
        ("openat", "open getcwd truncate ftruncate"),
        ("chdir", "fchdir"),
        ("fdatasync", "fsync"),
        ("write", "fdatasync fsync"),
    ],
)
def test_a_call_that_gives_no_more_power_follows(strong: str, weak: str) -> None:
    assert no_more_than({strong}, among=PERMITTED).keys() >= set(weak.split())


@pytest.mark.parametrize(
    ("weak", "strong"),
    [
        ("vfork", "clone"),
        ("unlink", "unlinkat"),
        ("rename", "renameat2"),
        ("fchmod", "chmod"),
        ("fchown", "chown"),
        ("link", "linkat"),
        ("accept", "listen"),
        ("getsockopt", "setsockopt"),
        ("recvfrom", "recvmsg"),
        ("sendto", "sendmsg"),
        ("pipe", "pipe2"),
        ("dup", "fcntl"),
        ("fstat", "stat"),
        ("getcwd", "openat"),
        ("truncate", "openat"),
        ("fchdir", "chdir"),
        ("fsync", "write"),
    ],
)
def test_a_call_that_gives_more_power_does_not_follow(weak: str, strong: str) -> None:
    assert strong not in no_more_than({weak}, among=PERMITTED)


def test_only_a_call_itself_gives_what_is_dangerous() -> None:
    for call in sorted(KNOWN - {"sendmmsg"}):
        assert not no_more_than({call}, among=KNOWN).keys() & DANGEROUS - {call}, call


def test_the_calls_that_are_always_permitted_change_nothing_beyond_the_process() -> None:
    """What every profile gets by this table: a short list, to be read when it grows."""
    assert sorted(no_more_than(GO_RESERVE | LIBRARY_RESERVE, among=PERMITTED)) == [
        *("_newselect", "epoll_pwait2", "epoll_wait", "fdatasync", "fork", "fsync", "kill", "pause"),
        *(
            "ppoll",
            "ppoll_time64",
            "pselect6",
            "pselect6_time64",
            "pwrite64",
            "pwritev",
            "pwritev2",
            "rt_sigpending",
        ),
        *("rt_sigsuspend", "select", "tkill", "vfork", "write"),
    ]


@given(st.sets(st.sampled_from(sorted(PERMITTED))), st.sets(st.sampled_from(sorted(PERMITTED))))
def test_nothing_follows_from_what_follows_or_is_not_permitted(calls: set[str], refused: set[str]) -> None:
    among = PERMITTED - refused
    found = no_more_than(calls, among=among)
    assert found.keys() <= among - calls
    assert set(found.values()) <= (calls | found.keys()) & among
    assert not no_more_than(calls | found.keys(), among=among)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [([], True), ([{"index": 1, "value": 15, "op": "SCMP_CMP_EQ"}], False)],
)
def test_nothing_follows_from_a_call_whose_arguments_the_own_profile_limits(
    condition: list[object], *, expected: bool
) -> None:
    rules = [
        {"names": sorted(PERMITTED - {"tgkill"}), "action": "SCMP_ACT_ALLOW"},
        {"names": ["tgkill"], "action": "SCMP_ACT_ALLOW", "args": condition},
    ]
    own = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}
    limited = Default(common=DEFAULT.common, capabilities=DEFAULT.capabilities, chosen=(own,))
    found = no_more_than({"tgkill"}, among=limited.as_by_default(limited.capabilities))
    assert ("kill" in found) is expected
