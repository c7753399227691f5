"""Name the system calls that seccomp profiles of containers refuse; keep the number of any other call."""

from __future__ import annotations

_X86_64, _AARCH64, _I386 = 0xC000003E, 0xC00000B7, 0x40000003
_X32 = 0x40000000  # the bit that marks system calls of the x32 ABI
_X32_NUMBERS = {
    521: "ptrace",
    528: "kexec_load",
    533: "move_pages",
    539: "process_vm_readv",
    540: "process_vm_writev",
}  # all other numbers are the same as on x86_64

# Name -> number on x86_64, on aarch64, on i386 (-1: does not exist there).
_NUMBERS = {
    "acct": (163, 89, 51),
    "add_key": (248, 217, 286),
    "adjtimex": (159, 171, 124),
    "bpf": (321, 280, 357),
    "chroot": (161, 51, 61),
    "clock_adjtime": (305, 266, 343),
    "clock_settime": (227, 112, 264),
    "clone": (56, 220, 120),
    "clone3": (435, 435, 435),
    "delete_module": (176, 106, 129),
    "fanotify_init": (300, 262, 338),
    "finit_module": (313, 273, 350),
    "fsconfig": (431, 431, 431),
    "fsmount": (432, 432, 432),
    "fsopen": (430, 430, 430),
    "fspick": (433, 433, 433),
    "init_module": (175, 105, 128),
    "io_uring_enter": (426, 426, 426),
    "io_uring_register": (427, 427, 427),
    "io_uring_setup": (425, 425, 425),
    "ioperm": (173, -1, 101),
    "iopl": (172, -1, 110),
    "kcmp": (312, 272, 349),
    "kexec_file_load": (320, 294, -1),
    "kexec_load": (246, 104, 283),
    "keyctl": (250, 219, 288),
    "lookup_dcookie": (212, 18, 253),
    "mbind": (237, 235, 274),
    "migrate_pages": (256, 238, 294),
    "mknod": (133, -1, 14),
    "mknodat": (259, 33, 297),
    "mount": (165, 40, 21),
    "mount_setattr": (442, 442, 442),
    "move_mount": (429, 429, 429),
    "move_pages": (279, 239, 317),
    "name_to_handle_at": (303, 264, 341),
    "nfsservctl": (180, 42, 169),
    "open_by_handle_at": (304, 265, 342),
    "open_tree": (428, 428, 428),
    "perf_event_open": (298, 241, 336),
    "personality": (135, 92, 136),
    "pidfd_getfd": (438, 438, 438),
    "pivot_root": (155, 41, 217),
    "process_madvise": (440, 440, 440),
    "process_vm_readv": (310, 270, 347),
    "process_vm_writev": (311, 271, 348),
    "ptrace": (101, 117, 26),
    "quotactl": (179, 60, 131),
    "reboot": (169, 142, 88),
    "request_key": (249, 218, 287),
    "set_mempolicy": (238, 237, 276),
    "setdomainname": (171, 162, 121),
    "sethostname": (170, 161, 74),
    "setns": (308, 268, 346),
    "settimeofday": (164, 170, 79),
    "socket": (41, 198, 359),
    "swapoff": (168, 225, 115),
    "swapon": (167, 224, 87),
    "syslog": (103, 116, 103),
    "umount2": (166, 39, 52),
    "unshare": (272, 97, 310),
    "userfaultfd": (323, 282, 374),
    "vhangup": (153, 58, 111),
}
_NAMES = {
    (architecture, numbers[column]): name
    for column, architecture in enumerate((_X86_64, _AARCH64, _I386))
    for name, numbers in _NUMBERS.items()
}


def syscall_name(number: int, architecture: str) -> str:
    """Return a system call's name; ``architecture`` is an audit record's ``arch=``, in hexadecimal.

    A call of a foreign ABI is marked: ``mount (i386)``.
    """
    try:
        which = int(architecture, 16)
    except ValueError:
        return f"syscall {number}"
    if which == _X86_64 and number & _X32:
        call = number & ~_X32
        return f"{_X32_NUMBERS.get(call) or _NAMES.get((which, call), f'syscall {call}')} (x32)"
    name = _NAMES.get((which, number), f"syscall {number}")
    if which == _I386:
        return f"{name} (i386)"
    return name if which in (_X86_64, _AARCH64) else f"{name} of architecture {which:x}"
