"""Pristine Docker hosts in namespaces of this machine."""

from __future__ import annotations

import itertools

import pytest

from hardener import lab
from tests.hosts import namespace_host
from tests.hosts.fixtures import Boot, boot, guest

__all__ = ["boot", "guest"]

_numbers = itertools.count()


@pytest.fixture(scope="session")
def pristine() -> Boot:
    """Starts hosts, each with a name of its own."""

    def start(release: str) -> lab.Guest:
        return namespace_host.start(f"host-{next(_numbers)}", release)

    return start
