"""An engine that has what the images of the workloads are made from."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.workloads import images
from tests.integration.dockerd import Dockerd
from tests.integration.fixtures import dockerd
from tests.integration.namespaces import OwnNetwork

__all__ = ["dockerd"]


@pytest.fixture(scope="session")
def built() -> Mapping[str, bytes]:
    """The programs that are built from source."""
    return images.programs()


@pytest.fixture(scope="session")
def prepared(dockerd: Dockerd, own_network: OwnNetwork) -> Dockerd:
    """The engine, with the root file system of all images."""
    with own_network.outside():  # its packages come from Debian
        images.prepare(dockerd)
    return dockerd
