"""Pristine guests of the lab for tests: virtual machines with a kernel of their own."""

from __future__ import annotations

import itertools

import pytest

from hardener import lab
from tests import leftovers
from tests.hosts.fixtures import Boot

_numbers = itertools.count()


def start(release: str) -> lab.Guest:
    """Start a guest of this process: the next run ends it if this one is killed."""
    return lab.up(f"{leftovers.name('guest')}{next(_numbers)}", release, report=print)


@pytest.fixture(scope="session")
def pristine() -> Boot:
    """Starts guests under names that no other run has."""
    return start


def data_disk(guest: lab.Guest) -> str:
    """Return the disk on which Docker keeps its data, its mount point and its file system."""
    return guest.ssh(
        "findmnt", "--noheadings", "--raw", "--output=SOURCE,TARGET,FSTYPE", "/var/lib/docker"
    ).stdout.strip()
