"""Pristine guests of the lab for tests: virtual machines with a kernel of their own."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.fixtures import Boot

_numbers = itertools.count()


@pytest.fixture(scope="session")
def pristine() -> Boot:
    """Starts guests under names that no other run has."""
    for old in lab.status():
        run = re.fullmatch(r"test-(\d+)-\d+", old.name)
        if run and not Path(f"/proc/{run[1]}").exists():  # that run was killed
            old.stop()

    def start(release: str) -> lab.Guest:
        return lab.up(f"test-{os.getpid()}-{next(_numbers)}", release, report=print)

    return start


def data_disk(guest: lab.Guest) -> str:
    """Return the disk on which Docker keeps its data, its mount point and its file system."""
    return guest.ssh(
        "findmnt", "--noheadings", "--raw", "--output=SOURCE,TARGET,FSTYPE", "/var/lib/docker"
    ).stdout.strip()
