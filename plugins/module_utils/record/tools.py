"""Provide bpftool: the host's, or one that is fetched for a run and never installed.

A fetched one is stored in a file system of this process's mount namespace: the kernel removes it with the
process, and the host's packages are unchanged.
"""

from __future__ import annotations

import glob
import os
import re

from ..host.errors import Failed, describe
from ..host.run import find_program, run

NAME = "bpftool"
_TIMEOUT = 180
_INSTALLED = re.compile(r"^Inst (\S+) ", re.MULTILINE)
_MOST = 10  # packages


def missing(*, install: bool) -> str:
    """Return why there is no bpftool; empty if there is one, or if it can be fetched.

    Args:
        install: whether it may be fetched.
    """
    if find_program(NAME) is not None:
        return ""
    if not install:
        return "there is no bpftool: apt-get install bpftool, or record with --install to have it fetched"
    absent = [name for name in ("apt-get", "dpkg-deb") if find_program(name) is None]
    return f"bpftool cannot be fetched: there is no {absent[0]} (is this Debian?)" if absent else ""


def fetch(folder: str) -> str:
    """Fetch bpftool and missing libraries into a folder; return the program's path.

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
    except (Failed, OSError) as error:
        raise Failed(f"bpftool cannot be fetched: {describe(error)}") from None
    finally:
        os.chdir(before)
    found = [
        path for path in (f"{folder}/usr/sbin/{NAME}", f"{folder}/usr/bin/{NAME}") if os.path.exists(path)
    ]
    if not found:
        raise Failed(f"bpftool cannot be fetched: it is not in the packages {' '.join(packages)}")
    libraries = [*glob.glob(f"{folder}/usr/lib/*-linux-gnu*"), *glob.glob(f"{folder}/lib/*-linux-gnu*")]
    program = f"{folder}/{NAME}"
    with open(program, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\nLD_LIBRARY_PATH='{':'.join(libraries)}' exec '{found[0]}' \"$@\"\n")
    os.chmod(program, 0o700)
    return program


def _packages() -> list[str]:
    """Return bpftool and those of its dependencies that are not installed."""
    words = ("-q", "--simulate", "--no-install-recommends", "install", NAME)
    try:
        text = run("apt-get", *words, timeout=_TIMEOUT)
    except Failed:
        try:  # the lists may be missing, as in minimal images
            run("apt-get", "-q", "update", timeout=_TIMEOUT)
            text = run("apt-get", *words, timeout=_TIMEOUT)
        except Failed as error:
            raise Failed(f"bpftool cannot be fetched: {describe(error)}") from None
    found = _INSTALLED.findall(text)
    if NAME not in found or len(found) > _MOST:
        raise Failed(f"bpftool cannot be fetched: apt-get would install {len(found)} packages for it")
    return found
