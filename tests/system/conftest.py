"""Pristine Docker hosts in namespaces of this machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from hardener import lab
from tests.hosts import namespace_host
from tests.hosts.fixtures import Boot, boot, guest
from tests.hosts.fleet import Fleet
from tests.hosts.guests import pristine as virtual_machine
from tests.integration.sshd import sshd

__all__ = ["boot", "guest", "sshd", "virtual_machine"]

_numbers = itertools.count()


@pytest.fixture(scope="session")
def pristine() -> Boot:
    """Starts hosts, each with a name of its own."""

    def start(release: str) -> lab.Guest:
        return namespace_host.start(f"host-{next(_numbers)}", release)

    return start


@pytest.fixture(scope="module")
def fleet(
    request: pytest.FixtureRequest,
    pristine: Boot,
    virtual_machine: Boot,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    """The module's ``HOSTS`` in namespaces and its ``GUESTS``; each test leaves them without the change."""
    started: list[lab.Guest] = []
    try:
        for _ in range(request.module.HOSTS):
            started.append(pristine("13"))
        for _ in range(getattr(request.module, "GUESTS", 0)):
            started.append(virtual_machine("13"))
        yield Fleet(started, tmp_path_factory.mktemp("fleet"))
    finally:
        for host in started:
            host.stop()
