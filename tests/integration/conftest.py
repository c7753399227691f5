"""A real engine for the tests that need one, and what several runs at once need to leave each other alone."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.converging import Host
from tests.integration.dockerd import Dockerd
from tests.integration.fixtures import dockerd
from tests.integration.namespaces import OwnNetwork
from tests.integration.registries import Authority, Cosign, Registry
from tests.integration.sshd import sshd
from tests.integration.supply import Supply
from tests.leftovers import scratch

__all__ = ["dockerd", "sshd"]


@pytest.fixture(scope="session", autouse=True)
def _in_own_network(own_network: OwnNetwork | None) -> None:
    """Start everything in a network of its own."""


@pytest.fixture(scope="module")
def machine_network(own_network: OwnNetwork | None) -> Iterator[None]:
    """The machine's network, for the tests of a module that would see something else in another one."""
    if own_network is None:
        pytest.fail("only root may change its network namespace", pytrace=False)
    with own_network.outside():
        yield


ACCOUNTS_LOCK = Path("/run/hardener-test-accounts.lock")


@pytest.fixture
def accounts() -> Iterator[None]:
    """No other run changes the accounts of the machine, or relies on its files of them, meanwhile."""
    with ACCOUNTS_LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def bound_accounts() -> Iterator[None]:
    """No other run changes the accounts while a module has files bound over /etc/subuid and /etc/subgid.

    useradd replaces these files by a rename, which undoes what is mounted there in other namespaces.
    """
    with ACCOUNTS_LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@pytest.fixture
def engine(dockerd: Dockerd, own_network: OwnNetwork) -> Iterator[Dockerd]:
    """The shared engine, without containers before and after the test."""
    dockerd.remove_containers()
    # The engines of a run share its docker0, and one that is started without a bridge removes it.
    with own_network.inside():
        if "docker0" not in {name for _, name in socket.if_nameindex()}:
            dockerd.stop()
            dockerd.start()
    yield dockerd
    dockerd.remove_containers()


@pytest.fixture
def host() -> Iterator[Host]:
    """A folder that stands for a host."""
    assert os.geteuid() == 0, "these tests need root"
    with scratch("converge") as path:
        yield Host(path)


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
