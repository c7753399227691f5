"""A real engine for the tests that need one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.dockerd import Dockerd
from tests.integration.registries import Authority, Cosign, Registry
from tests.integration.supply import Supply


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """A private engine with its default configuration, shared by the whole run.

    A test that changes the daemon's configuration starts its own ``Dockerd``. What is missing is an error and
    not a skip: a test that did not run proves nothing.
    """
    if os.geteuid() != 0:
        pytest.fail("tests against a real dockerd need root", pytrace=False)
    if shutil.which("dockerd") is None:
        pytest.fail("dockerd is missing: apt-get install docker.io", pytrace=False)
    with Dockerd() as engine:
        engine.ensure_image()
        yield engine


@pytest.fixture
def engine(dockerd: Dockerd) -> Iterator[Dockerd]:
    """The shared engine, without containers before and after the test."""
    dockerd.remove_containers()
    # All engines of this machine share its docker0, and one that is started without a bridge removes it.
    if not Path("/sys/class/net/docker0").exists():
        dockerd.stop()
        dockerd.start()
    yield dockerd
    dockerd.remove_containers()


@pytest.fixture(scope="session")
def trust(dockerd: Dockerd) -> Iterator[tuple[Authority, Registry, Cosign, Cosign]]:
    with (
        Authority() as authority,
        Registry(authority) as registry,
        Cosign(authority) as keys,
        Cosign(authority) as others,
    ):
        yield authority, registry, keys, others


@pytest.fixture
def supply(engine: Dockerd, trust: tuple[Authority, Registry, Cosign, Cosign]) -> Iterator[Supply]:
    """The engine has its base image and nothing else."""
    found = Supply(engine, *trust)
    found.forget()
    yield found
    found.forget()
