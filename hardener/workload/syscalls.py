"""Tables of system calls: calls that are always needed, and older equivalents of newer calls."""

from __future__ import annotations

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import OF_CAPABILITY

# A container under a filter of recorded calls alone fails now and then: the runtime is written in Go, whose
# scheduler, garbage collector and signal handling make these calls in some starts only. If it is linked to
# glibc, it makes rseq in each new thread, and ends if that is refused.
_GO = """clone epoll_ctl epoll_pwait exit exit_group futex getpid gettid madvise mmap mprotect munmap
    nanosleep rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_yield sigaltstack tgkill"""
GO_RESERVE = frozenset(_GO.split())

# With some clocks of a machine these need no system call, and the kernel itself calls restart_syscall: the
# recording host does not show whether the next host needs them.
KERNEL_RESERVE = frozenset({"clock_gettime", "gettimeofday", "restart_syscall", "time"})

# What a program, mostly its C library, calls only in some runs: it waits for a lock that another process
# holds or for an answer that is not there yet, ends a connection that the other side has broken, gets memory,
# returns from a signal, or ends with a message. No exercise reaches these reliably, and none of them opens,
# starts or changes anything but the process and its connections.
_LIBRARY = """brk clock_nanosleep exit_group futex getpid gettid madvise mmap mprotect mremap munmap nanosleep
    poll rt_sigprocmask rt_sigreturn sched_yield shutdown tgkill writev"""
LIBRARY_RESERVE = frozenset(_LIBRARY.split())

# What a program that makes files calls in some runs only: it replaces a file, removes an old one, makes a
# folder for a backup. It can empty and overwrite its files anyway.
MAKER_RESERVE = frozenset({"mkdirat", "renameat2", "unlinkat"})

# What a shell that `docker exec -it` starts calls, and the programs that it starts (measured with dash, bash,
# busybox and coreutils): without these an operator cannot look into a container. There are no sockets among
# them. `ls -l` reads attributes, and reports an error for each file where it may not.
_EXEC = """access arch_prctl brk chdir clone close dup2 dup3 execve exit_group faccessat faccessat2 fadvise64
    fcntl fstat futex getcwd getdents64 getegid geteuid getgid getgroups getpgrp getpid getppid
    getrandom gettid getuid getxattr ioctl kill lgetxattr listxattr llistxattr lseek mmap mprotect
    munmap newfstatat openat pipe2 poll ppoll pread64 prlimit64 pselect6 read readlinkat rseq
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend set_robust_list set_tid_address setpgid
    sigaltstack statfs statx sysinfo umask uname vfork wait4 write"""
EXEC_RESERVE = frozenset(_EXEC.split())

# What busybox calls only if it does not run as root: it gives up the rights of a set-user-ID program. Without
# capabilities a process can take no ids but its own.
NOT_ROOT_RESERVE = frozenset({"getgid", "getuid", "setgid", "setuid"})

# The same, as the C library of 32-bit programs makes it.
NARROW = frozenset({"i386", "arm"})
NARROW_KERNEL_RESERVE = frozenset({"clock_gettime64"})
NARROW_NOT_ROOT_RESERVE = frozenset(f"{name}32" for name in NOT_ROOT_RESERVE)
NARROW_LIBRARY_RESERVE = frozenset({"clock_nanosleep_time64", "futex_time64", "mmap2", "sigreturn"})

# Programs fall back to older calls where the kernel does not know one of these, and fail where it is
# forbidden. A runtime returns "not known" only above the highest number in a profile: a profile with few
# calls would forbid the rest. So these are refused as not known, by name: from Linux 4.11 on.
_NEWER = """statx io_pgetevents rseq
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig
    fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2
    mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret
    process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake
    futex_wait futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
    setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr"""
NEWER = tuple(_NEWER.split())
# Those of 32-bit programs only: times of 64 bits, in Linux 5.1.
_NARROW_NEWER = """clock_gettime64 clock_settime64 clock_adjtime64 clock_getres_time64 clock_nanosleep_time64
    timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64 utimensat_time64 pselect6_time64
    ppoll_time64 io_pgetevents_time64 recvmmsg_time64 mq_timedsend_time64 mq_timedreceive_time64
    semtimedop_time64 rt_sigtimedwait_time64 futex_time64 sched_rr_get_interval_time64"""
NARROW_NEWER = tuple(_NARROW_NEWER.split())

# The name of an architecture in a runtime and libseccomp, by the kernel's name.
ARCHITECTURES = {
    "x86_64": "SCMP_ARCH_X86_64",
    "i386": "SCMP_ARCH_X86",
    "aarch64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
    "x32": "SCMP_ARCH_X32",
}


def capabilities_of(call: str) -> frozenset[str]:
    """Return the capabilities with which the engine's default profile permits a call."""
    return frozenset(name for name, calls in OF_CAPABILITY.items() if call in calls)
