"""Find the system calls that give a program no more power than those that a profile permits anyway.

A recording shows how a program did something, not all the ways in which it can: it sends a signal by
``tgkill`` here and by ``kill`` there. Refusing the one while the other is permitted stops no attack, and
breaks the program in ordinary use. A call is listed only where the permitted one reaches the same code of the
kernel with the same checks, by other arguments: nothing here opens another part of the kernel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set as AbstractSet

# A call, and those that can do nothing but what it can do.
_ROWS = """
tgkill          kill tkill
kill            tgkill tkill
clone           fork vfork
wait4           waitid
waitid          wait4

openat          open creat truncate truncate64 ftruncate ftruncate64
open            openat creat truncate truncate64 ftruncate ftruncate64
openat2         open openat creat truncate truncate64 ftruncate ftruncate64
close           close_range
unlinkat        unlink rmdir
renameat2       rename renameat
renameat        rename
rename          renameat
mkdirat         mkdir
mkdir           mkdirat
mknodat         mknod
mknod           mknodat
linkat          link
symlinkat       symlink
symlink         symlinkat
fchmodat2       chmod fchmod fchmodat
fchmodat        chmod fchmod
chmod           fchmod fchmodat
fchownat        chown chown32 fchown fchown32 lchown lchown32
lchown          chown fchown
chown           fchown
lchown32        chown32 fchown32
chown32         fchown32
utimensat       futimesat utime utimes
chdir           fchdir

newfstatat      access faccessat faccessat2 fstat lstat stat statx
fstatat64       access faccessat faccessat2 fstat64 lstat64 stat64 statx
statx           access faccessat faccessat2 fstat fstat64 fstatat64 lstat lstat64 newfstatat stat stat64
stat            access faccessat faccessat2 fstat lstat newfstatat statx
lstat           access faccessat faccessat2 fstat newfstatat stat statx
faccessat2      access faccessat
faccessat       access
access          faccessat
readlinkat      readlink
readlink        readlinkat
statfs          fstatfs
statfs64        fstatfs64
getdents64      getdents
getdents        getdents64

read            pread64 preadv preadv2 readv
readv           pread64 preadv preadv2 read
write           pwrite64 pwritev pwritev2 writev
writev          pwrite64 pwritev pwritev2 write
pwritev2        fdatasync fsync
fdatasync       fsync
fsync           fdatasync
fcntl           dup dup2 dup3 flock
fcntl64         dup dup2 dup3 flock
dup2            dup dup3
dup3            dup dup2
pipe2           pipe
eventfd2        eventfd
signalfd4       signalfd
inotify_init1   inotify_init
epoll_create1   epoll_create
epoll_create    epoll_create1

accept4         accept
accept          accept4
listen          accept accept4
recvmmsg        recvfrom recvmsg
recvmsg         recvfrom recvmmsg
sendmmsg        sendmsg sendto
sendmsg         sendmmsg sendto
setsockopt      getsockopt

poll            _newselect pause ppoll ppoll_time64 pselect6 pselect6_time64 rt_sigsuspend select
epoll_pwait     epoll_pwait2 epoll_wait
epoll_wait      epoll_pwait
epoll_pwait2    epoll_pwait epoll_wait
clock_gettime   clock_getres gettimeofday time
clock_nanosleep nanosleep
nanosleep       clock_nanosleep
rt_sigprocmask  rt_sigpending

prlimit64       getrlimit setrlimit ugetrlimit
"""
# A process reads all of this in /proc, where it can open a file.
_READING = """getcwd getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpeername
    getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage
    getsid getsockname gettid getuid getuid32 sched_getaffinity sysinfo times ugetrlimit uname"""

_READ_IN_PROC = tuple(_READING.split())
_NO_MORE = {strong: tuple(weak) for strong, *weak in map(str.split, filter(None, _ROWS.splitlines()))}
_OPENING = ("open", "openat", "openat2")


def no_more_than(calls: AbstractSet[str], *, among: AbstractSet[str]) -> dict[str, str]:
    """Return the calls that give no more power than given ones, each with the one that it follows from.

    Args:
        calls: names of calls that are to be permitted.
        among: the calls that can be permitted with all the arguments that the engine's default permits: what
            only some arguments of a call can do, another call would do with all of its own.
    """
    found: dict[str, str] = {}
    queue = deque(sorted(calls & among))
    while queue:
        strong = queue.popleft()
        weak = _NO_MORE.get(strong, ())
        for name in (*weak, *_READ_IN_PROC) if strong in _OPENING else weak:
            if name in among and name not in calls and name not in found:
                found[name] = strong
                queue.append(name)
    return found
