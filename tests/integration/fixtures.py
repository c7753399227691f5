"""Fixtures that tests of other folders use too; a folder's conftest imports them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.dockerd import Dockerd, engine_inside
from tests.integration.namespaces import OwnNetwork


@pytest.fixture(scope="session")
def dockerd(own_network: OwnNetwork | None) -> Iterator[Dockerd]:
    """A private engine with its default configuration, shared by the whole run.

    A test that changes the daemon's configuration starts its own ``Dockerd``. What is missing is an error and
    not a skip: a test that did not run proves nothing.
    """
    if own_network is None:
        pytest.fail("tests against a real dockerd need root", pytrace=False)
    if shutil.which("dockerd") is None:
        pytest.fail("dockerd is missing: apt-get install docker.io", pytrace=False)
    with engine_inside(own_network) as engine:
        engine.ensure_image()
        yield engine


@pytest.fixture(scope="session")
def bpftrace(own_network: OwnNetwork, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The host's bpftrace; with Debian's LLVM, where the host's is another one that bpftrace cannot use."""
    here = "/usr/bin/bpftrace"
    if subprocess.run([here, "-e", "BEGIN { exit() }"], capture_output=True, check=False).returncode == 0:
        return here
    folder = tmp_path_factory.mktemp("llvm")
    with own_network.outside():
        fetch = "apt-get -q -o APT::Sandbox::User=root download libllvm19"
        unpack = "dpkg-deb --extract *.deb . && rm *.deb"
        subprocess.run(["sh", "-c", f"{fetch} && {unpack}"], cwd=folder, capture_output=True, check=True)
    (library,) = folder.rglob("libLLVM.so.19.1")
    program = folder / "bpftrace"
    program.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={library.parent} exec {here} "$@"\n')
    program.chmod(0o755)
    return str(program)
