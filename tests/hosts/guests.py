"""Pristine guests of the lab for tests: virtual machines with a kernel of their own."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hardener import lab
from hardener.lab.guest import inventory
from tests import leftovers
from tests.hosts.fixtures import Boot

_numbers = itertools.count()


def start(release: str, name: str = "") -> lab.Guest:
    """Start a guest of this process: the next run ends it if this one is killed.

    Args:
        release: of Debian, as the lab names it.
        name: of the host in its inventory; the name of its folder says whose it is, and would fill a screen.
    """
    number = next(_numbers)
    started = lab.up(f"{leftovers.name('guest')}{number}", release, report=print)
    _prefer(started)
    named = replace(started, name=name or f"test-{number}")
    named.inventory.write_text(yaml.safe_dump(inventory(named), sort_keys=False))
    return named


def _prefer(guest: lab.Guest) -> None:
    """Give a guest half as much again of the processor as a test beside it: its programs have time limits.

    Linux shares the processor among sessions, and a guest is one; not every kernel has such groups.
    """
    with suppress(OSError):
        Path(f"/proc/{guest.pid}/autogroup").write_text("-2")


@pytest.fixture(scope="session")
def pristine() -> Boot:
    """Starts guests under names that no other run has."""
    return start


def data_disk(guest: lab.Guest) -> str:
    """Return the disk on which Docker keeps its data, its mount point and its file system."""
    return guest.ssh(
        "findmnt", "--noheadings", "--raw", "--output=SOURCE,TARGET,FSTYPE", "/var/lib/docker"
    ).stdout.strip()
