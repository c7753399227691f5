"""Provide bpftool: the host's, or one that is fetched for a run and never installed.

A fetched one is stored in a file system of this process's mount namespace: the kernel removes it with the
process, and the host's packages are unchanged.
"""

from __future__ import annotations

import glob
import os
import re

from ..host.errors import Absent, Failed, describe
from ..host.run import find_program, run
from . import mounts

_NAME = "bpftool"  # of the tool, and of its package
_TIMEOUT = 180
_INSTALLED = re.compile(r"^Inst (\S+) ", re.MULTILINE)
_MOST = 16  # packages


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
    mounts.mount("tmpfs", f"{folder}/{_NAME}", executable=True)
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
