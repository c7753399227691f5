"""Print the table of system calls, hardener/workload/callnames.txt, from the kernel's headers.

    python tools/callnames.py >hardener/workload/callnames.txt

Needs linux-libc-dev and a C preprocessor. Calls that are newer than the headers are listed here: since Linux
5.0 every architecture gives a new call the same number.
"""

from __future__ import annotations

import re
import subprocess

_HEADERS = {
    "x86_64": '#include "x86_64-linux-gnu/asm/unistd_64.h"',
    "aarch64": "\n".join(
        [
            "#define __BITS_PER_LONG 64",
            "#define __ARCH_WANT_RENAMEAT",
            "#define __ARCH_WANT_NEW_STAT",
            "#define __ARCH_WANT_SET_GET_RLIMIT",
            "#define __ARCH_WANT_TIME32_SYSCALLS",
            "#define __ARCH_WANT_MEMFD_SECRET",
            "#include <asm-generic/unistd.h>",
        ]
    ),
    "i386": '#include "x86_64-linux-gnu/asm/unistd_32.h"',
    "x32": '#define __X32_SYSCALL_BIT 0\n#include "x86_64-linux-gnu/asm/unistd_x32.h"',
}
_NEWER = {
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
    "listns": 470,
}


def table(architecture: str) -> dict[str, int]:
    """Return the names and numbers of an architecture's system calls.

    Raises:
        subprocess.CalledProcessError: the headers are missing.
    """
    source = _HEADERS[architecture]
    names = sorted(
        set(re.findall(r"^#define __NR_(\w+) ", _preprocess(source, "-dM"), re.MULTILINE))
        - {"syscalls", "arch_specific_syscall"}
    )
    names = [name for name in names if not name.startswith("3264_")]
    text = _preprocess(source + "".join(f"\n@{name} __NR_{name}" for name in names))
    found = {name: eval(number) for name, number in re.findall(r"^@(\w+) ([\d ()+]+)$", text, re.MULTILINE)}
    return {**_NEWER, **found}


def _preprocess(source: str, *options: str) -> str:
    return subprocess.run(
        ["cpp", "-P", *options, "-"], input=source, capture_output=True, text=True, check=True
    ).stdout


def main() -> None:
    """Print the table."""
    tables = {name: table(name) for name in _HEADERS}
    print("#", *tables)
    for name in sorted(set().union(*tables.values())):
        print(name, *(tables[each].get(name, "-") for each in tables))


if __name__ == "__main__":
    main()
