"""Fixtures that tests of other folders use too; a folder's conftest imports them."""

from __future__ import annotations

import shutil
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
