"""Provide bpftool: the host's, or one that is fetched for a run and never installed.

A fetched one is stored in a file system of this process's mount namespace: the kernel removes it with the
process, and the host's packages are unchanged.
"""

from __future__ import annotations

import ctypes
import glob
import os
import re

from ..host.errors import Absent, Failed, describe
from ..host.run import find_program, run

_NAME = "bpftool"  # of the tool, and of its package
_TIMEOUT = 180
_INSTALLED = re.compile(r"^Inst (\S+) ", re.MULTILINE)
_MOST = 16  # packages
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x80000, 2, 4, 8


def provide(folder: str) -> str:
    """Return the name of a tool that the host has, or else the path of a fetched tool; ``run`` accepts both.

    Args:
        folder: where it is fetched to if the host has none, in a mount namespace of this process; empty to
            fetch none.

    Raises:
        Absent: there is none, and it may not be fetched.
        Failed: it cannot be fetched.
    """
    if find_program(_NAME) is not None:
        return _NAME
    if not folder:
        raise Absent(
            f"there is no {_NAME}: apt-get install {_NAME}, or give --install to have it fetched for this run"
        )
    absent = [each for each in ("apt-get", "dpkg-deb") if find_program(each) is None]
    if absent:
        raise Failed(f"{_NAME} cannot be fetched: there is no {absent[0]} (is this Debian?)")
    mount("tmpfs", f"{folder}/{_NAME}", executable=True)
    return fetch(f"{folder}/{_NAME}")


def fetch(folder: str) -> str:
    """Fetch a tool and missing libraries into a folder; return the program's path.

    apt verifies the signatures, as for installed packages.

    Raises:
        Failed: that is not possible.
    """
    packages = _packages()
    before = os.getcwd()
    os.chdir(folder)  # apt-get download always writes to the working folder
    try:
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages, timeout=_TIMEOUT)
        for archive in glob.glob("*.deb"):
            run("dpkg-deb", "--extract", archive, ".", timeout=_TIMEOUT)
            os.remove(archive)
    except (Failed, OSError) as error:
        raise Failed(f"{_NAME} cannot be fetched: {describe(error)}") from None
    finally:
        os.chdir(before)
    found = [
        path for path in (f"{folder}/usr/sbin/{_NAME}", f"{folder}/usr/bin/{_NAME}") if os.path.exists(path)
    ]
    if not found:
        raise Failed(f"{_NAME} cannot be fetched: it is not in the packages {' '.join(packages)}")
    libraries = [*glob.glob(f"{folder}/usr/lib/*-linux-gnu*"), *glob.glob(f"{folder}/lib/*-linux-gnu*")]
    program = f"{folder}/{_NAME}"
    with open(program, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\nLD_LIBRARY_PATH='{':'.join(libraries)}' exec '{found[0]}' \"$@\"\n")
    os.chmod(program, 0o700)
    return program


def _packages() -> list[str]:
    """Return the package of a tool, and those of its dependencies that are not installed."""
    words = ("-q", "--simulate", "--no-install-recommends", "install", _NAME)
    try:
        text = run("apt-get", *words, timeout=_TIMEOUT)
    except Failed:
        try:  # the lists may be missing, as in minimal images
            run("apt-get", "-q", "update", timeout=_TIMEOUT)
            text = run("apt-get", *words, timeout=_TIMEOUT)
        except Failed as error:
            raise Failed(f"{_NAME} cannot be fetched: {describe(error)}") from None
    found = _INSTALLED.findall(text)
    if _NAME not in found:
        raise Failed(f"{_NAME} cannot be fetched: apt-get would not install a package of this name")
    if len(found) > _MOST:
        raise Failed(
            f"{_NAME} cannot be fetched: apt-get would install {len(found)} packages for it, and at most"
            f" {_MOST} are allowed"
        )
    return found


def leave() -> None:
    """Leave the mount namespace of the host.

    Raises:
        Failed: that is not permitted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS), "cannot leave the mount namespace")
    # Not private: an unmount on the host must reach this namespace, or the device stays busy.
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "cannot separate the mounts")


def mount(kind: str, folder: str, *, executable: bool = False) -> None:
    """Mount a new file system on a folder, which is made if it does not exist.

    Raises:
        Failed: that is not possible.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_NOSUID | _MS_NODEV | (0 if executable else _MS_NOEXEC)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = kind.encode()
    _check(
        libc.mount(name, os.fsencode(folder), name, flags, b"mode=0700"),
        f"cannot mount a file system ({kind})",
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        raise Failed(f"{what}: {os.strerror(ctypes.get_errno())}")
